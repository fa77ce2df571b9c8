//! Kind 9: a slot for an RSA public key, by RSA-OAEP with SHA-256 (docs/FORMAT.md section 6.7), for
//! asymmetric keys that a cloud or a smart card holds.

use sha2::{Digest as _, Sha256};
use vault_crypto_core::header::{Binding, Slot, SlotKind};
use vault_crypto_core::{Operation, Result, SecureBytes, rsa_oaep};
use zeroize::Zeroizing;

use super::{new_slot, pem};
use crate::slot_key::SlotFacts;

const PUBLIC: &str = "PUBLIC KEY";
const PRIVATE: &str = "PRIVATE KEY";

/// An RSA public key in the one encoding that its id is the digest of.
#[derive(Clone)]
pub(super) struct RsaPublic {
    der: Vec<u8>,
    id: [u8; 32],
}

impl RsaPublic {
    /// From SubjectPublicKeyInfo DER.
    pub(super) fn new(der: &[u8]) -> Result<Self> {
        let der = rsa_oaep::canonical_public_key(der).map_err(configure)?;
        let id = Sha256::digest(&der).into();
        Ok(Self { der, id })
    }

    /// The key of `text`, `None` if it is of another sort.
    pub(super) fn from_text(text: &str) -> Option<Result<Self>> {
        pem::decode(PUBLIC, text).map(|der| Self::new(der?.as_slice()))
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        pem::encode(PUBLIC, &self.der)
    }

    pub(super) fn id(&self) -> [u8; 32] {
        self.id
    }

    /// Nothing but the payload is in it: the header's MAC binds the rest.
    pub(super) fn seal_slot(&self, payload: &SecureBytes, facts: &SlotFacts<'_>) -> Result<Slot> {
        let mut slot = new_slot(SlotKind::RSA_OAEP_256, &self.id, &[], facts);
        slot.wrapped = rsa_oaep::encrypt(&self.der, payload.as_slice(), &[])
            .map_err(|error| error.in_operation(Operation::Seal))?;
        Ok(slot)
    }
}

/// An RSA private key as PKCS#8 DER, wiped on drop. aws-lc-rs keeps its own copy while it works.
pub(super) struct RsaPrivate {
    der: SecureBytes,
    public: RsaPublic,
}

impl RsaPrivate {
    /// 3,072 bits; takes a good part of a second.
    pub(super) fn generate() -> Result<Self> {
        Self::new(rsa_oaep::generate()?)
    }

    /// From PKCS#8 DER.
    pub(super) fn new(der: SecureBytes) -> Result<Self> {
        let public = rsa_oaep::public_key(der.as_slice()).map_err(configure)?;
        Ok(Self { der, public: RsaPublic::new(&public)? })
    }

    /// The key of `text`, `None` if it is of another sort.
    pub(super) fn from_text(text: &str) -> Option<Result<Self>> {
        pem::decode(PRIVATE, text).map(|der| Self::new(der?))
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        pem::encode(PRIVATE, self.der.as_slice())
    }

    pub(super) fn public(&self) -> &RsaPublic {
        &self.public
    }

    /// A slot with parameters is not understood, and skipped.
    pub(super) fn matches(&self, slot: &Slot) -> bool {
        slot.kind == SlotKind::RSA_OAEP_256
            && slot.binding == Binding::Mac
            && slot.parameters.is_empty()
            && slot.key_id == self.public.id
    }

    pub(super) fn open_slot(&self, slot: &Slot) -> Result<SecureBytes> {
        rsa_oaep::decrypt(self.der.as_slice(), &slot.wrapped, &[])
            .map_err(|error| error.in_operation(Operation::Open))
    }
}

fn configure(error: vault_crypto_core::CryptoError) -> vault_crypto_core::CryptoError {
    error.in_operation(Operation::Configure)
}
