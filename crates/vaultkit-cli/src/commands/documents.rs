//! `completions` and `man`: made from the command line's own definition.

use std::io;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::app::App;
use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Failure;

const NAME: &str = "vaultkit";

pub(super) fn completions(app: &App<'_>, shell: Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    print(app, &text)
}

/// One page for the program and one for each command, behind one another.
pub(super) fn man(app: &App<'_>) -> Exit {
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    match render(&command, &mut text) {
        Ok(()) => print(app, &text),
        Err(error) => app.report.failure(&Failure::stream_io("write the manual", &error)),
    }
}

fn render(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    Man::new(command.clone()).render(out)?;
    command.get_subcommands().try_for_each(|sub| render(sub, out))
}

fn print(app: &App<'_>, text: &[u8]) -> Exit {
    use std::io::Write as _;
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Ok(()) => Exit::Done,
        Err(error) => app.report.failure(&Failure::stream_io("write to standard output", &error)),
    }
}
