//! What the fake promises beyond the contract.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{
    Capabilities, ErrorKind, KmsAdmin, KmsProvider, Operation, Scope, WrapContext,
};
use vault_testkit::{FailingRandom, MemoryKms, SeededRandom, VirtualClock};

use super::support::generate;

#[test]
fn the_same_seed_makes_the_same_bytes() {
    let bytes = || {
        let kms = MemoryKms::new().with_store("fixed").with_random(Arc::new(SeededRandom::new(7)));
        let key = kms.add_key("a").unwrap();
        pollster::block_on(generate(&kms, &key)).unwrap().wrapped().clone()
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn an_impostor_store_has_the_same_ids_and_other_keys() {
    let (real, impostor) = (MemoryKms::new().with_store("one"), MemoryKms::new().with_store("one"));
    let key = real.add_key("a").unwrap();
    assert_eq!(impostor.add_key("a").unwrap(), key);
    let wrapped = pollster::block_on(generate(&real, &key)).unwrap().wrapped().clone();
    let context = WrapContext::data_key(Scope::empty());
    let error = pollster::block_on(impostor.decrypt_data_key(&wrapped, &context)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
}

#[test]
fn a_key_is_gone_when_its_deletion_window_ends() {
    let clock = VirtualClock::new();
    let kms = MemoryKms::new().with_clock(Arc::new(clock.clone()));
    let key = kms.add_key("a").unwrap();
    pollster::block_on(kms.schedule_key_deletion(&key, 7)).unwrap();
    clock.advance(Duration::from_secs(7 * 86_400 - 1));
    assert!(pollster::block_on(kms.describe_key(&key)).is_ok());
    clock.advance(Duration::from_secs(1));
    let error = pollster::block_on(kms.describe_key(&key)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
}

#[test]
fn calls_and_plaintexts_are_counted() {
    let kms = MemoryKms::new();
    let key = kms.add_key("a").unwrap();
    let data_key = pollster::block_on(generate(&kms, &key)).unwrap();
    let context = WrapContext::data_key(Scope::empty());
    pollster::block_on(kms.rewrap_data_key(data_key.wrapped(), &key, &context)).unwrap();
    assert_eq!(kms.plaintexts_handed_out(), 1);
    pollster::block_on(kms.decrypt_data_key(data_key.wrapped(), &context)).unwrap();
    assert_eq!(kms.plaintexts_handed_out(), 2);
    assert_eq!(kms.calls().of(Operation::RewrapDataKey), 1);
    assert_eq!(kms.calls().total(), 3);
}

#[test]
fn a_failing_generator_makes_no_key() {
    let kms = MemoryKms::new().with_random(Arc::new(FailingRandom::new()));
    assert_eq!(kms.add_key("a").unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn a_lesser_service_refuses_what_it_does_not_declare() {
    let kms = MemoryKms::new().with_capabilities(Capabilities::none());
    let key = kms.add_key("a").unwrap();
    let error = pollster::block_on(kms.schedule_key_deletion(&key, 30)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
