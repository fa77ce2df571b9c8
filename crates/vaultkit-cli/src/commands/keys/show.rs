//! Keys as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};
use vaultkit::core::KeyInfo;

use crate::text;

/// One line for each key.
pub(super) fn table(keys: &[KeyInfo]) -> String {
    let width = keys.iter().map(|info| info.key_id.as_str().len()).max().unwrap_or(0);
    let lines = keys.iter().map(|info| {
        let version = info.primary_version.clone().unwrap_or_default();
        let made = info.created_at.map(text::time).unwrap_or_default();
        let line = format!(
            "{:width$}  {:16}  version {version:<3}  made {made}  {}",
            info.key_id.as_str(),
            info.state.as_str(),
            text::safe(&info.description)
        );
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Everything about one key.
pub(super) fn lines(info: &KeyInfo) -> String {
    let mut out = format!("{}  {}", info.key_id, info.state);
    let mut line = |name: &str, value: String| {
        // Writing to a String does not fail.
        let _ = write!(out, "\n{name:12}{value}");
    };
    if !info.description.is_empty() {
        line("purpose", text::safe(&info.description));
    }
    if info.compromised {
        line("compromised", "yes: move its data to another key".to_owned());
    }
    for (name, time) in
        [("made", info.created_at), ("rotated", info.rotated_at), ("destroyed", info.deletion_at)]
    {
        if let Some(time) = time {
            line(name, text::time(time));
        }
    }
    if let Some(period) = info.rotation_period {
        line("rotates", format!("every {} days", period.as_secs() / 86_400));
    }
    for (name, value) in &info.tags {
        line("tag", text::safe(&format!("{name}={value}")));
    }
    for version in &info.versions {
        let made = version.created_at.map(text::time).unwrap_or_default();
        line(
            "version",
            format!("{:<4}{:14}{made}", version.version.as_str(), version.state.as_str()),
        );
    }
    out
}

/// A key as the one result of a command.
pub(super) fn object(info: &KeyInfo) -> Value {
    json!({ "key": bare(info) })
}

/// A key as a part of a result.
pub(super) fn bare(info: &KeyInfo) -> Value {
    let versions: Vec<Value> = info
        .versions
        .iter()
        .map(|version| {
            json!({
                "version": version.version.as_str(),
                "state": version.state.as_str(),
                "created_at": version.created_at.map(text::time),
            })
        })
        .collect();
    json!({
        "id": info.key_id.as_str(),
        "state": info.state.as_str(),
        "description": info.description,
        "primary_version": info.primary_version.as_ref().map(|version| version.as_str()),
        "versions": versions,
        "created_at": info.created_at.map(text::time),
        "rotated_at": info.rotated_at.map(text::time),
        "rotation_period_days": info.rotation_period.map(|period| period.as_secs() / 86_400),
        "deletion_at": info.deletion_at.map(text::time),
        "compromised": info.compromised,
        "tags": info.tags,
    })
}
