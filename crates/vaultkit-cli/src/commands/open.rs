//! `vaultkit open` and `vaultkit verify`: sealed streams, and records that the library sealed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use vaultkit::core::header::{ParsedHeader, Shape};
use vaultkit::core::{ErrorKind, SecureBytes};
use vaultkit::envelope::{EnvelopeEncryption, MAX_RECORD_LEN, OpenedBy, StreamOpener};

use crate::app::{App, Bound, Counter};
use crate::args::{OpenArgs, VerifyArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::openers::Openers;
use crate::progress::Progress;
use crate::source::{Source, parse_header};
use crate::target::{Pending, Target};
use crate::{platform, text};

pub(super) fn run(app: &App<'_>, args: &OpenArgs) -> Exit {
    let output = args.output.output.as_deref();
    match Bound::check(app, &args.bound).and_then(|bound| {
        app.check_outputs(&args.inputs, output)?;
        Ok(bound)
    }) {
        Ok(bound) => {
            let openers = Openers::new(app, &args.openers);
            app.for_each(&args.inputs, |input| open_one(app, &openers, input, args, &bound))
        }
        Err(failure) => app.report.failure(&failure),
    }
}

pub(super) fn verify(app: &App<'_>, args: &VerifyArgs) -> Exit {
    match Bound::check(app, &args.bound) {
        Ok(bound) => {
            let openers = Openers::new(app, &args.openers);
            app.for_each(&args.inputs, |input| verify_one(app, &openers, input, &bound))
        }
        Err(failure) => app.report.failure(&failure),
    }
}

fn open_one(
    app: &App<'_>,
    openers: &Openers<'_>,
    input: &Path,
    args: &OpenArgs,
    bound: &Bound,
) -> Result<(), Failure> {
    let source = Source::open(input)?;
    let target = Target::of(input, args.output.output.as_deref(), opened_name)?;
    target.check(args.output.force)?;
    let message = Message::open(openers, source, bound, "opening")?;
    let opened_by = message.opened_by().clone();
    let bytes = match &target {
        Target::Stdout => {
            app.report.reserve_stdout();
            let stdout = platform::stdout()
                .map_err(|error| Failure::stream_io("write to standard output", &error))?;
            message.write_to(app, stdout)?
        }
        Target::File(path) => {
            let pending = Pending::create(path)?;
            let rights = message.source.rights;
            let bytes = message.write_file(app, pending.file())?;
            pending.limit_rights(rights)?;
            pending.commit(args.output.force)?;
            bytes
        }
    };
    let output = match &target {
        Target::Stdout => "-".to_owned(),
        Target::File(path) => text::path(path),
    };
    let input = text::path(input);
    tell_key(app, &opened_by);
    let object = json!({ "opened": {
        "input": input, "output": output, "plaintext_bytes": bytes,
        "kind": opened_by.kind.name(), "key": opened_by.key_id.as_str(),
        "key_version": opened_by.version.as_str(),
    }});
    app.report.done(format_args!("{input} -> {output}   {}", text::size(bytes)), &object)
}

fn verify_one(
    app: &App<'_>,
    openers: &Openers<'_>,
    input: &Path,
    bound: &Bound,
) -> Result<(), Failure> {
    let message = Message::open(openers, Source::open(input)?, bound, "verifying")?;
    let opened_by = message.opened_by().clone();
    let bytes = message.write_to(app, io::sink())?;
    let input = text::path(input);
    tell_key(app, &opened_by);
    let object = json!({ "verified": {
        "input": input, "plaintext_bytes": bytes,
        "kind": opened_by.kind.name(), "key": opened_by.key_id.as_str(),
        "key_version": opened_by.version.as_str(),
    }});
    app.report.done(format_args!("{input}: authentic and whole   {}", text::size(bytes)), &object)
}

fn tell_key(app: &App<'_>, opened_by: &OpenedBy) {
    for OpenedBy { slot, kind, key_id, version, .. } in
        std::iter::once(opened_by).chain(&opened_by.together_with)
    {
        let name = text::key_name(*kind, key_id.as_str());
        let version = text::version(*kind, version);
        app.report.detail(format_args!("opened by slot {}: {name}{version}", slot + 1));
    }
}

/// A message whose key is at hand and whose header is verified.
struct Message {
    source: Source,
    content: Content,
    doing: &'static str,
}

enum Content {
    Stream(Box<StreamOpener>),
    Record(SecureBytes, OpenedBy),
}

impl Message {
    fn open(
        openers: &Openers<'_>,
        mut source: Source,
        bound: &Bound,
        doing: &'static str,
    ) -> Result<Self, Failure> {
        let header = source.read_header()?;
        let parsed = parse_header(&header)?;
        let envelope = openers.keys(&parsed.header)?.envelope(&bound.scope)?;
        let content = open_content(&envelope, &mut source, &parsed, bound)?;
        Ok(Self { source, content, doing })
    }

    fn opened_by(&self) -> &OpenedBy {
        match &self.content {
            Content::Stream(opener) => opener.opened_by(),
            Content::Record(_, opened_by) => opened_by,
        }
    }

    /// Writes the plaintext in order; gives its length.
    fn write_to(self, app: &App<'_>, output: impl io::Write + Send) -> Result<u64, Failure> {
        let mut output = Counted { output, counter: Counter::default() };
        match self.content {
            Content::Stream(opener) => {
                let progress = Progress::start(&app.report, self.doing, self.source.expected);
                let show = progress.counter();
                output = opener.open_all(&self.source.file, output, app.workers(), &show)?;
            }
            Content::Record(plaintext, _) => output
                .write_all(plaintext.as_slice())
                .map_err(|error| Failure::stream_io("write the output", &error))?,
        }
        Ok(output.counter.total())
    }

    /// Writes the plaintext into an empty file, each thread at its own place where that is possible.
    fn write_file(self, app: &App<'_>, output: &File) -> Result<u64, Failure> {
        #[cfg(unix)]
        if let (Content::Stream(_), Some(len)) = (&self.content, self.source.len) {
            let Content::Stream(opener) = self.content else { return Ok(0) };
            let progress = Progress::start(&app.report, self.doing, Some(len));
            let show = progress.counter();
            opener.open_file(&self.source.file, len, output, app.workers(), &show)?;
            let meta = output.metadata();
            return Ok(meta.map_err(|error| Failure::stream_io("write the output", &error))?.len());
        }
        self.write_to(app, output)
    }
}

fn open_content(
    envelope: &EnvelopeEncryption,
    source: &mut Source,
    parsed: &ParsedHeader<'_>,
    bound: &Bound,
) -> Result<Content, Failure> {
    match parsed.header.shape {
        Shape::Stream => {
            let body = &mut &source.file;
            let opening = envelope.open_detached(parsed.bytes, body, &bound.context);
            Ok(Content::Stream(Box::new(pollster::block_on(opening)?)))
        }
        Shape::Record => {
            let sealed = read_record(parsed.bytes, source)?;
            let key = pollster::block_on(envelope.opening_key(&sealed))?;
            let plaintext = key.open(&sealed, &bound.context)?;
            Ok(Content::Record(plaintext, key.opened_by().clone()))
        }
        _ => Err(Failure::malformed("a stored key, not a message; there is nothing in it to open")),
    }
}

/// All of a record, header included. Longer than any record is an error before it is in memory.
fn read_record(header: &[u8], source: &Source) -> Result<Vec<u8>, Failure> {
    // Prologue, tags and padding fit easily into an eighth.
    let limit = (MAX_RECORD_LEN + MAX_RECORD_LEN / 8) as u64;
    let mut sealed = header.to_vec();
    let read = (&source.file).take(limit + 1).read_to_end(&mut sealed);
    let read = read.map_err(|error| Failure::stream_io("read the input", &error))?;
    if read as u64 > limit {
        let message = "it is longer than a record can be, so it was altered, or is none";
        return Err(Failure::new(Exit::Other, ErrorKind::LimitExceeded, message));
    }
    Ok(sealed)
}

/// Counts what is written through it.
struct Counted<W> {
    output: W,
    counter: Counter,
}

impl<W: io::Write> io::Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.output.write(bytes)?;
        self.counter.add(len as u64);
        Ok(len)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let len = self.output.write_vectored(slices)?;
        self.counter.add(len as u64);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn opened_name(input: &Path) -> Result<PathBuf, Failure> {
    let is_sealed = input.extension() == Some(OsStr::new("vk"));
    is_sealed.then(|| input.with_extension("")).ok_or_else(|| {
        Failure::usage("its name does not end in .vk, so say with -o where the output goes")
            .at(input)
    })
}
