//! Three Vaults that are one: integrated storage (Raft) on loopback, one folder per node.
//!
//! Each node is a [`Vault`], which is crashed, paused, sealed and asked for its calls like any other. Left to
//! that one's script: setting a node up.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::super::ServerError;
use super::Vault;

/// How often a state is looked for, and how long in all: a minute.
const PAUSE: Duration = Duration::from_millis(50);
const TRIES: usize = 1_200;

/// A running cluster: one node is active, the others stand by, pass requests on to it, and elect another one
/// when it goes.
#[derive(Debug)]
pub struct VaultCluster {
    nodes: Vec<Vault>,
}

impl VaultCluster {
    /// Starts three nodes over plain HTTP, unsealed, with no secrets engine. It is ready when each of them
    /// answers what only the active one knows. It takes some seconds.
    ///
    /// # Errors
    /// If Vault is not installed, or what it said instead of starting.
    pub fn start() -> Result<Self, ServerError> {
        let first = Vault::start_node(None)?;
        let (second, third) = thread::scope(|scope| {
            let second = scope.spawn(|| Vault::start_node(Some(&first)));
            let third = Vault::start_node(Some(&first));
            (second.join(), third)
        });
        let second = second.map_err(|_| ServerError("the thread of a node panicked".into()))?;
        let cluster = Self { nodes: vec![first, second?, third?] };
        cluster.await_all()?;
        // One without a vote elects nobody.
        let peers = || cluster.active()?.run(&["operator", "raft", "list-peers"]);
        let all_vote =
            || peers().unwrap_or_default().matches("true").count() == cluster.nodes.len();
        soon("a node has no vote", || all_vote().then_some(()))?;
        Ok(cluster)
    }

    /// The nodes; what one is stays the same, whichever is active.
    #[must_use]
    pub fn nodes(&self) -> &[Vault] {
        &self.nodes
    }

    /// The node that is active, after waiting for one to be elected if need be.
    ///
    /// # Errors
    /// If there is none for a minute.
    pub fn active(&self) -> Result<&Vault, ServerError> {
        let is_active = |node: &&Vault| status(node, "sys/health") == Some(200);
        soon("no node is active", || self.nodes.iter().find(is_active))
    }

    /// The others, whether they run or not.
    ///
    /// # Errors
    /// As for [`active`](Self::active).
    pub fn standbys(&self) -> Result<Vec<&Vault>, ServerError> {
        let active = self.active()?.port();
        Ok(self.nodes.iter().filter(|node| node.port() != active).collect())
    }

    /// Waits until all nodes run and answer for the active one, after one was started again.
    ///
    /// # Errors
    /// If one does not for a minute.
    pub fn await_all(&self) -> Result<(), ServerError> {
        let answers = |node| status(node, "auth/token/lookup-self") == Some(200);
        soon("a node does not pass requests on", || self.nodes.iter().all(answers).then_some(()))
    }
}

/// What `look` finds in the end.
fn soon<T>(missing: &str, look: impl Fn() -> Option<T>) -> Result<T, ServerError> {
    for _ in 0..TRIES {
        if let Some(found) = look() {
            return Ok(found);
        }
        thread::park_timeout(PAUSE);
    }
    Err(ServerError(format!("{missing}, for a minute")))
}

/// With which status `node` itself answers; a redirect is an answer.
fn status(node: &Vault, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port())).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let (host, token) = (node.port(), node.root_token());
    let head = format!("Host: 127.0.0.1:{host}\r\nX-Vault-Token: {token}\r\nConnection: close");
    write!(stream, "GET /v1/{path} HTTP/1.1\r\n{head}\r\n\r\n").ok()?;
    // HTTP/1.1 200
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).ok()?;
    str::from_utf8(&begin).ok()?.get(9..)?.parse().ok()
}
