//! Forked children seal: nothing that must be unique comes twice, and nothing of the parent's is used.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::FromRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pollster::block_on;
use vault_crypto_core::header::{Header, MESSAGE_ID_LEN, Shape, parse};
use vault_crypto_core::{CryptoError, EncryptionContext, ErrorKind};
use vault_envelope::{EnvelopeEncryption, SealingKey};
use vault_testkit::MemoryKms;

const CHILDREN: usize = 8;
const RECORDS: usize = 10_000;
/// Of every hundred records one is sealed without the cache, under a data key and an id of its own.
const EXCLUSIVE: usize = 100;
/// What a process reports of each record: data key id, message id, salt.
const REPORT: usize = 16 + MESSAGE_ID_LEN + 24;

/// What a process seals with: made by the parent, used by all.
struct Tools {
    cached: EnvelopeEncryption,
    uncached: EnvelopeEncryption,
    held: SealingKey,
}

impl Tools {
    fn new() -> Self {
        let kms = MemoryKms::new();
        let key = kms.add_key("app").unwrap();
        let kms = Arc::new(kms);
        let cached = EnvelopeEncryption::builder(kms.clone(), key.clone()).build().unwrap();
        let uncached = EnvelopeEncryption::builder(kms, key).without_cache().build().unwrap();
        let held = block_on(cached.sealing_key()).unwrap();
        Self { cached, uncached, held }
    }

    fn seal(&self, record: usize) -> Vec<u8> {
        let envelope = if record.is_multiple_of(EXCLUSIVE) { &self.uncached } else { &self.cached };
        let context = EncryptionContext::from([("row", record.to_string().as_str())]);
        block_on(envelope.encrypt(b"4111 1111 1111 1111", &context)).unwrap().into_bytes()
    }
}

#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct Report {
    data_key_id: [u8; 16],
    message_id: [u8; MESSAGE_ID_LEN],
    salt: [u8; 24],
}

impl Report {
    fn of(sealed: &[u8]) -> Self {
        let parsed = parse(sealed).unwrap();
        let Header { data_key_id, message_id, .. } = parsed.header;
        assert!(parsed.header.shape == Shape::Record);
        let salt = sealed[parsed.len()..][..24].try_into().unwrap();
        Self { data_key_id, message_id, salt }
    }

    fn to_bytes(self) -> [u8; REPORT] {
        let mut bytes = [0; REPORT];
        bytes[..16].copy_from_slice(&self.data_key_id);
        bytes[16..REPORT - 24].copy_from_slice(&self.message_id);
        bytes[REPORT - 24..].copy_from_slice(&self.salt);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            data_key_id: bytes[..16].try_into().unwrap(),
            message_id: bytes[16..REPORT - 24].try_into().unwrap(),
            salt: bytes[REPORT - 24..].try_into().unwrap(),
        }
    }
}

/// Forks; the child writes what `answer` gives and ends.
#[expect(unsafe_code, reason = "fork is the subject")]
fn fork(answer: impl FnOnce() -> Vec<u8>) -> (libc::pid_t, File) {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: both descriptors are ours and used nowhere else.
    let [reading, mut writing] = ends.map(|end| unsafe { File::from_raw_fd(end) });
    // SAFETY: the child has one thread; it takes no lock that another thread may hold but the
    // allocator's, which survives a fork, and leaves without running destructors.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: plain numbers; a child that hangs is killed.
        unsafe { libc::alarm(300) };
        let answer = catch_unwind(AssertUnwindSafe(answer));
        let written = answer.is_ok_and(|answer| writing.write_all(&answer).is_ok());
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(!written)) };
    }
    (child, reading)
}

#[expect(unsafe_code, reason = "waiting for a forked child")]
fn answer_of((child, mut reading): (libc::pid_t, File)) -> Vec<u8> {
    let mut answer = Vec::new();
    reading.read_to_end(&mut answer).unwrap();
    let mut status = 0;
    // SAFETY: waits for a child of ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child failed");
    answer
}

fn seal_many(tools: &Tools) -> Vec<Report> {
    (0..RECORDS).map(|record| Report::of(&tools.seal(record))).collect()
}

#[test]
fn eight_children_and_their_parent_seal_ten_thousand_records_each_and_repeat_nothing() {
    let tools = Tools::new();
    // From here on every child inherits a filled buffer of salts, a cached key and a leased budget.
    let before: Vec<Report> = (0..200).map(|record| Report::of(&tools.seal(record))).collect();
    let children: Vec<_> = (0..CHILDREN)
        .map(|_| fork(|| seal_many(&tools).into_iter().flat_map(Report::to_bytes).collect()))
        .collect();
    let mut processes = vec![[before, seal_many(&tools)].concat()];
    for child in children {
        let answer = answer_of(child);
        processes.push(answer.chunks_exact(REPORT).map(Report::from_bytes).collect());
    }
    let reports: Vec<&Report> = processes.iter().flatten().collect();
    assert_eq!(reports.len(), 200 + (CHILDREN + 1) * RECORDS);
    let salts: HashSet<[u8; 24]> = reports.iter().map(|report| report.salt).collect();
    assert_eq!(salts.len(), reports.len(), "a salt came twice");
    let exclusive = || reports.iter().filter(|report| report.message_id != [0; MESSAGE_ID_LEN]);
    let message_ids: HashSet<_> = exclusive().map(|report| report.message_id).collect();
    assert_eq!(exclusive().count(), 2 + (CHILDREN + 1) * RECORDS / EXCLUSIVE);
    assert_eq!(message_ids.len(), exclusive().count(), "a message id came twice");
    // A data key serves many records of one process, and none of another.
    let of_process = |process: &Vec<Report>| -> HashSet<[u8; 16]> {
        process.iter().map(|report| report.data_key_id).collect()
    };
    let data_keys: Vec<HashSet<[u8; 16]>> = processes.iter().map(of_process).collect();
    for (index, keys) in data_keys.iter().enumerate() {
        let others: HashSet<_> = data_keys[..index].iter().flatten().collect();
        assert!(keys.iter().all(|key| !others.contains(key)), "process {index} uses another's key");
    }
}

#[test]
fn a_child_asks_the_kms_for_what_its_parent_could_open_and_may_not_seal_with_its_keys() {
    let tools = Tools::new();
    let context = EncryptionContext::from([("row", "0")]);
    let sealed = block_on(tools.cached.encrypt(b"4111", &context)).unwrap();
    assert_eq!(tools.cached.cache().stats().kms_calls, 1);
    let child = fork(|| {
        let opened = block_on(tools.cached.decrypt(&sealed, &context)).unwrap();
        let calls = tools.cached.cache().stats().kms_calls;
        let refused = tools.held.seal(b"4111", &context).is_err();
        vec![u8::from(opened == b"4111"), calls as u8, u8::from(refused)]
    });
    // The child's statistics begin anew: one call of its own.
    assert_eq!(answer_of(child), [1, 1, 1]);
    assert_eq!(block_on(tools.cached.decrypt(&sealed, &context)).unwrap(), b"4111");
    assert_eq!(tools.cached.cache().stats().kms_calls, 1);
    assert!(tools.held.seal(b"4111", &context).is_ok());
}

fn kind_of(error: &io::Error) -> Option<ErrorKind> {
    error.get_ref()?.downcast_ref::<CryptoError>().map(CryptoError::kind)
}

/// Both would seal their own next chunk under the stream's key, with the same nonce.
#[test]
fn a_child_does_not_go_on_with_a_stream_of_its_parents() {
    let tools = Tools::new();
    let context = EncryptionContext::from([("file", "a")]);
    let chunks = vec![7; 8 << 20]; // more than a writer collects before it seals
    let mut stored = Vec::new();
    let mut writer = block_on(tools.cached.writer(&mut stored, &context)).unwrap();
    writer.write_all(&chunks).unwrap();
    let child = fork(|| {
        let error = writer.write_all(&chunks).unwrap_err();
        vec![u8::from(kind_of(&error) == Some(ErrorKind::KeyUnusable))]
    });
    assert_eq!(answer_of(child), [1]);
    writer.finish().unwrap();
    let mut reader = block_on(tools.cached.reader(stored.as_slice(), &context)).unwrap();
    let mut plaintext = vec![0; 1_000];
    reader.read_exact(&mut plaintext).unwrap();
    let child = fork(|| {
        let mut rest = Vec::new();
        let error = reader.read_to_end(&mut rest).unwrap_err();
        vec![u8::from(kind_of(&error) == Some(ErrorKind::KeyUnusable))]
    });
    assert_eq!(answer_of(child), [1]);
    reader.read_to_end(&mut plaintext).unwrap();
    assert_eq!(plaintext, chunks);
}
