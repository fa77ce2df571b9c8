//! A KMS at the other end of a socket, which remembers every key it handed out. The process under test
//! has nothing of it but the keys it was given.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::Mutex;

use async_trait::async_trait;
use vault_crypto_core::{
    Capabilities, DataKey, HealthStatus, KeyId, KeyInfo, KeyState, KeyVersion, KmsProvider,
    RandomSource as _, Result, Scope, SecureBytes, SystemRandom, WrapContext, WrapKind, WrappedKey,
};

const GENERATE: u8 = b'g';
const UNWRAP: u8 = b'u';
const RECORD: u8 = b'r';
const STREAM: u8 = b's';
const DONE: u8 = b'd';

pub(super) const KEY_ID: &str = "recorder:memory#app";

/// What the recorder saw.
#[derive(Default)]
pub(super) struct Seen {
    /// Every key that was made, in order: its number is its wrapped form.
    pub(super) keys: Vec<(WrapKind, [u8; 32])>,
    /// Every record that the process sealed.
    pub(super) records: Vec<Vec<u8>>,
    /// Header, salt and commitment of every stream that it holds open.
    pub(super) streams: Vec<Vec<u8>>,
}

/// Answers until the process is done, or gone.
pub(super) fn serve(mut socket: impl std::io::Read + std::io::Write) -> Seen {
    let mut seen = Seen::default();
    let mut request = [0; 9];
    while socket.read_exact(&mut request).is_ok() {
        let argument = u64::from_le_bytes(request[1..].try_into().unwrap()) as usize;
        match request[0] {
            GENERATE => {
                let mut key = [0; 32];
                SystemRandom::new().fill(&mut key).unwrap();
                let kind = if argument == 3 { WrapKind::BranchKey } else { WrapKind::DataKey };
                seen.keys.push((kind, key));
                socket.write_all(&(seen.keys.len() as u64 - 1).to_le_bytes()).unwrap();
                socket.write_all(&key).unwrap();
            }
            UNWRAP => socket.write_all(&seen.keys[argument].1).unwrap(),
            what @ (RECORD | STREAM) => {
                let mut bytes = vec![0; argument];
                socket.read_exact(&mut bytes).unwrap();
                let seen = if what == RECORD { &mut seen.records } else { &mut seen.streams };
                seen.push(bytes);
            }
            _ => break,
        }
    }
    seen
}

/// The same KMS as the process under test sees it: a socket as its standard input. Keys are read
/// straight into memory that wipes itself.
pub(super) struct RecorderKms(Mutex<File>);

impl RecorderKms {
    pub(super) fn on_stdin() -> Self {
        let stdin = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned();
        Self(Mutex::new(stdin.expect("a descriptor is free").into()))
    }

    pub(super) fn record(&self, sealed: &[u8]) {
        self.tell(RECORD, sealed);
    }

    pub(super) fn stream(&self, start: &[u8]) {
        self.tell(STREAM, start);
    }

    fn tell(&self, what: u8, bytes: &[u8]) {
        let mut socket = self.0.lock().unwrap();
        socket.write_all(&request(what, bytes.len() as u64)).unwrap();
        socket.write_all(bytes).unwrap();
    }

    pub(super) fn done(&self) {
        self.0.lock().unwrap().write_all(&request(DONE, 0)).unwrap();
    }
}

fn request(what: u8, argument: u64) -> [u8; 9] {
    let mut request = [what; 9];
    request[1..].copy_from_slice(&argument.to_le_bytes());
    request
}

#[async_trait]
impl KmsProvider for RecorderKms {
    fn provider_type(&self) -> &'static str {
        "recorder"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        Some(key_id.clone())
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        let mut socket = self.0.lock().unwrap();
        socket.write_all(&request(GENERATE, context.kind.code().into())).unwrap();
        let (mut number, mut key) = ([0; 8], SecureBytes::zeroed(32));
        socket.read_exact(&mut number).unwrap();
        socket.read_exact(key.as_mut_slice()).unwrap();
        let version = KeyVersion::from(1);
        DataKey::new(key, WrappedKey::new(number.to_vec(), key_id.clone(), version))
    }

    async fn decrypt_data_key(&self, wrapped: &WrappedKey, _: &WrapContext) -> Result<SecureBytes> {
        let number = u64::from_le_bytes(wrapped.bytes.as_slice().try_into().unwrap());
        let mut socket = self.0.lock().unwrap();
        socket.write_all(&request(UNWRAP, number)).unwrap();
        let mut key = SecureBytes::zeroed(32);
        socket.read_exact(key.as_mut_slice()).unwrap();
        Ok(key)
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        Ok(KeyInfo::new(key_id.clone(), KeyState::Enabled))
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        Ok(HealthStatus::healthy("listening"))
    }

    async fn wrap_data_key(
        &self,
        _: &KeyId,
        _: &SecureBytes,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        unreachable!("nothing here wraps a key of its own")
    }

    async fn rewrap_data_key(
        &self,
        _: &WrappedKey,
        _: &KeyId,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        unreachable!("nothing here rewraps")
    }

    async fn encrypt(&self, _: &KeyId, _: &[u8], _: &Scope) -> Result<Vec<u8>> {
        unreachable!("nothing here encrypts at the KMS")
    }

    async fn decrypt(&self, _: &KeyId, _: &[u8], _: &Scope) -> Result<SecureBytes> {
        unreachable!("nothing here decrypts at the KMS")
    }
}
