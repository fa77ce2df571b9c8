//! The suites themselves: they pass on a KMS that keeps its promises, and see each broken one.

use std::collections::HashSet;
use std::sync::Arc;

use vault_crypto_core::{Capabilities, MemoryStorage};
use vault_testkit::conformance::{self, AdminFixture, AuditFixture, KmsFixture, StorageFixture};
use vault_testkit::{Faults, FaultyStorage, MemoryAudit, MemoryKms, VirtualClock};

fn fixture(kms: &Arc<MemoryKms>) -> KmsFixture {
    let (a, b) = (kms.add_key("a").unwrap(), kms.add_key("b").unwrap());
    let count = Arc::clone(kms);
    KmsFixture::new(kms.clone(), kms.clone(), a, b)
        .with_plaintext_count(move || count.plaintexts_handed_out())
}

#[test]
fn the_memory_kms_keeps_every_promise() {
    let kms = Arc::new(MemoryKms::new());
    let report = VirtualClock::new().run(conformance::kms::run_all(&fixture(&kms)));
    report.assert_passed();
    assert_eq!((report.proved(), report.results().len()), (24, 24), "{report}");

    let admin = AdminFixture::new(kms, "suite");
    let report = VirtualClock::new().run(conformance::admin::run_all(&admin));
    report.assert_passed();
    assert_eq!((report.proved(), report.results().len()), (19, 19), "{report}");
}

#[test]
fn a_lesser_service_keeps_what_it_declares_and_the_rest_says_why_it_does_not_apply() {
    let kms = Arc::new(MemoryKms::new().with_capabilities(Capabilities::none()));
    let report = VirtualClock::new().run(conformance::kms::run_all(&fixture(&kms)));
    report.assert_passed();
    let reasons: Vec<_> = report.not_applicable().into_iter().map(|(_, why)| why).collect();
    assert_eq!(
        reasons,
        [
            "verifies_version is not declared",
            "binds_scope is not declared",
            "server_side_rewrap is not declared",
            "random_bytes is not declared"
        ]
    );

    let admin = AdminFixture::new(kms, "suite");
    let report = VirtualClock::new().run(conformance::admin::run_all(&admin));
    report.assert_passed();
    assert_eq!(report.not_applicable().len(), 13, "{report}");
}

#[test]
fn the_memory_sink_keeps_its_promise() {
    let sink = Arc::new(MemoryAudit::new());
    let read = Arc::clone(&sink);
    let fixture = AuditFixture::new(sink, move || read.events());
    let report = pollster::block_on(conformance::audit::run_all(&fixture));
    report.assert_passed();
    assert_eq!(report.proved(), 1);
}

#[test]
fn the_memory_storage_keeps_every_promise_with_and_without_a_decorator() {
    let storage = Arc::new(MemoryStorage::new());
    let faults = Faults::new(Arc::new(VirtualClock::new()));
    let decorated = Arc::new(FaultyStorage::new(storage.clone(), faults));
    let fixture = StorageFixture::new(storage, decorated, "suite/");
    let report = pollster::block_on(conformance::storage::run_all(&fixture));
    report.assert_passed();
    assert_eq!((report.proved(), report.results().len()), (17, 18), "{report}");
    let reasons: Vec<_> = report.not_applicable().into_iter().map(|(_, why)| why).collect();
    assert_eq!(reasons, ["durable is not declared"]);
}

#[test]
fn a_sink_that_forgets_is_seen() {
    let fixture = AuditFixture::new(Arc::new(MemoryAudit::new()), Vec::new);
    let report = pollster::block_on(conformance::audit::run_all(&fixture));
    assert_eq!(report.broken().len(), 1);
}

#[test]
fn no_sentence_has_two_cases() {
    let sentences = conformance::sentences();
    assert_eq!(sentences.iter().collect::<HashSet<_>>().len(), sentences.len());
    assert_eq!(sentences.len(), 65);
}
