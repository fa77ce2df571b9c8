//! The command line about who may open: recipients, identities, passphrases.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::pair;

/// For whom `seal` seals besides the key stores.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recipients")]
pub(crate) struct SealForArgs {
    /// Seal for whom [envelope.NAME] of the configuration file says, in its scope
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = [
            "recipient", "fill_later", "threshold", "at_least", "passphrase", "passphrase_fd",
        ],
    )]
    pub(crate) envelope: Option<String>,
    /// Seal for a public key, vkpub1... or @FILE with some; may be repeated. Without --kms or --key no
    /// key store takes part
    #[arg(long, short, value_name = "WHO")]
    pub(crate) recipient: Vec<OsString>,
    /// Leave a slot for this key store, for `fill` to fill; may be repeated
    #[arg(long, value_name = "URI", conflicts_with = "threshold")]
    pub(crate) fill_later: Vec<OsString>,
    /// So many recipients must agree to open; each gets a share
    #[arg(long, value_name = "K")]
    pub(crate) threshold: Option<usize>,
    /// Seal once so many recipients took part; the slots of the others are left for `fill`
    #[arg(long, value_name = "N", conflicts_with_all = ["threshold", "fill_later"])]
    pub(crate) at_least: Option<usize>,
    /// Ask on the terminal for a new passphrase that opens the file. Without --kms or --key no key store
    /// takes part
    #[arg(long, conflicts_with = "passphrase_fd")]
    pub(crate) passphrase: bool,
    /// Read that passphrase from this open descriptor
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<i32>,
}

/// Whose keys open besides those of the key stores.
#[derive(Debug, Args)]
#[command(next_help_heading = "Keys to open with")]
pub(crate) struct OpenerArgs {
    /// Ask the services of [envelope.NAME] of the configuration file, in its scope
    #[arg(long, value_name = "NAME")]
    pub(crate) envelope: Option<String>,
    /// File with private keys, as `keys generate` makes it; - is standard input; may be repeated.
    /// Without --kms or --key no key store is asked
    #[arg(long, short, value_name = "FILE")]
    pub(crate) identity: Vec<PathBuf>,
    /// Ask for the file's passphrase on the terminal. Without --kms or --key no key store is asked
    #[arg(long, conflicts_with = "passphrase_fd")]
    pub(crate) passphrase: bool,
    /// Read the file's passphrase from this open descriptor
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<i32>,
    /// Try a passphrase that asks for up to so much memory [default: 256]
    #[arg(long, value_name = "MIB")]
    pub(crate) passphrase_memory: Option<u32>,
}

/// Who comes to the files that a command changes.
#[derive(Debug, Args)]
pub(crate) struct NewPassphraseArgs {
    /// Ask on the terminal for a new passphrase that opens the file from now on
    #[arg(long, conflicts_with = "new_passphrase_fd")]
    pub(crate) new_passphrase: bool,
    /// Read that passphrase from this open descriptor
    #[arg(long, value_name = "N")]
    pub(crate) new_passphrase_fd: Option<i32>,
}

/// What every command takes that changes headers.
#[derive(Debug, Args)]
pub(crate) struct HeaderArgs {
    /// Sealed files, changed in place
    #[arg(required = true, value_name = "IN")]
    pub(crate) inputs: Vec<PathBuf>,
    /// The scope, where the header does not store it
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) scope: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) openers: OpenerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RewrapArgs {
    #[command(flatten)]
    pub(crate) header: HeaderArgs,
    /// Replace the slots at hand by slots for a key store (local:PATH#KEY) or a public key (vkpub1... or
    /// @FILE); may be repeated
    #[arg(long, value_name = "WHO")]
    pub(crate) to: Vec<OsString>,
    #[command(flatten)]
    pub(crate) passphrase: NewPassphraseArgs,
    /// So many of --to must agree to open from now on; each gets a share
    #[arg(long, value_name = "K")]
    pub(crate) threshold: Option<usize>,
    /// So many of --to must take part now; the slots of the others are left for `fill`
    #[arg(long, value_name = "N", conflicts_with = "threshold")]
    pub(crate) at_least: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub(crate) header: HeaderArgs,
    /// A key store (local:PATH#KEY) or a public key (vkpub1... or @FILE); may be repeated
    #[arg(long, short, value_name = "WHO")]
    pub(crate) recipient: Vec<OsString>,
    #[command(flatten)]
    pub(crate) passphrase: NewPassphraseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    pub(crate) header: HeaderArgs,
    /// Key id as `inspect` shows it, local:PATH#KEY, vkpub1..., @FILE, or the word passphrase; may be
    /// repeated
    #[arg(long, short, value_name = "WHO")]
    pub(crate) recipient: Vec<OsString>,
    /// Slot by its number in `inspect`; may be repeated
    #[arg(long, value_name = "N")]
    pub(crate) slot: Vec<usize>,
}
