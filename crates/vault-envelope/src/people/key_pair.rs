//! Key pairs of people and programs: their text forms, and the slots they seal and open. What each
//! algorithm does stands in `hpke` and `rsa`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use vault_crypto_core::header::{Slot, SlotKind};
use vault_crypto_core::{
    CryptoError, ErrorKind, Operation, RandomSource, Result, SecureBytes, SecureString,
};
use zeroize::Zeroizing;

#[cfg(feature = "hpke")]
use super::hpke::{HpkePrivate, HpkePublic};
#[cfg(feature = "rsa")]
use super::rsa::{RsaPrivate, RsaPublic};
use crate::slot_key::{OpenSlot, SealSlot, SlotFacts};
use crate::{AllowedKeys, Recipient};

/// Whom a message can be sealed for without their taking part.
///
/// As text an X25519 key is one line, `vkpub1...`, and an RSA key is PEM (`BEGIN PUBLIC KEY`).
///
/// ```
/// # #[cfg(feature = "hpke")] {
/// use vault_envelope::{PrivateKey, PublicKey};
/// let private = PrivateKey::generate()?;
/// let text = private.public_key().to_string();
/// assert!(text.starts_with("vkpub1"));
/// assert_eq!(text.parse::<PublicKey>()?, private.public_key());
/// # }
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
#[derive(Clone)]
pub struct PublicKey(Public);

#[derive(Clone)]
enum Public {
    #[cfg(feature = "hpke")]
    Hpke(HpkePublic),
    #[cfg(feature = "rsa")]
    Rsa(RsaPublic),
}

/// Opens what was sealed for its [`PublicKey`]. Wiped on drop; prints nothing of itself.
///
/// As text an X25519 key is one line in capitals, `VK-SECRET-KEY-1...`, and an RSA key is PEM
/// (`BEGIN PRIVATE KEY`, PKCS#8).
pub struct PrivateKey(Private);

enum Private {
    #[cfg(feature = "hpke")]
    Hpke(HpkePrivate),
    #[cfg(feature = "rsa")]
    Rsa(RsaPrivate),
}

impl PublicKey {
    /// An X25519 public key of 32 bytes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for keys of low order (the all-zero one among them) and for second
    /// encodings of a key.
    #[cfg(feature = "hpke")]
    pub fn x25519(bytes: [u8; 32]) -> Result<Self> {
        HpkePublic::new(bytes).map(Public::Hpke).map(Self)
    }

    /// An RSA public key of 2,048 to 8,192 bits as SubjectPublicKeyInfo DER.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for anything else.
    #[cfg(feature = "rsa")]
    pub fn rsa_der(spki: &[u8]) -> Result<Self> {
        RsaPublic::new(spki).map(Public::Rsa).map(Self)
    }

    /// What its slots name it by: SHA-256 of the X25519 key, or of the RSA key's
    /// SubjectPublicKeyInfo.
    #[must_use]
    pub fn key_id(&self) -> [u8; 32] {
        match &self.0 {
            #[cfg(feature = "hpke")]
            Public::Hpke(key) => key.id(),
            #[cfg(feature = "rsa")]
            Public::Rsa(key) => key.id(),
        }
    }

    /// The kind of its slots.
    #[must_use]
    pub fn kind(&self) -> SlotKind {
        match &self.0 {
            #[cfg(feature = "hpke")]
            Public::Hpke(_) => SlotKind::HPKE,
            #[cfg(feature = "rsa")]
            Public::Rsa(_) => SlotKind::RSA_OAEP_256,
        }
    }
}

/// The text form.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            #[cfg(feature = "hpke")]
            Public::Hpke(key) => f.write_str(&key.to_text()),
            #[cfg(feature = "rsa")]
            Public::Rsa(key) => f.write_str(&key.to_text()),
        }
    }
}

/// Kind and key id.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} ", self.kind().name())?;
        self.key_id().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.key_id() == other.key_id()
    }
}

impl Eq for PublicKey {}

/// Reads exactly what `Display` writes; PEM may have other line lengths.
impl FromStr for PublicKey {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self> {
        #[cfg(feature = "hpke")]
        if let Some(key) = HpkePublic::from_text(text) {
            return key.map(Public::Hpke).map(Self);
        }
        #[cfg(feature = "rsa")]
        if let Some(key) = RsaPublic::from_text(text) {
            return key.map(Public::Rsa).map(Self);
        }
        Err(unknown("not a public key: one starts with vkpub1 or -----BEGIN PUBLIC KEY-----"))
    }
}

impl PrivateKey {
    /// A new X25519 key.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the system has no randomness.
    #[cfg(feature = "hpke")]
    pub fn generate() -> Result<Self> {
        HpkePrivate::generate().map(Private::Hpke).map(Self)
    }

    /// A new RSA key of 3,072 bits. Takes a good part of a second.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where aws-lc-rs fails.
    #[cfg(feature = "rsa")]
    pub fn generate_rsa() -> Result<Self> {
        RsaPrivate::generate().map(Private::Rsa).map(Self)
    }

    /// An X25519 private key of 32 bytes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for another length.
    #[cfg(feature = "hpke")]
    pub fn x25519(bytes: &SecureBytes) -> Result<Self> {
        let bytes = <&[u8; 32]>::try_from(bytes.as_slice())
            .map_err(|_| unknown("an X25519 private key has 32 bytes"))?;
        HpkePrivate::new(bytes).map(Private::Hpke).map(Self)
    }

    /// An RSA private key of 2,048 to 8,192 bits as PKCS#8 DER.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for anything else.
    #[cfg(feature = "rsa")]
    pub fn rsa_der(pkcs8: SecureBytes) -> Result<Self> {
        RsaPrivate::new(pkcs8).map(Private::Rsa).map(Self)
    }

    /// The key of a text form.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for anything else, which is not shown.
    pub fn from_text(text: &SecureString) -> Result<Self> {
        let text = text.as_str();
        #[cfg(feature = "hpke")]
        if let Some(key) = HpkePrivate::from_text(text) {
            return key.map(Private::Hpke).map(Self);
        }
        #[cfg(feature = "rsa")]
        if let Some(key) = RsaPrivate::from_text(text) {
            return key.map(Private::Rsa).map(Self);
        }
        Err(unknown(
            "not a private key: one starts with VK-SECRET-KEY-1 or -----BEGIN PRIVATE KEY-----",
        ))
    }

    /// The text form: the explicit call.
    #[must_use]
    pub fn to_text(&self) -> SecureString {
        let mut text: Zeroizing<String> = match &self.0 {
            #[cfg(feature = "hpke")]
            Private::Hpke(key) => key.to_text(),
            #[cfg(feature = "rsa")]
            Private::Rsa(key) => key.to_text(),
        };
        SecureString::new(std::mem::take(&mut *text))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(match &self.0 {
            #[cfg(feature = "hpke")]
            Private::Hpke(key) => Public::Hpke(key.public().clone()),
            #[cfg(feature = "rsa")]
            Private::Rsa(key) => Public::Rsa(key.public().clone()),
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey([REDACTED] of {:?})", self.public_key())
    }
}

impl SealSlot for PublicKey {
    fn kind(&self) -> SlotKind {
        Self::kind(self)
    }

    fn key_id(&self) -> Vec<u8> {
        Self::key_id(self).to_vec()
    }

    #[cfg_attr(not(feature = "hpke"), expect(unused_variables, reason = "aws-lc-rs draws its own"))]
    fn seal_slot(
        &self,
        payload: &SecureBytes,
        facts: &SlotFacts<'_>,
        random: &dyn RandomSource,
    ) -> Result<Slot> {
        match &self.0 {
            #[cfg(feature = "hpke")]
            Public::Hpke(key) => key.seal_slot(payload, facts, random),
            #[cfg(feature = "rsa")]
            Public::Rsa(key) => key.seal_slot(payload, facts),
        }
    }
}

impl OpenSlot for PrivateKey {
    fn matches(&self, slot: &Slot) -> bool {
        match &self.0 {
            #[cfg(feature = "hpke")]
            Private::Hpke(key) => key.matches(slot),
            #[cfg(feature = "rsa")]
            Private::Rsa(key) => key.matches(slot),
        }
    }

    #[cfg_attr(not(feature = "hpke"), expect(unused_variables, reason = "RSA-OAEP binds none"))]
    fn open_slot(&self, slot: &Slot, facts: &SlotFacts<'_>) -> Result<SecureBytes> {
        match &self.0 {
            #[cfg(feature = "hpke")]
            Private::Hpke(key) => key.open_slot(slot, facts),
            #[cfg(feature = "rsa")]
            Private::Rsa(key) => key.open_slot(slot),
        }
    }
}

impl Recipient {
    /// Whoever has the private half of `key`. A data key behind it serves one message alone.
    #[must_use]
    pub fn public_key(key: PublicKey) -> Self {
        Self::person(Arc::new(key))
    }
}

impl AllowedKeys {
    /// Adds a private key.
    #[must_use]
    pub fn private_key(self, key: impl Into<Arc<PrivateKey>>) -> Self {
        self.person(key.into())
    }
}

fn unknown(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(why)
}
