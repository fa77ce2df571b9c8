//! A network and a service that misbehave.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use vault_crypto_core::{Clock, ErrorKind, KmsProvider, Operation, SystemClock};
use vault_kms_aws::{AssumeRole, AwsKmsConfig, AwsKmsProvider};
use vault_testkit::conformance::transport::{self, CANARY, ServiceShape, TransportFixture};
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};
use vault_testkit::servers::LocalStack;
use vault_testkit::tls::TestCa;

use super::support::{DEADLINE, config, connect, context, fixed, login, new_key, on, proxied, sts};

/// As AWS words it.
fn refusal(status: u16, code: &str) -> Answer {
    Answer::json(status, format!(r#"{{"__type":"{code}","message":"{CANARY}"}}"#))
}

fn shape(deadline: Duration) -> ServiceShape {
    let throttled = refusal(400, "ThrottlingException");
    let waiting = throttled.clone().with_header("retry-after", "7");
    ServiceShape::new(deadline, throttled, refusal(400, "ExpiredTokenException"))
        .with_retry_after(waiting, Duration::from_secs(7))
        .with_failure(refusal(500, "KMSInternalException"))
        .with_failure(refusal(503, "DependencyTimeoutException"))
        .with_failure(Answer::new(500).with_body(CANARY))
        .with_failure(Answer::new(503).with_body(CANARY))
        .with_mutation(Operation::CreateKey, on("CreateKey"))
        .with_mutation(Operation::RotateKey, on("RotateKeyOnDemand"))
        .with_mutation(Operation::ScheduleKeyDeletion, on("ScheduleKeyDeletion"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_about_the_transport_holds_over_tls() {
    let (ca, deadline) = (TestCa::new(), Duration::from_secs(3));
    let proxy =
        Arc::new(FaultProxy::start_tls(LocalStack::shared().url().as_str(), &ca, &[]).unwrap());
    let settings = config(&proxy.url()).with_tls_roots(ca.ca_pem());
    let settings = settings
        .with_connect_timeout(deadline)
        .with_read_timeout(deadline)
        .with_call_timeout(deadline);
    let kms = Arc::new(AwsKmsProvider::connect(settings).await.unwrap());
    let (key, other) = (new_key(&kms).await, new_key(&kms).await);
    let fixture = TransportFixture::new(kms.clone(), proxy, key, shape(deadline))
        .with_other_key(other)
        .with_admin(kms, "it-transport")
        .with_secret(login().secret_access_key);
    let report = transport::run_all(&fixture).await;
    report.assert_passed();
    assert_eq!(report.proved(), transport::CASES.len(), "{report}");
}

/// Each code that AWS documents for keys in a state, and what a caller is told.
#[tokio::test]
async fn the_services_codes_have_their_kinds() {
    let (kms, key, proxy) = proxied().await;
    let codes = [
        (400, "AccessDeniedException", ErrorKind::PermissionDenied),
        (400, "UnrecognizedClientException", ErrorKind::PermissionDenied),
        (400, "InvalidSignatureException", ErrorKind::PermissionDenied),
        (403, "SomethingNew", ErrorKind::PermissionDenied),
        (400, "NotFoundException", ErrorKind::KeyNotFound),
        (400, "DisabledException", ErrorKind::KeyUnusable),
        (400, "KMSInvalidStateException", ErrorKind::KeyUnusable),
        (400, "InvalidKeyUsageException", ErrorKind::KeyUnusable),
        (400, "LimitExceededException", ErrorKind::LimitExceeded),
        (400, "ValidationException", ErrorKind::InvalidInput),
        (500, "KeyUnavailableException", ErrorKind::Unavailable),
        (429, "SomethingNew", ErrorKind::Throttled),
        (501, "InternalFailure", ErrorKind::Unsupported),
        (400, "SomethingNew", ErrorKind::InvalidInput),
        (400, "com.amazonaws.kms#DisabledException", ErrorKind::KeyUnusable),
        (413, "ValidationException", ErrorKind::LimitExceeded),
        (408, "ValidationException", ErrorKind::TimedOut),
        (504, "ServiceUnavailableException", ErrorKind::TimedOut),
    ];
    for (status, code, kind) in codes {
        proxy.on(on("GenerateDataKey")).fault(HttpFault::Answer(refusal(status, code)));
        let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
        assert_eq!((error.kind(), error.key_id()), (kind, Some(&key)), "{code}");
        assert!(!format!("{error} {error:?}").contains(CANARY), "{code}");
        // A code of the service's that is not in our table is somebody else's text.
        assert!(!format!("{error} {error:?}").contains("SomethingNew"), "{code}");
    }
    for code in ["InvalidCiphertextException", "IncorrectKeyException"] {
        proxy.on(on("Decrypt")).fault(HttpFault::Answer(refusal(400, code)));
        let error = kms.decrypt(&key, &[7; 100], &context().scope).await.unwrap_err();
        assert_eq!((error.kind(), error.detail()), (ErrorKind::AuthenticationFailed, None));
    }
}

#[tokio::test]
async fn a_refusal_in_words_that_are_not_the_services_is_somebody_elses() {
    let (kms, key, proxy) = proxied().await;
    for (status, kind) in [
        (400, ErrorKind::Unavailable),
        (403, ErrorKind::PermissionDenied),
        (404, ErrorKind::Unavailable),
        (408, ErrorKind::TimedOut),
        (413, ErrorKind::LimitExceeded),
        (429, ErrorKind::Throttled),
        (504, ErrorKind::TimedOut),
    ] {
        let page = Answer::new(status).with_header("content-type", "text/html");
        let page = page.with_body(format!("<html><body>{CANARY}</body></html>"));
        proxy.on(on("Decrypt")).fault(HttpFault::Answer(page));
        let error = kms.decrypt(&key, &[7; 100], &context().scope).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
    }
    // A wait that nobody means is not believed.
    let slower = refusal(400, "ThrottlingException").with_header("retry-after", "999999999999");
    proxy.on(on("Decrypt")).fault(HttpFault::Answer(slower));
    let error = kms.decrypt(&key, &[7; 100], &context().scope).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(86_400)));
}

#[tokio::test]
async fn one_connection_serves_all_calls_that_follow_each_other() {
    let (kms, key, proxy) = proxied().await;
    for _ in 0..20 {
        kms.generate_data_key(&key, &context()).await.unwrap();
    }
    assert!(proxy.calls().len() > 20);
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn the_services_clock_and_health_are_told() {
    let (kms, _, proxy) = proxied().await;
    let health = kms.health_check().await.unwrap();
    assert!(health.healthy && health.latency.is_some(), "{health:?}");
    let told = kms.server_time().await.unwrap().unwrap();
    let now = SystemClock::new().now();
    let apart =
        |a: SystemTime, b: SystemTime| a.duration_since(b).unwrap_or_else(|error| error.duration());
    assert!(apart(told, now) < Duration::from_secs(60), "{told:?}");

    let ahead = now + Duration::from_secs(3_600);
    proxy.on(on("ListKeys")).fault(HttpFault::date(ahead));
    assert!(apart(kms.server_time().await.unwrap().unwrap(), ahead) < Duration::from_secs(2));
    // Whoever is refused for the time of their signature still learns the time.
    let refused = refusal(400, "InvalidSignatureException")
        .with_header("date", "Thu, 19 Mar 2026 15:31:14 GMT");
    proxy.on(on("ListKeys")).times(2).fault(HttpFault::Answer(refused));
    assert!(kms.server_time().await.unwrap().is_some());
    let health = kms.health_check().await.unwrap();
    assert!(!health.healthy && health.message.contains("clock"), "{health:?}");

    proxy.on(on("ListKeys")).fault(HttpFault::Answer(refusal(400, "AccessDeniedException")));
    assert!(kms.health_check().await.unwrap().healthy, "it answers, and knows who asks");
    proxy.stop();
    assert!(!kms.health_check().await.unwrap().healthy);
    assert_eq!(kms.server_time().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn rights_that_are_missing_leave_fields_empty() {
    let (kms, key, proxy) = proxied().await;
    let denied = || HttpFault::Answer(refusal(400, "AccessDeniedException"));
    for operation in ["GetKeyRotationStatus", "ListKeyRotations", "ListResourceTags"] {
        proxy.on(on(operation)).fault(denied());
    }
    let info = kms.describe_key(&key).await.unwrap();
    assert_eq!((info.rotation_period, info.rotated_at), (None, None));
    assert!(info.tags.is_empty() && info.created_at.is_some());
    proxy.on(on("DescribeKey")).fault(denied());
    assert_eq!(kms.describe_key(&key).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    // Only a refusal is taken for an answer.
    proxy.on(on("ListResourceTags")).fault(HttpFault::Answer(refusal(400, "ThrottlingException")));
    assert_eq!(kms.describe_key(&key).await.unwrap_err().kind(), ErrorKind::Throttled);
}

#[tokio::test]
async fn settings_that_can_never_work_are_refused() {
    let url = LocalStack::shared().url();
    let settings = || config(&url);
    let broken: [AwsKmsConfig; 7] = [
        settings().with_tls_roots("not a certificate"),
        settings().with_tls_roots("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        settings().with_endpoint("http://kms.example"),
        settings().with_endpoint("not a url"),
        settings().with_region("us east\n1"),
        settings().with_proxy("not a url"),
        settings().with_call_timeout(Duration::ZERO),
    ];
    for broken in broken {
        let shown = format!("{broken:?}");
        let outcome = AwsKmsProvider::connect(broken).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput, "{shown}");
    }
}

/// Blanks may follow JSON, so that but for its length the answer is right.
#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let (kms, key, proxy) = proxied().await;
    let blanks = |megabytes: usize| {
        HttpFault::edit(move |body| body.resize(body.len() + (megabytes << 20), b' '))
    };
    proxy.on(on("GenerateDataKey")).fault(blanks(4));
    kms.generate_data_key(&key, &context()).await.unwrap();
    proxy.on(on("GenerateDataKey")).fault(blanks(8));
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    // That of STS neither.
    let role = AssumeRole::new("arn:aws:iam::000000000000:role/app");
    let settings = config(&proxy.url()).with_credentials(fixed(&login()).assume_role(role));
    let kms = AwsKmsProvider::connect(settings).await.unwrap();
    proxy.on(sts()).fault(blanks(8));
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    kms.generate_data_key(&key, &context()).await.unwrap();
}

#[tokio::test]
async fn time_outs_without_end_work_like_long_ones() {
    let (_, key, _) = proxied().await;
    let forever = Duration::MAX;
    let settings = config(&LocalStack::shared().url()).with_pool(8, forever);
    let settings = settings.with_connect_timeout(forever).with_read_timeout(forever);
    let kms = AwsKmsProvider::connect(settings.with_call_timeout(forever)).await.unwrap();
    for _ in 0..2 {
        kms.generate_data_key(&key, &context()).await.unwrap();
    }
}

#[tokio::test]
async fn an_unknown_authority_and_a_wrong_port_are_unavailable() {
    let ca = TestCa::new();
    let proxy = FaultProxy::start_tls(LocalStack::shared().url().as_str(), &ca, &[]).unwrap();
    let kms = AwsKmsProvider::connect(config(&proxy.url()).with_tls_roots(TestCa::new().ca_pem()))
        .await
        .unwrap();
    let error = kms.describe_key(&"alias/x".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("certificate"), "{error}");
    // Plain HTTP where TLS is asked for.
    let plain = LocalStack::shared().url().replace("http://", "https://");
    let kms = AwsKmsProvider::connect(config(&plain).with_tls_roots(ca.ca_pem())).await.unwrap();
    let error = kms.describe_key(&"alias/x".into()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::KeyNotFound), "{error}");
}

#[tokio::test]
async fn a_description_has_one_deadline_however_many_answers_it_is_made_of() {
    let (kms, key, proxy) = proxied().await;
    let slow = DEADLINE * 2 / 3;
    for operation in ["DescribeKey", "GetKeyRotationStatus", "ListKeyRotations"] {
        proxy.on(on(operation)).fault(HttpFault::Latency(slow));
    }
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    assert_eq!(kms.describe_key(&key).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(clock.monotonic() - begun < DEADLINE + Duration::from_secs(2));
    let again = connect(&proxy.url()).await;
    proxy.clear();
    again.describe_key(&key).await.unwrap();
}

#[tokio::test]
async fn calls_that_are_given_up_at_any_moment_leave_the_provider_as_it_was() {
    let (kms, key, proxy) = proxied().await;
    let context = context();
    let data_key = kms.generate_data_key(&key, &context).await.unwrap();
    proxy.on(Match::any()).always().fault(HttpFault::Jitter(Duration::from_millis(40)));
    let given_up = (1..=60).map(|limit| {
        let (kms, data_key, context) = (&kms, &data_key, &context);
        async move {
            let call = kms.decrypt_data_key(data_key.wrapped(), context);
            match tokio::time::timeout(Duration::from_millis(limit), call).await {
                Ok(opened) => assert_eq!(opened.unwrap(), *data_key.plaintext()),
                Err(_) => return 1,
            }
            0
        }
    });
    let given_up: u32 = join_all(given_up).await.into_iter().sum();
    assert!(given_up > 0);
    proxy.clear();
    let calls = (0..20).map(|_| kms.decrypt_data_key(data_key.wrapped(), &context));
    for opened in join_all(calls).await {
        assert_eq!(opened.unwrap(), *data_key.plaintext());
    }
}
