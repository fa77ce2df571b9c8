//! Messages for people and programs with keys of their own: passphrases, X25519 and RSA public keys.

use std::sync::{Arc, OnceLock};

use vault_crypto_core::header::{Binding, Header, Slot, SlotKind, parse};
use vault_crypto_core::{EncryptedData, ErrorKind, SecureBytes, SecureString, rsa_oaep};
use vault_envelope::{
    AllowedKeys, EnvelopeBuilder, EnvelopeEncryption, Passphrase, PassphraseCost, PrivateKey,
    Recipient, Recipients,
};

use super::support::{block_on, context, kind_of, kms};

const VALUE: &[u8] = b"4111 1111 1111 1111";

/// A passphrase at the least cost that there is.
pub(super) fn passphrase(text: &str) -> Passphrase {
    let cheap = PassphraseCost::new(8, 1, 1).unwrap();
    Passphrase::new(SecureString::new(text)).unwrap().with_cost(cheap)
}

pub(super) fn x25519() -> Arc<PrivateKey> {
    Arc::new(PrivateKey::generate().unwrap())
}

/// One for all tests: making it takes long.
pub(super) fn rsa() -> Arc<PrivateKey> {
    static KEY: OnceLock<Arc<PrivateKey>> = OnceLock::new();
    KEY.get_or_init(|| Arc::new(PrivateKey::generate_rsa().unwrap())).clone()
}

fn for_all(recipients: impl IntoIterator<Item = Recipient>) -> EnvelopeBuilder {
    EnvelopeEncryption::to(Recipients::all(recipients)).scope([("table", "cards")])
}

fn for_key(key: &PrivateKey) -> EnvelopeBuilder {
    for_all([Recipient::public_key(key.public_key())])
}

/// A sort of key: its message, who opens it, and a stranger of the same sort.
struct Sort {
    sealed: EncryptedData,
    owner: AllowedKeys,
    stranger: AllowedKeys,
}

fn sorts() -> Vec<Sort> {
    let seal = |builder: EnvelopeBuilder| {
        block_on(builder.build().unwrap().encrypt(VALUE, &context())).unwrap()
    };
    let none = AllowedKeys::none;
    let (own, other, rsa) = (x25519(), x25519(), rsa());
    vec![
        Sort {
            sealed: seal(for_all([Recipient::passphrase(passphrase("correct horse"))])),
            owner: none().passphrase(passphrase("correct horse")),
            stranger: none().passphrase(passphrase("correct house")),
        },
        Sort {
            sealed: seal(for_key(&own)),
            owner: none().private_key(own),
            stranger: none().private_key(other.clone()),
        },
        Sort {
            sealed: seal(for_key(&rsa)),
            owner: none().private_key(rsa),
            stranger: none().private_key(other),
        },
    ]
}

/// Nobody's recipient, so that only `keys` open.
fn reader(keys: AllowedKeys) -> EnvelopeEncryption {
    for_key(&x25519()).allow_only(keys).build().unwrap()
}

fn header(sealed: &EncryptedData) -> Header {
    parse(sealed.as_bytes()).unwrap().header
}

fn refusal(keys: &AllowedKeys, sealed: &[u8]) -> ErrorKind {
    kind_of(block_on(reader(keys.clone()).decrypt(sealed, &context())))
}

#[test]
fn each_sort_of_key_opens_what_was_sealed_for_it_and_nobody_else_does() {
    for Sort { sealed, owner, stranger } in sorts() {
        let opened = block_on(reader(owner).decrypt(&sealed, &context())).unwrap();
        assert_eq!(opened, VALUE);
        let kind = header(&sealed).slots[0].kind;
        // A passphrase has no name, so a wrong one is tried.
        let expected = match kind {
            SlotKind::PASSPHRASE => ErrorKind::AuthenticationFailed,
            _ => ErrorKind::KeyNotAllowed,
        };
        assert_eq!(refusal(&stranger, sealed.as_bytes()), expected, "{}", kind.name());
        assert_eq!(refusal(&AllowedKeys::none(), sealed.as_bytes()), ErrorKind::KeyNotAllowed);
    }
}

#[test]
fn the_slots_are_as_the_format_says() {
    let expected: [(_, usize, &[u8]); 3] = [
        (SlotKind::PASSPHRASE, 0, &[0, 0, 0, 8, 0, 0, 0, 1, 1]),
        (SlotKind::HPKE, 32, &[0, 0x20, 0, 1, 0, 2]),
        (SlotKind::RSA_OAEP_256, 32, &[]),
    ];
    for (Sort { sealed, .. }, (kind, id_len, parameters)) in sorts().iter().zip(expected) {
        let header = header(sealed);
        assert!(header.exclusive);
        let slot: &Slot = &header.slots[0];
        assert_eq!((slot.kind, slot.binding), (kind, Binding::Mac));
        assert_eq!(slot.key_id.len(), id_len);
        assert!(slot.parameters.starts_with(parameters), "{:?}", slot.parameters);
        assert!(!slot.version.is_known());
        let salt = if kind == SlotKind::PASSPHRASE { 16 } else { 0 };
        assert_eq!(slot.parameters.len(), parameters.len() + salt);
    }
}

#[test]
fn another_scope_or_context_does_not_open() {
    for Sort { sealed, owner, .. } in sorts() {
        let reader = reader(owner);
        let elsewhere = reader.scoped([("tenant", "acme")]).unwrap();
        let kind = kind_of(block_on(elsewhere.decrypt(&sealed, &context())));
        assert_eq!(kind, ErrorKind::AuthenticationFailed);
        let other = [("row", "43")].into();
        let kind = kind_of(block_on(reader.decrypt(&sealed, &other)));
        assert_eq!(kind, ErrorKind::AuthenticationFailed);
    }
}

#[test]
fn every_altered_byte_of_a_slot_is_refused() {
    for Sort { sealed, owner, .. } in sorts() {
        let bytes = sealed.as_bytes();
        let parsed = parse(bytes).unwrap();
        let slot = &parsed.header.slots[0];
        let descriptor_at = 12 + parsed.covered.len() - slot.descriptor().unwrap().len();
        let wrapped_at = parsed.len() - slot.wrapped.len();
        let reader = reader(owner);
        let places = (descriptor_at..12 + parsed.covered.len()).chain(wrapped_at..parsed.len());
        for at in places.step_by(if slot.kind == SlotKind::RSA_OAEP_256 { 17 } else { 1 }) {
            let mut altered = bytes.to_vec();
            altered[at] ^= 0x80;
            let kind = kind_of(block_on(reader.decrypt(&altered, &context())));
            let allowed = [
                ErrorKind::Malformed,
                ErrorKind::KeyNotAllowed,
                ErrorKind::AuthenticationFailed,
                ErrorKind::LimitExceeded,
            ];
            assert!(allowed.contains(&kind), "byte {at}: {kind:?}");
            if at >= wrapped_at {
                assert_eq!(kind, ErrorKind::AuthenticationFailed, "byte {at}");
            }
        }
    }
}

/// The same recipient's slot of another message: its wrapped bytes are bound to that one.
#[test]
fn a_slot_moved_to_another_message_is_refused() {
    for (first, second) in sorts().into_iter().zip(sorts()) {
        let (from, to) = (first.sealed.as_bytes(), second.sealed.as_bytes());
        let (parsed_from, parsed_to) = (parse(from).unwrap(), parse(to).unwrap());
        let wrapped = &parsed_from.header.slots[0].wrapped;
        let mut moved = to.to_vec();
        let end = parsed_to.len();
        moved[end - wrapped.len()..end].copy_from_slice(wrapped);
        assert_eq!(refusal(&second.owner, &moved), ErrorKind::AuthenticationFailed);
        // The whole slot with its descriptor, under the other message's MAC.
        let descriptor = parsed_from.header.slots[0].descriptor().unwrap();
        let covered_end = 12 + parsed_to.covered.len();
        moved[covered_end - descriptor.len()..covered_end].copy_from_slice(&descriptor);
        assert_eq!(refusal(&first.owner, &moved), ErrorKind::AuthenticationFailed);
    }
}

/// The wrapped bytes open by hand, from docs/FORMAT.md sections 6.5 to 6.7 and the header's bytes.
#[test]
fn the_wrapped_bytes_are_as_the_format_says() {
    let text = "correct horse";
    let (own, rsa) = (x25519(), rsa());
    let everybody = [
        Recipient::passphrase(passphrase(text)),
        Recipient::public_key(own.public_key()),
        Recipient::public_key(rsa.public_key()),
    ];
    let sealed = block_on(for_all(everybody).build().unwrap().encrypt(VALUE, &context())).unwrap();
    let parsed = parse(sealed.as_bytes()).unwrap();
    let [by_passphrase, by_hpke, by_rsa] = &parsed.header.slots[..] else { panic!("three slots") };

    let mut s = b"vaultkit.v1/kms\0\x01".to_vec();
    s.extend_from_slice(b"\0\x01\0\x05table\0\x05cards");
    let covered = parsed.covered;
    let aad = |descriptor: &[u8]| {
        // Key id and message id stand at 12 and 28 of the covered part (section 5.1).
        [&s, b"vaultkit.v1/slot\0".as_slice(), descriptor, &covered[12..28], &covered[28..52]]
            .concat()
    };
    let scope = reader(AllowedKeys::none()).scope().clone();
    let check = |data_key: SecureBytes| {
        let secret = vault_crypto_core::derive::DataKeySecret::new(&data_key).unwrap();
        secret.verify_header(&parsed, &scope).unwrap();
    };

    let salt = &by_passphrase.parameters[9..];
    let descriptor = [&[7, 2, 0, 0, 0, 0, 0, 25], &*by_passphrase.parameters].concat();
    check(by_hand::passphrase(text, salt, &aad(&descriptor), &by_passphrase.wrapped));

    let id = own.public_key().key_id();
    let descriptor = [&[8, 2, 0, 0, 0, 32], &id[..], &[0, 6, 0, 0x20, 0, 1, 0, 2]].concat();
    check(by_hand::hpke(&own, &s, &aad(&descriptor), &by_hpke.wrapped));

    let der = pem_body(rsa.to_text().as_str());
    check(rsa_oaep::decrypt(&der, &by_rsa.wrapped, &[]).unwrap());
}

mod by_hand {
    use hpke::aead::AesGcm256;
    use hpke::kdf::HkdfSha256;
    use hpke::kem::X25519HkdfSha256;
    use hpke::{Deserializable as _, Kem, OpModeR, single_shot_open};
    use vault_crypto_core::SecureBytes;
    use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend};
    use vault_crypto_core::kdf::{Argon2Params, KdfParams};
    use vault_crypto_core::xaes::XaesKey;
    use vault_envelope::PrivateKey;

    pub(super) fn passphrase(text: &str, salt: &[u8], aad: &[u8], wrapped: &[u8]) -> SecureBytes {
        let mut key = [0; 32];
        let params = KdfParams::Argon2id(Argon2Params::new(8, 1, 1));
        params.derive(text.as_bytes(), salt, &mut key).unwrap();
        let key = XaesKey::new(&key, AeadBackend::fastest(AeadAlgorithm::Aes256Gcm));
        // N[24] || KC[32] || ct[32] || tag[16]
        assert_eq!(wrapped.len(), 104);
        let nonce = wrapped[..24].try_into().unwrap();
        let commitment = wrapped[24..56].try_into().unwrap();
        let mut data_key = wrapped[56..88].to_vec();
        let tag = wrapped[88..].try_into().unwrap();
        key.open_in_place(nonce, commitment, aad, &mut data_key, tag).unwrap();
        SecureBytes::new(data_key)
    }

    pub(super) fn hpke(key: &PrivateKey, s: &[u8], aad: &[u8], wrapped: &[u8]) -> SecureBytes {
        type Suite = X25519HkdfSha256;
        // enc[32] || ct[32] || tag[16]
        assert_eq!(wrapped.len(), 80);
        let private = <Suite as Kem>::PrivateKey::from_bytes(&super::key_bytes(key)).unwrap();
        let enc = <Suite as Kem>::EncappedKey::from_bytes(&wrapped[..32]).unwrap();
        let data_key = single_shot_open::<AesGcm256, HkdfSha256, Suite>(
            &OpModeR::Base,
            &private,
            &enc,
            s,
            &wrapped[32..],
            aad,
        );
        SecureBytes::new(data_key.unwrap())
    }
}

/// The 32 bytes in a private key's text, by a decoder of its own.
fn key_bytes(key: &PrivateKey) -> Vec<u8> {
    let charset = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    let text = key.to_text();
    let digits = text.as_str().strip_prefix("VK-SECRET-KEY-1").unwrap();
    let bits: String = digits[..digits.len() - 6]
        .chars()
        .map(|c| format!("{:05b}", charset.find(c).unwrap()))
        .collect();
    let bytes = (0..34).map(|i| u8::from_str_radix(&bits[i * 8..i * 8 + 8], 2).unwrap());
    bytes.skip(2).collect()
}

fn pem_body(pem: &str) -> Vec<u8> {
    use base64ct::{Base64, Encoding as _};
    let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    Base64::decode_vec(&lines).unwrap()
}

#[test]
fn one_message_for_a_kms_a_passphrase_and_two_public_keys_opens_with_each_alone() {
    let (kms, key_id) = kms();
    let (own, rsa) = (x25519(), rsa());
    let envelope = for_all([
        Recipient::kms(kms.clone(), key_id.clone()),
        Recipient::passphrase(passphrase("correct horse")),
        Recipient::public_key(own.public_key()),
        Recipient::public_key(rsa.public_key()),
    ])
    .build()
    .unwrap();
    let sealed = block_on(envelope.encrypt(VALUE, &context())).unwrap();
    let none = AllowedKeys::none;
    let each = [
        none().key(kms, key_id),
        none().passphrase(passphrase("correct horse")),
        none().private_key(own),
        none().private_key(rsa),
    ];
    for (slot, keys) in each.into_iter().enumerate() {
        let opening = block_on(reader(keys.clone()).opening_key(&sealed)).unwrap();
        assert_eq!(opening.opened_by().slot, slot);
        assert_eq!(block_on(reader(keys).decrypt(&sealed, &context())).unwrap(), VALUE);
    }
    // A wrong passphrase does not stand in the way of a right key.
    let (kms, key_id) = super::support::kms();
    let envelope = for_all([
        Recipient::passphrase(passphrase("correct horse")),
        Recipient::kms(kms.clone(), key_id.clone()),
    ]);
    let sealed = block_on(envelope.build().unwrap().encrypt(VALUE, &context())).unwrap();
    let keys = none().passphrase(passphrase("wrong")).key(kms, key_id);
    assert_eq!(block_on(reader(keys).decrypt(&sealed, &context())).unwrap(), VALUE);
}

#[test]
fn of_several_allowed_passphrases_any_may_be_the_right_one() {
    let envelope = for_all([Recipient::passphrase(passphrase("this year's"))]).build().unwrap();
    let sealed = block_on(envelope.encrypt(VALUE, &context())).unwrap();
    let years = ["the year before's", "last year's", "this year's"];
    let keys =
        years.iter().fold(AllowedKeys::none(), |keys, text| keys.passphrase(passphrase(text)));
    assert_eq!(block_on(reader(keys).decrypt(&sealed, &context())).unwrap(), VALUE);
}

#[test]
fn two_of_three_open_together_and_none_alone() {
    let own = x25519();
    let rsa = rsa();
    let members = [
        Recipient::passphrase(passphrase("correct horse")),
        Recipient::public_key(own.public_key()),
        Recipient::public_key(rsa.public_key()),
    ];
    let envelope = EnvelopeEncryption::to(Recipients::threshold(2, members))
        .scope([("table", "cards")])
        .build()
        .unwrap();
    let sealed = block_on(envelope.encrypt(VALUE, &context())).unwrap();
    let none = AllowedKeys::none;
    let by_passphrase = |keys: AllowedKeys| keys.passphrase(passphrase("correct horse"));
    let pairs = [
        by_passphrase(none()).private_key(own.clone()),
        by_passphrase(none()).private_key(rsa.clone()),
        none().private_key(rsa.clone()).private_key(own.clone()),
    ];
    for keys in pairs {
        assert_eq!(block_on(reader(keys).decrypt(&sealed, &context())).unwrap(), VALUE);
    }
    for keys in [by_passphrase(none()), none().private_key(own), none().private_key(rsa)] {
        assert_eq!(refusal(&keys, sealed.as_bytes()), ErrorKind::KeyNotAllowed);
    }
}

#[test]
fn an_opener_by_key_pair_skips_suites_it_does_not_have() {
    let Sort { sealed, owner, .. } = sorts().swap_remove(1);
    let parsed = parse(sealed.as_bytes()).unwrap();
    let mut other = sealed.as_bytes().to_vec();
    // The last byte of the descriptor: ChaCha20-Poly1305 in place of AES-256-GCM.
    other[12 + parsed.covered.len() - 1] = 3;
    assert_eq!(refusal(&owner, &other), ErrorKind::KeyNotAllowed);
}

/// The most memory that this process ever mapped, in KiB.
#[cfg(target_os = "linux")]
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_slot_that_asks_for_64_gib_is_refused_before_anything_is_allocated() {
    let Sort { sealed, owner, .. } = sorts().swap_remove(0);
    let parsed = parse(sealed.as_bytes()).unwrap();
    let at = 12 + parsed.covered.len() - 25;
    let before = peak_kib();
    // What the format does not have is no slot that opens; what this reader does not pay is told.
    for (memory_kib, kind, told) in [
        (64 << 20, ErrorKind::AuthenticationFailed, "not authentic"),
        (u32::MAX, ErrorKind::AuthenticationFailed, "not authentic"),
        ((1 << 20) + 1, ErrorKind::AuthenticationFailed, "not authentic"),
        (1 << 20, ErrorKind::LimitExceeded, "1 GiB"),
        ((256 << 10) + 1, ErrorKind::LimitExceeded, "limit is 256 MiB"),
    ] {
        let mut greedy = sealed.as_bytes().to_vec();
        greedy[at..at + 4].copy_from_slice(&memory_kib.to_be_bytes());
        let error = block_on(reader(owner.clone()).decrypt(&greedy, &context())).unwrap_err();
        assert_eq!(error.kind(), kind, "{memory_kib}");
        assert!(error.to_string().contains(told), "{error}");
    }
    // The other tests of this process are modest.
    assert!(peak_kib() < before + (1 << 20), "something was allocated");
}

#[test]
fn the_limit_on_a_passphrase_s_cost_can_be_lowered_and_raised() {
    let dear = PassphraseCost::new(1024, 2, 2).unwrap();
    let writer = passphrase("correct horse").with_cost(dear);
    let sealed = for_all([Recipient::passphrase(writer)]).build().unwrap();
    let sealed = block_on(sealed.encrypt(VALUE, &context())).unwrap();
    let limited = |memory_kib, passes, lanes| {
        let limit = PassphraseCost::new(memory_kib, passes, lanes).unwrap();
        AllowedKeys::none().passphrase(passphrase("correct horse").with_limit(limit))
    };
    for keys in [limited(1023, 2, 2), limited(1024, 1, 2), limited(1024, 2, 1)] {
        assert_eq!(refusal(&keys, sealed.as_bytes()), ErrorKind::LimitExceeded);
    }
    let opened = block_on(reader(limited(1024, 2, 2)).decrypt(&sealed, &context()));
    assert_eq!(opened.unwrap(), VALUE);
    assert_eq!(kind_of(PassphraseCost::new((1 << 20) + 1, 1, 1)), ErrorKind::LimitExceeded);
    assert_eq!(kind_of(PassphraseCost::new(7, 1, 1)), ErrorKind::InvalidInput);
}

#[test]
fn an_empty_passphrase_is_refused() {
    let error = Passphrase::new(SecureString::new("")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Two messages for one key share nothing: no salt, no encapsulated key, no wrapped byte run.
#[test]
fn two_messages_for_one_key_have_nothing_in_common() {
    for (first, second) in sorts().into_iter().zip(sorts()) {
        let wrapped = |sort: &Sort| header(&sort.sealed).slots[0].wrapped.clone();
        let (first, second) = (wrapped(&first), wrapped(&second));
        for run in first.windows(8) {
            assert!(!second.windows(8).any(|other| other == run));
        }
    }
}
