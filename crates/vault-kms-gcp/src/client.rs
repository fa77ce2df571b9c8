//! The SDK's clients over a pool of connections, and what every request carries.
//!
//! Left to others: what the calls mean. Nothing here or in the SDK repeats a call.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gcloud_sdk::google::cloud::kms::v1::key_management_service_client::KeyManagementServiceClient;
#[cfg(feature = "admin")]
use gcloud_sdk::google::iam::v1::iam_policy_client::IamPolicyClient;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Extensions, Request, Response, Status};
use vault_crypto_core::{Result, SecureBytes};

use crate::error::{Verb, classify};
use crate::login::{Login, Pass};
use crate::names::{self, KeyName};
use crate::transport::{self, Transport};
use crate::{GcpCredentials, GcpKmsConfig};

/// How often a call is made whose checksums do not match.
pub(crate) const ATTEMPTS: usize = 3;
/// A year. gRPC tells the time that is left in eight digits, and the SDK panics on what does not fit.
const LONGEST_CALL: Duration = Duration::from_secs(365 * 86_400);
/// Longest answer that is taken. A page of a list has some 2 MiB at most; anything longer is no answer of the KMS.
const MAX_ANSWER_LEN: usize = 4 * 1_024 * 1_024;
const ROUTING: &str = "x-goog-request-params";

pub(crate) type Kms = KeyManagementServiceClient<Transport>;
#[cfg(feature = "admin")]
pub(crate) type Iam = IamPolicyClient<Transport>;

/// A pool of connections to the service, and a login.
pub(crate) struct Client {
    first: Transport,
    more: Vec<Transport>,
    next: AtomicUsize,
    read_timeout: Duration,
    call_timeout: Duration,
    /// Absent where nobody logs in, or where the caller's own transport does.
    login: Option<Login>,
}

impl Client {
    pub(crate) fn connect(config: &GcpKmsConfig) -> Result<Self> {
        let (first, more) = transport::connect(config)?;
        let login = match config.credentials {
            GcpCredentials::Anonymous => None,
            _ => Some(Login::new(config)?),
        };
        Ok(Self::over(first, more, login, config))
    }

    pub(crate) fn over(
        first: Transport,
        more: Vec<Transport>,
        login: Option<Login>,
        config: &GcpKmsConfig,
    ) -> Self {
        let read_timeout = config.read_timeout.min(LONGEST_CALL);
        let call_timeout = config.call_timeout.min(LONGEST_CALL);
        Self { first, more, next: AtomicUsize::new(0), read_timeout, call_timeout, login }
    }

    /// Begins a call; its time runs from here.
    pub(crate) fn call(&self) -> Call<'_> {
        Call { client: self, until: Instant::now() + self.call_timeout }
    }

    /// The connection whose turn it is.
    fn transport(&self) -> Transport {
        let turn = match self.more.len() {
            0 => 0,
            more => self.next.fetch_add(1, Ordering::Relaxed) % (more + 1),
        };
        self.more.get(turn).unwrap_or(&self.first).clone()
    }
}

/// The resource of a request.
pub(crate) enum Named<'a> {
    /// A key, in the field `name`.
    Key(&'a KeyName),
    /// Any, and the field that it is in.
    Other(&'a str, &'a str),
}

impl Named<'_> {
    fn routing(&self) -> Option<MetadataValue<Ascii>> {
        match self {
            Self::Key(key) => key.routing(),
            Self::Other(field, resource) => names::routing(field, resource),
        }
    }
}

impl<'a> From<&'a KeyName> for Named<'a> {
    fn from(key: &'a KeyName) -> Self {
        Self::Key(key)
    }
}

impl<'a> From<(&'a str, &'a str)> for Named<'a> {
    fn from((field, resource): (&'a str, &'a str)) -> Self {
        Self::Other(field, resource)
    }
}

/// One call of the caller's. However many requests it takes, the login before them included, all end by one
/// deadline.
///
/// By the runtime's timer and not by the `Clock`: calls need the runtime anyway, and a sleep of the system's clock
/// costs each call a box, and each look at it a lock that all calls share.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    client: &'a Client,
    until: Instant,
}

impl Call<'_> {
    /// Makes one request of the KMS, about what is `named` in `message`.
    pub(crate) async fn kms<M: Clone, A>(
        &self,
        named: impl Into<Named<'_>>,
        message: M,
        method: impl AsyncFnOnce(&mut Kms, Request<M>) -> Result<Response<A>, Status> + Copy,
    ) -> Result<Response<A>, Status> {
        let send = async move |request| {
            let kms = Kms::new(self.client.transport());
            method(&mut kms.max_decoding_message_size(MAX_ANSWER_LEN), request).await
        };
        self.ask(named.into(), message, send).await
    }

    /// The same for what changes something: a request that reaches the service after its time, for whom nobody
    /// waits any more, is not to be done.
    #[cfg(feature = "admin")]
    pub(crate) async fn change<M: Clone, A>(
        &self,
        named: impl Into<Named<'_>>,
        message: M,
        method: impl AsyncFnOnce(&mut Kms, Request<M>) -> Result<Response<A>, Status> + Copy,
    ) -> Result<Response<A>, Status> {
        let until = self.next_limit();
        self.kms(named, message, async move |kms, mut request| {
            request.set_timeout(until.saturating_duration_since(Instant::now()));
            method(kms, request).await
        })
        .await
    }

    /// The same of the policies of who may do what.
    #[cfg(feature = "admin")]
    pub(crate) async fn iam<M: Clone, A>(
        &self,
        resource: &str,
        message: M,
        method: impl AsyncFnOnce(&mut Iam, Request<M>) -> Result<Response<A>, Status> + Copy,
    ) -> Result<Response<A>, Status> {
        let until = self.next_limit();
        let send = async move |mut request: Request<M>| {
            request.set_timeout(until.saturating_duration_since(Instant::now()));
            let iam = Iam::new(self.client.transport());
            method(&mut iam.max_decoding_message_size(MAX_ANSWER_LEN), request).await
        };
        self.ask(("resource", resource).into(), message, send).await
    }

    /// Sends a request, and once more with a new login where the service refuses the token of the first: then it
    /// did nothing yet.
    async fn ask<M: Clone, A>(
        &self,
        named: Named<'_>,
        message: M,
        send: impl AsyncFnOnce(Request<M>) -> Result<Response<A>, Status> + Copy,
    ) -> Result<Response<A>, Status> {
        let (until, routing) = (self.next_limit(), named.routing());
        // Pinned where it is: this future is large, and a parameter would be copied.
        let asking = pin!(async {
            let Some(login) = &self.client.login else {
                return send(request(None, routing, message)).await;
            };
            let (pass, again) = (login.pass().await?, message.clone());
            let answer = send(request(Some(&pass), routing.clone(), message)).await;
            if !login.refused(&pass, &answer) {
                return answer;
            }
            let Some(pass) = login.pass_after(&pass).await else { return answer };
            let pass = pass?;
            // Boxed, for it is rare, and every call would carry its room.
            let answer = Box::pin(send(request(Some(&pass), routing, again))).await;
            login.refused(&pass, &answer);
            answer
        });
        timeout_at(until, asking).await.unwrap_or_else(late)
    }

    /// Proves that there is a token, where this crate logs in.
    pub(crate) async fn log_in(&self) -> Result<()> {
        let Some(login) = &self.client.login else { return Ok(()) };
        let fetched = timeout_at(self.next_limit(), login.pass()).await.unwrap_or_else(late);
        fetched.map(drop).map_err(|status| classify(&status, Verb::Other))
    }

    /// What is left of the call's time.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// When the next request must have ended: at its own limit, or at the call's deadline if that is sooner.
    fn next_limit(&self) -> Instant {
        self.until.min(Instant::now() + self.client.read_timeout)
    }
}

/// A request with the login, and with the header that brings it to the right region.
fn request<M>(
    pass: Option<&Pass>,
    routing: Option<MetadataValue<Ascii>>,
    message: M,
) -> Request<M> {
    let mut metadata = MetadataMap::with_capacity(8);
    if let Some(pass) = pass {
        metadata.as_mut().extend(pass.headers.iter().map(|(n, v)| (n.clone(), v.clone())));
    }
    if let Some(routing) = routing {
        metadata.insert(ROUTING, routing);
    }
    Request::from_parts(metadata, Extensions::default(), message)
}

fn late<T>(_: Elapsed) -> Result<T, Status> {
    Err(Status::deadline_exceeded(""))
}

/// CRC32C as Google's messages carry it: 0 is a checksum like any other.
pub(crate) fn checksum(bytes: &[u8]) -> Option<i64> {
    Some(i64::from(crc32c::crc32c(bytes)))
}

/// Whether an answer's checksum is there and right.
pub(crate) fn matches(bytes: &[u8], answered: Option<i64>) -> bool {
    answered.is_some() && answered == checksum(bytes)
}

/// Takes a buffer of the SDK's over, so that it is wiped.
pub(crate) fn secret(buffer: &mut Vec<u8>) -> SecureBytes {
    SecureBytes::new(std::mem::take(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_of_nothing_is_present_and_an_absent_one_never_matches() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(checksum(&[0; 32]), Some(0x8a91_36aa));
        assert_eq!(checksum(b""), Some(0));
        assert!(matches(b"", Some(0)) && !matches(b"", None) && !matches(b"x", Some(0)));
    }
}
