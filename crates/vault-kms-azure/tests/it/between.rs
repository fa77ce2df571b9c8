//! Answers of something that stands between here and the vault: they tell nothing of keys.

use vault_crypto_core::ErrorKind::{
    AuthenticationFailed, Conflict, InvalidInput, KeyNotFound, LimitExceeded, PermissionDenied,
    TimedOut, Unavailable,
};
use vault_crypto_core::{ErrorKind, KeyConfig, KmsAdmin as _, KmsProvider as _, RotateOptions};
use vault_testkit::proxy::{Answer, HttpFault, Match};

use super::support::{Through, context, scope};

/// As a load balancer or a proxy says it.
fn page(status: u16) -> HttpFault {
    let page = "<html><body>The page cannot be displayed</body></html>";
    let answer = Answer::new(status).with_header("content-type", "text/html").with_body(page);
    HttpFault::Answer(answer)
}

/// As Key Vault does.
fn code(status: u16, code: &str) -> HttpFault {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"words"}}}}"#);
    HttpFault::Answer(Answer::json(status, body))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_between_does_not_make_good_bytes_forged() {
    let world = Through::new(|config| config).await;
    let key = world.key("app").await;
    let (kms, proxy) = (&world.kms, &world.proxy);
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    let payload = kms.encrypt(&key, b"4111", &scope()).await.unwrap();
    for (status, kind) in [
        (400, Unavailable),
        (403, PermissionDenied),
        (404, Unavailable),
        (409, Unavailable),
        (413, LimitExceeded),
        (408, TimedOut),
        (504, TimedOut),
    ] {
        for path in ["/unwrapkey", "/decrypt"] {
            proxy.on(Match::path(path)).fault(page(status));
        }
        let error = kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {error}");
        let error = kms.decrypt(&key, &payload, &scope()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {error}");
        proxy.clear();
    }
    let refused = [("BadParameter", AuthenticationFailed), ("BadRequest", InvalidInput)];
    for (word, kind) in refused {
        proxy.on(Match::path("/unwrapkey")).fault(code(400, word));
        let error = kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{word}");
        proxy.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_the_stored_version_opens_after_all_are_authentic() {
    let world = Through::new(|config| config).await;
    let key = world.key("app").await;
    let context = context();
    let data_key = world.kms.generate_data_key(&key, &context).await.unwrap();
    let opens = || world.kms.decrypt_data_key(data_key.wrapped(), &context);
    world.proxy.on(Match::path("/unwrapkey")).fault(code(404, "KeyNotFound"));
    assert_eq!(&opens().await.unwrap(), data_key.plaintext());
    // When it is not the current one any more, nothing but the first answer can be told.
    world.proxy.clear();
    world.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    world.proxy.on(Match::path("/unwrapkey")).fault(code(404, "KeyNotFound"));
    assert_eq!(opens().await.unwrap_err().kind(), KeyNotFound);
    world.proxy.clear();
    assert_eq!(&opens().await.unwrap(), data_key.plaintext());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_plaintext_is_none() {
    let world = Through::new(|config| config).await;
    let key = world.key("app").await;
    let data_key = world.kms.generate_data_key(&key, &context()).await.unwrap();
    let empty = HttpFault::edit(|body| {
        let text = String::from_utf8(body.clone()).unwrap();
        let (head, rest) = text.split_once(r#""value":""#).unwrap();
        let (_, tail) = rest.split_once('"').unwrap();
        *body = format!(r#"{head}"value":""{tail}"#).into_bytes();
    });
    world.proxy.on(Match::path("/unwrapkey")).fault(empty);
    let error = world.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_something_between_hides_gets_no_new_version() {
    let world = Through::new(|config| config).await;
    let key = world.key("app").await;
    let answers: [(HttpFault, ErrorKind); 4] = [
        (page(404), Unavailable),
        (code(404, "ResourceNotFound"), Unavailable),
        (page(403), PermissionDenied),
        (page(400), Unavailable),
    ];
    for (fault, kind) in answers {
        for path in ["/keys/app", "/deletedkeys/app"] {
            world.proxy.on(Match::path(path)).fault(fault.clone());
        }
        let error = world.kms.create_key(KeyConfig::new("app")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        world.proxy.clear();
    }
    assert_eq!(world.kms.describe_key(&key).await.unwrap().versions.len(), 1);
    assert_eq!(world.kms.create_key(KeyConfig::new("app")).await.unwrap_err().kind(), Conflict);
    world.proxy.on(Match::any()).fault(page(404));
    assert!(!world.kms.health_check().await.unwrap().healthy, "it is not the vault that answers");
}
