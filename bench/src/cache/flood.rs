//! What a flood leaves of the hot keys: of wrapped keys that no KMS knows, and of real ones that are
//! opened once.

use pollster::block_on;
use vault_crypto_core::header::parse;
use vault_crypto_core::{EncryptedData, RandomSource, SystemRandom};

use super::subject::{Subject, context};
use crate::report::{Table, Target};

const HOT: usize = 100;
const FLOOD: usize = 100_000;
/// After how many of the flood a hot record is opened.
const EVERY: usize = 10;

pub fn run() -> Table {
    let mut table = Table::new(
        "cache-flood".into(),
        format!("{HOT} hot data keys in a flood of {FLOOD}"),
        ["hot records opened", "without a KMS call", "%"],
    );
    let bogus = Subject::new(None);
    let share = flood(&mut table, "bogus wrapped keys", &bogus, |sealed| {
        let context = context();
        assert!(block_on(bogus.envelope.decrypt(&altered(sealed), &context)).is_err());
    });
    let what = format!("hot records' hits in a flood of {FLOOD} bogus wrapped keys, %");
    table.verdict(what, Target::AtLeast(99.0), share);
    let real = Subject::new(None);
    flood(&mut table, "real data keys, each opened once", &real, |_| {
        let sealed = other(&real);
        drop(block_on(real.envelope.decrypt(&sealed, &context())).expect("its own"));
    });
    table
}

/// Percent of hot records that were opened without a call.
fn flood(table: &mut Table, name: &str, subject: &Subject, one: impl Fn(&EncryptedData)) -> f64 {
    let context = context();
    let hot: Vec<EncryptedData> = (0..HOT).map(|_| other(subject)).collect();
    for _ in 0..10 {
        for sealed in &hot {
            drop(block_on(subject.envelope.decrypt(sealed, &context)).expect("its own"));
        }
    }
    let (mut opened, mut hits) = (0_usize, 0_usize);
    for number in 0..FLOOD {
        one(&hot[number % HOT]);
        if number % EVERY == 0 {
            let before = subject.calls();
            let sealed = &hot[opened % HOT];
            drop(block_on(subject.envelope.decrypt(sealed, &context)).expect("its own"));
            opened += 1;
            hits += usize::from(subject.calls() == before);
        }
    }
    let share = 100.0 * hits as f64 / opened as f64;
    table.row(name, [opened.to_string(), hits.to_string(), format!("{share:.2}")]);
    share
}

/// A record under a data key of its own, made by another process.
fn other(subject: &Subject) -> EncryptedData {
    let fellow = subject.fellow(|builder| builder);
    block_on(fellow.encrypt(&[7; 64], &context())).expect("sealed")
}

/// The same record with another wrapped key, that nobody wrapped.
fn altered(sealed: &EncryptedData) -> Vec<u8> {
    let mut bytes = sealed.as_ref().to_vec();
    let wrapped = parse(&bytes).expect("a header").header.slots[0].wrapped.clone();
    let at = bytes.windows(wrapped.len()).position(|window| window == wrapped);
    let place = &mut bytes[at.expect("its own slot")..][..wrapped.len()];
    // The version in front of it stays, so that the KMS has to look.
    SystemRandom::new().fill(&mut place[4..]).expect("random bytes");
    bytes
}
