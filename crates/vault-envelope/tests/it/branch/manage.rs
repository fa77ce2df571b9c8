//! A new version of a branch key, a list of all, and entries moved to the KMS key's current version.

use std::time::Duration;

use vault_crypto_core::{ErrorKind, KeyVersion, KmsAdmin as _, Operation, RotateOptions};
use vault_envelope::{AllowedKeys, BranchKeys, EnvelopeEncryption, Rewrapped};

use super::support::{World, place, version_of};
use crate::it::support::{context, kind_of};

const REFRESH: Duration = Duration::from_secs(300);

#[test]
fn after_a_rotation_everybody_seals_under_the_new_version_within_the_refresh_time() {
    let world = World::new();
    let (one, two) = (world.process(), world.process());
    let (old, also_old) = (world.seal(&one), world.seal(&two));
    assert_eq!(world.clock.run(one.rotate_branch()).unwrap(), 2);
    // Data keys of the old version may be in use for their budget's five minutes.
    world.clock.advance(REFRESH + Duration::from_secs(1));
    for process in [&one, &two] {
        let new = world.seal(process);
        assert_eq!(version_of(&new), 2);
        for sealed in [&old, &also_old, &new] {
            assert!(world.opens(&one, sealed) && world.opens(&two, sealed));
        }
    }
}

#[test]
fn whoever_does_not_look_yet_opens_what_the_others_seal() {
    let world = World::new();
    let (one, two) = (world.process(), world.process());
    world.seal(&two);
    world.clock.run(one.rotate_branch()).unwrap();
    let new = world.seal(&one);
    assert_eq!(version_of(&new), 2);
    assert!(world.opens(&two, &new));
}

#[test]
fn who_has_seen_a_version_in_a_record_seals_under_no_older_one() {
    let world = World::new();
    let (one, two) = (world.process(), world.process());
    world.seal(&two);
    world.clock.run(one.rotate_branch()).unwrap();
    let new = world.seal(&one);
    world.clock.advance(Duration::from_secs(301));
    assert!(world.opens(&two, &new));
    assert_eq!(version_of(&world.seal(&two)), 2);
}

#[test]
fn the_first_rotation_makes_a_branch_that_nobody_had() {
    let world = World::new();
    let process = world.process();
    assert_eq!(world.clock.run(process.rotate_branch()).unwrap(), 1);
    assert_eq!(world.clock.run(process.rotate_branch()).unwrap(), 2);
    assert_eq!(version_of(&world.seal(&process)), 2);
}

#[test]
fn the_storage_is_listed_with_scopes_and_keys() {
    let world = World::new();
    let process = world.process();
    for tenant in ["a", "b", "c"] {
        world.seal(&process.scoped([("tenant", tenant)]).unwrap());
    }
    world.clock.run(process.scoped([("tenant", "b")]).unwrap().rotate_branch()).unwrap();
    world.plant("branch/not-one-of-ours", b"x");
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = world.clock.run(process.branches(after.as_deref(), 2)).unwrap();
        all.extend(page.branches);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 4);
    assert!(all.is_sorted_by_key(|branch| (branch.name.clone(), branch.version)));
    let b = process.scoped([("tenant", "b")]).unwrap();
    let versions: Vec<u32> = all
        .iter()
        .filter(|branch| branch.scope.as_ref() == Some(b.scope()))
        .map(|branch| branch.version)
        .collect();
    assert_eq!(versions, [1, 2]);
    let by = vec![(world.key.clone(), KeyVersion::from(1))];
    assert!(all.iter().all(|branch| branch.wrapped_by == by));
}

fn rewrap(world: &World, process: &EnvelopeEncryption) -> (u64, u64, u64, u64) {
    let mut seen = 0;
    let counts = world.clock.run(process.rewrap_branches(|_| seen += 1)).unwrap();
    assert_eq!(seen, counts.moved + counts.unchanged + counts.failed);
    (counts.moved, counts.unchanged, counts.failed, counts.elsewhere)
}

#[test]
fn after_a_rotation_at_the_kms_all_entries_move_and_no_record_does() {
    let world = World::new();
    let process = world.process();
    let tenants = ["a", "b"].map(|t| process.scoped([("tenant", t)]).unwrap());
    let sealed = tenants.each_ref().map(|tenant| world.seal(tenant));
    world.clock.run(tenants[0].rotate_branch()).unwrap();
    assert_eq!(rewrap(&world, &process), (0, 3, 0, 0));

    world.clock.run(world.kms.rotate_key(&world.key, RotateOptions::now())).unwrap();
    let old = world.entry(tenants[0].scope(), 1);
    assert_eq!(rewrap(&world, &process), (3, 0, 0, 0));
    assert_eq!(rewrap(&world, &process), (0, 3, 0, 0));
    let new = world.entry(tenants[0].scope(), 1);
    let [old, new] = [&old, &new].map(|entry| vault_crypto_core::header::parse(entry).unwrap());
    assert_eq!((old.covered, old.mac), (new.covered, new.mac));
    assert_eq!(new.header.slots[0].version, KeyVersion::from(2));

    let fresh = world.process();
    for (tenant, sealed) in ["a", "b"].iter().zip(&sealed) {
        assert!(world.opens(&fresh.scoped([("tenant", *tenant)]).unwrap(), sealed));
    }
}

#[test]
fn rewrapping_keeps_to_the_scopes_and_keys_of_the_envelope() {
    let world = World::new();
    let process = world.process();
    let a = process.scoped([("tenant", "a")]).unwrap();
    world.seal(&a);
    world.seal(&process.scoped([("tenant", "b")]).unwrap());
    let elsewhere = world.without_scope();
    world.seal(&elsewhere.scoped([("service", "billing")]).unwrap());
    let other_key = world.kms.add_key("other").unwrap();
    let other = world.process_under(other_key).scoped([("tenant", "c")]).unwrap();
    world.seal(&other);
    world.clock.run(world.kms.rotate_key(&world.key, RotateOptions::now())).unwrap();
    assert_eq!(rewrap(&world, &a), (1, 0, 0, 3));
    // The one of `other` is within the scope and sealed for another key.
    assert_eq!(rewrap(&world, &process), (1, 1, 0, 2));
}

#[test]
fn branches_move_to_another_key_by_the_operation_that_says_so() {
    let world = World::new();
    let a = world.process().scoped([("tenant", "a")]).unwrap();
    let sealed = world.seal(&a);
    let new_key = world.kms.add_key("new").unwrap();
    let old_keys = AllowedKeys::none().key(world.kms.clone(), world.key.clone());
    let keys = BranchKeys::new(world.storage.clone());
    let mover = EnvelopeEncryption::builder(world.kms.clone(), new_key.clone())
        .scope([("service", "orders")])
        .allow(old_keys)
        .branch_keys(keys)
        .build()
        .unwrap();
    assert_eq!(rewrap(&world, &mover), (0, 0, 0, 1));
    let mut names = Vec::new();
    let moved = world.clock.run(mover.move_branches(|item| names.push(item.name))).unwrap();
    assert_eq!((moved.moved, moved.elsewhere, names.len()), (1, 0, 1));
    let again = world.clock.run(mover.move_branches(|_| ())).unwrap();
    assert_eq!((again.moved, again.unchanged), (0, 1));
    let only_new = world.process_under(new_key).scoped([("tenant", "a")]).unwrap();
    assert!(world.opens(&only_new, &sealed));
    let only_old = world.process().scoped([("tenant", "a")]).unwrap();
    let refused = world.clock.run(only_old.decrypt(&sealed, &context()));
    assert_eq!(kind_of(refused), ErrorKind::KeyNotAllowed);
}

#[test]
fn an_entry_that_fails_is_reported_and_the_others_go_on() {
    let world = World::new();
    let process = world.process();
    let tenants = ["a", "b", "c"].map(|t| process.scoped([("tenant", t)]).unwrap());
    tenants.iter().for_each(|tenant| drop(world.seal(tenant)));
    world.clock.run(world.kms.rotate_key(&world.key, RotateOptions::now())).unwrap();
    let broken = place(tenants[1].scope(), 1);
    world.plant(&broken, b"not an entry");
    let mut failed = Vec::new();
    let counts = world.clock.run(process.rewrap_branches(|item| {
        if let Err(error) = item.outcome {
            failed.push((format!("branch/{}/{:010}", item.name, item.version), error.kind()));
        }
    }));
    let counts = counts.unwrap();
    assert_eq!((counts.moved, counts.failed), (2, 1));
    assert_eq!(failed, [(broken.clone(), ErrorKind::StoreDamaged)]);
    assert_eq!(world.stored(&broken).unwrap().value, b"not an entry");
}

#[test]
fn two_who_rewrap_at_once_leave_every_entry_moved_once() {
    use vault_testkit::Fault;
    let world = World::new();
    let (one, faults) = world.faulty_process();
    let sealed = world.seal(&one);
    let two = world.process();
    world.clock.run(world.kms.rotate_key(&world.key, RotateOptions::now())).unwrap();
    // One has read the entry and is slow to write; meanwhile two is done.
    faults.push_on(Operation::StoragePut, Fault::Delay(Duration::from_secs(5)));
    let slow = async {
        one.rewrap_branches(|item| assert!(matches!(item.outcome, Ok(Rewrapped::Unchanged)))).await
    };
    let quick = async {
        vault_crypto_core::Clock::sleep(&world.clock, Duration::from_secs(1)).await;
        two.rewrap_branches(|item| assert!(matches!(item.outcome, Ok(Rewrapped::Changed(())))))
            .await
    };
    let (slow, quick) = world.clock.run(futures_util::future::join(slow, quick));
    assert_eq!((slow.unwrap().unchanged, quick.unwrap().moved), (1, 1));
    assert!(world.opens(&world.process(), &sealed));
}

#[test]
fn without_stored_scopes_a_branch_is_rewrapped_from_its_scope() {
    let world = World::new();
    let keys = vault_envelope::BranchKeys::new(world.storage.clone());
    let builder = world.builder().without_stored_scope().branch_keys(keys);
    let process = builder.build().unwrap();
    let a = process.scoped([("tenant", "a")]).unwrap();
    let sealed = world.seal(&a);
    world.clock.run(world.kms.rotate_key(&world.key, RotateOptions::now())).unwrap();
    assert_eq!(rewrap(&world, &process), (0, 0, 1, 0));
    assert_eq!(rewrap(&world, &a), (1, 0, 0, 0));
    let wrong = world.clock.run(process.decrypt(&sealed, &context()));
    assert_eq!(kind_of(wrong), ErrorKind::KeyNotFound);
    assert!(world.opens(&a, &sealed));
}
