//! Reading and writing whole pieces of async inputs and outputs.

use std::future::poll_fn;
use std::io::ErrorKind as IoKind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

/// Reads until `buffer` is full or the input ends; gives the number of bytes.
pub(super) async fn read_full<R: AsyncRead + Unpin>(
    input: &mut R,
    buffer: &mut [u8],
) -> std::io::Result<usize> {
    let mut total = 0;
    poll_fn(|cx| {
        while let Some(rest) = buffer.get_mut(total..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *input).poll_read(cx, rest))? {
                0 => break,
                len => total += len,
            }
        }
        Poll::Ready(Ok(total))
    })
    .await
}

/// One write that makes progress; an output that takes nothing is an error.
pub(super) fn poll_write_some<W: AsyncWrite + Unpin>(
    output: &mut W,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<std::io::Result<usize>> {
    match ready!(Pin::new(output).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(IoKind::WriteZero.into())),
        len => Poll::Ready(Ok(len)),
    }
}
