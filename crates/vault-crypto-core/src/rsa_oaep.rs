//! RSA-OAEP with SHA-256 (RFC 8017, section 7.1) through aws-lc-rs, for wrapping keys and other
//! short secrets. OAEP says nothing of who encrypted: anybody with the public key can.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};

use crate::{CryptoError, ErrorKind, Operation, Result, SecureBytes};

/// A new 3,072-bit private key as PKCS#8 DER. Takes a good part of a second.
///
/// # Errors
/// [`ErrorKind::Internal`] where aws-lc-rs fails.
pub fn generate() -> Result<SecureBytes> {
    let key = PrivateDecryptingKey::generate(KeySize::Rsa3072).map_err(|_| internal())?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| internal())?;
    Ok(SecureBytes::new(der.as_ref().to_vec()))
}

/// The public half of a private key, as SubjectPublicKeyInfo DER: what others encrypt to.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] unless `private` is an RSA key of 2,048 to 8,192 bits as PKCS#8 DER.
pub fn public_key(private: &[u8]) -> Result<Vec<u8>> {
    let public = parse_private(private)?.public_key();
    let der: PublicKeyX509Der<'_> = public.as_der().map_err(|_| internal())?;
    Ok(der.as_ref().to_vec())
}

/// A public key of 2,048 to 8,192 bits as SubjectPublicKeyInfo DER, written anew: one encoding for one
/// key, so that a digest of it can name the key.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] unless `public` is such a key.
pub fn canonical_public_key(public: &[u8]) -> Result<Vec<u8>> {
    let der: PublicKeyX509Der<'_> = parse_public(public)?.as_der().map_err(|_| internal())?;
    Ok(der.as_ref().to_vec())
}

/// Encrypts `plaintext` to the holder of the private half of `public`, bound to `label`.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] unless `public` is an RSA key as SubjectPublicKeyInfo DER;
/// [`ErrorKind::LimitExceeded`] for more than the key's length less 66 bytes.
pub fn encrypt(public: &[u8], plaintext: &[u8], label: &[u8]) -> Result<Vec<u8>> {
    let key = OaepPublicEncryptingKey::new(parse_public(public)?).map_err(|_| internal())?;
    if plaintext.len() > key.max_plaintext_size(&OAEP_SHA256_MGF1SHA256) {
        return Err(CryptoError::new(ErrorKind::LimitExceeded, Operation::Primitive)
            .with_detail("RSA-OAEP takes the key's length less 66 bytes; encrypt a key with it"));
    }
    let mut out = vec![0; key.ciphertext_size()];
    let len = key
        .encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut out, some(label))
        .map_err(|_| internal())?
        .len();
    out.truncate(len);
    Ok(out)
}

/// Decrypts with a private key as PKCS#8 DER.
///
/// # Errors
/// [`ErrorKind::AuthenticationFailed`] for any mismatch; [`ErrorKind::InvalidInput`] unless
/// `private` is an RSA key as PKCS#8 DER.
pub fn decrypt(private: &[u8], ciphertext: &[u8], label: &[u8]) -> Result<SecureBytes> {
    let key = OaepPrivateDecryptingKey::new(parse_private(private)?).map_err(|_| internal())?;
    let mut out = SecureBytes::zeroed(key.min_output_size());
    let len = key
        .decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, out.as_mut_slice(), some(label))
        .map_err(|_| CryptoError::authentication_failed(Operation::Primitive))?
        .len();
    out.truncate(len);
    Ok(out)
}

fn parse_public(public: &[u8]) -> Result<PublicEncryptingKey> {
    PublicEncryptingKey::from_der(public)
        .map_err(|_| invalid("not an RSA public key as SubjectPublicKeyInfo DER"))
}

fn parse_private(private: &[u8]) -> Result<PrivateDecryptingKey> {
    PrivateDecryptingKey::from_pkcs8(private)
        .map_err(|_| invalid("not an RSA private key as PKCS#8 DER"))
}

fn some(label: &[u8]) -> Option<&[u8]> {
    (!label.is_empty()).then_some(label)
}

fn invalid(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Primitive).with_detail(why)
}

#[cold]
fn internal() -> CryptoError {
    CryptoError::new(ErrorKind::Internal, Operation::Primitive).with_detail("aws-lc-rs failed")
}
