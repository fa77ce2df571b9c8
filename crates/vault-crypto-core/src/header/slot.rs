//! One key slot: who may open, and the wrapped bytes for them.

use crate::{KeyId, KeyVersion};

/// The kind of a key slot: which service or method unwraps it (registry in docs/FORMAT.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotKind(u8);

impl SlotKind {
    /// The embedded KMS.
    pub const LOCAL: Self = Self(1);
    /// AWS KMS.
    pub const AWS_KMS: Self = Self(2);
    /// Vault or OpenBao Transit.
    pub const VAULT_TRANSIT: Self = Self(3);
    /// Azure Key Vault.
    pub const AZURE_KEY_VAULT: Self = Self(4);
    /// Google Cloud KMS.
    pub const GCP_KMS: Self = Self(5);
    /// A branch key of the key hierarchy.
    pub const BRANCH: Self = Self(6);
    /// A passphrase (Argon2id).
    pub const PASSPHRASE: Self = Self(7);
    /// A public key, by HPKE (RFC 9180).
    pub const HPKE: Self = Self(8);
    /// An RSA public key, by RSA-OAEP with SHA-256.
    pub const RSA_OAEP_256: Self = Self(9);
    /// First of the codes for private use.
    pub const PRIVATE: Self = Self(0xF0);
    /// A KMS that somebody else wrote: told apart by its key ids.
    pub const OTHER_KMS: Self = Self(0xFF);

    /// The kind of a byte; zero is no kind.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        if code == 0 { None } else { Some(Self(code)) }
    }

    /// The byte that stands for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The kind that a [`KmsProvider`](crate::KmsProvider) of this type writes.
    #[must_use]
    pub fn of_provider(provider_type: &str) -> Self {
        match provider_type {
            "local" => Self::LOCAL,
            "aws-kms" => Self::AWS_KMS,
            "hcvault" => Self::VAULT_TRANSIT,
            "azurekeyvault" => Self::AZURE_KEY_VAULT,
            "gcp-kms" => Self::GCP_KMS,
            "branch" => Self::BRANCH,
            _ => Self::OTHER_KMS,
        }
    }

    /// A name for people and `--json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "local",
            2 => "aws-kms",
            3 => "hcvault",
            4 => "azurekeyvault",
            5 => "gcp-kms",
            6 => "branch",
            7 => "passphrase",
            8 => "hpke",
            9 => "rsa-oaep-256",
            0xF0..=0xFF => "private",
            _ => "unknown",
        }
    }

    /// Whether the data key behind such a slot must serve one message alone.
    #[must_use]
    pub const fn requires_exclusive(self) -> bool {
        matches!(self, Self::PASSPHRASE | Self::HPKE | Self::RSA_OAEP_256)
    }

    /// Whether the slot's key id is UTF-8 text (all but public keys, whose id is a digest).
    #[must_use]
    pub(super) const fn has_text_key_id(self) -> bool {
        !matches!(self, Self::HPKE | Self::RSA_OAEP_256)
    }
}

/// What binds a slot's scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Binding {
    /// The KMS binds it in the wrapping call, and so does the header MAC.
    Kms,
    /// The header MAC alone.
    Mac,
}

impl Binding {
    /// The byte that stands for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Kms => 1,
            Self::Mac => 2,
        }
    }

    /// The binding of a byte.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Kms),
            2 => Some(Self::Mac),
            _ => None,
        }
    }
}

/// A key slot. Everything but `version` and `wrapped` is covered by the header MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slot {
    /// Who unwraps it.
    pub kind: SlotKind,
    /// What binds the scope.
    pub binding: Binding,
    /// 1 to 255 with shares, else 0.
    pub share_index: u8,
    /// The key's canonical id: text, or the SHA-256 of a public key.
    pub key_id: Vec<u8>,
    /// Public parameters of the method (passphrase cost, HPKE suite); empty for a KMS.
    pub parameters: Vec<u8>,
    /// Tells mixed or bad shares before they are combined; only with shares.
    pub share_check: Option<[u8; 16]>,
    /// The wrapping key's version as the KMS reported it: a hint.
    pub version: KeyVersion,
    /// The wrapped bytes; empty where the slot is intended and not yet filled.
    pub wrapped: Vec<u8>,
}

impl Slot {
    /// A slot of a kind that no service unwraps (a passphrase, a public key), nothing wrapped in it
    /// yet. The header's MAC binds its scope.
    #[must_use]
    pub fn without_kms(kind: SlotKind, key_id: Vec<u8>, parameters: Vec<u8>) -> Self {
        Self {
            kind,
            binding: Binding::Mac,
            share_index: 0,
            key_id,
            parameters,
            share_check: None,
            version: KeyVersion::unknown(),
            wrapped: Vec::new(),
        }
    }

    /// A slot of a KMS key.
    #[must_use]
    pub fn kms(
        kind: SlotKind,
        binding: Binding,
        key_id: &KeyId,
        version: KeyVersion,
        wrapped: Vec<u8>,
    ) -> Self {
        Self {
            kind,
            binding,
            share_index: 0,
            key_id: key_id.as_str().as_bytes().to_vec(),
            parameters: Vec::new(),
            share_check: None,
            version,
            wrapped,
        }
    }

    /// The key id as text; a public key's digest as hexadecimal.
    #[must_use]
    pub fn key_id_text(&self) -> String {
        match std::str::from_utf8(&self.key_id) {
            Ok(text) if self.kind.has_text_key_id() => text.to_owned(),
            _ => self.key_id.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// Whether the wrapped bytes are still to be filled in.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.wrapped.is_empty()
    }
}
