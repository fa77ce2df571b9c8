//! A process that sealed and opened 10,000 records, read like a core dump: no data key, branch key, body
//! key, expanded key or plaintext is in it.
//!
//! Read is every mapping that a core dump may hold ([`process_memory`]), but for those that the kernel was
//! told to leave out. The registers of the threads are not among them, and a dump has those, too.
//!
//! The keys of single messages are counted and not judged: ciphers expand them on the stack, and those of
//! the last messages stay there until other calls use it (docs/THREAT-MODEL.md, "Memory").

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::derive::{BranchKey, DataKeySecret, body_context};
use vault_crypto_core::header::{COMPACT_MAGIC, Shape, Suite, parse};
use vault_crypto_core::xaes::XaesKey;
use vault_crypto_core::{EncryptionContext, HmacSha512Key, Scope, SecureBytes, WrapKind};
use vault_testkit::process_memory;

use super::needles::{Needles, PIECE};
use super::recorder::{Seen, serve};
use super::worker::{self, PLAINTEXT_LEN, RECORDS};

/// Set in the process under test: the seed of its plaintexts.
const SEED: &str = "VAULTKIT_TEST_DUMP_SEED";
/// Secrets that no dump may hold.
const NEVER: [&str; 6] =
    ["data key", "branch key", "body key", "header key", "stream key", "plaintext"];

#[test]
fn a_dump_after_ten_thousand_records_holds_no_key_and_no_plaintext() {
    dump_holds_nothing(
        "memory::dump::a_dump_after_ten_thousand_records_holds_no_key_and_no_plaintext",
        false,
    );
}

#[test]
fn a_dump_after_ten_thousand_records_under_branch_keys_holds_no_key_and_no_plaintext() {
    dump_holds_nothing(
        "memory::dump::a_dump_after_ten_thousand_records_under_branch_keys_holds_no_key_and_no_plaintext",
        true,
    );
}

fn dump_holds_nothing(name: &str, branches: bool) {
    if let Some(seed) = std::env::var_os(SEED) {
        return worker::work(seed.to_str().unwrap().parse().unwrap(), branches);
    }
    let seed = u64::from(std::process::id()) << 32 | u64::from(branches);
    let (worker, seen) = run(name, seed);
    assert_eq!(seen.records.len() as u64, RECORDS, "the process under test failed");
    let needles = needles(&seen, seed);
    let (inside, outside) = search(&worker, &needles);
    // The search works: in pages that dumps leave out it does find the keys of the cache.
    for what in ["body key", "stream key"] {
        assert!(inside.contains_key(what), "no {what} is where keys should be: {inside:?}");
    }
    for what in NEVER {
        assert!(!outside.contains_key(what), "{what} in the dump: {:x?}", outside.get(what));
    }
}

/// The process under test, standing still after its work; killed when dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn run(name: &str, seed: u64) -> (Worker, Seen) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(SEED, seed.to_string())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let worker = Worker(child);
    let seen = serve(ours);
    (worker, seen)
}

/// Everything that the process must not show, from what the recorder saw.
fn needles(seen: &Seen, seed: u64) -> Needles {
    let mut needles = Needles::new();
    let mut bodies = HashMap::new();
    let mut branch_keys = Vec::new();
    for (kind, key) in &seen.keys {
        match kind {
            WrapKind::BranchKey => {
                needles.add("branch key", key);
                needles.add("branch key", BranchKey::new(key).wrap_key().as_slice());
                branch_keys.push(key);
            }
            _ => {
                let secret = add_data_key(&mut needles, key);
                bodies.insert(secret.id().to_vec(), body_key(&secret));
            }
        }
    }
    for start in &seen.streams {
        add_stream_key(&mut needles, start, &seen.keys);
    }
    for (record, sealed) in (0..).zip(&seen.records) {
        let mut plaintext = [0; PLAINTEXT_LEN];
        worker::fill_plaintext(seed, record, &mut plaintext);
        needles.add("plaintext", &plaintext);
        add_message_keys(&mut needles, record, sealed, &branch_keys, &mut bodies);
    }
    needles
}

fn add_data_key(needles: &mut Needles, key: &[u8; 32]) -> DataKeySecret {
    needles.add("data key", key);
    let header_key = HmacSha512Key::new(key).mac(&[b"vaultkit.v1/header\0", &[1]]);
    needles.add("header key", &header_key);
    let secret = secret_of(key);
    needles.add_aes("body key", &secret.body_key(Suite::KcXaes256Gcm));
    secret
}

/// The key of a stream's chunks (docs/FORMAT.md section 4.1).
fn add_stream_key(needles: &mut Needles, start: &[u8], keys: &[(WrapKind, [u8; 32])]) {
    let parsed = parse(start).unwrap();
    let secrets = keys.iter().map(|(_, key)| secret_of(key));
    let secret = secrets.into_iter().find(|s| s.id() == parsed.header.data_key_id).unwrap();
    let (suite, scope) = (Suite::Cobblestone256, Scope::empty());
    let input = secret.body_key(suite);
    needles.add("body key", input.as_slice());
    let context = EncryptionContext::new();
    let bound = body_context(suite, Shape::Stream, 0, &scope, &context).unwrap();
    let (salt, commitment) = start[parsed.len()..][..56].split_at(24);
    let hmac = HmacSha512Key::new(input.as_slice());
    let expand = |previous: &[u8], counter: u8| {
        let name = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
        hmac.mac(&[previous, name, salt, &bound, &[counter]])
    };
    let first = expand(&[], 1);
    let okm = [first, expand(&first, 2)].concat();
    assert_eq!(okm[44..76], *commitment, "this is not the stream's key");
    needles.add_aes("stream key", okm.first_chunk().unwrap());
}

fn secret_of(key: &[u8; 32]) -> DataKeySecret {
    DataKeySecret::new(&SecureBytes::new(key.to_vec())).unwrap()
}

fn body_key(secret: &DataKeySecret) -> XaesKey {
    XaesKey::new(&secret.body_key(Suite::KcXaes256Gcm), AeadBackend::RustCrypto)
}

/// The key of one message alone, and with branches the data key that was derived for it.
fn add_message_keys(
    needles: &mut Needles,
    record: u64,
    sealed: &[u8],
    branch_keys: &[&[u8; 32]],
    bodies: &mut HashMap<Vec<u8>, XaesKey>,
) {
    let (id, body) = if sealed[..2] == COMPACT_MAGIC {
        let (prefix, body) = sealed.split_at(24);
        (prefix[8..].to_vec(), body)
    } else {
        let parsed = parse(sealed).unwrap();
        (parsed.header.data_key_id.to_vec(), &sealed[parsed.len()..])
    };
    if !bodies.contains_key(&id) {
        let scope = Scope::new([("tenant", worker::tenant_of(record))]).unwrap();
        let id_bytes = id.as_slice().try_into().unwrap();
        for key in branch_keys {
            // One of them is the scope's; the others only add what is nowhere.
            let data_key = BranchKey::new(key).data_key(1, &id_bytes, &scope);
            let secret = add_data_key(needles, &data_key.into_branch_key());
            let nonce = body[..24].try_into().unwrap();
            let xaes = body_key(&secret);
            if xaes.derive(nonce).1 == body[24..56] {
                bodies.insert(id.clone(), xaes);
            }
        }
    }
    let (key, commitment) = bodies[&id].derive(body[..24].try_into().unwrap());
    assert_eq!(commitment, body[24..56], "this is not the record's key");
    needles.add_aes("message key", &key);
}

type Found = BTreeMap<&'static str, Vec<usize>>;

/// What stands in pages that dumps leave out, and what in all others.
fn search(worker: &Worker, needles: &Needles) -> (Found, Found) {
    let areas = process_memory(worker.0.id()).unwrap();
    let (mut inside, mut outside) = (Found::new(), Found::new());
    for area in &areas {
        let mut here = Found::new();
        needles.find(&area.bytes, &mut here);
        let found = if area.left_out { &mut inside } else { &mut outside };
        for (what, places) in here {
            if !area.left_out {
                eprintln!("{what}: {} pieces of {PIECE} bytes in `{}`", places.len(), area.name);
            }
            found.entry(what).or_default().extend(places.iter().map(|at| at + area.start));
        }
    }
    let read: usize = areas.iter().map(|area| area.bytes.len()).sum();
    eprintln!("read {} KiB of the process", read / 1_024);
    assert!(read > 1 << 20, "a process of less than 1 MiB was not read");
    (inside, outside)
}
