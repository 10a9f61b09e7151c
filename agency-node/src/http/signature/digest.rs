//! `Content-Digest` (RFC 9530): ties a body to the header fields that a signature covers.

use axum::http::HeaderMap;
use sha2::{Digest as _, Sha256, Sha512};

use super::fields::{Item, Member, dictionary};
use super::{SignatureError, one};

/// The digest that a request declares for its body. Of several the strongest known one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentDigest {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-512.
    Sha512(Box<[u8; 64]>),
}

impl ContentDigest {
    /// The declared digest, if there is one.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, SignatureError> {
        let bad = SignatureError::Field("content-digest");
        let Some(text) = one(headers, "content-digest")? else {
            return Ok(None);
        };
        let members = dictionary(text).map_err(|_| bad.clone())?;
        let find = |name: &str| {
            members.iter().find_map(|(n, member)| match member {
                Member::Item(Item::Bytes(bytes)) if n == name => Some(bytes.as_slice()),
                _ => None,
            })
        };
        if let Some(bytes) = find("sha-512") {
            let bytes: [u8; 64] = bytes.try_into().map_err(|_| bad)?;
            return Ok(Some(Self::Sha512(Box::new(bytes))));
        }
        let bytes = find("sha-256").ok_or_else(|| bad.clone())?;
        Ok(Some(Self::Sha256(bytes.try_into().map_err(|_| bad)?)))
    }

    /// Whether it is that of a body.
    pub fn matches(&self, body: &[u8]) -> bool {
        match self {
            Self::Sha256(digest) => Sha256::digest(body).as_slice() == digest,
            Self::Sha512(digest) => Sha512::digest(body).as_slice() == digest.as_slice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(text: &'static str) -> Result<Option<ContentDigest>, SignatureError> {
        let mut headers = HeaderMap::new();
        headers.insert("content-digest", HeaderValue::from_static(text));
        ContentDigest::read(&headers)
    }

    #[test]
    fn the_digests_of_rfc_9421_and_rfc_9530_match_their_body() {
        let body = b"{\"hello\": \"world\"}";
        for text in [
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
            "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
            "md5=:AA==:, sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
        ] {
            let digest = read(text).expect("readable").expect("there");
            assert!(digest.matches(body), "{text}");
            assert!(!digest.matches(b"{\"hello\": \"world\"} "), "{text}");
        }
        for bad in [
            "md5=:AA==:",
            "sha-256=:AA==:",
            "sha-256=1",
            "sha-512=:AA==:",
            "x y",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(ContentDigest::read(&HeaderMap::new()), Ok(None));
    }
}
