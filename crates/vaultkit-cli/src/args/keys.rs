//! The command line of `vaultkit keys`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::help;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a private key in a new file and print its public key; needs no key store
    #[command(after_help = help::GENERATE)]
    Generate {
        /// New file, for its owner alone
        file: PathBuf,
        /// An RSA key of 3,072 bits, for programs that know no X25519
        #[cfg(feature = "rsa")]
        #[arg(long)]
        rsa: bool,
    },
    /// Print the public keys of a file with private keys
    Public {
        /// File that `generate` made; - is standard input
        file: PathBuf,
    },
    /// Make a key, and the store if there is none
    Create {
        /// Name: letters, digits and ._-
        name: String,
        /// What the key is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Label; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = super::pair)]
        tag: Vec<(String, String)>,
    },
    /// List the keys of the store
    List,
    /// Show a key and its versions
    Show {
        /// Key by name or full id
        name: String,
    },
    /// Give a key a new version; what is sealed from now on uses it
    Rotate {
        /// Key by name or full id
        name: String,
        /// Only make the new version readable; `promote` puts it to use
        #[arg(long)]
        stage: bool,
    },
    /// Put a staged version to use
    Promote {
        /// Key by name or full id
        name: String,
    },
    /// Let a disabled key be used again
    Enable {
        /// Key by name or full id
        name: String,
    },
    /// Stop every use of a key until it is enabled again
    Disable {
        /// Key by name or full id
        name: String,
    },
    /// Destroy a key after a window in which it can be cancelled
    Delete {
        /// Key by name or full id
        name: String,
        /// Length of the window
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        days: u32,
    },
    /// Take a scheduled deletion back; the key is disabled afterwards
    CancelDelete {
        /// Key by name or full id
        name: String,
    },
    /// Replace a key's labels; without any they are taken away
    Tag {
        /// Key by name or full id
        name: String,
        /// Labels
        #[arg(value_name = "NAME=VALUE", value_parser = super::pair)]
        tags: Vec<(String, String)>,
    },
    /// Have the service rotate a key by itself
    #[command(group = clap::ArgGroup::new("period").required(true))]
    RotateEvery {
        /// Key by name or full id
        name: String,
        /// After this many days
        #[arg(long, value_name = "DAYS", group = "period")]
        days: Option<u32>,
        /// Never again
        #[arg(long, group = "period")]
        never: bool,
    },
    /// Write all keys to a new file under a passphrase
    #[command(after_help = help::BACKUP)]
    Backup {
        /// New file
        file: PathBuf,
        /// Read the backup's passphrase from this open descriptor [default: ask on the terminal]
        #[arg(long, value_name = "N")]
        backup_passphrase_fd: Option<i32>,
    },
    /// Bring the keys of a backup back
    #[command(after_help = help::RESTORE)]
    Restore {
        /// File that `backup` wrote
        file: PathBuf,
        /// Take a backup that is older than the store
        #[arg(long)]
        accept_older: bool,
        /// Overwrite another store
        #[arg(long)]
        replace_other: bool,
        /// Read the backup's passphrase from this open descriptor [default: ask on the terminal]
        #[arg(long, value_name = "N")]
        backup_passphrase_fd: Option<i32>,
    },
}
