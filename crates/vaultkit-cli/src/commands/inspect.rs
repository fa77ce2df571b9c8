//! `vaultkit inspect`: what a header says. No key is asked for and nothing is verified.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};
use vaultkit::core::header::{
    Binding, COMPACT_MAGIC, Extension, Header, ParsedHeader, Shape, Slot, Suite, parse,
};
use vaultkit::envelope::{CHUNK_LEN, COMPACT_OVERHEAD, plaintext_len};

use crate::app::App;
use crate::failure::Failure;
use crate::source::Source;
use crate::text;

/// Bytes that suite 3 adds to a record's content: nonce, commitment, tag.
const RECORD_OVERHEAD: u64 = 72;

pub(super) fn one(app: &App<'_>, input: &Path) -> Result<(), Failure> {
    let mut source = Source::open(input)?;
    let header = source.read_header()?;
    if header.starts_with(&COMPACT_MAGIC) {
        let len = total_len(&source, header.len())?;
        return compact(app, input, &header, len);
    }
    let parsed = parse(&header)?;
    let total = total_len(&source, header.len())?;
    let length = Length::of(&parsed.header, total.saturating_sub(header.len() as u64));
    let lines = describe(input, &parsed, &length);
    app.report.answer(lines.trim_end(), &object(input, &parsed, total, &length))
}

/// Length of the input, of which `read` bytes were read. A pipe is read to its end for it.
fn total_len(source: &Source, read: usize) -> Result<u64, Failure> {
    if let Some(len) = source.len {
        return Ok(len);
    }
    let rest = io::copy(&mut &source.file, &mut io::sink());
    let rest = rest.map_err(|error| Failure::stream_io("read the input", &error))?;
    Ok(read as u64 + rest)
}

/// What the stored length tells about the plaintext's.
enum Length {
    /// Exactly this, if nothing was cut off.
    Exact(u64),
    /// Padded: at most this.
    AtMost(u64),
    /// No message has a body of this length.
    Impossible,
    /// There is no body.
    None,
}

impl Length {
    fn of(header: &Header, body: u64) -> Self {
        if header.shape == Shape::KeyEntry {
            return if body == 0 { Self::None } else { Self::Impossible };
        }
        let content = if header.suite.is_chunked() {
            plaintext_len(body).ok()
        } else {
            body.checked_sub(RECORD_OVERHEAD)
        };
        match content {
            None => Self::Impossible,
            Some(content) if header.padded => {
                content.checked_sub(8).map_or(Self::Impossible, Self::AtMost)
            }
            Some(content) => Self::Exact(content),
        }
    }

    fn bytes(&self) -> Option<u64> {
        match self {
            Self::Exact(bytes) | Self::AtMost(bytes) => Some(*bytes),
            Self::Impossible | Self::None => None,
        }
    }

    fn describe(&self, suite: Suite) -> String {
        match self {
            Self::Exact(bytes) if suite.is_chunked() => {
                let chunks = bytes / CHUNK_LEN as u64 + 1;
                format!("{} bytes in {} chunks", text::grouped(*bytes), text::grouped(chunks))
            }
            Self::Exact(bytes) => format!("{} bytes", text::grouped(*bytes)),
            Self::AtMost(bytes) => format!("at most {} bytes (padded)", text::grouped(*bytes)),
            Self::Impossible => {
                "a body of a length that no message has: it was cut or extended".to_owned()
            }
            Self::None => "no body".to_owned(),
        }
    }
}

fn describe(input: &Path, parsed: &ParsedHeader<'_>, length: &Length) -> String {
    let header = &parsed.header;
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "{}: format 1, {}, {}, {}",
        text::path(input),
        shape_name(header.shape),
        header.suite.name(),
        length.describe(header.suite)
    );
    for (number, slot) in (1..).zip(&header.slots) {
        let name = text::slot_name(slot);
        let version = text::version(slot.kind, &slot.version);
        let _ = writeln!(out, "slot {number}  {name}{version}   {}", slot_note(slot));
    }
    let missing = header.slots.iter().filter(|slot| slot.is_missing()).count();
    if missing > 0 {
        let _ = writeln!(
            out,
            "missing {missing} of {} slots: `vaultkit fill` fills them",
            header.slots.len()
        );
    }
    if header.threshold > 1 {
        let _ = writeln!(out, "opens with {} of {} slots", header.threshold, header.slots.len());
    } else if header.slots.len() > 1 {
        let _ = writeln!(out, "opens with any one slot: it is as safe as its weakest");
    }
    if let Some(scope) = header.stored_scope() {
        let pairs: Vec<String> = scope.pairs().map(|(n, v)| format!("{n}={v}")).collect();
        let _ = writeln!(out, "scope   {}", text::safe(&pairs.join(", ")));
    }
    if header.extension(Extension::CONTEXT).is_some() {
        let _ = writeln!(out, "context stored in the header");
    }
    let _ = writeln!(
        out,
        "header  {} bytes, epoch {}, data key for {}",
        text::grouped(parsed.len() as u64),
        header.epoch,
        if header.exclusive { "this message alone" } else { "several messages" }
    );
    let _ = writeln!(out, "nothing of this is verified: no key was asked for");
    out
}

fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Record => "record",
        Shape::Stream => "stream",
        Shape::KeyEntry => "stored key",
        _ => "unknown shape",
    }
}

fn slot_note(slot: &Slot) -> &'static str {
    match slot.binding {
        _ if slot.is_missing() => "still to be filled in",
        Binding::Kms => "scope bound by the KMS",
        _ => "scope bound by the header's MAC",
    }
}

fn object(input: &Path, parsed: &ParsedHeader<'_>, total: u64, length: &Length) -> Value {
    let header = &parsed.header;
    let scope: Option<Map<String, Value>> = header
        .stored_scope()
        .map(|scope| scope.pairs().map(|(n, v)| (n.to_owned(), Value::from(v))).collect());
    json!({ "inspected": {
        "path": text::path(input),
        "verified": false,
        "format": 1,
        "shape": shape_name(header.shape),
        "suite": { "code": header.suite.code(), "name": header.suite.name() },
        "header_bytes": parsed.len(),
        "stored_bytes": total,
        "plaintext_bytes": length.bytes(),
        "padded": header.padded,
        "length_is_possible": !matches!(length, Length::Impossible),
        "exclusive": header.exclusive,
        "threshold": header.threshold,
        "missing_slots": header.slots.iter().filter(|slot| slot.is_missing()).count(),
        "epoch": header.epoch,
        "data_key_id": text::hex(&header.data_key_id),
        "scope": scope,
        "context_is_stored": header.extension(Extension::CONTEXT).is_some(),
        "slots": header.slots.iter().map(slot_object).collect::<Vec<_>>(),
    }})
}

/// A slot for `--json`.
pub(super) fn slot_object(slot: &Slot) -> Value {
    json!({
        "kind": slot.kind.name(),
        "key": slot.key_id_text(),
        "version": slot.version.as_str(),
        "scope_bound_by": if slot.binding == Binding::Kms { "kms" } else { "mac" },
        "filled": !slot.is_missing(),
        "share": (slot.share_index > 0).then_some(slot.share_index),
    })
}

/// A compact record names its data key by number only.
fn compact(app: &App<'_>, input: &Path, prefix: &[u8], total: u64) -> Result<(), Failure> {
    let suite = prefix.get(2).copied().and_then(Suite::from_code);
    let (Some(suite), Some(len)) = (suite, total.checked_sub(COMPACT_OVERHEAD as u64)) else {
        return Err(Failure::malformed(
            "not a compact record: it is cut off, or its suite is unknown",
        ));
    };
    let path = text::path(input);
    let name = suite.name();
    let object = json!({ "inspected": {
        "path": path, "verified": false, "format": 1, "shape": "compact record",
        "suite": { "code": suite.code(), "name": name }, "stored_bytes": total,
    }});
    let len = text::grouped(len);
    app.report.answer(
        format_args!(
            "{path}: format 1, compact record, {name}, at most {len} bytes\nits data key is stored apart from it\nnothing of this is verified: no key was asked for"
        ),
        &object,
    )
}
