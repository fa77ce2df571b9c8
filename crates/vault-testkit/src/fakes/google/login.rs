//! Where Google's logins get their tokens: a metadata server, a token exchange, impersonation and refresh
//! over HTTP on loopback, and the files that name them.
//!
//! A [`FakeCloudKms`](super::FakeCloudKms) takes the tokens that were given out here and no others, for as
//! long as they last, and knows whose they are. The key file of a service account signs its own tokens,
//! which are verified. Left to others: user consent, identity tokens.

mod account;
mod jwt;
mod service;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::server::Server;
pub(super) use account::Accounts;
use service::LoginService;

/// Google's login services, on a port of their own. Dropping it ends them.
///
/// ```
/// use vault_testkit::fakes::google::{FakeCloudKms, FakeGoogleLogin};
///
/// let (kms, login) = (FakeCloudKms::start(), FakeGoogleLogin::start());
/// kms.expect_logins_of(&login);
/// let key_file = login.service_account_key("app@acme-prod.iam.gserviceaccount.com");
/// assert!(key_file.contains("-----BEGIN PRIVATE KEY-----"));
/// ```
pub struct FakeGoogleLogin {
    service: Arc<LoginService>,
    server: Server,
}

impl FakeGoogleLogin {
    /// Starts them; the machine's own account is `machine@acme-prod.iam.gserviceaccount.com`.
    ///
    /// # Panics
    /// If loopback has no free port.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    #[must_use]
    pub fn start() -> Self {
        let service = Arc::new(LoginService::default());
        let server = Server::start(Arc::clone(&service), None, None);
        Self { service, server: server.expect("loopback has a free port") }
    }

    /// `127.0.0.1:PORT`, as `GCE_METADATA_HOST` wants it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.port)
    }

    /// What was asked, such as `POST /v1/token`, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.service.requests()
    }

    /// The key file of a new service account. Its tokens are signed with it and not asked for here.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[must_use]
    pub fn service_account_key(&self, email: &str) -> String {
        let private_key = self.service.accounts.add_key(email);
        let file = json!({
            "type": "service_account",
            "project_id": "acme-prod",
            "private_key_id": "1",
            "private_key": private_key,
            "client_email": email,
            "client_id": "1",
            "token_uri": format!("http://{}/token", self.address()),
        });
        file.to_string()
    }

    /// The configuration file of a workload identity federation whose subject token is in the file `subject`.
    /// The exchange takes the token `expected` alone. With `impersonated`, the account to act as.
    #[must_use]
    pub fn external_account(
        &self,
        subject: &Path,
        expected: &str,
        impersonated: Option<&str>,
    ) -> String {
        self.service.expect_subject(expected);
        let mut file = json!({
            "type": "external_account",
            "audience": service::AUDIENCE,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("http://{}/v1/token", self.address()),
            "credential_source": { "file": subject },
        });
        if let (Some(email), Some(file)) = (impersonated, file.as_object_mut()) {
            let url = format!("http://{}{}", self.address(), service::impersonation(email));
            file.insert("service_account_impersonation_url".to_owned(), url.into());
        }
        file.to_string()
    }

    /// What `gcloud auth application-default login` leaves behind.
    #[must_use]
    pub fn authorized_user(&self) -> String {
        let file = json!({
            "type": "authorized_user",
            "client_id": "1",
            "client_secret": "not-a-secret",
            "refresh_token": service::REFRESH_TOKEN,
            "token_uri": format!("http://{}/token", self.address()),
        });
        file.to_string()
    }

    /// How long the tokens last that are given out from now on. One hour, until this is said.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.service.accounts.set_lifetime(lifetime);
    }

    /// Revokes every token and every key that there is.
    pub fn revoke_all(&self) {
        self.service.accounts.revoke_all();
    }

    /// Lets the next request fail with this HTTP status.
    pub fn fail_next(&self, status: u16) {
        self.service.fail_next(status);
    }

    pub(super) fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.service.accounts)
    }
}

impl fmt::Debug for FakeGoogleLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeGoogleLogin").field("address", &self.address()).finish_non_exhaustive()
    }
}
