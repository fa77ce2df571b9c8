//! The message header of docs/FORMAT.md sections 4 to 6: its types, its strict parser, its encoder.
//!
//! Nothing here knows a key: a parsed header is unverified until its MAC is checked
//! ([`derive`](crate::derive), feature `header-mac`). Left to `vault-envelope`: bodies and opening.

mod encode;
mod parse;
mod slot;

pub use parse::{ParsedHeader, Prefix, parse, parse_prefix};
pub use slot::{Binding, Slot, SlotKind};

/// First four bytes of a message with a header: magic and format version.
pub const MAGIC: [u8; 4] = [0xF6, b'v', b'k', 1];
/// First two bytes of a compact record: magic and format version.
pub const COMPACT_MAGIC: [u8; 2] = [0xF7, 1];
/// Bytes before the covered part: magic, header length, covered length.
pub const PREFIX_LEN: usize = 12;
/// Longest header in bytes, padding included.
pub const MAX_HEADER_LEN: usize = 65_536;
/// Most key slots in a header.
pub const MAX_SLOTS: usize = 16;
/// Most extensions in a header.
pub const MAX_EXTENSIONS: usize = 32;
/// Length of the header MAC.
pub const MAC_LEN: usize = 32;
/// Length of a message id: the body's salt or nonce.
pub const MESSAGE_ID_LEN: usize = 24;
/// Length of a data key id.
pub const DATA_KEY_ID_LEN: usize = 16;
/// Where a body of 1 MiB or more, or of unknown length, starts: a multiple of this, so that file
/// systems can share its blocks when a rewrap writes a new header.
pub const BODY_ALIGNMENT: usize = 4_096;
/// Bodies from this plaintext length on start on [`BODY_ALIGNMENT`].
pub const ALIGN_FROM: u64 = 1 << 20;

/// How a body is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Suite {
    /// 1: c2sp.org/chunked-encryption with AES-256-GCM and SHA-512 (Cobblestone-256).
    Cobblestone256,
    /// 2: the same scheme with ChaCha20-Poly1305 (RFC 8439).
    ChunkedChaCha20Poly1305,
    /// 3: XAES-256-GCM with key commitment; records only.
    KcXaes256Gcm,
}

impl Suite {
    /// The byte that stands for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Cobblestone256 => 1,
            Self::ChunkedChaCha20Poly1305 => 2,
            Self::KcXaes256Gcm => 3,
        }
    }

    /// The suite of a byte; `None` for reserved and unknown ones.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Cobblestone256),
            2 => Some(Self::ChunkedChaCha20Poly1305),
            3 => Some(Self::KcXaes256Gcm),
            _ => None,
        }
    }

    /// A name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cobblestone256 => "AES-256-GCM chunks (Cobblestone-256)",
            Self::ChunkedChaCha20Poly1305 => "ChaCha20-Poly1305 chunks",
            Self::KcXaes256Gcm => "XAES-256-GCM with key commitment",
        }
    }

    /// Whether the body is made of chunks.
    #[must_use]
    pub const fn is_chunked(self) -> bool {
        !matches!(self, Self::KcXaes256Gcm)
    }
}

/// What the header belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shape {
    /// 1: a value with its body right behind the header.
    Record,
    /// 2: a stream, its body behind the header or detached from it.
    Stream,
    /// 3: a stored data key or branch key, without a body.
    KeyEntry,
}

impl Shape {
    /// The byte that stands for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Record => 1,
            Self::Stream => 2,
            Self::KeyEntry => 3,
        }
    }

    /// The shape of a byte.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Record),
            2 => Some(Self::Stream),
            3 => Some(Self::KeyEntry),
            _ => None,
        }
    }
}

/// Extra data in the covered part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extension {
    /// 1 scope, 2 context, 3 branch; from 0x8000 on critical.
    pub kind: u16,
    /// The extension's bytes.
    pub bytes: Vec<u8>,
}

impl Extension {
    /// The canonical pairs of the scope.
    pub const SCOPE: u16 = 1;
    /// The canonical pairs of the context (never written by default).
    pub const CONTEXT: u16 = 2;
    /// Branch name (16 bytes) and u32 branch version.
    pub const BRANCH: u16 = 3;
    /// From here on an unknown extension means: refuse.
    pub const CRITICAL: u16 = 0x8000;

    /// An extension of `kind`.
    #[must_use]
    pub fn new(kind: u16, bytes: Vec<u8>) -> Self {
        Self { kind, bytes }
    }
}

/// A header's content, without its MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// How the body is encrypted.
    pub suite: Suite,
    /// What the header belongs to.
    pub shape: Shape,
    /// Body flag 0: the plaintext is followed by zeros and its own length.
    pub padded: bool,
    /// Header flag 0: this data key serves this message alone.
    pub exclusive: bool,
    /// How many slots must open: 1, or more with shares.
    pub threshold: u8,
    /// Counts changes of the covered part.
    pub epoch: u32,
    /// Derived from the data key; equal ids link messages.
    pub data_key_id: [u8; DATA_KEY_ID_LEN],
    /// The body's salt or nonce; zero for SHARED records and key entries.
    pub message_id: [u8; MESSAGE_ID_LEN],
    /// Names one dealing of shares; zero if the threshold is 1.
    pub share_set: [u8; 16],
    /// Extensions, ascending by kind.
    pub extensions: Vec<Extension>,
    /// Who may open.
    pub slots: Vec<Slot>,
}

impl Header {
    /// A header of one data key with threshold 1 and nothing in it yet.
    #[must_use]
    pub fn new(suite: Suite, shape: Shape) -> Self {
        Self {
            suite,
            shape,
            padded: false,
            exclusive: false,
            threshold: 1,
            epoch: 0,
            data_key_id: [0; DATA_KEY_ID_LEN],
            message_id: [0; MESSAGE_ID_LEN],
            share_set: [0; 16],
            extensions: Vec::new(),
            slots: Vec::new(),
        }
    }

    /// The extension of `kind`, if there.
    #[must_use]
    pub fn extension(&self, kind: u16) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.kind == kind)
    }

    /// The stored scope (unverified like all of the header), if there.
    #[must_use]
    pub fn stored_scope(&self) -> Option<crate::Scope> {
        self.extension(Extension::SCOPE).and_then(|e| crate::Scope::from_canonical(&e.bytes))
    }

    /// The body flags byte of docs/FORMAT.md.
    #[must_use]
    pub const fn body_flags(&self) -> u8 {
        self.padded as u8
    }

    /// Whether the message id must equal the body's first 24 bytes (otherwise it is zero).
    #[must_use]
    pub const fn names_message(&self) -> bool {
        match self.shape {
            Shape::Record => self.exclusive,
            Shape::Stream => true,
            Shape::KeyEntry => false,
        }
    }
}
