//! A listener to `tracing` that writes down all it hears on one thread, so that a test can search it for
//! what must not be there.

use std::fmt::{self, Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Hears every event and span of this thread until it is dropped.
///
/// ```
/// use vault_testkit::LogListener;
///
/// let log = LogListener::start(tracing::Level::TRACE);
/// tracing::info!(target: "somebody", key = "orders", "made");
/// assert!(log.heard().contains("INFO somebody") && log.heard().contains("key=\"orders\""));
/// ```
#[must_use = "it listens until it is dropped"]
pub struct LogListener {
    text: Text,
    _listening: DefaultGuard,
    _second: Dispatch,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<String>>);

impl LogListener {
    /// Listens on this thread, down to `level`: on a runtime of one thread, to all its tasks.
    pub fn start(level: Level) -> Self {
        let text = Text::default();
        let ear = Ear { level, text: text.clone() };
        // While `tracing` knows of one subscriber alone, code that a thread of another test reaches first is
        // switched off for this thread too; so it knows of two.
        let _second = Dispatch::new(Ear { level, text: Text::default() });
        let _listening = tracing::subscriber::set_default(ear);
        Self { text, _listening, _second }
    }

    /// All that was said so far: `LEVEL target` and `name=value`, a line each.
    #[must_use]
    pub fn heard(&self) -> String {
        self.text.lock().clone()
    }
}

impl Debug for LogListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogListener").field("bytes", &self.text.lock().len()).finish()
    }
}

impl Text {
    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Ear {
    level: Level,
    text: Text,
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{}={value:?}", field.name());
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Line(&mut self.text.lock()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Line(&mut self.text.lock()));
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = self.text.lock();
        let _ = writeln!(text, "{} {}", event.metadata().level(), event.metadata().target());
        event.record(&mut Line(&mut text));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
