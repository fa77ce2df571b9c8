//! A header that is an object of its own: read whole, replaced on the condition that nobody else did.

use object_store::path::Path;
use object_store::{
    Error, GetOptions, ObjectStore, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use vault_crypto_core::header::{MAX_HEADER_LEN, parse};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use super::error::failed;
use super::open::{body, version_of};
use crate::stream::ObjectVersion;
use crate::stream::objects::collect::fetch;
use crate::{EnvelopeEncryption, Rewrapped};

/// A detached header as it stands in a store, and which version of the object it is.
#[derive(Debug, Clone)]
pub struct HeaderObject {
    bytes: Vec<u8>,
    version: ObjectVersion,
}

impl HeaderObject {
    /// Reads the header at `path` with one request.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for an object that is no header, or more than one (an inline
    /// message), [`ErrorKind::Io`].
    pub async fn read(store: &dyn ObjectStore, path: &Path) -> Result<Self> {
        let found = store.get_opts(path, GetOptions::new()).await;
        let found = found.map_err(failed(Operation::Open))?;
        let version = version_of(&found.meta);
        if version.len > MAX_HEADER_LEN as u64 || found.range != (0..version.len) {
            return Err(no_header());
        }
        let bytes = fetch(body(found), version.len).await?;
        if parse(&bytes)?.len() != bytes.len() {
            return Err(no_header());
        }
        Ok(Self { bytes: bytes.into(), version })
    }

    /// The header.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Which version of the object it is.
    #[must_use]
    pub fn version(&self) -> &ObjectVersion {
        &self.version
    }

    /// Puts `header` in its place, if it is still what was read. One request; the body is not touched.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where somebody else wrote the object meanwhile,
    /// [`ErrorKind::Unsupported`] for a store without conditional writes, [`ErrorKind::Io`].
    pub async fn replace(
        &self,
        store: &dyn ObjectStore,
        path: &Path,
        header: Vec<u8>,
    ) -> Result<Self> {
        let update = UpdateVersion {
            e_tag: self.version.e_tag.clone(),
            version: self.version.version.clone(),
        };
        if update.e_tag.is_none() && update.version.is_none() {
            return Err(no_conditions());
        }
        let options = PutOptions::from(PutMode::Update(update));
        let payload = PutPayload::from(header.clone());
        let put = store.put_opts(path, payload, options).await.map_err(|error| match error {
            Error::NotImplemented { .. } | Error::NotSupported { .. } => no_conditions(),
            error => failed(Operation::Rewrap)(error),
        })?;
        let version = ObjectVersion {
            len: header.len() as u64,
            e_tag: put.e_tag,
            version: put.version,
            modified: None,
        };
        Ok(Self { bytes: header, version })
    }
}

impl EnvelopeEncryption {
    /// Moves the message whose header is the object at `header_path` to the current version of this
    /// envelope's key. Its body is not read, and its header is replaced only if it still is what was
    /// read.
    ///
    /// There is no such thing for an inline message: stores cannot change an object's beginning. It
    /// would have to be written anew.
    ///
    /// # Errors
    /// As [`rewrap_header`](Self::rewrap_header) and [`HeaderObject::replace`].
    pub async fn rewrap_object(
        &self,
        store: &dyn ObjectStore,
        header_path: &Path,
    ) -> Result<Rewrapped<HeaderObject>> {
        let old = HeaderObject::read(store, header_path).await?;
        Ok(match self.rewrap_header(old.bytes()).await? {
            Rewrapped::Unchanged => Rewrapped::Unchanged,
            Rewrapped::Changed(new) => {
                Rewrapped::Changed(old.replace(store, header_path, new).await?)
            }
        })
    }
}

fn no_header() -> CryptoError {
    CryptoError::new(ErrorKind::Malformed, Operation::Open)
        .with_detail("the object is not a detached header and nothing else")
}

fn no_conditions() -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, Operation::Rewrap).with_detail(
        "the object store has no conditional writes, so a change by somebody else could be lost",
    )
}
