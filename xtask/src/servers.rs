//! Real servers for tests: builds the test kit's launcher and hands the command line on to it; installs
//! what the tests need while they are compiled; says at the end which server proved what.
//!
//! What servers there are, and how each is installed, started and stopped, is left to the test kit, which
//! the tests themselves call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::shell::{self, Outcome, Shell};

const BUILD: &[&str] =
    &["build", "--quiet", "-p", "vault-testkit", "--features", "servers", "--example", "servers"];

/// Runs the launcher with the arguments as they are.
pub(crate) fn run(args: &[String]) -> Outcome {
    shell::cargo().args(BUILD).run_quietly()?;
    launcher().args(args).run_quietly()
}

/// Installs the servers that the tests need and this machine lacks, at low priority, while `compile` runs.
pub(crate) fn install_beside(compile: impl FnOnce() -> Outcome) -> Outcome {
    shell::cargo().args(BUILD).run()?;
    let installing =
        Shell::new("nice").args(["-n", "10"]).args([path()]).args(["install"]).spawn()?;
    // Where this fails, the installation goes on by itself, and the next run finds it done.
    compile()?;
    installing.join()
}

/// Prints which servers and fakes the tests of each crate have just been run against.
pub(crate) fn print_proofs() -> Outcome {
    println!("    proved against:");
    for (name, servers) in proofs(&shell::root().join("crates"))? {
        println!("      {name:24} {}", servers.join(", "));
    }
    Ok(())
}

/// What a test takes from the test kit, and what that is.
const NAMES: &[(&str, &str)] = &[
    ("Vault", "HashiCorp Vault"),
    ("LocalStack", "LocalStack"),
    ("LocalKms", "local-kms"),
    ("Moto", "moto"),
    ("Postgres", "PostgreSQL"),
    ("FakeKeyVault", "our fake of Azure Key Vault"),
    ("FakeCloudKms", "our fake of Google Cloud KMS"),
    ("python_clients", "the vendors' Python clients"),
    ("FaultProxy", "the fault proxy"),
];

/// Where the test kit has them.
const MODULES: &[&str] =
    &["vault_testkit::servers::", "vault_testkit::fakes::", "vault_testkit::proxy::"];

/// Read off the tests themselves, so that it cannot be out of date. The test kit tests its own servers.
fn proofs(crates: &Path) -> Outcome<BTreeMap<String, Vec<&'static str>>> {
    let mut proofs = BTreeMap::new();
    for member in fs::read_dir(crates)? {
        let member = member?;
        let mut taken = BTreeSet::new();
        gather(&member.path().join("tests"), &mut taken)?;
        let named = NAMES.iter().filter(|(name, _)| taken.contains(*name)).map(|(_, what)| *what);
        let servers: Vec<&str> = named.collect();
        if !servers.is_empty() {
            proofs.insert(member.file_name().to_string_lossy().into_owned(), servers);
        }
    }
    Ok(proofs)
}

fn gather(folder: &Path, taken: &mut BTreeSet<String>) -> Outcome {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(&path, taken)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path)?;
            MODULES.iter().for_each(|module| names_after(&text, module, taken));
        }
    }
    Ok(())
}

/// The words up to the end of the import or the call in which `module` stands.
fn names_after(text: &str, module: &str, taken: &mut BTreeSet<String>) {
    for rest in text.split(module).skip(1) {
        let end = rest.find([';', '(']).unwrap_or(rest.len());
        let names = rest.get(..end).unwrap_or(rest);
        taken.extend(names.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned));
    }
}

fn launcher() -> Shell {
    Shell::new(path())
}

fn path() -> std::path::PathBuf {
    shell::target().join("debug/examples/servers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crate_is_tested_against_is_read_off_its_tests() {
        let proofs = proofs(&shell::root().join("crates")).unwrap();
        assert_eq!(proofs["vault-storage-postgres"], ["PostgreSQL"]);
        assert!(!proofs.contains_key("vault-kms-local"), "its LocalKms is no server");
    }

    #[test]
    fn a_name_counts_where_it_is_taken_from_the_test_kit() {
        let mut taken = BTreeSet::new();
        let text = "use vault_testkit::servers::{\n    LocalStack, python_clients,\n};\nuse x::Moto;\n\
                    let url = vault_testkit::servers::Vault::shared().url(Postgres);";
        names_after(text, MODULES[0], &mut taken);
        let counts = |name: &str| taken.contains(name);
        assert!(counts("LocalStack") && counts("python_clients") && counts("Vault"));
        assert!(!counts("Moto") && !counts("Postgres"));
    }
}
