//! What a signature must cover and say to count here (`spec/http.md`, "Signed requests"):
//! the method, where the request goes, its whole body, when it was made, and a number used once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
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
pub const MAX_NONCES: usize = 1 << 18;
/// Of these, one key's.
pub const MAX_NONCES_OF_KEY: usize = 1 << 16;

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
pub struct Nonces(Mutex<Used>);

/// The nonces of each key, as the beginning of their hash, and when they were signed.
#[derive(Debug, Default)]
struct Used {
    keys: HashMap<PublicKey, HashMap<[u8; 16], i64>>,
    count: usize,
    /// When old ones were dropped last.
    swept: i64,
}

/// Why a nonce is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceError {
    /// It was used before.
    Used,
    /// Too many of this key are remembered.
    KeyFull,
    /// Too many are remembered.
    Full,
}

impl Nonces {
    /// Takes the nonce of a signature that verifies.
    pub fn take(&self, claims: &Claims, now: TimeMs) -> Result<(), NonceError> {
        let now = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.take(claims, now)
    }
}

impl Used {
    fn take(&mut self, claims: &Claims, now: i64) -> Result<(), NonceError> {
        let of_key = |used: &Self| used.keys.get(&claims.key).map_or(0, HashMap::len);
        if self.count >= MAX_NONCES || of_key(self) >= MAX_NONCES_OF_KEY {
            self.sweep(now);
        }
        if of_key(self) >= MAX_NONCES_OF_KEY {
            return Err(NonceError::KeyFull);
        }
        if self.count >= MAX_NONCES {
            return Err(NonceError::Full);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&Sha256::digest(&claims.nonce)[..16]);
        let nonces = self.keys.entry(claims.key).or_default();
        if nonces.insert(short, claims.created).is_some() {
            return Err(NonceError::Used);
        }
        self.count += 1;
        Ok(())
    }

    /// Drops what is too old to count, once a second at most.
    fn sweep(&mut self, now: i64) {
        if self.swept == now {
            return;
        }
        self.swept = now;
        self.keys.retain(|_, nonces| {
            nonces.retain(|_, created| now - *created <= MAX_AGE_S);
            !nonces.is_empty()
        });
        self.count = self.keys.values().map(HashMap::len).sum();
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
        let keys: Vec<_> = (1..=5_u8)
            .map(|seed| SecretKey::from_seed(&[seed; 32]).public())
            .collect();
        let of = |key: PublicKey, n: usize| {
            let nonce = n.to_string();
            let claims = Claims {
                key,
                created: now,
                nonce,
            };
            nonces.take(&claims, NOW)
        };
        // One key fills its share, and four of them the memory.
        for n in 1..MAX_NONCES_OF_KEY {
            assert_eq!(of(keys[0], n), Ok(()));
        }
        assert_eq!(of(keys[0], MAX_NONCES), Err(NonceError::KeyFull));
        for n in 1..MAX_NONCES_OF_KEY {
            for key in &keys[1..4] {
                assert_eq!(of(*key, n), Ok(()));
            }
        }
        assert_eq!(of(keys[2], 0), Ok(()));
        assert_eq!(of(keys[4], 0), Ok(()));
        assert_eq!(of(keys[4], 1), Err(NonceError::Full));
        let last = claims(1, MAX_NONCES, now);
        assert_eq!(nonces.take(&last, NOW), Err(NonceError::KeyFull));
        let later = TimeMs(NOW.0 + 1000 * (MAX_AGE_S as u64 + 1));
        assert_eq!(nonces.take(&last, later), Ok(()));
    }
}
