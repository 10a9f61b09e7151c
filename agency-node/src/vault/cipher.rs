//! Encryption of values and hashing of keys.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use rand_core::{OsRng, RngCore};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a nonce. They are random: 192 bits do not repeat.
const NONCE: usize = 24;

/// The vault's data key, split into one key for values and one for database keys.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Cipher {
    values: [u8; 32],
    handles: [u8; 32],
}

impl Cipher {
    /// Splits a data key.
    pub(super) fn new(data_key: &[u8; 32]) -> Self {
        Self {
            values: mac(data_key, &[b"zkbureau/vault/values/v1"]),
            handles: mac(data_key, &[b"zkbureau/vault/handles/v1"]),
        }
    }

    /// A database key that says nothing about what it stands for. `kind` separates uses.
    pub(super) fn handle(&self, kind: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut all: Vec<&[u8]> = vec![kind.as_bytes()];
        all.extend(parts);
        mac(&self.handles, &all)
    }

    /// Encrypts a value for its place.
    pub(super) fn seal(&self, family: &str, key: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        OsRng.fill_bytes(&mut nonce);
        let place = place(family, key);
        let sealed = XChaCha20Poly1305::new(&self.values.into())
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: plain,
                    aad: &place,
                },
            )
            // Only messages of 256 GiB fail.
            .expect("a value fits the cipher");
        let mut out = Vec::with_capacity(NONCE + sealed.len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Decrypts a value of this place; `None` when it was changed or stood elsewhere.
    pub(super) fn open(
        &self,
        family: &str,
        key: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_at_checked(NONCE)?;
        let place = place(family, key);
        XChaCha20Poly1305::new(&self.values.into())
            .decrypt(
                XNonce::from_slice(nonce),
                Payload {
                    msg: body,
                    aad: &place,
                },
            )
            .ok()
            .map(Zeroizing::new)
    }
}

/// Where a value stands: family (no zero byte in its name), zero, key.
fn place(family: &str, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(family.len() + 1 + key.len());
    out.extend_from_slice(family.as_bytes());
    out.push(0);
    out.extend_from_slice(key);
    out
}

/// HMAC-SHA-256 over length-prefixed parts.
pub(super) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("any key length");
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_at_its_place_only() {
        let cipher = Cipher::new(&[7; 32]);
        let sealed = cipher.seal("a", b"key", b"value");
        assert_eq!(
            cipher.open("a", b"key", &sealed).as_deref(),
            Some(&b"value".to_vec())
        );
        assert!(cipher.open("b", b"key", &sealed).is_none());
        assert!(cipher.open("a", b"kez", &sealed).is_none());
        assert!(Cipher::new(&[8; 32]).open("a", b"key", &sealed).is_none());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(cipher.open("a", b"key", &changed).is_none(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(cipher.open("a", b"key", &sealed[..length]).is_none());
        }
        assert_ne!(sealed, cipher.seal("a", b"key", b"value"), "fresh nonces");
    }

    #[test]
    fn handles_depend_on_key_kind_and_parts() {
        let cipher = Cipher::new(&[7; 32]);
        let base = cipher.handle("k", &[b"ab", b"c"]);
        assert_eq!(base, cipher.handle("k", &[b"ab", b"c"]));
        assert_ne!(base, cipher.handle("k", &[b"a", b"bc"]));
        assert_ne!(base, cipher.handle("l", &[b"ab", b"c"]));
        assert_ne!(base, Cipher::new(&[8; 32]).handle("k", &[b"ab", b"c"]));
    }
}
