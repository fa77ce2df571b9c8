//! Forgetting: by key, by scope, all of it, and whatever is under way.

use std::future::Future as _;
use std::task::{Context, Poll, Waker};

use vault_crypto_core::{EncryptedData, Scope};
use vault_envelope::{EnvelopeEncryption, Invalidation};
use vault_testkit::Fault;

use super::super::support::context;
use super::{SECOND, World, front};

#[test]
fn what_is_named_is_forgotten_at_once_and_nothing_else() {
    let world = World::new();
    let other = world.kms.add_key("other").unwrap();
    let envelope = world.envelope();
    let acme = envelope.scoped([("tenant", "acme")]).unwrap();
    let globex = envelope.scoped([("tenant", "globex")]).unwrap();
    let stranger = Scope::new([("tenant", "acme")]).unwrap();
    let cases = [
        (Invalidation::Key(other), [true, true]),
        (Invalidation::Scope(stranger), [true, true]),
        (Invalidation::Scope(acme.scope().clone()), [false, true]),
        (Invalidation::Key(world.key.clone()), [false, false]),
        (Invalidation::Everything, [false, false]),
    ];
    for (what, stay) in cases {
        let scopes = [&acme, &globex];
        let before = scopes.map(|scope| world.seal(scope));
        envelope.cache().invalidate(&what);
        for ((scope, sealed), stays) in scopes.into_iter().zip(&before).zip(stay) {
            let calls = world.calls();
            world.opens(scope, sealed);
            assert_eq!(world.calls().1 == calls.1, stays, "{what:?}");
            assert_eq!(front(&world.seal(scope)) == front(sealed), stays, "{what:?}");
        }
    }
}

#[test]
fn keys_are_wiped_though_a_thread_that_used_them_sleeps() {
    let world = World::new();
    let envelope = world.envelope();
    let sealed = world.seal(&envelope);
    let (used, forget) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            world.opens(&envelope, &sealed);
            used.wait();
            forget.wait();
        });
        used.wait();
        assert_eq!(world.pool.usage().used, 1);
        envelope.cache().invalidate_all();
        assert_eq!(world.pool.usage().used, 0);
        forget.wait();
    });
}

#[test]
fn an_invalidation_beats_a_fill_that_is_under_way() {
    for named in [true, false] {
        let world = World::new();
        let other = world.kms.add_key("other").unwrap();
        let (sealed, envelope, context) = (world.foreign(), world.envelope(), context());
        world.faults.push(Fault::Delay(SECOND));
        let mut opening = Box::pin(envelope.decrypt(&sealed, &context));
        let mut poll = || opening.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        let what = if named { &world.key } else { &other };
        envelope.cache().invalidate_key(what);
        world.clock.advance(SECOND);
        // Whoever asked before gets the answer; it is not kept.
        assert!(matches!(poll(), Poll::Ready(Ok(_))));
        assert_eq!(envelope.cache().stats().opening_keys, u64::from(!named));
        world.opens(&envelope, &sealed);
        assert_eq!(world.calls().1, if named { 2 } else { 1 });
    }
}

#[test]
fn an_invalidation_beats_a_new_data_key_that_is_under_way() {
    let world = World::new();
    let (envelope, context) = (world.envelope(), context());
    world.faults.push(Fault::Delay(SECOND));
    let mut sealing = Box::pin(envelope.encrypt(b"value", &context));
    assert!(sealing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    envelope.cache().invalidate_scope(envelope.scope());
    let first = world.clock.run(sealing).unwrap();
    let stats = envelope.cache().stats();
    assert_eq!((stats.sealing_keys, stats.opening_keys), (0, 0));
    assert_ne!(front(&world.seal(&envelope)), front(&first));
    assert_eq!(world.pool.usage().used, 1, "only the second key is anywhere");
}

#[test]
fn who_comes_after_an_invalidation_does_not_wait_for_an_answer_from_before_it() {
    let world = World::new();
    let (sealed, envelope, context) = (world.foreign(), world.envelope(), context());
    world.faults.push(Fault::Hang);
    let mut before = Box::pin(envelope.decrypt(&sealed, &context));
    assert!(before.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    envelope.cache().invalidate_all();
    world.opens(&envelope, &sealed);
    assert_eq!(world.calls().1, 2);
}

#[test]
fn an_invalidation_beats_a_refresh_that_is_under_way() {
    let world = World::new();
    let (sealed, envelope, context) = (world.foreign(), world.envelope(), context());
    world.opens(&envelope, &sealed);
    world.clock.advance(4 * super::MINUTE);
    world.faults.push(Fault::Delay(SECOND));
    let mut early = Box::pin(envelope.decrypt(&sealed, &context));
    assert!(early.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    envelope.cache().invalidate_all();
    assert_eq!(world.clock.run(early).unwrap(), b"value");
    assert_eq!(envelope.cache().stats().opening_keys, 0);
    assert_eq!(world.pool.usage().used, 0);
}

#[test]
fn a_dropped_envelope_leaves_no_key_behind() {
    let world = World::new();
    let envelope = world.envelope();
    let sealed: EncryptedData = world.seal(&envelope);
    world.opens(&envelope, &sealed);
    let clone: EnvelopeEncryption = envelope.clone();
    drop(envelope);
    assert_eq!(world.pool.usage().used, 1);
    drop(clone);
    assert_eq!(world.pool.usage().used, 0);
}

#[cfg(feature = "async")]
#[test]
fn a_channel_can_say_what_to_forget() {
    use futures_util::{StreamExt as _, stream};
    let world = World::new();
    let envelope = world.envelope();
    let sealed = world.seal(&envelope);
    let orders = [Invalidation::Scope(Scope::empty()), Invalidation::Key(world.key.clone())];
    world.clock.run(envelope.cache().follow(stream::iter(orders)));
    let calls = world.calls().1;
    world.opens(&envelope, &sealed);
    assert_eq!(world.calls().1, calls + 1);
    // It keeps no envelope alive.
    let following =
        envelope.cache().follow(stream::repeat(Invalidation::Everything).take(1_000_000));
    drop(envelope);
    world.clock.run(following);
}
