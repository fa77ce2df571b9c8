//! `vaultkit doctor`: each service by itself, whether it answers, as whom it knows us, what we may do with
//! its key, and what to do about what we may not.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use vaultkit::core::{
    Clock as _, CryptoError, ErrorKind, KeyId, KmsProvider, Scope, SecureBytes, SystemClock,
    WrapContext,
};
use vaultkit::kms::{Connected, KmsUri, connect_to};

use crate::app::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::prompt;
use crate::text;

mod show;

/// A clock that is off by more makes tokens and signatures fail: AWS takes five minutes.
const SKEW_THAT_MATTERS: Duration = Duration::from_secs(60);

/// What one service answered.
struct Visit {
    name: String,
    provider: &'static str,
    key: Option<KeyId>,
    checks: Vec<Check>,
    /// How far this machine's clock is ahead, or behind.
    skew: Option<(Duration, Direction)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ahead,
    Behind,
}

/// One question and how it was answered.
struct Check {
    name: &'static str,
    /// What to fix, where the answer was no.
    needed_for: &'static str,
    answer: Answer,
}

enum Answer {
    Yes(String),
    No(CryptoError),
    /// It was not asked, because of this.
    Skipped(&'static str),
}

impl Check {
    /// Why nothing can be sealed or opened.
    fn vital_failure(&self) -> Option<&CryptoError> {
        match &self.answer {
            Answer::No(error) if !matches!(self.name, "describe" | "i am" | "clock") => Some(error),
            _ => None,
        }
    }
}

/// What is asked about a key.
const OF_THE_KEY: [(&str, &str); 4] = [
    ("generate", "sealing"),
    ("unwrap", "opening"),
    ("wrap", "messages to several services, and rewrap"),
    ("describe", "`keys show`, and keys named by an alias"),
];

pub(super) fn run(app: &App<'_>) -> Exit {
    match visit_all(app) {
        Ok(exit) => exit,
        Err(failure) => app.report.failure(&failure),
    }
}

fn visit_all(app: &App<'_>) -> Result<Exit, Failure> {
    let services = services(app)?;
    let mut visits = Vec::new();
    for (name, uri) in services {
        app.report.detail(format_args!("asking {name}"));
        visits.push(pollster::block_on(visit(name, uri)));
    }
    let file = app.has_config().then(|| text::path(&app.config_path()));
    let services: Vec<Value> = visits.iter().map(show::object).collect();
    app.report
        .answer(show::table(&visits), &json!({ "configuration": file, "services": services }))?;
    let mut checks = visits.iter().flat_map(|visit| &visit.checks);
    Ok(checks.find_map(Check::vital_failure).map_or(Exit::Done, Exit::of))
}

/// Those of --kms or --envelope, else all of the configuration. The file of this folder alone is not enough: it
/// may have come with the folder, and whoever wrote it would be sent this user's tokens. So a person says yes first.
fn services(app: &App<'_>) -> Result<Vec<(String, KmsUri)>, Failure> {
    if !app.global.kms.is_empty() {
        let named =
            app.global.kms.iter().map(|uri| Ok((text::path(Path::new(uri)), app.service(uri)?)));
        return named.collect();
    }
    if let Some(plan) = app.envelope()? {
        let named = plan.services();
        return named.map(|name| Ok((name.to_owned(), app.service(name.as_ref())?))).collect();
    }
    let config = app.config()?.ok_or_else(|| {
        Failure::usage(
            "there is no vaultkit.toml here; name a service with --kms, or a file with --config",
        )
    })?;
    let named = config.kms_names();
    let named = named.filter_map(|name| Some((name.to_owned(), config.kms_uri(name)?.clone())));
    let services: Vec<_> = named.collect();
    if app.global.config.is_none() {
        agreed(app, &services)?;
    }
    Ok(services)
}

/// Has the user say yes to what the folder's file names.
fn agreed(app: &App<'_>, services: &[(String, KmsUri)]) -> Result<(), Failure> {
    let names = services.iter().map(|(name, uri)| format!("{name} ({})", provider(uri).0));
    let names: Vec<String> = names.collect();
    let found = format!(
        "{} names {}: it may have come with its folder, and who wrote it decides where your tokens go.",
        text::path(&app.config_path()),
        if names.is_empty() { "no service".to_owned() } else { names.join(", ") },
    );
    if prompt::agrees(&format!("{found} Ask them?"))? {
        return Ok(());
    }
    let instead = "Read it, then: vaultkit doctor --config vaultkit.toml";
    Err(Failure::usage(format!("nobody was asked. {found} {instead}")))
}

fn provider(uri: &KmsUri) -> (&'static str, Option<&KeyId>) {
    match uri {
        KmsUri::Remote(uri) => (uri.service().scheme(), uri.key()),
        KmsUri::Local { key, .. } => ("local", key.as_ref()),
        _ => ("unknown", None),
    }
}

async fn visit(name: String, uri: KmsUri) -> Visit {
    let (provider, key) = provider(&uri);
    let key = key.cloned();
    let mut visit = Visit { name, provider, key: key.clone(), checks: Vec::new(), skew: None };
    let reached = match connect_to(uri).await {
        Ok(connected) => visit.reach(&connected).await.then_some(connected),
        Err(error) => {
            visit.ask("reachable", "anything at all", Err(error));
            None
        }
    };
    match (reached, key) {
        (Some(connected), Some(key)) => visit.try_key(&*connected.kms(), &key).await,
        (Some(_), None) => visit.skip(&OF_THE_KEY, "no key is named behind its URI"),
        (None, _) => {
            if provider != "local" {
                visit.skip(&[WHO], "it was not reached");
            }
            visit.skip(&OF_THE_KEY, "it was not reached");
        }
    }
    visit
}

const WHO: (&str, &str) = ("i am", "knowing whose rights these are");

impl Visit {
    fn ask(
        &mut self,
        name: &'static str,
        needed_for: &'static str,
        answer: Result<String, CryptoError>,
    ) {
        let answer = answer.map_or_else(Answer::No, Answer::Yes);
        self.checks.push(Check { name, needed_for, answer });
    }

    fn skip(&mut self, checks: &[(&'static str, &'static str)], why: &'static str) {
        let skipped = |(name, needed_for): &(&'static str, &'static str)| Check {
            name,
            needed_for,
            answer: Answer::Skipped(why),
        };
        self.checks.extend(checks.iter().map(skipped));
    }

    /// Whether there is more to ask.
    async fn reach(&mut self, connected: &Connected) -> bool {
        let health = connected.kms().health_check().await.and_then(|health| {
            if !health.healthy {
                let error = CryptoError::new(
                    ErrorKind::Unavailable,
                    vaultkit::core::Operation::HealthCheck,
                );
                return Err(error.with_detail(health.message));
            }
            let millis = health.latency.map(|latency| format!("{} ms", latency.as_millis().max(1)));
            Ok(millis.unwrap_or_else(|| "ok".to_owned()))
        });
        let is_reachable = health.is_ok();
        self.ask("reachable", "anything at all", health);
        if !is_reachable {
            return false;
        }
        if let Some(who) = connected.who_am_i().await.transpose() {
            self.ask(WHO.0, WHO.1, who);
        }
        self.compare_clocks(connected.server_time().await);
        true
    }

    /// Not every service tells the time; one that fails to is told of.
    fn compare_clocks(&mut self, theirs: Result<Option<SystemTime>, CryptoError>) {
        match theirs {
            Ok(Some(theirs)) => {
                let ours: SystemTime = SystemClock::new().now();
                self.skew = Some(match ours.duration_since(theirs) {
                    Ok(ahead) => (ahead, Direction::Ahead),
                    Err(behind) => (behind.duration(), Direction::Behind),
                });
            }
            Ok(None) => {}
            Err(error) => self.ask("clock", "telling whether this machine's is right", Err(error)),
        }
    }

    async fn try_key(&mut self, kms: &dyn KmsProvider, key: &KeyId) {
        let ok = || "ok".to_owned();
        let [generate, unwrap, wrap, describe] = OF_THE_KEY;
        let context = match Scope::new([("vaultkit", "doctor")]) {
            Ok(scope) => WrapContext::data_key(scope),
            Err(error) => return self.ask(generate.0, generate.1, Err(error)),
        };
        let generated = kms.generate_data_key(key, &context).await;
        let bytes = SecureBytes::new(vec![0x5a; 32]);
        let wrapped = kms.wrap_data_key(key, &bytes, &context).await;
        let to_unwrap = match (&generated, &wrapped) {
            (Ok(generated), _) => Some((generated.wrapped().clone(), generated.plaintext())),
            (Err(_), Ok(wrapped)) => Some((wrapped.clone(), &bytes)),
            (Err(_), Err(_)) => None,
        };
        let unwrapped = match to_unwrap {
            None => None,
            Some((wrapped, plaintext)) => {
                let opened = kms.decrypt_data_key(&wrapped, &context).await.and_then(|opened| {
                    let operation = vaultkit::core::Operation::DecryptDataKey;
                    let failed = || CryptoError::authentication_failed(operation);
                    if opened == *plaintext { Ok(ok()) } else { Err(failed()) }
                });
                Some(opened)
            }
        };
        self.ask(generate.0, generate.1, generated.map(|_| ok()));
        match unwrapped {
            Some(opened) => self.ask(unwrap.0, unwrap.1, opened),
            None => self.skip(&[unwrap], "nothing was wrapped that it could be tried with"),
        }
        self.ask(wrap.0, wrap.1, wrapped.map(|_| ok()));
        let described = kms.describe_key(key).await.map(|info| info.state.as_str().to_owned());
        self.ask(describe.0, describe.1, described);
    }
}

#[cfg(test)]
mod tests {
    use vaultkit::core::Operation;

    use super::*;

    fn visit() -> Visit {
        let name = "main".to_owned();
        Visit { name, provider: "hcvault", key: None, checks: Vec::new(), skew: None }
    }

    #[test]
    fn a_time_that_is_not_told_for_a_failure_is_said_and_breaks_nothing() {
        let mut visit = visit();
        visit.compare_clocks(Ok(None));
        assert!(visit.checks.is_empty() && visit.skew.is_none());
        visit.compare_clocks(Err(CryptoError::new(ErrorKind::TimedOut, Operation::HealthCheck)));
        assert!(visit.checks.iter().all(|check| check.vital_failure().is_none()));
        let visits = [visit];
        let said = show::table(&visits);
        assert!(said.contains("clock") && said.contains("no answer"), "{said}");
        assert!(said.contains("whether this machine's is right"), "{said}");
        let [visit] = visits;
        assert_eq!(show::object(&visit)["checks"]["clock"]["ok"], false);
    }

    #[test]
    fn a_clock_that_is_wrong_is_told_by_how_much() {
        let mut visit = visit();
        let theirs = SystemClock::new().now() + Duration::from_secs(600);
        visit.compare_clocks(Ok(Some(theirs)));
        let said = show::table(&[visit]);
        assert!(said.contains("s behind the service's: set it"), "{said}");
    }
}
