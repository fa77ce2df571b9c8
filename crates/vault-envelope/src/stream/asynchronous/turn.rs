//! How long a task may work before it lets others run.

use std::task::{Context, Poll};

/// Units of a turn: one for each call of an input or output, [`CHUNK_COST`] for each chunk.
const TURN: usize = 128;
/// A chunk takes some microseconds, so that a turn takes less than a millisecond.
const CHUNK_COST: usize = 8;

/// What is left of a task's turn.
pub(in crate::stream) struct Turn {
    left: usize,
}

impl Turn {
    pub(in crate::stream) fn new() -> Self {
        Self { left: TURN }
    }

    /// Pending once when the turn is over; the task is woken for the next one.
    pub(in crate::stream) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.left > 0 {
            return Poll::Ready(());
        }
        self.renew();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One call of an input or output; if that was pending, others run anyway.
    pub(in crate::stream) fn after_call<T>(&mut self, result: Poll<T>) -> Poll<T> {
        if result.is_pending() {
            self.renew();
        } else {
            self.after_step();
        }
        result
    }

    /// A step that may have called an input or output.
    pub(in crate::stream) fn after_step(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// The task is about to be pending anyway.
    pub(in crate::stream) fn renew(&mut self) {
        self.left = TURN;
    }

    /// Chunks were sealed or opened.
    pub(in crate::stream) fn after_chunks(&mut self, chunks: usize) {
        self.left = self.left.saturating_sub(chunks.saturating_mul(CHUNK_COST));
    }
}
