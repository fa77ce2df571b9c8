//! Errors of `vaultrs` as failures of ours: it keeps whole answers in them and prints these.

use rustify::errors::ClientError as HttpError;
use serde::Serialize;
use vault_crypto_core::SecureBytes;
use vaultrs::error::ClientError;
use zeroize::Zeroize as _;

use crate::transport::failed;
use crate::{VaultFailure, VaultFailureKind};

/// Takes an error of `vaultrs` over without what it holds. Turn errors into this at once: `vaultrs` keeps
/// the server's whole answer in some of them and prints it.
impl From<ClientError> for VaultFailure {
    fn from(error: ClientError) -> Self {
        use VaultFailureKind as Kind;
        match error {
            ClientError::APIError { code, errors } => of_errors(code, errors),
            ClientError::RestClientError { source } => of_http(source),
            ClientError::WrapInvalidError => {
                Self::new(Kind::Rejected, "the wrapping token is spent, or never was one")
            }
            ClientError::ResponseEmptyError
            | ClientError::ResponseDataEmptyError
            | ClientError::ResponseWrapError
            | ClientError::JsonParseError { .. } => unreadable(),
            _ => refused(),
        }
    }
}

fn of_errors(code: u16, mut errors: Vec<String>) -> VaultFailure {
    #[derive(Serialize)]
    struct Said<'a> {
        errors: &'a [String],
    }
    let body = serde_json::to_vec(&Said { errors: &errors }).unwrap_or_default();
    errors.iter_mut().for_each(|error| error.zeroize());
    VaultFailure::of_status(code, None, SecureBytes::new(body))
}

fn of_http(error: HttpError) -> VaultFailure {
    match error {
        HttpError::ServerResponseError { code, content } => {
            let body = content.map(String::into_bytes).unwrap_or_default();
            VaultFailure::of_status(code, None, SecureBytes::new(body))
        }
        HttpError::RequestError { source, .. } | HttpError::ResponseError { source } => {
            let broke = || VaultFailure::new(VaultFailureKind::Unreachable, "the connection broke");
            source.downcast::<reqwest::Error>().map_or_else(|_| broke(), failed)
        }
        HttpError::ResponseConversionError { mut content, .. } => {
            content.zeroize();
            unreadable()
        }
        HttpError::ResponseParseError { mut content, .. } => {
            content.zeroize();
            unreadable()
        }
        _ => refused(),
    }
}

fn unreadable() -> VaultFailure {
    VaultFailure::new(VaultFailureKind::Unreadable, "the answer is not the one that was expected")
}

fn refused() -> VaultFailure {
    VaultFailure::new(VaultFailureKind::InvalidInput, "the request cannot be made")
}
