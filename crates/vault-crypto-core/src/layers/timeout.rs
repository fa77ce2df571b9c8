//! A limit on how long one attempt may take.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::intercept::{Attempt, Call, Intercept, Pending};
use crate::{Clock, ErrorKind, Result, Sleep};

/// Ends a call that takes longer than the limit with [`ErrorKind::TimedOut`].
///
/// The inner future is dropped then. What the service did is unknown: a mutation may have happened.
#[derive(Debug, Clone)]
pub struct TimeoutLayer {
    limit: Duration,
    clock: Arc<dyn Clock>,
}

impl TimeoutLayer {
    /// Allows each attempt `limit`, measured on `clock`.
    #[must_use]
    pub fn new(limit: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { limit, clock }
    }
}

impl Intercept for TimeoutLayer {
    async fn intercept<T: Send + 'static>(
        &self,
        call: &Call<'_>,
        attempt: Attempt<'_, T>,
    ) -> Result<T> {
        let race = Race { call: attempt.run(), limit: self.clock.sleep(self.limit) };
        match race.await {
            Some(answer) => answer,
            None => Err(call
                .error(ErrorKind::TimedOut)
                .with_detail(format!("no answer from the KMS within {:?}", self.limit))),
        }
    }
}

/// Both futures at once; the call's answer wins when both are ready.
struct Race<'a, T> {
    call: Pending<'a, T>,
    limit: Sleep,
}

impl<T> Future for Race<'_, T> {
    type Output = Option<Result<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(answer) = self.call.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        self.limit.as_mut().poll(cx).map(|()| None)
    }
}
