//! Runs the reader that was written in Python from docs/FORMAT.md alone, over the published vectors.

use std::path::PathBuf;

use crate::shell::{self, Outcome, Shell};

/// The version that pip installs where Python has none of its own.
const CRYPTOGRAPHY: &str = "cryptography==46.0.5";

pub(super) fn run() -> Outcome {
    if !python().args(["--version"]).succeeds() {
        return Err("needs Python 3 as `python3` in the PATH".into());
    }
    if !has_cryptography() {
        install()?;
    }
    let version =
        python().args(["-c", "import cryptography as c; print(c.__version__)"]).output()?;
    println!("    Python package cryptography {}", version.trim());
    python().args(["tests/stranger/check.py", "docs/vectors"]).run()
}

fn has_cryptography() -> bool {
    // Imports what the reader uses, so that a broken installation counts as none.
    let uses = "from cryptography.hazmat.primitives.ciphers.aead import AESGCM\n\
                from cryptography.hazmat.primitives.kdf.argon2 import Argon2id";
    python().args(["-c", uses]).succeeds()
}

fn install() -> Outcome {
    let pip = python().args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.args(["--target"]).args([packages()]).args([CRYPTOGRAPHY]).run().map_err(|failure| {
        format!(
            "the reader needs the Python package `cryptography`, and pip could not install it \
             under {}: {failure}\ninstall it yourself (`python3 -m pip install {CRYPTOGRAPHY}`, or \
             your system's package python3-cryptography) and run this again",
            packages().display()
        )
        .into()
    })
}

/// Python with our folder of packages, which is empty unless the machine lacked them.
fn python() -> Shell {
    Shell::new("python3").env("PYTHONPATH", packages()).env("PYTHONDONTWRITEBYTECODE", "1")
}

fn packages() -> PathBuf {
    shell::target().join("python")
}
