//! Lists of several pages, and lists that never end.

use vault_crypto_core::{ErrorKind, KeyId, KmsAdmin, KmsProvider};
use vault_testkit::proxy::{Answer, HttpFault};

use super::support::{new_key, on, proxied, with_fields};

fn page(key: &KeyId, next: &str) -> HttpFault {
    let id = key.as_str().rsplit_once('/').unwrap().1;
    let entry = format!(r#"{{"KeyArn":"{key}","KeyId":"{id}"}}"#);
    let more = !next.is_empty();
    let body = format!(r#"{{"Keys":[{entry}],"NextMarker":"{next}","Truncated":{more}}}"#);
    HttpFault::Answer(Answer::json(200, body))
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page() {
    let (kms, first, proxy) = proxied().await;
    let second = new_key(&kms).await;
    proxy.on(on("ListKeys")).fault(page(&first, "more"));
    proxy.on(on("ListKeys")).fault(page(&second, ""));
    let listed = kms.list_keys(None, 10).await.unwrap();
    let mut told: Vec<&KeyId> = listed.iter().map(|info| &info.key_id).collect();
    told.sort();
    let mut made = vec![&first, &second];
    made.sort();
    assert_eq!(told, made);
}

#[tokio::test]
async fn a_list_whose_markers_come_again_is_given_up() {
    let (kms, key, proxy) = proxied().await;
    for next in ["a", "b", "a"] {
        proxy.on(on("ListKeys")).fault(page(&key, next));
    }
    let error = kms.list_keys(None, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("does not end"), "{error}");

    for operation in ["ListResourceTags", "ListKeyRotations"] {
        let endless = match operation {
            "ListResourceTags" => with_fields(r#""NextMarker":"again""#),
            _ => HttpFault::Answer(Answer::json(200, r#"{"Rotations":[],"NextMarker":"again"}"#)),
        };
        proxy.on(on(operation)).times(2).fault(endless);
        let error = kms.describe_key(&key).await.unwrap_err();
        assert_eq!((error.kind(), error.key_id()), (ErrorKind::Unavailable, Some(&key)), "{error}");
        assert!(error.to_string().contains("does not end"), "{error}");
    }
    kms.describe_key(&key).await.unwrap();
}
