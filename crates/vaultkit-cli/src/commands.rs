//! The commands, one module each.

use crate::app::App;
use crate::args::Command;
use crate::exit::Exit;

mod doctor;
mod documents;
mod in_place;
mod inspect;
mod keys;
mod open;
mod recipients;
mod rewrap;
mod seal;

pub(crate) fn run(app: &App<'_>, command: &Command) -> Exit {
    match command {
        Command::Seal(args) => seal::run(app, args),
        Command::Open(args) => open::run(app, args),
        Command::Verify(args) => open::verify(app, args),
        Command::Inspect(args) => app.for_each(&args.inputs, |input| inspect::one(app, input)),
        Command::Rewrap(args) => rewrap::run(app, args),
        Command::AddRecipient(args) => recipients::add(app, args),
        Command::RemoveRecipient(args) => recipients::remove(app, args),
        Command::Fill(args) => recipients::fill(app, args),
        Command::Keys(command) => keys::run(app, command),
        Command::Doctor(_) => doctor::run(app),
        Command::Completions { shell } => documents::completions(app, *shell),
        Command::Man => documents::man(app),
    }
}
