//! From a request's path to the function that answers it, through what every call passes: the log of
//! calls, the login, the routing header, permissions, and the failures a test has asked for.
//!
//! Left to others: sockets; what the calls do.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gcloud_sdk::google::cloud::kms::v1 as kms;
use gcloud_sdk::google::iam::v1 as iam;
use gcloud_sdk::prost::Message;
use gcloud_sdk::proto_ext::kms::EncryptRequest;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::knobs::Login;
use super::server::Serve;
use super::state::State;
use super::{Call, crypto, iam as policies, keys, names, status, versions};

const KMS: &str = "/google.cloud.kms.v1.KeyManagementService/";
const IAM: &str = "/google.iam.v1.IAMPolicy/";

/// What the connections share.
#[derive(Default)]
pub(super) struct Service {
    state: Mutex<State>,
    calls: Mutex<Vec<Call>>,
}

impl Service {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve<Q: Resource, A>(
        &self,
        method: &Method<Q, A>,
        request: Request<Q>,
    ) -> Result<A, Status> {
        let (metadata, _, message) = request.into_parts();
        let (field, name) = message.resource();
        let mut state = self.state();
        state.catch_up();
        let login = login(&state, &metadata);
        let params = metadata.get("x-goog-request-params").and_then(|value| value.to_str().ok());
        self.calls().push(Call {
            method: method.name.to_owned(),
            name: name.to_owned(),
            request_params: params.map(str::to_owned),
            account: login.as_ref().ok().cloned().flatten(),
        });
        let failure = state.knobs.take_failure(method.name);
        if let Some(failure) = failure.as_ref().filter(|failure| !failure.after_effect) {
            return Err(status::injected(failure.code, failure.retry_after));
        }
        login?;
        if state.knobs.params_required {
            check_params(params, field, name)?;
        }
        let permission = permission(method.permission, name);
        if state.knobs.denied.contains(&permission) {
            return Err(status::permission_denied(&permission, name));
        }
        let answer = (method.run)(&mut state, message)?;
        match failure {
            Some(failure) => Err(status::injected(failure.code, failure.retry_after)),
            None => Ok(answer),
        }
    }
}

/// `*` in a permission stands for the kind of the resource.
fn permission(permission: &str, name: &str) -> String {
    let kind = if names::is_key_ring(name) { "keyRings" } else { "cryptoKeys" };
    format!("cloudkms.{}", permission.replace('*', kind))
}

fn text(metadata: &MetadataMap, key: &str) -> Option<String> {
    metadata.get(key).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Whose login the call has, where that can be told.
fn login(state: &State, metadata: &MetadataMap) -> Result<Option<String>, Status> {
    let given = text(metadata, "authorization");
    let token = given.as_deref().and_then(|given| given.strip_prefix("Bearer "));
    match (&state.knobs.login, token) {
        (Login::Anyone, _) => Ok(None),
        (_, None) => Err(status::credentials_missing()),
        (Login::Token(expected), Some(token)) if token == expected => Ok(None),
        (Login::Of(accounts), Some(token)) => {
            let account = accounts.account(token, state.now());
            account.map(Some).ok_or_else(status::credentials_refused)
        }
        _ => Err(status::credentials_refused()),
    }
}

/// The header names the field that routes the request, and its value, percent-encoded:
/// <https://google.aip.dev/client-libraries/4222>.
fn check_params(params: Option<&str>, field: &str, name: &str) -> Result<(), Status> {
    let pairs = params.unwrap_or_default().split('&');
    let values = pairs.filter_map(|pair| pair.split_once('='));
    let mut values = values.filter(|(key, _)| *key == field);
    if values.any(|(_, value)| decoded(value).as_deref() == Some(name)) {
        return Ok(());
    }
    Err(status::invalid(&format!("Missing or wrong routing header: {field}.")))
}

pub(super) fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// One method of the service.
struct Method<Q, A> {
    name: &'static str,
    /// Without `cloudkms.`.
    permission: &'static str,
    run: fn(&mut State, Q) -> Result<A, Status>,
}

/// A method and who calls it.
struct Bound<'a, Q, A> {
    service: &'a Service,
    method: Method<Q, A>,
}

impl<Q: Resource, A> UnaryService<Q> for Bound<'_, Q, A> {
    type Response = A;
    type Future = Ready<Result<Response<A>, Status>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        ready(self.service.serve(&self.method, request).map(Response::new))
    }
}

async fn unary<Q, A>(
    service: &Service,
    request: http::Request<Incoming>,
    method: Method<Q, A>,
) -> http::Response<Body>
where
    Q: Resource + Message + Default + 'static,
    A: Message + Default + 'static,
{
    let codec = ProstCodec::<A, Q>::default();
    Grpc::new(codec).unary(Bound { service, method }, request).await
}

impl Serve for Service {
    async fn connection<S>(self: Arc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answer = service_fn(move |request| {
            let service = Arc::clone(&self);
            async move { Ok::<_, Infallible>(route(&service, request).await) }
        });
        let connection = http2::Builder::new(TokioExecutor::new());
        let _ = connection.serve_connection(TokioIo::new(stream), answer).await;
    }
}

/// Answers a request of any method.
async fn route(service: &Service, request: http::Request<Incoming>) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    if let Some(name) = path.strip_prefix(KMS) {
        route_kms(service, name, request).await
    } else if let Some(name) = path.strip_prefix(IAM) {
        route_iam(service, name, request).await
    } else {
        Status::unimplemented("no such service").into_http()
    }
}

macro_rules! routes {
    ($service:ident, $name:ident, $request:ident, {
        $($method:literal $permission:literal => $run:path,)*
    }) => {
        match $name {
            $($method => {
                let method = Method { name: $method, permission: $permission, run: $run };
                unary($service, $request, method).await
            })*
            _ => Status::unimplemented("not in this fake").into_http(),
        }
    };
}

async fn route_kms(
    service: &Service,
    name: &str,
    request: http::Request<Incoming>,
) -> http::Response<Body> {
    routes!(service, name, request, {
        "CreateKeyRing" "keyRings.create" => keys::create_key_ring,
        "GetKeyRing" "keyRings.get" => keys::get_key_ring,
        "ListKeyRings" "keyRings.list" => keys::list_key_rings,
        "CreateCryptoKey" "cryptoKeys.create" => keys::create_crypto_key,
        "GetCryptoKey" "cryptoKeys.get" => keys::get_crypto_key,
        "ListCryptoKeys" "cryptoKeys.list" => keys::list_crypto_keys,
        "UpdateCryptoKey" "cryptoKeys.update" => keys::update_crypto_key,
        "UpdateCryptoKeyPrimaryVersion" "cryptoKeys.update" => versions::make_primary,
        "CreateCryptoKeyVersion" "cryptoKeyVersions.create" => versions::create,
        "GetCryptoKeyVersion" "cryptoKeyVersions.get" => versions::get,
        "ListCryptoKeyVersions" "cryptoKeyVersions.list" => versions::list,
        "UpdateCryptoKeyVersion" "cryptoKeyVersions.update" => versions::update,
        "DestroyCryptoKeyVersion" "cryptoKeyVersions.destroy" => versions::destroy,
        "RestoreCryptoKeyVersion" "cryptoKeyVersions.restore" => versions::restore,
        "Encrypt" "cryptoKeyVersions.useToEncrypt" => crypto::encrypt,
        "Decrypt" "cryptoKeyVersions.useToDecrypt" => crypto::decrypt,
        "AsymmetricDecrypt" "cryptoKeyVersions.useToDecrypt" => crypto::asymmetric_decrypt,
        "GetPublicKey" "cryptoKeyVersions.viewPublicKey" => crypto::get_public_key,
        "GenerateRandomBytes" "locations.generateRandomBytes" => crypto::generate_random_bytes,
    })
}

async fn route_iam(
    service: &Service,
    name: &str,
    request: http::Request<Incoming>,
) -> http::Response<Body> {
    routes!(service, name, request, {
        "GetIamPolicy" "*.getIamPolicy" => policies::get,
        "SetIamPolicy" "*.setIamPolicy" => policies::set,
        "TestIamPermissions" "" => policies::test,
    })
}

/// A request that names a resource.
trait Resource {
    /// The field that routes it, and what it says.
    fn resource(&self) -> (&'static str, &str);
}

macro_rules! resource {
    ($($field:literal $name:ident: $($request:ty),+;)*) => {
        $($(impl Resource for $request {
            fn resource(&self) -> (&'static str, &str) {
                ($field, &self.$name)
            }
        })+)*
    };
}

resource! {
    "parent" parent: kms::CreateKeyRingRequest, kms::ListKeyRingsRequest,
        kms::CreateCryptoKeyRequest, kms::ListCryptoKeysRequest,
        kms::CreateCryptoKeyVersionRequest, kms::ListCryptoKeyVersionsRequest;
    "name" name: kms::GetKeyRingRequest, kms::GetCryptoKeyRequest, kms::GetCryptoKeyVersionRequest,
        kms::UpdateCryptoKeyPrimaryVersionRequest, kms::DestroyCryptoKeyVersionRequest,
        kms::RestoreCryptoKeyVersionRequest, EncryptRequest, kms::DecryptRequest,
        kms::AsymmetricDecryptRequest, kms::GetPublicKeyRequest;
    "location" location: kms::GenerateRandomBytesRequest;
    "resource" resource: iam::GetIamPolicyRequest, iam::SetIamPolicyRequest,
        iam::TestIamPermissionsRequest;
}

impl Resource for kms::UpdateCryptoKeyRequest {
    fn resource(&self) -> (&'static str, &str) {
        ("crypto_key.name", self.crypto_key.as_ref().map_or("", |key| key.name.as_str()))
    }
}

impl Resource for kms::UpdateCryptoKeyVersionRequest {
    fn resource(&self) -> (&'static str, &str) {
        let version = self.crypto_key_version.as_ref();
        ("crypto_key_version.name", version.map_or("", |version| version.name.as_str()))
    }
}
