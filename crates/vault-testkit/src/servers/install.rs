//! The ways in which a server comes onto this machine, one each: the system's packages, Go modules and
//! Python packages, in sight of whoever asked for it.
//!
//! What is installed, and in which version, is left to `pins`; where it lies, to `cache`.

pub(super) mod debian;
pub(super) mod go;
pub(super) mod python;
mod watch;

/// What is called with each line of progress.
pub(super) type Tell<'a> = &'a dyn Fn(&str);
