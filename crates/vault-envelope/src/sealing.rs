//! A data key at hand for sealing: many records under one wrapped key, with no call to the KMS.

use std::fmt;
use std::sync::Arc;

use vault_crypto_core::aead::TAG_LEN;
use vault_crypto_core::derive::{DataKeySecret, body_context};
use vault_crypto_core::header::{Shape, Suite};
use vault_crypto_core::locked::LockedBox;
use vault_crypto_core::xaes::XaesKey;
use vault_crypto_core::{
    Clock, EncryptedData, EncryptionContext, Operation, RandomSource, Result, SecureBytes,
};

use crate::body::{BodyKey, BodyRef, of_parent, overhead};
use crate::budget::Spent;
use crate::chunks::{PROLOGUE_LEN, defect};
use crate::envelope::padding_flag;
use crate::fresh::Fresh;
use crate::record::{Content, Frame};
use crate::{EnvelopeEncryption, Padding};

/// Seals records that share one data key and header, within a finite budget. It cannot open.
///
/// A sealed record is `header || body`; a call costs no lock, no KMS and no allocation but the output.
pub struct SealingKey {
    /// What stands before every body: the header, or the prefix of compact records.
    pub(crate) front: Vec<u8>,
    body: LockedBox<BodyKey>,
    pub(crate) suite: Suite,
    padding: Padding,
    context_prefix: Vec<u8>,
    spent: Spent,
    clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
}

impl EnvelopeEncryption {
    /// Takes one data key from the KMS to seal many records with.
    ///
    /// # Errors
    /// The KMS's error.
    pub async fn sealing_key(&self) -> Result<SealingKey> {
        let suite = self.shared.record_suite;
        let Fresh { secret, mut header } = self.fresh(suite, Shape::Record, None).await?;
        let header = secret.seal_header(&mut header, &self.scope, Some(0))?;
        SealingKey::new(self, &secret, suite, header)
    }
}

impl SealingKey {
    pub(crate) fn new(
        envelope: &EnvelopeEncryption,
        secret: &DataKeySecret,
        suite: Suite,
        front: Vec<u8>,
    ) -> Result<Self> {
        let shared = &envelope.shared;
        Ok(Self {
            front,
            body: BodyKey::locked(envelope, secret, suite)?,
            suite,
            padding: shared.padding,
            context_prefix: context_prefix(suite, padding_flag(shared.padding), envelope)?,
            spent: Spent::new(shared.budget, shared.clock.monotonic()),
            clock: shared.clock.clone(),
            random: shared.random.clone(),
        })
    }

    /// Seals one value, bound to `context`.
    ///
    /// # Errors
    /// [`LimitExceeded`](vault_crypto_core::ErrorKind::LimitExceeded) when the budget is spent or the
    /// value is too long, [`InvalidInput`](vault_crypto_core::ErrorKind::InvalidInput) for a bad context.
    #[inline]
    pub fn seal(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<EncryptedData> {
        let mut out = Vec::new();
        self.seal_into(plaintext, context, &mut out)?;
        Ok(EncryptedData::from_bytes(out))
    }

    /// As [`seal`](Self::seal), appending to `out` so that its capacity can be reused. On error `out`
    /// is as it was.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    #[inline]
    pub fn seal_into(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let start = out.len();
        let result = self.append(plaintext, context, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// Turns the plaintext in `message` into the sealed message, where it lies if the vector's capacity
    /// has room for [`overhead`](Self::overhead) more bytes (suite 3 without padding); otherwise in a
    /// new buffer, and the plaintext is wiped. On error `message` is as it was.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_in_place(&self, message: &mut Vec<u8>, context: &EncryptionContext) -> Result<()> {
        let overhead = self.overhead(message.len())?;
        if let BodyRef::Xaes(key) = self.body()?
            && self.padding.is_none()
            && message.len() <= crate::MAX_RECORD_LEN
            && message.capacity() - message.len() >= overhead
        {
            return self.seal_where_it_lies(key, message, context);
        }
        let mut sealed = Vec::new();
        self.seal_into(message, context, &mut sealed)?;
        drop(SecureBytes::new(std::mem::replace(message, sealed)));
        Ok(())
    }

    /// Bytes that sealing adds to a plaintext of `len` bytes.
    ///
    /// # Errors
    /// [`LimitExceeded`](vault_crypto_core::ErrorKind::LimitExceeded) for a length that cannot be padded.
    pub fn overhead(&self, len: usize) -> Result<usize> {
        let content = self.padding.padded_len(len)?;
        Ok(self.front.len() + overhead(self.suite, content) + (content - len))
    }

    fn seal_where_it_lies(
        &self,
        key: &XaesKey,
        message: &mut Vec<u8>,
        context: &EncryptionContext,
    ) -> Result<()> {
        let now = self.clock.monotonic();
        let pairs = context.canonical_pairs()?;
        self.spent.take(message.len(), now)?;
        let id = self.random.nonce(now)?;
        let front = self.front.len() + PROLOGUE_LEN;
        let len = message.len();
        message.resize(front + len + TAG_LEN, 0);
        message.copy_within(..len, front);
        let (head, rest) = message.split_at_mut(front);
        let (data, tag_place) = rest.split_last_chunk_mut::<TAG_LEN>().ok_or_else(defect)?;
        let (commitment, tag) = with_body_context(&self.context_prefix, pairs, |bound| {
            key.seal_in_place(&id, bound, data)
        })?;
        *tag_place = tag;
        let parts = self.front.iter().chain(&id).chain(&commitment);
        head.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn append(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let (body, now) = (self.body()?, self.clock.monotonic());
        self.spent.take(plaintext.len(), now)?;
        let id = self.random.nonce(now)?;
        let (pairs, padding) = (context.canonical_pairs()?, self.padding);
        let content = Content { plaintext, pairs, padding };
        self.frame().seal(body, &id, content, out)
    }

    /// The key where it lies.
    #[inline]
    pub(crate) fn body(&self) -> Result<BodyRef<'_>> {
        self.body.get().map(BodyKey::by_ref).ok_or_else(|| of_parent(Operation::Seal))
    }

    fn frame(&self) -> Frame<'_> {
        Frame {
            front: &self.front,
            context_prefix: &self.context_prefix,
            suite: self.suite,
            padded: !self.padding.is_none(),
        }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// B without the context's pairs.
pub(crate) fn context_prefix(
    suite: Suite,
    body_flags: u8,
    envelope: &EnvelopeEncryption,
) -> Result<Vec<u8>> {
    let empty = EncryptionContext::new();
    let mut prefix = body_context(suite, Shape::Record, body_flags, &envelope.scope, &empty)?;
    prefix.truncate(prefix.len() - empty.canonical_pairs()?.len());
    Ok(prefix)
}

/// Puts B together, on the stack where it is short, so that a record allocates nothing for it.
#[inline]
pub(crate) fn with_body_context<T>(
    prefix: &[u8],
    pairs: &[u8],
    run: impl FnOnce(&[u8]) -> Result<T>,
) -> Result<T> {
    let len = prefix.len() + pairs.len();
    let mut stack = [0; 256];
    if let Some(short) = stack.get_mut(..len) {
        let (front, back) = short.split_at_mut(prefix.len());
        front.copy_from_slice(prefix);
        back.copy_from_slice(pairs);
        run(short)
    } else {
        run(&[prefix, pairs].concat())
    }
}
