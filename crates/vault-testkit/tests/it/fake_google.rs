//! The fake Cloud KMS: what time does to its keys, what a test can make it do, and that it stops and
//! comes back with its keys.

use std::time::Duration;

use gcloud_sdk::SecretValue;
use gcloud_sdk::google::cloud::kms::v1 as kms;
use gcloud_sdk::prost_types;
use gcloud_sdk::proto_ext::kms::{DecryptResponse, EncryptRequest};
use kms::crypto_key::{CryptoKeyPurpose, RotationSchedule};
use kms::crypto_key_version::CryptoKeyVersionState as VersionState;
use kms::key_management_service_client::KeyManagementServiceClient;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use vault_testkit::fakes::google::{CrcFault, FakeCloudKms};
use vault_testkit::tls::TestCa;

type Client = KeyManagementServiceClient<Channel>;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LOCATION: &str = "projects/p/locations/global";

pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

pub(super) async fn connect(fake: &FakeCloudKms) -> Client {
    let channel = Endpoint::from_shared(fake.endpoint()).unwrap().connect_lazy();
    KeyManagementServiceClient::new(channel)
}

fn symmetric() -> kms::CryptoKey {
    let purpose = CryptoKeyPurpose::EncryptDecrypt as i32;
    kms::CryptoKey { purpose, ..Default::default() }
}

/// A symmetric key, in a key ring that may be there already. Its name.
pub(super) async fn create_key(
    client: &mut Client,
    location: &str,
    ring: &str,
    key: &str,
) -> String {
    let request = kms::CreateKeyRingRequest {
        parent: location.to_owned(),
        key_ring_id: ring.to_owned(),
        key_ring: None,
    };
    if let Err(status) = client.create_key_ring(request).await {
        assert_eq!(status.code(), Code::AlreadyExists);
    }
    create_key_as(client, &format!("{location}/keyRings/{ring}"), key, symmetric())
        .await
        .unwrap()
        .name
}

async fn create_key_as(
    client: &mut Client,
    ring: &str,
    key: &str,
    asked: kms::CryptoKey,
) -> Result<kms::CryptoKey, Status> {
    let request = kms::CreateCryptoKeyRequest {
        parent: ring.to_owned(),
        crypto_key_id: key.to_owned(),
        crypto_key: Some(asked),
        ..Default::default()
    };
    client.create_crypto_key(request).await.map(tonic::Response::into_inner)
}

async fn encrypt(
    client: &mut Client,
    name: &str,
    plaintext: &[u8],
) -> Result<kms::EncryptResponse, Status> {
    let request = EncryptRequest {
        name: name.to_owned(),
        plaintext: SecretValue::new(plaintext.to_vec()),
        plaintext_crc32c: Some(crc(plaintext)),
        ..Default::default()
    };
    client.encrypt(request).await.map(tonic::Response::into_inner)
}

async fn decrypt(
    client: &mut Client,
    name: &str,
    ciphertext: &[u8],
) -> Result<DecryptResponse, Status> {
    let request = kms::DecryptRequest {
        name: name.to_owned(),
        ciphertext: ciphertext.to_vec(),
        ciphertext_crc32c: Some(crc(ciphertext)),
        ..Default::default()
    };
    client.decrypt(request).await.map(tonic::Response::into_inner)
}

fn crc(bytes: &[u8]) -> i64 {
    i64::from(crc32c::crc32c(bytes))
}

async fn key(client: &mut Client, name: &str) -> kms::CryptoKey {
    let request = kms::GetCryptoKeyRequest { name: name.to_owned() };
    client.get_crypto_key(request).await.unwrap().into_inner()
}

async fn version(client: &mut Client, name: &str) -> kms::CryptoKeyVersion {
    let request = kms::GetCryptoKeyVersionRequest { name: name.to_owned() };
    client.get_crypto_key_version(request).await.unwrap().into_inner()
}

async fn destroy(client: &mut Client, name: &str) -> kms::CryptoKeyVersion {
    let request = kms::DestroyCryptoKeyVersionRequest { name: name.to_owned() };
    client.destroy_crypto_key_version(request).await.unwrap().into_inner()
}

/// A fake, its client, and a key in it.
async fn started() -> (FakeCloudKms, Client, String) {
    let fake = FakeCloudKms::start();
    let mut client = connect(&fake).await;
    let name = create_key(&mut client, LOCATION, "r", "k").await;
    (fake, client, name)
}

#[test]
fn a_version_is_destroyed_when_its_time_has_come_and_not_before() {
    run(async {
        let (fake, mut client, name) = started().await;
        let first = format!("{name}/cryptoKeyVersions/1");
        let sealed = encrypt(&mut client, &name, b"x").await.unwrap().ciphertext;
        let destroyed = destroy(&mut client, &first).await;
        assert_eq!(destroyed.state(), VersionState::DestroyScheduled);
        fake.advance(30 * DAY - Duration::from_secs(60));
        assert_eq!(version(&mut client, &first).await.state(), VersionState::DestroyScheduled);
        fake.advance(Duration::from_secs(61));
        let gone = version(&mut client, &first).await;
        assert_eq!(gone.state(), VersionState::Destroyed);
        assert_eq!(gone.destroy_event_time, destroyed.destroy_time);
        assert_eq!(gone.destroy_time, None);
        let request = kms::RestoreCryptoKeyVersionRequest { name: first.clone() };
        let status = client.restore_crypto_key_version(request).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        let status = decrypt(&mut client, &name, &sealed).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        let text = format!("{first} is not enabled, current state is: DESTROYED.");
        assert_eq!(status.message(), text);
        assert_eq!(encrypt(&mut client, &name, b"x").await.unwrap_err().message(), text);
    });
}

#[test]
fn the_delay_of_destruction_is_the_keys_own_and_a_day_at_least() {
    run(async {
        let (fake, mut client, _) = started().await;
        let ring = format!("{LOCATION}/keyRings/r");
        let with = |duration: Duration| kms::CryptoKey {
            destroy_scheduled_duration: Some(duration.try_into().unwrap()),
            ..symmetric()
        };
        let name = create_key_as(&mut client, &ring, "day", with(DAY)).await.unwrap().name;
        let first = format!("{name}/cryptoKeyVersions/1");
        destroy(&mut client, &first).await;
        fake.advance(DAY + Duration::from_secs(1));
        assert_eq!(version(&mut client, &first).await.state(), VersionState::Destroyed);
        for wrong in [DAY - Duration::from_secs(1), 121 * DAY] {
            let status = create_key_as(&mut client, &ring, "wrong", with(wrong)).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
        }
    });
}

#[test]
fn a_key_rotates_by_itself_whenever_its_period_has_passed() {
    run(async {
        let (fake, mut client, _) = started().await;
        let system = vault_crypto_core::SystemClock::new();
        let next = vault_crypto_core::Clock::now(&system) + DAY;
        let period = prost_types::Duration { seconds: 10 * 24 * 60 * 60, nanos: 0 };
        let asked = kms::CryptoKey {
            next_rotation_time: Some(next.into()),
            rotation_schedule: Some(RotationSchedule::RotationPeriod(period)),
            ..symmetric()
        };
        let ring = format!("{LOCATION}/keyRings/r");
        let name = create_key_as(&mut client, &ring, "rotates", asked.clone()).await.unwrap().name;
        let old = encrypt(&mut client, &name, b"old").await.unwrap();
        assert_eq!(old.name, format!("{name}/cryptoKeyVersions/1"));
        fake.advance(25 * DAY); // after 1, 11 and 21 days
        let new = encrypt(&mut client, &name, b"new").await.unwrap();
        assert_eq!(new.name, format!("{name}/cryptoKeyVersions/4"));
        let opened = decrypt(&mut client, &name, &old.ciphertext).await.unwrap();
        assert!(!opened.used_primary && opened.plaintext.as_sensitive_bytes() == b"old");
        let left = key(&mut client, &name).await.next_rotation_time.unwrap().seconds
            - prost_types::Timestamp::from(next).seconds;
        assert_eq!(left, 30 * 24 * 60 * 60);
        let without = kms::CryptoKey { next_rotation_time: None, ..asked };
        let status = create_key_as(&mut client, &ring, "wrong", without).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "a period without a time");
    });
}

#[test]
fn a_version_cannot_be_used_before_it_is_generated() {
    run(async {
        let (fake, mut client, _) = started().await;
        fake.generate_slowly(Duration::from_secs(3600));
        let name = create_key(&mut client, LOCATION, "r", "slow").await;
        let status = encrypt(&mut client, &name, b"x").await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().ends_with("current state is: PENDING_GENERATION."));
        fake.advance(Duration::from_secs(3601));
        encrypt(&mut client, &name, b"x").await.unwrap();
        let first = format!("{name}/cryptoKeyVersions/1");
        fake.force_state(&first, "IMPORT_FAILED");
        assert_eq!(version(&mut client, &first).await.state(), VersionState::ImportFailed);
        encrypt(&mut client, &name, b"x").await.unwrap_err();
    });
}

#[test]
fn a_checksum_of_zero_is_a_value_and_every_fault_of_checksums_can_be_had() {
    run(async {
        let (fake, mut client, name) = started().await;
        let sealed = encrypt(&mut client, &name, b"").await.unwrap();
        assert!(sealed.verified_plaintext_crc32c, "the checksum of nothing is 0");
        let opened = decrypt(&mut client, &name, &sealed.ciphertext).await.unwrap();
        assert_eq!(opened.plaintext_crc32c, Some(0));
        let request = EncryptRequest {
            name: name.clone(),
            plaintext: SecretValue::new(b"x".to_vec()),
            plaintext_crc32c: Some(0),
            ..Default::default()
        };
        assert_eq!(client.encrypt(request).await.unwrap_err().code(), Code::InvalidArgument);
        fake.corrupt_next_crc(CrcFault::RequestDamaged);
        fake.corrupt_next_crc(CrcFault::NotVerified);
        fake.corrupt_next_crc(CrcFault::AnswerDamaged);
        fake.corrupt_next_crc(CrcFault::AnswerWithout);
        let status = encrypt(&mut client, &name, b"x").await.unwrap_err();
        let text =
            "The checksum in field plaintext_crc32c did not match the data in field plaintext.";
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, text));
        assert!(!encrypt(&mut client, &name, b"x").await.unwrap().verified_plaintext_crc32c);
        let damaged = encrypt(&mut client, &name, b"x").await.unwrap();
        assert_ne!(damaged.ciphertext_crc32c, Some(crc(&damaged.ciphertext)));
        assert_eq!(encrypt(&mut client, &name, b"x").await.unwrap().ciphertext_crc32c, None);
        let whole = encrypt(&mut client, &name, b"x").await.unwrap();
        assert_eq!(whole.ciphertext_crc32c, Some(crc(&whole.ciphertext)));
    });
}

#[test]
fn calls_fail_when_a_test_asks_for_it_before_or_after_they_took_effect() {
    run(async {
        let (fake, mut client, name) = started().await;
        fake.fail_next(Code::Unavailable);
        assert_eq!(encrypt(&mut client, &name, b"x").await.unwrap_err().code(), Code::Unavailable);
        fake.fail_next_with_retry_after(Code::ResourceExhausted, Duration::from_secs(7));
        let status = encrypt(&mut client, &name, b"x").await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.details().windows(9).any(|part| part == b"RetryInfo"));
        let first = format!("{name}/cryptoKeyVersions/1");
        fake.fail_next_after_effect("DestroyCryptoKeyVersion", Code::Unavailable);
        encrypt(&mut client, &name, b"x").await.unwrap();
        let request = kms::DestroyCryptoKeyVersionRequest { name: first.clone() };
        assert_eq!(
            client.destroy_crypto_key_version(request).await.unwrap_err().code(),
            Code::Unavailable
        );
        assert_eq!(version(&mut client, &first).await.state(), VersionState::DestroyScheduled);
        fake.answer_next_name("projects/p/locations/global/keyRings/r/cryptoKeys/other");
        let other = create_key(&mut client, LOCATION, "r", "k2").await;
        let answer = encrypt(&mut client, &other, b"x").await.unwrap();
        assert!(answer.name.ends_with("/other"));
    });
}

#[test]
fn tokens_permissions_and_the_routing_header_are_checked_when_a_test_asks_for_it() {
    run(async {
        let (fake, mut client, name) = started().await;
        fake.expect_token(Some("right"));
        let call = |token: &str, params: &str| {
            let mut request = Request::new(kms::GetCryptoKeyRequest { name: name.clone() });
            let metadata = request.metadata_mut();
            if !token.is_empty() {
                let token = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
                metadata.insert("authorization", token);
            }
            if !params.is_empty() {
                metadata.insert("x-goog-request-params", MetadataValue::try_from(params).unwrap());
            }
            request
        };
        let mut code = async |request| {
            client.get_crypto_key(request).await.map_or_else(|s| s.code(), |_| Code::Ok)
        };
        assert_eq!(code(call("", "")).await, Code::Unauthenticated);
        assert_eq!(code(call("wrong", "")).await, Code::Unauthenticated);
        assert_eq!(code(call("right", "")).await, Code::Ok);
        fake.revoke_tokens();
        assert_eq!(code(call("right", "")).await, Code::Unauthenticated);
        fake.expect_token(None);
        fake.deny("cloudkms.cryptoKeys.get");
        assert_eq!(code(call("", "")).await, Code::PermissionDenied);
        fake.allow_all();
        fake.require_request_params(true);
        assert_eq!(code(call("", "")).await, Code::InvalidArgument);
        assert_eq!(code(call("", "name=projects%2Fother")).await, Code::InvalidArgument);
        let encoded = format!("name={}", name.replace('/', "%2F"));
        assert_eq!(code(call("", &encoded)).await, Code::Ok);
        let last = fake.calls().pop().unwrap();
        assert_eq!((last.method.as_str(), last.name), ("GetCryptoKey", name.clone()));
        assert_eq!(last.request_params, Some(encoded));
    });
}

#[test]
fn lists_may_begin_with_an_empty_page_and_tokens_of_others_are_refused() {
    run(async {
        let (fake, mut client, _) = started().await;
        fake.begin_lists_with_an_empty_page(true);
        let parent = format!("{LOCATION}/keyRings/r");
        let request = kms::ListCryptoKeysRequest { parent, ..Default::default() };
        let page = client.list_crypto_keys(request.clone()).await.unwrap().into_inner();
        assert!(page.crypto_keys.is_empty() && !page.next_page_token.is_empty());
        let next =
            kms::ListCryptoKeysRequest { page_token: page.next_page_token, ..request.clone() };
        let page = client.list_crypto_keys(next).await.unwrap().into_inner();
        assert_eq!((page.crypto_keys.len(), page.next_page_token.as_str()), (1, ""));
        for wrong in ["x", "vaultkit-page-99", "vaultkit-page-"] {
            let wrong = kms::ListCryptoKeysRequest { page_token: wrong.into(), ..request.clone() };
            let status = client.list_crypto_keys(wrong).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
        }
    });
}

#[test]
fn it_stops_and_comes_back_on_its_port_with_its_keys() {
    run(async {
        let (fake, mut client, name) = started().await;
        let sealed = encrypt(&mut client, &name, b"kept").await.unwrap().ciphertext;
        for _ in 0..3 {
            fake.stop();
            fake.stop();
            for attempt in 0..2 {
                let code = decrypt(&mut client, &name, &sealed).await.unwrap_err().code();
                // The first call may still find the old connection, which is gone: "unknown" to tonic.
                let broken = attempt == 0 && code == Code::Unknown;
                assert!(broken || code == Code::Unavailable, "{code:?}");
            }
            fake.start_again();
            fake.start_again();
            let opened = decrypt(&mut client, &name, &sealed).await.unwrap();
            assert_eq!(opened.plaintext.as_sensitive_bytes(), b"kept");
        }
    });
}

#[test]
fn with_tls_it_is_known_by_its_certificate_alone() {
    run(async {
        let ca = TestCa::new();
        let fake = FakeCloudKms::start_tls(&ca.issue(&["127.0.0.1"]));
        assert!(fake.endpoint().starts_with("https://"));
        let channel = |root: String| {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(root));
            Endpoint::from_shared(fake.endpoint()).unwrap().tls_config(tls).unwrap().connect_lazy()
        };
        let mut client = KeyManagementServiceClient::new(channel(ca.ca_pem()));
        create_key(&mut client, LOCATION, "r", "k").await;
        let mut client = KeyManagementServiceClient::new(channel(TestCa::new().ca_pem()));
        let request = kms::GetKeyRingRequest { name: format!("{LOCATION}/keyRings/r") };
        assert_eq!(client.get_key_ring(request).await.unwrap_err().code(), Code::Unavailable);
    });
}
