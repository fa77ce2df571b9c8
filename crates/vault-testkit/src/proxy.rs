//! A proxy on loopback that stands between a client and a server and breaks things on cue.
//!
//! It speaks HTTP/1.1 and HTTP/2 (gRPC too), in plain or over TLS of its own, or passes raw TCP; it
//! counts what it sees, and does to a call what a rule says: delay it, drop it before or after the server
//! did it, answer in the server's place, cut, garble or trickle the answer. It lives on a thread of its own
//! with a runtime of its own, so a test may have any runtime or none, and ends with the value.
//!
//! Left to others: what each service says when it throttles or refuses
//! ([`conformance::transport`](crate::conformance::transport) is told), and what a client makes of it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::tls::{ServerCert, TestCa};

mod accept;
mod answer;
mod body;
mod fault;
mod forward;
mod line;
mod raw;
mod rules;
mod shared;
mod upstream;

pub use answer::Answer;
pub use fault::HttpFault;
pub use rules::{Match, Rule};
pub use shared::Call;
pub use upstream::Upstream;

use accept::Command;
use shared::Shared;

/// The host name that the proxy's own certificates carry beside those that were asked for.
const LOCALHOST: [&str; 2] = ["127.0.0.1", "localhost"];

/// A proxy that runs until it is dropped.
///
/// ```
/// use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};
///
/// let proxy = FaultProxy::start("http://127.0.0.1:8200")?;
/// let throttled = Answer::new(429).with_header("retry-after", "2");
/// proxy.on(Match::path("/datakey/")).nth(3).fault(HttpFault::Answer(throttled));
/// proxy.on(Match::any()).seeded(0.2, 7).fault(HttpFault::ResetBefore);
/// assert!(proxy.url().starts_with("http://127.0.0.1:"));
/// assert!(proxy.calls().is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct FaultProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    certificates: Option<Certificates>,
    commands: Option<UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

struct Certificates {
    right: ServerCert,
    wrong_name: ServerCert,
    expired: ServerCert,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1, in plain, and passes everything to `upstream`.
    ///
    /// # Errors
    /// If there is no port or no thread to be had.
    pub fn start(upstream: impl Into<Upstream>) -> io::Result<Self> {
        Self::begin(upstream.into(), None)
    }

    /// The same over TLS, with a certificate of `ca` for `names`, `localhost` and 127.0.0.1.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_tls(
        upstream: impl Into<Upstream>,
        ca: &TestCa,
        names: &[&str],
    ) -> io::Result<Self> {
        let names: Vec<&str> = names.iter().chain(&LOCALHOST).copied().collect();
        let certificates = Certificates {
            right: ca.issue(&names),
            wrong_name: ca.issue(&["somebody-else.test"]),
            expired: ca.issue_expired(&names),
        };
        Self::begin(upstream.into(), Some(certificates))
    }

    fn begin(upstream: Upstream, certificates: Option<Certificates>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(upstream));
        let (commands, received) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let seen = Arc::clone(&shared);
        let accepting = move || runtime.block_on(accept::run(seen, listener, received));
        let thread = std::thread::Builder::new().name("fault-proxy".into()).spawn(accepting)?;
        let proxy =
            Self { addr, shared, certificates, commands: Some(commands), thread: Some(thread) };
        proxy.serve_right_certificate();
        Ok(proxy)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens, as a URL of 127.0.0.1 without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.has_tls() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Whether clients speak TLS to it.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.certificates.is_some()
    }

    /// Begins a rule: what happens to the calls that `matches` describes.
    ///
    /// Rules are asked in the order of their making; the first that is due decides.
    pub fn on(&self, matches: Match) -> Rule<'_> {
        Rule::new(&self.shared, matches)
    }

    /// Forgets all rules and ends a recording.
    pub fn clear(&self) {
        self.shared.rules().clear();
        self.shared.stop_recording();
    }

    /// Keeps the server's answers from now on, for [`replay`](Self::replay).
    pub fn record(&self) {
        self.shared.start_recording();
    }

    /// The answers since [`record`](Self::record), which ends with it.
    #[must_use]
    pub fn recorded(&self) -> Vec<Answer> {
        self.shared.stop_recording()
    }

    /// The next calls get these answers, one each, and the server sees none of them.
    pub fn replay(&self, answers: Vec<Answer>) {
        for answer in answers {
            self.on(Match::any()).times(1).fault(HttpFault::Answer(answer));
        }
    }

    /// What was called since the beginning, in the order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls().clone()
    }

    /// How many connections clients have opened: as many as calls where none is used again.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Closes the port and resets every connection: connecting is refused when this returns.
    pub fn stop(&self) {
        self.command(Command::Stop);
    }

    /// Opens the same port again.
    ///
    /// # Errors
    /// If somebody else has taken the port meanwhile.
    pub fn listen_again(&self) -> io::Result<()> {
        let gone = || io::Error::other("the proxy's thread has ended");
        self.ask(Command::Listen).unwrap_or_else(|| Err(gone()))
    }

    /// Resets every connection and stays open.
    pub fn reset_connections(&self) {
        self.command(Command::Reset);
    }

    /// New connections get the right certificate; those that are open are reset, here and below.
    pub fn serve_right_certificate(&self) {
        self.serve(|certificates| &certificates.right);
    }

    /// New connections get a certificate of another name.
    pub fn serve_wrong_name(&self) {
        self.serve(|certificates| &certificates.wrong_name);
    }

    /// New connections get a certificate that has expired.
    pub fn serve_expired_certificate(&self) {
        self.serve(|certificates| &certificates.expired);
    }

    fn serve(&self, choice: fn(&Certificates) -> &ServerCert) {
        let Some(certificates) = &self.certificates else { return };
        self.shared.set_tls(choice(certificates).server_config(&[b"h2", b"http/1.1"]));
        self.reset_connections();
    }

    fn command(&self, command: fn(mpsc::Sender<()>) -> Command) {
        // Without an answer the thread is gone, and everything it held with it.
        let _ = self.ask(command);
    }

    fn ask<T>(&self, command: fn(mpsc::Sender<T>) -> Command) -> Option<T> {
        let (answer, answered) = mpsc::channel();
        self.commands.as_ref()?.send(command(answer)).ok()?;
        answered.recv().ok()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // The thread ends when nobody can command it any more.
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; a second one here would abort the test.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy").field("url", &self.url()).finish_non_exhaustive()
    }
}
