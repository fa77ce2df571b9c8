//! Headers with anything in them: what the library's own encoder would not write.

use vault_crypto_core::Scope;
use vault_crypto_core::derive::DataKeySecret;

use super::fixed_kms::{KEY_ID, wrapped_bytes};
use super::vector::Draft;

/// A header, every field free.
#[derive(Clone)]
pub(super) struct RawHeader {
    pub(super) suite: u8,
    pub(super) shape: u8,
    pub(super) body_flags: u8,
    pub(super) header_flags: u8,
    pub(super) threshold: u8,
    /// The number of slots it says it has, where that is not the truth.
    pub(super) count: Option<u8>,
    pub(super) zero: [u8; 2],
    pub(super) epoch: u32,
    pub(super) message_id: [u8; 24],
    pub(super) share_set: [u8; 16],
    pub(super) extensions: Vec<(u16, Vec<u8>)>,
    pub(super) slots: Vec<RawSlot>,
    /// Bytes behind the last descriptor.
    pub(super) tail: Vec<u8>,
    pub(super) padding: Vec<u8>,
}

/// A slot, every field free.
#[derive(Clone)]
pub(super) struct RawSlot {
    pub(super) kind: u8,
    pub(super) binding: u8,
    pub(super) share_index: u8,
    pub(super) zero: u8,
    pub(super) key_id: Vec<u8>,
    pub(super) parameters: Vec<u8>,
    /// Share check, or bytes that should not be there.
    pub(super) tail: Vec<u8>,
    pub(super) version: Vec<u8>,
    pub(super) wrapped: Vec<u8>,
}

impl RawHeader {
    /// A SHARED header of one slot with the scope stored.
    pub(super) fn shared(draft: &Draft, suite: u8, shape: u8) -> Self {
        Self {
            suite,
            shape,
            body_flags: 0,
            header_flags: 0,
            threshold: 1,
            count: None,
            zero: [0; 2],
            epoch: 0,
            message_id: [0; 24],
            share_set: [0; 16],
            extensions: vec![(1, draft.scope().canonical_pairs().to_vec())],
            slots: vec![RawSlot::local()],
            tail: Vec::new(),
            padding: Vec::new(),
        }
    }

    /// An EXCLUSIVE header of one slot that names the draft's salt.
    pub(super) fn exclusive(draft: &Draft, suite: u8, shape: u8) -> Self {
        let message_id = draft.salt();
        Self { header_flags: 1, message_id, ..Self::shared(draft, suite, shape) }
    }

    /// The header's bytes with key id and MAC of `secret`.
    pub(super) fn seal(&self, secret: &DataKeySecret, scope: &Scope) -> Vec<u8> {
        let covered = self.covered(&secret.id());
        let mac = secret.header_mac(&covered, scope);
        let mut rest = [covered.as_slice(), mac.as_slice()].concat();
        for slot in &self.slots {
            rest.extend([field(&slot.version), field(&slot.wrapped)].concat());
        }
        rest.extend_from_slice(&self.padding);
        let lengths = [12 + rest.len(), covered.len()].map(|len| (len as u32).to_be_bytes());
        [b"\xF6vk\x01".as_slice(), &lengths.concat(), &rest].concat()
    }

    fn covered(&self, key_id: &[u8; 16]) -> Vec<u8> {
        let extensions: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|(kind, bytes)| [kind.to_be_bytes().to_vec(), field(bytes)].concat())
            .collect();
        let count = self.count.unwrap_or(self.slots.len() as u8);
        let mut out = vec![self.suite, self.shape, self.body_flags, self.header_flags];
        out.extend_from_slice(&[self.threshold, count]);
        out.extend_from_slice(&self.zero);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(key_id);
        out.extend_from_slice(&self.message_id);
        out.extend_from_slice(&self.share_set);
        out.extend(field(&extensions));
        for slot in &self.slots {
            out.extend(field(&slot.descriptor()));
        }
        out.extend_from_slice(&self.tail);
        out
    }
}

impl RawSlot {
    /// A slot of the embedded KMS, the one that readers under test may use.
    pub(super) fn local() -> Self {
        Self::of_kind(1, KEY_ID)
    }

    pub(super) fn of_kind(kind: u8, key_id: &str) -> Self {
        Self {
            kind,
            binding: 1,
            share_index: 0,
            zero: 0,
            key_id: key_id.as_bytes().to_vec(),
            parameters: Vec::new(),
            tail: Vec::new(),
            version: b"1".to_vec(),
            wrapped: wrapped_bytes(),
        }
    }

    pub(super) fn missing(mut self) -> Self {
        self.version.clear();
        self.wrapped.clear();
        self
    }

    fn descriptor(&self) -> Vec<u8> {
        let head = vec![self.kind, self.binding, self.share_index, self.zero];
        [head, field(&self.key_id), field(&self.parameters), self.tail.clone()].concat()
    }
}

/// `u16 length || bytes`.
pub(super) fn field(bytes: &[u8]) -> Vec<u8> {
    [(bytes.len() as u16).to_be_bytes().as_slice(), bytes].concat()
}

/// The encoding of pairs, in the order given and unchecked.
pub(super) fn raw_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
    let mut out = (pairs.len() as u16).to_be_bytes().to_vec();
    for (name, value) in pairs {
        out.extend([field(name.as_ref()), field(value.as_ref())].concat());
    }
    out
}
