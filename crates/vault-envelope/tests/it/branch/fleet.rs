//! A fleet: many processes over one storage and one KMS, an hour of virtual time, every call counted.

use std::time::Duration;

use vault_crypto_core::{Clock as _, Operation};
use vault_envelope::{BranchKeys, EnvelopeEncryption};

use super::support::World;
use crate::it::support::context;

const PROCESSES: usize = 50;
const SCOPES: usize = 20;
const STEPS: usize = 60;

/// Every process seals and opens in every scope once a minute, for an hour: 60,000 values sealed and
/// as many opened, each by another process than the one that sealed it.
fn an_hour(world: &World, fleet: &[Vec<EnvelopeEncryption>]) {
    let context = context();
    let end = world.clock.monotonic() + Duration::from_secs(3_600);
    for step in 0..STEPS {
        for scope in 0..SCOPES {
            let mut sealed: Vec<Vec<u8>> = Vec::with_capacity(PROCESSES);
            for process in fleet {
                let one = world.clock.run(process[scope].encrypt(b"value", &context));
                sealed.push(one.unwrap().into_bytes());
            }
            for (index, process) in fleet.iter().enumerate() {
                let from_another = &sealed[(index + step + 1) % PROCESSES];
                let opened = world.clock.run(process[scope].decrypt(from_another, &context));
                assert_eq!(opened.unwrap(), b"value");
            }
        }
        world.clock.advance(Duration::from_secs(59));
    }
    world.clock.advance(end.saturating_sub(world.clock.monotonic()));
}

fn scopes(process: &EnvelopeEncryption) -> Vec<EnvelopeEncryption> {
    (0..SCOPES).map(|n| process.scoped([("tenant", n.to_string())]).unwrap()).collect()
}

#[test]
fn an_hour_of_a_fleet_costs_one_call_per_process_and_scope() {
    let world = World::new();
    // Nobody's key grows too old within this hour.
    let fleet: Vec<_> = (0..PROCESSES)
        .map(|_| world.process_with(|keys| keys.with_max_age(Duration::from_secs(7_200))))
        .map(|process| scopes(&process))
        .collect();
    an_hour(&world, &fleet);
    let calls = world.kms.calls();
    assert_eq!(calls.of(Operation::GenerateDataKey), SCOPES as u64);
    assert_eq!(calls.total(), (SCOPES + PROCESSES * SCOPES) as u64);
    let stats = fleet[0][0].branch_stats();
    let looks = 3_600 / 300 * SCOPES as u64;
    assert!(stats.lists <= looks && stats.gets <= SCOPES as u64, "{stats:?}");
}

#[test]
fn under_a_root_branch_an_hour_of_a_fleet_costs_one_or_two_calls_per_process() {
    let world = World::new();
    let fleet: Vec<_> = (0..PROCESSES).map(|_| scopes(&under_a_root(&world))).collect();
    an_hour(&world, &fleet);
    let total = world.kms.calls().total();
    // One to make the root, one unwrap by each process, and one more where its hour is over.
    assert_eq!(world.kms.calls().of(Operation::GenerateDataKey), 1);
    let least = PROCESSES as u64;
    assert!((least..=2 * least + 1).contains(&total), "{total} calls");
}

#[test]
fn without_branch_keys_the_same_fleet_asks_a_hundred_times_as_often() {
    let world = World::new();
    // A tenth of the fleet and of the scopes says enough.
    let fleet: Vec<_> = (0..5).map(|_| world.without_branches()).collect();
    let context = context();
    for _ in 0..60 {
        for process in &fleet {
            world.clock.run(process.encrypt(b"value", &context)).unwrap();
        }
        world.clock.advance(Duration::from_secs(60));
    }
    // A new data key for each process every five minutes, in one scope.
    let total = world.kms.calls().total();
    assert!(total >= 5 * 10, "{total} calls");
}

/// A process whose tenants' branches are wrapped by one root branch.
fn under_a_root(world: &World) -> EnvelopeEncryption {
    let root = world.process().branch_kms().unwrap();
    let key = root.key_id().clone();
    EnvelopeEncryption::builder(std::sync::Arc::new(root), key)
        .clock(std::sync::Arc::new(world.clock.clone()))
        .branch_keys(BranchKeys::new(world.storage.clone()))
        .build()
        .unwrap()
}
