//! One test vector, how it is begun, and how it is written.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha512};
use vault_crypto_core::derive::{DataKeySecret, body_context};
use vault_crypto_core::header::{Shape, Suite};
use vault_crypto_core::{EncryptionContext, RandomSource, Scope, SecureBytes};
use vault_envelope::hazmat::Body;
use vault_envelope::{EnvelopeBuilder, EnvelopeEncryption};

use super::{FixedKms, KEY_ID};

pub(super) const SUITES: [Suite; 3] =
    [Suite::Cobblestone256, Suite::ChunkedChaCha20Poly1305, Suite::KcXaes256Gcm];

/// Failure classes of docs/FORMAT.md section 1.3.
pub(super) const MALFORMED: &str = "malformed";
pub(super) const UNSUPPORTED: &str = "unsupported";
pub(super) const KEY_NOT_ALLOWED: &str = "key_not_allowed";
pub(super) const AUTHENTICATION_FAILED: &str = "authentication_failed";

type Pairs = Vec<(String, String)>;

/// A vector whose bytes are still to come, and the keys and salts that its name gives it.
#[derive(Clone)]
pub(super) struct Draft {
    name: String,
    comment: String,
    pub(super) scope: Pairs,
    pub(super) context: Pairs,
}

/// A whole vector.
pub(super) struct Vector {
    draft: Draft,
    key_name: &'static str,
    key: [u8; 32],
    sealed: Vec<(&'static str, Vec<u8>)>,
    plaintext: Option<Vec<u8>>,
    result: &'static str,
}

/// A vector in scope {tenant: acme} with context {table: cards, row: 42}.
pub(super) fn draft(name: impl Into<String>, comment: impl Into<String>) -> Draft {
    Draft {
        name: name.into(),
        comment: comment.into(),
        scope: pairs(&[("tenant", "acme")]),
        context: pairs(&[("table", "cards"), ("row", "42")]),
    }
}

pub(super) fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Text-like bytes, different from place to place.
pub(super) fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + ((at * 7 + (at >> 8) * 3) % 26) as u8).collect()
}

impl Draft {
    pub(super) fn in_pairs(mut self, scope: &[(&str, &str)], context: &[(&str, &str)]) -> Self {
        self.scope = pairs(scope);
        self.context = pairs(context);
        self
    }

    /// Bytes that belong to this vector and `purpose` alone.
    pub(super) fn bytes<const N: usize>(&self, purpose: &str) -> [u8; N] {
        let digest = Sha512::digest(format!("vaultkit vectors/{purpose}/{}", self.name));
        *digest.first_chunk().unwrap()
    }

    pub(super) fn key(&self) -> [u8; 32] {
        self.bytes("data key")
    }

    pub(super) fn secret(&self) -> DataKeySecret {
        secret_of(&self.key())
    }

    pub(super) fn salt(&self) -> [u8; 24] {
        self.bytes("salt")
    }

    pub(super) fn scope(&self) -> Scope {
        Scope::new(self.scope.clone()).unwrap()
    }

    pub(super) fn context(&self) -> EncryptionContext {
        EncryptionContext::try_new(self.context.clone()).unwrap()
    }

    /// The library itself, over a KMS that hands out this vector's data key; each record has a key of
    /// its own.
    pub(super) fn envelope(&self) -> EnvelopeBuilder {
        EnvelopeEncryption::builder(Arc::new(FixedKms::new(self.key())), KEY_ID)
            .without_cache()
            .scope(self.scope.clone())
            .random(Arc::new(NamedRandom(self.salt())))
    }

    /// A body under this vector's data key and salt.
    pub(super) fn body(&self, suite: Suite, shape: Shape, flags: u8, content: &[u8]) -> Vec<u8> {
        self.body_under(&self.secret(), suite, shape, flags, content)
    }

    pub(super) fn body_under(
        &self,
        secret: &DataKeySecret,
        suite: Suite,
        shape: Shape,
        flags: u8,
        content: &[u8],
    ) -> Vec<u8> {
        let bound = body_context(suite, shape, flags, &self.scope(), &self.context()).unwrap();
        Body::of_suite(secret, suite, None).seal(&self.salt(), &bound, content).unwrap()
    }

    pub(super) fn opens(self, message: Vec<u8>, plaintext: &[u8]) -> Vector {
        let mut vector = self.refused(message, "ok");
        vector.plaintext = Some(plaintext.to_vec());
        vector
    }

    pub(super) fn refused(self, message: Vec<u8>, result: &'static str) -> Vector {
        let key = self.key();
        let sealed = vec![("message", message)];
        Vector { draft: self, key_name: "data_key", key, sealed, plaintext: None, result }
    }
}

impl Vector {
    /// The same vector with header and body apart.
    pub(super) fn detached(mut self, header: Vec<u8>, body: Vec<u8>) -> Self {
        self.sealed = vec![("header", header), ("body", body)];
        self
    }

    /// The same vector for a reader that was given a branch key.
    pub(super) fn with_branch_key(mut self, key: [u8; 32]) -> Self {
        self.key_name = "branch_key";
        self.key = key;
        self
    }

    /// The same bytes, for a reader who is not to open them.
    pub(super) fn refused_to_reader(mut self) -> Self {
        self.plaintext = None;
        self.result = AUTHENTICATION_FAILED;
        self
    }

    /// The same vector for a reader that has other pairs or another key.
    pub(super) fn for_reader(mut self, change: impl FnOnce(&mut Draft, &mut [u8; 32])) -> Self {
        change(&mut self.draft, &mut self.key);
        self
    }
}

pub(super) fn secret_of(key: &[u8; 32]) -> DataKeySecret {
    DataKeySecret::new(&SecureBytes::new(key.to_vec())).unwrap()
}

/// The same salt every time: a vector seals one body.
#[derive(Debug)]
struct NamedRandom([u8; 24]);

impl RandomSource for NamedRandom {
    fn fill(&self, out: &mut [u8]) -> vault_crypto_core::Result<()> {
        out.copy_from_slice(&self.0[..out.len()]);
        Ok(())
    }
}

/// The vectors as JSON, one field a line.
pub(super) fn render(vectors: &[Vector]) -> String {
    let objects: Vec<String> = vectors.iter().map(object).collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

fn object(vector: &Vector) -> String {
    let Vector { draft, key_name, key, sealed, plaintext, result } = vector;
    let mut fields = vec![
        ("name", text(&draft.name)),
        ("comment", text(&draft.comment)),
        (*key_name, text(&hex::encode(key))),
        ("scope", map(&draft.scope)),
        ("context", map(&draft.context)),
    ];
    fields.extend(sealed.iter().map(|(name, bytes)| (*name, text(&hex::encode(bytes)))));
    fields.extend(plaintext.iter().map(|bytes| ("plaintext", text(&hex::encode(bytes)))));
    fields.push(("result", text(result)));
    let lines: Vec<String> =
        fields.iter().map(|(name, value)| format!("    \"{name}\": {value}")).collect();
    format!("  {{\n{}\n  }}", lines.join(",\n"))
}

fn map(pairs: &Pairs) -> String {
    let entries: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect();
    format!("{{{}}}", entries.join(", "))
}

/// A JSON string in ASCII, so that no reader depends on its editor.
fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for unit in value.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ (b'"' | b'\\')) => out.extend(['\\', char::from(byte)]),
            Ok(byte @ 0x20..0x7f) => out.push(char::from(byte)),
            _ => write!(out, "\\u{unit:04x}").unwrap(),
        }
    }
    out.push('"');
    out
}
