//! The command line.

use std::path::{Path, PathBuf};

pub const HELP: &str = "\
Ours, the floors and the peers, interleaved in one run; tables with ratios.

Usage: cargo xtask bench [SECTION]... [OPTION]...

Sections, all by default:
  records    Values of 64 bytes, 1 KiB and 8 KiB under a data key at hand
  cache      The same through the cache of data keys; threads, herds, floods, calls to a KMS
  bodies     Bodies of 1 MiB and 1 GiB in memory, on one core
  scaling    The same 1 GiB on one thread and on two
  growth     Whether the millionth record costs more than the first
  programs   vaultkit, age, rage, cp and a bare loop on a file of 1 GiB

By name only, because it needs servers (`cargo xtask servers install local-kms vault`):
  kms        Providers of real services beside their SDKs called bare

Options:
  --rounds N  Rounds in which all take turns, instead of each section's own number
  --full      Also the memory that a file of 4 GiB takes (needs 8 GiB of room); of `kms` also the
              size of minimal programs (builds for minutes)
  --dir DIR   Where the files of `programs` lie; memory (/dev/shm) by default, so that no
              disk is measured
  --write     Rewrite the tables in docs/PERFORMANCE.md
  --help

Without the peers, which build for minutes: cargo run --release --manifest-path bench/Cargo.toml
--no-default-features. With the AWS Encryption SDK too: --features esdk.
";

#[derive(Clone, Copy)]
pub enum Section {
    Records,
    Bodies,
    Scaling,
    Growth,
    Cache,
    Programs,
    Kms,
}

pub struct Args {
    pub sections: Vec<Section>,
    pub full: bool,
    pub write: bool,
    pub dir: PathBuf,
    rounds: Option<usize>,
    words: Vec<String>,
}

impl Args {
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let mut args = Self {
            sections: Vec::new(),
            full: false,
            write: false,
            dir,
            rounds: None,
            words: words.to_vec(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "records" => args.sections.push(Section::Records),
                "bodies" => args.sections.push(Section::Bodies),
                "scaling" => args.sections.push(Section::Scaling),
                "cache" => args.sections.push(Section::Cache),
                "growth" => args.sections.push(Section::Growth),
                "kms" => args.sections.push(Section::Kms),
                "programs" => args.sections.push(Section::Programs),
                "--full" => args.full = true,
                "--write" => args.write = true,
                "--dir" => args.dir = words.next().ok_or("--dir needs a folder")?.into(),
                "--rounds" => args.rounds = Some(rounds(words.next())?),
                other => return Err(format!("`{other}` is none of ours\n\n{HELP}")),
            }
        }
        if args.sections.is_empty() {
            use Section::{Bodies, Cache, Growth, Programs, Records, Scaling};
            args.sections = vec![Records, Cache, Growth, Bodies, Scaling, Programs];
        }
        Ok(args)
    }

    pub fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(usual)
    }

    /// As it was typed, for the document.
    pub fn command(&self) -> String {
        std::iter::once("cargo xtask bench")
            .chain(self.words.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn rounds(word: Option<&String>) -> Result<usize, String> {
    let number = word.and_then(|word| word.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| "--rounds needs a number above zero".to_owned())
}
