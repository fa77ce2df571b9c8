//! The process under test: it seals and opens records as an application does, and then stands still.

use std::io::Read as _;
use std::sync::Arc;

use pollster::block_on;
use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::locked::{LockPolicy, LockedPool, PROCESS_POOL_BYTES};
use vault_crypto_core::{EncryptionContext, KeyId, MemoryStorage, SecureBytes};
use vault_envelope::{BranchKeys, Budget, CachePolicy, EnvelopeEncryption};

use super::recorder::{KEY_ID, RecorderKms};

pub(super) const RECORDS: u64 = 10_000;
pub(super) const PLAINTEXT_LEN: usize = 200;
const TENANTS: u64 = 8;

/// The plaintext of one record: eight bytes at a time, so that making it leaves nothing longer behind.
pub(super) fn fill_plaintext(seed: u64, record: u64, out: &mut [u8]) {
    for (index, word) in (0_u64..).zip(out.chunks_mut(8)) {
        // splitmix64
        let mut z = seed
            .wrapping_add(record.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_add(index.wrapping_mul(0xd1b5_4a32_d192_ed03));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..word.len()]);
    }
}

pub(super) fn tenant_of(record: u64) -> String {
    format!("tenant-{}", record % TENANTS)
}

/// Opens a stream for writing and one for reading, which stay open.
fn hold_streams(envelope: &EnvelopeEncryption, kms: &RecorderKms) -> impl Sized {
    let context = EncryptionContext::new();
    let mut stored = Vec::new();
    block_on(envelope.writer(&mut stored, &context)).unwrap().finish().unwrap();
    kms.stream(&stored);
    let reader = block_on(envelope.reader(std::io::Cursor::new(stored), &context)).unwrap();
    let (theirs, mut ours) = std::os::unix::net::UnixStream::pair().unwrap();
    let writer = block_on(envelope.writer(theirs, &context)).unwrap();
    let mut start = vec![0; 64 << 10];
    let len = ours.read(&mut start).unwrap();
    kms.stream(&start[..len]);
    (reader, writer, ours)
}

/// Seals and opens; then says so and stops for good.
pub(super) fn work(seed: u64, branches: bool) {
    let kms = Arc::new(RecorderKms::on_stdin());
    let pool = LockedPool::new(LockPolicy::Require, PROCESS_POOL_BYTES).unwrap();
    // aws-lc-rs keeps what it expands on a heap of its own.
    let placeable = |backend: &&AeadBackend| backend.as_str() != "aws-lc-rs";
    let backend = AeadBackend::available().iter().rfind(placeable);
    let builder = EnvelopeEncryption::builder(kms.clone(), KeyId::from(KEY_ID))
        .memory(pool.clone())
        .backend(*backend.unwrap())
        // Data keys come and go, by budget and by eviction.
        .budget(Budget::default().with_messages(100))
        .cache(CachePolicy::default().with_capacity(24));
    let builder = match branches {
        true => builder.branch_keys(BranchKeys::new(Arc::new(MemoryStorage::new()))),
        false => builder,
    };
    let root = builder.build().unwrap();
    let tenants: Vec<EnvelopeEncryption> =
        (0..TENANTS).map(|n| root.scoped([("tenant", tenant_of(n))]).unwrap()).collect();
    let mut kept = Vec::new();
    let context = |record: u64| {
        EncryptionContext::from([
            ("table", "cards"),
            ("column", "number"),
            ("row", record.to_string().as_str()),
            ("region", "eu"),
        ])
    };
    let _streams = hold_streams(&root, &kms);
    let open = |record: u64, sealed: &[u8]| {
        let envelope = &tenants[(record % TENANTS) as usize];
        let opened = block_on(envelope.decrypt(sealed, &context(record))).unwrap();
        let mut expected = SecureBytes::zeroed(PLAINTEXT_LEN);
        fill_plaintext(seed, record, expected.as_mut_slice());
        assert!(opened == expected, "record {record} opened to something else");
    };
    for record in 0..RECORDS {
        let mut plaintext = SecureBytes::zeroed(PLAINTEXT_LEN);
        fill_plaintext(seed, record, plaintext.as_mut_slice());
        let envelope = &tenants[(record % TENANTS) as usize];
        let sealed = block_on(envelope.encrypt(plaintext.as_slice(), &context(record))).unwrap();
        drop(plaintext);
        kms.record(sealed.as_bytes());
        open(record, sealed.as_bytes());
        kept.push(sealed);
        if record == RECORDS - 400 {
            // Long after their data keys left the cache: each of these asks the KMS. What follows are
            // hits, so that this does not cover what they leave.
            for (record, sealed) in (0..).zip(&kept).step_by(97) {
                open(record, sealed.as_bytes());
            }
        }
    }
    assert!(pool.usage().used > 0, "the cache holds no key any more");
    kms.done();
    // As it is now it is looked at; its parent kills it.
    loop {
        std::thread::park();
    }
}
