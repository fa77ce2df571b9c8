//! A new header before the same body, in place: the one way in which every command changes a sealed file.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::{Map, Value, json};
use vaultkit::core::ErrorKind;
use vaultkit::core::header::{Header, ParsedHeader, parse};

use super::inspect::slot_object;
use crate::app::App;
use crate::args::HeaderArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::source::{Source, is_dash, parse_header};
use crate::target::Pending;
use crate::{platform, text};

/// Bytes copied between two looks at the progress bar.
const PIECE: u64 = 64 << 20;

/// What a command does with a header.
pub(super) struct Change<'a> {
    /// The JSON object of its result.
    pub(super) name: &'static str,
    /// What it is doing, for the progress bar.
    pub(super) doing: &'static str,
    /// What to say where nothing was to do.
    pub(super) nothing: &'a str,
}

/// The new header, and what to say; `None` where the file is as it should be.
pub(super) type Changed = Option<(Vec<u8>, String)>;

impl Change<'_> {
    /// Changes the header of `input` by `change`. There is the old file or the new one, never half of each.
    pub(super) fn run(
        &self,
        app: &App<'_>,
        input: &Path,
        change: impl FnOnce(&ParsedHeader<'_>) -> Result<Changed, Failure>,
    ) -> Result<(), Failure> {
        if is_dash(input) {
            return Err(Failure::usage("this changes files in place; name a file"));
        }
        let mut source = Source::open(input)?;
        let (Some(len), Some(rights)) = (source.len, source.rights) else {
            return Err(empty_or_pipe(&source));
        };
        let meta = source.file.metadata();
        let before = meta.map_err(|error| Failure::io(input, "read it", &error))?;
        let header = source.read_header()?;
        let parsed = parse_header(&header)?;
        let Some((new, said)) = change(&parsed)? else {
            let line = format!("{}: {}", text::path(input), self.nothing);
            return app.report.done(line, &self.object(input, false, &parsed.header));
        };
        // Through a link the file itself is replaced and the link stays.
        let file =
            fs::canonicalize(input).map_err(|error| Failure::io(input, "find it", &error))?;
        let pending = Pending::create(&file)?;
        let progress = Progress::start(&app.report, self.doing, Some(len));
        let body = Body { file: &source.file, start: header.len() as u64, len };
        write(&new, &body, pending.file(), &progress)
            .map_err(|error| Failure::io(input, "write it", &error))?;
        pending.keep_rights(rights)?;
        refuse_changed(&file, &before)?;
        pending.commit(true)?;
        drop(progress);
        let object = self.object(input, true, &parse(&new)?.header);
        app.report.done(format_args!("{}: {said}", text::path(input)), &object)
    }

    fn object(&self, input: &Path, changed: bool, header: &Header) -> Value {
        let slots: Vec<Value> = header.slots.iter().map(slot_object).collect();
        let inner = json!({ "path": text::path(input), "changed": changed, "slots": slots });
        Value::Object(Map::from_iter([(self.name.to_owned(), inner)]))
    }
}

/// The scope as given, else as stored, and what the envelope says of it; the header's MAC tells whether it is
/// the right one.
pub(super) fn scope(
    app: &App<'_>,
    args: &HeaderArgs,
    header: &Header,
) -> Result<Vec<(String, String)>, Failure> {
    if !args.scope.is_empty() {
        return app.in_envelope(&args.scope);
    }
    let said = app.in_envelope(&[])?;
    let stored = header.stored_scope().unwrap_or_default();
    let rest = stored.pairs().filter(|(name, _)| said.iter().all(|(said, _)| said != name));
    let rest = rest.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(rest.chain(said.iter().cloned()).collect())
}

/// Whose slots are still to be filled.
pub(super) fn missing(header: &[u8]) -> Result<Vec<String>, Failure> {
    let slots = parse(header)?.header.slots;
    Ok(slots.iter().filter(|slot| slot.is_missing()).map(text::slot_name).collect())
}

/// Says who was to take part and did not.
pub(super) fn warn_of_missing(app: &App<'_>, file: &str, missing: &[String]) {
    if !missing.is_empty() {
        let names = missing.join(", ");
        app.report.warning(format_args!(
            "{file}: did not take part: {names}; `vaultkit fill` fills the slot when the service answers again"
        ));
    }
}

/// What another program wrote there meanwhile is not thrown away.
fn refuse_changed(file: &Path, before: &fs::Metadata) -> Result<(), Failure> {
    if fs::metadata(file).is_ok_and(|now| platform::is_unchanged(before, &now)) {
        return Ok(());
    }
    let message = "another program changed it meanwhile; it is kept as it is, try again";
    Err(Failure::new(Exit::Io, ErrorKind::Conflict, message))
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
        Failure::new(Exit::Io, ErrorKind::Io, "this changes files in place, and it is none")
    }
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
