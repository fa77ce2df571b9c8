//! How often the KMS is called for a million records, on a clock that is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{EncryptedData, MemoryStorage};
use vault_envelope::{BranchKeys, EnvelopeBuilder, EnvelopeEncryption};
use vault_testkit::VirtualClock;

use super::at_once;
use super::subject::{Subject, context};
use crate::report::Table;

const MILLION: usize = 1_000_000;
const TENANTS: usize = 10;
const PROCESSES: usize = 8;

/// How a fleet is set up.
#[derive(Clone, Copy)]
enum Setup {
    Uncached,
    Default,
    Branches,
}

impl Setup {
    const ALL: [Self; 3] = [Self::Uncached, Self::Default, Self::Branches];

    fn name(self) -> &'static str {
        match self {
            Self::Uncached => "without a cache",
            Self::Default => "default budgets",
            Self::Branches => "with branch keys",
        }
    }

    /// `storage` is the fleet's.
    fn apply(self, builder: EnvelopeBuilder, storage: &Arc<MemoryStorage>) -> EnvelopeBuilder {
        match self {
            Self::Uncached => builder.without_cache(),
            Self::Default => builder,
            Self::Branches => builder.branch_keys(BranchKeys::new(storage.clone())),
        }
    }
}

/// Processes of one service, each with its cache; every process serves every tenant.
struct Fleet {
    subject: Subject,
    clock: VirtualClock,
    /// By process, then by tenant.
    envelopes: Vec<Vec<EnvelopeEncryption>>,
}

impl Fleet {
    fn new(processes: usize, tenants: usize, setup: Setup) -> Self {
        let clock = VirtualClock::new();
        let subject = Subject::new(None);
        let storage = Arc::new(MemoryStorage::new());
        let envelopes = (0..processes)
            .map(|_| {
                let clock = Arc::new(clock.clone());
                let envelope =
                    subject.fellow(|builder| setup.apply(builder, &storage).clock(clock));
                let scoped = |tenant: usize| envelope.scoped([("tenant", tenant.to_string())]);
                (0..tenants).map(|tenant| scoped(tenant).expect("a good scope")).collect()
            })
            .collect();
        Self { subject, clock, envelopes }
    }

    /// One of the envelopes, each process and tenant in turn.
    fn member(&self, number: usize) -> &EnvelopeEncryption {
        let process = &self.envelopes[number % self.envelopes.len()];
        &process[(number / self.envelopes.len()) % process.len()]
    }

    fn seal(&self, number: usize) -> EncryptedData {
        at_once(self.member(number).encrypt(&[7; 64], &context())).expect("sealed")
    }
}

pub fn run() -> Table {
    let columns: Vec<&str> = Setup::ALL.iter().map(|setup| setup.name()).collect();
    let title = "KMS calls for a million records at 1,000 a second".to_owned();
    let mut table = Table::new("cache-calls".into(), title, []);
    table.columns = columns.into_iter().map(ToOwned::to_owned).collect();
    let rows: [(&str, fn(Setup) -> u64); 4] = [
        ("seal, one process, one tenant", |setup| seal(1, 1, setup)),
        ("seal, 8 processes, 10 tenants", |setup| seal(PROCESSES, TENANTS, setup)),
        ("open what another process has just sealed, 8 and 10", open_new),
        ("open records of the last day, 8 and 10", open_old),
    ];
    for (name, count) in rows {
        table.row(name, Setup::ALL.map(|setup| count(setup).to_string()));
    }
    table
}

fn seal(processes: usize, tenants: usize, setup: Setup) -> u64 {
    let fleet = Fleet::new(processes, tenants, setup);
    let before = fleet.subject.calls();
    for number in 0..MILLION {
        drop(fleet.seal(number));
        fleet.clock.advance(Duration::from_millis(1));
    }
    fleet.subject.calls() - before
}

fn open_new(setup: Setup) -> u64 {
    let fleet = Fleet::new(PROCESSES, TENANTS, setup);
    let mut calls = 0;
    for number in 0..MILLION {
        let sealed = fleet.seal(number);
        let before = fleet.subject.calls();
        // The same tenant in the next process.
        let reader = &fleet.envelopes[(number + 1) % PROCESSES][(number / PROCESSES) % TENANTS];
        drop(at_once(reader.decrypt(&sealed, &context())).expect("its own"));
        calls += fleet.subject.calls() - before;
        fleet.clock.advance(Duration::from_millis(1));
    }
    calls
}

/// Records of 24 hours, sealed in every process for every tenant each five minutes, opened at random.
fn open_old(setup: Setup) -> u64 {
    let fleet = Fleet::new(PROCESSES, TENANTS, setup);
    let mut records = Vec::new();
    for _ in 0..24 * 12 {
        records.extend((0..PROCESSES * TENANTS).map(|number| fleet.seal(number)));
        fleet.clock.advance(Duration::from_secs(301));
    }
    let before = fleet.subject.calls();
    let mut random = 88_172_645_463_325_252_u64;
    for _ in 0..MILLION {
        // Marsaglia's xorshift: the same order in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let place = random as usize % records.len();
        let tenant = (place / PROCESSES) % TENANTS;
        let reader = &fleet.envelopes[(random >> 40) as usize % PROCESSES][tenant];
        drop(at_once(reader.decrypt(&records[place], &context())).expect("its own"));
        fleet.clock.advance(Duration::from_millis(1));
    }
    fleet.subject.calls() - before
}
