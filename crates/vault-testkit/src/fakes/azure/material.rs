//! The key material: RSA that wraps and opens for real, and elliptic curves that only show themselves.
//!
//! Left to `keys`: who may use it when.
#![expect(clippy::expect_used, reason = "a test cannot go on without its keys")]

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm,
    OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value, json};

/// A kind of key that a client can ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa(usize),
    P256,
}

pub(super) struct Material {
    kind: Kind,
    shown: Value,
    rsa: Option<Rsa>,
}

struct Rsa {
    public: OaepPublicEncryptingKey,
    private: OaepPrivateDecryptingKey,
}

impl Kind {
    /// From `kty`, `key_size` and `crv` of the request.
    /// <https://learn.microsoft.com/rest/api/keyvault/keys/create-key/create-key>
    pub(super) fn parse(kty: &str, size: Option<u64>, curve: Option<&str>) -> Option<Self> {
        match (kty, size.unwrap_or(2048), curve.unwrap_or("P-256")) {
            ("RSA", 2048, _) => Some(Self::Rsa(2048)),
            ("RSA", 3072, _) => Some(Self::Rsa(3072)),
            ("RSA", 4096, _) => Some(Self::Rsa(4096)),
            ("EC", _, "P-256") => Some(Self::P256),
            _ => None,
        }
    }

    /// The operations of a key that was made without naming any.
    pub(super) fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Rsa(_) => &["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
            Self::P256 => &["sign", "verify"],
        }
    }
}

impl Material {
    pub(super) fn generate(kind: Kind) -> Self {
        match kind {
            Kind::Rsa(bits) => Self::generate_rsa(bits),
            Kind::P256 => {
                let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
                let key = key.expect("the system has randomness");
                let point = key.public_key().as_ref();
                // SEC 1, 2.3.3: 04, x, y.
                let (x, y) = (point.get(1..33), point.get(33..65));
                let shown =
                    json!({ "kty": "EC", "crv": "P-256", "x": x.map(encode), "y": y.map(encode) });
                Self { kind, shown, rsa: None }
            }
        }
    }

    fn generate_rsa(bits: usize) -> Self {
        let size = match bits {
            4096 => KeySize::Rsa4096,
            3072 => KeySize::Rsa3072,
            _ => KeySize::Rsa2048,
        };
        let pair = KeyPair::generate(size).expect("the system has randomness");
        let (n, e) = modulus_and_exponent(pair.public_key().as_ref())
            .expect("a public key of RFC 8017, A.1.1");
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().expect("a key that was just made");
        let private =
            PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).expect("a key that was just made");
        let public = OaepPublicEncryptingKey::new(private.public_key()).expect("the same");
        let private = OaepPrivateDecryptingKey::new(private).expect("the same");
        let shown = json!({ "kty": "RSA", "n": encode(n), "e": encode(e) });
        Self { kind: Kind::Rsa(bits), shown, rsa: Some(Rsa { public, private }) }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The public part as a JSON Web Key (RFC 7517), without `kid` and `key_ops`.
    pub(super) fn shown(&self) -> Value {
        self.shown.clone()
    }

    /// Ciphertext of a plaintext; none if the algorithm is not this key's or the plaintext too long.
    pub(super) fn seal(&self, algorithm: &str, plaintext: &[u8]) -> Option<Vec<u8>> {
        let key = &self.rsa.as_ref()?.public;
        let mut out = vec![0; key.ciphertext_size()];
        Some(key.encrypt(oaep(algorithm)?, plaintext, &mut out, None).ok()?.to_vec())
    }

    /// The other way round.
    pub(super) fn open(&self, algorithm: &str, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let key = &self.rsa.as_ref()?.private;
        let mut out = vec![0; key.min_output_size()];
        Some(key.decrypt(oaep(algorithm)?, ciphertext, &mut out, None).ok()?.to_vec())
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material([REDACTED])")
    }
}

/// RFC 7518, 4.3. The service has RSA1_5 too; nothing here may want it.
fn oaep(algorithm: &str) -> Option<&'static OaepAlgorithm> {
    match algorithm {
        "RSA-OAEP-256" => Some(&OAEP_SHA256_MGF1SHA256),
        "RSA-OAEP" => Some(&OAEP_SHA1_MGF1SHA1),
        _ => None,
    }
}

/// Base64url without padding, as everything binary is on this wire.
pub(super) fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// RSAPublicKey of RFC 8017: SEQUENCE { INTEGER n, INTEGER e }, both without the zero that keeps them positive.
fn modulus_and_exponent(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = element(der, 0x30)?;
    let (n, rest) = element(body, 0x02)?;
    let (e, _) = element(rest, 0x02)?;
    Some((n.strip_prefix(&[0]).unwrap_or(n), e.strip_prefix(&[0]).unwrap_or(e)))
}

/// One element of DER with the given tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = match length.checked_sub(0x80) {
        None => (usize::from(*length), rest),
        Some(count) => {
            let (digits, rest) = rest.split_at_checked(usize::from(count))?;
            (digits.iter().fold(0, |sum, digit| sum * 256 + usize::from(*digit)), rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_what_it_sealed_and_nothing_else() {
        let [key, other] =
            [Material::generate(Kind::Rsa(2048)), Material::generate(Kind::Rsa(2048))];
        let sealed = key.seal("RSA-OAEP-256", b"plain").unwrap();
        assert_eq!(key.open("RSA-OAEP-256", &sealed).unwrap(), b"plain");
        assert!(other.open("RSA-OAEP-256", &sealed).is_none());
        assert!(key.open("RSA-OAEP", &sealed).is_none());
        assert!(key.seal("RSA1_5", b"plain").is_none());
        // RFC 8017, 7.1.1: k - 2 hLen - 2 bytes at most.
        assert!(key.seal("RSA-OAEP-256", &[0; 190]).is_some());
        assert!(key.seal("RSA-OAEP-256", &[0; 191]).is_none());
    }

    #[test]
    fn the_public_part_is_the_modulus_of_the_size_asked_for() {
        let shown = Material::generate(Kind::Rsa(3072)).shown();
        assert_eq!(decode(shown["n"].as_str().unwrap()).unwrap().len(), 384);
        assert_eq!(shown["e"], "AQAB");
    }
}
