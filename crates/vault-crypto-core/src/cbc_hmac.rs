//! A256CBC-HS512 (RFC 7518, section 5.2.5): AES-256-CBC, then HMAC-SHA-512 over all of it. It is
//! here to read old data, and to write data that an old reader needs; no message suite uses it.
//!
//! Left to others: choosing an initialisation vector that nobody can predict
//! ([`CryptoEngine`](crate::engine) does).

use aes::Aes256;
use cbc::{Decryptor, Encryptor};
use cipher::block_padding::Pkcs7;
use cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use hmac::Mac as _;

use crate::{CryptoError, ErrorKind, Operation, Result, SecureBytes, constant_time_eq, mac};

/// Length of a key in bytes: 32 for the MAC, then 32 for AES.
pub const KEY_LEN: usize = 64;
/// Length of an initialisation vector in bytes.
pub const IV_LEN: usize = 16;
/// Length of a tag in bytes: half of HMAC-SHA-512.
pub const TAG_LEN: usize = 32;

/// Encrypts, and gives ciphertext (padded to whole blocks) and tag.
///
/// `iv` must be random and new for each message.
///
/// # Errors
/// [`ErrorKind::Internal`] for a defect of the cipher crate; no input leads to it.
pub fn encrypt(
    key: &[u8; KEY_LEN],
    iv: &[u8; IV_LEN],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<(Vec<u8>, [u8; TAG_LEN])> {
    let (mac_key, aes_key) = key.split_at(32);
    let padded = (plaintext.len() / 16 + 1) * 16;
    let mut buffer = Vec::with_capacity(padded); // never moved: a move would leave plaintext behind
    buffer.extend_from_slice(plaintext);
    buffer.resize(padded, 0);
    let cipher = Encryptor::<Aes256>::new_from_slices(aes_key, iv).map_err(|_| impossible())?;
    cipher.encrypt_padded::<Pkcs7>(&mut buffer, plaintext.len()).map_err(|_| impossible())?;
    let tag = tag(mac_key, aad, iv, &buffer);
    Ok((buffer, tag))
}

/// Checks the tag in constant time, then decrypts.
///
/// # Errors
/// [`ErrorKind::AuthenticationFailed`] for any mismatch, wrong padding included.
pub fn decrypt(
    key: &[u8; KEY_LEN],
    iv: &[u8; IV_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    expected: &[u8; TAG_LEN],
) -> Result<SecureBytes> {
    let (mac_key, aes_key) = key.split_at(32);
    if !constant_time_eq(&tag(mac_key, aad, iv, ciphertext), expected) {
        return Err(CryptoError::authentication_failed(Operation::Primitive));
    }
    // From here on the ciphertext is what the key's holder made, so padding is no oracle.
    let mut buffer = SecureBytes::new(ciphertext.to_vec());
    let cipher = Decryptor::<Aes256>::new_from_slices(aes_key, iv).map_err(|_| impossible())?;
    let len = cipher
        .decrypt_padded::<Pkcs7>(buffer.as_mut_slice())
        .map_err(|_| CryptoError::authentication_failed(Operation::Primitive))?
        .len();
    buffer.truncate(len);
    Ok(buffer)
}

/// M = HMAC(A || IV || E || AL), AL the length of A in bits; T is its first half.
fn tag(mac_key: &[u8], aad: &[u8], iv: &[u8], ciphertext: &[u8]) -> [u8; TAG_LEN] {
    let mut mac = mac::keyed_512(mac_key);
    mac.update(aad);
    mac.update(iv);
    mac.update(ciphertext);
    mac.update(&(aad.len() as u64 * 8).to_be_bytes());
    let full: [u8; 64] = mac.finalize().into_bytes().into();
    let mut half = [0; TAG_LEN];
    half.copy_from_slice(full.split_at(TAG_LEN).0);
    half
}

#[cold]
fn impossible() -> CryptoError {
    CryptoError::new(ErrorKind::Internal, Operation::Primitive)
        .with_detail("AES-CBC refused lengths that are right")
}
