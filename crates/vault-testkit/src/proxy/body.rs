//! Bodies of answers: the server's own, whole ones, those that break off and those that trickle.

use std::collections::VecDeque;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::HeaderMap;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Bytes, Frame};
use tokio::time::{Sleep, sleep};

pub(super) type BodyError = Box<dyn Error + Send + Sync>;
pub(super) type Body = UnsyncBoxBody<Bytes, BodyError>;

pub(super) fn boxed<B>(body: B) -> Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// So many bytes, then an error: hyper closes the connection, or the stream, in the middle.
pub(super) fn broken(bytes: &Bytes, len: usize) -> Body {
    let kept = bytes.slice(..len.min(bytes.len()));
    boxed(Trickle::new([kept], None, Some("cut off on purpose"), Duration::ZERO))
}

/// Byte by byte.
pub(super) fn trickling(bytes: &Bytes, trailers: Option<HeaderMap>, pause: Duration) -> Body {
    let single = (0..bytes.len()).map(|at| bytes.slice(at..=at));
    boxed(Trickle::new(single, trailers, None, pause))
}

/// Pieces with a pause after each, then trailers or an error.
struct Trickle {
    pieces: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    error: Option<&'static str>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Trickle {
    fn new(
        pieces: impl IntoIterator<Item = Bytes>,
        trailers: Option<HeaderMap>,
        error: Option<&'static str>,
        pause: Duration,
    ) -> Self {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        Self { pieces, trailers, error, pause, waiting: None }
    }
}

impl HttpBody for Trickle {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        if let Some(piece) = self.pieces.pop_front() {
            // Even without a pause the piece is written before the error comes: hyper flushes when
            // the body has nothing ready.
            self.waiting = Some(Box::pin(sleep(self.pause.max(Duration::from_millis(1)))));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error.into())));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}
