//! Nothing in `vault-crypto-core` or in here prints a key, a plaintext, or a context's values.

use std::sync::Arc;

use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend, AeadKey};
use vault_crypto_core::layers::{
    AuditLayer, CircuitBreakerLayer, Layered, LayeredKms, MetricsLayer, RateLimitLayer, RetryLayer,
    TimeoutLayer,
};
use vault_crypto_core::{
    CryptoError, EncryptedData, EncryptionContext, ErrorKind, KmsProvider, Operation, Scope,
    SecureBytes, SecureString, SystemRandom, WrapContext,
};
use vault_testkit::redaction::SecretScan;
use vault_testkit::{MemoryAudit, SeededRandom};

use super::support::{Bench, generate};

const SECRET: &str = "a plaintext that nobody may see";

#[test]
fn vocabulary_types_print_no_secret() {
    let scan = SecretScan::new(SECRET.as_bytes());
    let bytes = SecureBytes::new(SECRET.as_bytes().to_vec());
    let context = EncryptionContext::from([("row", SECRET)]);
    let scope = Scope::new([("tenant", SECRET)]).unwrap();
    scan.assert_absent_from_debug("SecureBytes", &bytes);
    scan.assert_absent_from_debug("Option<SecureBytes>", &Some(&bytes));
    scan.assert_absent_from_debug("SecureString", &SecureString::new(SECRET));
    scan.assert_absent_from_debug("EncryptionContext", &context);
    scan.assert_absent_from_debug("Scope", &scope);
    scan.assert_absent_from_debug("WrapContext", &WrapContext::data_key(scope));
    let sealed = EncryptedData::from_bytes(SECRET.as_bytes().to_vec());
    scan.assert_absent_from_debug("EncryptedData", &sealed);
}

#[test]
fn a_failed_authentication_keeps_neither_detail_nor_source() {
    let scan = SecretScan::new(SECRET.as_bytes());
    let error = CryptoError::new(ErrorKind::AuthenticationFailed, Operation::Open)
        .with_detail(SECRET)
        .with_source(SECRET);
    scan.assert_absent_from_error("CryptoError", &error);
}

#[test]
fn keys_print_no_bytes() {
    let bench = Bench::new();
    let data_key = bench.clock.run(generate(bench.memory.as_ref(), &bench.key)).unwrap();
    let scan = SecretScan::new(data_key.plaintext().as_slice());
    assert!(scan.find(&format!("{:?}", data_key.plaintext().as_slice())).is_some());
    scan.assert_absent_from_debug("DataKey", &data_key);
    scan.assert_absent_from_debug("MemoryKms", &bench.memory);
    let material = [0x5a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].repeat(2);
    let scan = SecretScan::new(&material);
    let key = AeadKey::new(AeadAlgorithm::Aes256Gcm, AeadBackend::RustCrypto, &material).unwrap();
    scan.assert_absent_from_debug("AeadKey", &key);
}

#[test]
fn errors_of_wrong_keys_scopes_and_bytes_print_no_secret() {
    let bench = Bench::new();
    let data_key = bench.clock.run(generate(bench.memory.as_ref(), &bench.key)).unwrap();
    let scan = SecretScan::new(data_key.plaintext().as_slice());
    let text = SecretScan::new(SECRET.as_bytes());
    let other = WrapContext::data_key(Scope::new([("tenant", SECRET)]).unwrap());
    let mut altered = data_key.wrapped().clone();
    altered.bytes.reverse();
    for (wrapped, context) in
        [(data_key.wrapped(), &other), (&altered, &WrapContext::data_key(Scope::empty()))]
    {
        let opened = bench.clock.run(bench.faulty.decrypt_data_key(wrapped, context));
        let error = opened.unwrap_err();
        scan.assert_absent_from_error("decrypt_data_key", &error);
        text.assert_absent_from_error("decrypt_data_key", &error);
    }
    let long = SecureBytes::new(SECRET.as_bytes().repeat(200));
    let context = WrapContext::data_key(Scope::empty());
    let wrapped = bench.clock.run(bench.faulty.wrap_data_key(&bench.key, &long, &context));
    text.assert_absent_from_error("wrap_data_key", &wrapped.unwrap_err());
}

#[test]
fn layers_print_no_secret_of_the_kms_inside() {
    let bench = Bench::new();
    // The fake's keys come from this seed, so their bytes are known here.
    let kms = vault_testkit::MemoryKms::new().with_random(Arc::new(SeededRandom::new(7)));
    let mut material = [0; 32];
    vault_crypto_core::RandomSource::fill(&SeededRandom::new(7), &mut material).unwrap();
    kms.add_key("a").unwrap();
    let scan = SecretScan::new(&material);
    let kms: Arc<dyn KmsProvider> = Arc::new(kms);
    let clock = bench.clock();
    let timeout = TimeoutLayer::new(std::time::Duration::from_secs(1), Arc::clone(&clock));
    let stack = LayeredKms::new(Arc::clone(&kms))
        .with_timeout(timeout.clone())
        .with_retry(RetryLayer::new(Arc::clone(&clock), Arc::new(SystemRandom::new())))
        .with_rate_limit(RateLimitLayer::new(1, 1, Arc::clone(&clock)).unwrap())
        .with_circuit_breaker(CircuitBreakerLayer::new(Arc::clone(&clock)))
        .with_metrics(MetricsLayer::new(Arc::clone(&clock)))
        .with_audit(AuditLayer::new(Arc::new(MemoryAudit::new()), clock));
    scan.assert_absent_from_debug("LayeredKms", &stack);
    scan.assert_absent_from_debug("Layered", &Layered::new(kms, timeout));
    scan.assert_absent_from_debug("Faults", &bench.faults);
}
