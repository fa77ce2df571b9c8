//! A Google Cloud KMS on a loopback socket: the public gRPC protocol, real AES-256-GCM and RSA-OAEP, the
//! real service's states, limits and errors.
//!
//! It is held to the real service by recorded traffic, by Google's own Python client, which does the same
//! work against it, and by the published reference, cited beside each behaviour. What it has never seen
//! is the service itself. Left out: signing, MACs, imports, HSM attestations, external keys, filters, and
//! IAM that is enforced (a test denies permissions by name); they answer `UNIMPLEMENTED`.
//!
//! Its key material lives in memory and is not wiped: it is for tests.

mod crypto;
mod iam;
mod keys;
mod knobs;
mod list;
mod login;
mod material;
mod names;
mod pem;
mod server;
mod service;
mod state;
mod status;
mod versions;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gcloud_sdk::google::cloud::kms::v1::crypto_key_version::CryptoKeyVersionState;
use rustls::ServerConfig;
use tonic::Code;

pub use knobs::CrcFault;
use knobs::{Failure, Login};
pub use login::FakeGoogleLogin;
use server::{Reserved, Server};
use service::Service;

use crate::tls::ServerCert;

/// A call that reached the service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The method, such as `Encrypt`.
    pub method: String,
    /// The resource of the request: its `name`, `parent`, `location` or `resource`.
    pub name: String,
    /// The header `x-goog-request-params`, as it was sent.
    pub request_params: Option<String>,
    /// The account whose token the call carried, where [`FakeCloudKms::expect_logins_of`] tells whose it is.
    pub account: Option<String>,
}

/// A Cloud KMS of one's own. Dropping it ends it.
///
/// It is empty at first: a test makes its key rings as any user does. It has its own thread and runtime,
/// so tests without one can start it.
///
/// ```
/// use vault_testkit::fakes::google::FakeCloudKms;
///
/// let fake = FakeCloudKms::start();
/// assert!(fake.endpoint().starts_with("http://127.0.0.1:"));
/// assert!(fake.calls().is_empty());
/// ```
pub struct FakeCloudKms {
    service: Arc<Service>,
    tls: Option<Arc<ServerConfig>>,
    port: u16,
    socket: Mutex<Socket>,
}

/// A server, or the port that is kept for it.
#[derive(Default)]
struct Socket {
    server: Option<Server>,
    reserved: Option<Reserved>,
}

const NO_SOCKET: &str = "loopback has a free port";

impl FakeCloudKms {
    /// Starts one without TLS: HTTP/2 by prior knowledge, as gRPC clients speak it on insecure channels.
    ///
    /// # Panics
    /// If loopback has no free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts one that speaks TLS with `certificate`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_tls(certificate: &ServerCert) -> Self {
        Self::start_with(Some(certificate.server_config(&[b"h2"])))
    }

    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    fn start_with(tls: Option<Arc<ServerConfig>>) -> Self {
        let service = Arc::new(Service::default());
        let server = Server::start(Arc::clone(&service), tls.clone(), None).expect(NO_SOCKET);
        let port = server.port;
        let socket = Socket { server: Some(server), reserved: None };
        Self { service, tls, port, socket: Mutex::new(socket) }
    }

    /// Where it listens: `http://127.0.0.1:PORT`, with TLS `https://`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// The same without a scheme: `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Every call since it was started or [`forget_calls`](Self::forget_calls), in the order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.service.calls().clone()
    }

    /// How many calls of `method` there were.
    #[must_use]
    pub fn count(&self, method: &str) -> usize {
        self.service.calls().iter().filter(|call| call.method == method).count()
    }

    /// Empties the log of calls.
    pub fn forget_calls(&self) {
        self.service.calls().clear();
    }

    /// Ends every connection and refuses new ones. Keys and port are kept.
    ///
    /// # Panics
    /// If the port cannot be kept.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    pub fn stop(&self) {
        let mut socket = self.socket();
        if let Some(server) = socket.server.take() {
            drop(server); // the port is free from here on
            socket.reserved = Some(Reserved::new(self.port).expect(NO_SOCKET));
        }
    }

    /// Listens again, on the same port and with the same keys.
    ///
    /// # Panics
    /// If it cannot listen.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    pub fn start_again(&self) {
        let mut socket = self.socket();
        if socket.server.is_none() {
            let (reserved, service) = (socket.reserved.take(), Arc::clone(&self.service));
            let server = Server::start(service, self.tls.clone(), reserved);
            socket.server = Some(server.expect(NO_SOCKET));
        }
    }

    /// Moves the service's clock forward: what is due is destroyed, rotated and generated.
    pub fn advance(&self, by: Duration) {
        self.service.state().advanced += by;
    }

    /// Lets the next call fail with `code` before it has any effect.
    pub fn fail_next(&self, code: Code) {
        self.fail(None, code, None, false);
    }

    /// The same, and the answer says how long to wait (`google.rpc.RetryInfo`).
    pub fn fail_next_with_retry_after(&self, code: Code, retry_after: Duration) {
        self.fail(None, code, Some(retry_after), false);
    }

    /// Lets the next call of `method` fail with `code` before it has any effect.
    pub fn fail_next_of(&self, method: &str, code: Code) {
        self.fail(Some(method), code, None, false);
    }

    /// Lets the next call of `method` take effect and then answer `code`, as when the answer was lost.
    pub fn fail_next_after_effect(&self, method: &str, code: Code) {
        self.fail(Some(method), code, None, true);
    }

    fn fail(&self, method: Option<&str>, code: Code, retry_after: Option<Duration>, after: bool) {
        let method = method.map(str::to_owned);
        let failure = Failure { method, code, retry_after, after_effect: after };
        self.service.state().knobs.failures.push_back(failure);
    }

    /// Spoils a checksum of the next call that has one. Faults queue up.
    pub fn corrupt_next_crc(&self, fault: CrcFault) {
        self.service.state().knobs.crc.push_back(fault);
    }

    /// Lets the next `Encrypt` answer `name` as the version that it used.
    pub fn answer_next_name(&self, name: &str) {
        self.service.state().knobs.answered_name = Some(name.to_owned());
    }

    /// From now on, takes `Bearer` with this token alone; with `None`, anybody.
    pub fn expect_token(&self, token: Option<&str>) {
        let login = token.map_or(Login::Anyone, |token| Login::Token(token.to_owned()));
        self.service.state().knobs.login = login;
    }

    /// From now on, takes the tokens that `login` gave out and that its key files sign, and no others.
    pub fn expect_logins_of(&self, login: &FakeGoogleLogin) {
        self.service.state().knobs.login = Login::Of(login.accounts());
    }

    /// From now on, refuses every token.
    pub fn revoke_tokens(&self) {
        self.service.state().knobs.login = Login::Nobody;
    }

    /// From now on, denies a permission such as `cloudkms.cryptoKeyVersions.useToDecrypt`.
    pub fn deny(&self, permission: &str) {
        self.service.state().knobs.denied.insert(permission.to_owned());
    }

    /// Denies nothing any more.
    pub fn allow_all(&self) {
        self.service.state().knobs.denied.clear();
    }

    /// Whether calls without the right header `x-goog-request-params` are refused.
    pub fn require_request_params(&self, required: bool) {
        self.service.state().knobs.params_required = required;
    }

    /// Whether lists begin with an empty page, as lists may at any place.
    pub fn begin_lists_with_an_empty_page(&self, empty: bool) {
        self.service.state().knobs.empty_first_pages = empty;
    }

    /// Whether lists go round in a circle for ever.
    pub fn never_end_lists(&self, endless: bool) {
        self.service.state().knobs.endless_lists = endless;
    }

    /// How long new versions stay in `PENDING_GENERATION`.
    pub fn generate_slowly(&self, takes: Duration) {
        self.service.state().knobs.generation = takes;
    }

    /// Has the key ring `projects/P/locations/L/keyRings/R`, as if it had been made long before.
    pub fn add_key_ring(&self, name: impl Into<String>) {
        let mut state = self.service.state();
        let now = state.now();
        state.rings.insert(name.into(), now);
    }

    /// Puts a version into a state that no call brings about here, such as `IMPORT_FAILED`.
    ///
    /// # Panics
    /// If there is no version called `version`, or no state called `state`.
    #[expect(clippy::expect_used, reason = "a test that names what is not there is wrong")]
    pub fn force_state(&self, version: &str, state: &str) {
        let state = CryptoKeyVersionState::from_str_name(state).expect("a state of the reference");
        self.service.state().version_mut(version).expect("a version that is there").state = state;
    }

    fn socket(&self) -> MutexGuard<'_, Socket> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FakeCloudKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeCloudKms").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}
