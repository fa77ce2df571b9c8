//! What the targets share: an envelope whose KMS is a fake with one data key, known to the target.

use std::sync::{Arc, OnceLock};

use vault_crypto_core::derive::{DataKeySecret, body_context};
use vault_crypto_core::header::{Header, Shape};
use vault_crypto_core::{EncryptionContext, Scope, SecureBytes};
use vault_envelope::hazmat::Body;
use vault_envelope::{AllowedKeys, EnvelopeBuilder, EnvelopeEncryption, PrivateKey};

pub use pollster::block_on;

#[path = "../../crates/vault-envelope/examples/vectors/fixed_kms.rs"]
mod fixed_kms;
use fixed_kms::FixedKms;

mod open_kms;
pub use open_kms::OpenKms;
mod plain;
pub use plain::assert_plain;

/// A key at the fake.
pub const KEY_ID: &str = fixed_kms::KEY_ID;
/// What every message of these targets is sealed under.
pub const DATA_KEY: [u8; 32] = [0xD5; 32];

/// Any slot of kind 1 opens.
pub fn builder() -> EnvelopeBuilder {
    let kms = Arc::new(FixedKms::new(DATA_KEY));
    EnvelopeEncryption::builder(kms.clone(), KEY_ID)
        .scope([("tenant", "acme")])
        .allow_only(AllowedKeys::none().any_key_matching(kms, |_| true))
}

pub fn envelope() -> EnvelopeEncryption {
    builder().build().expect("a constant")
}

pub fn scope() -> Scope {
    envelope().scope().clone()
}

pub fn context() -> EncryptionContext {
    EncryptionContext::from([("row", "42")])
}

pub fn secret() -> DataKeySecret {
    DataKeySecret::new(&SecureBytes::new(DATA_KEY.to_vec())).expect("32 bytes")
}

/// The RSA key of the published vectors, as PKCS#8 DER.
pub fn rsa_der() -> Vec<u8> {
    let text = include_str!("../../crates/vault-envelope/examples/vectors/rsa_private.hex");
    hex::decode(text.replace('\n', "")).expect("hexadecimal")
}

/// The same key, read once: that takes as long as many runs.
pub fn rsa_key() -> Arc<PrivateKey> {
    static KEY: OnceLock<Arc<PrivateKey>> = OnceLock::new();
    let read = || PrivateKey::rsa_der(SecureBytes::new(rsa_der())).expect("a constant");
    KEY.get_or_init(|| Arc::new(read())).clone()
}

/// An X25519 key.
pub fn x25519_key() -> PrivateKey {
    PrivateKey::x25519(&SecureBytes::new(vec![0x42; 32])).expect("a constant")
}

/// A message with this header, its key id, message id and MAC made right, around `content`.
pub fn message(header: &Header, content: &[u8]) -> Vec<u8> {
    let mut header = header.clone();
    let salt = [0x17; 24];
    if header.names_message() {
        header.message_id = salt;
    }
    let mut message =
        secret().seal_header(&mut header, &scope(), Some(0)).expect("it was parsed from bytes");
    if header.shape != Shape::KeyEntry {
        let flags = header.body_flags();
        let bound = body_context(header.suite, header.shape, flags, &scope(), &context())
            .expect("a constant");
        let body = Body::of_suite(&secret(), header.suite, None);
        message.extend(body.seal(&salt, &bound, content).expect("short"));
    }
    message
}

/// Numbers and flags off the front of the input; zeros where it has ended.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
