//! Memory of the heap for each data key that a reader keeps, the pages of keys aside.

use pollster::block_on;
use vault_crypto_core::EncryptedData;
use vault_crypto_core::header::parse;
use vault_envelope::CachePolicy;

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
    // Room for all of them on every shelf, so that none makes room for another.
    let policy = CachePolicy::default().with_capacity(4 * KEYS);
    let envelope = subject.fellow(|builder| builder.cache(policy));
    // What a thread and a cache need with one key or with many.
    let first = block_on(subject.envelope.encrypt(&[7; 64], &context)).expect("sealed");
    drop(block_on(envelope.decrypt(&first, &context)).expect("its own"));
    let before = heap_in_use();
    for record in &sealed {
        drop(block_on(envelope.decrypt(record, &context)).expect("its own"));
    }
    let grown = heap_in_use().saturating_sub(before);
    let kept = envelope.cache().stats().opening_keys - 1;
    assert_eq!(kept, KEYS as u64, "all are kept");
    let each = grown as f64 / KEYS as f64;
    let front = parse(sealed[0].as_ref()).expect("a header").len();
    let title = format!("{KEYS} data keys kept for opening");
    let mut table =
        Table::new("cache-memory".into(), title, ["heap bytes for each", "of them the header"]);
    table.row("ours", [format!("{each:.0}"), front.to_string()]);
    table.verdict("heap bytes for each cached data key".into(), Target::AtMost(LIMIT), each);
    table
}
