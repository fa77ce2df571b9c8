//! The rules that every backend holds its arguments to, in one place so that all answer alike.

use crate::{CryptoError, ErrorKind, Operation, Result};

/// The most bytes in a key.
pub const MAX_STORAGE_KEY_LEN: usize = 512;
/// The most bytes in a value.
pub const MAX_STORED_VALUE_LEN: usize = 65_536;
/// The most keys in a page.
pub const MAX_STORAGE_PAGE_LEN: usize = 1000;

/// Checks a key: what `get` and `delete` do first, as `operation`.
///
/// # Errors
/// `InvalidInput` for a key that is empty, too long, or has a byte outside `A-Z a-z 0-9 . _ - / :`.
pub fn check_key(key: &str, operation: Operation) -> Result<()> {
    if key.is_empty() {
        return Err(invalid(operation, "a storage key has at least one byte"));
    }
    check_text(key, operation)
}

/// Checks what `put` is given.
///
/// # Errors
/// `InvalidInput` as [`check_key`]; `LimitExceeded` for a value that is too long.
pub fn check_put(key: &str, value: &[u8]) -> Result<()> {
    check_key(key, Operation::StoragePut)?;
    if value.len() > MAX_STORED_VALUE_LEN {
        return Err(CryptoError::new(ErrorKind::LimitExceeded, Operation::StoragePut)
            .with_detail("a stored value has at most 65,536 bytes"));
    }
    Ok(())
}

/// Checks what `list` is given. The empty prefix is every key's.
///
/// # Errors
/// `InvalidInput` for a limit outside 1 to [`MAX_STORAGE_PAGE_LEN`], and for a prefix or an `after` that no
/// key could have.
pub fn check_list(prefix: &str, after: Option<&str>, limit: usize) -> Result<()> {
    if !(1..=MAX_STORAGE_PAGE_LEN).contains(&limit) {
        return Err(invalid(Operation::StorageList, "a page has a limit of 1 to 1,000 keys"));
    }
    check_text(prefix, Operation::StorageList)?;
    after.map_or(Ok(()), |after| check_key(after, Operation::StorageList))
}

fn check_text(text: &str, operation: Operation) -> Result<()> {
    if text.len() > MAX_STORAGE_KEY_LEN {
        return Err(invalid(operation, "a storage key has at most 512 bytes"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:".contains(&b);
    if text.bytes().all(plain) {
        return Ok(());
    }
    Err(invalid(operation, "a storage key is made of A-Z a-z 0-9 . _ - / : alone"))
}

fn invalid(operation: Operation, detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, operation).with_detail(detail)
}

/// The error of a change that expected something else than the key holds.
#[must_use]
pub fn conflict(operation: Operation) -> CryptoError {
    CryptoError::new(ErrorKind::Conflict, operation)
        .with_detail("the storage key holds another version than expected; read it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn keys_of_plain_letters_pass_and_others_do_not() {
        let check = |key: &str| kind(check_key(key, Operation::StorageGet));
        let longest = "k".repeat(MAX_STORAGE_KEY_LEN);
        for good in ["a", "branch/00ff/0000000001", "A.b_c-d/e:f", &longest] {
            assert_eq!(check(good), None, "{good}");
        }
        let too_long = "k".repeat(MAX_STORAGE_KEY_LEN + 1);
        for bad in ["", " ", "a b", "ü", "a\0", "a\\b", "a%", "*", &too_long] {
            assert_eq!(check(bad), Some(ErrorKind::InvalidInput), "{bad:?}");
        }
    }

    #[test]
    fn values_and_pages_have_a_greatest_length() {
        assert_eq!(kind(check_put("k", &[0; MAX_STORED_VALUE_LEN])), None);
        let too_long = check_put("k", &[0; MAX_STORED_VALUE_LEN + 1]);
        assert_eq!(kind(too_long), Some(ErrorKind::LimitExceeded));
        assert_eq!(kind(check_list("", None, MAX_STORAGE_PAGE_LEN)), None);
        for limit in [0, MAX_STORAGE_PAGE_LEN + 1] {
            assert_eq!(kind(check_list("", None, limit)), Some(ErrorKind::InvalidInput));
        }
        assert_eq!(kind(check_list("", Some(""), 1)), Some(ErrorKind::InvalidInput));
    }
}
