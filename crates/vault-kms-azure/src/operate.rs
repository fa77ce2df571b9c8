//! Sealing and opening bytes under a key: the service's four operations, and what their answers must say.
//!
//! Left to others: time limits (`provider`), what a failure means (`error`).

use azure_core::http::RequestContent;
use azure_core::json::to_json;
use azure_security_keyvault_keys::models::{
    EncryptionAlgorithm, KeyOperationParameters, KeyOperationResult,
};
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyId, KeyVersion, Operation, Result, Scope, SecureBytes, WrappedKey,
};
use zeroize::Zeroize as _;

use crate::binding::{self, MAX_PAYLOAD_LEN};
use crate::client;
use crate::error::{Fault, classify};
use crate::names::{KeyName, can_be_asked};
use crate::provider::AzureKmsProvider;

/// Which of the service's two pairs of operations: each has its own right.
#[derive(Clone, Copy)]
enum Use {
    DataKey,
    Payload,
}

impl AzureKmsProvider {
    pub(crate) async fn encrypt_payload(
        &self,
        key_id: &KeyId,
        plaintext: &[u8],
        scope: &Scope,
    ) -> Result<Vec<u8>> {
        let operation = Operation::Encrypt;
        let (name, canonical) = self.named(key_id, operation)?;
        if !(1..=MAX_PAYLOAD_LEN).contains(&plaintext.len()) {
            return Err(wrong_length(operation).with_key_id(&canonical));
        }
        let whole = binding::enclose(plaintext, scope);
        let (bytes, version) = self.seal(operation, &name, whole.as_slice(), Use::Payload).await?;
        binding::pack(&version, &bytes)
            .ok_or_else(|| Fault::not_understood().into_error(operation).with_key_id(&canonical))
    }

    pub(crate) async fn decrypt_payload(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        let operation = Operation::Decrypt;
        let (name, canonical) = self.named(key_id, operation)?;
        let (version, bytes) = binding::unpack(ciphertext).ok_or_else(|| {
            CryptoError::new(ErrorKind::Malformed, operation)
                .with_key_id(&canonical)
                .with_detail("this is no payload that vaultkit has encrypted under a Key Vault key")
        })?;
        let whole = self.open(operation, &name, &version, bytes, Use::Payload).await?;
        binding::disclose(&whole, scope)
            .ok_or_else(|| CryptoError::authentication_failed(operation).with_key_id(&canonical))
    }

    pub(crate) async fn wrap(
        &self,
        operation: Operation,
        key_id: &KeyId,
        plaintext: &SecureBytes,
    ) -> Result<WrappedKey> {
        let (name, canonical) = self.named(key_id, operation)?;
        if !(1..=MAX_PAYLOAD_LEN).contains(&plaintext.len()) {
            return Err(wrong_length(operation).with_key_id(&canonical));
        }
        if binding::is_payload(plaintext.as_slice()) {
            return Err(client::invalid("these bytes begin as a payload does, and no key does")
                .in_operation(operation)
                .with_key_id(&canonical));
        }
        let (bytes, version) =
            self.seal(operation, &name, plaintext.as_slice(), Use::DataKey).await?;
        Ok(WrappedKey::new(bytes, canonical, version))
    }

    pub(crate) async fn unwrap(
        &self,
        operation: Operation,
        wrapped: &WrappedKey,
    ) -> Result<SecureBytes> {
        let (name, canonical) = self.named(&wrapped.key_id, operation)?;
        let plaintext =
            self.open(operation, &name, &wrapped.version, &wrapped.bytes, Use::DataKey).await?;
        if binding::is_payload(plaintext.as_slice()) {
            return Err(CryptoError::authentication_failed(operation).with_key_id(&canonical));
        }
        Ok(plaintext)
    }

    /// What the service made of `plaintext`, and the version that made it.
    async fn seal(
        &self,
        operation: Operation,
        name: &KeyName,
        plaintext: &[u8],
        of: Use,
    ) -> Result<(Vec<u8>, KeyVersion)> {
        let told = match self.call_seal(name, plaintext, of).await {
            Ok(told) => told,
            Err(fault) => {
                let fault = self.explain(fault, name, None).await;
                return Err(fault.into_error(operation).with_key_id(&self.vault.key_id(name)));
            }
        };
        // Another key's answer must not be stored as this one's: nobody could open it.
        let fault = match (told.result, told.kid) {
            (Some(bytes), Some(kid)) if binding::is_rsa_len(bytes.len()) => {
                match self.vault.version_in(&kid, name) {
                    Some(version) => return Ok((bytes, version)),
                    None => Fault::of_another_key(),
                }
            }
            _ => Fault::not_understood(),
        };
        Err(fault.into_error(operation).with_key_id(&self.vault.key_id(name)))
    }

    async fn call_seal(
        &self,
        name: &KeyName,
        plaintext: &[u8],
        of: Use,
    ) -> Result<KeyOperationResult, Fault> {
        let body = self.body(plaintext)?;
        let answer = match of {
            Use::DataKey => self.ask(self.client.wrap_key(name.as_str(), body, None)).await?,
            Use::Payload => self.ask(self.client.encrypt(name.as_str(), body, None)).await?,
        };
        answer.into_model().map_err(|error| classify(&error, &*self.clock))
    }

    /// The stored version is asked. One that the vault does not have is looked at a second time with the
    /// current version: if another one opens the bytes, what was stored is not true; if none does, it was, and is
    /// gone. If it is the stored one that opens them, somebody else said that it was not there.
    async fn open(
        &self,
        operation: Operation,
        name: &KeyName,
        version: &KeyVersion,
        bytes: &[u8],
        of: Use,
    ) -> Result<SecureBytes> {
        let canonical = self.vault.key_id(name);
        let opened = self.open_of(name, version, bytes, of).await;
        opened.map_err(|fault| fault.into_error(operation).with_key_id(&canonical))
    }

    async fn open_of(
        &self,
        name: &KeyName,
        version: &KeyVersion,
        bytes: &[u8],
        of: Use,
    ) -> Result<SecureBytes, Fault> {
        if !binding::is_rsa_len(bytes.len()) {
            return Err(Fault::not_authentic());
        }
        let asked = if can_be_asked(version) || !version.is_known() {
            self.call_open(name, version, bytes, of).await
        } else {
            Err(Fault::no_such_version())
        };
        let fault = match asked {
            Err(fault) if fault.is_bad_parameter() => return Err(Fault::not_authentic()),
            Err(fault) => fault,
            Ok((plaintext, by)) if !version.is_known() || is_same(&by, version) => {
                return Ok(plaintext);
            }
            Ok(_) => return Err(Fault::not_authentic()),
        };
        if !fault.is_not_found() || !version.is_known() {
            return Err(self.explain(fault, name, Some(version)).await);
        }
        match self.call_open(name, &KeyVersion::unknown(), bytes, of).await {
            Ok((plaintext, by)) if is_same(&by, version) => Ok(plaintext),
            Ok(_) => Err(Fault::not_authentic()),
            Err(fault) if !fault.is_bad_parameter() => Err(self.explain(fault, name, None).await),
            // The version is inside what `encrypt` gave: bytes like any other of it.
            Err(_) if matches!(of, Use::Payload) => Err(Fault::not_authentic()),
            Err(_) => Err(Fault::no_such_version()),
        }
    }

    /// The plaintext, and the version of this key that the answer names.
    async fn call_open(
        &self,
        name: &KeyName,
        version: &KeyVersion,
        bytes: &[u8],
        of: Use,
    ) -> Result<(SecureBytes, KeyVersion), Fault> {
        let body = self.body(bytes)?;
        let (name_text, asked) = (name.as_str(), version.as_str());
        let answer = match of {
            Use::DataKey => self.ask(self.client.unwrap_key(name_text, asked, body, None)).await?,
            Use::Payload => self.ask(self.client.decrypt(name_text, asked, body, None)).await?,
        };
        let told = answer.into_model().map_err(|error| classify(&error, &*self.clock))?;
        // Nothing that was wrapped or encrypted is empty.
        let plaintext = told.result.filter(|plaintext| !plaintext.is_empty());
        let plaintext = SecureBytes::new(plaintext.ok_or_else(Fault::not_understood)?);
        let kid = told.kid.ok_or_else(Fault::not_understood)?;
        let by = self.vault.version_in(&kid, name).ok_or_else(Fault::not_authentic)?;
        Ok((plaintext, by))
    }

    /// The request's body; the copy that the SDK's model takes is wiped.
    fn body(&self, bytes: &[u8]) -> Result<RequestContent<KeyOperationParameters>, Fault> {
        let mut parameters = KeyOperationParameters {
            algorithm: Some(EncryptionAlgorithm::RsaOaep256),
            value: Some(bytes.to_vec()),
            ..KeyOperationParameters::default()
        };
        let body = to_json(&parameters);
        parameters.value.zeroize();
        body.map(Into::into).map_err(|error| classify(&error, &*self.clock))
    }
}

fn is_same(one: &KeyVersion, other: &KeyVersion) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

fn wrong_length(operation: Operation) -> CryptoError {
    client::invalid("Key Vault wraps and encrypts 1 to 138 bytes (RSA-OAEP-256 under 2048 bits, less what binds)")
        .in_operation(operation)
}
