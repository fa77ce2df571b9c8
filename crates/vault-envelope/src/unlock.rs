//! From a header to its data key: match slots, ask the KMS, verify the MAC (docs/FORMAT.md section 9,
//! steps 1 to 6).

use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{Header, MAX_SLOTS, ParsedHeader, Shape, Slot, SlotKind};
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyId, KeyVersion, Operation, Result, Scope, SecureBytes, WrapContext,
    WrappedKey,
};

use crate::EnvelopeEncryption;
use crate::allowed::AllowedKey;

/// Which slot opened a message. There is no origin authentication: this is all that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenedBy {
    /// The slot's number, from 0.
    pub slot: usize,
    /// The slot's kind.
    pub kind: SlotKind,
    /// The key that unwrapped.
    pub key_id: KeyId,
    /// Its version as stored.
    pub version: KeyVersion,
}

/// A verified header's data key.
pub(crate) struct Unlocked {
    pub(crate) secret: DataKeySecret,
    pub(crate) plaintext: SecureBytes,
    pub(crate) opened_by: OpenedBy,
}

impl EnvelopeEncryption {
    /// Checks what needs no key, then tries the allowed keys in order.
    pub(crate) async fn unlock(&self, parsed: &ParsedHeader<'_>) -> Result<Unlocked> {
        let header = &parsed.header;
        self.check_supported(header)?;
        let mut failure: Option<CryptoError> = None;
        let mut tried = [false; MAX_SLOTS];
        for entry in self.shared.allowed.iter() {
            for (index, (slot, tried)) in header.slots.iter().zip(&mut tried).enumerate() {
                if *tried {
                    continue;
                }
                let key_id = match entry.matches(slot).await {
                    Ok(Some(key_id)) => key_id,
                    Ok(None) => continue,
                    // An alias that cannot be resolved now. The slot may still be a later entry's.
                    Err(error) => {
                        failure = Some(worse(failure, error));
                        continue;
                    }
                };
                *tried = true;
                match self.try_slot(entry, key_id, parsed, index, slot).await {
                    Ok(unlocked) => return Ok(unlocked),
                    Err(error) => failure = Some(worse(failure, error)),
                }
            }
        }
        Err(failure.unwrap_or_else(|| {
            CryptoError::new(ErrorKind::KeyNotAllowed, Operation::Open)
                .with_detail(named_keys(parsed))
        }))
    }

    /// What a reader refuses whatever its keys: suites that are not allowed, and shares.
    pub(crate) fn check_supported(&self, header: &Header) -> Result<()> {
        let unsupported =
            |why| CryptoError::new(ErrorKind::Unsupported, Operation::Open).with_detail(why);
        if !self.shared.suites.contains(&header.suite) {
            return Err(unsupported("the message's suite is not among the allowed ones"));
        }
        if header.threshold > 1 {
            let why = "the message needs several parties to open; this version cannot";
            return Err(unsupported(why));
        }
        Ok(())
    }

    /// One attempt for one slot that `entry` allows: unwrap, then verify id and MAC.
    async fn try_slot(
        &self,
        entry: &AllowedKey,
        key_id: KeyId,
        parsed: &ParsedHeader<'_>,
        index: usize,
        slot: &Slot,
    ) -> Result<Unlocked> {
        if slot.is_missing() {
            return Err(CryptoError::new(ErrorKind::Unavailable, Operation::Open)
                .with_key_id(&key_id)
                .with_detail("the message's slot for this key is not filled yet"));
        }
        let wrapped = WrappedKey::new(slot.wrapped.clone(), key_id, slot.version.clone());
        let context = WrapContext::data_key(self.scope.clone());
        let plaintext = entry.kms.decrypt_data_key(&wrapped, &context).await?;
        let secret = verified(&plaintext, parsed, &self.scope)?;
        let opened_by = OpenedBy {
            slot: index,
            kind: slot.kind,
            key_id: wrapped.key_id,
            version: wrapped.version,
        };
        Ok(Unlocked { secret, plaintext, opened_by })
    }
}

/// The data key that a KMS answered, if it is this header's; one of another length is none.
pub(crate) fn verified(
    plaintext: &SecureBytes,
    parsed: &ParsedHeader<'_>,
    scope: &Scope,
) -> Result<DataKeySecret> {
    let secret = DataKeySecret::new(plaintext)
        .map_err(|_| CryptoError::authentication_failed(Operation::Open))?;
    secret.verify_header(parsed, scope)?;
    Ok(secret)
}

/// Which of two failures to report: an unavailable key tells the caller more than a wrong one.
fn worse(earlier: Option<CryptoError>, later: CryptoError) -> CryptoError {
    match earlier {
        Some(earlier) if earlier.kind() != ErrorKind::AuthenticationFailed => earlier,
        _ if later.kind() == ErrorKind::AuthenticationFailed => {
            CryptoError::authentication_failed(Operation::Open)
        }
        _ => later,
    }
}

fn named_keys(parsed: &ParsedHeader<'_>) -> String {
    let keys: Vec<String> = parsed.header.slots.iter().map(|slot| slot.key_id_text()).collect();
    format!("it was sealed for {}", keys.join(", "))
}

/// A message of the wrong shape for what was asked.
pub(crate) fn expect_shape(parsed: &ParsedHeader<'_>, shape: Shape) -> Result<()> {
    if parsed.header.shape == shape {
        return Ok(());
    }
    let detail = match parsed.header.shape {
        Shape::Record => "this is a record; open it as a value",
        Shape::Stream => "this is a stream; open it as one",
        _ => "this is a stored key, not a message",
    };
    Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Open).with_detail(detail))
}
