//! The command line: what can be asked for. What it does is left to `commands`.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::help;

mod keys;
mod people;

pub(crate) use keys::KeysCommand;
pub(crate) use people::{
    AddArgs, HeaderArgs, NewPassphraseArgs, OpenerArgs, RemoveArgs, RewrapArgs, SealForArgs,
};

/// Seal files under keys that live in a key management service
///
/// Every file is encrypted with a key of its own (AES-256-GCM in authenticated chunks), and that key is
/// wrapped by a key of a key store, which can be rotated later without touching the file's body.
#[derive(Debug, Parser)]
#[command(
    name = "vaultkit",
    bin_name = "vaultkit",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = help::MAIN,
    after_long_help = [help::MAIN, help::EXIT_CODES].join("\n\n"),
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Key store and key: local:PATH#KEY, aws-kms://ARN, hcvault://HOST/MOUNT/KEY,
    /// azurekeyvault://HOST/keys/KEY, gcp-kms://projects/..., or a name of the configuration file; may be
    /// repeated, the first one is the primary [default: the store in your data folder]
    #[arg(long, global = true, value_name = "URI")]
    pub(crate) kms: Vec<OsString>,

    /// Configuration file with services and envelopes by name; paths in it begin at its folder [default:
    /// vaultkit.toml of this folder, where a name is asked for]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Key of the first key store, by name or full id: seals under it, opens with it alone
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) key: Option<String>,

    /// Read the first key store's master secret from this open descriptor
    #[arg(long, global = true, value_name = "N", group = "master")]
    pub(crate) master_fd: Option<i32>,

    /// Read the first key store's master secret from this environment variable
    #[arg(long, global = true, value_name = "NAME", group = "master")]
    pub(crate) master_env: Option<String>,

    /// Read the first key store's passphrase from this open descriptor
    #[arg(long, global = true, value_name = "N", group = "master")]
    pub(crate) master_passphrase_fd: Option<i32>,

    /// Ask for the first key store's passphrase on the terminal
    #[arg(long, global = true, group = "master")]
    pub(crate) master_passphrase: bool,

    /// One JSON object per result on standard output, errors as JSON on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say nothing but errors and warnings
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Say which store, key and cipher backend did it
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,

    /// Work on this many threads [default: one per processor, at most 8]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

impl Global {
    /// Whether a master secret was told.
    pub(crate) fn names_master(&self) -> bool {
        self.master_fd.is_some()
            || self.master_env.is_some()
            || self.master_passphrase_fd.is_some()
            || self.master_passphrase
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Encrypt files, or standard input
    #[command(after_help = help::SEAL, after_long_help = [help::SEAL, help::EXIT_CODES].join("\n\n"))]
    Seal(SealArgs),

    /// Decrypt files that were sealed
    #[command(after_help = help::OPEN, after_long_help = [help::OPEN, help::EXIT_CODES].join("\n\n"))]
    Open(OpenArgs),

    /// Decrypt files and discard the result: are they whole and authentic?
    #[command(after_help = help::VERIFY, after_long_help = [help::VERIFY, help::EXIT_CODES].join("\n\n"))]
    Verify(VerifyArgs),

    /// Show what is in a sealed file's header; needs no key
    #[command(after_help = help::INSPECT, after_long_help = [help::INSPECT, help::EXIT_CODES].join("\n\n"))]
    Inspect(InspectArgs),

    /// Move sealed files to the current version of their keys, or to others, bodies untouched
    #[command(after_help = help::REWRAP, after_long_help = [help::REWRAP, help::EXIT_CODES].join("\n\n"))]
    Rewrap(RewrapArgs),

    /// Let somebody else open sealed files too, bodies untouched
    #[command(after_help = help::ADD, after_long_help = [help::ADD, help::EXIT_CODES].join("\n\n"))]
    AddRecipient(AddArgs),

    /// Take a key slot out of sealed files, bodies untouched
    #[command(after_help = help::REMOVE, after_long_help = [help::REMOVE, help::EXIT_CODES].join("\n\n"))]
    RemoveRecipient(RemoveArgs),

    /// Fill the key slots that were left for later, bodies untouched
    #[command(after_help = help::FILL, after_long_help = [help::FILL, help::EXIT_CODES].join("\n\n"))]
    Fill(HeaderArgs),

    /// Manage the keys of a key store or a service
    #[command(
        subcommand,
        arg_required_else_help = true,
        disable_help_subcommand = true,
        after_help = help::KEYS,
        after_long_help = [help::KEYS, help::EXIT_CODES].join("\n\n"),
    )]
    Keys(KeysCommand),

    /// Ask each service whether it answers, as whom it knows you, and what you may do
    #[command(after_help = help::DOCTOR, after_long_help = [help::DOCTOR, help::EXIT_CODES].join("\n\n"))]
    Doctor(DoctorArgs),

    /// Print completions for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        shell: Shell,
    },

    /// Print the manual, as troff
    #[command(after_help = help::MAN)]
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct SealArgs {
    /// Files to seal; - is standard input
    #[arg(required = true, value_name = "IN")]
    pub(crate) inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) bound: BoundArgs,
    #[command(flatten)]
    pub(crate) seal_for: SealForArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// Sealed files; - is standard input
    #[arg(required = true, value_name = "IN")]
    pub(crate) inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) bound: BoundArgs,
    #[command(flatten)]
    pub(crate) openers: OpenerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Sealed files; - is standard input
    #[arg(required = true, value_name = "IN")]
    pub(crate) inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) bound: BoundArgs,
    #[command(flatten)]
    pub(crate) openers: OpenerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Sealed files; - is standard input
    #[arg(required = true, value_name = "IN")]
    pub(crate) inputs: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Ask the services of this [envelope.NAME] of the configuration file alone
    #[arg(long, value_name = "NAME")]
    pub(crate) envelope: Option<String>,
}

impl Command {
    /// The `[envelope.NAME]` that was named.
    pub(crate) fn envelope(&self) -> Option<&str> {
        let named = match self {
            Self::Seal(args) => &args.seal_for.envelope,
            Self::Open(args) => &args.openers.envelope,
            Self::Verify(args) => &args.openers.envelope,
            Self::Rewrap(args) => &args.header.openers.envelope,
            Self::AddRecipient(args) => &args.header.openers.envelope,
            Self::RemoveRecipient(args) => &args.header.openers.envelope,
            Self::Fill(args) => &args.openers.envelope,
            Self::Doctor(args) => &args.envelope,
            Self::Inspect(_) | Self::Keys(_) | Self::Completions { .. } | Self::Man => &None,
        };
        named.as_deref()
    }
}

/// Where the output goes.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Output file, - for standard output, or a folder for several inputs [default: IN.vk, or IN
    /// without .vk]
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Replace an existing output file
    #[arg(long, short)]
    pub(crate) force: bool,
}

/// What the message is bound to.
#[derive(Debug, Args)]
pub(crate) struct BoundArgs {
    /// Bind to a pair that is stored nowhere; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) context: Vec<(String, String)>,
    /// Bind to a pair that tells which files may share keys; stored in the header; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) scope: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
