//! No public type of the core or of this crate prints a key, a plaintext, a password or the value of
//! a context or scope, nor does an error or any of its sources. A type that is added later has to
//! come in here, or into the list of those that hold nothing secret.

use std::any::type_name;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend, AeadKey};
use vault_crypto_core::engine::CryptoEngine;
use vault_crypto_core::header::{Suite, parse};
use vault_crypto_core::kdf::Argon2Params;
use vault_crypto_core::manager::{EncryptionAlgorithm, EncryptionManager, KeyDerivationFunction};
use vault_crypto_core::xaes::XaesKey;
use vault_crypto_core::{
    BufferedRandom, CryptoError, DataKey, EncryptedData, EncryptionContext, KeyConfig, KeyId,
    KeyInfo, KeyState, KeyVersion, KmsProvider as _, RandomSource as _, Result, Scope, SecureBytes,
    SecureString, WrapContext, WrappedKey,
};
use vault_envelope::hazmat::Body;
use vault_envelope::{
    AllowedKeys, Budget, EnvelopeBuilder, EnvelopeEncryption, Padding, Recipient, Recipients,
    Rewrapped, SlotSelector,
};
use vault_testkit::redaction::SecretScan;

use super::catalogue::{FixedKms, KEY_ID};
use super::support::block_on;

mod kept;

const PLAINTEXT: &[u8] = b"4111 1111 1111 1111, a card that nobody may see";
const PASSWORD: &str = "correct horse battery staple";
const VALUE: &str = "row 8812 of the customer";
/// Not repeated anywhere, so that any eight bytes of it are the key's.
const DATA_KEY: [u8; 32] = [
    0x6d, 0xc1, 0x0f, 0x93, 0xe8, 0x27, 0x5a, 0xb4, 0x3c, 0xf0, 0x19, 0x82, 0xd7, 0x4e, 0xa5, 0x6b,
    0x01, 0xfc, 0x38, 0x95, 0xee, 0x50, 0xb9, 0x77, 0x2a, 0xc6, 0x8d, 0x13, 0x64, 0xdb, 0x9f, 0x40,
];

/// Types that hold no bytes of anybody: numbers, names of the format, settings.
const NOTHING_SECRET: &[&str] = &[
    "AeadAlgorithm",
    "AeadBackend",
    "Argon2Params",
    "Binding",
    "BranchStats",
    "CachePolicy",
    "CacheStats",
    "Capabilities",
    "EncryptionAlgorithm",
    "Expected",
    "HashAlgorithm",
    "HealthStatus",
    "KdfParams",
    "KeyDerivationFunction",
    "KeyRotationResult",
    "KeySpec",
    "KeyState",
    "KeyUsage",
    "KeyVersionInfo",
    "LockPolicy",
    "Padding",
    "PassphraseCost",
    "Pbkdf2Params",
    "PoolUsage",
    "Prefix",
    "RangePlan",
    "RotateOptions",
    "ScryptParams",
    "Shape",
    "SlotKind",
    "StorageCapabilities",
    "StorageVersion",
    "Suite",
    "SyntheticObject",
    "SystemClock",
    "SystemRandom",
    "Workers",
    "WrapKind",
];

/// Types of the layers, which the tests of `vault-testkit` print, and those of `key_pairs.rs`.
const ELSEWHERE: &[&str] = &[
    "Passphrase",
    "PrivateKey",
    "Producer",
    "PublicKey",
    "Recipient",
    "Attempt",
    "AuditEvent",
    "AuditLayer",
    "Call",
    "CircuitBreakerLayer",
    "CircuitState",
    "KmsMetrics",
    "Layered",
    "LayeredKms",
    "MetricsLayer",
    "OperationMetrics",
    "RateLimitLayer",
    "RetryLayer",
    "TimeoutLayer",
];

/// Prints values, looks for every secret, and remembers which types it saw.
struct Printer {
    secrets: Vec<(&'static str, SecretScan)>,
    seen: BTreeSet<String>,
}

impl Printer {
    fn new() -> Self {
        let mut secrets = vec![
            ("the plaintext", SecretScan::new(PLAINTEXT)),
            ("a password", SecretScan::new(PASSWORD.as_bytes())),
            ("a value", SecretScan::new(VALUE.as_bytes())),
            ("the data key", SecretScan::new(&DATA_KEY)),
        ];
        let suites = [Suite::Cobblestone256, Suite::ChunkedChaCha20Poly1305, Suite::KcXaes256Gcm];
        for suite in suites {
            let key = secret().body_key(suite);
            secrets.push(("a body key", SecretScan::new(key.as_slice())));
        }
        Self { secrets, seen: BTreeSet::new() }
    }

    fn print<T: Debug>(&mut self, value: &T) {
        let name = type_name::<T>().split('<').next().unwrap_or_default();
        let name = name.rsplit("::").next().unwrap_or_default();
        self.seen.insert(name.to_owned());
        for (what, scan) in &self.secrets {
            scan.assert_absent_from_debug(&format!("{name}, {what},"), value);
            scan.assert_absent_from_debug(&format!("Option<{name}>, {what},"), &Some(value));
        }
    }

    fn error<T>(&mut self, result: Result<T>) {
        let error = result.err().expect("this call fails");
        self.print(&error);
        for (what, scan) in &self.secrets {
            scan.assert_absent_from_error(&format!("{error:?}, {what},"), &error);
        }
    }

    fn io_error<T>(&mut self, result: std::io::Result<T>) {
        let error = result.err().expect("this call fails");
        for (what, scan) in &self.secrets {
            scan.assert_absent_from_error(&format!("an I/O error, {what},"), &error);
        }
    }
}

fn secret() -> vault_crypto_core::derive::DataKeySecret {
    vault_crypto_core::derive::DataKeySecret::new(&SecureBytes::new(DATA_KEY.to_vec())).unwrap()
}

fn context() -> EncryptionContext {
    EncryptionContext::from([("row", VALUE)])
}

fn scope() -> Scope {
    Scope::new([("tenant", VALUE)]).unwrap()
}

fn builder() -> EnvelopeBuilder {
    let kms = Arc::new(FixedKms::new(DATA_KEY));
    EnvelopeEncryption::builder(kms, KEY_ID).scope([("tenant", VALUE)]).without_stored_scope()
}

fn envelope() -> EnvelopeEncryption {
    builder().build().unwrap()
}

/// All that this test prints; the names of the types it saw.
fn print_everything() -> BTreeSet<String> {
    let mut printer = Printer::new();
    print_vocabulary(&mut printer);
    print_primitives(&mut printer);
    print_headers(&mut printer);
    print_records(&mut printer);
    print_streams(&mut printer);
    print_async_streams(&mut printer);
    kept::print_pool(&mut printer);
    kept::print_storage(&mut printer);
    kept::print_branches(&mut printer);
    kept::print_objects(&mut printer);
    kept::print_byte_streams(&mut printer);
    print_errors(&mut printer);
    printer.seen
}

#[test]
fn nothing_public_prints_a_secret_and_every_public_type_was_looked_at() {
    let seen = print_everything();
    let all = public_types();
    let mut listed = NOTHING_SECRET.iter().chain(ELSEWHERE);
    assert!(listed.all(|name| all.contains(*name)), "a listed type is no longer there");
    for public in all {
        let listed = NOTHING_SECRET.contains(&&*public) || ELSEWHERE.contains(&&*public);
        assert!(seen.contains(&public) || listed, "print {public} in this test");
    }
}

/// Names of public types, from the sources of both crates.
fn public_types() -> BTreeSet<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    let mut folders = vec![here.join("src"), here.join("../vault-crypto-core/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let declared = text.lines().filter_map(|line| {
                line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))
            });
            let name =
                |rest: &str| rest.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned);
            names.extend(declared.filter_map(name));
        }
    }
    assert!(names.len() > 60, "only {} types were found", names.len());
    names
}

fn print_vocabulary(printer: &mut Printer) {
    let key_id = KeyId::new(KEY_ID);
    let wrapped = WrappedKey::new(vec![1; 40], key_id.clone(), KeyVersion::from(1));
    printer.print(&SecureBytes::new(PLAINTEXT.to_vec()));
    printer.print(&SecureString::new(PASSWORD));
    printer.print(&DataKey::new(SecureBytes::new(DATA_KEY.to_vec()), wrapped.clone()).unwrap());
    printer.print(&wrapped);
    printer.print(&EncryptedData::from_bytes(PLAINTEXT.to_vec()));
    printer.print(&context());
    printer.print(&scope());
    printer.print(&WrapContext::data_key(scope()));
    printer.print(&KeyInfo::new(key_id.clone(), KeyState::Enabled));
    printer.print(&KeyConfig::new("orders"));
    printer.print(&key_id);
    printer.print(&KeyVersion::from(1));
    let random = BufferedRandom::new();
    let nonce = random.nonce(std::time::Duration::ZERO).unwrap();
    // What is left in its buffer is unknown; what it gave out may not stand there any longer.
    SecretScan::new(&nonce).assert_absent_from_debug("BufferedRandom", &random);
    printer.print(&random);
}

fn print_primitives(printer: &mut Printer) {
    for backend in AeadBackend::available() {
        let key = AeadKey::new(AeadAlgorithm::Aes256Gcm, *backend, &DATA_KEY).unwrap();
        printer.print(&key);
        printer.print(&XaesKey::new(&DATA_KEY, *backend));
    }
    printer.print(&secret());
    printer.print(&CryptoEngine::new());
    let weak = Argon2Params::new(1_024, 1, 1);
    let manager =
        EncryptionManager::new(EncryptionAlgorithm::Aes256Gcm, KeyDerivationFunction::Argon2id)
            .with_password_params(weak);
    printer.print(&manager);
    let at = std::time::SystemTime::UNIX_EPOCH;
    let material = SecureBytes::new(DATA_KEY.to_vec());
    let key = vault_crypto_core::manager::EncryptionKey::import(
        "orders",
        1,
        EncryptionAlgorithm::Aes256Gcm,
        material,
        at,
    )
    .unwrap();
    printer.print(&key);
    printer.print(key.origin());
    let content = manager.encrypt_aes256(PLAINTEXT, &key).unwrap();
    printer.print(&content);
    let other = manager.generate_key("other").unwrap();
    printer.error(manager.decrypt_aes256(&content, &other));
    let hash = manager.hash_password(PASSWORD).unwrap();
    for (what, scan) in &printer.secrets {
        scan.assert_absent(what, &hash);
    }
    printer.error(manager.verify_password(PASSWORD, PASSWORD));
}

fn print_headers(printer: &mut Printer) {
    let sealed = block_on(envelope().encrypt(PLAINTEXT, &context())).unwrap();
    let stored = builder_with_stored_pairs();
    let sealed_with_scope = block_on(stored.encrypt(PLAINTEXT, &context())).unwrap();
    for message in [&sealed, &sealed_with_scope] {
        let parsed = parse(message.as_bytes()).unwrap();
        printer.print(&parsed);
        printer.print(&parsed.header);
        printer.print(&parsed.header.slots[0]);
        parsed.header.extensions.iter().for_each(|extension| printer.print(extension));
    }
}

/// What is stored in a header is no secret: here the scope is another one.
fn builder_with_stored_pairs() -> EnvelopeEncryption {
    let kms = Arc::new(FixedKms::new(DATA_KEY));
    EnvelopeEncryption::builder(kms, KEY_ID).scope([("tenant", "acme")]).build().unwrap()
}

fn print_records(printer: &mut Printer) {
    let envelope = envelope();
    printer.print(&builder());
    printer.print(&envelope);
    printer.print(&Budget::default());
    block_on(envelope.encrypt(PLAINTEXT, &context())).unwrap();
    printer.print(&envelope.cache());
    printer.print(&vault_envelope::Invalidation::Scope(scope()));
    let kms = Arc::new(FixedKms::new(DATA_KEY));
    printer.print(&AllowedKeys::none().key(kms.clone(), KEY_ID).any_key_matching(kms, |_| true));
    let kms = Arc::new(FixedKms::new(DATA_KEY));
    printer.print(&Recipients::all([Recipient::kms(kms, KEY_ID)]));
    printer.print(&SlotSelector::key_id(KEY_ID));
    let sealing = block_on(envelope.sealing_key()).unwrap();
    printer.print(&sealing);
    let sealed = sealing.seal(PLAINTEXT, &context()).unwrap();
    printer.print(&sealed);
    let opening = block_on(envelope.opening_key(&sealed)).unwrap();
    printer.print(&opening);
    printer.print(opening.opened_by());
    printer.print(&opening.open(&sealed, &context()).unwrap());
    let stored = block_on(envelope.create_stored_key()).unwrap();
    printer.print(&stored);
    printer.print(&stored.seal(PLAINTEXT, &context()).unwrap());
    printer.print(&Rewrapped::Changed(sealed));
    let suites = [Suite::Cobblestone256, Suite::KcXaes256Gcm];
    suites.iter().for_each(|suite| printer.print(&Body::of_suite(&secret(), *suite, None)));
}

fn print_streams(printer: &mut Printer) {
    let envelope = envelope();
    let sealer = block_on(envelope.seal_stream(&context(), None)).unwrap();
    printer.print(&sealer);
    let mut writer = sealer.into_writer(Vec::new()).unwrap();
    writer.write_all(PLAINTEXT).unwrap();
    printer.print(&writer);
    let message = writer.finish().unwrap();
    let mut rest = message.as_slice();
    let opener = block_on(envelope.open_stream(&mut rest, &context())).unwrap();
    printer.print(&opener);
    let mut reader = opener.into_reader(rest);
    reader.read_exact(&mut [0; 4]).unwrap();
    printer.print(&reader);
    let whole = block_on(envelope.open_whole(message.as_slice(), &context(), 100)).unwrap();
    printer.print(&whole);
    let ranges = block_on(envelope.range_reader(message.as_slice(), &context())).unwrap();
    assert_eq!(ranges.range(0..4).unwrap(), &PLAINTEXT[..4]);
    printer.print(&ranges);

    let limited = block_on(envelope.open_whole(message.as_slice(), &context(), 10));
    printer.error(limited);
    let mut altered = message;
    *altered.last_mut().unwrap() ^= 1;
    printer.error(block_on(envelope.open_whole(altered.as_slice(), &context(), 100)));
    let mut rest = altered.as_slice();
    let opener = block_on(envelope.open_stream(&mut rest, &context())).unwrap();
    printer.io_error(opener.into_reader(rest).read_to_end(&mut Vec::new()));
}

fn print_async_streams(printer: &mut Printer) {
    use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let envelope = envelope();
    block_on(async {
        let mut writer = envelope.async_writer(Vec::new(), &context()).await.unwrap();
        writer.write_all(PLAINTEXT).await.unwrap();
        printer.print(&writer);
        let message = writer.finish().await.unwrap();
        let mut reader = envelope.async_reader(message.as_slice(), &context()).await.unwrap();
        reader.read_exact(&mut [0; 4]).await.unwrap();
        printer.print(&reader);
    });
}

fn print_errors(printer: &mut Printer) {
    let envelope = envelope();
    let sealed = block_on(envelope.encrypt(PLAINTEXT, &context())).unwrap().into_bytes();
    let mut altered = sealed.clone();
    *altered.last_mut().unwrap() ^= 1;
    let other = EncryptionContext::from([("row", PASSWORD)]);
    let elsewhere = builder_with_stored_pairs();
    printer.error(block_on(envelope.decrypt(&sealed, &other)));
    printer.error(block_on(envelope.decrypt(&altered, &context())));
    printer.error(block_on(envelope.decrypt(PLAINTEXT, &context())));
    printer.error(block_on(elsewhere.decrypt(&sealed, &context())));
    printer.error(block_on(envelope.open_stored_key(&sealed)));
    printer.error(block_on(envelope.encrypt(PLAINTEXT, &repeated(VALUE))));
    printer.error(EncryptionContext::try_new([(VALUE, VALUE), (VALUE, VALUE)]));
    printer.error(Scope::new([("tenant", format!("{VALUE}\n"))]));
    printer.error(Scope::new([(VALUE, VALUE)]));
    printer.error(envelope.scoped([("tenant", VALUE)]));
    printer.error(vault_crypto_core::derive::DataKeySecret::new(&SecureBytes::new(
        DATA_KEY[1..].to_vec(),
    )));
    printer.error(AeadKey::new(AeadAlgorithm::Aes256Gcm, AeadBackend::RustCrypto, &DATA_KEY[1..]));
    let wrapped = WrappedKey::new(vec![1], KeyId::new(KEY_ID), KeyVersion::unknown());
    printer.error(DataKey::new(SecureBytes::new(DATA_KEY[1..].to_vec()), wrapped));
    let kms = FixedKms::new(DATA_KEY);
    let plaintext = SecureBytes::new(DATA_KEY.to_vec());
    let context_of = WrapContext::data_key(scope());
    printer.error(block_on(kms.wrap_data_key(&KeyId::new(KEY_ID), &plaintext, &context_of)));

    let one = Budget::default().with_bytes(1);
    let sealing = block_on(builder().budget(one).build().unwrap().sealing_key()).unwrap();
    printer.error(sealing.seal(PLAINTEXT, &context()));
    let padded = builder().padding(Padding::Padme).build().unwrap();
    let stored = block_on(padded.create_stored_key()).unwrap();
    let mut record = stored.seal(PLAINTEXT, &context()).unwrap().into_bytes();
    record[30] ^= 1;
    printer.error(stored.open(&record, &context()));
    let body = Body::of_suite(&secret(), Suite::KcXaes256Gcm, None);
    printer.error(body.open(PLAINTEXT, &[7; 100], false));
}

fn repeated(value: &str) -> EncryptionContext {
    EncryptionContext::from([("row", value), ("row", value)])
}

/// The scan itself finds what is printed carelessly.
#[test]
#[should_panic(expected = "shows a secret")]
fn a_careless_debug_is_found() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "printed")]
    struct Careless(Vec<u8>);
    Printer::new().print(&Careless(DATA_KEY.to_vec()));
}

#[test]
#[should_panic(expected = "shows a secret")]
fn a_careless_source_of_an_error_is_found() {
    let error = CryptoError::new(
        vault_crypto_core::ErrorKind::Malformed,
        vault_crypto_core::Operation::Open,
    );
    let careless = error.with_source(format!("could not read {PASSWORD}"));
    Printer::new().error::<()>(Err(careless));
}
