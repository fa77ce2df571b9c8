//! Whole streams in async code: reading and writing in the caller's task, ciphering wherever the
//! caller's [`Spawner`] runs it.
//!
//! Left to the caller: threads. There is no pool here, and nothing is spawned without being given
//! where.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use vault_crypto_core::{Operation, Result};

use super::pipeline::{Codec, Pipeline};
use crate::CHUNK_LEN;
use crate::body::close_gaps;
use crate::chunks::StreamCipher;
use crate::padding::Unpadder;
use crate::stream::incoming::Released;
use crate::stream::parallel::{Padded, Piece, SEGMENT_CHUNKS};
use crate::stream::segment::Segment;
use crate::stream::{StreamOpener, StreamSealer};

/// A piece of ciphering: up to 16 chunks (256 KiB), some tens of microseconds without waiting.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// Runs jobs on threads of the caller's choice. Every `Fn(Job)` is one; under tokio it is
/// `|job: Job| drop(tokio::task::spawn_blocking(job))`.
///
/// ```
/// # use std::sync::Arc;
/// use vault_crypto_core::EncryptionContext;
/// use vault_envelope::stream::Job;
/// # use vault_envelope::EnvelopeEncryption;
/// # use vault_testkit::MemoryKms;
/// # pollster::block_on(async {
/// # let kms = Arc::new(MemoryKms::new());
/// # let key = kms.add_key("app")?;
/// # let envelope = EnvelopeEncryption::builder(kms, key).build()?;
/// let spawner = |job: Job| drop(std::thread::spawn(job));
/// let context = EncryptionContext::from([("file", "report")]);
///
/// let sealer = envelope.seal_stream(&context, None).await?;
/// let stored = sealer.seal_all_async(&b"figures"[..], Vec::new(), &spawner, 4, &|_| {}).await?;
///
/// let mut input = stored.as_slice();
/// let opener = envelope.open_stream_async(&mut input, &context).await?;
/// let plaintext = opener.open_all_async(input, Vec::new(), &spawner, 4, &|_| {}).await?;
/// assert_eq!(plaintext, b"figures");
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// # }).unwrap();
/// ```
pub trait Spawner: Send + Sync {
    /// Runs `job` once, soon, on any thread.
    ///
    /// # Behavior
    /// - Running it before returning is allowed: then there is no parallelism.
    /// - Jobs may run in any order and at the same time.
    /// - A job that is dropped without being run, or that panics, makes the whole run fail. A job
    ///   that is neither run nor dropped makes it wait for ever.
    fn spawn(&self, job: Job);
}

impl<F: Fn(Job) + Send + Sync + ?Sized> Spawner for F {
    fn spawn(&self, job: Job) {
        self(job);
    }
}

impl StreamSealer {
    /// Seals all of `input` into `output`, ciphering on `spawner`, with at most `in_flight` segments
    /// of 256 KiB in memory (zero counts as one). `progress` hears of every input byte that is sealed
    /// (of the padding, too). The output is flushed, not closed.
    ///
    /// Dropping the future stops it: what was written does not open, jobs that have not begun do
    /// nothing, and those under way end and are discarded.
    ///
    /// # Errors
    /// [`Io`](vault_crypto_core::ErrorKind::Io); [`Internal`](vault_crypto_core::ErrorKind::Internal)
    /// for a spawner that dropped a job. What was written by then does not open.
    pub async fn seal_all_async<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        self,
        input: R,
        output: W,
        spawner: &dyn Spawner,
        in_flight: usize,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<W> {
        let mut head = Released::with_capacity(0);
        head.push(&self.head(), None)?;
        let codec = Sealing { cipher: Arc::new(self.cipher) };
        let input = Padded::new(input, self.padding);
        Pipeline::new(codec, input, output, head, spawner, in_flight, progress).run().await
    }
}

impl StreamOpener {
    /// Opens all of `input`, which is at the first chunk, into `output`, ciphering on `spawner`, with
    /// at most `in_flight` segments of 1 MiB in memory (zero counts as one; a padded message takes
    /// one more). `progress` hears of every stored byte that is opened. The output is flushed, not
    /// closed. Every byte that is written was authenticated;
    /// the message is whole only when this returns.
    ///
    /// Dropping the future stops it: what was written is an authentic beginning, jobs that have not
    /// begun do nothing, and those under way end and are discarded.
    ///
    /// # Errors
    /// [`AuthenticationFailed`](vault_crypto_core::ErrorKind::AuthenticationFailed) for altered or
    /// cut-off bytes, [`Io`](vault_crypto_core::ErrorKind::Io),
    /// [`Internal`](vault_crypto_core::ErrorKind::Internal) for a spawner that dropped a job.
    pub async fn open_all_async<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        self,
        input: R,
        output: W,
        spawner: &dyn Spawner,
        in_flight: usize,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<W> {
        let unpadder = self.padded.then(Unpadder::default);
        let codec = Opening { cipher: Arc::new(self.cipher), unpadder };
        // Room for a whole segment, so that no reallocation leaves plaintext behind.
        let room = if self.padded { SEGMENT_CHUNKS * CHUNK_LEN } else { 0 };
        let nothing = Released::with_capacity(room);
        Pipeline::new(codec, input, output, nothing, spawner, in_flight, progress).run().await
    }
}

struct Sealing {
    cipher: Arc<StreamCipher>,
}

impl Codec for Sealing {
    const OPERATION: Operation = Operation::Seal;

    fn place<'a>(&self, segment: &'a mut Segment, filled: usize) -> &'a mut [u8] {
        segment.place(filled).unwrap_or_default()
    }

    fn work(&self) -> impl FnOnce(Piece, &mut Segment) -> Result<usize> + Send + 'static {
        let cipher = self.cipher.clone();
        move |piece, segment| {
            let first = piece.index * SEGMENT_CHUNKS as u64;
            cipher.seal_segment(first, segment.stored_mut(), piece.len, piece.is_last)
        }
    }
}

struct Opening {
    cipher: Arc<StreamCipher>,
    unpadder: Option<Unpadder>,
}

impl Codec for Opening {
    const OPERATION: Operation = Operation::Open;

    fn place<'a>(&self, segment: &'a mut Segment, filled: usize) -> &'a mut [u8] {
        segment.stored_mut().get_mut(filled..).unwrap_or_default()
    }

    fn work(&self) -> impl FnOnce(Piece, &mut Segment) -> Result<usize> + Send + 'static {
        let cipher = self.cipher.clone();
        move |piece, segment| {
            let first = piece.index * SEGMENT_CHUNKS as u64;
            let stored = segment.stored_mut().get_mut(..piece.len).unwrap_or_default();
            let len = cipher.open_segment(first, stored, piece.is_last)?;
            close_gaps(stored, len).map(|plaintext| plaintext.len())
        }
    }

    fn release(&mut self, content: &[u8], released: &mut Released) -> Result<bool> {
        let Some(unpadder) = &mut self.unpadder else { return Ok(false) };
        released.reset();
        released.push(content, Some(unpadder))?;
        Ok(true)
    }

    fn finish(&mut self, released: &mut Released) -> Result<()> {
        released.reset();
        self.unpadder.take().map_or(Ok(()), |unpadder| released.finish(unpadder))
    }
}

/// The padding follows when the input has ended.
impl<R: AsyncRead + Unpin> AsyncRead for Padded<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        if this.tail.is_none() {
            let len = ready!(Pin::new(&mut this.input).poll_read(cx, out))?;
            this.count(len);
            if len > 0 {
                return Poll::Ready(Ok(len));
            }
        }
        Poll::Ready(this.tail.as_mut().map_or(Ok(0), |tail| std::io::Read::read(tail, out)))
    }
}
