//! Names and payloads that no request is made for.

use vault_crypto_core::{
    ErrorKind, KeyConfig, KeyId, KeyVersion, KmsAdmin, KmsProvider, RotateOptions, SecureBytes,
    WrappedKey,
};

use super::support::{context, local_stack, proxied, scope};

fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        "../x",
        "alias/../x",
        "a b",
        "a\nb",
        "key?x",
        "key#x",
        "key%2fx",
        "arn:",
        "k\u{0}",
        "\u{202e}k",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("k".repeat(10_000));
    names.push(format!("alias/{}", "k".repeat(10_000)));
    names
}

#[tokio::test]
async fn a_hostile_name_is_refused_without_a_request() {
    let (kms, _, proxy) = proxied().await;
    let before = proxy.calls().len();
    for name in hostile() {
        let key = KeyId::new(&name);
        let wrapped = WrappedKey::new(vec![1; 64], key.clone(), KeyVersion::unknown());
        let bytes = SecureBytes::new(vec![7; 32]);
        let outcomes = [
            kms.generate_data_key(&key, &context()).await.map(drop),
            kms.wrap_data_key(&key, &bytes, &context()).await.map(drop),
            kms.decrypt_data_key(&wrapped, &context()).await.map(drop),
            kms.rewrap_data_key(&wrapped, &key, &context()).await.map(drop),
            kms.encrypt(&key, b"payload", &scope()).await.map(drop),
            kms.decrypt(&key, &[1; 64], &scope()).await.map(drop),
            kms.describe_key(&key).await.map(drop),
            kms.rotate_key(&key, RotateOptions::now()).await.map(drop),
            kms.enable_key(&key).await,
            kms.disable_key(&key).await,
            kms.schedule_key_deletion(&key, 7).await.map(drop),
            kms.cancel_key_deletion(&key).await,
            kms.tag_key(&key, Default::default()).await,
            kms.set_rotation_period(&key, None).await,
        ];
        for outcome in outcomes {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
        }
        assert_eq!(kms.canonical_key_id(&key), None);
    }
    assert_eq!(proxy.calls().len(), before);
}

#[tokio::test]
async fn a_new_key_with_a_hostile_name_is_refused_without_a_request() {
    let (kms, _, proxy) = proxied().await;
    let before = proxy.calls().len();
    for name in hostile().into_iter().chain(["aws/mine".to_owned(), "alias/aws/mine".to_owned()]) {
        let outcome = kms.create_key(KeyConfig::new(&name)).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
    }
    assert_eq!(proxy.calls().len(), before);
}

#[tokio::test]
async fn a_payload_too_long_is_refused_without_a_request() {
    let (kms, key, proxy) = proxied().await;
    let before = proxy.calls().len();
    for len in [0, 4_097, 1 << 20] {
        let bytes = SecureBytes::new(vec![7; len]);
        let wrapped = kms.wrap_data_key(&key, &bytes, &context()).await;
        assert_eq!(wrapped.unwrap_err().kind(), ErrorKind::InvalidInput);
        let sealed = kms.encrypt(&key, bytes.as_slice(), &scope()).await;
        assert_eq!(sealed.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    for len in [0, 6_145, 1 << 20] {
        let opened = kms.decrypt(&key, &vec![7; len], &scope()).await;
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::AuthenticationFailed);
        let wrapped = WrappedKey::new(vec![7; len], key.clone(), KeyVersion::unknown());
        let rewrapped = kms.rewrap_data_key(&wrapped, &key, &context()).await;
        assert_eq!(rewrapped.unwrap_err().kind(), ErrorKind::AuthenticationFailed);
    }
    assert_eq!(proxy.calls().len(), before);
}

#[tokio::test]
async fn a_key_of_another_region_is_not_found_without_a_request() {
    let (kms, key, proxy) = proxied().await;
    let before = proxy.calls().len();
    let elsewhere = KeyId::new(key.as_str().replace("us-east-1", "eu-west-1"));
    let error = kms.generate_data_key(&elsewhere, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
    assert!(error.to_string().contains("eu-west-1"), "{error}");
    assert_eq!(proxy.calls().len(), before);
}

#[tokio::test]
async fn an_alias_and_an_id_work_and_the_arn_is_what_is_stored() {
    let (kms, key) = local_stack().await;
    let id = key.as_str().rsplit_once('/').unwrap().1;
    let name = super::support::fresh_name();
    let named = kms.create_key(KeyConfig::new(&name)).await.unwrap().key_id;
    let alias = KeyId::new(format!("alias/{name}"));
    for (asked, stored) in [(KeyId::new(id), &key), (alias, &named)] {
        let data_key = kms.generate_data_key(&asked, &context()).await.unwrap();
        assert_eq!(&data_key.wrapped().key_id, stored);
        let wrapped = kms.wrap_data_key(&asked, data_key.plaintext(), &context()).await.unwrap();
        assert_eq!(&wrapped.key_id, stored);
        assert_eq!(kms.canonical_key_id(&asked), None);
        assert_eq!(kms.canonical_key_id(stored).as_ref(), Some(stored));
        assert_eq!(&kms.describe_key(&asked).await.unwrap().key_id, stored);
        kms.disable_key(&asked).await.unwrap();
        kms.enable_key(&asked).await.unwrap();
    }
}
