//! HTTP message signatures (RFC 9421) with Ed25519, and content digests (RFC 9530), as
//! `spec/http.md` uses them.
//!
//! - [`fields`]: structured fields; [`base`]: the text under a signature;
//! - [`digest`]: `Content-Digest`; [`policy`]: what a signature must cover to count here.
//!
//! This module only says whether a key signed a request. Whose key it is and what it may do is
//! decided by `super::caller`.

pub mod base;
pub mod digest;
pub mod fields;
pub mod policy;

use axum::http::HeaderMap;
use ed25519_dalek::{Signature, VerifyingKey};

use self::base::{ComponentError, Message, signature_base};
use self::fields::{InnerList, Item, Member, dictionary};

/// Longest `Signature-Input` or `Signature` field that is read.
const MAX_FIELD: usize = 4096;

/// A request's signature as it arrived: not yet verified.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What it covers, and its parameters.
    pub input: InnerList,
    signature: Signature,
}

/// A signature does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// A header field cannot be read.
    Field(&'static str),
    /// A covered component cannot be rebuilt.
    Component(String),
    /// The signature does not verify.
    Invalid,
}

impl Signed {
    /// The signature of a request, if it has one.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, SignatureError> {
        let inputs = one(headers, "signature-input")?;
        let signatures = one(headers, "signature")?;
        let (Some(inputs), Some(signatures)) = (inputs, signatures) else {
            // One without the other is a mistake that a client should hear of.
            return match (inputs, signatures) {
                (None, None) => Ok(None),
                (None, _) => Err(SignatureError::Field("signature-input")),
                (_, None) => Err(SignatureError::Field("signature")),
                _ => Ok(None),
            };
        };
        let bad_input = SignatureError::Field("signature-input");
        let bad_signature = SignatureError::Field("signature");
        let inputs = dictionary(inputs).map_err(|_| bad_input.clone())?;
        let signatures = dictionary(signatures).map_err(|_| bad_signature.clone())?;
        // One signature: which of several would be meant is nobody's guess.
        let [(label, Member::List(input))] = inputs.as_slice() else {
            return Err(bad_input);
        };
        let [(signed_label, Member::Item(Item::Bytes(bytes)))] = signatures.as_slice() else {
            return Err(bad_signature);
        };
        if signed_label != label {
            return Err(bad_signature);
        }
        let signature = Signature::from_slice(bytes).map_err(|_| bad_signature)?;
        if let Some(algorithm) = input.param("alg")
            && *algorithm != Item::String("ed25519".to_owned())
        {
            return Err(bad_input);
        }
        Ok(Some(Self {
            input: input.clone(),
            signature,
        }))
    }

    /// Verifies it over a request, with the strict rules that leave one signature one meaning.
    pub fn verify(&self, message: &Message<'_>, key: &VerifyingKey) -> Result<(), SignatureError> {
        let base = signature_base(message, &self.input)
            .map_err(|ComponentError(name)| SignatureError::Component(name))?;
        key.verify_strict(base.as_bytes(), &self.signature)
            .map_err(|_| SignatureError::Invalid)
    }

    /// Whether a component is covered.
    pub fn covers(&self, component: &str) -> bool {
        self.input.members.iter().any(|(name, _)| name == component)
    }
}

/// The one value of a header field.
fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, SignatureError> {
    let bad = || SignatureError::Field(name);
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() || value.len() > MAX_FIELD {
        return Err(bad());
    }
    value.to_str().map(Some).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Method};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::base::Message;
    use super::*;

    /// The request of RFC 9421, appendix B.2.
    fn request() -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        put("host", "example.com");
        put("date", "Tue, 20 Apr 2021 02:07:55 GMT");
        put("content-type", "application/json");
        put(
            "content-digest",
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        );
        put("content-length", "18");
        headers
    }

    fn message(headers: &HeaderMap) -> Message<'_> {
        Message {
            method: &Method::POST,
            scheme: "https",
            authority: "example.com",
            path: "/foo",
            query: Some("param=Value&Pet=dog"),
            headers,
        }
    }

    /// `test-key-ed25519` of RFC 9421, appendix B.1.4.
    fn key() -> VerifyingKey {
        let bytes = STANDARD
            .decode("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=")
            .expect("base64");
        VerifyingKey::from_bytes(bytes.as_slice().try_into().expect("32 bytes")).expect("a point")
    }

    /// The example of RFC 9421, appendix B.2.6.
    fn signed() -> HeaderMap {
        let mut headers = request();
        headers.insert(
            "signature-input",
            HeaderValue::from_static(
                "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \
                 \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"",
            ),
        );
        headers.insert(
            "signature",
            HeaderValue::from_static(
                "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
            ),
        );
        headers
    }

    #[test]
    fn the_rfc_example_verifies_and_its_base_is_the_printed_one() {
        let headers = signed();
        let signed = Signed::read(&headers).expect("readable").expect("signed");
        let base = signature_base(&message(&headers), &signed.input).expect("known components");
        assert_eq!(
            base,
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\
             \"@method\": POST\n\
             \"@path\": /foo\n\
             \"@authority\": example.com\n\
             \"content-type\": application/json\n\
             \"content-length\": 18\n\
             \"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \
             \"content-length\");created=1618884473;keyid=\"test-key-ed25519\""
        );
        assert_eq!(signed.verify(&message(&headers), &key()), Ok(()));
        assert!(signed.covers("@path") && !signed.covers("content-digest"));
    }

    #[test]
    fn a_change_of_anything_covered_is_noticed() {
        let headers = signed();
        let signed = Signed::read(&headers).expect("readable").expect("signed");
        let good = message(&headers);
        let get = Method::GET;
        for changed in [
            Message {
                method: &get,
                ..good
            },
            Message {
                path: "/fo",
                ..good
            },
            Message {
                authority: "example.org",
                ..good
            },
        ] {
            assert_eq!(
                signed.verify(&changed, &key()),
                Err(SignatureError::Invalid)
            );
        }
        let mut other = headers.clone();
        other.insert(
            "date",
            HeaderValue::from_static("Tue, 20 Apr 2021 02:07:56 GMT"),
        );
        assert_eq!(
            signed.verify(&message(&other), &key()),
            Err(SignatureError::Invalid)
        );
        other.remove("date");
        assert_eq!(
            signed.verify(&message(&other), &key()),
            Err(SignatureError::Component("date".to_owned()))
        );
        // What is not covered may change: the policy decides what must be.
        assert_eq!(
            signed.verify(
                &Message {
                    query: None,
                    ..good
                },
                &key()
            ),
            Ok(())
        );
    }

    #[test]
    fn derived_components_have_the_values_of_the_rfc() {
        let headers = request();
        let mut input = InnerList {
            members: Vec::new(),
            params: Vec::new(),
        };
        for name in ["@target-uri", "@request-target", "@query", "@scheme"] {
            input.members.push((name.to_owned(), Vec::new()));
        }
        let base = signature_base(&message(&headers), &input).expect("known");
        assert_eq!(
            base,
            "\"@target-uri\": https://example.com/foo?param=Value&Pet=dog\n\
             \"@request-target\": /foo?param=Value&Pet=dog\n\
             \"@query\": ?param=Value&Pet=dog\n\
             \"@scheme\": https\n\
             \"@signature-params\": (\"@target-uri\" \"@request-target\" \"@query\" \"@scheme\")"
        );
        for bad in ["@status", "@query-param", "Date", "nothing"] {
            input.members = vec![(bad.to_owned(), Vec::new())];
            assert!(signature_base(&message(&headers), &input).is_err(), "{bad}");
        }
        input.members = vec![("date".to_owned(), Vec::new()); 2];
        assert!(signature_base(&message(&headers), &input).is_err(), "twice");
    }

    #[test]
    fn half_a_signature_and_several_are_refused() {
        let field = |name: &'static str| Some(SignatureError::Field(name));
        assert!(matches!(Signed::read(&request()), Ok(None)));
        let mut headers = signed();
        headers.remove("signature");
        assert_eq!(Signed::read(&headers).err(), field("signature"));
        let mut headers = signed();
        headers.remove("signature-input");
        assert_eq!(Signed::read(&headers).err(), field("signature-input"));
        for (name, value) in [
            ("signature-input", "a=(\"date\"), b=(\"date\")"),
            (
                "signature-input",
                "sig-b26=(\"date\");alg=\"rsa-pss-sha512\"",
            ),
            ("signature-input", "sig-b26=1"),
            ("signature-input", "((("),
            ("signature", "other=:AA==:"),
            ("signature", "sig-b26=:AA==:"),
            ("signature", "sig-b26=\"AA\""),
        ] {
            let mut headers = signed();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(Signed::read(&headers).err(), field(name), "{value}");
        }
        let mut headers = signed();
        headers.append("signature", HeaderValue::from_static("x=:AA==:"));
        assert_eq!(Signed::read(&headers).err(), field("signature"));
    }
}
