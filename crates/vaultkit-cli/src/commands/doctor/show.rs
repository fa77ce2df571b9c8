//! What the services answered, as text and as JSON.

use std::fmt::Write as _;

use clap::builder::styling::{AnsiColor, Style};
use serde_json::{Map, Value, json};
use vaultkit::core::{CryptoError, ErrorKind};

use super::{Answer, Check, Direction, SKEW_THAT_MATTERS, Visit};
use crate::text;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// One line for each service, and under it what to fix.
pub(super) fn table(visits: &[Visit]) -> String {
    let width = |of: fn(&Visit) -> usize| visits.iter().map(of).max().unwrap_or(0);
    let (names, providers) = (width(|visit| visit.name.len()), width(|visit| visit.provider.len()));
    let mut out = String::new();
    for visit in visits {
        // Writing to a String does not fail.
        let _ = write!(out, "{:names$}  {:providers$}", visit.name, visit.provider);
        for check in &visit.checks {
            let _ = match &check.answer {
                Answer::Yes(yes) => {
                    write!(out, "  {} {GOOD}{}{GOOD:#}", check.name, text::safe(yes))
                }
                Answer::No(error) => write!(out, "  {} {BAD}{}{BAD:#}", check.name, word(error)),
                Answer::Skipped(_) => write!(out, "  {} skipped", check.name),
            };
        }
        out.push('\n');
        let lines = visit.checks.iter().filter_map(advice);
        for line in lines.chain(skipped(visit)).chain(skew(visit)) {
            let _ = writeln!(out, "    {}", text::safe(&line));
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// One word for a failure.
fn word(error: &CryptoError) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => "denied",
        ErrorKind::KeyNotFound => "no such key",
        ErrorKind::KeyUnusable => "key unusable",
        ErrorKind::Throttled => "throttled",
        ErrorKind::TimedOut => "no answer",
        ErrorKind::Unavailable => "unavailable",
        _ => "failed",
    }
}

/// What was refused, what it is needed for, and what to do.
fn advice(check: &Check) -> Option<String> {
    let Answer::No(error) = &check.answer else { return None };
    let what_to_do = match error.kind() {
        ErrorKind::PermissionDenied => {
            "give this identity the right, or log in as another; the service's README names the rights"
        }
        ErrorKind::KeyNotFound => "check the key's name, account and region, or create it",
        ErrorKind::KeyUnusable => "enable the key, or cancel its deletion",
        ErrorKind::Throttled => "ask for a higher quota, or ask less often",
        ErrorKind::TimedOut | ErrorKind::Unavailable => {
            "check address, proxy, certificates and firewall, and whether the service is up"
        }
        ErrorKind::InvalidInput | ErrorKind::Unsupported => "correct the configuration",
        _ => "see the error",
    };
    Some(format!("{} is needed for {}: {error}; {what_to_do}", check.name, check.needed_for))
}

/// Why something was not asked.
fn skipped(visit: &Visit) -> Option<String> {
    let mut why = None;
    let names = visit.checks.iter().filter_map(|check| match check.answer {
        Answer::Skipped(because) => {
            why = Some(because);
            Some(check.name)
        }
        _ => None,
    });
    let names: Vec<&str> = names.collect();
    why.map(|why| format!("skipped {}: {why}", names.join(", ")))
}

fn skew(visit: &Visit) -> Option<String> {
    let (by, direction) = visit.skew.filter(|(by, _)| *by >= SKEW_THAT_MATTERS)?;
    let direction = if direction == Direction::Ahead { "ahead of" } else { "behind" };
    let seconds = by.as_secs();
    Some(format!(
        "this machine's clock is {seconds} s {direction} the service's: set it, or tokens and signatures fail"
    ))
}

pub(super) fn object(visit: &Visit) -> Value {
    let mut checks = Map::new();
    for check in &visit.checks {
        let answer = match &check.answer {
            Answer::Yes(answer) => json!({ "ok": true, "answer": answer }),
            Answer::Skipped(why) => json!({ "ok": false, "skipped": why }),
            Answer::No(error) => json!({
                "ok": false,
                "kind": error.kind().as_str(),
                "message": error.to_string(),
                "needed_for": check.needed_for,
            }),
        };
        checks.insert(check.name.replace(' ', "_"), answer);
    }
    let skew = visit.skew.map(|(by, direction)| {
        let seconds = by.as_secs_f64();
        if direction == Direction::Ahead { seconds } else { -seconds }
    });
    json!({
        "name": visit.name,
        "provider": visit.provider,
        "key": visit.key.as_ref().map(|key| key.as_str()),
        "checks": checks,
        "clock_ahead_by_seconds": skew,
    })
}
