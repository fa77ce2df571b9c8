//! Several answers at once without a runtime: the caller's task polls them all.
//!
//! [`first`] is for readers (enough good answers, asked in order of preference), [`together`] for
//! writers (everybody is asked, and enough must have answered).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use vault_crypto_core::{Clock, CryptoError, Result, Sleep};

/// A call that may be started, or dropped before it was.
pub(crate) type Attempt<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What came of several attempts.
pub(crate) struct Outcome<T> {
    pub(crate) good: Vec<T>,
    pub(crate) failures: Vec<CryptoError>,
}

/// Runs `attempts` in order until their answers weigh `needed`: so many at a time as are still
/// needed, the next one as soon as one fails, and one more whenever `after` has passed without an
/// answer. What is still under way at the end is dropped.
pub(crate) async fn first<T>(
    attempts: Vec<Attempt<'_, T>>,
    needed: usize,
    weigh: impl Fn(&T) -> usize,
    after: Option<Duration>,
    clock: &dyn Clock,
) -> Outcome<T> {
    let mut race = Race {
        waiting: attempts.into_iter(),
        running: Vec::new(),
        timer: None,
        outcome: Outcome { good: Vec::new(), failures: Vec::new() },
        weight: 0,
    };
    poll_fn(|cx| race.poll(cx, needed, &weigh, after, clock)).await;
    race.outcome
}

struct Race<'a, T> {
    waiting: std::vec::IntoIter<Attempt<'a, T>>,
    running: Vec<Attempt<'a, T>>,
    timer: Option<Sleep>,
    outcome: Outcome<T>,
    weight: usize,
}

impl<T> Race<'_, T> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        needed: usize,
        weigh: &impl Fn(&T) -> usize,
        after: Option<Duration>,
        clock: &dyn Clock,
    ) -> Poll<()> {
        loop {
            self.poll_running(cx, weigh);
            if self.weight >= needed {
                return Poll::Ready(());
            }
            if self.running.len() < needed - self.weight && self.start_next() {
                continue;
            }
            if self.running.is_empty() {
                return Poll::Ready(());
            }
            if self.waiting.len() > 0
                && let Some(after) = after
            {
                let timer = self.timer.get_or_insert_with(|| clock.sleep(after));
                if timer.as_mut().poll(cx).is_ready() && self.start_next() {
                    continue;
                }
            }
            return Poll::Pending;
        }
    }

    fn poll_running(&mut self, cx: &mut Context<'_>, weigh: &impl Fn(&T) -> usize) {
        let (outcome, weight) = (&mut self.outcome, &mut self.weight);
        self.running.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(Ok(answer)) => {
                *weight += weigh(&answer);
                outcome.good.push(answer);
                false
            }
            Poll::Ready(Err(failure)) => {
                outcome.failures.push(failure);
                false
            }
        });
    }

    /// Each attempt has its whole delay before the next is started.
    fn start_next(&mut self) -> bool {
        self.timer = None;
        let next = self.waiting.next();
        let started = next.is_some();
        self.running.extend(next);
        started
    }
}

/// Runs all `attempts` at once. Ends when all have ended, when so many failed that `needed` can no
/// longer succeed, or `patience` (without one: never) after `needed` did; whoever has not ended then
/// is `None`.
pub(crate) async fn together<T>(
    attempts: Vec<Attempt<'_, T>>,
    needed: usize,
    patience: Option<Duration>,
    clock: &dyn Clock,
) -> Vec<Option<Result<T>>> {
    let mut running: Vec<Option<Attempt<'_, T>>> = attempts.into_iter().map(Some).collect();
    let mut ended: Vec<Option<Result<T>>> = running.iter().map(|_| None).collect();
    let mut timer: Option<Sleep> = None;
    poll_fn(|cx| {
        for (place, end) in running.iter_mut().zip(&mut ended) {
            if let Some(attempt) = place
                && let Poll::Ready(outcome) = attempt.as_mut().poll(cx)
            {
                *end = Some(outcome);
                *place = None;
            }
        }
        let good = ended.iter().filter(|end| matches!(end, Some(Ok(_)))).count();
        let open = ended.iter().filter(|end| end.is_none()).count();
        if open == 0 || good + open < needed {
            return Poll::Ready(());
        }
        match patience {
            Some(patience) if good >= needed => {
                timer.get_or_insert_with(|| clock.sleep(patience)).as_mut().poll(cx)
            }
            _ => Poll::Pending,
        }
    })
    .await;
    ended
}
