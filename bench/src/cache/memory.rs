//! Memory of the heap for each data key that a reader keeps, the pages of keys aside.

use pollster::block_on;
use vault_crypto_core::EncryptedData;

use super::subject::{Subject, context};
use crate::report::{Table, Target};
use crate::system::heap_in_use;

const KEYS: usize = 1_000;
const LIMIT: f64 = 512.0;

pub fn run() -> Table {
    let subject = Subject::new(None);
    let context = context();
    let sealed: Vec<EncryptedData> = (0..KEYS)
        .map(|_| {
            let fellow = subject.fellow(|builder| builder);
            block_on(fellow.encrypt(&[7; 64], &context)).expect("sealed")
        })
        .collect();
    // What a thread and a cache need with one key or with many.
    let envelope = subject.fellow(|builder| builder);
    let first = block_on(subject.envelope.encrypt(&[7; 64], &context)).expect("sealed");
    drop(block_on(envelope.decrypt(&first, &context)).expect("its own"));
    let (before, calls) = (heap_in_use(), subject.calls());
    for record in &sealed {
        drop(block_on(envelope.decrypt(record, &context)).expect("its own"));
    }
    assert_eq!(subject.calls() - calls, KEYS as u64, "each data key is fetched once");
    let each = heap_in_use().saturating_sub(before) as f64 / KEYS as f64;
    for record in &sealed {
        drop(block_on(envelope.decrypt(record, &context)).expect("its own"));
    }
    let kept = KEYS as f64 - (subject.calls() - calls - KEYS as u64) as f64;
    let title = format!("{KEYS} data keys kept for opening");
    let mut table = Table::new("cache-memory".into(), title, ["kept", "heap bytes for each"]);
    table.row("ours", [format!("{kept:.0}"), format!("{each:.0}")]);
    table.verdict("heap bytes for each cached data key".into(), Target::AtMost(LIMIT), each);
    table
}
