//! A process that sealed and opened 10,000 records, read like a core dump: no data key, branch key, body
//! key, expanded key or plaintext is in it.
//!
//! Read is every mapping that a core dump may hold: all that can be read, but for those that the
//! kernel was told to leave out (`dd` in `smaps`). That is more than a dump has with the usual filter, and
//! less in one thing: the registers of the threads, which stand still here.
//!
//! The keys of single messages are counted and not judged: ciphers expand them on the stack, and those of
//! the last messages stay there until other calls use it (docs/THREAT-MODEL.md, "Memory").

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::derive::{BranchKey, DataKeySecret};
use vault_crypto_core::header::{COMPACT_MAGIC, Suite, parse};
use vault_crypto_core::xaes::XaesKey;
use vault_crypto_core::{HmacSha512Key, Scope, SecureBytes, WrapKind};

use super::needles::{Needles, PIECE};
use super::recorder::{Seen, serve};
use super::worker::{self, PLAINTEXT_LEN, RECORDS};

/// Set in the process under test: the seed of its plaintexts.
const SEED: &str = "VAULTKIT_TEST_DUMP_SEED";
/// Secrets that no dump may hold.
const NEVER: [&str; 5] = ["data key", "branch key", "body key", "header key", "plaintext"];

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
    assert!(inside.contains_key("body key"), "no key is where keys should be: {inside:?}");
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
    let secret = DataKeySecret::new(&SecureBytes::new(key.to_vec())).unwrap();
    needles.add_aes("body key", &secret.body_key(Suite::KcXaes256Gcm));
    secret
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
    let folder = format!("/proc/{}", worker.0.id());
    let memory = File::open(format!("{folder}/mem")).unwrap();
    let (mut inside, mut outside) = (Found::new(), Found::new());
    let mut bytes = Vec::new();
    let mut read = 0;
    for mapping in mappings(&fs::read_to_string(format!("{folder}/smaps")).unwrap()) {
        bytes.resize(mapping.end - mapping.start, 0);
        // What the kernel shows to nobody (`[vvar]`) it does not dump either.
        if memory.read_exact_at(&mut bytes, mapping.start as u64).is_err() {
            assert!(mapping.name.starts_with('['), "cannot read {}", mapping.name);
            continue;
        }
        read += bytes.len();
        let found = if mapping.left_out { &mut inside } else { &mut outside };
        let mut here = Found::new();
        needles.count(&bytes, &mut here);
        for (what, places) in here {
            let at = places.iter().map(|at| at + mapping.start);
            found.entry(what).or_default().extend(at);
            if !mapping.left_out {
                eprintln!("{what}: {} pieces of {PIECE} bytes in {}", places.len(), mapping.name);
            }
        }
    }
    eprintln!("read {} KiB of the process", read / 1_024);
    assert!(read > 1 << 20, "a process of less than 1 MiB was not read");
    (inside, outside)
}

struct Mapping {
    start: usize,
    end: usize,
    name: String,
    left_out: bool,
}

/// The readable mappings that `smaps` lists.
fn mappings(smaps: &str) -> Vec<Mapping> {
    let mut all: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let last = all.last_mut().unwrap();
            let mut flags = flags.split_whitespace();
            if !flags.clone().any(|flag| flag == "rd") {
                all.pop(); // a guard, or reserved
            } else {
                last.left_out = flags.any(|flag| flag == "dd");
            }
        } else if let Some((range, rest)) = line.split_once(' ')
            && let Some((start, end)) = range.split_once('-')
            && let (Ok(start), Ok(end)) =
                (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
        {
            let name = rest.split_whitespace().nth(4).unwrap_or("anonymous memory").to_owned();
            all.push(Mapping { start, end, name, left_out: false });
        }
    }
    all
}
