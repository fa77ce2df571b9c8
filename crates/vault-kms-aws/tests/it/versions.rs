//! Key material ids and key ids of answers. LocalStack tells no material, so the proxy puts one into its
//! answers.

use vault_crypto_core::{
    CryptoError, ErrorKind, KeyState, KeyVersion, KmsAdmin, KmsProvider, SecureBytes,
};
use vault_testkit::proxy::HttpFault;
use vault_testkit::servers::Moto;

use super::support::{connect, context, new_key, on, proxied, scope, with_fields};

const MATERIAL: &str = r#""KeyMaterialId":"0123456789abcdef""#;
const OTHER_MATERIAL: &str = r#""KeyMaterialId":"fedcba9876543210""#;

#[tokio::test]
async fn the_material_that_wrapped_is_stored_and_compared() {
    let (kms, key, proxy) = proxied().await;
    proxy.on(on("GenerateDataKey")).fault(with_fields(MATERIAL));
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    let wrapped = data_key.wrapped();
    assert_eq!(wrapped.version.as_str(), "0123456789abcdef");

    // Nothing to compare, the same, another.
    assert_eq!(kms.decrypt_data_key(wrapped, &context()).await.unwrap(), *data_key.plaintext());
    proxy.on(on("Decrypt")).fault(with_fields(MATERIAL));
    assert_eq!(kms.decrypt_data_key(wrapped, &context()).await.unwrap(), *data_key.plaintext());
    proxy.on(on("Decrypt")).fault(with_fields(OTHER_MATERIAL));
    let error = kms.decrypt_data_key(wrapped, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);

    // A message whose version was never told opens under any.
    let mut untold = wrapped.clone();
    untold.version = KeyVersion::unknown();
    proxy.on(on("Decrypt")).fault(with_fields(OTHER_MATERIAL));
    assert_eq!(kms.decrypt_data_key(&untold, &context()).await.unwrap(), *data_key.plaintext());
}

#[tokio::test]
async fn a_rewrap_compares_the_old_material_and_stores_the_new() {
    let (kms, key, proxy) = proxied().await;
    proxy.on(on("GenerateDataKey")).fault(with_fields(MATERIAL));
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    let both = r#""SourceKeyMaterialId":"0123456789abcdef","DestinationKeyMaterialId":"beef""#;
    proxy.on(on("ReEncrypt")).fault(with_fields(both));
    let again = kms.rewrap_data_key(data_key.wrapped(), &key, &context()).await.unwrap();
    assert_eq!(again.version.as_str(), "beef");
    proxy.on(on("ReEncrypt")).fault(with_fields(r#""SourceKeyMaterialId":"fedcba""#));
    let error = kms.rewrap_data_key(data_key.wrapped(), &key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
}

#[tokio::test]
async fn a_material_id_with_other_characters_never_enters_a_header() {
    let (kms, key, proxy) = proxied().await;
    for bad in [r#""KeyMaterialId":"a b""#, r#""KeyMaterialId":"a\n""#] {
        proxy.on(on("GenerateDataKey")).fault(with_fields(bad));
        let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}

/// Takes out the answer's key id and puts another one in.
fn of_another_key(field: &'static str) -> HttpFault {
    HttpFault::edit(move |body| {
        let text = String::from_utf8(std::mem::take(body)).unwrap();
        let (before, rest) = text.split_once(&format!("\"{field}\"")).unwrap();
        let (_, after) = rest.split_once(":key/").unwrap();
        let (_, after) = after.split_once('"').unwrap();
        let arn = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000";
        *body = format!("{before}\"{field}\": \"{arn}\"{after}").into_bytes();
    })
}

#[tokio::test]
async fn an_answer_of_another_key_is_never_taken() {
    let (kms, key, proxy) = proxied().await;
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    let (wrapped, bytes) = (data_key.wrapped(), SecureBytes::new(vec![7; 32]));
    let sealed = kms.encrypt(&key, b"payload", &scope()).await.unwrap();

    // What was made is not this key's; asking again may give what is.
    let made = |error: CryptoError| {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(error.detail(), Some("the service answered for another key"));
    };
    proxy.on(on("GenerateDataKey")).fault(of_another_key("KeyId"));
    made(kms.generate_data_key(&key, &context()).await.unwrap_err());
    proxy.on(on("Encrypt")).times(2).fault(of_another_key("KeyId"));
    made(kms.wrap_data_key(&key, &bytes, &context()).await.unwrap_err());
    made(kms.encrypt(&key, b"payload", &scope()).await.unwrap_err());
    proxy.on(on("ReEncrypt")).fault(of_another_key("KeyId"));
    made(kms.rewrap_data_key(wrapped, &key, &context()).await.unwrap_err());
    proxy.on(on("DescribeKey")).fault(of_another_key("Arn"));
    made(kms.describe_key(&key).await.unwrap_err());

    // What was opened is not this key's.
    proxy.on(on("Decrypt")).times(2).fault(of_another_key("KeyId"));
    proxy.on(on("ReEncrypt")).fault(of_another_key("SourceKeyId"));
    let opened = [
        kms.decrypt_data_key(wrapped, &context()).await.map(drop),
        kms.decrypt(&key, &sealed, &scope()).await.map(drop),
        kms.rewrap_data_key(wrapped, &key, &context()).await.map(drop),
    ];
    for outcome in opened {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::AuthenticationFailed);
    }
    assert_eq!(kms.describe_key(&key).await.unwrap().state, KeyState::Enabled);
}

/// A field with nothing in it, instead of what the service said.
fn without(field: &'static str) -> HttpFault {
    HttpFault::edit(move |body| {
        let text = String::from_utf8(std::mem::take(body)).unwrap();
        *body = text.replace(&format!("\"{field}\""), "\"Elsewhere\"").into_bytes();
    })
}

#[tokio::test]
async fn an_answer_that_lacks_what_it_must_have_is_worth_asking_again() {
    let (kms, key, proxy) = proxied().await;
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    for (operation, fields) in [
        ("GenerateDataKey", &["KeyId", "Plaintext", "CiphertextBlob"][..]),
        ("Decrypt", &["KeyId", "Plaintext"]),
        ("ReEncrypt", &["KeyId", "SourceKeyId", "CiphertextBlob"]),
        ("GenerateRandom", &["Plaintext"]),
        ("DescribeKey", &["KeyMetadata", "Arn"]),
    ] {
        for field in fields {
            proxy.on(on(operation)).fault(without(field));
            let outcome = match operation {
                "GenerateDataKey" => kms.generate_data_key(&key, &context()).await.map(drop),
                "Decrypt" => kms.decrypt_data_key(data_key.wrapped(), &context()).await.map(drop),
                "ReEncrypt" => {
                    kms.rewrap_data_key(data_key.wrapped(), &key, &context()).await.map(drop)
                }
                "GenerateRandom" => kms.random_bytes(32).await.map(drop),
                _ => kms.describe_key(&key).await.map(drop),
            };
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable, "{operation} {field}");
        }
    }
    // A data key of another length is none, and nothing is no plaintext.
    let plaintext = |new: &'static str| {
        HttpFault::edit(move |body| {
            let text = String::from_utf8(std::mem::take(body)).unwrap();
            let (before, rest) = text.split_once("\"Plaintext\"").unwrap();
            let (_, after) = rest.trim_start_matches([':', ' ', '"']).split_once('"').unwrap();
            *body = format!("{before}\"Plaintext\": \"{new}\"{after}").into_bytes();
        })
    };
    proxy.on(on("Decrypt")).fault(plaintext(""));
    let error = kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    proxy.on(on("GenerateDataKey")).fault(plaintext("BwcHBwcHBwc="));
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("32 bytes"), "{error}");
}

/// moto has the operation that LocalStack has not.
#[tokio::test]
async fn rotations_that_the_service_lists_are_told() {
    let kms = connect(&Moto::shared().url()).await;
    let key = new_key(&kms).await;
    assert_eq!(kms.describe_key(&key).await.unwrap().rotated_at, None);
    kms.rotate_key(&key, vault_crypto_core::RotateOptions::now()).await.unwrap();
    let info = kms.describe_key(&key).await.unwrap();
    assert!(info.rotated_at >= info.created_at, "{info:?}");
    assert!(info.rotated_at.is_some(), "{info:?}");
}
