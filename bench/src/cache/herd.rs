//! A herd: everybody wants the same data key at once, and nobody has it.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use pollster::block_on;
use vault_crypto_core::{Clock, EncryptedData, Operation, SystemClock};
use vault_testkit::{Fault, Faults, VirtualClock};

use super::join;
use super::subject::{Subject, context};
use crate::peers;
use crate::report::{Table, Target};

/// How many at once.
pub const HERD: usize = 3_000;
/// How long the KMS takes.
pub const LATENCY: Duration = Duration::from_millis(50);

pub fn run() -> Table {
    let subject = Subject::new(None);
    let sealed = block_on(subject.envelope.encrypt(&[7; 1024], &context())).expect("sealed");
    let title =
        format!("{HERD} at once, nothing cached, a KMS that takes {} ms", LATENCY.as_millis());
    let mut table = Table::new("cache-herd".into(), title, ["KMS calls"]);
    let own = [
        ("ours, open, futures of one thread", futures(&subject, Some(&sealed))),
        ("ours, seal, futures of one thread", futures(&subject, None)),
        ("ours, open, a thread each", threads(&subject, Some(&sealed))),
        ("ours, seal, a thread each", threads(&subject, None)),
    ];
    for (name, calls) in own {
        table.row(name, [calls.to_string()]);
        table.verdict(
            format!("{HERD} cold misses, {name}: KMS calls"),
            Target::AtMost(1.0),
            calls as f64,
        );
    }
    for (name, calls) in peers::cache_herds() {
        table.row(&name, [calls.to_string()]);
    }
    table
}

/// Faults that let every call take its time.
fn slow(clock: Arc<dyn Clock>) -> Faults {
    let faults = Faults::new(clock);
    faults.push_times(2 * HERD, Fault::Delay(LATENCY));
    faults
}

fn calls(faults: &Faults) -> u64 {
    let calls = faults.calls();
    calls.of(Operation::GenerateDataKey) + calls.of(Operation::DecryptDataKey)
}

fn futures(subject: &Subject, sealed: Option<&EncryptedData>) -> u64 {
    let clock = VirtualClock::new();
    let faults = slow(Arc::new(clock.clone()));
    let envelope = subject.behind(&faults, Arc::new(clock.clone()));
    let context = context();
    let all = (0..HERD).map(|_| {
        let (envelope, context) = (&envelope, &context);
        let future: std::pin::Pin<Box<dyn Future<Output = ()>>> = match sealed {
            Some(sealed) => Box::pin(async move {
                drop(envelope.decrypt(sealed, context).await.expect("opened"));
            }),
            None => Box::pin(async move {
                drop(envelope.encrypt(&[7; 1024], context).await.expect("sealed"));
            }),
        };
        future
    });
    clock.run(join(all));
    calls(&faults)
}

fn threads(subject: &Subject, sealed: Option<&EncryptedData>) -> u64 {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let faults = slow(clock.clone());
    let envelope = subject.behind(&faults, clock);
    let context = context();
    crowd(|| match sealed {
        Some(sealed) => drop(block_on(envelope.decrypt(sealed, &context)).expect("opened")),
        None => drop(block_on(envelope.encrypt(&[7; 1024], &context)).expect("sealed")),
    });
    calls(&faults)
}

/// Does `work` on a thread for each of the herd, all starting together.
pub fn crowd(work: impl Fn() + Sync) {
    let (gate, work) = (&Barrier::new(HERD), &work);
    thread::scope(|scope| {
        for _ in 0..HERD {
            let builder = thread::Builder::new().stack_size(1 << 20);
            let spawned = builder.spawn_scoped(scope, move || {
                gate.wait();
                work();
            });
            spawned.expect("a thread");
        }
    });
}
