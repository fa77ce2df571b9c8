//! Recorded traffic of the real Cloud KMS, answered to our client in this process
//! (`vault-testkit/data/recorded/google`, by the go-cloud project, Apache-2.0).
//!
//! It was recorded by a client that sends no checksums: what it shows of ours is which of the real service's
//! answers it takes, and what it makes of the others.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use base64ct::{Base64Unpadded, Encoding};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use prost::Message;
use prost::encoding::decode_varint;
use tonic::body::Body;
use tower::Service;
use vault_crypto_core::{ErrorKind, KeyId, KmsProvider};
use vault_kms_gcp::cloud_kms::{CloudKmsClient, EncryptedData, KmsConfig};
use vault_kms_gcp::sdk::gcloud_sdk::google::cloud::kms::v1 as kms;
use vault_kms_gcp::sdk::gcloud_sdk::google::rpc;
use vault_kms_gcp::{GcpKmsConfig, GcpKmsProvider};

use super::support::{kind, origin_config, scope};

const PROJECT: &str = "go-cloud-test-216917";

/// A recorded call: `google.protobuf.Any` unpacked.
#[derive(Clone)]
struct Call {
    method: String,
    request: Vec<u8>,
    answer: Vec<u8>,
    is_error: bool,
}

/// The fields of a message: number, bytes, number's value.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>, u64)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = decode_varint(&mut bytes).unwrap();
        let value = decode_varint(&mut bytes).unwrap();
        let data = match tag & 7 {
            2 => bytes.split_off(..usize::try_from(value).unwrap()).unwrap().to_vec(),
            _ => Vec::new(),
        };
        found.push((tag >> 3, data, value));
    }
    found
}

fn field(bytes: &[u8], number: u64) -> (Vec<u8>, u64) {
    let found = fields(bytes).into_iter().find(|(at, ..)| *at == number);
    found.map(|(_, data, value)| (data, value)).unwrap_or_default()
}

fn recorded(file: &str) -> Vec<Call> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vault-testkit/data/recorded/google");
    let bytes = std::fs::read(format!("{folder}/{file}.replay")).unwrap();
    let mut rest = bytes.strip_prefix(b"RPCReplay").unwrap();
    let mut pieces = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (piece, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        pieces.push(piece);
        rest = after;
    }
    // The first piece is the recorder's own.
    let calls = pieces.get(1..).unwrap().as_chunks::<2>().0.iter().map(|[request, answer]| Call {
        method: String::from_utf8(field(request, 2).0).unwrap(),
        request: field(&field(request, 3).0, 2).0,
        answer: field(&field(answer, 3).0, 2).0,
        is_error: field(answer, 4).1 == 1,
    });
    calls.collect()
}

/// Gives one recorded answer to every call of its method, and counts them.
#[derive(Clone)]
struct Tape(Call, Arc<AtomicUsize>);

impl Service<Request<Body>> for Tape {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert_eq!(request.uri().path(), self.0.method);
        self.1.fetch_add(1, Ordering::SeqCst);
        let response = Response::builder().header("content-type", "application/grpc");
        let mut trailers = HeaderMap::new();
        let mut body = Vec::new();
        if self.0.is_error {
            let status = rpc::Status::decode(self.0.answer.as_slice()).unwrap();
            trailers.insert("grpc-status", status.code.to_string().parse().unwrap());
            trailers.insert("grpc-message", status.message.parse().unwrap());
            let details = Base64Unpadded::encode_string(&self.0.answer);
            trailers.insert("grpc-status-details-bin", details.parse().unwrap());
        } else {
            body.push(0);
            body.extend(u32::try_from(self.0.answer.len()).unwrap().to_be_bytes());
            body.extend(&self.0.answer);
            trailers.insert("grpc-status", "0".parse().unwrap());
        }
        let body = Full::new(body.into()).with_trailers(async move { Some(Ok(trailers)) });
        Box::pin(async move { Ok(response.body(Body::new(body)).unwrap()) })
    }
}

/// Our client before one recorded answer, and how often it asked.
fn before(call: &Call) -> (CloudKmsClient, Arc<GcpKmsProvider>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let config = GcpKmsConfig::new(format!("projects/{PROJECT}/locations/global/keyRings/test"));
    let tape = Tape(call.clone(), Arc::clone(&asked));
    let provider = Arc::new(GcpKmsProvider::with_client(tape, config).unwrap());
    let (project_id, location) = (PROJECT.to_owned(), "global".to_owned());
    let config = KmsConfig { project_id, location, ..origin_config() };
    (CloudKmsClient::over(Arc::clone(&provider), config).unwrap(), provider, asked)
}

fn decrypts(file: &str) -> impl Iterator<Item = Call> {
    recorded(file).into_iter().filter(|call| call.method.ends_with("/Decrypt"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_real_service_decrypted_is_taken() {
    let mut taken = 0;
    for file in ["encrypt-decrypt", "additional-authenticated-data", "multiple-keys"] {
        for call in decrypts(file).filter(|call| !call.is_error) {
            let request = kms::DecryptRequest::decode(call.request.as_slice()).unwrap();
            let key = request.name.rsplit('/').next().unwrap();
            let sealed = EncryptedData::from_ciphertext(request.ciphertext);
            let opened = before(&call).0.decrypt("test", key, &sealed).await.unwrap();
            // DecryptResponse: field 1 is the plaintext.
            assert_eq!(opened.as_slice(), field(&call.answer, 1).0);
            taken += 1;
        }
    }
    assert_eq!(taken, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_real_service_refused_is_not_authentic_and_none_of_its_words_is_repeated() {
    let mut refused = 0;
    for file in ["additional-authenticated-data", "decrypt-malformed"] {
        for call in decrypts(file).filter(|call| call.is_error) {
            let request = kms::DecryptRequest::decode(call.request.as_slice()).unwrap();
            let (_, provider, asked) = before(&call);
            let key = KeyId::new(request.name);
            let error = provider.decrypt(&key, &request.ciphertext, &scope()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
            assert_eq!(asked.load(Ordering::SeqCst), 1, "asked again");
            let text = format!("{error} {error:?}");
            for word in ["Decryption", "AEAD", "OPENSSL", "ParseFromString"] {
                assert!(!text.contains(word), "{text}");
            }
            refused += 1;
        }
    }
    assert_eq!(refused, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_answer_that_confirms_no_checksum_is_not_taken() {
    let calls = recorded("encrypt-decrypt");
    let call = calls.iter().find(|call| call.method.ends_with("/Encrypt")).unwrap();
    let (client, _, asked) = before(call);
    let sealed = client.encrypt("test", "password", b"I'm a secret message!").await;
    assert_eq!(kind(sealed), ErrorKind::Unavailable);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
