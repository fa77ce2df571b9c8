//! Branch keys: what is sealed under them, who makes them, how long they serve.

mod faults;
mod fleet;
#[cfg(target_os = "linux")]
mod forks;
mod hostile;
mod kms;
mod manage;
mod support;
#[cfg(feature = "hazmat")]
mod vectors;

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{EncryptionContext, ErrorKind, MemoryStorage, Operation};
use vault_envelope::{AllowedKeys, BranchKeys, COMPACT_OVERHEAD, EnvelopeEncryption};

use super::support::{context, kind_of};
use support::{World, place, version_of};

#[test]
fn a_record_under_a_branch_adds_96_bytes_and_names_its_version() {
    let world = World::new();
    let process = world.process();
    let sealed = world.seal(&process);
    assert_eq!(sealed.len(), b"value".len() + COMPACT_OVERHEAD);
    assert_eq!(sealed[..8], [0xF7, 1, 3, 0, 0, 0, 0, 1]);
    assert!(world.opens(&process, &sealed));
}

#[test]
fn another_process_opens_with_one_look_into_the_storage_and_one_call_to_the_kms() {
    let world = World::new();
    let sealed = world.seal(&world.process());
    let before = world.kms.calls().total();
    let other = world.process();
    for _ in 0..10 {
        assert!(world.opens(&other, &sealed));
    }
    let stats = other.branch_stats();
    assert_eq!((stats.gets, stats.lists, stats.unwraps, stats.made), (1, 0, 1, 0));
    assert_eq!(world.kms.calls().total() - before, 1);
    assert_eq!(other.cache().stats().kms_calls, 1);
}

#[test]
fn what_the_kms_wraps_is_bound_to_the_role_of_a_branch_key() {
    use vault_crypto_core::header::{Extension, parse};
    use vault_crypto_core::{KmsProvider as _, WrapContext, WrapKind, WrappedKey};
    let world = World::new();
    let process = world.process();
    world.seal(&process);
    let entry = world.entry(process.scope(), 1);
    let header = parse(&entry).unwrap().header;
    assert_eq!(header.stored_scope().as_ref(), Some(process.scope()));
    let branch = header.extension(Extension::BRANCH).unwrap();
    assert_eq!(branch.bytes[16..], [0, 0, 0, 1]);
    let slot = &header.slots[0];
    let wrapped = WrappedKey::new(slot.wrapped.clone(), world.key.clone(), slot.version.clone());
    let unwrap = |kind| {
        let context = WrapContext::new(kind, process.scope().clone());
        world.clock.run(world.kms.decrypt_data_key(&wrapped, &context))
    };
    assert!(unwrap(WrapKind::BranchKey).is_ok());
    assert_eq!(kind_of(unwrap(WrapKind::DataKey)), ErrorKind::AuthenticationFailed);
    // And so nobody takes the branch key for a data key.
    let as_data_key = world.clock.run(process.open_stored_key(&entry));
    assert_eq!(kind_of(as_data_key), ErrorKind::Unsupported);
}

#[test]
fn each_scope_has_a_branch_of_its_own() {
    let world = World::new();
    let process = world.process();
    let acme = process.scoped([("tenant", "acme")]).unwrap();
    let zenith = process.scoped([("tenant", "zenith")]).unwrap();
    let sealed = world.seal(&acme);
    world.seal(&zenith);
    assert!(world.opens(&acme, &sealed));
    let wrong = world.clock.run(zenith.decrypt(&sealed, &context()));
    assert_eq!(kind_of(wrong), ErrorKind::AuthenticationFailed);
    // A scope without a branch: nobody sealed in it.
    let nobody = process.scoped([("tenant", "nobody")]).unwrap();
    let unknown = world.clock.run(nobody.decrypt(&sealed, &context()));
    assert_eq!(kind_of(unknown), ErrorKind::KeyNotFound);
}

#[test]
fn records_with_headers_still_open_and_streams_still_have_them() {
    let world = World::new();
    let before = world.without_branches();
    let old = world.seal(&before);
    let process = world.process();
    assert!(world.opens(&process, &old));
    let compact = world.seal(&process);
    let refused = world.clock.run(before.decrypt(&compact, &context()));
    assert_eq!(kind_of(refused), ErrorKind::KeyNotAllowed);
}

#[test]
fn a_record_of_a_stored_key_is_refused_without_asking_anybody() {
    let world = World::new();
    let process = world.process();
    let stored = world.clock.run(process.create_stored_key()).unwrap();
    let sealed = stored.seal(b"value", &context()).unwrap();
    let before = (world.kms.calls().total(), process.branch_stats());
    let refused = world.clock.run(process.decrypt(&sealed, &context()));
    assert_eq!(kind_of(refused), ErrorKind::KeyNotAllowed);
    assert_eq!((world.kms.calls().total(), process.branch_stats()), before);
}

#[test]
fn a_branch_key_serves_for_its_age_and_not_longer() {
    let world = World::new();
    let process = world.process();
    let sealed = world.seal(&process);
    let unwraps = |process: &EnvelopeEncryption| process.branch_stats().unwraps;
    let first = unwraps(&process);
    world.clock.advance(Duration::from_secs(53 * 60));
    assert!(world.opens(&process, &sealed));
    assert_eq!(unwraps(&process), first);
    world.clock.advance(Duration::from_secs(7 * 60 + 1));
    assert!(world.opens(&process, &sealed));
    assert_eq!(unwraps(&process), first + 1);
}

#[test]
fn expired_keys_that_nobody_asks_for_go_with_the_next_look() {
    let world = World::new();
    let process = world.process();
    let tenants = ["a", "b", "c"].map(|t| process.scoped([("tenant", t)]).unwrap());
    tenants.iter().for_each(|tenant| drop(world.seal(tenant)));
    assert_eq!(process.branch_stats().held, 3);
    world.clock.advance(Duration::from_secs(3_601));
    world.seal(&tenants[0]);
    assert_eq!(process.branch_stats().held, 1);
}

#[test]
fn memory_holds_so_many_branch_keys_and_the_one_used_longest_ago_gives_way() {
    let world = World::new();
    let keys = BranchKeys::new(world.storage.clone()).with_capacity(2);
    let process = world.builder().without_cache().branch_keys(keys).build().unwrap();
    let tenants = ["a", "b", "c"].map(|t| process.scoped([("tenant", t)]).unwrap());
    let [a, b, c] = tenants.each_ref().map(|tenant| world.seal(tenant));
    assert_eq!(process.branch_stats().held, 2);
    let unwraps = process.branch_stats().unwraps;
    assert!(world.opens(&tenants[1], &b) && world.opens(&tenants[2], &c));
    assert_eq!(process.branch_stats().unwraps, unwraps, "these two are held");
    assert!(world.opens(&tenants[0], &a));
    let stats = process.branch_stats();
    assert_eq!((stats.held, stats.unwraps), (2, unwraps + 1));
}

#[test]
fn padded_records_and_every_suite_go_under_a_branch() {
    use vault_crypto_core::header::Suite;
    use vault_envelope::Padding;
    let world = World::new();
    for suite in [Suite::Cobblestone256, Suite::ChunkedChaCha20Poly1305, Suite::KcXaes256Gcm] {
        let builder = world.builder().record_suite(suite).padding(Padding::Padme);
        let process = builder.branch_keys(BranchKeys::new(world.storage.clone())).build().unwrap();
        let sealed = world.seal(&process);
        assert_eq!(sealed[2..4], [suite.code(), 1]);
        // The suite of the record is the writer's: the branch was made in the first one.
        assert!(world.opens(&world.process(), &sealed));
        let strict = world.builder().suites([Suite::Cobblestone256]);
        let strict = strict.branch_keys(BranchKeys::new(world.storage.clone())).build().unwrap();
        let allowed = world.clock.run(strict.decrypt(&sealed, &context()));
        match suite {
            Suite::Cobblestone256 => assert_eq!(allowed.unwrap(), b"value"),
            _ => assert_eq!(kind_of(allowed), ErrorKind::Unsupported),
        }
    }
}

#[test]
fn whoever_may_not_open_the_branch_does_not_seal_under_it() {
    let world = World::new();
    let other = world.kms.add_key("other").unwrap();
    let builder = world.builder().allow_only(AllowedKeys::none().key(world.kms.clone(), other));
    let process = builder.branch_keys(BranchKeys::new(world.storage.clone())).build().unwrap();
    let refused = world.clock.run(process.encrypt(b"value", &context()));
    assert_eq!(kind_of(refused), ErrorKind::KeyNotAllowed);
    assert!(world.place_is_empty(&place(process.scope(), 1)));
}

#[test]
fn a_branch_is_made_once_and_checked_before_it_is_stored() {
    let world = World::new();
    let process = world.process();
    for _ in 0..100 {
        world.seal(&process);
    }
    assert_eq!(world.kms.calls().of(Operation::GenerateDataKey), 1);
    assert_eq!(world.kms.calls().of(Operation::DecryptDataKey), 1);
    let stats = process.branch_stats();
    assert_eq!((stats.puts, stats.made, stats.unwraps), (1, 1, 1));
    assert_eq!(process.cache().stats().kms_calls, 2);
}

#[test]
fn without_branch_keys_there_is_nothing_to_manage() {
    let world = World::new();
    let envelope = world.without_branches();
    assert_eq!(kind_of(world.clock.run(envelope.rotate_branch())), ErrorKind::InvalidInput);
    assert_eq!(kind_of(world.clock.run(envelope.branches(None, 10))), ErrorKind::InvalidInput);
    let rewrapped = world.clock.run(envelope.rewrap_branches(|_| ()));
    assert_eq!(kind_of(rewrapped), ErrorKind::InvalidInput);
    assert_eq!(kind_of(envelope.branch_kms()), ErrorKind::InvalidInput);
    assert_eq!(envelope.branch_stats(), Default::default());
}

#[test]
fn another_context_does_not_open() {
    let world = World::new();
    let process = world.process();
    let sealed = world.seal(&process);
    let other = EncryptionContext::from([("row", "43")]);
    let refused = world.clock.run(process.decrypt(&sealed, &other));
    assert_eq!(kind_of(refused), ErrorKind::AuthenticationFailed);
}

#[test]
fn a_process_with_another_store_knows_no_branch_of_this_one() {
    let world = World::new();
    let sealed = world.seal(&world.process());
    let elsewhere = BranchKeys::new(Arc::new(MemoryStorage::new()));
    let stranger = world.builder().branch_keys(elsewhere).build().unwrap();
    let unknown = world.clock.run(stranger.decrypt(&sealed, &context()));
    assert_eq!(kind_of(unknown), ErrorKind::KeyNotFound);
    assert_eq!(version_of(&sealed), 1);
}

#[test]
fn invalidating_a_scope_a_key_or_all_asks_the_kms_again() {
    use vault_envelope::Invalidation;
    let world = World::new();
    let process = world.process();
    let [a, b] = ["a", "b"].map(|t| process.scoped([("tenant", t)]).unwrap());
    let sealed = [world.seal(&a), world.seal(&b)];
    let unwraps_after = |what: Invalidation| {
        let before = process.branch_stats().unwraps;
        process.cache().invalidate(&what);
        assert!(world.opens(&a, &sealed[0]) && world.opens(&b, &sealed[1]));
        process.branch_stats().unwraps - before
    };
    assert_eq!(unwraps_after(Invalidation::Scope(a.scope().clone())), 1);
    assert_eq!(unwraps_after(Invalidation::Key(world.key.clone())), 2);
    assert_eq!(unwraps_after(Invalidation::Everything), 2);
    assert_eq!(unwraps_after(Invalidation::Key("another".into())), 0);
}

/// A record under a branch names no key, so the branch's entry has to.
#[test]
fn invalidating_a_key_forgets_what_it_wrapped_whichever_slot_opened() {
    use vault_envelope::{Invalidation, Recipient, Recipients};
    let world = World::new();
    let second = world.kms.add_key("second").unwrap();
    let other = world.kms.add_key("other").unwrap();
    let parties = [world.key.clone(), second.clone()];
    let process = EnvelopeEncryption::to(Recipients::all(
        parties.clone().map(|key| Recipient::kms(world.kms.clone(), key)),
    ))
    .clock(Arc::new(world.clock.clone()))
    .branch_keys(BranchKeys::new(world.storage.clone()))
    .build()
    .unwrap();
    let sealed = world.seal(&process);
    for (key, unwraps) in [(&parties[0], 1), (&second, 1), (&other, 0)] {
        assert!(world.opens(&process, &sealed));
        let before = process.branch_stats().unwraps;
        process.cache().invalidate(&Invalidation::Key(key.clone()));
        assert!(world.opens(&process, &sealed));
        assert_eq!(process.branch_stats().unwraps - before, unwraps, "{key}");
    }
}

#[test]
fn an_invalidation_beats_a_branch_key_on_its_way() {
    use vault_testkit::Fault;
    let world = World::new();
    let sealed = world.seal(&world.process());
    let (process, faults) = world.faulty_process();
    faults.push_on(Operation::StorageGet, Fault::Delay(Duration::from_secs(5)));
    let context = context();
    let slow = process.decrypt(&sealed, &context);
    let invalidated = async {
        vault_crypto_core::Clock::sleep(&world.clock, Duration::from_secs(1)).await;
        process.cache().invalidate_all();
    };
    let (opened, ()) = world.clock.run(futures_util::future::join(slow, invalidated));
    assert_eq!(opened.unwrap(), b"value");
    assert_eq!(process.branch_stats().held, 0);
}

#[test]
fn a_filter_that_changes_its_mind_is_heard_by_branch_keys_in_memory() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let world = World::new();
    let open = Arc::new(AtomicBool::new(true));
    let filter = open.clone();
    let keys = AllowedKeys::none()
        .any_key_matching(world.kms.clone(), move |_| filter.load(Ordering::Relaxed));
    for builder in [world.builder(), world.builder().without_cache()] {
        open.store(true, Ordering::Relaxed);
        let branch_keys = BranchKeys::new(world.storage.clone());
        let builder = builder.allow_only(keys.clone()).branch_keys(branch_keys);
        let process = builder.build().unwrap();
        let sealed = world.seal(&process);
        assert!(world.opens(&process, &sealed));
        open.store(false, Ordering::Relaxed);
        let refused = world.clock.run(process.decrypt(&sealed, &context()));
        assert_eq!(kind_of(refused), ErrorKind::KeyNotAllowed);
    }
}

#[test]
fn maintenance_wipes_branch_keys_at_the_end_of_their_time() {
    use std::task::{Context, Waker};
    let world = World::new();
    let process = world.process();
    world.seal(&process);
    let mut upkeep = Box::pin(process.cache().maintenance());
    let mut poll = || {
        let mut context = Context::from_waker(Waker::noop());
        assert!(upkeep.as_mut().poll(&mut context).is_pending());
    };
    poll();
    assert_eq!(process.branch_stats().held, 1);
    // Nobody seals or opens any more.
    for _ in 0..120 {
        world.clock.advance(Duration::from_secs(31));
        poll();
    }
    assert_eq!(process.branch_stats().held, 0);
}

#[test]
fn in_a_full_pool_under_require_branch_keys_and_data_keys_make_room_for_each_other() {
    use vault_crypto_core::locked::{LockPolicy, LockedPool};
    let world = World::new();
    let pool = LockedPool::new(LockPolicy::Require, 4_096).unwrap();
    let keys = BranchKeys::new(world.storage.clone());
    let process = world.builder().memory(pool.clone()).branch_keys(keys).build().unwrap();
    let tenants: Vec<_> =
        (0..300).map(|n| process.scoped([("tenant", n.to_string())]).unwrap()).collect();
    let sealed: Vec<_> = tenants.iter().map(|tenant| world.seal(tenant)).collect();
    for (tenant, sealed) in tenants.iter().zip(&sealed) {
        assert!(world.opens(tenant, sealed));
    }
    assert!(process.branch_stats().held < 300);
    assert_eq!(pool.usage().spilled, 0);
}

#[test]
fn with_branch_keys_sealing_and_opening_work_without_a_cache_too() {
    let world = World::new();
    let keys = BranchKeys::new(world.storage.clone());
    let process = world.builder().without_cache().branch_keys(keys).build().unwrap();
    let (one, two) = (world.seal(&process), world.seal(&process));
    assert_ne!(one[8..24], two[8..24], "a data key each");
    assert!(world.opens(&process, &one) && world.opens(&world.process(), &two));
    assert_eq!(world.kms.calls().total(), 3);
}

#[test]
fn recipients_who_need_a_data_key_for_each_message_have_no_branch_keys() {
    use vault_envelope::{Recipient, Recipients};
    let world = World::new();
    let second = world.kms.add_key("second").unwrap();
    let parties = [world.key.clone(), second].map(|key| Recipient::kms(world.kms.clone(), key));
    let keys = BranchKeys::new(world.storage.clone());
    let built = EnvelopeEncryption::to(Recipients::threshold(2, parties.clone()));
    assert_eq!(kind_of(built.branch_keys(keys.clone()).build()), ErrorKind::InvalidInput);
    // Several KMSs, each of which opens alone, are fine.
    let both = EnvelopeEncryption::to(Recipients::all(parties)).branch_keys(keys).build().unwrap();
    let sealed = world.seal(&both);
    assert!(world.opens(&both, &sealed));
    let entry = world.entry(both.scope(), 1);
    assert_eq!(vault_crypto_core::header::parse(&entry).unwrap().header.slots.len(), 2);
}
