//! A Key Vault on a loopback socket.
//!
//! It serves the REST protocol of Azure Key Vault's keys over TLS, with real RSA, real tokens and the service's
//! own refusals, beside the login server and the metadata service that a client needs. It is held to the service
//! by recorded traffic ([`recorded`]), by Microsoft's own client, and by the reference that is cited at each
//! behaviour. Left out: secrets, certificates, Managed HSM (and with it random bytes and symmetric keys),
//! signatures, key release. It protects nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use vault_crypto_core::{RandomSource as _, SystemRandom};

mod answer;
mod authority;
mod deleted;
mod keys;
mod material;
mod options;
mod period;
pub mod recorded;
mod rotation;
mod routes;
mod server;
mod tokens;
mod vault;

use answer::Answer;
use authority::Authority;
use server::{Handler, Running};
use vault::Vault;

pub use options::FakeKeyVaultOptions;

use crate::tls::{ServerCert, TestCa};

/// A Key Vault, its login server and its metadata service, on three threads of their own.
///
/// A client reaches it under the vault's name if that name is resolved to [`addr`](Self::addr) (`resolve` of
/// reqwest), and checks certificate and challenge as always.
///
/// ```
/// use std::time::Duration;
/// use vault_testkit::fakes::azure::FakeKeyVault;
///
/// let vault = FakeKeyVault::start();
/// assert_eq!(vault.url(), format!("https://{}", vault.host()));
/// assert!(vault.host().ends_with(".vault.azure.net"));
/// assert_eq!(vault.token(Duration::from_secs(60)).split('.').count(), 3);
/// assert!(vault.calls().is_empty());
/// ```
pub struct FakeKeyVault {
    state: Arc<State>,
    ca: TestCa,
    certificate: ServerCert,
    secure: SocketAddr,
    plain: SocketAddr,
    running: Mutex<Option<Running>>,
}

/// What a vault was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The HTTP method.
    pub method: String,
    /// The path without the query, as it came (`/keys/NAME//wrapkey`).
    pub path: String,
    /// Whether it carried a good token; without one it was answered 401.
    pub authorized: bool,
    /// The status of the answer.
    pub status: u16,
}

/// What the handlers share; it outlives a stopped server.
struct State {
    name: String,
    authority: Authority,
    vault: Mutex<Vault>,
    calls: Mutex<Vec<Call>>,
    denied: Mutex<BTreeSet<String>>,
    throttled: Mutex<(u32, Option<u64>)>,
    /// Seconds that the vault's clock is ahead of the system's.
    ahead: AtomicU64,
}

impl FakeKeyVault {
    /// A vault named `vaultkit-test` that keeps deleted keys for 90 days and may be purged.
    ///
    /// # Panics
    /// If this machine has no free port on loopback, or no randomness.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(FakeKeyVaultOptions::new())
    }

    /// A vault as the options say.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(options: FakeKeyVaultOptions) -> Self {
        let state = Arc::new(State::new(options));
        let ca = TestCa::new();
        let host = state.host();
        let certificate = ca.issue(&[
            &host,
            "*.vault.azure.net",
            "login.microsoftonline.com",
            "localhost",
            "127.0.0.1",
        ]);
        let (secure, secure_addr) = server::bind(0);
        let (plain, plain_addr) = server::bind(0);
        let fake = Self {
            state,
            ca,
            certificate,
            secure: secure_addr,
            plain: plain_addr,
            running: Mutex::new(None),
        };
        fake.run(secure, plain);
        fake
    }

    fn run(&self, secure: std::net::TcpListener, plain: std::net::TcpListener) {
        let tls = self.certificate.server_config(&[b"h2", b"http/1.1"]);
        let (state, base) = (Arc::clone(&self.state), self.authority());
        let vault: Handler = Arc::new(move |heard| {
            if routes::of_vault(heard) {
                state.answer(heard)
            } else {
                state.authority.answer(heard, &base).with_header("content-type", "application/json")
            }
        });
        let state = Arc::clone(&self.state);
        let metadata: Handler = Arc::new(move |heard| {
            let answer = state.authority.managed_identity(heard);
            answer.with_header("content-type", "application/json")
        });
        *lock(&self.running) = Some(server::serve((secure, tls, vault), (plain, metadata)));
    }

    /// Where it listens, with TLS.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.secure
    }

    /// The vault's name: `NAME.vault.azure.net`.
    #[must_use]
    pub fn host(&self) -> String {
        self.state.host()
    }

    /// The vault's address, without the port: the names of keys begin with it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.host())
    }

    /// The root of its certificate, which is good for the vault's name (and any beside it),
    /// `login.microsoftonline.com` and 127.0.0.1.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.ca.ca_pem()
    }

    /// The authority behind that certificate, for a proxy that stands between.
    #[must_use]
    pub fn ca(&self) -> &TestCa {
        &self.ca
    }

    /// The login server: `/TENANT/oauth2/v2.0/token` is under it.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("https://{}", self.secure)
    }

    /// Where the metadata service listens, in plain HTTP. A client that insists on 169.254.169.254 gets here
    /// if it takes this for its HTTP proxy.
    #[must_use]
    pub fn metadata_addr(&self) -> SocketAddr {
        self.plain
    }

    /// The tenant of the vault and of its logins.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.state.authority.issuer.tenant
    }

    /// The application that may log in, and the managed identity.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.state.authority.issuer.client_id
    }

    /// The application's secret.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        &self.state.authority.issuer.client_secret
    }

    /// A token of another issuer that stands for the application: what lies in the file of a workload identity.
    #[must_use]
    pub fn federated_token(&self) -> String {
        self.state.authority.issuer.token(tokens::EXCHANGE, Duration::from_secs(3600))
    }

    /// What App Service gives in `IDENTITY_HEADER`; its endpoint is `/msi/token` at
    /// [`metadata_addr`](Self::metadata_addr).
    #[must_use]
    pub fn identity_header(&self) -> &str {
        &self.state.authority.identity_header
    }

    /// An access token for this vault that ends after `ttl` of the system's time (at once for zero).
    #[must_use]
    pub fn token(&self, ttl: Duration) -> String {
        self.token_for(tokens::RESOURCE, ttl)
    }

    /// The same for another service, which the vault refuses.
    #[must_use]
    pub fn token_for(&self, audience: &str, ttl: Duration) -> String {
        self.state.authority.issuer.token(audience, ttl)
    }

    /// How long the tokens of later logins are good for; 3599 seconds at first.
    pub fn set_token_lifetime(&self, ttl: Duration) {
        self.state.authority.issuer.lifetime.store(ttl.as_secs(), Ordering::Relaxed);
    }

    /// Makes every token so far a bad one, as does what an administrator revokes.
    pub fn revoke_tokens(&self) {
        self.state.authority.issuer.revoke();
    }

    /// What the vault was asked, the oldest first; logins are not among it.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state.calls).clone()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        lock(&self.state.calls).clear();
    }

    /// Refuses the next `count` calls with 429, and says how long to wait if `retry_after` is given.
    pub fn throttle(&self, count: u32, retry_after: Option<Duration>) {
        *lock(&self.state.throttled) = (count, retry_after.map(|wait| wait.as_secs()));
    }

    /// Takes a permission from everybody: the data action of a role without what is around it (`create`, `read`,
    /// `update`, `delete`, `wrap`, `unwrap`, `encrypt`, `decrypt`, `rotate`, `rotationpolicy`, `backup`,
    /// `restore`, `recover`, `purge`; `deletedkeys` stands for looking at deleted keys).
    pub fn deny(&self, permission: &str) {
        lock(&self.state.denied).insert(permission.to_owned());
    }

    /// Gives back every permission.
    pub fn allow_all(&self) {
        lock(&self.state.denied).clear();
    }

    /// How many looks at a deleted key say that there is none before it shows, from the next deletion on: the
    /// service takes some seconds, in which the key is neither here nor there. None at first.
    pub fn slow_deletions(&self, looks: u32) {
        lock(&self.state.vault).slow_deletions = looks;
    }

    /// Moves the vault's clock: keys expire, rotate by their policies, are purged. Logins go by the system's.
    pub fn advance(&self, by: Duration) {
        self.state.ahead.fetch_add(by.as_secs(), Ordering::Relaxed);
    }

    /// Stops listening and cuts every connection. Keys, tokens and ports stay.
    pub fn stop(&self) {
        drop(lock(&self.running).take());
    }

    /// Listens again where it did.
    ///
    /// # Panics
    /// If somebody else took the port in the meantime.
    pub fn start_again(&self) {
        self.stop();
        let (secure, _) = server::bind(self.secure.port());
        let (plain, _) = server::bind(self.plain.port());
        self.run(secure, plain);
    }
}

impl fmt::Debug for FakeKeyVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, addr) = (self.host(), self.secure);
        f.debug_struct("FakeKeyVault")
            .field("host", &host)
            .field("addr", &addr)
            .finish_non_exhaustive()
    }
}

impl State {
    fn new(options: FakeKeyVaultOptions) -> Self {
        let settings = options.settings();
        Self {
            name: settings.name().to_owned(),
            authority: Authority::new(&options.tenant),
            vault: Mutex::new(Vault::new(settings)),
            calls: Mutex::default(),
            denied: Mutex::default(),
            throttled: Mutex::default(),
            ahead: AtomicU64::new(0),
        }
    }

    fn host(&self) -> String {
        lock(&self.vault).settings.host.clone()
    }

    fn now(&self) -> u64 {
        tokens::seconds_now() + self.ahead.load(Ordering::Relaxed)
    }

    fn date(&self) -> String {
        crate::date::imf_fixdate(UNIX_EPOCH + Duration::from_secs(self.now()))
    }

    /// Brings the vault up to its time and lets `act` at it.
    fn with_vault<T>(
        &self,
        act: impl FnOnce(&mut Vault, u64) -> Result<T, Answer>,
    ) -> Result<T, Answer> {
        let now = self.now();
        let mut vault = lock(&self.vault);
        vault.age(now);
        act(&mut vault, now)
    }

    fn note(&self, call: Call) {
        lock(&self.calls).push(call);
    }

    fn denies(&self, permission: &str) -> bool {
        lock(&self.denied).contains(permission)
    }

    fn throttle(&self) -> Option<Answer> {
        let mut throttled = lock(&self.throttled);
        throttled.0 = throttled.0.checked_sub(1)?;
        Some(answer::throttled(throttled.1))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::expect_used, reason = "a test cannot go on without randomness")]
fn random(out: &mut [u8]) {
    SystemRandom::new().fill(out).expect("the system has randomness");
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    random(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
