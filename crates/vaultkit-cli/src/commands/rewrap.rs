//! `vaultkit rewrap`: a new header before the same body, in place.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::{Value, json};
use vaultkit::core::header::{Header, ParsedHeader, SlotKind, parse};
use vaultkit::core::{ErrorKind, KeyId};
use vaultkit::envelope::Rewrapped;

use crate::app::App;
use crate::args::RewrapArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::source::{Source, is_dash, parse_header};
use crate::store::{Missing, Store};
use crate::target::Pending;
use crate::{platform, text};

/// Bytes copied between two looks at the progress bar.
const PIECE: u64 = 64 << 20;

pub(super) fn one(app: &App<'_>, input: &Path, args: &RewrapArgs) -> Result<(), Failure> {
    if is_dash(input) {
        return Err(Failure::usage("rewrap changes files in place; name a file"));
    }
    let mut source = Source::open(input)?;
    let (Some(len), Some(rights)) = (source.len, source.rights) else {
        return Err(empty_or_pipe(&source));
    };
    let before = source.file.metadata().map_err(|error| Failure::io(input, "read it", &error))?;
    let header = source.read_header()?;
    let parsed = parse_header(&header)?;
    let store = app.store(Missing::Refuse)?;
    let key = target_key(store, &parsed)?;
    let scope = scope(args, &parsed.header);
    let envelope = store.envelope(key.clone(), &scope).allow_only(store.all_keys()).build()?;
    let rewrapped = pollster::block_on(envelope.rewrap_header(&header))?;
    let Rewrapped::Changed(new) = rewrapped else {
        let line = format!("{}: current, nothing to do", text::path(input));
        return app.report.done(line, &object(input, false, &parsed.header));
    };
    // Through a link the file itself is replaced and the link stays.
    let file = fs::canonicalize(input).map_err(|error| Failure::io(input, "find it", &error))?;
    let pending = Pending::create(&file)?;
    let progress = Progress::start(&app.report, "rewrapping", Some(len));
    let body = Body { file: &source.file, start: header.len() as u64, len };
    write(&new, &body, pending.file(), &progress)
        .map_err(|error| Failure::io(input, "write it", &error))?;
    pending.keep_rights(rights)?;
    refuse_changed(&file, &before)?;
    pending.commit(true)?;
    drop(progress);
    let object = object(input, true, &parse(&new)?.header);
    app.report
        .done(format_args!("{}: moved to the current version of {key}", text::path(input)), &object)
}

/// What another program wrote there meanwhile is not thrown away.
fn refuse_changed(file: &Path, before: &fs::Metadata) -> Result<(), Failure> {
    if fs::metadata(file).is_ok_and(|now| platform::is_unchanged(before, &now)) {
        return Ok(());
    }
    let message = "another program changed it meanwhile; it is kept as it is, try again";
    Err(Failure::new(Exit::Io, ErrorKind::Conflict, message))
}

/// The named key, or the key of this store that can open the message already.
fn target_key(store: &Store, parsed: &ParsedHeader<'_>) -> Result<KeyId, Failure> {
    if let Some(key) = store.named_key() {
        return Ok(key.clone());
    }
    let slots = &parsed.header.slots;
    let own = slots.iter().find(|slot| {
        slot.kind == SlotKind::LOCAL && !slot.is_missing() && store.owns(&slot.key_id_text())
    });
    own.map(|slot| KeyId::new(slot.key_id_text())).ok_or_else(|| {
        let keys: Vec<String> = slots.iter().map(|slot| slot.key_id_text()).collect();
        let message = format!(
            "none of its keys is in this key store: it was sealed for {}; name the store with --kms",
            keys.join(", ")
        );
        Failure::new(Exit::Key, ErrorKind::KeyNotAllowed, message)
    })
}

/// The scope as given, else as stored; the header's MAC tells whether it is the right one.
fn scope(args: &RewrapArgs, header: &Header) -> Vec<(String, String)> {
    if !args.scope.is_empty() {
        return args.scope.clone();
    }
    let stored = header.stored_scope().unwrap_or_default();
    stored.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What follows the old header.
struct Body<'a> {
    file: &'a File,
    start: u64,
    len: u64,
}

/// Writes header and body. Where both headers have one length and the file system shares blocks, the
/// body is not copied at all; otherwise the system copies it without taking it through this process.
fn write(header: &[u8], body: &Body<'_>, output: &File, progress: &Progress) -> io::Result<()> {
    let count = progress.counter();
    let same_place = header.len() as u64 == body.start;
    if same_place && platform::share_blocks(body.file, output) {
        count(body.len);
        return platform::write_all_at(output, header, 0);
    }
    platform::write_all_at(output, header, 0)?;
    let (mut from, mut to) = (body.file, output);
    from.seek(SeekFrom::Start(body.start))?;
    to.seek(SeekFrom::Start(header.len() as u64))?;
    loop {
        let copied = io::copy(&mut from.take(PIECE), &mut to)?;
        count(copied);
        if copied < PIECE {
            break;
        }
    }
    let copied = to.stream_position()? - header.len() as u64;
    if copied == body.len - body.start {
        return Ok(());
    }
    Err(io::Error::other("the file changed its length while it was copied; try again"))
}

fn empty_or_pipe(source: &Source) -> Failure {
    if source.file.metadata().is_ok_and(|meta| meta.is_file()) {
        Failure::malformed("not a sealed file: it is empty; name a file that vaultkit sealed")
    } else {
        Failure::new(Exit::Io, ErrorKind::Io, "rewrap changes files in place, and this is none")
    }
}

fn object(input: &Path, changed: bool, header: &Header) -> Value {
    let slots: Vec<Value> = header
        .slots
        .iter()
        .map(|slot| json!({ "key": slot.key_id_text(), "version": slot.version.as_str() }))
        .collect();
    json!({ "rewrapped": { "path": text::path(input), "changed": changed, "slots": slots } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_or_replaced_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("message.vk");
        fs::write(&path, "one").unwrap();
        let before = fs::metadata(&path).unwrap();
        assert!(refuse_changed(&path, &before).is_ok());
        fs::write(&path, "longer").unwrap();
        assert!(refuse_changed(&path, &before).is_err());
        let other = folder.path().join("other");
        fs::write(&other, "one").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(refuse_changed(&path, &before).is_err());
        fs::remove_file(&path).unwrap();
        assert!(refuse_changed(&path, &before).is_err());
    }
}
