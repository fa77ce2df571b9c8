//! Transit's calls: what is sent and what must come back. Plaintexts are moved into wiped buffers.
//!
//! Left to others: names, scopes and what the errors mean.

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};
use vault_connection::{VaultAnswer, VaultConnection, VaultFailure, VaultMount};
use vault_crypto_core::{DATA_KEY_LEN, SecureBytes};
use zeroize::Zeroizing;

use crate::ciphertext::Ciphertext;
use crate::describe::Described;

/// Why a call gave nothing.
pub(crate) enum NoAnswer {
    /// The server, or the way there.
    Failed(VaultFailure),
    /// It answered something that this call is never answered with.
    Unexpected(&'static str),
}

/// What a broken answer of the server's says of itself where another key's is told apart.
const ANOTHER_KEY: &str = "the service answered for another key";

pub(crate) const NO_PLAINTEXT: &str = "the server answered no plaintext";

impl From<VaultFailure> for NoAnswer {
    fn from(failure: VaultFailure) -> Self {
        Self::Failed(failure)
    }
}

pub(crate) type Answer<T> = Result<T, NoAnswer>;

/// A ciphertext as the server wrote it, and its version.
pub(crate) struct Sealed {
    pub(crate) text: String,
    pub(crate) version: u32,
}

/// Transit at one mount.
pub(crate) struct Transit {
    pub(crate) connection: VaultConnection,
    pub(crate) mount: VaultMount,
}

#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<u16>,
}

impl<'a> Asked<'a> {
    fn with_context(context: Option<&'a str>) -> Self {
        Self { plaintext: None, ciphertext: None, context, bits: None }
    }
}

#[derive(Deserialize)]
struct Told<'a> {
    plaintext: Option<&'a str>,
    ciphertext: Option<&'a str>,
    key_version: Option<u32>,
}

impl Told<'_> {
    fn plaintext(&self) -> Answer<SecureBytes> {
        // Nothing was ever sealed here that is empty.
        let text = self.plaintext.filter(|text| !text.is_empty());
        decoded(text.ok_or(NoAnswer::Unexpected(NO_PLAINTEXT))?)
            .ok_or(NoAnswer::Unexpected("the server's plaintext is no base64"))
    }

    fn sealed(&self) -> Answer<Sealed> {
        let text =
            self.ciphertext.ok_or(NoAnswer::Unexpected("the server answered no ciphertext"))?;
        let parsed = Ciphertext::parse(text.as_bytes());
        let parsed = parsed
            .ok_or(NoAnswer::Unexpected("the server's ciphertext is not one of Transit's"))?;
        if self.key_version.is_some_and(|version| version != parsed.version) {
            return Err(NoAnswer::Unexpected(
                "the server names another version than its ciphertext does",
            ));
        }
        Ok(Sealed { text: text.to_owned(), version: parsed.version })
    }
}

impl Transit {
    /// A new 32-byte key. Never with `associated_data`: Vault 1.21 takes no notice of it here, and the key
    /// would open without it.
    pub(crate) async fn data_key(
        &self,
        name: &str,
        context: Option<&str>,
    ) -> Answer<(SecureBytes, Sealed)> {
        let asked = Asked { bits: Some(256), ..Asked::with_context(context) };
        let answer =
            self.connection.post(&self.mount, &["datakey", "plaintext", name], &asked).await?;
        let told: Told<'_> = answer.data()?;
        let (plaintext, sealed) = (told.plaintext()?, told.sealed()?);
        if plaintext.len() != DATA_KEY_LEN {
            return Err(NoAnswer::Unexpected("the server's data key has not 32 bytes"));
        }
        Ok((plaintext, sealed))
    }

    pub(crate) async fn encrypt(
        &self,
        name: &str,
        plaintext: &[u8],
        context: Option<&str>,
    ) -> Answer<Sealed> {
        let encoded = Zeroizing::new(Base64::encode_string(plaintext));
        let asked = Asked { plaintext: Some(&encoded), ..Asked::with_context(context) };
        let answer = self.connection.post(&self.mount, &["encrypt", name], &asked).await?;
        answer.data::<Told<'_>>()?.sealed()
    }

    pub(crate) async fn decrypt(
        &self,
        name: &str,
        ciphertext: Ciphertext<'_>,
        context: Option<&str>,
    ) -> Answer<SecureBytes> {
        let asked = Asked { ciphertext: Some(ciphertext.text), ..Asked::with_context(context) };
        let answer = self.connection.post(&self.mount, &["decrypt", name], &asked).await?;
        answer.data::<Told<'_>>()?.plaintext()
    }

    pub(crate) async fn rewrap(
        &self,
        name: &str,
        ciphertext: Ciphertext<'_>,
        context: Option<&str>,
    ) -> Answer<Sealed> {
        let asked = Asked { ciphertext: Some(ciphertext.text), ..Asked::with_context(context) };
        let answer = self.connection.post(&self.mount, &["rewrap", name], &asked).await?;
        answer.data::<Told<'_>>()?.sealed()
    }

    pub(crate) async fn describe(&self, name: &str) -> Answer<Described> {
        let answer = self.connection.get(&self.mount, &["keys", name]).await?;
        described(&answer, name)
    }

    pub(crate) async fn random(&self, len: usize) -> Answer<SecureBytes> {
        #[derive(Serialize)]
        struct Format {
            format: &'static str,
        }
        #[derive(Deserialize)]
        struct Random<'a> {
            random_bytes: &'a str,
        }
        let (format, len_text) = (Format { format: "base64" }, len.to_string());
        let answer = self.connection.post(&self.mount, &["random", &len_text], &format).await?;
        let bytes =
            decoded(answer.data::<Random<'_>>()?.random_bytes).filter(|bytes| bytes.len() == len);
        bytes.ok_or(NoAnswer::Unexpected("the server answered another number of random bytes"))
    }
}

/// The settings of the key `name` in an answer to a look at it or a change of it.
pub(crate) fn described(answer: &VaultAnswer, name: &str) -> Answer<Described> {
    let described: Described = answer.data()?;
    if described.name != name {
        return Err(NoAnswer::Unexpected(ANOTHER_KEY));
    }
    Ok(described)
}

/// Decodes into a buffer that is wiped whatever happens.
fn decoded(text: &str) -> Option<SecureBytes> {
    let mut bytes = SecureBytes::zeroed(text.len() / 4 * 3);
    let len = Base64::decode(text, bytes.as_mut_slice()).ok()?.len();
    bytes.truncate(len);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_strictly() {
        for (text, bytes) in [("", &b""[..]), ("YQ==", b"a"), ("YWI=", b"ab"), ("YWJj", b"abc")] {
            assert!(decoded(text).is_some_and(|decoded| decoded == bytes), "{text}");
        }
        for bad in ["YQ", "YQ=", "YR==", "Y Q=", "YQ==\n", "_-=="] {
            assert!(decoded(bad).is_none(), "{bad}");
        }
    }
}
