//! The command line of the servers: those that are up outlive the command, and are found and stopped.

use std::path::PathBuf;
use std::process::{Command, Output};

use vault_testkit::servers::ALL;

use super::servers::{answers, launcher};

/// A folder of sockets of the test's own.
struct Runtime {
    folder: PathBuf,
    launcher: PathBuf,
}

impl Runtime {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("vaultkit-up-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self { folder, launcher: launcher() }
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.launcher);
        command.args(args).env("XDG_RUNTIME_DIR", &self.folder).output().unwrap()
    }

    fn prints(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.run(&["down"]);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_server_that_is_up_outlives_the_command_is_found_and_goes_down() {
    let runtime = Runtime::new();
    assert_eq!(runtime.prints(&["env"]), "");
    runtime.prints(&["up", "local-kms"]);
    let env = runtime.prints(&["env"]);
    let url = env.strip_prefix("export VAULTKIT_LOCAL_KMS_URL='http://127.0.0.1:").unwrap();
    let port: u16 = url.strip_suffix("'\n").unwrap().parse().unwrap();
    assert!(answers(port));
    runtime.prints(&["up", "local-kms"]);
    assert_eq!(runtime.prints(&["env"]), env, "a second `up` leaves it alone");
    assert!(runtime.prints(&["list"]).contains("(up)"));
    assert!(runtime.prints(&["down"]).contains("local-kms is down"));
    assert!(!answers(port), "it listens after `down`");
    assert_eq!(runtime.prints(&["env"]) + &runtime.prints(&["down"]), "");
}

#[test]
fn the_list_names_every_server_with_its_version() {
    let said = Command::new(launcher()).arg("list").output().unwrap();
    let list = String::from_utf8(said.stdout).unwrap();
    for server in ALL {
        let version = server.version().unwrap_or("of the system");
        let line = list.lines().find(|line| line.starts_with(&format!("{} ", server.name())));
        assert!(line.is_some_and(|line| line.contains(&format!("[{version}]"))), "{list}");
    }
}

#[test]
fn what_is_missing_is_said_with_the_command_that_installs_it() {
    let nowhere = std::env::temp_dir().join("vaultkit-no-cache");
    let mut command = Command::new(launcher());
    let said = command.arg("list").env("XDG_CACHE_HOME", nowhere).output().unwrap();
    let list = String::from_utf8(said.stdout).unwrap();
    assert!(list.contains("missing: cargo xtask servers install vault"), "{list}");
}
