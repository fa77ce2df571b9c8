//! What is installed, and in which version: the one place to change. Each version has its lock beside it
//! under `servers/`, with the sums of all that it brings.
//!
//! PostgreSQL is the system's own, of whichever version. Left to `install`: fetching and building.

use super::install::go::GoProgram;
use super::install::python::Environment;

/// HashiCorp Vault. 1.21.1 with sdk 0.20.0 is the newest pair that compiles: later ones were written
/// against an sdk that was never released. Under BUSL-1.1: to be run in tests, never shipped or linked.
pub(super) const VAULT: GoProgram = GoProgram {
    name: "vault",
    version: "1.21.1",
    package: "github.com/hashicorp/vault",
    files: &[
        ("go.mod", include_str!("../../servers/vault/go.mod")),
        ("go.sum", include_str!("../../servers/vault/go.sum")),
    ],
    version_flag: Some("version"),
    usually: "10 to 15 minutes on two cores",
};

/// A small AWS KMS, under our own `main.go`, which keeps it on loopback. The version is that of its
/// changes; its module has only a date.
pub(super) const LOCAL_KMS: GoProgram = GoProgram {
    name: "local-kms",
    version: "20231025161602",
    package: ".",
    files: &[
        ("go.mod", include_str!("../../servers/local-kms/go.mod")),
        ("go.sum", include_str!("../../servers/local-kms/go.sum")),
        ("main.go", include_str!("../../servers/local-kms/main.go")),
    ],
    version_flag: None,
    usually: "half a minute",
};

/// LocalStack, of which KMS and STS are started.
pub(super) const LOCALSTACK: Environment = Environment {
    name: "localstack",
    version: "4.7.0",
    requirements: include_str!("../../servers/localstack/requirements.txt"),
    imports: "localstack.runtime, localstack.services.kms.provider",
    usually: "a minute",
};

/// moto's server.
pub(super) const MOTO: Environment = Environment {
    name: "moto",
    version: "5.2.5",
    requirements: include_str!("../../servers/moto/requirements.txt"),
    imports: "moto.server",
    usually: "a minute",
};

/// The vendors' own clients: boto3, hvac, Microsoft's for Key Vault, Google's for Cloud KMS. Known by
/// the version of the first.
pub(super) const CLIENTS: Environment = Environment {
    name: "clients",
    version: "1.44.5",
    requirements: include_str!("../../servers/clients/requirements.txt"),
    imports: "boto3, hvac, azure.keyvault.keys, azure.identity, google.cloud.kms",
    usually: "half a minute",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lock_holds_the_version_that_is_pinned() {
        for program in [&VAULT, &LOCAL_KMS] {
            let (_, module) = program.files[0];
            assert!(module.contains(program.version), "{}", program.name);
        }
        let packages = [(&LOCALSTACK, "localstack-core"), (&MOTO, "moto"), (&CLIENTS, "boto3")];
        for (environment, package) in packages {
            let pin = format!("\n{package}==");
            let pinned = environment.requirements.split_once(&pin).map(|(_, rest)| rest);
            assert!(pinned.is_some_and(|rest| rest.starts_with(environment.version)), "{pin}");
        }
    }

    #[test]
    fn every_python_package_is_pinned_with_its_hashes() {
        for environment in [&LOCALSTACK, &MOTO, &CLIENTS] {
            let lines = environment.requirements.lines().filter(|line| !line.starts_with('#'));
            let (hashes, packages): (Vec<_>, Vec<_>) =
                lines.partition(|line| line.starts_with("    --hash=sha256:"));
            assert!(packages.iter().all(|line| line.contains("==") && line.ends_with('\\')));
            assert!(hashes.len() >= packages.len() && !packages.is_empty());
        }
    }
}
