//! Whom the command line names: a key at a key store, a public key, a file with public keys.

use std::ffi::OsStr;
use std::path::Path;

use vaultkit::core::SecureString;
use vaultkit::envelope::{Passphrase, PublicKey, Recipient};

use crate::app::App;
use crate::args::NewPassphraseArgs;
use crate::failure::Failure;
use crate::store::Store;
use crate::{keyring, prompt, text};

/// One of those that an argument names.
pub(crate) enum Who {
    Store(Store),
    Public(PublicKey),
}

impl Who {
    /// Reads what an argument names; stores are opened.
    pub(crate) fn read(app: &App<'_>, argument: &OsStr) -> Result<Vec<Self>, Failure> {
        if let Some(path) = after_at(argument) {
            return Ok(keyring::public_keys(&path)?.into_iter().map(Self::Public).collect());
        }
        let text = argument.to_str().unwrap_or_default().trim();
        if keyring::is_private(text) {
            return Err(Failure::usage(
                "a private key is no argument: every user of this machine may have read it; make another with `vaultkit keys generate`",
            ));
        }
        if text.starts_with("vkpub1") || text.starts_with("-----BEGIN ") {
            return Ok(vec![Self::Public(text.parse()?)]);
        }
        let is_uri = argument.as_encoded_bytes().contains(&b':');
        let config = if is_uri { None } else { app.config()? };
        if !is_uri && config.is_none_or(|config| config.kms_uri(text).is_none()) {
            return Err(Failure::usage(format!(
                "{} names nobody; write local:PATH#KEY, vkpub1... or @FILE",
                text::safe(text)
            )));
        }
        Ok(vec![Self::Store(Store::named(app, argument)?)])
    }

    /// All that arguments name.
    pub(crate) fn read_all<S: AsRef<OsStr>>(
        app: &App<'_>,
        arguments: &[S],
    ) -> Result<Vec<Self>, Failure> {
        let mut all = Vec::new();
        for argument in arguments {
            all.extend(Self::read(app, argument.as_ref())?);
        }
        Ok(all)
    }

    pub(crate) fn recipient(&self) -> Recipient {
        match self {
            Self::Store(store) => store.recipient(),
            Self::Public(key) => Recipient::public_key(key.clone()),
        }
    }

    /// A name for people: the key as it was named, or the public key.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Store(store) => store.sealing_key().to_string(),
            Self::Public(key) => short(key),
        }
    }
}

/// A public key on one line.
pub(crate) fn short(key: &PublicKey) -> String {
    let text = key.to_string();
    if text.contains('\n') {
        format!("{} {}", key.kind().name(), text::hex(&key.key_id()))
    } else {
        text
    }
}

/// The path behind an `@`.
fn after_at(argument: &OsStr) -> Option<std::path::PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let rest = argument.as_bytes().strip_prefix(b"@")?;
        Some(Path::new(OsStr::from_bytes(rest)).to_owned())
    }
    #[cfg(not(unix))]
    argument.to_str()?.strip_prefix('@').map(|rest| Path::new(rest).to_owned())
}

/// A passphrase that opens from now on, asked for twice or read from a descriptor.
pub(crate) fn new_passphrase(
    ask: bool,
    descriptor: Option<i32>,
) -> Result<Option<Passphrase>, Failure> {
    let text: SecureString = match descriptor {
        Some(number) => prompt::from_descriptor(number)?,
        None if ask => prompt::ask_new("new passphrase for the file")?,
        None => return Ok(None),
    };
    Ok(Some(Passphrase::new(prompt::check_new(text)?)?))
}

impl NewPassphraseArgs {
    /// The passphrase that these ask for.
    pub(crate) fn get(&self) -> Result<Option<Passphrase>, Failure> {
        new_passphrase(self.new_passphrase, self.new_passphrase_fd)
    }
}
