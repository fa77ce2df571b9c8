//! The commands, one module each.

use crate::app::App;
use crate::args::Command;
use crate::exit::Exit;

mod documents;
mod inspect;
mod keys;
mod open;
mod rewrap;
mod seal;

pub(crate) fn run(app: &App<'_>, command: &Command) -> Exit {
    match command {
        Command::Seal(args) => seal::run(app, args),
        Command::Open(args) => open::run(app, args),
        Command::Verify(args) => open::verify(app, args),
        Command::Inspect(args) => app.for_each(&args.inputs, |input| inspect::one(app, input)),
        Command::Rewrap(args) => app.for_each(&args.inputs, |input| rewrap::one(app, input, args)),
        Command::Keys(command) => keys::run(app, command),
        Command::Completions { shell } => documents::completions(app, *shell),
        Command::Man => documents::man(app),
    }
}
