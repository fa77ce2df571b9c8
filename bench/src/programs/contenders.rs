//! The programs, how each is called, and the files that they work on.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Runs, remove};
use crate::system;
use crate::timing::Figure;

/// The root of the checkout.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Builds the program as it is shipped; its path.
pub fn build_vaultkit() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "-p", "vaultkit-cli", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target())
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err("vaultkit-cli does not build".into());
    }
    Ok(target().join("release/vaultkit"))
}

/// A folder with an input, a key for each program, and nothing else.
pub struct Workplace {
    dir: TempDir,
    vaultkit: Result<PathBuf, String>,
    /// This program, and `cp`.
    own: Result<PathBuf, String>,
    cp: Result<PathBuf, String>,
    age: Result<PathBuf, String>,
    rage: Result<PathBuf, String>,
    recipient: String,
}

/// One program and one file.
pub struct Contender {
    name: String,
    command: Result<Vec<String>, String>,
    home: PathBuf,
    output: PathBuf,
}

impl Workplace {
    /// With an input of `len` random bytes.
    pub fn new(dir: &Path, vaultkit: PathBuf, len: u64) -> Result<Self, String> {
        let place = Self::empty(dir, vaultkit)?;
        place.fill(len).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(place)
    }

    /// With an input of `len` zeros that take no room.
    pub fn sparse(dir: &Path, vaultkit: PathBuf, len: u64) -> Result<Self, String> {
        let place = Self::empty(dir, vaultkit)?;
        File::create(place.path("plain"))
            .and_then(|file| file.set_len(len))
            .map_err(|error| error.to_string())?;
        Ok(place)
    }

    fn empty(dir: &Path, vaultkit: PathBuf) -> Result<Self, String> {
        let dir =
            TempDir::with_prefix_in("vaultkit-bench-", dir).map_err(|error| error.to_string())?;
        let age = find("age", "it is not installed (on Debian: apt-get install age)");
        let rage =
            find("rage", "it is not installed (cargo install rage --locked --root target/tools)");
        let mut place = Self {
            dir,
            vaultkit: Ok(vaultkit),
            own: Ok(own()),
            cp: Ok(PathBuf::from("cp")),
            age,
            rage,
            recipient: String::new(),
        };
        place.recipient = place.age_key();
        Ok(place)
    }

    /// The public half of a new key of age's, which rage reads too; both are the same format.
    fn age_key(&self) -> String {
        let maker = [&self.age, &self.rage].into_iter().find_map(|program| program.as_ref().ok());
        let Some(maker) = maker else { return String::new() };
        let keygen = format!("{}-keygen", maker.display());
        let made = Command::new(&keygen)
            .arg("-o")
            .arg(self.path("age.key"))
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        let text = fs::read_to_string(self.path("age.key")).unwrap_or_default();
        let public = text.lines().find_map(|line| line.strip_prefix("# public key: "));
        if made { public.unwrap_or_default().to_owned() } else { String::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn fill(&self, len: u64) -> std::io::Result<()> {
        // Random enough that nothing could compress or share it.
        let mut piece = vec![0; 1 << 20];
        let mut file = File::create(self.path("plain"))?;
        for _ in 0..len / piece.len() as u64 {
            getrandom::fill(&mut piece).map_err(std::io::Error::other)?;
            file.write_all(&piece)?;
        }
        file.sync_all()
    }

    /// The file system, as `stat` names it.
    pub fn file_system(&self) -> String {
        let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(self.dir.path()).output();
        let name = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        name.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "an unknown file system".into())
    }

    /// Everybody who seals `plain`; ours first.
    pub fn sealers(&self) -> Vec<Contender> {
        let recipient = self.recipient.as_str();
        vec![
            self.contender("vaultkit", &self.vaultkit, "out", &["seal", "{plain}", "-o", "{out}"]),
            self.contender(
                "reference loop",
                &self.own,
                "out",
                &["reference", "seal", "{plain}", "{out}"],
            ),
            self.contender("age", &self.age, "out", &["-r", recipient, "-o", "{out}", "{plain}"]),
            self.contender("rage", &self.rage, "out", &["-r", recipient, "-o", "{out}", "{plain}"]),
            self.contender("cp", &self.cp, "out", &["{plain}", "{out}"]),
        ]
    }

    /// Everybody who opens what it sealed; ours first.
    pub fn openers(&self) -> Result<Vec<Contender>, String> {
        let ours = self.opener_of_ours()?;
        let reference = ["reference", "seal", "{plain}", "{sealed.ref}"];
        self.contender("reference loop", &self.own, "sealed.ref", &reference).run()?;
        let seal = ["-r", self.recipient.as_str(), "-o", "{sealed.age}", "{plain}"];
        let sealer = if self.age.is_ok() { &self.age } else { &self.rage };
        self.contender("age", sealer, "sealed.age", &seal).run()?;
        let open = ["-d", "-i", "{age.key}", "-o", "{out}", "{sealed.age}"];
        let reference = ["reference", "open", "{sealed.ref}", "{out}"];
        Ok(vec![
            ours,
            self.contender("reference loop", &self.own, "out", &reference),
            self.contender("age", &self.age, "out", &open),
            self.contender("rage", &self.rage, "out", &open),
            self.contender("cp", &self.cp, "out", &["{plain}", "{out}"]),
        ])
    }

    /// Ours alone.
    pub fn opener_of_ours(&self) -> Result<Contender, String> {
        let seal = ["seal", "{plain}", "-o", "{sealed.vk}"];
        self.contender("vaultkit", &self.vaultkit, "sealed.vk", &seal).run()?;
        let open = ["open", "{sealed.vk}", "-o", "{out}"];
        Ok(self.contender("vaultkit", &self.vaultkit, "out", &open))
    }

    /// `{name}` in an argument is a file of this folder.
    fn contender(
        &self,
        name: &str,
        program: &Result<PathBuf, String>,
        output: &str,
        args: &[&str],
    ) -> Contender {
        let argument =
            |arg: &&str| match arg.strip_prefix('{').and_then(|arg| arg.strip_suffix('}')) {
                Some(name) => self.path(name).display().to_string(),
                None => (*arg).to_owned(),
            };
        let command = program.as_ref().map_err(Clone::clone).map(|program| {
            let program = program.display().to_string();
            std::iter::once(program).chain(args.iter().map(argument)).collect()
        });
        let version =
            command.as_ref().ok().and_then(|command: &Vec<String>| version(name, &command[0]));
        let name = version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"));
        Contender { name, command, home: self.path("home"), output: self.path(output) }
    }
}

impl Contender {
    /// Seconds and peak in MiB of one run; `None` where the program is missing.
    pub fn run(&self) -> Result<Option<(f64, f64)>, String> {
        let Ok(command) = &self.command else { return Ok(None) };
        remove(&self.output);
        system::sync();
        let output = Command::new(own())
            .arg("measure")
            .arg(&self.output)
            .args(command)
            .env("VAULTKIT_HOME", &self.home)
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut words = text.split_whitespace().map(str::parse::<f64>);
        match (output.status.success(), words.next(), words.next()) {
            (true, Some(Ok(seconds)), Some(Ok(peak))) => Ok(Some((seconds, peak / 1024.0))),
            _ => Err(format!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr).trim())),
        }
    }

    pub fn runs(&self, samples: Vec<f64>, peak: f64) -> Runs {
        let figure = self.command.as_ref().map(|_| Figure::new(&self.name, samples));
        Runs { name: self.name.clone(), figure: figure.map_err(Clone::clone), peak }
    }
}

/// This program.
fn own() -> PathBuf {
    std::env::current_exe().unwrap_or_default()
}

/// A program among our own tools, or in the search path.
fn find(name: &str, missing: &str) -> Result<PathBuf, String> {
    let tools = root().join("target/tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(tools)
        .chain(std::env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| missing.to_owned())
}

/// What a peer calls its version.
fn version(name: &str, program: &str) -> Option<String> {
    if !matches!(name, "age" | "rage") {
        return None;
    }
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().last().map(|version| version.trim_start_matches('v').to_owned())
}
