//! Sealing for public keys by a program that shall not be able to open: no method of it opens, and it
//! holds nothing that could.

use std::io::Write;

use vault_crypto_core::header::SlotKind;
use vault_crypto_core::{
    CryptoError, EncryptedData, EncryptionContext, ErrorKind, Operation, Result, Scope,
};

use crate::recipients::Who;
use crate::{EnvelopeBuilder, EnvelopeEncryption, SealWriter, StreamSealer};

/// Seals for the holders of private keys, and cannot open: not what it sealed, nor anything else.
///
/// It is for programs that take secrets in and need never see them again: a form, a log shipper, a
/// backup. A data key lives only while its message is sealed.
///
/// ```
/// # use vault_crypto_core::EncryptionContext;
/// # use vault_envelope::{EnvelopeEncryption, PrivateKey, Producer, Recipient, Recipients};
/// # #[cfg(feature = "hpke")]
/// # pollster::block_on(async {
/// # let auditors = PrivateKey::generate()?.public_key();
/// let recipients = Recipients::all([Recipient::public_key(auditors)]);
/// let producer: Producer = EnvelopeEncryption::to(recipients).build_producer()?;
/// let sealed = producer.encrypt(b"4111", &EncryptionContext::new()).await?;
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// # }).unwrap();
/// ```
///
/// There is nothing in it to open with:
///
/// ```compile_fail,E0599
/// # use vault_crypto_core::{EncryptedData, EncryptionContext};
/// # async fn check(producer: vault_envelope::Producer, sealed: EncryptedData) {
/// let opened = producer.decrypt(&sealed, &EncryptionContext::new()).await;
/// # }
/// ```
/// ```compile_fail,E0599
/// # use vault_crypto_core::EncryptionContext;
/// # async fn check(producer: vault_envelope::Producer, mut sealed: &[u8]) {
/// let opened = producer.open_stream(&mut sealed, &EncryptionContext::new()).await;
/// # }
/// ```
/// ```compile_fail,E0599
/// # async fn check(producer: vault_envelope::Producer, sealed: &[u8]) {
/// let opened = producer.opening_key(sealed).await;
/// # }
/// ```
///
/// nor a way back to what could be given keys to open with:
///
/// ```compile_fail,E0277
/// # fn check(producer: vault_envelope::Producer) {
/// let envelope: vault_envelope::EnvelopeEncryption = producer.into();
/// # }
/// ```
/// ```compile_fail,E0616
/// # fn check(producer: vault_envelope::Producer) {
/// let envelope = producer.envelope;
/// # }
/// ```
/// ```compile_fail,E0277
/// # fn check(producer: vault_envelope::Producer) {
/// fn needs<T: vault_crypto_core::EncryptionProvider>(_: &T) {}
/// needs(&producer);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Producer {
    envelope: EnvelopeEncryption,
}

impl EnvelopeBuilder {
    /// Builds what seals for these recipients and cannot open. Keys that were allowed to open are
    /// dropped.
    ///
    /// # Errors
    /// As [`build`](Self::build); [`ErrorKind::InvalidInput`] unless every recipient is a public key: a
    /// KMS or a passphrase that seals can open, too.
    pub fn build_producer(self) -> Result<Producer> {
        let envelope = self.allow_only(crate::AllowedKeys::none()).build()?;
        let public = [SlotKind::HPKE, SlotKind::RSA_OAEP_256];
        let mut recipients = envelope.shared.recipients.members.iter();
        let is_public =
            |who: &Who| matches!(who, Who::Person(person) if public.contains(&person.kind()));
        if !recipients.all(|recipient| is_public(recipient.who())) {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Configure)
                .with_detail("a producer seals for public keys only: the others could open, too"));
        }
        Ok(Producer { envelope })
    }
}

impl Producer {
    /// The same producer in a narrower scope. Cheap.
    ///
    /// # Errors
    /// As [`EnvelopeEncryption::scoped`].
    pub fn scoped<N: Into<String>, V: Into<String>>(
        &self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        Ok(Self { envelope: self.envelope.scoped(pairs)? })
    }

    /// The scope in force.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        self.envelope.scope()
    }

    /// As [`EnvelopeEncryption::encrypt`].
    ///
    /// # Errors
    /// As there, but for those of a KMS.
    pub async fn encrypt(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<EncryptedData> {
        self.envelope.encrypt(plaintext, context).await
    }

    /// As [`EnvelopeEncryption::seal_stream`]: a stream to write, to seal on several threads, or from
    /// file to file.
    ///
    /// # Errors
    /// As there, but for those of a KMS.
    pub async fn seal_stream(
        &self,
        context: &EncryptionContext,
        len: Option<u64>,
    ) -> Result<StreamSealer> {
        self.envelope.seal_stream(context, len).await
    }

    /// As [`EnvelopeEncryption::writer`].
    ///
    /// # Errors
    /// As there, but for those of a KMS.
    pub async fn writer<W: Write>(
        &self,
        out: W,
        context: &EncryptionContext,
    ) -> Result<SealWriter<W>> {
        self.envelope.writer(out, context).await
    }

    /// As [`EnvelopeEncryption::async_writer`].
    ///
    /// # Errors
    /// As there, but for those of a KMS.
    #[cfg(feature = "async")]
    pub async fn async_writer<W: futures_io::AsyncWrite + Unpin>(
        &self,
        out: W,
        context: &EncryptionContext,
    ) -> Result<crate::AsyncSealWriter<W>> {
        self.envelope.async_writer(out, context).await
    }
}
