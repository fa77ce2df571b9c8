//! A key's life: versions, states and dates as the service tells them.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{
    Clock, ErrorKind, KeyConfig, KeySpec, KeyState, KmsAdmin, KmsProvider, RotateOptions,
    SystemClock,
};
use vault_kms_gcp::GcpKmsProvider;
use vault_testkit::fakes::google::FakeCloudKms;
use vault_testkit::proxy::{FaultProxy, HttpFault, Match};

use super::support::{DAY, Service, at, client, context, kind, sentence};

#[tokio::test(flavor = "multi_thread")]
async fn versions_states_and_dates_are_the_services_own() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let fresh = service.kms.describe_key(&key).await.unwrap();
    assert_eq!((fresh.state, fresh.rotated_at), (KeyState::Enabled, None));
    let age = SystemClock::new().now().duration_since(fresh.created_at.unwrap()).unwrap();
    assert!(age < Duration::from_secs(60), "{age:?}");

    service.fake.advance(DAY);
    service.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let staged = service.kms.rotate_key(&key, RotateOptions::staged()).await.unwrap();
    assert_eq!(staged.new_version.as_str(), "3");
    let info = service.kms.describe_key(&key).await.unwrap();
    let states: Vec<_> = info.versions.iter().map(|version| version.state).collect();
    assert_eq!(states, [KeyState::DecryptOnly, KeyState::Enabled, KeyState::Staged]);
    assert_eq!(info.primary_version.unwrap().as_str(), "2");
    assert!(info.versions[1].created_at.unwrap() >= info.created_at.unwrap() + DAY);
    // When a version became the primary, Google does not tell: one may have waited for years.
    assert_eq!(info.rotated_at, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_rests_opens_nothing_and_the_others_do() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let old = service.kms.generate_data_key(&key, &context()).await.unwrap();
    service.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let new = service.kms.generate_data_key(&key, &context()).await.unwrap();
    let kms = client(&service.kms);
    let open = async |data_key: &vault_crypto_core::DataKey| {
        service.kms.decrypt_data_key(data_key.wrapped(), &context()).await
    };

    let rested = kms.disable_key_version("prod", "cards", 1).await.unwrap();
    assert_eq!(rested.state, KeyState::Disabled);
    assert_eq!(kind(open(&old).await), ErrorKind::KeyUnusable);
    assert_eq!(&open(&new).await.unwrap(), new.plaintext());

    let doomed = kms.destroy_key_version("prod", "cards", 1).await.unwrap();
    assert_eq!(doomed.state, KeyState::PendingDeletion);
    assert!(doomed.destroyed_at.is_some());
    assert_eq!(kind(open(&old).await), ErrorKind::KeyUnusable);
    service.fake.advance(31 * DAY);
    assert_eq!(kind(open(&old).await), ErrorKind::KeyUnusable);
    let info = service.kms.describe_key(&key).await.unwrap();
    assert_eq!((info.state, info.versions[0].state), (KeyState::Enabled, KeyState::Destroyed));
    assert_eq!(&open(&new).await.unwrap(), new.plaintext());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_destroyed_sooner_than_asked() {
    let service = Service::with(|config| config.with_destroy_delay_days(3)).await;
    let key = service.key("cards").await;
    for days in [4, 30] {
        let refused = service.kms.schedule_key_deletion(&key, days).await;
        assert!(sentence(refused).contains("72 hours"));
    }
    assert_eq!(service.kms.describe_key(&key).await.unwrap().state, KeyState::Enabled);
    for days in [1, 3] {
        let info = service.kms.schedule_key_deletion(&key, days).await.unwrap();
        let left = info.deletion_at.unwrap().duration_since(SystemClock::new().now()).unwrap();
        assert!(left > DAY * 3 - Duration::from_secs(60), "{left:?}");
        service.kms.cancel_key_deletion(&key).await.unwrap();
    }
    service.kms.schedule_key_deletion(&key, 3).await.unwrap();
    assert_eq!(kind(service.kms.schedule_key_deletion(&key, 3).await), ErrorKind::Conflict);
    service.fake.advance(3 * DAY + Duration::from_secs(1));
    assert_eq!(service.kms.describe_key(&key).await.unwrap().state, KeyState::Destroyed);
    assert_eq!(kind(service.kms.cancel_key_deletion(&key).await), ErrorKind::Conflict);
    assert_eq!(kind(service.kms.enable_key(&key).await), ErrorKind::KeyUnusable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resting_key_does_not_rotate_itself_awake() {
    for stop in ["disable", "delete"] {
        let service = Service::start().await;
        let key = service.key(stop).await;
        service.kms.set_rotation_period(&key, Some(DAY)).await.unwrap();
        service.fake.advance(DAY + Duration::from_secs(1));
        assert_eq!(service.kms.describe_key(&key).await.unwrap().versions.len(), 2);
        if stop == "disable" {
            service.kms.disable_key(&key).await.unwrap();
        } else {
            service.kms.schedule_key_deletion(&key, 30).await.unwrap();
        }
        service.fake.advance(5 * DAY);
        let info = service.kms.describe_key(&key).await.unwrap();
        assert_eq!((info.versions.len(), info.rotation_period), (2, None));
        assert_ne!(info.state, KeyState::Enabled);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_take_time_to_make_are_waited_for() {
    let service = Service::with(|config| config.with_hsm(true)).await;
    service.fake.generate_slowly(Duration::from_millis(600));
    let key = service.key("slow").await;
    let data_key = service.kms.generate_data_key(&key, &context()).await.unwrap();
    let rotated = service.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let again = service.kms.generate_data_key(&key, &context()).await.unwrap();
    assert_eq!(again.wrapped().version, rotated.new_version);
    service.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_google_does_not_have_is_refused_before_it_is_asked() {
    let service = Service::start().await;
    service.fake.forget_calls();
    let described = KeyConfig::new("cards").with_description("for cards");
    let mut rsa = KeyConfig::new("cards");
    rsa.spec = KeySpec::Rsa { bits: 2_048 };
    for config in [described, rsa] {
        assert_eq!(kind(service.kms.create_key(config).await), ErrorKind::Unsupported);
    }
    for (name, value) in [("Team", "x"), ("team", "X"), ("1", "x"), ("", "x"), ("team", "a b")] {
        let tagged = KeyConfig::new("cards").with_tag(name, value);
        assert_eq!(kind(service.kms.create_key(tagged).await), ErrorKind::InvalidInput);
    }
    assert_eq!(service.fake.calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_is_not_there_is_key_not_found() {
    let fake = FakeCloudKms::start();
    let kms = vault_kms_gcp::GcpKmsProvider::connect(super::support::plain(&fake)).await.unwrap();
    assert_eq!(kind(kms.create_key(KeyConfig::new("cards")).await), ErrorKind::KeyNotFound);
    assert_eq!(kind(kms.list_keys(None, 10).await), ErrorKind::KeyNotFound);
    let health = kms.health_check().await.unwrap();
    assert!(!health.healthy && health.message.contains("key ring"), "{health:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_a_mutation_is_reported_and_not_repeated() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    for code in [14, 4] {
        service.fake.forget_calls();
        service.fake.fail_next_after_effect("CreateCryptoKeyVersion", code.into());
        let rotated = service.kms.rotate_key(&key, RotateOptions::staged()).await.unwrap_err();
        assert!(rotated.is_retryable(), "{rotated}");
        assert_eq!(service.fake.count("CreateCryptoKeyVersion"), 1);
        // It happened: the version waits, and is found by looking.
        assert_eq!(
            kind(service.kms.rotate_key(&key, RotateOptions::now()).await),
            ErrorKind::Conflict
        );
        service.kms.promote_key(&key).await.unwrap();
    }
    service.fake.fail_next_after_effect("CreateCryptoKey", 14.into());
    assert_eq!(kind(service.kms.create_key(KeyConfig::new("lost")).await), ErrorKind::Unavailable);
    assert_eq!(service.fake.count("CreateCryptoKey"), 1);
    assert_eq!(kind(service.kms.create_key(KeyConfig::new("lost")).await), ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_before_a_failure_is_said() {
    let service = Service::with(|config| config.with_hsm(true)).await;
    let key = service.key("cards").await;
    service.fake.forget_calls();
    service.kms.create_key(KeyConfig::new("plain")).await.unwrap();
    let methods: Vec<_> = service.fake.calls().into_iter().map(|call| call.method).collect();
    assert_eq!(methods, ["CreateCryptoKey"], "the creation's own answer suffices");

    service.fake.generate_slowly(Duration::from_millis(100));
    service.fake.fail_next_of("GetCryptoKeyVersion", 14.into());
    let error = service.kms.create_key(KeyConfig::new("slow")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the key was created, but"), "{error}");
    assert!(error.key_id().unwrap().as_str().ends_with("/cryptoKeys/slow"), "{error:?}");
    assert_eq!(kind(service.kms.create_key(KeyConfig::new("slow")).await), ErrorKind::Conflict);

    service.fake.fail_next_of("GetCryptoKeyVersion", 13.into());
    let error = service.kms.rotate_key(&key, RotateOptions::now()).await.unwrap_err();
    assert!(error.to_string().contains("a version was made, but"), "{error}");
    service.fake.generate_slowly(Duration::ZERO);
    service.fake.advance(DAY);
    service.kms.promote_key(&key).await.unwrap();
    service.fake.fail_next_of("UpdateCryptoKeyPrimaryVersion", 7.into());
    let error = service.kms.rotate_key(&key, RotateOptions::now()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("waits to be promoted"), "{error}");

    let third = format!("{key}/cryptoKeyVersions/3");
    service.fake.forget_calls();
    let info = service.kms.schedule_key_deletion(&key, 30).await.unwrap();
    assert_eq!((info.state, info.versions.len()), (KeyState::PendingDeletion, 3));
    let calls = service.fake.calls();
    assert_eq!(calls.last().unwrap().method, "DestroyCryptoKeyVersion", "its answer suffices");
    let first = calls.iter().find(|call| call.method == "DestroyCryptoKeyVersion").unwrap();
    assert_eq!(first.name, third, "the newest first");
    service.kms.cancel_key_deletion(&key).await.unwrap();
    service.kms.enable_key(&key).await.unwrap();
    let lost = async {
        service.fake.fail_next_after_effect("DestroyCryptoKeyVersion", 14.into());
        service.kms.schedule_key_deletion(&key, 30).await.unwrap_err()
    };
    assert!(!lost.await.to_string().contains("are scheduled"), "none is known to be");
    service.kms.schedule_key_deletion(&key, 30).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_never_made_is_waited_for_until_the_deadline() {
    let deadline = Duration::from_secs(1);
    let service = Service::with(|config| config.with_hsm(true).with_call_timeout(deadline)).await;
    service.fake.generate_slowly(DAY);
    let began = SystemClock::new().monotonic();
    let error = service.kms.create_key(KeyConfig::new("slow")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("the key was created, but"), "{error}");
    assert!(SystemClock::new().monotonic() - began < deadline * 4);
    let version = format!("{}/cryptoKeyVersions/1", error.key_id().unwrap());
    service.fake.generate_slowly(Duration::ZERO);
    service.fake.advance(DAY);
    service.kms.describe_key(error.key_id().unwrap()).await.unwrap();
    service.fake.force_state(&version, "GENERATION_FAILED");
    let rotated = service.kms.rotate_key(error.key_id().unwrap(), RotateOptions::now()).await;
    assert_eq!(kind(rotated), ErrorKind::KeyUnusable);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_without_end_are_an_error() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    service.fake.never_end_lists(true);
    service.fake.forget_calls();
    let client = client(&service.kms);
    let errors = [
        service.kms.describe_key(&key).await.map(drop).unwrap_err(),
        service.kms.list_keys(None, 10).await.map(drop).unwrap_err(),
        client.list_key_rings().await.map(drop).unwrap_err(),
        client.list_keys("prod").await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("list does not end"), "{error}");
    }
    assert!(service.fake.calls().len() < 12, "{:?}", service.fake.calls());
    service.fake.never_end_lists(false);
    assert_eq!(service.kms.list_keys(None, 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_described_in_its_order_and_in_time() {
    let service = Service::start().await;
    for number in 0..40 {
        service.key(&format!("key-{number:02}")).await;
    }
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    proxy.on(Match::any()).always().fault(HttpFault::Latency(Duration::from_millis(150)));
    // One after another they would take six seconds and more.
    let config = at(&proxy.url()).with_call_timeout(Duration::from_secs(5));
    let kms = Arc::new(GcpKmsProvider::connect(config).await.unwrap());
    let names = |keys: Vec<vault_crypto_core::KeyInfo>| -> Vec<String> {
        keys.iter().map(|key| key.key_id.as_str().rsplit('/').next().unwrap().to_owned()).collect()
    };
    let all = names(kms.list_keys(None, 1_000).await.unwrap());
    let expected: Vec<_> = (0..40).map(|number| format!("key-{number:02}")).collect();
    assert_eq!(all, expected);
    let after = vault_crypto_core::KeyId::new("key-10");
    assert_eq!(names(kms.list_keys(Some(&after), 3).await.unwrap()), expected[11..14]);
    assert_eq!(client(&kms).list_keys("prod").await.unwrap().len(), 40);
}
