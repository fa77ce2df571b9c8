//! What the real service answered when it was asked: traffic that the Go Cloud Development Kit recorded, to compare
//! the fake with and to replay to a client.
//!
//! Left to `data/recorded/azure/README.md`: where it comes from and its licence.
#![expect(clippy::expect_used, reason = "the recordings are compiled in and tested")]

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64ct::{Base64, Encoding as _};
use serde_json::Value;

use super::answer::Answer;
use super::authority::Authority;
use super::server::{self, Handler, Heard, Running};
use crate::tls::TestCa;

/// One request to the service and its answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Exchange {
    /// The HTTP method.
    pub method: String,
    /// The path, without host and query.
    pub path: String,
    /// The body that was sent; empty for the request that asks for the challenge.
    pub sent: String,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer.
    pub body: String,
    /// The headers of the answer, in small letters.
    pub headers: Vec<(String, String)>,
}

/// A test of the Go Cloud Development Kit whose traffic was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recording {
    /// One encryption and its decryption.
    EncryptDecrypt,
    /// Two encryptions of the same plaintext.
    TwoEncryptions,
    /// Two keys.
    TwoKeys,
    /// Ciphertexts with a byte changed, missing and added.
    ChangedCiphertexts,
    /// A ciphertext that is none.
    NoCiphertext,
}

impl Recording {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::EncryptDecrypt,
        Self::TwoEncryptions,
        Self::TwoKeys,
        Self::ChangedCiphertexts,
        Self::NoCiphertext,
    ];

    /// What was said, in order.
    ///
    /// # Panics
    /// Never: the files are part of this crate, and its tests read them all.
    #[must_use]
    pub fn exchanges(self) -> Vec<Exchange> {
        let file: Value = serde_json::from_str(self.file()).expect("JSON");
        let entries = file.get("Entries").and_then(Value::as_array).expect("entries");
        entries.iter().map(|entry| exchange(entry).expect("an exchange")).collect()
    }

    fn file(self) -> &'static str {
        match self {
            Self::EncryptDecrypt => {
                include_str!("../../../data/recorded/azure/TestEncryptDecrypt.json")
            }
            Self::TwoEncryptions => {
                include_str!("../../../data/recorded/azure/TestMultipleEncryptionsNotEqual.json")
            }
            Self::TwoKeys => include_str!("../../../data/recorded/azure/TestMultipleKeys.json"),
            Self::ChangedCiphertexts => {
                include_str!("../../../data/recorded/azure/TestDecryptMalformedError.json")
            }
            Self::NoCiphertext => include_str!("../../../data/recorded/azure/TestAs.json"),
        }
    }
}

fn exchange(entry: &Value) -> Option<Exchange> {
    let (request, response) = (entry.get("Request")?, entry.get("Response")?);
    let text = |from: &Value, name: &str| Some(from.get(name)?.as_str()?.to_owned());
    let url = text(request, "URL")?;
    let path = url.strip_prefix("https://")?.split_once('/')?.1.split('?').next()?;
    let parts = request.get("BodyParts").and_then(Value::as_array).cloned().unwrap_or_default();
    let sent: Option<Vec<String>> = parts.iter().map(|part| plain(part.as_str()?)).collect();
    let headers = response.get("Header")?.as_object()?.iter().filter_map(|(name, values)| {
        Some((name.to_lowercase(), values.get(0)?.as_str()?.to_owned()))
    });
    Some(Exchange {
        method: text(request, "Method")?,
        path: format!("/{path}"),
        sent: sent?.concat(),
        status: u16::try_from(response.get("StatusCode")?.as_u64()?).ok()?,
        body: plain(&text(response, "Body")?)?,
        headers: headers.collect(),
    })
}

fn plain(base64: &str) -> Option<String> {
    String::from_utf8(Base64::decode_vec(base64).ok()?).ok()
}

/// A server that answers what the service answered, word for word.
///
/// Each recorded exchange is played once, to the first request with its method and path that has a token or has
/// none as it had. What was never asked is not there: 404, as of a key or version that the service does not have.
///
/// ```
/// use vault_testkit::fakes::azure::recorded::{Recording, ReplayedKeyVault};
///
/// let vault = ReplayedKeyVault::start(Recording::EncryptDecrypt);
/// assert_eq!(vault.host(), "go-cdk.vault.azure.net");
/// assert_eq!(vault.left(), 3);
/// ```
pub struct ReplayedKeyVault {
    left: Arc<Mutex<Vec<Exchange>>>,
    authority: Arc<Authority>,
    ca: TestCa,
    addr: SocketAddr,
    _running: Running,
}

/// The vault and the tenant of the recordings.
const HOST: &str = "go-cdk.vault.azure.net";
const TENANT: &str = "db44ed8f-85f7-4f22-b378-3bb9fa3d62ff";

impl ReplayedKeyVault {
    /// Plays a recording.
    ///
    /// # Panics
    /// If this machine has no free port on loopback.
    #[must_use]
    pub fn start(recording: Recording) -> Self {
        let left = Arc::new(Mutex::new(recording.exchanges()));
        let authority = Arc::new(Authority::new(TENANT));
        let ca = TestCa::new();
        let tls = ca.issue(&[HOST, "login.microsoftonline.com", "127.0.0.1"]);
        let tls = tls.server_config(&[b"http/1.1"]);
        let ((secure, addr), (plain, _)) = (server::bind(0), server::bind(0));
        let (played, logins, base) = (left.clone(), authority.clone(), format!("https://{addr}"));
        let vault: Handler = Arc::new(move |heard| match heard.segments().first() {
            Some(&"keys") => play(&played, heard),
            _ => logins.answer(heard, &base).with_header("content-type", "application/json"),
        });
        let logins = authority.clone();
        let metadata: Handler = Arc::new(move |heard| logins.managed_identity(heard));
        let running = server::serve((secure, tls, vault), (plain, metadata));
        Self { left, authority, ca, addr, _running: running }
    }

    /// Where it listens, with TLS.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The vault's name in the recordings.
    #[must_use]
    pub fn host(&self) -> &'static str {
        HOST
    }

    /// The root of its certificate.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.ca.ca_pem()
    }

    /// A token, which no replay looks at; the login server at [`addr`](Self::addr) gives them too.
    #[must_use]
    pub fn token(&self) -> String {
        let hour = std::time::Duration::from_secs(3600);
        self.authority.issuer.token(super::tokens::RESOURCE, hour)
    }

    /// How many exchanges were not played yet.
    #[must_use]
    pub fn left(&self) -> usize {
        super::lock(&self.left).len()
    }
}

impl fmt::Debug for ReplayedKeyVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayedKeyVault").field("addr", &self.addr).finish_non_exhaustive()
    }
}

fn play(left: &Mutex<Vec<Exchange>>, heard: &Heard) -> Answer {
    let mut left = super::lock(left);
    let path = format!("/{}", heard.segments().join("/"));
    let has_token = heard.header("authorization").is_some();
    let found = left.iter().position(|exchange| {
        exchange.method == heard.method
            && exchange.path == path
            && (exchange.status == 401) != has_token
    });
    let Some(found) = found else {
        return super::answer::key_not_found(path.trim_start_matches("/keys/"));
    };
    let exchange = left.remove(found);
    let answer = Answer::json(exchange.status, exchange.body);
    let kept = ["content-type", "date", "www-authenticate", "x-ms-request-id"];
    kept.into_iter().fold(answer, |answer, name| {
        match exchange.headers.iter().find(|(header, _)| header == name) {
            Some((_, value)) => answer.with_header(name, value),
            None => answer,
        }
    })
}
