//! Making a key takes two calls; whatever happens between them, no key is left that nobody knows.

use vault_crypto_core::{ErrorKind, KeyConfig, KeyId, KeyState, KmsAdmin, KmsProvider};
use vault_testkit::proxy::{Answer, HttpFault};

use super::support::{count, fresh_name, on, proxied};

fn refused(code: &str) -> HttpFault {
    HttpFault::Answer(Answer::json(400, format!(r#"{{"__type":"{code}","message":"no"}}"#)))
}

#[tokio::test]
async fn a_name_that_was_taken_meanwhile_is_a_conflict_and_the_new_key_goes() {
    let (kms, _, proxy) = proxied().await;
    let (first, second) = (fresh_name(), fresh_name());
    let existing = kms.create_key(KeyConfig::new(&first)).await.unwrap().key_id;
    // The look finds nothing, though the name is taken: as if somebody made it in between.
    proxy.on(on("DescribeKey")).fault(refused("NotFoundException"));
    let error = kms.create_key(KeyConfig::new(&first)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(
        kms.describe_key(&KeyId::new(format!("alias/{first}"))).await.unwrap().key_id,
        existing
    );
    let mut pending = 0;
    for info in kms.list_keys(None, 1_000).await.unwrap() {
        pending += u32::from(info.state == KeyState::PendingDeletion);
    }
    assert!(pending >= 1, "the key that got no name stays");
    assert_eq!(count(&proxy, "ScheduleKeyDeletion"), 1);
    kms.create_key(KeyConfig::new(second)).await.unwrap();
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

#[tokio::test]
async fn a_key_that_cannot_be_named_goes() {
    let (kms, _, proxy) = proxied().await;
    proxy.on(on("CreateAlias")).fault(refused("AccessDeniedException"));
    let error = kms.create_key(KeyConfig::new(fresh_name())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(count(&proxy, "ScheduleKeyDeletion"), 1);
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
