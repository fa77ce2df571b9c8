//! Wiping what is over, by the maintenance future or by the next operation.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use vault_crypto_core::ErrorKind;
use vault_testkit::Fault;

use super::super::support::{block_on, context};
use super::{MINUTE, SECOND, World};

/// A future of its own task, polled when it was woken.
struct Task {
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Task {
    fn new(future: impl Future<Output = ()> + Send + 'static) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let mut task = Self { future: Some(Box::pin(future)), woken };
        task.run();
        task
    }

    /// Polls for as long as somebody wakes it.
    fn run(&mut self) {
        let waker = Waker::from(self.woken.clone());
        while self.woken.0.swap(false, Ordering::SeqCst) {
            let Some(future) = &mut self.future else { return };
            if let Poll::Ready(()) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.future = None;
            }
        }
    }

    fn ended(&self) -> bool {
        self.future.is_none()
    }
}

#[test]
fn the_next_operation_wipes_keys_that_nobody_touched() {
    let world = World::new();
    let envelope = world.envelope();
    let scopes: Vec<_> =
        (0..10).map(|n| envelope.scoped([("tenant", n.to_string())]).unwrap()).collect();
    scopes.iter().for_each(|scope| drop(world.seal(scope)));
    assert_eq!(world.pool.usage().used, 10);
    world.clock.advance(5 * MINUTE + SECOND);
    world.seal(&envelope);
    assert_eq!(world.pool.usage().used, 1);
    let stats = envelope.cache().stats();
    assert_eq!((stats.opening_keys, stats.sealing_keys), (1, 1));
}

#[test]
fn a_hit_on_one_key_wipes_another_one_that_is_over() {
    let world = World::new();
    let envelope = world.envelope();
    let other = envelope.scoped([("tenant", "acme")]).unwrap();
    world.seal(&other);
    world.clock.advance(3 * MINUTE);
    world.seal(&envelope);
    assert_eq!(world.pool.usage().used, 2);
    world.clock.advance(2 * MINUTE + SECOND);
    world.seal(&envelope); // a hit
    assert_eq!((world.calls().0, world.pool.usage().used), (2, 1));
}

#[test]
fn the_maintenance_future_wipes_keys_without_any_operation() {
    let world = World::new();
    let envelope = world.envelope();
    let mut task = Task::new(envelope.cache().maintenance());
    world.seal(&envelope);
    task.run();
    world.clock.advance(4 * MINUTE);
    task.run();
    assert_eq!(world.pool.usage().used, 1);
    world.clock.advance(MINUTE + SECOND);
    task.run();
    assert_eq!(world.pool.usage().used, 0);
    assert!(!task.ended());
}

#[test]
fn the_maintenance_future_asks_early_in_the_operations_place() {
    let world = World::new();
    let (sealed, envelope) = (world.foreign(), world.envelope());
    let mut task = Task::new(envelope.cache().maintenance());
    world.opens(&envelope, &sealed);
    world.seal(&envelope);
    world.clock.advance(4 * MINUTE + SECOND);
    task.run();
    let calls = world.calls();
    world.faults.push_times(2, Fault::Delay(SECOND));
    for _ in 0..5 {
        // Neither waits for anybody.
        block_on(envelope.decrypt(&sealed, &context())).unwrap();
        block_on(envelope.encrypt(b"value", &context())).unwrap();
    }
    assert_eq!(world.calls(), calls);
    task.run();
    assert_eq!(world.calls(), (calls.0 + 1, calls.1 + 1));
    world.clock.advance(SECOND);
    task.run();
    world.clock.advance(3 * MINUTE);
    world.opens(&envelope, &sealed);
    world.seal(&envelope);
    assert_eq!(world.calls(), (calls.0 + 1, calls.1 + 1));
    assert_eq!(envelope.cache().stats().refreshes, 2);
}

#[test]
fn what_a_dropped_maintenance_future_did_not_do_operations_do() {
    let world = World::new();
    let (sealed, envelope) = (world.foreign(), world.envelope());
    let mut task = Task::new(envelope.cache().maintenance());
    world.opens(&envelope, &sealed);
    world.clock.advance(4 * MINUTE + SECOND);
    world.opens(&envelope, &sealed); // handed over
    assert_eq!(world.calls().1, 1);
    world.faults.push(Fault::Hang);
    task.run(); // begun, and never ended
    assert_eq!(world.calls().1, 2);
    drop(task);
    world.opens(&envelope, &sealed);
    assert_eq!(world.calls().1, 3);
}

#[test]
fn the_maintenance_future_ends_with_the_envelope() {
    let world = World::new();
    let envelope = world.envelope();
    let mut task = Task::new(envelope.cache().maintenance());
    world.seal(&envelope);
    let clone = envelope.clone();
    drop(envelope);
    task.run();
    assert!(!task.ended());
    drop(clone);
    task.run();
    assert!(task.ended());
    let without = world.builder().without_cache().build().unwrap();
    assert!(Task::new(without.cache().maintenance()).ended());
}

#[test]
fn a_refusal_that_the_maintenance_future_met_is_told_to_the_next_operation() {
    let world = World::new();
    let (sealed, envelope) = (world.foreign(), world.envelope());
    let mut task = Task::new(envelope.cache().maintenance());
    world.opens(&envelope, &sealed);
    world.clock.advance(4 * MINUTE + SECOND);
    world.opens(&envelope, &sealed);
    world.faults.push(Fault::Fail(ErrorKind::KeyUnusable));
    task.run();
    let refused = block_on(envelope.decrypt(&sealed, &context())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KeyUnusable);
}
