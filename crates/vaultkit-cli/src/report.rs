//! What the program says: results, notes and failures, for people or as JSON.
//!
//! People read standard error, so that standard output holds nothing but data; what was asked for
//! (`inspect`, `keys`) is data. JSON results go to standard output unless a message goes there.

use std::cell::Cell;
use std::fmt::Display;
use std::io::Write as _;

use clap::builder::styling::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::args::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// The way out for everything that is no sealed or opened data.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    quiet: bool,
    verbose: bool,
    stdout_holds_data: Cell<bool>,
}

impl Report {
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            stdout_holds_data: Cell::new(false),
        }
    }

    pub(crate) fn json_only() -> Self {
        Self { json: true, quiet: false, verbose: false, stdout_holds_data: Cell::new(false) }
    }

    /// From here on standard output belongs to a message.
    pub(crate) fn reserve_stdout(&self) {
        self.stdout_holds_data.set(true);
    }

    /// Whether a progress bar would disturb nobody.
    pub(crate) fn allows_progress(&self) -> bool {
        !self.json && !self.quiet
    }

    /// What was done: a line for people on standard error, or an object.
    pub(crate) fn done(&self, line: impl Display, object: &Value) -> Result<(), Failure> {
        if self.json {
            return self.object(object);
        }
        self.note(line);
        Ok(())
    }

    /// What was asked for: text for people on standard output, or an object.
    pub(crate) fn answer(&self, lines: impl Display, object: &Value) -> Result<(), Failure> {
        if self.json {
            return self.object(object);
        }
        to_stdout(lines)
    }

    /// A line for people, not shown with `--quiet` or `--json`.
    pub(crate) fn note(&self, line: impl Display) {
        if !self.quiet && !self.json {
            // Nobody is left to be told that standard error is closed.
            let _ = writeln!(anstream::stderr(), "{line}");
        }
    }

    /// A line for people who asked for more.
    pub(crate) fn detail(&self, line: impl Display) {
        if self.verbose {
            self.note(line);
        }
    }

    /// Something that did not go wrong but may not be what was meant. Not silenced by `--quiet`.
    pub(crate) fn warning(&self, line: impl Display) {
        let _ = if self.json {
            writeln!(anstream::stderr(), "{}", json!({ "warning": line.to_string() }))
        } else {
            writeln!(anstream::stderr(), "{WARNING}warning:{WARNING:#} {line}")
        };
    }

    /// Says what failed; gives the exit code.
    pub(crate) fn failure(&self, failure: &Failure) -> Exit {
        if failure.is_silent {
            return failure.exit;
        }
        let path = failure.path.as_deref().map(text::path);
        let _ = if self.json {
            let object = json!({ "error": {
                "kind": failure.kind,
                "message": failure.message,
                "exit_code": failure.exit.code(),
                "path": path,
            }});
            writeln!(anstream::stderr(), "{object}")
        } else {
            let path = path.map(|path| format!("{path}: ")).unwrap_or_default();
            let message = text::safe_lines(&failure.message);
            writeln!(anstream::stderr(), "{ERROR}error:{ERROR:#} {path}{message}")
        };
        failure.exit
    }

    fn object(&self, object: &Value) -> Result<(), Failure> {
        if self.stdout_holds_data.get() {
            let _ = writeln!(anstream::stderr(), "{object}");
            return Ok(());
        }
        to_stdout(object)
    }
}

fn to_stdout(lines: impl Display) -> Result<(), Failure> {
    let mut stdout = anstream::stdout();
    writeln!(stdout, "{lines}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stream_io("write to standard output", &error))
}
