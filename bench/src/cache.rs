//! The data-key cache: what a hit costs beside a data key at hand, what threads cost each other, how
//! often a KMS is called; and what ranged reads fetch.
//!
//! Everything goes through `EnvelopeEncryption` with its default budgets, as a service would call it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use crate::report::Table;

mod calls;
mod flood;
pub mod herd;
mod hits;
mod memory;
mod ranges;
mod subject;
pub mod threads;

/// Measures everything, `rounds` times what takes turns.
pub fn run(rounds: usize) -> Vec<Table> {
    let mut tables = hits::run(rounds);
    tables.push(threads::run(rounds.div_ceil(10)));
    tables.push(herd::run());
    tables.push(flood::run());
    tables.push(calls::run());
    tables.push(memory::run());
    tables.push(ranges::run());
    tables
}

/// The output of a future that waits for nobody, as a hit does.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a hit waited for somebody"),
    }
}

/// The output of a future that seldom waits: where it does, for the one who asks for the next data key,
/// others go first. Costs no more than a look where it need not wait.
pub fn soon<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        std::thread::yield_now();
    }
}

/// All of `futures`, driven together.
async fn join<T>(
    futures: impl IntoIterator<Item = Pin<Box<dyn Future<Output = T> + '_>>>,
) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Some).collect();
    let mut done = Vec::with_capacity(futures.len());
    std::future::poll_fn(move |context| {
        for place in &mut futures {
            if let Some(Poll::Ready(output)) = place.as_mut().map(|f| f.as_mut().poll(context)) {
                done.push(output);
                *place = None;
            }
        }
        if futures.iter().all(Option::is_none) {
            Poll::Ready(std::mem::take(&mut done))
        } else {
            Poll::Pending
        }
    })
    .await
}
