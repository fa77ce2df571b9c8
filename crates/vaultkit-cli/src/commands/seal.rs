//! `vaultkit seal`: files and pipes to sealed streams.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use vaultkit::core::aead::{AeadAlgorithm, AeadBackend};
use vaultkit::envelope::{EnvelopeEncryption, StreamSealer};

use super::in_place;
use crate::app::{App, Bound, Counter};
use crate::args::SealArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::source::Source;
use crate::target::{Pending, Target};
use crate::{platform, text};

mod recipients;

use recipients::Sealing;

pub(super) fn run(app: &App<'_>, args: &SealArgs) -> Exit {
    let output = args.output.output.as_deref();
    match Bound::check(app, &args.bound).and_then(|bound| {
        app.check_outputs(&args.inputs, output)?;
        Ok(bound)
    }) {
        Ok(bound) => {
            let sealing = OnceCell::new();
            app.for_each(&args.inputs, |input| one(app, input, args, &bound, &sealing))
        }
        Err(failure) => app.report.failure(&failure),
    }
}

fn one(
    app: &App<'_>,
    input: &Path,
    args: &SealArgs,
    bound: &Bound,
    sealing: &OnceCell<Sealing>,
) -> Result<(), Failure> {
    let source = Source::open(input)?;
    let target = Target::of(input, args.output.output.as_deref(), |input| Ok(sealed_name(input)))?;
    target.check(args.output.force)?;
    if target == Target::Stdout && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "a sealed file is no text for a terminal; redirect it with >, or name a file with -o",
        ));
    }
    let sealing = app.keys(sealing, || Sealing::read(app, &args.seal_for))?;
    let builder = EnvelopeEncryption::to(sealing.recipients.clone());
    let envelope = builder.scope(bound.scope.iter().cloned()).build()?;
    let sealer = pollster::block_on(envelope.seal_stream(&bound.context, source.len))?;
    let missing = in_place::missing(sealer.header())?;
    let bytes = write(app, sealer, &source, &target, args.output.force)?;
    warn_if_changed(app, input, &source);
    tell(app, input, &target, &Sealed { bytes, missing }, sealing)
}

/// What came of it.
struct Sealed {
    bytes: u64,
    /// Whose slots are still to be filled.
    missing: Vec<String>,
}

/// Seals all of `source`; gives the bytes of plaintext.
fn write(
    app: &App<'_>,
    sealer: StreamSealer,
    source: &Source,
    target: &Target,
    force: bool,
) -> Result<u64, Failure> {
    let counter = Counter::default();
    let progress = Progress::start(&app.report, "sealing", source.expected);
    let show = progress.counter();
    let count = |bytes| {
        counter.add(bytes);
        show(bytes);
    };
    let workers = app.workers();
    match target {
        Target::Stdout => {
            app.report.reserve_stdout();
            let stdout = platform::stdout()
                .map_err(|error| Failure::stream_io("write to standard output", &error))?;
            sealer.seal_all(&source.file, stdout, workers, &count)?;
        }
        Target::File(path) => {
            let pending = Pending::create(path)?;
            #[cfg(unix)]
            match source.len {
                Some(len) => sealer.seal_file(&source.file, len, pending.file(), workers, &count),
                None => sealer.seal_all(&source.file, pending.file(), workers, &count).map(drop),
            }?;
            #[cfg(not(unix))]
            sealer.seal_all(&source.file, pending.file(), workers, &count)?;
            pending.limit_rights(source.rights)?;
            pending.commit(force)?;
        }
    }
    Ok(counter.total())
}

/// A file that grows while it is sealed is sealed as long as it was at the start.
fn warn_if_changed(app: &App<'_>, input: &Path, source: &Source) {
    let now = source.file.metadata().map(|meta| meta.len()).ok();
    if source.len.is_some() && now.is_some() && source.len != now {
        app.report.warning(format_args!(
            "{}: its length changed while it was sealed; seal it again when nobody writes to it",
            text::path(input)
        ));
    }
}

fn tell(
    app: &App<'_>,
    input: &Path,
    target: &Target,
    sealed: &Sealed,
    sealing: &Sealing,
) -> Result<(), Failure> {
    let output = match target {
        Target::Stdout => "-".to_owned(),
        Target::File(path) => text::path(path),
    };
    let input = text::path(input);
    let object = json!({ "sealed": {
        "input": input, "output": output, "plaintext_bytes": sealed.bytes,
        "key": sealing.names.first(), "recipients": sealing.names, "missing": sealed.missing,
    }});
    if sealing.asks_all {
        in_place::warn_of_missing(app, &output, &sealed.missing);
    }
    let backend = AeadBackend::fastest(AeadAlgorithm::Aes256Gcm);
    let names = sealing.names.join(", ");
    app.report.detail(format_args!("key {names}, {} threads, {backend:?}", app.workers().get()));
    app.report.done(format_args!("{input} -> {output}   {}", text::size(sealed.bytes)), &object)
}

fn sealed_name(input: &Path) -> PathBuf {
    let mut name = OsString::from(input);
    name.push(".vk");
    name.into()
}
