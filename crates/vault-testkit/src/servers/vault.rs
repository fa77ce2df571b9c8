//! HashiCorp Vault, the real one: in memory, with TLS, on files so that it survives a crash, or as a node of a
//! cluster. What it is asked is in its audit log.
//!
//! Left to `cluster`: how nodes come together.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::lifecycle::lifecycle;
use super::port::{Port, start_on_one};
use super::supervisor::{Launch, Runs, Supervisor};
use super::{ServerError, pins};

mod audit;
mod cluster;

pub use audit::VaultCall;
pub use cluster::VaultCluster;

/// In the modes `memory` and `tls` it is the server for development: unsealed, with nothing to keep. In
/// the modes `files` and `node` it is set up by hand, with one unseal key. A node that joins others takes the
/// key of the first one, whose address and folder it is told.
const SCRIPT: &str = r#"
vault=$1 port=$2 token=$3 mode=$4 cluster_port=${5-} first=${6-} first_folder=${7-$dir} scheme=http
unseal_key=$first_folder/unseal-key
if [ "$mode" = tls ]; then
  scheme=https
  mkdir "$dir/tls"
  export VAULT_CACERT="$dir/tls/vault-ca.pem"
fi
export VAULT_ADDR="$scheme://127.0.0.1:$port" VAULT_TOKEN="$token"
# 2 is an answer: sealed.
answers() { code=0; "$vault" status || code=$?; [ "$code" != 1 ]; }
seal() { "$vault" operator seal >>"$dir/log" 2>&1; }
# A node takes no key before it has found the others.
takes_key() { "$vault" operator unseal "$(cat "$unseal_key")" && "$vault" status; }
unseal() { await takes_key; }
# Each node of a cluster writes its own, in its folder.
audit() { "$vault" audit enable file file_path=audit.log >>"$dir/log" 2>&1; }
configure() {
  storage=file raft= cluster_address= cluster_addr=
  if [ "$mode" = node ]; then
    storage=raft
    # 1 is the quickest to elect; a busy machine must not look like a dead leader.
    raft='performance_multiplier = 2
  autopilot_reconcile_interval = "1s"
  autopilot_update_interval = "500ms"'
    [ -z "$first" ] || raft="$raft
  retry_join {
    leader_api_addr = \"$first\"
  }"
    cluster_address="cluster_address = \"127.0.0.1:$cluster_port\""
    cluster_addr="cluster_addr = \"https://127.0.0.1:$cluster_port\""
  fi
  mkdir "$dir/data"
  cat >"$dir/vault.hcl" <<END
storage "$storage" {
  path = "$dir/data"
  $raft
}
listener "tcp" {
  address     = "127.0.0.1:$port"
  tls_disable = true
  $cluster_address
}
api_addr      = "$VAULT_ADDR"
disable_mlock = true
$cluster_addr
END
}
initialize() {
  "$vault" operator init -key-shares=1 -key-threshold=1 >"$dir/init"
  sed -n 's/^Unseal Key 1: //p' "$dir/init" >"$unseal_key"
  VAULT_TOKEN=$(sed -n 's/^Initial Root Token: //p' "$dir/init")
  rm "$dir/init"
  unseal
  await "$vault" token lookup
  "$vault" token create -id="$token" -policy=root -orphan >>"$dir/log" 2>&1
  "$vault" token revoke -self >>"$dir/log" 2>&1
  VAULT_TOKEN=$token
  audit
  # A new node votes after this time and not, as otherwise, after 10 s.
  [ "$mode" != node ] ||
    await "$vault" operator raft autopilot set-config -server-stabilization-time=1s
}
start() {
  case $mode in
    memory) set -- -dev ;;
    tls) set -- -dev-tls -dev-tls-cert-dir="$dir/tls" ;;
    files | node) [ -e "$dir/vault.hcl" ] || configure; set -- -config="$dir/vault.hcl" ;;
  esac
  if [ ! -e "$dir/vault.hcl" ]; then
    set -- "$@" -dev-root-token-id="$token" -dev-listen-address="127.0.0.1:$port" -dev-no-store-token
  fi
  "$vault" server "$@" -log-level=warn >>"$dir/log" 2>&1 &
  pid=$!
  await answers
  if [ ! -e "$dir/vault.hcl" ]; then
    audit
  elif [ -e "$unseal_key" ]; then
    unseal
  else
    initialize
  fi
}
"#;

/// A running Vault.
#[derive(Debug)]
pub struct Vault {
    supervisor: Supervisor,
    port: Port,
    root_token: String,
    mode: Mode,
    /// Where it listens for the other nodes.
    _cluster_port: Option<Port>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Memory,
    Tls,
    Files,
    Node,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Tls => "tls",
            Self::Files => "files",
            Self::Node => "node",
        }
    }
}

impl Vault {
    /// Starts one in memory, unsealed, over plain HTTP, with KV version 2 at `secret/`. It takes a second.
    ///
    /// # Errors
    /// If it is not installed, or what it said instead of starting.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_in(Mode::Memory)
    }

    /// The same over TLS, with a certificate for 127.0.0.1 and localhost under a new authority of its
    /// own, [`ca_certificate`](Self::ca_certificate).
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_tls() -> Result<Self, ServerError> {
        Self::start_in(Mode::Tls)
    }

    /// Starts one that keeps everything in files, so that it is the same after a crash. No secrets
    /// engine is mounted. It takes some seconds.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_durable() -> Result<Self, ServerError> {
        Self::start_in(Mode::Files)
    }

    fn start_in(mode: Mode) -> Result<Self, ServerError> {
        let (root_token, cluster_port) = (root_token(), None);
        let (supervisor, port) = launch(mode, &root_token, &[])?;
        Ok(Self { supervisor, port, root_token, mode, _cluster_port: cluster_port })
    }

    /// The first node of a new cluster, or one that joins `first`.
    fn start_node(first: Option<&Self>) -> Result<Self, ServerError> {
        let mode = Mode::Node;
        let root_token = first.map_or_else(root_token, |first| first.root_token.clone());
        let cluster_port = Port::take().map_err(|error| ServerError(error.to_string()))?;
        let number = cluster_port.number().to_string();
        let joined = first.map(|first| (first.url(), first.supervisor.folder().to_string_lossy()));
        let mut more = vec![number.as_str()];
        if let Some((url, folder)) = &joined {
            more.extend([url.as_str(), folder]);
        }
        let (supervisor, port) = launch(mode, &root_token, &more)?;
        Ok(Self { supervisor, port, root_token, mode, _cluster_port: Some(cluster_port) })
    }

    /// Its address, as `VAULT_ADDR` has it.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.mode == Mode::Tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port())
    }

    /// The token that may do everything; each server has its own, the same after a crash.
    #[must_use]
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// The file with the authority's certificate (PEM), if it speaks TLS.
    #[must_use]
    pub fn ca_certificate(&self) -> Option<PathBuf> {
        (self.mode == Mode::Tls).then(|| self.supervisor.folder().join("tls/vault-ca.pem"))
    }

    /// The `vault` program, about to talk to this server with the root token: a witness that is not
    /// ours, and the short way to set up a test.
    ///
    /// # Errors
    /// If it is no longer installed.
    pub fn command(&self) -> Result<Command, ServerError> {
        let program = pins::VAULT.found().ok_or_else(|| super::missing("vault"))?;
        let mut command = Command::new(program);
        command
            .current_dir(self.supervisor.folder())
            .env_clear()
            .env("HOME", self.supervisor.folder())
            .env("VAULT_ADDR", self.url())
            .env("VAULT_TOKEN", self.root_token());
        if let Some(ca) = self.ca_certificate() {
            command.env("VAULT_CACERT", ca);
        }
        Ok(command)
    }

    /// Runs [`command`](Self::command) with `args`; answers what it printed.
    ///
    /// # Errors
    /// What it said instead.
    pub fn run(&self, args: &[&str]) -> Result<String, ServerError> {
        let said = self.command()?.args(args).output();
        let said = said.map_err(|error| ServerError(format!("vault: {error}")))?;
        if said.status.success() {
            return Ok(String::from_utf8_lossy(&said.stdout).into_owned());
        }
        let why = String::from_utf8_lossy(&said.stderr);
        Err(ServerError(format!("vault {}: {}: {why}", args.join(" "), said.status)))
    }

    /// Seals it: it answers, and opens nothing. Only [`start_durable`](Self::start_durable)'s, and
    /// the active node of a cluster.
    ///
    /// # Errors
    /// If it is of another kind, or what it said.
    pub fn seal(&self) -> Result<(), ServerError> {
        self.tell_durable("seal")
    }

    /// Unseals it after [`seal`](Self::seal).
    ///
    /// # Errors
    /// If it is of another kind, or what it said.
    pub fn unseal(&self) -> Result<(), ServerError> {
        self.tell_durable("unseal")
    }

    fn tell_durable(&self, word: &str) -> Result<(), ServerError> {
        if matches!(self.mode, Mode::Files | Mode::Node) {
            return self.supervisor.tell(word);
        }
        Err(ServerError(format!("{word}: only a server with files keeps its unseal key")))
    }

    /// The file of its audit log: a line of JSON for each request and each answer, with every secret
    /// under an HMAC.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.supervisor.folder().join("audit.log")
    }

    /// Every call that was answered, in order, from its audit log. A call is in it before its answer
    /// arrives.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn calls(&self) -> Result<Vec<VaultCall>, ServerError> {
        audit::calls(&self.supervisor.read("audit.log")?)
    }
}

lifecycle!(Vault, "A server in memory forgets everything, one with files nothing.");

/// Runs the script with its arguments from `$5` on in `more`.
fn launch(mode: Mode, token: &str, more: &[&str]) -> Result<(Supervisor, Port), ServerError> {
    let program = pins::VAULT.found().ok_or_else(|| super::missing("vault"))?;
    let program = program.to_string_lossy();
    start_on_one(|port| {
        let args = [&[&*program, port, token, mode.name()], more].concat();
        let name = "vault";
        Supervisor::start(&Launch { name, script: SCRIPT, args: &args, runs: Runs::AsMyself })
    })
}

/// Another one for each server, so that a client never talks to the wrong one unnoticed, and distinct
/// enough to be searched for in what is printed.
fn root_token() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    format!("vaultkit-root-token-{}-{number}", std::process::id())
}
