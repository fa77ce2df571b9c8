//! One question for all who wait, whoever of them is cancelled.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use vault_crypto_core::{EncryptionContext, ErrorKind, Result, SecureBytes};
use vault_testkit::Fault;

use super::super::support::{block_on, context, kind_of};
use super::{SECOND, World, row};

type Opening<'a> = Pin<Box<dyn Future<Output = Result<SecureBytes>> + 'a>>;

/// Counts the wakes of one task.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn three_thousand_cold_misses_cost_one_call() {
    let world = World::new();
    let sealed = world.foreign();
    let (context, reader, sealer) = (context(), world.envelope(), world.envelope());
    let before = world.calls();
    world.faults.push_times(2, Fault::Delay(SECOND));
    let mut opening: Vec<Opening<'_>> = Vec::new();
    let mut sealing = Vec::new();
    for _ in 0..3_000 {
        opening.push(Box::pin(reader.decrypt(&sealed, &context)));
        sealing.push(Box::pin(sealer.encrypt(b"value", &context)));
    }
    opening.iter_mut().for_each(|future| assert!(poll(future).is_pending()));
    sealing.iter_mut().for_each(|future| assert!(poll(future).is_pending()));
    world.clock.advance(SECOND);
    for future in &mut opening {
        assert!(matches!(poll(future), Poll::Ready(Ok(value)) if value == b"value"));
    }
    assert!(sealing.iter_mut().all(|future| matches!(poll(future), Poll::Ready(Ok(_)))));
    assert_eq!(world.calls(), (before.0 + 1, before.1 + 1));
    assert_eq!(reader.cache().stats().waits, 2_999);
}

#[test]
fn threads_that_miss_together_ask_once() {
    let world = World::new();
    let sealed = world.foreign();
    let envelope = world.envelope();
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                for number in 0..200 {
                    assert_eq!(block_on(envelope.decrypt(&sealed, &context())).unwrap(), b"value");
                    block_on(envelope.encrypt(b"value", &row(number))).unwrap();
                }
            });
        }
    });
    assert_eq!(envelope.cache().stats().kms_calls, 2);
}

#[test]
fn all_who_wait_get_the_error_of_the_one_call() {
    let world = World::new();
    let sealed = world.foreign();
    let (envelope, context) = (world.envelope(), context());
    world.faults.push(Fault::Delay(SECOND));
    let mut altered = sealed.into_bytes();
    let wrapped = vault_crypto_core::header::parse(&altered).unwrap().len() - 1;
    altered[wrapped] ^= 1;
    let mut waiting: Vec<Opening<'_>> = Vec::new();
    (0..100).for_each(|_| waiting.push(Box::pin(envelope.decrypt(&altered, &context))));
    waiting.iter_mut().for_each(|future| assert!(poll(future).is_pending()));
    world.clock.advance(SECOND);
    for future in &mut waiting {
        let Poll::Ready(result) = poll(future) else { panic!("still waiting") };
        assert_eq!(kind_of(result), ErrorKind::AuthenticationFailed);
    }
    assert_eq!(world.calls().1, 1);
}

/// Whoever is dropped after however many polls: the others get the answer, of the same call.
#[test]
fn whoever_is_cancelled_at_whatever_point_the_others_get_the_answer_of_the_same_call() {
    for cancelled in 0..4 {
        for polls in 0..4 {
            let world = World::new();
            let sealed = world.foreign();
            let (envelope, context) = (world.envelope(), context());
            world.faults.push(Fault::Delay(2 * SECOND));
            let mut waiting: Vec<Option<Opening<'_>>> = (0..4)
                .map(|_| Some(Box::pin(envelope.decrypt(&sealed, &context)) as Opening<'_>))
                .collect();
            let wakes: Vec<Arc<Wakes>> = (0..4).map(|_| Arc::default()).collect();
            let poll_all = |waiting: &mut Vec<Option<Opening<'_>>>| {
                let pairs = waiting.iter_mut().zip(&wakes);
                pairs.for_each(|(future, wakes)| {
                    if let Some(future) = future {
                        let waker = Waker::from(wakes.clone());
                        assert!(
                            future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
                        );
                    }
                });
            };
            poll_all(&mut waiting);
            for step in 0..3 {
                if step == polls {
                    waiting[cancelled] = None;
                }
                world.clock.advance(SECOND / 4);
                poll_all(&mut waiting);
            }
            waiting[cancelled] = None;
            let before: Vec<usize> =
                wakes.iter().map(|wakes| wakes.0.load(Ordering::SeqCst)).collect();
            world.clock.advance(2 * SECOND);
            for (index, future) in waiting.iter_mut().enumerate() {
                let Some(future) = future else { continue };
                assert!(
                    wakes[index].0.load(Ordering::SeqCst) > before[index],
                    "nobody woke {index}"
                );
                assert!(matches!(poll(future), Poll::Ready(Ok(value)) if value == b"value"));
            }
            assert_eq!((world.calls().1, world.faults.cancelled()), (1, 0));
        }
    }
}

#[test]
fn a_waiter_that_is_kept_and_never_polled_again_holds_nobody_up() {
    let world = World::new();
    let sealed = world.foreign();
    let (envelope, context) = (world.envelope(), context());
    world.faults.push(Fault::Delay(SECOND));
    let mut idle: Opening<'_> = Box::pin(envelope.decrypt(&sealed, &context));
    assert!(poll(&mut idle).is_pending());
    assert_eq!(world.clock.run(envelope.decrypt(&sealed, &context)).unwrap(), b"value");
    assert_eq!(world.calls().1, 1);
}

#[test]
fn the_last_who_leaves_takes_the_question_along_and_the_next_asks_anew() {
    let world = World::new();
    let sealed = world.foreign();
    let (envelope, context) = (world.envelope(), context());
    world.faults.push(Fault::Hang);
    let mut waiting: Vec<Opening<'_>> = Vec::new();
    (0..3).for_each(|_| waiting.push(Box::pin(envelope.decrypt(&sealed, &context))));
    waiting.iter_mut().for_each(|future| assert!(poll(future).is_pending()));
    assert_eq!((world.faults.running(), world.faults.cancelled()), (1, 0));
    waiting.truncate(1);
    assert_eq!(world.faults.cancelled(), 0);
    drop(waiting);
    assert_eq!((world.faults.running(), world.faults.cancelled()), (0, 1));
    assert_eq!(world.clock.run(envelope.decrypt(&sealed, &context)).unwrap(), b"value");
}

#[test]
fn a_question_that_panics_is_an_error_for_those_who_wait() {
    let world = World::new();
    let sealed = world.foreign();
    let first = std::sync::atomic::AtomicBool::new(true);
    let keys = vault_envelope::AllowedKeys::none().any_key_matching(world.faulty(), move |_| {
        assert!(!first.swap(false, Ordering::SeqCst), "a filter that panics once");
        true
    });
    let envelope = world.builder().allow_only(keys).build().unwrap();
    let context: EncryptionContext = context();
    let opening = || block_on(envelope.decrypt(&sealed, &context)).map(drop);
    let opening = std::panic::AssertUnwindSafe(opening);
    assert!(std::panic::catch_unwind(opening).is_err());
    world.opens(&envelope, &sealed);
}
