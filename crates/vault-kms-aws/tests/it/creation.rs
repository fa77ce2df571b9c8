//! Making a key takes two calls; whatever happens between them, no key is left that nobody knows.

use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KeyState, KmsAdmin, KmsProvider,
};
use vault_testkit::proxy::{Answer, HttpFault};

use super::support::{count, fresh_name, is, on, proxied};

fn refused(code: &str) -> HttpFault {
    HttpFault::Answer(Answer::json(400, format!(r#"{{"__type":"{code}","message":"no"}}"#)))
}

/// The key that an error says was made.
fn made_by(error: &CryptoError) -> &KeyId {
    assert!(error.to_string().contains("the key was created, but"), "{error}");
    error.key_id().unwrap()
}

#[tokio::test]
async fn a_new_key_is_described_by_its_creation_alone() {
    let (kms, _, proxy) = proxied().await;
    let looks = count(&proxy, "DescribeKey");
    let tags = [("team", "payments"), ("cost", "4711")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let mut config = KeyConfig::new(fresh_name()).with_description("cards of 2026");
    config.tags = tags.into();
    let info = kms.create_key(config).await.unwrap();
    assert_eq!(count(&proxy, "DescribeKey"), looks + 1, "whether the name is free");
    assert!(is(proxy.calls().last().unwrap(), "CreateAlias"));
    assert_eq!(info, kms.describe_key(&info.key_id).await.unwrap());
}

#[tokio::test]
async fn a_scheduled_deletion_is_described_by_what_was_asked_before() {
    let (kms, key, proxy) = proxied().await;
    let info = kms.schedule_key_deletion(&key, 9).await.unwrap();
    assert!(is(proxy.calls().last().unwrap(), "ScheduleKeyDeletion"));
    assert_eq!(info.state, KeyState::PendingDeletion);
    assert!(info.deletion_at > info.created_at, "{info:?}");
    assert_eq!(info, kms.describe_key(&key).await.unwrap());
}

#[tokio::test]
async fn a_name_that_was_taken_meanwhile_is_a_conflict_and_the_new_key_goes() {
    let (kms, _, proxy) = proxied().await;
    let name = fresh_name();
    let existing = kms.create_key(KeyConfig::new(&name)).await.unwrap().key_id;
    // The look finds nothing, though the name is taken: as if somebody made it in between.
    proxy.on(on("DescribeKey")).fault(refused("NotFoundException"));
    let error = kms.create_key(KeyConfig::new(&name)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_ne!(made_by(&error), &existing);
    assert!(error.to_string().contains("deletion is scheduled"), "{error}");
    assert_eq!(kms.describe_key(made_by(&error)).await.unwrap().state, KeyState::PendingDeletion);
    assert_eq!(
        kms.describe_key(&KeyId::new(format!("alias/{name}"))).await.unwrap().key_id,
        existing
    );
}

#[tokio::test]
async fn an_alias_whose_answer_is_lost_is_looked_for() {
    let (kms, _, proxy) = proxied().await;
    let name = fresh_name();
    proxy.on(on("CreateAlias")).fault(HttpFault::ResetAfter);
    let info = kms.create_key(KeyConfig::new(&name)).await.unwrap();
    let found = kms.describe_key(&KeyId::new(format!("alias/{name}"))).await.unwrap();
    assert_eq!(found.key_id, info.key_id);
    assert_eq!(found.state, KeyState::Enabled);
}

#[tokio::test]
async fn a_key_that_may_have_its_name_is_told_of_and_not_deleted() {
    let (kms, _, proxy) = proxied().await;
    let name = fresh_name();
    proxy.on(on("CreateAlias")).fault(HttpFault::ResetAfter);
    // The first look, before anything is made, is answered.
    proxy.on(on("DescribeKey")).fault(refused("NotFoundException"));
    proxy.on(on("DescribeKey")).fault(HttpFault::ResetBefore);
    let error = kms.create_key(KeyConfig::new(&name)).await.unwrap_err();
    assert!(error.to_string().contains("may have its name"), "{error}");
    assert_eq!(count(&proxy, "ScheduleKeyDeletion"), 0);
    let found = kms.describe_key(&KeyId::new(format!("alias/{name}"))).await.unwrap();
    assert_eq!((Some(&found.key_id), found.state), (error.key_id(), KeyState::Enabled));
}

/// The service shows some seconds later everywhere what it did.
#[tokio::test]
async fn an_alias_whose_answer_is_lost_and_that_nobody_sees_yet_may_stand_all_the_same() {
    let (kms, _, proxy) = proxied().await;
    let name = fresh_name();
    proxy.on(on("CreateAlias")).fault(HttpFault::ResetAfter);
    proxy.on(on("DescribeKey")).times(2).fault(refused("NotFoundException"));
    let error = kms.create_key(KeyConfig::new(&name)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("may have its name"), "{error}");
    assert_eq!(count(&proxy, "ScheduleKeyDeletion"), 0);
    let found = kms.describe_key(&KeyId::new(format!("alias/{name}"))).await.unwrap();
    assert_eq!((&found.key_id, found.state), (made_by(&error), KeyState::Enabled));
}

#[tokio::test]
async fn a_key_that_cannot_be_named_goes() {
    let (kms, _, proxy) = proxied().await;
    proxy.on(on("CreateAlias")).fault(refused("AccessDeniedException"));
    let error = kms.create_key(KeyConfig::new(fresh_name())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(kms.describe_key(made_by(&error)).await.unwrap().state, KeyState::PendingDeletion);
    // Nor deleted: somebody has to.
    proxy.on(on("CreateAlias")).fault(refused("LimitExceededException"));
    proxy.on(on("ScheduleKeyDeletion")).fault(refused("AccessDeniedException"));
    let error = kms.create_key(KeyConfig::new(fresh_name())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(error.to_string().contains("delete it"), "{error}");
    assert_eq!(kms.describe_key(made_by(&error)).await.unwrap().state, KeyState::Enabled);
}

#[tokio::test]
async fn a_deadline_in_the_middle_of_a_creation_tells_what_is_left() {
    let (kms, _, proxy) = proxied().await;
    proxy.on(on("CreateAlias")).fault(HttpFault::Hang);
    let error = kms.create_key(KeyConfig::new(fresh_name())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(kms.describe_key(made_by(&error)).await.unwrap().state, KeyState::Enabled);
    proxy.on(on("CreateKey")).fault(HttpFault::Hang);
    let error = kms.create_key(KeyConfig::new(fresh_name())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("may have been made"), "{error}");
    proxy.on(on("DescribeKey")).fault(HttpFault::Hang);
    let error = kms.create_key(KeyConfig::new(fresh_name())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(!error.to_string().contains("made"), "nothing was asked for: {error}");
}

#[tokio::test]
async fn a_creation_that_does_not_say_which_key_it_made_is_told_of() {
    let (kms, _, proxy) = proxied().await;
    for field in ["KeyMetadata", "Arn"] {
        proxy.on(on("CreateKey")).fault(HttpFault::edit(move |body| {
            let text = String::from_utf8(std::mem::take(body)).unwrap();
            *body = text.replace(&format!("\"{field}\""), "\"Elsewhere\"").into_bytes();
        }));
        let error = kms.create_key(KeyConfig::new(fresh_name())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("the key was created, but"), "{error}");
    }
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_reported_and_not_repeated() {
    let (kms, _, proxy) = proxied().await;
    let before = count(&proxy, "CreateKey");
    proxy.on(on("CreateKey")).fault(HttpFault::ResetAfter);
    let error = kms.create_key(KeyConfig::new(fresh_name())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("may have been made"), "{error}");
    assert_eq!(count(&proxy, "CreateKey"), before + 1);
}
