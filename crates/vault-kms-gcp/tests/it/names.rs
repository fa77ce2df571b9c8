//! Hostile names end before a request is made; right ones go out with the routing header.

use std::time::Duration;

use vault_crypto_core::{
    ErrorKind, KeyConfig, KeyId, KeyVersion, KmsAdmin, KmsProvider, RotateOptions, SecureBytes,
    WrappedKey,
};

use super::support::{RING, Service, client, context, kind, scope};

fn hostile() -> Vec<String> {
    vec![
        String::new(),
        "../cards".into(),
        "..".into(),
        "car ds".into(),
        "cards\n".into(),
        "cards\0".into(),
        "cards?x".into(),
        "cards#1".into(),
        "cards%2f1".into(),
        "k".repeat(10 * 1_024),
        format!("{RING}/cryptoKeys/cards/cryptoKeyVersions/1"),
        format!("{RING}/cryptoKeys/../../other/cryptoKeys/cards"),
        format!("https://attacker.test/{RING}/cryptoKeys/cards"),
        "arn:aws:kms:eu-central-1:1:key/1".into(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_never_become_requests() {
    let service = Service::start().await;
    service.key("cards").await;
    service.fake.forget_calls();
    let kms = &service.kms;
    let data = SecureBytes::new(vec![7; 32]);
    for name in hostile() {
        let key = KeyId::new(name.clone());
        let wrapped = WrappedKey::new(vec![1; 64], key.clone(), KeyVersion::unknown());
        let good = WrappedKey::new(vec![1; 64], KeyId::new("cards"), KeyVersion::unknown());
        let outcomes = [
            kind(kms.generate_data_key(&key, &context()).await),
            kind(kms.wrap_data_key(&key, &data, &context()).await),
            kind(kms.decrypt_data_key(&wrapped, &context()).await),
            kind(kms.rewrap_data_key(&good, &key, &context()).await),
            kind(kms.encrypt(&key, b"x", &scope()).await),
            kind(kms.decrypt(&key, b"x", &scope()).await),
            kind(kms.describe_key(&key).await),
            kind(kms.rotate_key(&key, RotateOptions::now()).await),
            kind(kms.promote_key(&key).await),
            kind(kms.enable_key(&key).await),
            kind(kms.disable_key(&key).await),
            kind(kms.schedule_key_deletion(&key, 30).await),
            kind(kms.cancel_key_deletion(&key).await),
            kind(kms.tag_key(&key, Default::default()).await),
            kind(kms.set_rotation_period(&key, Some(Duration::from_secs(86_400))).await),
            kind(kms.create_key(KeyConfig::new(name.clone())).await),
            kind(client(kms).create_key("prod", &name, "AES_256_GCM").await),
            kind(client(kms).create_key_ring(&name).await),
        ];
        assert!(
            outcomes.iter().all(|kind| *kind == ErrorKind::InvalidInput),
            "{name:?} {outcomes:?}"
        );
        assert_eq!(kms.canonical_key_id(&key), None, "{name:?}");
    }
    assert_eq!(service.fake.calls(), [], "something was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_impossible_lengths_never_become_requests() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    service.fake.forget_calls();
    for bytes in [vec![], vec![0; 65_537]] {
        let wrapped = WrappedKey::new(bytes.clone(), key.clone(), KeyVersion::unknown());
        let opened = service.kms.decrypt_data_key(&wrapped, &context()).await;
        assert_eq!(kind(opened), ErrorKind::Malformed);
        assert_eq!(kind(service.kms.decrypt(&key, &bytes, &scope()).await), ErrorKind::Malformed);
    }
    for len in [0, 4_097] {
        let refused = service.kms.encrypt(&key, &vec![0; len], &scope()).await;
        assert_eq!(kind(refused), ErrorKind::InvalidInput);
    }
    assert_eq!(service.fake.calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_say_where_they_belong() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    service.fake.forget_calls();
    service.kms.generate_data_key(&KeyId::new("cards"), &context()).await.unwrap();
    let calls = service.fake.calls();
    assert_eq!(calls[0].name, key.as_str());
    let encoded = "name=projects%2Facme-prod%2Flocations%2Feurope-west3%2FkeyRings%2Fprod%2FcryptoKeys%2Fcards";
    assert_eq!(calls[0].request_params.as_deref(), Some(encoded));
    let by_uri = KeyId::new(format!("gcp-kms://{key}"));
    assert_eq!(service.kms.canonical_key_id(&by_uri), Some(key.clone()));
    assert_eq!(service.kms.describe_key(&by_uri).await.unwrap().key_id, key);
}
