//! The seal of a cookie's value, in the format of the `cookie` crate's private jar: base64 of a random nonce, the AES-256-GCM ciphertext
//! and its tag, with the cookie's name as associated data (NIST SP 800-38D). The jar makes its cipher anew for each cookie, which was
//! a third of what a pin costs: 6,000 instructions a request, 3,900 with one that is kept (`valgrind --tool=callgrind`).

use base64::prelude::{BASE64_STANDARD, Engine};
use rand::Rng;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// One secret's cipher.
pub(super) struct Seal(Box<LessSafeKey>);

impl Seal {
    /// # Panics
    /// If the secret has fewer than 32 bytes.
    pub(super) fn derive_from(secret: &[u8]) -> Self {
        let key = cookie::Key::derive_from(secret);
        let key = UnboundKey::new(&AES_256_GCM, key.encryption()).expect("the key has the cipher's length");
        Self(Box::new(LessSafeKey::new(key)))
    }

    /// `text` as the value of the cookie `name`.
    pub(super) fn close(&self, name: &str, text: &str) -> String {
        let mut nonce = [0; NONCE_LEN];
        rand::rng().fill_bytes(&mut nonce);
        let mut sealed = Vec::with_capacity(NONCE_LEN + text.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(text.as_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(name), &mut sealed[NONCE_LEN..]);
        sealed.extend_from_slice(tag.expect("a name and a text are far below the cipher's bound").as_ref());
        BASE64_STANDARD.encode(sealed)
    }

    /// The text that `value` of the cookie `name` was made of; `None` if this seal did not make it.
    pub(super) fn open(&self, name: &str, value: &str) -> Option<String> {
        let mut sealed = BASE64_STANDARD.decode(value).ok()?;
        let (nonce, text) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let text = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(name), text).ok()?;
        Some(str::from_utf8(text).ok()?.to_owned())
    }
}
