//! Reading: an object of a store as a [`RangeSource`].

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetResult, ObjectMeta, ObjectStore};
use vault_crypto_core::{CryptoError, EncryptionContext, ErrorKind, Operation, Result};

use super::HeaderObject;
use super::error::failed;
use crate::EnvelopeEncryption;
use crate::stream::objects::collect::fetch;
use crate::stream::objects::source::not_as_asked;
use crate::stream::{
    ByteStream, FirstBytes, ObjectOptions, ObjectVersion, RangeSource, SealedObject,
};

/// One object of a store.
#[derive(Debug, Clone)]
pub struct StoreObject {
    store: Arc<dyn ObjectStore>,
    path: Path,
}

impl StoreObject {
    /// The object at `path`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, path: Path) -> Self {
        Self { store, path }
    }

    async fn get(&self, options: GetOptions) -> object_store::Result<GetResult> {
        self.store.get_opts(&self.path, options).await
    }
}

impl EnvelopeEncryption {
    /// Opens the inline message at `path` for reading parts of it, with one request.
    ///
    /// # Errors
    /// As [`open_source`](Self::open_source).
    pub async fn open_object(
        &self,
        store: Arc<dyn ObjectStore>,
        path: &Path,
        context: &EncryptionContext,
    ) -> Result<SealedObject> {
        let source = Arc::new(StoreObject::new(store, path.clone()));
        self.open_source(source, context, ObjectOptions::default()).await
    }

    /// As [`open_object`](Self::open_object), for a message whose header is the object at
    /// `header_path`: with two requests.
    ///
    /// # Errors
    /// As [`open_source`](Self::open_source). A body that was replaced between the two requests is
    /// [`AuthenticationFailed`](vault_crypto_core::ErrorKind::AuthenticationFailed): the header is
    /// not its.
    pub async fn open_object_detached(
        &self,
        store: Arc<dyn ObjectStore>,
        path: &Path,
        header_path: &Path,
        context: &EncryptionContext,
    ) -> Result<SealedObject> {
        let header = HeaderObject::read(&*store, header_path).await?;
        let body = Arc::new(StoreObject::new(store, path.clone()));
        let options = ObjectOptions::default();
        self.open_source_detached(header.bytes(), body, context, options).await
    }
}

#[async_trait]
impl RangeSource for StoreObject {
    async fn first(&self, len: u64) -> Result<FirstBytes> {
        let options = GetOptions::new().with_range(Some(0..len));
        let mut found = self.get(options).await;
        if matches!(&found, Err(Error::Generic { .. })) {
            // Of an empty object no range can be had, and no error of its own says so.
            let head = self.get(GetOptions::new().with_head(true)).await;
            found = head.ok().filter(|head| head.meta.size == 0).map_or(found, Ok);
        }
        let found = found.map_err(failed(Operation::Open))?;
        let version = version_of(&found.meta);
        let len = len.min(version.len);
        if found.range.start != 0 || (len > 0 && found.range.end != len) {
            return Err(not_as_asked());
        }
        let bytes = if len == 0 { Bytes::new() } else { fetch(body(found), len).await? };
        Ok(FirstBytes::new(bytes, version))
    }

    async fn range(&self, range: Range<u64>, version: &ObjectVersion) -> Result<ByteStream> {
        let mut options = GetOptions::new()
            .with_range(Some(range.clone()))
            .with_if_match(version.e_tag.clone())
            .with_version(version.version.clone());
        if version.e_tag.is_none() {
            options = options.with_if_unmodified_since(version.modified);
        }
        let found = self.get(options).await.map_err(failed(Operation::Open))?;
        // A store may have looked at none of the conditions.
        let now = version_of(&found.meta);
        if now.len != version.len || now.e_tag != version.e_tag {
            return Err(CryptoError::new(ErrorKind::Conflict, Operation::Open)
                .with_detail("the object was replaced while it was read; open it again"));
        }
        if found.range != range {
            return Err(not_as_asked());
        }
        Ok(body(found))
    }
}

pub(super) fn version_of(meta: &ObjectMeta) -> ObjectVersion {
    ObjectVersion {
        len: meta.size,
        e_tag: meta.e_tag.clone(),
        version: meta.version.clone(),
        modified: Some(meta.last_modified.into()),
    }
}

/// The stored bytes of an answer.
pub(super) fn body(found: GetResult) -> ByteStream {
    Box::pin(Body(found.into_stream()))
}

struct Body<S>(S);

impl<S: Stream<Item = object_store::Result<Bytes>> + Unpin> Stream for Body<S> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.0).poll_next(cx);
        next.map(|next| next.map(|piece| piece.map_err(failed(Operation::Open))))
    }
}

impl<S> fmt::Debug for Body<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}
