//! Rotations that meet each other, changes that fail half-way, and what is sealed before and after.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{ErrorKind, KeyState, KmsAdmin, KmsProvider, RotateOptions};
use vault_kms_gcp::GcpKmsProvider;
use vault_testkit::proxy::{FaultProxy, HttpFault, Match};

use super::support::{DAY, Service, at, client, context, kind};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rotations_at_once_the_newer_one_stays() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let slow = Arc::new(GcpKmsProvider::connect(at(&proxy.url())).await.unwrap());
    let made = || Match::path("KeyManagementService/CreateCryptoKeyVersion");
    for (by, before) in [("provider", 1), ("client", 3)] {
        // Its version is made at once, and it hears of it late.
        proxy.on(made()).fault(HttpFault::LateAnswer(Duration::from_millis(800)));
        let count = service.fake.count("CreateCryptoKeyVersion");
        let (kms, name) = (Arc::clone(&slow), key.clone());
        let first = tokio::spawn(async move {
            match by {
                "provider" => kms.rotate_key(&name, RotateOptions::now()).await.map(drop),
                _ => client(&kms).rotate_key("prod", "cards").await.map(drop),
            }
        });
        while service.fake.count("CreateCryptoKeyVersion") == count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        client(&service.kms).rotate_key("prod", "cards").await.unwrap();
        let error = first.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("a version was made"), "{error}");
        let info = service.kms.describe_key(&key).await.unwrap();
        assert_eq!(info.versions.len(), before + 2);
        assert_eq!(info.primary_version.unwrap().as_str(), (before + 2).to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_waits_and_is_newer_is_not_passed_by() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let slow = GcpKmsProvider::connect(at(&proxy.url())).await.unwrap();
    let made = Match::path("KeyManagementService/CreateCryptoKeyVersion");
    proxy.on(made).fault(HttpFault::LateAnswer(Duration::from_millis(800)));
    let name = key.clone();
    let first = tokio::spawn(async move { slow.rotate_key(&name, RotateOptions::now()).await });
    while service.fake.count("CreateCryptoKeyVersion") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The other one has made its version, and goes no further.
    service.fake.fail_next_of("UpdateCryptoKeyPrimaryVersion", 14.into());
    let other = client(&service.kms).rotate_key("prod", "cards").await;
    assert_eq!(kind(other), ErrorKind::Unavailable);
    assert_eq!(kind(first.await.unwrap()), ErrorKind::Conflict);
    let promoted = service.kms.promote_key(&key).await.unwrap();
    assert_eq!(promoted.new_version.as_str(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rewrapped_after_a_rotation_opens_when_the_old_version_is_disabled() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let old = service.kms.generate_data_key(&key, &context()).await.unwrap();
    service.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let new = service.kms.rewrap_data_key(old.wrapped(), &key, &context()).await.unwrap();
    assert_eq!((old.wrapped().version.as_str(), new.version.as_str()), ("1", "2"));
    client(&service.kms).disable_key_version("prod", "cards", 1).await.unwrap();
    let opened = service.kms.decrypt_data_key(&new, &context()).await.unwrap();
    assert_eq!(&opened, old.plaintext());
    let resting = service.kms.decrypt_data_key(old.wrapped(), &context()).await;
    assert_eq!(kind(resting), ErrorKind::KeyUnusable);
    let again = service.kms.rewrap_data_key(old.wrapped(), &key, &context()).await;
    assert_eq!(kind(again), ErrorKind::KeyUnusable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_longer_rotates_by_itself_is_not_left_so_unsaid() {
    const STOPPED: &str = "no longer rotates by itself";
    for (stop, change) in
        [("disable", "UpdateCryptoKeyVersion"), ("delete", "DestroyCryptoKeyVersion")]
    {
        let service = Service::start().await;
        let key = service.key(stop).await;
        service.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
        let run = async || match stop {
            "disable" => service.kms.disable_key(&key).await,
            _ => service.kms.schedule_key_deletion(&key, 30).await.map(drop),
        };
        service.kms.set_rotation_period(&key, Some(DAY)).await.unwrap();
        service.fake.fail_next_of(change, 7.into());
        let error = run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains(STOPPED), "{error}");
        let info = service.kms.describe_key(&key).await.unwrap();
        assert_eq!((info.state, info.rotation_period), (KeyState::Enabled, None));
        // Nothing was done before this one.
        service.fake.fail_next_of(change, 7.into());
        let error = run().await.unwrap_err();
        assert!(!error.to_string().contains("not known to be done"), "{error}");
        run().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_many_versions_were_changed_before_a_failure_is_said() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    service.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let kms = GcpKmsProvider::connect(at(&proxy.url())).await.unwrap();
    let second_fails = |method: &str| {
        let calls = Match::path(format!("KeyManagementService/{method}"));
        proxy.on(calls).nth(2).fault(HttpFault::ResetBefore);
    };
    let said = |error: vault_crypto_core::CryptoError, what: &str| {
        let text = error.to_string();
        assert!(text.contains(&format!("1 of its versions are {what}")), "{text}");
    };
    second_fails("UpdateCryptoKeyVersion");
    said(kms.disable_key(&key).await.unwrap_err(), "disabled");
    kms.disable_key(&key).await.unwrap();
    second_fails("UpdateCryptoKeyVersion");
    said(kms.enable_key(&key).await.unwrap_err(), "enabled");
    service.kms.disable_key(&key).await.unwrap();
    second_fails("DestroyCryptoKeyVersion");
    said(kms.schedule_key_deletion(&key, 30).await.unwrap_err(), "scheduled");
    service.kms.schedule_key_deletion(&key, 30).await.unwrap();
    second_fails("RestoreCryptoKeyVersion");
    said(kms.cancel_key_deletion(&key).await.unwrap_err(), "restored");
}
