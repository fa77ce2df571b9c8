//! The requests of logins, answered: the metadata server
//! (<https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys>), the token exchange of workload
//! identity federation (RFC 8693), impersonation
//! (<https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>)
//! and the refresh of a person's token (RFC 6749, section 6).
//!
//! Left to others: which tokens are good.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use vault_crypto_core::{Clock as _, SystemClock};

use super::account::Accounts;
use crate::fakes::google::server::Serve;
use crate::fakes::google::service::decoded;

pub(super) const AUDIENCE: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider";
pub(super) const REFRESH_TOKEN: &str = "1//refresh";
const MACHINE: &str = "machine@acme-prod.iam.gserviceaccount.com";
const PERSON: &str = "person@example.com";
const METADATA: &str = "/computeMetadata/v1/";
const ACCOUNT: &str = "instance/service-accounts/default/";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Path of the call by which `email` is impersonated.
pub(super) fn impersonation(email: &str) -> String {
    format!("/v1/projects/-/serviceAccounts/{email}:generateAccessToken")
}

#[derive(Default)]
pub(super) struct LoginService {
    pub(super) accounts: Arc<Accounts>,
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    requests: Vec<String>,
    failures: Vec<u16>,
    subject: Option<String>,
}

type Answer = Result<Value, (u16, &'static str)>;

impl LoginService {
    fn asked<T>(&self, use_it: impl FnOnce(&mut Asked) -> T) -> T {
        use_it(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.asked(|asked| asked.requests.clone())
    }

    pub(super) fn expect_subject(&self, token: &str) {
        self.asked(|asked| asked.subject = Some(token.to_owned()));
    }

    pub(super) fn fail_next(&self, status: u16) {
        self.asked(|asked| asked.failures.push(status));
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let failure = self.asked(|asked| {
            asked.requests.push(format!("{} {path}", head.method));
            asked.failures.pop()
        });
        if let Some(status) = failure {
            return respond(status, "asked for by a test".into());
        }
        if path == "/" {
            return respond(200, String::new()); // how clients find out whether there is a metadata server
        }
        if let Some(item) = path.strip_prefix(METADATA) {
            return self.metadata(item, &head.headers);
        }
        let Ok(body) = body.collect().await else { return respond(400, "no body".into()) };
        let fields = fields(&body.to_bytes());
        let answer = match (&head.method, path) {
            (&Method::POST, "/v1/token") => self.exchange(&fields),
            (&Method::POST, "/token") => self.refresh(&fields),
            (&Method::POST, path) => self.impersonate(path, &head.headers),
            _ => Err((404, "not_found")),
        };
        match answer {
            Ok(value) => respond(200, value.to_string()),
            Err((status, error)) => respond(status, json!({ "error": error }).to_string()),
        }
    }

    /// "Requests must have the header `Metadata-Flavor: Google`."
    fn metadata(&self, item: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
            return respond(403, "Missing Metadata-Flavor:Google header.".into());
        }
        match item.strip_prefix(ACCOUNT) {
            Some("email") => respond(200, MACHINE.into()),
            Some("token") => respond(200, self.token(MACHINE).to_string()),
            Some("") => respond(200, json!({ "email": MACHINE, "scopes": [SCOPE] }).to_string()),
            _ => match item {
                "universe/universe-domain" => respond(200, "googleapis.com".into()),
                "project/project-id" => respond(200, "acme-prod".into()),
                _ => respond(404, "not found".into()),
            },
        }
    }

    fn token(&self, account: &str) -> Value {
        let (token, lifetime) = self.accounts.issue(account, SystemClock::new().now());
        json!({ "access_token": token, "expires_in": lifetime.as_secs(), "token_type": "Bearer" })
    }

    fn exchange(&self, fields: &BTreeMap<String, String>) -> Answer {
        let is = |name: &str, value: &str| fields.get(name).is_some_and(|given| given == value);
        if !is("grant_type", TOKEN_EXCHANGE) || !is("requested_token_type", ACCESS_TOKEN) {
            return Err((400, "unsupported_grant_type"));
        }
        if !is("audience", AUDIENCE) {
            return Err((400, "invalid_target"));
        }
        if self.asked(|asked| asked.subject.clone()).as_ref() != fields.get("subject_token") {
            return Err((400, "invalid_grant"));
        }
        let mut answer = self.token(&format!("principal:{AUDIENCE}"));
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("issued_token_type".to_owned(), ACCESS_TOKEN.into());
        }
        Ok(answer)
    }

    fn refresh(&self, fields: &BTreeMap<String, String>) -> Answer {
        let is = |name: &str, value: &str| fields.get(name).is_some_and(|given| given == value);
        if is("grant_type", "refresh_token") && is("refresh_token", REFRESH_TOKEN) {
            return Ok(self.token(PERSON));
        }
        // RFC 7523: a token that a service account signed, for one of ours.
        let assertion = fields.get("assertion").filter(|_| is("grant_type", JWT_BEARER));
        let now = SystemClock::new().now();
        let account = assertion.and_then(|token| self.accounts.account(token, now));
        account.map(|account| self.token(&account)).ok_or((400, "invalid_grant"))
    }

    /// Takes a token that was given out here, and gives one for the account that the path names.
    fn impersonate(&self, path: &str, headers: &HeaderMap) -> Answer {
        let email = path
            .strip_prefix("/v1/projects/-/serviceAccounts/")
            .and_then(|rest| rest.strip_suffix(":generateAccessToken"));
        let email = email.ok_or((404, "not_found"))?;
        let now = SystemClock::new().now();
        let token = headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        let caller = token.and_then(|token| self.accounts.account(token, now));
        caller.ok_or((401, "UNAUTHENTICATED"))?;
        let (token, lifetime) = self.accounts.issue(email, now);
        Ok(json!({ "accessToken": token, "expireTime": rfc3339(now + lifetime) }))
    }
}

impl Serve for LoginService {
    async fn connection<S>(self: Arc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answer = service_fn(move |request| {
            let service = Arc::clone(&self);
            async move { Ok::<_, Infallible>(service.answer(request).await) }
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
    }
}

fn respond(status: u16, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert("metadata-flavor", http::HeaderValue::from_static("Google"));
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

/// The fields of a form, or of a JSON object.
fn fields(body: &[u8]) -> BTreeMap<String, String> {
    if let Ok(Value::Object(object)) = serde_json::from_slice(body) {
        let text = |value: Value| value.as_str().map(str::to_owned);
        return object.into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect();
    }
    let form = String::from_utf8_lossy(body).replace('+', " ");
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(key, value)| Some((decoded(key)?, decoded(value)?))).collect()
}

/// In whole seconds, as Google writes it here and its Python client reads it.
fn rfc3339(time: SystemTime) -> String {
    let time = time::OffsetDateTime::from(time);
    let time = time.replace_nanosecond(0).unwrap_or(time);
    time.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}
