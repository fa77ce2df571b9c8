//! The transport suite passes on a client that keeps its promises, and sees each that is broken.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use vault_crypto_core::{KeyId, Operation};
use vault_testkit::MemoryKms;
use vault_testkit::conformance::Report;
use vault_testkit::conformance::transport::{self, CANARY, ServiceShape, TransportFixture};
use vault_testkit::proxy::{Answer, FaultProxy, Match};
use vault_testkit::tls::TestCa;

use super::proxy_kms::{DEADLINE, Flaw, RemoteKms, TOKEN};
use super::proxy_kms_server::serve;

const CERTIFICATES: [&str; 2] = [
    "A certificate of another name is `Unavailable` and says so.",
    "An expired certificate is `Unavailable` and says so.",
];

fn shape() -> ServiceShape {
    let said = |status| Answer::new(status).with_body(format!("message={CANARY}\n"));
    ServiceShape::new(DEADLINE, said(429), said(401))
        .with_retry_after(said(429).with_header("retry-after", "3"), Duration::from_secs(3))
        .with_failure(said(500))
        .with_failure(said(503))
        .with_mutation(Operation::CreateKey, Match::path("/create_key"))
        .with_mutation(Operation::RotateKey, Match::path("/rotate_key"))
        .with_mutation(Operation::ScheduleKeyDeletion, Match::path("/schedule_key_deletion"))
}

/// A client with `flaw` before a server that works, and the two keys it has.
async fn remote(flaw: Flaw) -> (Arc<RemoteKms>, Arc<FaultProxy>, [KeyId; 2]) {
    let memory = Arc::new(MemoryKms::new());
    let keys = [memory.add_key("a").unwrap(), memory.add_key("b").unwrap()];
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let upstream = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, memory));
    let ca = Arc::new(TestCa::new());
    // Handshakes cost more than all the rest, and only one flaw is about them.
    let proxy = match flaw {
        Flaw::None | Flaw::HidesTheCertificate => {
            FaultProxy::start_tls(upstream, &ca, &["kms.test"]).unwrap()
        }
        _ => FaultProxy::start(upstream).unwrap(),
    };
    let proxy = Arc::new(proxy);
    (Arc::new(RemoteKms::new(Arc::clone(&proxy), ca, flaw)), proxy, keys)
}

async fn report(flaw: Flaw, mixed: usize) -> Report {
    let (kms, proxy, [key, other]) = remote(flaw).await;
    let plain = !proxy.has_tls();
    let mut fixture = TransportFixture::new(kms.clone(), proxy, key, shape())
        .with_other_key(other)
        .with_admin(kms, "suite")
        .with_secret(TOKEN)
        .with_new_logins()
        .with_mixed_calls(mixed);
    for sentence in CERTIFICATES.into_iter().filter(|_| plain) {
        fixture = fixture.leaving_out(sentence);
    }
    transport::run_all(&fixture).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_keeps_its_promises_passes() {
    let report = report(Flaw::None, 1_000).await;
    report.assert_passed();
    assert_eq!((report.proved(), report.results().len()), (transport::CASES.len(), 20), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_case_is_left_out_unless_the_fixture_says_so() {
    const APPLIES: &str = "The service's own throttling is `Throttled`.";
    let (kms, proxy, [key, _]) = remote(Flaw::BelievesTheDate).await;
    let [wrong_name, expired] = CERTIFICATES;
    let said = |status| Answer::new(status).with_body(format!("message={CANARY}\n"));
    let shape = ServiceShape::new(DEADLINE, said(429), said(401))
        .with_failure(said(500))
        .with_mutation(Operation::CreateKey, Match::path("/create_key"));
    let fixture = TransportFixture::new(kms.clone(), proxy, key, shape)
        .with_admin(kms, "suite")
        .with_new_logins()
        .with_mixed_calls(64)
        .leaving_out(wrong_name)
        .leaving_out(APPLIES)
        .leaving_out("a sentence that nobody promised");
    let report = transport::run_all(&fixture).await;
    assert_eq!(
        report.not_applicable(),
        [(wrong_name, "the proxy speaks plain HTTP to this client")]
    );
    let (broken, told) = (report.broken(), report.to_string());
    for (sentence, why) in [
        (expired, "nobody said so beforehand: the proxy speaks plain HTTP"),
        (APPLIES, "was to be left out, and applies"),
        ("a sentence that nobody promised", "is no case"),
        ("Where the service says how long", "nobody said so beforehand: the service never says"),
        ("Another key's answer", "nobody said so beforehand: no second key"),
        ("A mutation whose answer", "the shape does not name the call of rotate_key"),
    ] {
        assert!(broken.iter().any(|broken| broken.starts_with(sentence)), "{sentence}\n{told}");
        assert!(told.contains(why), "{why}\n{told}");
    }
    assert_eq!(broken.len(), 7, "one is the flaw's own: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flaw_of_a_client_is_seen() {
    let flaws = [
        (Flaw::NoDeadline, "An answer that never comes"),
        (Flaw::NoDeadline, "An answer that comes byte by byte"),
        (Flaw::NoDeadline, "An answer later than the deadline"),
        (Flaw::ThrottledIsUnavailable, "The service's own throttling"),
        (Flaw::NoRetryAfter, "Where the service says how long"),
        (Flaw::FailuresAreInternal, "The service's own failures"),
        (Flaw::ResetsAreInternal, "A connection reset"),
        (Flaw::RefusedIsInternal, "A refused connection"),
        (Flaw::BelievesHalfAnswers, "An answer cut off"),
        (Flaw::BrokenIsInternal, "An answer cut off"),
        (Flaw::BrokenIsInternal, "Of many mixed calls"),
        (Flaw::BelievesAnyKey, "Another key's answer"),
        (Flaw::AnotherKeyIsInternal, "Another key's answer"),
        (Flaw::HidesTheOtherKey, "Another key's answer"),
        (Flaw::ShowsTheBody, "The service's own throttling"),
        (Flaw::ShowsTheToken, "Credentials refused for good"),
        (Flaw::LogsInForEver, "Credentials refused for good"),
        (Flaw::NeverLogsIn, "Credentials refused once"),
        (Flaw::BelievesAnybody, "A 400 or 404"),
        (Flaw::BelievesAnybody, "What something between answers to a creation"),
        (Flaw::RepeatsMutations, "What something between answers to a creation"),
        (Flaw::LimitsAreUnavailable, "A 413 is"),
        (Flaw::OnceIsForEver, "Credentials refused once"),
        (Flaw::HidesTheCertificate, "A certificate of another name"),
        (Flaw::HidesTheCertificate, "An expired certificate"),
        (Flaw::BelievesTheDate, "A service whose clock"),
        (Flaw::RepeatsMutations, "A mutation whose answer was lost"),
        (Flaw::NoDeadline, "Of many mixed calls"),
    ];
    let running: Vec<_> = flaws
        .iter()
        .map(|(flaw, _)| *flaw)
        .fold(Vec::new(), |mut all, flaw| {
            if !all.contains(&flaw) {
                all.push(flaw);
            }
            all
        })
        .into_iter()
        .map(|flaw| (flaw, tokio::spawn(report(flaw, 64))))
        .collect();
    for (flaw, report) in running {
        let report = report.await.unwrap();
        for (_, sentence) in flaws.iter().filter(|(of, _)| *of == flaw) {
            let seen = report.broken().iter().any(|broken| broken.starts_with(sentence));
            assert!(seen, "{flaw:?} is not seen in: {sentence}\n{report}");
        }
        let coarse = flaw != Flaw::OnceIsForEver && report.proved() < 5;
        assert!(!coarse, "a flaw so coarse that it proves nothing: {flaw:?}\n{report}");
    }
    for case in transport::CASES {
        let shown = flaws.iter().any(|(_, sentence)| case.sentence.starts_with(sentence));
        assert!(shown, "no flaw shows that this can fail: {case:?}");
    }
}
