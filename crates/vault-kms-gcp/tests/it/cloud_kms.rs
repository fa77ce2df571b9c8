//! `CloudKmsClient`: the documents' example, RSA keys, schedules, IAM policies and the client's own log.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use vault_crypto_core::{ErrorKind, KeyState, Operation, Result};
use vault_kms_gcp::cloud_kms::{CloudKmsClient, EncryptedData, IamResource, KmsConfig};
use vault_kms_gcp::{GcpKmsConfig, GcpKmsProvider};
use vault_testkit::fakes::google::FakeCloudKms;
use vault_testkit::proxy::{FaultProxy, HttpFault, Match};

use super::support::{DAY, Service, at, client, kind, origin_config, plain};

/// The example of the documents of origin, line by line; only the endpoint is another.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_documents_runs() -> Result<()> {
    let fake = FakeCloudKms::start();
    let config = KmsConfig {
        project_id: "my-project".to_string(),
        location: "us-central1".to_string(),
        credentials_path: None,
        timeout: Duration::from_secs(30),
        audit_logging: true,
    };
    let plaintext = b"attack at dawn";
    let client = CloudKmsClient::over(GcpKmsProvider::connect(plain(&fake)).await?, config)?;

    // Create key ring and key
    let ring = client.create_key_ring("production").await?;
    let key = client.create_key("production", "app-key", "AES_256_GCM").await?;

    // Encrypt/decrypt
    let encrypted = client.encrypt("production", "app-key", plaintext).await?;
    let decrypted = client.decrypt("production", "app-key", &encrypted).await?;

    // Rotate key
    client.rotate_key("production", "app-key").await?;

    // Get audit log
    let audit_log = client.get_audit_log().await?;

    assert_eq!(ring.name, "projects/my-project/locations/us-central1/keyRings/production");
    assert_eq!((key.purpose, key.state), ("ENCRYPT_DECRYPT", KeyState::Enabled));
    assert_eq!(decrypted, plaintext);
    let again = client.encrypt("production", "app-key", plaintext).await?;
    assert_eq!((encrypted.key_version.as_str(), again.key_version.as_str()), ("1", "2"));
    let methods: Vec<_> = audit_log.iter().map(|entry| entry.method).collect();
    let expected =
        ["CreateKeyRing", "CreateCryptoKey", "Encrypt", "Decrypt", "CreateCryptoKeyVersion"];
    assert_eq!(methods, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_and_keys_are_listed_in_order() {
    let service = Service::start().await;
    let kms = client(&service.kms);
    for ring in ["zeta", "alpha"] {
        kms.create_key_ring(ring).await.unwrap();
    }
    assert_eq!(kind(kms.create_key_ring("alpha").await), ErrorKind::Conflict);
    assert_eq!(kind(kms.get_key_ring("none").await), ErrorKind::KeyNotFound);
    assert!(kms.get_key_ring("alpha").await.unwrap().created_at.is_some());
    let rings = kms.list_key_rings().await.unwrap();
    let names: Vec<_> = rings.iter().filter_map(|ring| ring.name.rsplit('/').next()).collect();
    assert_eq!(names, ["alpha", "prod", "zeta"]);
    for key in ["b", "a"] {
        kms.create_key("alpha", key, "AES_256_GCM").await.unwrap();
    }
    let keys = kms.list_keys("alpha").await.unwrap();
    assert!(keys[0].name.ends_with("/a") && keys[1].name.ends_with("/b"), "{keys:?}");
    assert_eq!(kind(kms.create_key("alpha", "c", "DES").await), ErrorKind::Unsupported);
    assert_eq!(kind(kms.create_key("alpha", "a", "AES_256_GCM").await), ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_public_half_encrypts_the_named_version_decrypts() {
    let service = Service::start().await;
    let kms = client(&service.kms);
    let key = kms.create_key("prod", "inbox", "RSA_DECRYPT_OAEP_2048_SHA256").await.unwrap();
    assert_eq!((key.purpose, key.primary_version), ("ASYMMETRIC_DECRYPT", None));
    let pem = kms.get_public_key("prod", "inbox", 1).await.unwrap();
    let sealed = seal(&pem, b"for your eyes only");
    let opened = kms.asymmetric_decrypt("prod", "inbox", 1, &sealed).await.unwrap();
    assert_eq!(opened, b"for your eyes only");
    kms.rotate_key("prod", "inbox").await.unwrap();
    let other = kms.asymmetric_decrypt("prod", "inbox", 2, &sealed).await;
    assert_eq!(kind(other), ErrorKind::AuthenticationFailed);
    let mut altered = sealed.clone();
    altered[7] ^= 1;
    let altered = kms.asymmetric_decrypt("prod", "inbox", 1, &altered).await;
    assert_eq!(kind(altered), ErrorKind::AuthenticationFailed);
    kms.disable_key_version("prod", "inbox", 1).await.unwrap();
    let resting = kms.asymmetric_decrypt("prod", "inbox", 1, &sealed).await;
    assert_eq!(kind(resting), ErrorKind::KeyUnusable);
    let missing = kms.asymmetric_decrypt("prod", "inbox", 9, &sealed).await;
    assert_eq!(kind(missing), ErrorKind::KeyNotFound);
}

fn seal(pem: &str, plaintext: &[u8]) -> Vec<u8> {
    use rustls::pki_types::SubjectPublicKeyInfoDer;
    use rustls::pki_types::pem::PemObject as _;
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).unwrap();
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&der).unwrap()).unwrap();
    let mut sealed = vec![0; key.ciphertext_size()];
    let sealed = key.encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut sealed, None).unwrap();
    sealed.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_schedule_is_kept_and_taken_back() {
    let service = Service::start().await;
    let kms = client(&service.kms);
    kms.create_key("prod", "cards", "AES_256_GCM").await.unwrap();
    let key = kms.set_rotation_schedule("prod", "cards", Some(90 * DAY)).await.unwrap();
    assert_eq!(key.rotation_period, Some(90 * DAY));
    assert!(key.next_rotation_at.is_some());
    for period in [Duration::ZERO, DAY / 2, DAY * 40_000] {
        let refused = kms.set_rotation_schedule("prod", "cards", Some(period)).await;
        assert_eq!(kind(refused), ErrorKind::InvalidInput);
    }
    service.fake.advance(91 * DAY);
    assert_eq!(kms.get_key("prod", "cards").await.unwrap().versions.len(), 2);
    let key = kms.set_rotation_schedule("prod", "cards", None).await.unwrap();
    assert_eq!((key.rotation_period, key.next_rotation_at), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_disabled_destroyed_and_brought_back_one_by_one() {
    let service = Service::start().await;
    let kms = client(&service.kms);
    kms.create_key("prod", "cards", "AES_256_GCM").await.unwrap();
    let first = kms.encrypt("prod", "cards", b"first").await.unwrap();
    kms.rotate_key("prod", "cards").await.unwrap();
    assert!(kms.destroy_key_version("prod", "cards", 1).await.unwrap().destroyed_at.is_some());
    assert_eq!(kind(kms.decrypt("prod", "cards", &first).await), ErrorKind::KeyUnusable);
    let back = kms.restore_key_version("prod", "cards", 1).await.unwrap();
    assert_eq!((back.state, back.destroyed_at), (KeyState::Disabled, None));
    kms.enable_key_version("prod", "cards", 1).await.unwrap();
    assert_eq!(kms.decrypt("prod", "cards", &first).await.unwrap(), b"first");
    let other = EncryptedData::from_ciphertext(vec![7; 80]);
    assert_eq!(kind(kms.decrypt("prod", "cards", &other).await), ErrorKind::AuthenticationFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_changed_by_two_is_lost_by_none() {
    let service = Service::start().await;
    let kms = client(&service.kms);
    kms.create_key("prod", "cards", "AES_256_GCM").await.unwrap();
    let role = "roles/cloudkms.cryptoKeyEncrypterDecrypter";
    for resource in [IamResource::Key("prod", "cards"), IamResource::KeyRing("prod")] {
        let mut mine = kms.get_iam_policy(resource).await.unwrap();
        let mut theirs = kms.get_iam_policy(resource).await.unwrap();
        mine.grant(role, "serviceAccount:app@acme-prod.iam.gserviceaccount.com");
        let written = kms.set_iam_policy(resource, &mine).await.unwrap();
        assert_ne!(written.etag(), mine.etag());
        theirs.grant(role, "user:eve@example.com");
        let lost = kms.set_iam_policy(resource, &theirs).await.unwrap_err();
        assert_eq!((lost.kind(), lost.operation()), (ErrorKind::Conflict, Operation::AccessPolicy));
        let mut now = kms.get_iam_policy(resource).await.unwrap();
        let bindings = now.bindings();
        assert_eq!((bindings.len(), bindings[0].members.len()), (1, 1), "{bindings:?}");
        assert!(now.revoke(role, "serviceAccount:app@acme-prod.iam.gserviceaccount.com"));
        assert!(!now.revoke(role, "user:eve@example.com"));
        assert!(kms.set_iam_policy(resource, &now).await.unwrap().bindings().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_without_its_etag_is_not_handed_on_and_what_was_set_is_said() {
    let service = Service::start().await;
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let kms = client(&Arc::new(GcpKmsProvider::connect(at(&proxy.url())).await.unwrap()));
    let ring = IamResource::KeyRing("prod");
    let mut policy = kms.get_iam_policy(ring).await.unwrap();
    policy.grant("roles/cloudkms.viewer", "user:ann@example.com");
    proxy.on(Match::any()).times(2).fault(HttpFault::edit(Vec::clear));
    let set = kms.set_iam_policy(ring, &policy).await.unwrap_err();
    assert_eq!((set.kind(), set.operation()), (ErrorKind::Unavailable, Operation::AccessPolicy));
    assert!(set.to_string().contains("the policy was set, but"), "{set}");
    let got = kms.get_iam_policy(ring).await.unwrap_err();
    assert!(got.to_string().contains("etag") && !got.to_string().contains("was set"), "{got}");
    assert_eq!(kms.get_iam_policy(ring).await.unwrap().bindings().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_tested() {
    let service = Service::start().await;
    let kms = client(&service.kms);
    kms.create_key("prod", "cards", "AES_256_GCM").await.unwrap();
    service.fake.deny("cloudkms.cryptoKeyVersions.useToDecrypt");
    let asked =
        ["cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeyVersions.useToDecrypt"];
    let key = IamResource::Key("prod", "cards");
    assert_eq!(kms.test_iam_permissions(key, &asked).await.unwrap(), [asked[0]]);
    let all = kms.test_iam_permissions(key, &["cloudkms.*"]).await;
    assert_eq!(kind(all), ErrorKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_calls_and_outcomes_and_no_secret() {
    let service = Service::start().await;
    let kms = client(&service.kms);
    assert_eq!(kind(kms.encrypt("prod", "none", b"4111 1111").await), ErrorKind::KeyNotFound);
    let log = kms.get_audit_log().await.unwrap();
    assert_eq!((log[0].method, log[0].failure), ("Encrypt", Some(ErrorKind::KeyNotFound)));
    assert!(log[0].resource.ends_with("/keyRings/prod/cryptoKeys/none"));
    assert!(!format!("{log:?}").contains("4111"));
    let quiet = KmsConfig { audit_logging: false, ..origin_config() };
    let quiet = CloudKmsClient::over(service.kms.clone(), quiet).unwrap();
    quiet.list_key_rings().await.unwrap();
    assert!(quiet.get_audit_log().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_no_project_is_refused() {
    for project in ["", "a b", "a/b", "../x"] {
        let config = KmsConfig { project_id: project.to_owned(), ..origin_config() };
        assert_eq!(kind(CloudKmsClient::new(config.clone()).await), ErrorKind::InvalidInput);
        let connection = GcpKmsConfig::new("projects/p/locations/l/keyRings/r")
            .with_endpoint("http://127.0.0.1:9")
            .with_credentials(vault_kms_gcp::GcpCredentials::Anonymous);
        let provider = GcpKmsProvider::connect(connection).await.unwrap();
        assert_eq!(kind(CloudKmsClient::over(provider, config)), ErrorKind::InvalidInput);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_calls_everything_as_the_service_does() {
    let service = Service::start().await;
    let kms = client(&service.kms);
    let mut logged = 0;
    macro_rules! called {
        ($($call:ident($($argument:expr),*)),+ $(,)?) => {
            $({
                service.fake.forget_calls();
                let _ = kms.$call($($argument),*).await;
                let log = kms.get_audit_log().await.unwrap();
                logged += 1;
                assert_eq!(log.len(), logged, stringify!($call));
                let method = log.last().unwrap().method;
                assert_ne!(service.fake.count(method), 0, "{} is no {method}", stringify!($call));
            })+
        };
    }
    called!(
        create_key_ring("alpha"),
        get_key_ring("alpha"),
        list_key_rings(),
        create_key("alpha", "k", "AES_256_GCM"),
        get_key("alpha", "k"),
        list_keys("alpha"),
        encrypt("alpha", "k", b"plaintext"),
        decrypt("alpha", "k", &EncryptedData::from_ciphertext(vec![1; 64])),
        rotate_key("alpha", "k"),
        set_rotation_schedule("alpha", "k", None),
        disable_key_version("alpha", "k", 1),
        enable_key_version("alpha", "k", 1),
        destroy_key_version("alpha", "k", 1),
        restore_key_version("alpha", "k", 1),
        get_public_key("alpha", "k", 1),
        asymmetric_decrypt("alpha", "k", 1, vec![1; 256]),
        test_iam_permissions(IamResource::KeyRing("alpha"), &["cloudkms.keyRings.get"]),
        get_iam_policy(IamResource::Key("alpha", "k")),
    );
    let policy = kms.get_iam_policy(IamResource::Key("alpha", "k")).await.unwrap();
    logged += 1;
    called!(set_iam_policy(IamResource::Key("alpha", "k"), &policy));
}
