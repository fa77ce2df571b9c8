//! What the metrics layer tells `tracing` and `metrics`: stable names, and never a secret.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use tracing::field::{Field, Visit};
use tracing::span;
use vault_crypto_core::layers::MetricsLayer;
use vault_crypto_core::{ErrorKind, Scope, WrapContext};
use vault_testkit::Fault;
use vault_testkit::redaction::SecretScan;

use super::support::Bench;

#[test]
fn calls_are_counted_and_traced_under_their_documented_names() {
    let bench = Bench::new();
    let kms = bench.with(MetricsLayer::new(bench.clock()));
    let recorded = Recorded::default();
    let traced = Traced::default();
    let scope = Scope::new([("tenant", "a-customer's-name"), ("table", "cards")]).unwrap();
    let context = WrapContext::data_key(scope);
    let secret = tracing::subscriber::with_default(traced.clone(), || {
        listen(&traced, || drop(bench.generate(&kms)));
        metrics::with_local_recorder(&recorded, || {
            bench.faults.push(Fault::Delay(Duration::from_millis(250)));
            let generate = || bench.clock.run(kms.generate_data_key(&bench.key, &context));
            let data_key = generate().unwrap();
            bench.faults.push(Fault::Fail(ErrorKind::Throttled));
            generate().unwrap_err();
            data_key
        })
    });

    let metrics = recorded.text();
    let labels =
        |outcome: &str| format!("[operation=generate_data_key provider=memory outcome={outcome}]");
    for expected in [
        format!("vaultkit_kms_calls_total{} 1", labels("ok")),
        format!("vaultkit_kms_calls_total{} 1", labels("throttled")),
        format!("vaultkit_kms_call_duration_seconds{} 0.25", labels("ok")),
    ] {
        assert!(metrics.contains(&expected), "{expected} is not in\n{metrics}");
    }
    let traces = traced.0.lock().unwrap().clone();
    for expected in [
        "vaultkit.kms",
        r#"operation="generate_data_key""#,
        r#"provider="memory""#,
        &format!("key_id={}", bench.key),
        r#"scope="table,tenant""#,
        r#"outcome="throttled""#,
    ] {
        assert!(traces.contains(expected), "{expected} is not in\n{traces}");
    }

    let scan = SecretScan::new(secret.plaintext().as_slice());
    scan.assert_absent("metrics", &metrics);
    scan.assert_absent("traces", &traces);
    assert!(!traces.contains("customer"), "names of the scope, never values");
}

/// Calls until both the span and the event reach this thread's subscriber. `tracing` remembers for
/// each of them whether anybody listens, and other tests, where nobody does, may have asked first.
fn listen(traced: &Traced, call: impl Fn()) {
    for _ in 0..1_000 {
        call();
        tracing::callsite::rebuild_interest_cache();
        let text = std::mem::take(&mut *traced.0.lock().unwrap());
        if text.contains("span vaultkit.kms") && text.contains("outcome=") {
            return;
        }
    }
    panic!("a call leaves no span or no event");
}

type Series = Vec<(String, Arc<AtomicU64>)>;

/// Keeps counters, and each histogram's last value as the bits of an `f64`.
#[derive(Default)]
struct Recorded {
    counters: Mutex<Series>,
    histograms: Mutex<Series>,
}

impl Recorded {
    fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.counters.lock().unwrap().iter() {
            writeln!(text, "{name} {}", value.load(Ordering::SeqCst)).unwrap();
        }
        for (name, value) in self.histograms.lock().unwrap().iter() {
            writeln!(text, "{name} {}", f64::from_bits(value.load(Ordering::SeqCst))).unwrap();
        }
        text
    }

    fn series(all: &Mutex<Series>, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}[{}]", key.name(), labels.join(" "));
        let mut all = all.lock().unwrap();
        if let Some((_, value)) = all.iter().find(|(known, _)| *known == name) {
            return Arc::clone(value);
        }
        let value = Arc::new(AtomicU64::new(0));
        all.push((name, Arc::clone(&value)));
        value
    }
}

struct Last(Arc<AtomicU64>);

impl HistogramFn for Last {
    fn record(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::SeqCst);
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Self::series(&self.counters, key))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Last(Self::series(&self.histograms, key))))
    }
}

/// Writes every span and event as text.
#[derive(Clone, Default)]
struct Traced(Arc<Mutex<String>>);

impl Visit for Traced {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        writeln!(self.0.lock().unwrap(), "{}={value:?}", field.name()).unwrap();
    }
}

impl tracing::Subscriber for Traced {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        writeln!(self.0.lock().unwrap(), "span {}", span.metadata().name()).unwrap();
        span.record(&mut self.clone());
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
