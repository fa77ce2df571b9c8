//! The envelope against the shared contract of `EncryptionProvider`.

use std::sync::Arc;

use vault_envelope::EnvelopeEncryption;
use vault_testkit::MemoryKms;
use vault_testkit::conformance::{ProviderFixture, provider};

use super::support::block_on;

#[test]
fn the_envelope_keeps_every_promise_of_a_provider() {
    let kms = Arc::new(MemoryKms::new().with_store("shared"));
    let impostor = Arc::new(MemoryKms::new().with_store("shared"));
    let key = kms.add_key("app").unwrap();
    impostor.add_key("app").unwrap();
    let stranger = kms.add_key("stranger").unwrap();
    let calls = kms.clone();
    let fixture = ProviderFixture::new(
        Arc::new(EnvelopeEncryption::new(kms.clone(), key.clone())),
        Arc::new(EnvelopeEncryption::new(impostor, key)),
        Arc::new(EnvelopeEncryption::new(kms, stranger)),
        move || calls.calls().total(),
    );
    let report = block_on(provider::run_all(&fixture));
    report.assert_passed();
    assert_eq!(report.proved(), provider::CASES.len());
}
