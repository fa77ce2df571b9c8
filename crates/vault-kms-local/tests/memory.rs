//! Own binary: it forks, and it is stopped and read like a core dump.
//!
//! An open key store keeps its keys in the pool: nowhere else in memory, and not in a forked child.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests, where a panic is the report; a child reports to its parent"
)]

use std::fmt::Debug;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use pollster::block_on;
use vault_crypto_core::locked::{LockPolicy, LockedPool};
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KmsAdmin as _, KmsProvider as _, RandomSource,
    Result, RotateOptions, Scope, SecureString, WrapContext,
};
use vault_kms_local::{LocalKms, LocalKmsConfig, MasterSource};
use vault_testkit::process_memory;

const KEYS: usize = 20;
/// Set in the process that is read: the folder of its store.
const FOLDER: &str = "VAULTKIT_TEST_LOCAL_MEMORY_FOLDER";
const MARK: [u8; 4] = [0xa7, 0x3d, 0x91, 0xe5];

/// Keys and the master secret are made of a mark that can be searched for; ids and nonces are not.
#[derive(Debug)]
struct Marked;

impl RandomSource for Marked {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        let mark = if out.len() == 32 { MARK } else { [0x11; 4] };
        out.iter_mut().zip(mark.iter().cycle()).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

fn config(folder: &Path) -> LocalKmsConfig {
    let pool = LockedPool::new(LockPolicy::Require, 16 << 10).unwrap();
    LocalKmsConfig::new(folder).with_random(Arc::new(Marked)).with_memory(pool)
}

fn acme() -> WrapContext {
    WrapContext::data_key(Scope::new([("tenant", "acme")]).unwrap())
}

/// 48 letters, made in place: no program and no buffer holds them besides.
fn passphrase() -> SecureString {
    let mut text = String::with_capacity(48);
    for index in 0..48_u32 {
        let letter = std::hint::black_box(index) * 7 % 26;
        text.push(char::from_u32(u32::from('a') + letter).unwrap());
    }
    SecureString::new(text)
}

/// Uses the store in every way that touches a key, and stands still.
fn work(folder: &Path) {
    let (kms, _) = LocalKms::open_or_create(config(folder)).unwrap();
    for index in 0..KEYS {
        block_on(kms.create_key(KeyConfig::new(format!("key-{index}")))).unwrap();
    }
    block_on(kms.rotate_key(&KeyId::new("default"), RotateOptions::now())).unwrap();
    kms.backup(&folder.join("../backup"), &passphrase()).unwrap();
    let other =
        config(&folder.join("../other")).with_master(MasterSource::Passphrase(passphrase()));
    let (other, _) = LocalKms::open_or_create(other).unwrap();
    drop(LocalKms::open(config(folder)).unwrap());
    for kms in [&kms, &other] {
        let data_key = block_on(kms.generate_data_key(&KeyId::new("default"), &acme())).unwrap();
        let again = block_on(kms.decrypt_data_key(data_key.wrapped(), &acme())).unwrap();
        assert!(again == *data_key.plaintext());
    }
    eprintln!("done");
    loop {
        std::thread::park();
    }
}

#[test]
fn keys_master_and_passphrase_of_an_open_store_lie_in_the_pool_and_nowhere_else() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return work(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("keys_master_and_passphrase_of_an_open_store_lie_in_the_pool_and_nowhere_else")
        .args(["--exact", "--nocapture"])
        .env(FOLDER, folder.path().join("store"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(|l| l.ok());
    let done = lines.any(|line| line == "done");
    let areas = process_memory(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(done, "the process failed");
    // Half a key, and as much of the passphrase.
    let phrase = passphrase();
    let pieces =
        [("key", MARK.repeat(4)), ("passphrase", phrase.as_str().as_bytes()[..16].to_vec())];
    let (mut inside, mut outside) = ([0, 0], Vec::new());
    for area in areas.unwrap() {
        for (index, (what, piece)) in pieces.iter().enumerate() {
            let found = area.bytes.windows(16).enumerate().filter(|(_, window)| window == piece);
            let places: Vec<usize> = found.map(|(at, _)| at).collect();
            if area.left_out {
                inside[index] += places.len();
            } else if !places.is_empty() {
                outside.push((*what, area.name.clone(), area.start, places));
            }
        }
    }
    assert!(outside.is_empty(), "outside of the pool: {outside:x?}");
    // One store has a master and 22 versions, the other a passphrase and one version.
    assert!(inside[0] >= KEYS + 4 && inside[1] >= 1, "not where keys should be: {inside:?}");
}

fn kind_of<T>(result: Result<T, CryptoError>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
#[expect(unsafe_code, reason = "fork is the subject")]
fn a_forked_child_has_no_key_of_the_store_and_may_open_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let (kms, _) = LocalKms::open_or_create(config(&folder)).unwrap();
    let default = KeyId::new("default");
    let wrapped = block_on(kms.generate_data_key(&default, &acme())).unwrap();
    // SAFETY: the child has one thread; it takes no lock that another thread may hold but the
    // allocator's, which survives a fork, and leaves without running destructors.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        let gone = Some(ErrorKind::Unavailable);
        let refused = kind_of(block_on(kms.generate_data_key(&default, &acme()))) == gone
            && kind_of(block_on(kms.decrypt_data_key(wrapped.wrapped(), &acme()))) == gone
            && kind_of(block_on(kms.rotate_key(&default, RotateOptions::now()))) == gone
            && kind_of(kms.backup(&folder.join("../backup"), &passphrase())) == gone;
        let again = LocalKms::open(config(&folder)).unwrap();
        let opened = block_on(again.decrypt_data_key(wrapped.wrapped(), &acme())).unwrap();
        let works = opened == *wrapped.plaintext();
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(!(refused && works))) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child found a key, or could not open the store");
    let opened = block_on(kms.decrypt_data_key(wrapped.wrapped(), &acme())).unwrap();
    assert!(opened == *wrapped.plaintext());
}

#[test]
fn a_store_that_the_pool_does_not_hold_is_refused_by_the_name_of_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let small = LockedPool::new(LockPolicy::Require, 4 << 10).unwrap();
    let (kms, _) = LocalKms::open_or_create(LocalKmsConfig::new(&folder)).unwrap();
    for index in 0..130 {
        block_on(kms.create_key(KeyConfig::new(format!("key-{index}")))).unwrap();
    }
    let refused = LocalKms::open(LocalKmsConfig::new(&folder).with_memory(small.clone()));
    assert_eq!(kind_of(refused), Some(ErrorKind::LimitExceeded));
    assert_eq!(small.usage().used, 0, "what was read before the limit stays");
    let preferred = LockedPool::new(LockPolicy::Prefer, 4 << 10).unwrap();
    let kms = LocalKms::open(LocalKmsConfig::new(&folder).with_memory(preferred.clone())).unwrap();
    assert!(block_on(kms.generate_data_key(&KeyId::new("key-129"), &acme())).is_ok());
    assert!(preferred.usage().spilled > 0);
}
