//! A token as it travels: checked once, wiped with its last handle.

use bytes::Bytes;
use http::HeaderValue;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};
use zeroize::Zeroizing;

const MAX_TOKEN_LEN: usize = 64 * 1_024;

/// A checked token. Clones share its bytes.
#[derive(Clone)]
pub(crate) struct Token(HeaderValue);

impl Token {
    /// Takes visible ASCII, as every token is: anything else, a line break above all, would end up in the
    /// request's other lines.
    ///
    /// # Errors
    /// `InvalidInput`, without the token.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MAX_TOKEN_LEN || !printable {
            return Err(refused());
        }
        let bytes = Bytes::from_owner(Zeroizing::new(text.as_bytes().to_vec()));
        let mut value = HeaderValue::from_maybe_shared(bytes).map_err(|_| refused())?;
        // Not printed, and not put into HTTP/2's table of repeated headers.
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        vault_crypto_core::constant_time_eq(self.0.as_bytes(), other.0.as_bytes())
    }
}

fn refused() -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::LogIn)
        .with_detail("a token is made of visible ASCII characters, without blanks and line breaks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_no_header_can_hold_are_refused() {
        for bad in ["", "a b", "hvs.x\n", "hvs.x\r\nX-Evil: 1", "hvs.\u{e9}", "\0", "\u{7f}"] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
        assert!(Token::new(&"x".repeat(70_000)).is_err());
        let token = Token::new("hvs.CAESIJ").unwrap();
        assert_eq!(token.header().as_bytes(), b"hvs.CAESIJ");
        assert!(!format!("{:?}", token.header()).contains("CAES"));
    }
}
