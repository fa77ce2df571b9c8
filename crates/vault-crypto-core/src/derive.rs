//! The derivations of docs/FORMAT.md section 3. The data key is never used directly: every use has
//! its own key, one block of HKDF-Expand with SHA-512.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

mod branch;
pub use branch::BranchKey;

use crate::header::{DATA_KEY_ID_LEN, Header, MAC_LEN, Suite};
use crate::{
    CryptoError, DATA_KEY_LEN, EncryptionContext, ErrorKind, Operation, Result, Scope, SecureBytes,
    wipe_stack,
};

const LABEL: &[u8] = b"vaultkit.v1/";

/// The data key of a message, from which everything else is derived.
///
/// It lies in one place on the heap, so that moving it, through a future for instance, leaves no copy.
/// Wiped on drop, together with what deriving from it left on the stack.
pub struct DataKeySecret(KeyBox);

/// 32 bytes that stay where they are when their owner moves.
type KeyBox = Box<Zeroizing<[u8; DATA_KEY_LEN]>>;

impl DataKeySecret {
    /// Copies the 32 bytes of `key`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for any other length.
    pub fn new(key: &SecureBytes) -> Result<Self> {
        let mut bytes = KeyBox::default();
        if key.len() != bytes.len() {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Primitive)
                .with_detail("a data key has 32 bytes"));
        }
        bytes.copy_from_slice(key.as_slice());
        Ok(Self(bytes))
    }

    /// `K_body[suite]`: the input key of the body's scheme.
    #[must_use]
    pub fn body_key(&self, suite: Suite) -> Zeroizing<[u8; 32]> {
        self.expand(b"body", &[suite.code()])
    }

    /// The public id of this data key: equal ids link messages.
    #[must_use]
    pub fn id(&self) -> [u8; DATA_KEY_ID_LEN] {
        *self.expand(b"key-id", &[])
    }

    /// The MAC of a header's covered part under the reader's or writer's own scope.
    #[must_use]
    pub fn header_mac(&self, covered: &[u8], scope: &Scope) -> [u8; MAC_LEN] {
        let key: Zeroizing<[u8; 64]> = self.expand(b"header", &[]);
        let mut mac = keyed(key.as_slice());
        // C <= 65,536 by the format, so the cast cannot lose anything.
        let covered_len = u32::try_from(covered.len()).unwrap_or(u32::MAX);
        update_label(&mut mac, b"header-mac");
        mac.update(&covered_len.to_be_bytes());
        mac.update(covered);
        mac.update(scope.canonical_pairs());
        first(&mac.finalize().into_bytes())
    }

    /// Fills in data key id and MAC of `header`: the bytes to write.
    ///
    /// # Errors
    /// As [`Header::encode`].
    pub fn seal_header(
        &self,
        header: &mut Header,
        scope: &Scope,
        body_len: Option<u64>,
    ) -> Result<Vec<u8>> {
        header.data_key_id = self.id();
        let mac = self.header_mac(&header.covered()?, scope);
        header.encode(&mac, body_len)
    }

    /// Whether id and MAC of a parsed header are this data key's, in constant time.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`].
    pub fn verify_header(
        &self,
        parsed: &crate::header::ParsedHeader<'_>,
        scope: &Scope,
    ) -> Result<()> {
        let same_id = self.id().ct_eq(&parsed.header.data_key_id);
        let same_mac = self.header_mac(parsed.covered, scope).ct_eq(parsed.mac);
        if bool::from(same_id & same_mac) {
            Ok(())
        } else {
            Err(CryptoError::authentication_failed(Operation::Open))
        }
    }

    /// The key of a branch, which stands in the data key's place in the branch's entry
    /// (docs/FORMAT.md section 8.4).
    #[must_use]
    pub fn into_branch_key(mut self) -> Box<Zeroizing<[u8; DATA_KEY_LEN]>> {
        std::mem::take(&mut self.0)
    }

    /// `E(DK, Lbl(name) || fields, N)`; N is at most 64, one block.
    fn expand<const N: usize>(&self, name: &[u8], fields: &[u8]) -> Zeroizing<[u8; N]> {
        expand(&self.0, name, &[fields])
    }
}

impl Drop for DataKeySecret {
    fn drop(&mut self) {
        self.0.zeroize();
        wipe_stack();
    }
}

impl std::fmt::Debug for DataKeySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKeySecret([REDACTED])")
    }
}

/// B, the body context: `Lbl("body-context") || suite || shape || body flags || pairs(scope) ||
/// pairs(context)`, at most 8,192 bytes.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where the context's pairs are not valid.
pub fn body_context(
    suite: Suite,
    shape: crate::header::Shape,
    body_flags: u8,
    scope: &Scope,
    context: &EncryptionContext,
) -> Result<Vec<u8>> {
    let context = context.canonical_pairs()?;
    let scope = scope.canonical_pairs();
    let mut out = Vec::with_capacity(32 + scope.len() + context.len());
    out.extend_from_slice(LABEL);
    out.extend_from_slice(b"body-context\0");
    out.extend_from_slice(&[suite.code(), shape.code(), body_flags]);
    out.extend_from_slice(scope);
    out.extend_from_slice(context);
    Ok(out)
}

/// The name of the branch that serves a scope: `SHA-512(Lbl("branch-name") || pairs(scope))[0..16]`.
#[must_use]
pub fn branch_name(scope: &Scope) -> [u8; 16] {
    let digest = Sha512::new()
        .chain_update(LABEL)
        .chain_update(b"branch-name\0")
        .chain_update(scope.canonical_pairs())
        .finalize();
    first(&digest)
}

/// The check value of one share: `SHA-512(Lbl("share") || share)[0..16]`.
#[must_use]
pub fn share_check(share: &[u8; 50]) -> [u8; 16] {
    let digest =
        Sha512::new().chain_update(LABEL).chain_update(b"share\0").chain_update(share).finalize();
    first(&digest)
}

/// `E(K, Lbl(name) || fields, N)`, one block of HKDF-Expand: N is at most 64.
fn expand<const N: usize>(
    key: &[u8; DATA_KEY_LEN],
    name: &[u8],
    fields: &[&[u8]],
) -> Zeroizing<[u8; N]> {
    let mut mac = keyed(key);
    update_label(&mut mac, name);
    fields.iter().for_each(|field| mac.update(field));
    mac.update(&[1]);
    let mut block = mac.finalize().into_bytes();
    let mut out = Zeroizing::new([0; N]);
    out.iter_mut().zip(&block).for_each(|(to, from)| *to = *from);
    block.as_mut_slice().zeroize();
    out
}

fn update_label(mac: &mut Hmac<Sha512>, name: &[u8]) {
    mac.update(LABEL);
    mac.update(name);
    mac.update(&[0]);
}

#[expect(clippy::expect_used, reason = "RFC 2104: HMAC takes keys of every length")]
fn keyed(key: &[u8]) -> Hmac<Sha512> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    // N <= 64, the length of the digest.
    out.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    out
}
