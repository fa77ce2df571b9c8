//! Storage and KMS that fail, are slow, lose answers or go back in time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join, join_all};
use vault_crypto_core::storage::{
    Expected, StorageCapabilities, StorageVersion, Stored, StoredEntry, StoredPage,
};
use vault_crypto_core::{
    ErrorKind, KmsAdmin as _, MemoryStorage, Operation, Result, StorageBackend,
};
use vault_envelope::{BranchKeys, EnvelopeEncryption};
use vault_testkit::{Fault, Faults, FaultyStorage};

use super::support::{World, place, version_of};
use crate::it::support::{context, kind_of};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn of_two_who_make_a_branch_at_once_one_wins_and_no_record_is_lost() {
    let world = World::new();
    let ((one, faults), (two, other_faults)) = (world.faulty_process(), world.faulty_process());
    // Both find no branch before either writes one.
    for faults in [&faults, &other_faults] {
        faults.push_on(Operation::StoragePut, Fault::Delay(SECOND));
    }
    let context = context();
    let both = join(one.encrypt(b"value", &context), two.encrypt(b"value", &context));
    let (first, second) = world.clock.run(both);
    assert_eq!(world.kms.calls().of(Operation::GenerateDataKey), 2);
    assert_eq!((one.branch_stats().puts, two.branch_stats().puts), (1, 1));
    for sealed in [first.unwrap(), second.unwrap()] {
        assert_eq!(version_of(sealed.as_bytes()), 1);
        for process in [&one, &two, &world.process()] {
            assert!(world.opens(process, sealed.as_bytes()));
        }
    }
    assert!(world.place_is_empty(&place(one.scope(), 2)));
}

#[test]
fn of_two_who_rotate_at_once_one_makes_the_version_and_both_get_it() {
    let world = World::new();
    let ((one, faults), (two, other_faults)) = (world.faulty_process(), world.faulty_process());
    world.seal(&one);
    for faults in [&faults, &other_faults] {
        faults.push_on(Operation::StoragePut, Fault::Delay(SECOND));
    }
    let (first, second) = world.clock.run(join(one.rotate_branch(), two.rotate_branch()));
    assert_eq!((first.unwrap(), second.unwrap()), (2, 2));
    assert!(world.place_is_empty(&place(one.scope(), 3)));
    world.clock.advance(301 * SECOND);
    let sealed = world.seal(&one);
    assert!(world.opens(&two, &sealed) && world.opens(&world.process(), &sealed));
}

#[test]
fn a_put_whose_answer_was_lost_is_recognised_as_our_own() {
    for kind in [ErrorKind::TimedOut, ErrorKind::Unavailable, ErrorKind::Conflict] {
        let world = World::new();
        let (process, faults) = world.faulty_process();
        faults.push_on(Operation::StoragePut, Fault::FailAfter(kind));
        let sealed = world.seal(&process);
        assert_eq!(world.kms.calls().of(Operation::GenerateDataKey), 1);
        // Made and opened once; nothing was unwrapped after the answer was lost.
        assert_eq!(world.kms.calls().of(Operation::DecryptDataKey), 1);
        assert!(world.opens(&world.process(), &sealed));
    }
}

#[test]
fn nothing_is_sealed_under_a_branch_key_that_may_not_be_stored() {
    for fault in [Fault::Fail(ErrorKind::Unavailable), Fault::FailAfter(ErrorKind::TimedOut)] {
        let world = World::new();
        let (process, faults) = world.faulty_process();
        faults.push_on(Operation::StoragePut, fault);
        faults.push_on(Operation::StorageGet, Fault::Fail(ErrorKind::Unavailable));
        let failed = world.clock.run(process.encrypt(b"value", &context()));
        assert!(failed.unwrap_err().is_retryable());
        assert_eq!(process.branch_stats().held, 0);
        // The next one finds what is there, or makes it.
        world.clock.advance(60 * SECOND);
        let sealed = world.seal(&process);
        assert_eq!(version_of(&sealed), 1);
        assert!(world.opens(&world.process(), &sealed));
    }
}

#[test]
fn a_storage_or_kms_that_is_away_stops_nobody_who_has_a_key_until_it_is_too_old() {
    let world = World::new();
    let (process, faults) = world.faulty_process();
    let sealed = world.seal(&process);
    world.clock.advance(301 * SECOND);
    for away in [Operation::StorageList, Operation::StorageGet] {
        for _ in 0..1000 {
            faults.push_on(away, Fault::Fail(ErrorKind::Unavailable));
        }
    }
    let during = world.seal(&process);
    assert_eq!(version_of(&during), 1);
    let asked = process.branch_stats().lists;
    world.seal(&process);
    assert_eq!(process.branch_stats().lists, asked, "it is not hammered");
    assert!(world.opens(&process, &sealed));
    world.clock.advance(3_600 * SECOND);
    let too_old = world.clock.run(process.encrypt(b"value", &context()));
    assert_eq!(kind_of(too_old), ErrorKind::Unavailable);
    faults.clear();
    world.clock.advance(60 * SECOND);
    assert!(world.opens(&process, &sealed) && world.opens(&process, &during));
    assert_eq!(version_of(&world.seal(&process)), 1);
}

#[test]
fn a_key_that_was_disabled_at_the_kms_serves_no_longer_than_its_age() {
    let world = World::new();
    let process = world.process();
    let sealed = world.seal(&process);
    world.clock.run(world.kms.disable_key(&world.key)).unwrap();
    world.clock.advance(301 * SECOND);
    assert!(world.opens(&process, &sealed));
    world.clock.advance(3_600 * SECOND);
    let refused = world.clock.run(process.decrypt(&sealed, &context()));
    assert_eq!(kind_of(refused), ErrorKind::KeyUnusable);
    let refused = world.clock.run(process.encrypt(b"value", &context()));
    assert_eq!(kind_of(refused), ErrorKind::KeyUnusable);
}

#[test]
fn a_storage_put_back_in_time_is_noticed_and_still_opens() {
    let world = World::new();
    let process = world.process();
    let old = world.seal(&process);
    world.clock.run(process.rotate_branch()).unwrap();
    let new = world.seal(&process);
    assert_eq!(version_of(&new), 2);
    world.remove(&place(process.scope(), 2));
    world.clock.advance(301 * SECOND);
    let refused = world.clock.run(process.encrypt(b"value", &context()));
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StoreDamaged);
    assert!(refused.to_string().contains("put back in time"), "{refused}");
    assert_eq!(kind_of(world.clock.run(process.rotate_branch())), ErrorKind::StoreDamaged);
    assert!(world.opens(&process, &old) && world.opens(&process, &new));
    // Even when its keys are gone from memory, the version that was seen is not forgotten.
    world.clock.advance(3_600 * SECOND);
    let refused = world.clock.run(process.encrypt(b"value", &context()));
    assert_eq!(kind_of(refused), ErrorKind::StoreDamaged);
    assert!(world.opens(&process, &old));
    let lost = world.clock.run(process.decrypt(&new, &context()));
    assert_eq!(kind_of(lost), ErrorKind::KeyNotFound);
}

/// Lists what there was, gets what there is: a replica that lags, or somebody who lies.
struct OldLists {
    storage: Arc<MemoryStorage>,
    list: Vec<String>,
    more: bool,
}

#[async_trait]
impl StorageBackend for OldLists {
    fn storage_type(&self) -> &'static str {
        "old"
    }

    fn capabilities(&self) -> StorageCapabilities {
        self.storage.capabilities()
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        self.storage.get(key).await
    }

    async fn put(&self, key: &str, value: &[u8], expected: Expected) -> Result<StorageVersion> {
        self.storage.put(key, value, expected).await
    }

    async fn delete(&self, key: &str, expected: StorageVersion) -> Result<()> {
        self.storage.delete(key, expected).await
    }

    async fn list(&self, _: &str, _: Option<&str>, _: usize) -> Result<StoredPage> {
        let old = self.list.iter().map(|key| StoredEntry::new(key, StorageVersion::new(1)));
        let mut page = StoredPage::first(old, 1000);
        page.more = self.more;
        Ok(page)
    }
}

#[test]
fn a_storage_that_lists_an_older_state_makes_nobody_seal_under_an_older_version() {
    let world = World::new();
    let process = world.process();
    world.seal(&process);
    world.clock.run(process.rotate_branch()).unwrap();
    let scope = process.scope();
    let new = world.seal(&process);
    let lists = [
        (vec![], false),
        (vec![place(scope, 1)], false),
        (vec![], true),
        (vec!["branch/".to_owned()], true),
        (vec![place(scope, 2), place(scope, 2)], false),
        (vec!["elsewhere/1".to_owned()], false),
    ];
    for (list, more) in lists {
        let shown = format!("{list:?} {more}");
        let old = OldLists { storage: world.storage.clone(), list, more };
        let reader = world.process_over(Arc::new(old), |keys| keys);
        assert!(world.opens(&reader, &new), "{shown}");
        world.clock.advance(301 * SECOND);
        let refused = world.clock.run(reader.encrypt(b"value", &context()));
        assert_eq!(kind_of(refused), ErrorKind::StoreDamaged, "{shown}");
    }
}

#[test]
fn a_thousand_who_need_one_branch_key_ask_once() {
    let world = World::new();
    let sealed: Vec<Vec<u8>> = (0..1000).map(|_| world.seal(&world.process())).collect();
    let (process, faults) = world.faulty_process();
    faults.push_on(Operation::StorageGet, Fault::Delay(SECOND));
    let calls = world.kms.calls().total();
    let context = context();
    let all = join_all(sealed.iter().map(|sealed| process.decrypt(sealed, &context)));
    assert!(world.clock.run(all).into_iter().all(|opened| opened.unwrap() == b"value"));
    let stats = process.branch_stats();
    assert_eq!((stats.gets, stats.unwraps), (1, 1));
    assert_eq!(world.kms.calls().total() - calls, 1);
}

#[test]
fn a_thousand_who_seal_first_in_a_scope_make_one_branch() {
    let world = World::new();
    let (process, faults) = world.faulty_process();
    faults.push_on(Operation::StorageList, Fault::Delay(SECOND));
    let context = context();
    let all = join_all((0..1000).map(|_| process.encrypt(b"value", &context)));
    let all = world.clock.run(all);
    assert!(all.iter().all(|sealed| version_of(sealed.as_ref().unwrap().as_bytes()) == 1));
    assert_eq!(world.kms.calls().total(), 2);
}

#[test]
fn who_is_cancelled_while_a_branch_is_made_leaves_nothing_stuck() {
    use std::task::{Context, Waker};
    use vault_testkit::FaultyKms;
    let world = World::new();
    let points = [
        Operation::StorageList,
        Operation::GenerateDataKey,
        Operation::DecryptDataKey,
        Operation::StoragePut,
    ];
    for point in points {
        let faults = Faults::new(Arc::new(world.clock.clone()));
        let storage = Arc::new(FaultyStorage::new(world.storage.clone(), faults.clone()));
        let kms = Arc::new(FaultyKms::new(world.kms.clone(), faults.clone()));
        let process = EnvelopeEncryption::builder(kms, world.key.clone())
            .scope([("cancelled", point.as_str())])
            .clock(Arc::new(world.clock.clone()))
            .branch_keys(BranchKeys::new(storage))
            .build()
            .unwrap();
        faults.push_on(point, Fault::Hang);
        let context = context();
        let mut cancelled = Box::pin(process.encrypt(b"value", &context));
        let mut waiting = Context::from_waker(Waker::noop());
        assert!(cancelled.as_mut().poll(&mut waiting).is_pending());
        assert_eq!(faults.running(), 1, "{point:?}");
        drop(cancelled);
        assert_eq!(faults.running(), 0, "{point:?}");
        let sealed = world.seal(&process);
        assert_eq!(version_of(&sealed), 1);
        assert!(world.opens(&process, &sealed));
    }
}

#[test]
fn who_waits_with_somebody_who_is_cancelled_still_gets_the_key() {
    use std::task::{Context, Waker};
    let world = World::new();
    let (process, faults) = world.faulty_process();
    faults.push_on(Operation::StorageList, Fault::Delay(SECOND));
    let context = context();
    let mut first = Box::pin(process.encrypt(b"value", &context));
    let mut second = Box::pin(process.encrypt(b"value", &context));
    let mut waiting = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut waiting).is_pending());
    assert!(second.as_mut().poll(&mut waiting).is_pending());
    drop(first);
    assert!(world.clock.run(second).is_ok());
    assert_eq!(process.branch_stats().lists, 1);
}
