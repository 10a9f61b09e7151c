//! What a signature must cover and say to count here (`spec/http.md`, "Signed requests"):
//! the method, where the request goes, its whole body, when it was made, and a number used once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use zkbureau_ledger::ids::TimeMs;
use zkbureau_ledger::keys::PublicKey;

use super::Signed;
use super::base::Message;
use super::fields::Item;

/// How far a signature's time may be from this node's clock, in seconds.
pub const MAX_AGE_S: i64 = 300;
/// Longest nonce.
const MAX_NONCE: usize = 128;
/// Nonces that are remembered at once.
const MAX_NONCES: usize = 1 << 16;

/// What a signature says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The key that is said to have signed.
    pub key: PublicKey,
    /// When, in seconds since 1970.
    pub created: i64,
    /// Used once.
    pub nonce: String,
}

/// A signature that says or covers too little. The text names what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyError(pub &'static str);

/// Reads the claims of a signature and checks that it covers enough.
pub fn claims(signed: &Signed, message: &Message<'_>, now: TimeMs) -> Result<Claims, PolicyError> {
    let target = signed.covers("@target-uri")
        || signed.covers("@authority")
            && (signed.covers("@request-target")
                || signed.covers("@path") && (message.query.is_none() || signed.covers("@query")));
    if !signed.covers("@method") || !target {
        return Err(PolicyError(
            "cover @method, and @target-uri or @authority with @path and @query",
        ));
    }
    // A GET has no body that could be changed.
    if message.method != axum::http::Method::GET && !signed.covers("content-digest") {
        return Err(PolicyError("cover content-digest"));
    }
    let text = |name| match signed.input.param(name) {
        Some(Item::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let number = |name| match signed.input.param(name) {
        Some(Item::Integer(n)) => Some(*n),
        _ => None,
    };
    let key = text("keyid")
        .and_then(|keyid| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(keyid, &mut bytes).ok()?;
            PublicKey::from_bytes(&bytes).ok()
        })
        .ok_or(PolicyError(
            "keyid is an Ed25519 key as 64 hexadecimal digits",
        ))?;
    let now = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let created = number("created")
        .filter(|created| (now - created).abs() <= MAX_AGE_S)
        .ok_or(PolicyError(
            "created is within 300 seconds of this node's clock",
        ))?;
    if number("expires").is_some_and(|expires| expires <= now) {
        return Err(PolicyError("the signature has expired"));
    }
    let nonce = text("nonce")
        .filter(|nonce| (8..=MAX_NONCE).contains(&nonce.len()))
        .ok_or(PolicyError("nonce has 8 to 128 characters"))?;
    Ok(Claims {
        key,
        created,
        nonce: nonce.to_owned(),
    })
}

/// Nonces that were used, as long as their signatures would still be young enough.
#[derive(Debug, Default)]
pub struct Nonces(Mutex<HashMap<(PublicKey, String), i64>>);

/// Why a nonce is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceError {
    /// It was used before.
    Used,
    /// Too many are remembered.
    Full,
}

impl Nonces {
    /// Takes the nonce of a signature that verifies.
    pub fn take(&self, claims: &Claims, now: TimeMs) -> Result<(), NonceError> {
        let now = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MAX_NONCES {
            used.retain(|_, created| now - *created <= MAX_AGE_S);
            if used.len() >= MAX_NONCES {
                return Err(NonceError::Full);
            }
        }
        let entry = (claims.key, claims.nonce.clone());
        match used.insert(entry, claims.created) {
            None => Ok(()),
            Some(_) => Err(NonceError::Used),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Method};
    use zkbureau_ledger::keys::SecretKey;

    use super::*;

    const NOW: TimeMs = TimeMs(1_700_000_000_000);

    fn check(method: &Method, query: Option<&str>, input: &str) -> Result<Claims, PolicyError> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("s={input}")).expect("printable");
        headers.insert("signature-input", value);
        let zeros = format!("s=:{}:", "A".repeat(86) + "==");
        headers.insert(
            "signature",
            HeaderValue::from_str(&zeros).expect("printable"),
        );
        let signed = Signed::read(&headers).expect("readable").expect("there");
        let message = Message {
            method,
            scheme: "https",
            authority: "a",
            path: "/p",
            query,
            headers: &headers,
        };
        claims(&signed, &message, NOW)
    }

    #[test]
    fn enough_is_covered_or_it_does_not_count() {
        let key = SecretKey::from_seed(&[1; 32]).public();
        let good = format!(";created=1700000000;nonce=\"12345678\";keyid=\"{key}\"");
        let ok = |method: &Method, query, covered: &str| {
            check(method, query, &format!("({covered}){good}")).is_ok()
        };
        let get = Method::GET;
        assert!(ok(&get, None, "\"@method\" \"@target-uri\""));
        assert!(ok(&get, Some("x=1"), "\"@method\" \"@target-uri\""));
        assert!(ok(&get, None, "\"@method\" \"@authority\" \"@path\""));
        assert!(ok(
            &get,
            Some("x"),
            "\"@method\" \"@authority\" \"@path\" \"@query\""
        ));
        assert!(ok(
            &get,
            Some("x"),
            "\"@method\" \"@authority\" \"@request-target\""
        ));
        assert!(ok(
            &Method::POST,
            None,
            "\"@method\" \"@target-uri\" \"content-digest\""
        ));
        assert!(!ok(&get, None, "\"@target-uri\""));
        assert!(!ok(&get, None, "\"@method\" \"@path\""));
        assert!(!ok(&get, Some("x"), "\"@method\" \"@authority\" \"@path\""));
        assert!(!ok(&Method::POST, None, "\"@method\" \"@target-uri\""));
    }

    #[test]
    fn key_time_and_nonce_are_needed() {
        let key = SecretKey::from_seed(&[1; 32]).public().to_string();
        let with = |params: &str| {
            check(
                &Method::GET,
                None,
                &format!("(\"@method\" \"@target-uri\"){params}"),
            )
        };
        let full = |key: &str, created: i64, nonce: &str, more: &str| {
            with(&format!(
                ";created={created};nonce=\"{nonce}\";keyid=\"{key}\"{more}"
            ))
        };
        let now = 1_700_000_000;
        for age in [-MAX_AGE_S, 0, MAX_AGE_S] {
            let claims = full(&key, now - age, "12345678", "").expect("complete");
            assert_eq!(
                (claims.created, claims.nonce.as_str()),
                (now - age, "12345678")
            );
        }
        assert!(full(&key, now - MAX_AGE_S - 1, "12345678", "").is_err());
        assert!(full(&key, now + MAX_AGE_S + 1, "12345678", "").is_err());
        assert!(full(&key, now, "1234567", "").is_err());
        assert!(full(&key, now, &"1".repeat(129), "").is_err());
        assert!(full(&key[..62], now, "12345678", "").is_err());
        assert!(
            full(&"0".repeat(64), now, "12345678", "").is_err(),
            "a weak key"
        );
        assert!(full(&key, now, "12345678", ";expires=1700000000").is_err());
        assert!(full(&key, now, "12345678", ";expires=1700000001").is_ok());
        assert!(with("").is_err());
        assert!(
            with(&format!(
                ";created=\"{now}\";nonce=\"12345678\";keyid=\"{key}\""
            ))
            .is_err()
        );
    }

    #[test]
    fn a_nonce_is_taken_once_per_key_and_the_memory_is_bounded() {
        let nonces = Nonces::default();
        let claims = |seed: u8, n: usize, created| Claims {
            key: SecretKey::from_seed(&[seed; 32]).public(),
            created,
            nonce: n.to_string(),
        };
        let now = 1_700_000_000;
        let first = claims(1, 0, now);
        assert_eq!(nonces.take(&first, NOW), Ok(()));
        assert_eq!(nonces.take(&first, NOW), Err(NonceError::Used));
        assert_eq!(nonces.take(&claims(2, 0, now), NOW), Ok(()));
        let key = first.key;
        for n in 2..MAX_NONCES {
            let nonce = n.to_string();
            let claims = Claims {
                key,
                created: now,
                nonce,
            };
            assert_eq!(nonces.take(&claims, NOW), Ok(()));
        }
        let last = claims(1, MAX_NONCES, now);
        assert_eq!(nonces.take(&last, NOW), Err(NonceError::Full));
        let later = TimeMs(NOW.0 + 1000 * (MAX_AGE_S as u64 + 1));
        assert_eq!(nonces.take(&last, later), Ok(()));
    }
}
