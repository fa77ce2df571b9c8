//! Changes of which only the first half was seen to happen, lists without an end, and calls of many requests.

use std::time::Duration;

use vault_crypto_core::ErrorKind::{Conflict, PermissionDenied, TimedOut, Unavailable};
use vault_crypto_core::{
    Clock as _, KeyConfig, KeyId, KeyState, KmsAdmin as _, KmsProvider as _, RotateOptions,
    SystemClock,
};
use vault_kms_azure::AzureKmsProvider;
use vault_testkit::proxy::{Answer, HttpFault, Match};

use super::support::{Through, config};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_created_is_never_told_as_if_it_was_not() {
    let world = Through::new(|config| config).await;
    let (kms, proxy) = (&world.kms, &world.proxy);
    let broken = [
        ("one", Match::path("/create?"), HttpFault::Garbage),
        ("two", Match::path("/versions?"), HttpFault::Answer(Answer::new(503))),
        ("three", Match::path("/versions?"), HttpFault::ResetBefore),
    ];
    for (name, call, fault) in broken {
        proxy.on(call).fault(fault);
        let error = kms.create_key(KeyConfig::new(name)).await.unwrap_err();
        proxy.clear();
        assert_eq!(error.kind(), Unavailable, "{name}");
        let said = error.detail().unwrap();
        assert!(said.starts_with("the key was created, but "), "{said}");
        assert!(error.key_id().unwrap().as_str().ends_with(&format!("/keys/{name}")));
        assert_eq!(kms.describe_key(&name.into()).await.unwrap().versions.len(), 1);
        assert_eq!(kms.create_key(KeyConfig::new(name)).await.unwrap_err().kind(), Conflict);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_tells_what_a_description_tells() {
    let world = Through::new(|config| config).await;
    let asked = KeyConfig::new("app").with_description("cards").with_tag("team", "payments");
    let made = world.kms.create_key(asked).await.unwrap();
    assert_eq!(made, world.kms.describe_key(&made.key_id).await.unwrap());
    // Whoever may not list versions may still create.
    let refused = Answer::json(403, r#"{"error":{"code":"Forbidden","message":"no"}}"#);
    world.proxy.on(Match::path("/versions")).fault(HttpFault::Answer(refused));
    assert!(world.kms.create_key(KeyConfig::new("other")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_rotated_is_never_told_as_if_it_was_not() {
    let world = Through::new(|config| config).await;
    let key = world.key("app").await;
    world.proxy.on(Match::path("/rotate")).fault(HttpFault::Garbage);
    let error = world.kms.rotate_key(&key, RotateOptions::now()).await.unwrap_err();
    assert_eq!((error.kind(), error.key_id()), (Unavailable, Some(&key)));
    assert!(error.detail().unwrap().starts_with("the key was rotated, but "), "{error}");
    assert_eq!(world.kms.describe_key(&key).await.unwrap().versions.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_deadline_covers_all_requests_of_a_call() {
    let deadline = Duration::from_millis(900);
    let world = Through::new(|config| config.with_call_timeout(deadline)).await;
    let key = KeyId::from("app");
    // A new pair of keys may take longer than that.
    let admin = AzureKmsProvider::connect(config(&world.fake));
    admin.await.unwrap().create_key(KeyConfig::new("app")).await.unwrap();
    world.kms.describe_key(&key).await.unwrap();
    // Each request comes in time, all of them do not.
    let slow = HttpFault::Latency(deadline / 2);
    world.proxy.on(Match::any()).always().fault(slow);
    let clock = SystemClock::new();
    let began = clock.monotonic();
    assert_eq!(world.kms.describe_key(&key).await.unwrap_err().kind(), TimedOut);
    assert_eq!(world.kms.list_keys(None, 10).await.unwrap_err().kind(), TimedOut);
    let disabled = world.kms.disable_key(&key).await.unwrap_err();
    assert_eq!(disabled.kind(), TimedOut);
    assert!(disabled.detail().unwrap().contains("may have happened"), "{disabled}");
    assert_eq!(disabled.key_id(), world.kms.canonical_key_id(&key).as_ref());
    assert!(clock.monotonic() - began < deadline * 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_runs_out_of_time_after_the_key_was_made_says_so() {
    let world = Through::new(|config| config.with_call_timeout(Duration::from_secs(8))).await;
    world.proxy.on(Match::path("/versions")).fault(HttpFault::Hang);
    let error = world.kms.create_key(KeyConfig::new("app")).await.unwrap_err();
    assert_eq!(error.kind(), TimedOut);
    assert!(error.detail().unwrap().starts_with("the key was created, but "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_leads_back_to_itself_is_given_up() {
    let world = Through::new(|config| config).await;
    let key = world.key("app").await;
    let host = world.fake.host();
    let back = move |path: &str| {
        let page = format!(r#"{{"value":[],"nextLink":"https://{host}/{path}?maxresults=1"}}"#);
        HttpFault::edit(move |body| *body = page.clone().into_bytes())
    };
    for path in ["keys", "deletedkeys"] {
        world.proxy.on(Match::path(format!("/{path}?"))).always().fault(back(path));
        let error = world.kms.list_keys(None, 10).await.unwrap_err();
        world.proxy.clear();
        assert_eq!(error.kind(), Unavailable, "{path} {error}");
        assert!(error.detail().unwrap().contains("does not end"), "{error}");
    }
    world.proxy.on(Match::path("/versions")).always().fault(back("keys/app/versions"));
    let error = world.kms.describe_key(&key).await.unwrap_err();
    assert!(error.detail().unwrap().contains("does not end"), "{error}");
    world.proxy.clear();
    assert_eq!(world.kms.list_keys(None, 10).await.unwrap().len(), 1);
}

/// A key of two versions, and what a deletion says that ends with `faults` on the way.
async fn deletion(
    faults: impl IntoIterator<Item = (Match, u64, HttpFault)>,
) -> (Through, KeyId, vault_crypto_core::CryptoError) {
    let world = Through::new(|config| config).await;
    let key = world.key("app").await;
    world.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    for (call, nth, fault) in faults {
        world.proxy.on(call).nth(nth).fault(fault);
    }
    let error = world.kms.schedule_key_deletion(&key, 7).await.unwrap_err();
    world.proxy.clear();
    assert_eq!(error.key_id(), Some(&key));
    (world, key, error)
}

fn refused() -> HttpFault {
    let body = r#"{"error":{"code":"Forbidden","innererror":{"code":"ForbiddenByRbac"}}}"#;
    HttpFault::Answer(Answer::json(403, body))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_its_broken_deletion_left_disabled_is_told_so() {
    for fault in [HttpFault::ResetBefore, HttpFault::Answer(Answer::new(404))] {
        let (world, key, error) = deletion([(Match::method("DELETE"), 1, fault)]).await;
        assert_eq!(error.kind(), Unavailable);
        assert!(error.detail().unwrap().starts_with("the key was disabled, but "), "{error}");
        assert_eq!(world.kms.describe_key(&key).await.unwrap().state, KeyState::Disabled);
    }
    let unread = [(Match::method("DELETE"), 1, HttpFault::Garbage)];
    let (world, key, error) = deletion(unread).await;
    assert!(error.detail().unwrap().starts_with("the deletion of the key was scheduled, but "));
    assert_eq!(world.kms.describe_key(&key).await.unwrap().state, KeyState::PendingDeletion);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_enabled_again_is_told_beside_what_went_wrong_first() {
    let left = "versions of the key were disabled and perhaps not enabled again, but ";
    // The deletion is refused, and one of two versions stays disabled.
    let faults = [
        (Match::method("DELETE"), 1, refused()),
        (Match::method("PATCH"), 3, HttpFault::ResetBefore),
    ];
    let (world, key, error) = deletion(faults).await;
    assert_eq!(error.kind(), PermissionDenied);
    assert!(error.detail().unwrap().starts_with(left), "{error}");
    let info = world.kms.describe_key(&key).await.unwrap();
    let off = info.versions.iter().filter(|version| version.state == KeyState::Disabled);
    assert_eq!(off.count(), 1);
    // The second version is not disabled, and the first one not enabled again.
    let faults = [
        (Match::method("PATCH"), 2, refused()),
        (Match::method("PATCH"), 3, HttpFault::Answer(Answer::new(503))),
    ];
    let (_, _, error) = deletion(faults).await;
    assert_eq!(error.kind(), PermissionDenied);
    assert!(error.detail().unwrap().starts_with(left), "{error}");
    // Nothing was changed, and nothing is said to be.
    let (world, key, error) = deletion([(Match::method("PATCH"), 1, refused())]).await;
    assert!(!error.detail().unwrap().contains("but"), "{error}");
    assert_eq!(world.kms.describe_key(&key).await.unwrap().state, KeyState::Enabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_disabled_or_recovered_in_part_is_told_so() {
    let world = Through::new(|config| config).await;
    let key = world.key("app").await;
    world.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    world.proxy.on(Match::method("PATCH")).nth(2).fault(refused());
    let error = world.kms.disable_key(&key).await.unwrap_err();
    world.proxy.clear();
    assert_eq!(error.kind(), PermissionDenied);
    let said = error.detail().unwrap();
    assert!(said.starts_with("versions of the key were disabled, but "), "{said}");
    world.kms.enable_key(&key).await.unwrap();
    world.kms.schedule_key_deletion(&key, 7).await.unwrap();
    world.proxy.on(Match::path("/recover")).fault(HttpFault::Garbage);
    world.proxy.on(Match::path("/versions")).fault(HttpFault::ResetBefore);
    let error = world.kms.cancel_key_deletion(&key).await.unwrap_err();
    world.proxy.clear();
    assert!(error.detail().unwrap().starts_with("the key was recovered, but "), "{error}");
}
