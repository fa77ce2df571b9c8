//! Installing servers: what is missing is named, a failure shows its command and leaves nothing, and two
//! processes never install at once. A small script stands for `go`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::servers::launcher;

/// A cache folder and a folder of programs, both empty.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Self {
        let folder = format!("vaultkit-machine-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(folder.join("programs")).unwrap();
        Self(folder)
    }

    /// Gives it a `go` that counts its builds and then does as `build` says, with `$2` for the program.
    fn with_go(self, build: &str) -> Self {
        let go = self.0.join("programs/go");
        let script = format!(
            "#!/bin/sh\n[ \"$1\" != version ] || exit 0\n\
             while [ \"$1\" != -o ]; do shift; done\n\
             echo build >>\"$XDG_CACHE_HOME/builds\"\n{build}\n"
        );
        fs::write(&go, script).unwrap();
        fs::set_permissions(&go, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn install(&self, name: &str) -> Command {
        let mut command = Command::new(launcher());
        let path = format!("{}:/usr/bin:/bin", self.0.join("programs").display());
        command.args(["install", name]).env("XDG_CACHE_HOME", &self.0).env("PATH", path);
        command.stdout(Stdio::null());
        command
    }

    fn builds(&self) -> usize {
        fs::read_to_string(self.0.join("builds")).unwrap_or_default().lines().count()
    }

    /// What is installed: folders that are neither begun nor broken off.
    fn installed(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join("vaultkit/servers")).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn error(said: &Output) -> String {
    assert!(!said.status.success());
    String::from_utf8_lossy(&said.stderr).into_owned()
}

const GOOD: &str =
    "mkdir -p \"${2%/*}\"\nprintf '#!/bin/sh\\necho usage: >&2\\n' >\"$2\"\nchmod +x \"$2\"";

#[test]
fn a_missing_toolchain_is_named_with_what_to_install() {
    let machine = Machine::new("bare");
    let bare = |name| error(&machine.install(name).env("PATH", "/nowhere").output().unwrap());
    let go = bare("vault");
    assert!(go.contains("no `go` in the PATH") && go.contains("install Go"), "{go}");
    let python = bare("clients");
    assert!(python.contains("`python3 -m venv") && python.contains("python3-venv"), "{python}");
    assert_eq!(machine.installed(), Vec::<PathBuf>::new());
}

#[test]
fn a_failed_build_shows_the_command_its_last_words_and_the_way_by_hand() {
    let machine = Machine::new("failing").with_go("echo the proxy is unreachable\nexit 7");
    let failure = error(&machine.install("vault").output().unwrap());
    assert!(failure.contains("`go build -p 2"), "{failure}");
    assert!(
        failure.contains("status: 7") && failure.contains("the proxy is unreachable"),
        "{failure}"
    );
    assert!(failure.contains("by hand: (cd ") && failure.contains("CGO_ENABLED=0"), "{failure}");
    assert_eq!(machine.installed(), Vec::<PathBuf>::new());
}

#[test]
fn a_program_that_does_not_say_its_version_is_not_installed() {
    let machine = Machine::new("lying").with_go(GOOD);
    let failure = error(&machine.install("vault").output().unwrap());
    assert!(failure.contains("does not say `1.21.1`"), "{failure}");
    assert_eq!(machine.installed(), Vec::<PathBuf>::new());
}

#[test]
fn two_that_install_at_once_build_once_and_a_broken_program_is_built_again() {
    let machine = Machine::new("twice").with_go(&format!("sleep 1\n{GOOD}"));
    let mut both = [machine.install("local-kms"), machine.install("local-kms")];
    let children: Vec<_> = both.iter_mut().map(|command| command.spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(machine.builds(), 1);
    let installed = machine.installed();
    assert_eq!(installed.len(), 1);
    let program = Path::new(&installed[0]).join("bin/local-kms");
    fs::write(&program, "#!/bin/sh\nexit 1\n").unwrap();
    assert!(machine.install("local-kms").status().unwrap().success());
    assert_eq!(machine.builds(), 2);
}
