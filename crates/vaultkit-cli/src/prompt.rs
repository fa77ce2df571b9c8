//! What a person is asked on the terminal: passphrases, which may also come from an open descriptor and never
//! from an argument, and whether to go on.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Write as _};

use vaultkit::core::{ErrorKind, SecureString};
use zeroize::{Zeroize as _, Zeroizing};

use crate::exit::Exit;
use crate::failure::Failure;

/// Longest passphrase in bytes.
const MAX_LEN: usize = 1_024;
/// Shortest new passphrase in bytes.
const MIN_NEW_LEN: usize = 8;

/// The first line of what can be read from the open descriptor `number`.
pub(crate) fn from_descriptor(number: i32) -> Result<SecureString, Failure> {
    let refused = |why: String| {
        let message = format!("cannot read the passphrase from descriptor {number}: {why}");
        Failure::new(Exit::Key, ErrorKind::PermissionDenied, message)
    };
    let file =
        File::open(format!("/dev/fd/{number}")).map_err(|error| refused(error.to_string()))?;
    // Sized once, so that no reallocation leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 2));
    let limit = MAX_LEN as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| refused(error.to_string()))?;
    if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        bytes.truncate(end);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    if bytes.is_empty() || bytes.len() > MAX_LEN {
        return Err(refused("it has 1 to 1024 bytes".to_owned()));
    }
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(SecureString::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(refused("it is not UTF-8".to_owned()))
        }
    }
}

/// Asks on the terminal.
pub(crate) fn ask(question: &str) -> Result<SecureString, Failure> {
    let answer = rpassword::prompt_password(format!("{question}: ")).map_err(|error| {
        Failure::usage(format!(
            "there is no terminal to ask for the passphrase on ({error}); give it through a descriptor, see --help"
        ))
    })?;
    Ok(SecureString::new(answer))
}

/// Asks on the terminal whether to go on; no, where there is none.
pub(crate) fn agrees(question: &str) -> Result<bool, Failure> {
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Ok(false);
    }
    let mut answer = String::new();
    let asked = write!(stderr, "{question} [y/N] ").and_then(|()| stdin.read_line(&mut answer));
    asked.map_err(|error| Failure::usage(format!("the terminal cannot be asked: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Refuses what anybody could guess by hand, as the key store does.
pub(crate) fn check_new(passphrase: SecureString) -> Result<SecureString, Failure> {
    if passphrase.len() < MIN_NEW_LEN {
        return Err(Failure::usage("a passphrase has at least 8 bytes; several words are better"));
    }
    Ok(passphrase)
}

/// Asks twice on the terminal, for a passphrase that nobody could correct later.
pub(crate) fn ask_new(question: &str) -> Result<SecureString, Failure> {
    let first = ask(question)?;
    let second = ask("again")?;
    if vaultkit::core::constant_time_eq(first.as_str().as_bytes(), second.as_str().as_bytes()) {
        return Ok(first);
    }
    Err(Failure::usage("the two passphrases differ; start again"))
}
