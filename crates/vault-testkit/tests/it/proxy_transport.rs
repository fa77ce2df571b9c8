//! The transport suite passes on a client that keeps its promises, and sees each that is broken.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use vault_crypto_core::Operation;
use vault_testkit::MemoryKms;
use vault_testkit::conformance::Report;
use vault_testkit::conformance::transport::{self, CANARY, ServiceShape, TransportFixture};
use vault_testkit::proxy::{Answer, FaultProxy, Match};
use vault_testkit::tls::TestCa;

use super::proxy_kms::{DEADLINE, Flaw, RemoteKms, TOKEN, serve};

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

async fn report(flaw: Flaw, mixed: usize) -> Report {
    let memory = Arc::new(MemoryKms::new());
    let (key, other) = (memory.add_key("a").unwrap(), memory.add_key("b").unwrap());
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
    let kms = Arc::new(RemoteKms::new(Arc::clone(&proxy), ca, flaw));
    let fixture = TransportFixture::new(kms.clone(), proxy, key, shape())
        .with_other_key(other)
        .with_admin(kms, "suite")
        .with_secret(TOKEN)
        .with_mixed_calls(mixed);
    transport::run_all(&fixture).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_keeps_its_promises_passes() {
    let report = report(Flaw::None, 1_000).await;
    report.assert_passed();
    assert_eq!((report.proved(), report.results().len()), (17, 17), "{report}");
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
        (Flaw::BelievesAnyKey, "Another key's answer"),
        (Flaw::ShowsTheBody, "The service's own throttling"),
        (Flaw::ShowsTheToken, "Credentials refused for good"),
        (Flaw::LogsInForEver, "Credentials refused for good"),
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
