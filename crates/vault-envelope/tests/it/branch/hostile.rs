//! Whoever can write the storage can deny service, and no more.

use vault_crypto_core::header::parse;
use vault_crypto_core::{ErrorKind, Operation};

use super::support::{World, place, version_of};
use crate::it::support::{context, kind_of};

/// What a process that comes new says of sealing and opening.
fn kinds(world: &World, sealed: &[u8], tenant: &str) -> [ErrorKind; 2] {
    let process = world.process().scoped([("tenant", tenant)]).unwrap();
    let opened = kind_of(world.clock.run(process.decrypt(sealed, &context())));
    [opened, kind_of(world.clock.run(process.encrypt(b"value", &context())))]
}

#[test]
fn an_entry_in_the_place_of_another_is_refused_without_a_call_to_the_kms() {
    let world = World::new();
    let process = world.process();
    let [a, b] = ["a", "b"].map(|t| process.scoped([("tenant", t)]).unwrap());
    let sealed = world.seal(&a);
    world.seal(&b);
    world.clock.run(a.rotate_branch()).unwrap();
    let of_b = world.entry(b.scope(), 1);
    let second = world.entry(a.scope(), 2);
    let data_key = world.clock.run(a.create_stored_key()).unwrap().entry().to_vec();
    let record = world.seal(&world.without_branches());
    let first = world.entry(a.scope(), 1);
    let longer = [first.as_slice(), &[0]].concat();
    let calls = world.kms.calls().total();
    world.remove(&place(a.scope(), 2));
    for planted in [&of_b, &second, &data_key, &record, &longer, &Vec::new(), &b"x".to_vec()] {
        world.plant(&place(a.scope(), 1), planted);
        assert_eq!(kinds(&world, &sealed, "a"), [ErrorKind::StoreDamaged; 2]);
    }
    assert_eq!(world.kms.calls().total(), calls);
    world.plant(&place(a.scope(), 1), &first);
    assert!(world.opens(&world.process().scoped([("tenant", "a")]).unwrap(), &sealed));
}

#[test]
fn any_altered_or_missing_byte_of_an_entry_is_refused() {
    let world = World::new();
    let a = world.process().scoped([("tenant", "a")]).unwrap();
    let sealed = world.seal(&a);
    let entry = world.entry(a.scope(), 1);
    let allowed = [
        ErrorKind::StoreDamaged,
        ErrorKind::AuthenticationFailed,
        ErrorKind::KeyNotAllowed,
        ErrorKind::Unsupported,
        ErrorKind::KeyNotFound,
    ];
    for index in 0..entry.len() {
        let mut altered = entry.clone();
        altered[index] ^= 1 << (index % 8);
        world.plant(&place(a.scope(), 1), &altered);
        for kind in kinds(&world, &sealed, "a") {
            assert!(allowed.contains(&kind), "byte {index}: {kind:?}");
        }
    }
    for len in 0..entry.len() {
        world.plant(&place(a.scope(), 1), &entry[..len]);
        assert_eq!(kinds(&world, &sealed, "a"), [ErrorKind::StoreDamaged; 2], "cut to {len}");
    }
}

#[test]
fn an_entry_of_another_scope_with_its_name_rewritten_fails_its_mac() {
    let world = World::new();
    let [a, b] = ["a", "b"].map(|t| world.process().scoped([("tenant", t)]).unwrap());
    let sealed = world.seal(&a);
    world.seal(&b);
    let names = [a.scope(), b.scope()].map(vault_crypto_core::derive::branch_name);
    let mut forged = world.entry(b.scope(), 1);
    let at = forged.windows(16).position(|bytes| bytes == names[1]).unwrap();
    forged[at..at + 16].copy_from_slice(&names[0]);
    assert!(parse(&forged).is_ok());
    world.plant(&place(a.scope(), 1), &forged);
    assert_eq!(kinds(&world, &sealed, "a"), [ErrorKind::AuthenticationFailed; 2]);
}

#[test]
fn swapped_versions_are_refused() {
    let world = World::new();
    let process = world.process();
    let old = world.seal(&process);
    world.clock.run(process.rotate_branch()).unwrap();
    let [first, second] = [1, 2].map(|version| world.entry(process.scope(), version));
    world.plant(&place(process.scope(), 1), &second);
    world.plant(&place(process.scope(), 2), &first);
    let fresh = world.process();
    let refused = world.clock.run(fresh.decrypt(&old, &context()));
    assert_eq!(kind_of(refused), ErrorKind::StoreDamaged);
    let refused = world.clock.run(fresh.encrypt(b"value", &context()));
    assert_eq!(kind_of(refused), ErrorKind::StoreDamaged);
}

#[test]
fn a_made_up_newest_version_stops_sealing_and_not_opening() {
    let world = World::new();
    let process = world.process();
    let sealed = world.seal(&process);
    world.plant(&place(process.scope(), 7), b"made up");
    let fresh = world.process();
    let refused = world.clock.run(fresh.encrypt(b"value", &context()));
    assert_eq!(kind_of(refused), ErrorKind::StoreDamaged);
    assert!(world.opens(&fresh, &sealed));
}

#[test]
fn keys_of_the_storage_that_are_no_branches_are_passed_by() {
    let world = World::new();
    let process = world.process();
    let folder = place(process.scope(), 1);
    let folder = folder.trim_end_matches("0000000001");
    for name in ["", "x", "1", "00000000002", "0000000000", "99999999999"] {
        if !name.is_empty() {
            world.plant(&format!("{folder}{name}"), b"x");
        }
    }
    let sealed = world.seal(&process);
    assert_eq!(version_of(&sealed), 1);
    assert!(world.opens(&world.process(), &sealed));
}

#[test]
fn a_flood_of_made_up_versions_costs_a_look_a_second() {
    let world = World::new();
    let process = world.process();
    let sealed = world.seal(&process);
    let before = process.branch_stats();
    for version in 2..5_000_u32 {
        let mut bogus = sealed.clone();
        bogus[4..8].copy_from_slice(&version.to_be_bytes());
        let refused = world.clock.run(process.decrypt(&bogus, &context()));
        assert_eq!(kind_of(refused), ErrorKind::KeyNotFound);
    }
    let after = process.branch_stats();
    assert_eq!((after.gets - before.gets, after.lists - before.lists), (1, 1));
    assert_eq!(after.unwraps, before.unwraps);
    // What comes into being meanwhile is known a second later.
    world.clock.run(world.process().rotate_branch()).unwrap();
    let other = world.process();
    let new = world.seal(&other);
    assert_eq!(version_of(&new), 2);
    world.clock.advance(std::time::Duration::from_secs(60));
    assert!(world.opens(&process, &new));
}

#[test]
fn another_version_or_id_in_the_prefix_is_another_data_key() {
    let world = World::new();
    let process = world.process();
    let sealed = world.seal(&process);
    world.clock.run(process.rotate_branch()).unwrap();
    let refused = |change: fn(&mut Vec<u8>)| {
        let mut bad = sealed.clone();
        change(&mut bad);
        kind_of(world.clock.run(process.decrypt(&bad, &context())))
    };
    assert_eq!(refused(|bytes| bytes[7] = 2), ErrorKind::AuthenticationFailed);
    assert_eq!(refused(|bytes| bytes[7] = 0), ErrorKind::KeyNotAllowed);
    assert_eq!(refused(|bytes| bytes[23] ^= 1), ErrorKind::AuthenticationFailed);
    assert_eq!(refused(|bytes| bytes[2] = 1), ErrorKind::AuthenticationFailed);
    assert_eq!(refused(|bytes| bytes[2] = 9), ErrorKind::Unsupported);
    assert_eq!(refused(|bytes| bytes[3] = 1), ErrorKind::AuthenticationFailed);
    assert_eq!(refused(|bytes| bytes[3] = 2), ErrorKind::Malformed);
    assert_eq!(refused(|bytes| bytes[1] = 2), ErrorKind::Unsupported);
    assert_eq!(refused(|bytes| bytes.truncate(23)), ErrorKind::Malformed);
    assert_eq!(refused(|bytes| bytes.truncate(1)), ErrorKind::Malformed);
    assert_eq!(refused(|bytes| bytes.truncate(24)), ErrorKind::AuthenticationFailed);
}

#[test]
fn a_kms_that_answers_garbage_for_a_new_branch_spoils_nothing() {
    let world = World::new();
    let process = world.process();
    // What was wrapped is opened again before it is stored: a failing unwrap leaves no entry.
    let faults = vault_testkit::Faults::new(std::sync::Arc::new(world.clock.clone()));
    faults.push_on(
        Operation::DecryptDataKey,
        vault_testkit::Fault::Fail(ErrorKind::AuthenticationFailed),
    );
    let kms = vault_testkit::FaultyKms::new(world.kms.clone(), faults);
    let keys = vault_envelope::BranchKeys::new(world.storage.clone());
    let builder =
        vault_envelope::EnvelopeEncryption::builder(std::sync::Arc::new(kms), world.key.clone());
    let broken = builder.scope([("service", "orders")]).branch_keys(keys).build().unwrap();
    let failed = world.clock.run(broken.encrypt(b"value", &context()));
    assert_eq!(kind_of(failed), ErrorKind::AuthenticationFailed);
    assert!(world.place_is_empty(&place(process.scope(), 1)));
}

#[test]
fn a_flood_of_made_up_prefixes_leaves_no_key_behind_and_drives_none_out() {
    let world = World::new();
    let policy = vault_envelope::CachePolicy::default().with_capacity(32);
    let sealer = world.process();
    let branches = vault_envelope::BranchKeys::new(world.storage.clone());
    let reader = world.builder().cache(policy).branch_keys(branches).build().unwrap();
    let sealed = world.seal(&sealer);
    assert!(world.opens(&reader, &sealed));
    for number in 0..2_000_u32 {
        let mut made_up = sealed.clone();
        made_up[8..12].copy_from_slice(&number.to_be_bytes());
        let refused = world.clock.run(reader.decrypt(&made_up, &context()));
        assert_eq!(kind_of(refused), ErrorKind::AuthenticationFailed);
    }
    let stats = reader.cache().stats();
    assert_eq!((stats.opening_keys, stats.evictions), (1, 0));
    let calls = world.kms.calls().total();
    assert!(world.opens(&reader, &sealed));
    assert_eq!((world.kms.calls().total(), reader.cache().stats().hits), (calls, stats.hits + 1));
}
