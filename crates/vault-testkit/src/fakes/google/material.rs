//! Key material and what is done with it: AES-256-GCM and RSA-OAEP, both for real.
//!
//! A ciphertext has the shape of the real service's (see the recorded traffic): a protobuf message of two
//! byte fields, the first of which says with which key and version it was made. Every byte of it is
//! authenticated. Left to others: whether the version may be used; the wording of errors.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use gcloud_sdk::google::cloud::kms::v1::crypto_key_version::CryptoKeyVersionAlgorithm as Algorithm;

use super::wire;

/// Length of the first field, and of what precedes the nonce in the second one. With the checksum that is
/// sealed beside the plaintext, a ciphertext is as long as the real service's.
const FIRST: usize = 37;
const PREFIX: usize = 5;

/// What names a version in its ciphertexts.
pub(super) type Tag = [u8; 16];

/// The secrets of one version.
pub(super) enum Material {
    Symmetric(LessSafeKey),
    Rsa { key: PrivateDecryptingKey, algorithm: &'static OaepAlgorithm },
}

/// That it does not authenticate.
#[derive(Debug)]
pub(super) struct Refused;

impl Material {
    /// # Panics
    /// If the system has no randomness.
    #[expect(clippy::expect_used, reason = "a test without randomness cannot go on")]
    pub(super) fn generate(algorithm: Algorithm) -> Self {
        if let Some((size, algorithm)) = rsa(algorithm) {
            let key = PrivateDecryptingKey::generate(size).expect("the system has randomness");
            return Self::Rsa { key, algorithm };
        }
        let key = UnboundKey::new(&AES_256_GCM, &random::<32>()).expect("32 bytes are a key");
        Self::Symmetric(LessSafeKey::new(key))
    }

    /// `None` where the material is not symmetric.
    #[expect(clippy::expect_used, reason = "64 KiB are never too much for AES-GCM")]
    pub(super) fn encrypt(&self, tag: &Tag, plaintext: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let Self::Symmetric(key) = self else { return None };
        let mut first = vec![0];
        first.extend_from_slice(tag);
        first.extend_from_slice(&random::<{ FIRST - 1 - size_of::<Tag>() }>());
        let mut second = random::<PREFIX>().to_vec();
        if let Some(kind) = second.first_mut() {
            *kind = 0;
        }
        let bound = bound(&first, &second, aad);
        let nonce = random::<NONCE_LEN>();
        let mut sealed = Vec::new();
        wire::put(&mut sealed, 1, plaintext);
        wire::put_number(&mut sealed, 2, crc32c::crc32c(plaintext).into());
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(&bound),
            &mut sealed,
        )
        .expect("64 KiB are never too much for AES-GCM");
        second.extend_from_slice(&nonce);
        second.extend_from_slice(&sealed);
        let mut ciphertext = Vec::new();
        wire::put(&mut ciphertext, 1, &first);
        wire::put(&mut ciphertext, 2, &second);
        Some(ciphertext)
    }

    pub(super) fn decrypt(
        &self,
        ciphertext: &Ciphertext<'_>,
        aad: &[u8],
    ) -> Result<Vec<u8>, Refused> {
        let Self::Symmetric(key) = self else { return Err(Refused) };
        let (prefix, rest) = ciphertext.second.split_at_checked(PREFIX).ok_or(Refused)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(Refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Refused)?;
        let mut opened = sealed.to_vec();
        let bound = bound(ciphertext.first, prefix, aad);
        let opened = key.open_in_place(nonce, Aad::from(&bound), &mut opened);
        let mut opened: &[u8] = opened.map_err(|_| Refused)?;
        wire::take(&mut opened, 1).map(<[u8]>::to_vec).ok_or(Refused)
    }

    /// `None` where the material is not RSA.
    pub(super) fn asymmetric_decrypt(&self, ciphertext: &[u8]) -> Option<Result<Vec<u8>, Refused>> {
        let Self::Rsa { key, algorithm } = self else { return None };
        let decrypt = || {
            let key = OaepPrivateDecryptingKey::new(key.clone()).map_err(|_| Refused)?;
            let mut plaintext = vec![0; key.min_output_size()];
            let len = key.decrypt(algorithm, ciphertext, &mut plaintext, None);
            let len = len.map_err(|_| Refused)?.len();
            plaintext.truncate(len);
            Ok(plaintext)
        };
        Some(decrypt())
    }

    /// The public key (SPKI, DER), or `None` where there is none.
    #[expect(clippy::expect_used, reason = "a key that was generated can be written")]
    pub(super) fn public_key(&self) -> Option<Vec<u8>> {
        let Self::Rsa { key, .. } = self else { return None };
        let der: PublicKeyX509Der<'_> = key.public_key().as_der().expect("it was generated");
        Some(der.as_ref().to_vec())
    }
}

/// What an encryption authenticates besides the plaintext.
fn bound(first: &[u8], prefix: &[u8], aad: &[u8]) -> Vec<u8> {
    [first, prefix, aad].concat() // the first two have fixed lengths
}

/// The two fields of a ciphertext.
pub(super) struct Ciphertext<'a> {
    first: &'a [u8],
    second: &'a [u8],
}

impl<'a> Ciphertext<'a> {
    /// `None` for bytes that no encryption made.
    pub(super) fn parse(mut bytes: &'a [u8]) -> Option<Self> {
        let first = wire::take(&mut bytes, 1)?;
        let second = wire::take(&mut bytes, 2)?;
        (bytes.is_empty() && first.len() == FIRST).then_some(Self { first, second })
    }

    /// Whether it says that the version with this tag made it.
    pub(super) fn made_by(&self, tag: &Tag) -> bool {
        self.first.get(1..=tag.len()) == Some(tag.as_slice())
    }
}

/// Key size and padding of the algorithms for `AsymmetricDecrypt`.
fn rsa(algorithm: Algorithm) -> Option<(KeySize, &'static OaepAlgorithm)> {
    Some(match algorithm {
        Algorithm::RsaDecryptOaep2048Sha1 => (KeySize::Rsa2048, &OAEP_SHA1_MGF1SHA1),
        Algorithm::RsaDecryptOaep3072Sha1 => (KeySize::Rsa3072, &OAEP_SHA1_MGF1SHA1),
        Algorithm::RsaDecryptOaep4096Sha1 => (KeySize::Rsa4096, &OAEP_SHA1_MGF1SHA1),
        Algorithm::RsaDecryptOaep2048Sha256 => (KeySize::Rsa2048, &OAEP_SHA256_MGF1SHA256),
        Algorithm::RsaDecryptOaep3072Sha256 => (KeySize::Rsa3072, &OAEP_SHA256_MGF1SHA256),
        Algorithm::RsaDecryptOaep4096Sha256 => (KeySize::Rsa4096, &OAEP_SHA256_MGF1SHA256),
        Algorithm::RsaDecryptOaep4096Sha512 => (KeySize::Rsa4096, &OAEP_SHA512_MGF1SHA512),
        _ => return None,
    })
}

/// Whether keys for `AsymmetricDecrypt` can have it here.
pub(super) fn is_rsa_decrypt(algorithm: Algorithm) -> bool {
    rsa(algorithm).is_some()
}

/// # Panics
/// If the system has no randomness.
#[expect(clippy::expect_used, reason = "a test without randomness cannot go on")]
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}
