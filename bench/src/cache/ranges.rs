//! What a ranged read fetches of an object of 10 GiB, which is sealed where it is asked for.

use std::sync::Arc;
use std::time::Duration;

use pollster::block_on;
use vault_envelope::ObjectOptions;
use vault_envelope::hazmat::SyntheticObject;

use super::subject::{Subject, context};
use crate::report::{Table, Target};
use crate::system::wall_time;

const LEN: u64 = 10 << 30;
const MIB: u64 = 1 << 20;
/// Most that may be fetched for one MiB.
const LIMIT: f64 = 1.05;

pub fn run() -> Table {
    let subject = Subject::new(None);
    let context = context();
    let sealer = block_on(subject.envelope.seal_stream(&context, Some(LEN))).expect("a stream");
    let source = Arc::new(SyntheticObject::new(sealer, LEN).expect("a good length"));
    let options = ObjectOptions::default();
    let opening = subject.envelope.open_source(source.clone(), &context, options);
    let object = block_on(opening).expect("its own object");
    let title = "1 MiB of an object of 10 GiB, from".to_owned();
    let columns = ["requests", "bytes fetched", "MiB for each MiB", "ms"];
    let mut table = Table::new("cache-ranges".into(), title, columns);
    let (first, start) = source.fetched();
    table.row("(opening it)", [first.to_string(), start.to_string()]);
    for (name, at) in [
        ("the start", 0),
        ("the middle, at a chunk", LEN / 2),
        ("the middle, within a chunk", LEN / 2 + 12_345),
        ("the end", LEN - MIB),
    ] {
        let ((requests, bytes), before) = (source.fetched(), wall_time());
        let read = block_on(object.range(at..at + MIB)).expect("authentic chunks");
        let took: Duration = wall_time() - before;
        assert!(
            read.as_slice().iter().zip(at..).all(|(byte, at)| *byte == SyntheticObject::byte(at))
        );
        let (requests, bytes) = (source.fetched().0 - requests, source.fetched().1 - bytes);
        let share = bytes as f64 / MIB as f64;
        let ms = format!("{:.2}", took.as_secs_f64() * 1e3);
        table.row(name, [requests.to_string(), bytes.to_string(), format!("{share:.4}"), ms]);
        let what = format!("1 MiB of 10 GiB, from {name}: MiB fetched");
        table.verdict(what, Target::AtMost(LIMIT), share);
        let what = format!("1 MiB of 10 GiB, from {name}: requests");
        table.verdict(what, Target::AtMost(1.0), requests as f64);
    }
    table
}
