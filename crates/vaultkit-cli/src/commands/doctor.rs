//! `vaultkit doctor`: each service by itself, whether it answers, as whom it knows us, what we may do with
//! its key, and what to do about what we may not.

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
    answer: Result<String, CryptoError>,
}

impl Check {
    /// Without it nothing can be sealed or opened.
    fn is_vital(&self) -> bool {
        !matches!(self.name, "describe" | "i am")
    }
}

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
    let object = json!({ "services": visits.iter().map(show::object).collect::<Vec<Value>>() });
    app.report.answer(show::table(&visits), &object)?;
    let failed = visits.iter().flat_map(|visit| &visit.checks).filter(|check| check.is_vital());
    let failed = failed.filter_map(|check| check.answer.as_ref().err()).next();
    Ok(failed.map_or(Exit::Done, Exit::of))
}

/// Those of --kms, else all of the configuration.
fn services(app: &App<'_>) -> Result<Vec<(String, KmsUri)>, Failure> {
    if !app.global.kms.is_empty() {
        let named = app
            .global
            .kms
            .iter()
            .map(|uri| Ok((crate::text::path(std::path::Path::new(uri)), app.service(uri)?)));
        return named.collect();
    }
    let config = app.config()?.ok_or_else(|| {
        Failure::usage(
            "there is no vaultkit.toml here; name a service with --kms, or a file with --config",
        )
    })?;
    let named = config
        .kms_names()
        .filter_map(|name| config.kms_uri(name).map(|uri| (name.to_owned(), uri.clone())));
    Ok(named.collect())
}

async fn visit(name: String, uri: KmsUri) -> Visit {
    let (provider, key) = match &uri {
        KmsUri::Remote(uri) => (uri.service().scheme(), uri.key().cloned()),
        KmsUri::Local { key, .. } => ("local", key.clone()),
        _ => ("unknown", None),
    };
    let mut visit = Visit { name, provider, key: key.clone(), checks: Vec::new(), skew: None };
    let connected = match connect_to(uri).await {
        Ok(connected) => connected,
        Err(error) => {
            visit.ask("reachable", "anything at all", Err(error));
            return visit;
        }
    };
    visit.reach(&connected).await;
    if visit.checks.iter().any(|check| check.is_vital() && check.answer.is_err()) {
        return visit;
    }
    if let Some(key) = key {
        visit.try_key(&*connected.kms(), &key).await;
    }
    visit
}

impl Visit {
    fn ask(
        &mut self,
        name: &'static str,
        needed_for: &'static str,
        answer: Result<String, CryptoError>,
    ) {
        self.checks.push(Check { name, needed_for, answer });
    }

    async fn reach(&mut self, connected: &Connected) {
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
            return;
        }
        if let Some(who) = connected.who_am_i().await.transpose() {
            self.ask("i am", "knowing whose rights these are", who);
        }
        if let Ok(Some(theirs)) = connected.server_time().await {
            let ours: SystemTime = SystemClock::new().now();
            self.skew = Some(match ours.duration_since(theirs) {
                Ok(ahead) => (ahead, Direction::Ahead),
                Err(behind) => (behind.duration(), Direction::Behind),
            });
        }
    }

    async fn try_key(&mut self, kms: &dyn KmsProvider, key: &KeyId) {
        let ok = || "ok".to_owned();
        let context = match Scope::new([("vaultkit", "doctor")]) {
            Ok(scope) => WrapContext::data_key(scope),
            Err(error) => return self.ask("generate", "sealing", Err(error)),
        };
        let generated = kms.generate_data_key(key, &context).await;
        let generated = match generated {
            Ok(generated) => {
                self.ask("generate", "sealing", Ok(ok()));
                Some(generated)
            }
            Err(error) => {
                self.ask("generate", "sealing", Err(error));
                None
            }
        };
        let bytes = SecureBytes::new(vec![0x5a; 32]);
        let wrapped = kms.wrap_data_key(key, &bytes, &context).await;
        let to_unwrap = generated.as_ref().map(|key| (key.wrapped().clone(), key.plaintext()));
        let to_unwrap = match &wrapped {
            Ok(wrapped) => to_unwrap.or_else(|| Some((wrapped.clone(), &bytes))),
            Err(_) => to_unwrap,
        };
        if let Some((wrapped, plaintext)) = to_unwrap {
            let opened = kms.decrypt_data_key(&wrapped, &context).await.and_then(|opened| {
                let failed = || {
                    CryptoError::authentication_failed(vaultkit::core::Operation::DecryptDataKey)
                };
                if opened == *plaintext { Ok(ok()) } else { Err(failed()) }
            });
            self.ask("unwrap", "opening", opened);
        }
        self.ask("wrap", "messages to several services, and rewrap", wrapped.map(|_| ok()));
        let described = kms.describe_key(key).await.map(|info| info.state.as_str().to_owned());
        self.ask("describe", "`keys show`, and keys named by an alias", described);
    }
}
