//! Names of keys: which ones there are, which are refused before any request, and which one is canonical.
//!
//! The canonical id is the key's ARN. An alias is taken where a person names a key, and never stored: whoever
//! can move an alias could otherwise decide who opens.

use vault_crypto_core::{CryptoError, ErrorKind, KeyId, Operation, Result};

use crate::error::{broken_answer, invalid};

/// Longest name that the service takes.
const MAX_NAME_LEN: usize = 2_048;
/// Longest alias, without `alias/`.
const MAX_ALIAS_LEN: usize = 250;

/// A name that can be one of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name<'a> {
    /// `arn:aws:kms:eu-west-1:111122223333:key/1234abcd-...`, with its region.
    KeyArn { region: &'a str },
    /// `arn:aws:kms:eu-west-1:111122223333:alias/payments`, with its region.
    AliasArn { region: &'a str },
    /// `1234abcd-...` or `mrk-...`: a key of this account and region.
    KeyId,
    /// `alias/payments`: of this account and region.
    Alias,
}

impl Name<'_> {
    fn region(&self) -> Option<&str> {
        match self {
            Self::KeyArn { region } | Self::AliasArn { region } => Some(region),
            Self::KeyId | Self::Alias => None,
        }
    }
}

/// Checks a name from outside; no request is made for one that cannot be.
pub(crate) fn parse(key_id: &KeyId) -> Option<Name<'_>> {
    let name = key_id.as_str();
    if name.len() > MAX_NAME_LEN {
        return None;
    }
    if !name.starts_with("arn:") {
        return match name.strip_prefix("alias/") {
            Some(alias) => is_alias(alias).then_some(Name::Alias),
            None => is_bare(name).then_some(Name::KeyId),
        };
    }
    let mut parts = name.splitn(6, ':');
    let (_, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let label = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let account_ok = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    if service != "kms" || !label(partition) || !label(region) || !account_ok {
        return None;
    }
    match resource.split_once('/')? {
        ("key", id) => is_bare(id).then_some(Name::KeyArn { region }),
        ("alias", alias) => is_alias(alias).then_some(Name::AliasArn { region }),
        _ => None,
    }
}

/// The name, checked: it can be one of a key, and of a key in the region that is asked.
pub(crate) fn check<'a>(
    operation: Operation,
    key_id: &'a KeyId,
    region: Option<&str>,
) -> Result<Name<'a>> {
    let name = parse(key_id).ok_or_else(|| {
        // The name is not repeated: it may be anything at all.
        invalid(operation, "a key of AWS KMS is named by its ARN, its id, or alias/ and a name")
    })?;
    match (name.region(), region) {
        (Some(named), Some(asked)) if named != asked => {
            Err(CryptoError::new(ErrorKind::KeyNotFound, operation)
                .with_key_id(key_id)
                .with_detail(format!(
                    "the key is in the region {named}, but {asked} is asked; configure that region"
                )))
        }
        _ => Ok(name),
    }
}

/// The canonical form where it can be told without asking.
pub(crate) fn canonical(key_id: &KeyId) -> Option<KeyId> {
    matches!(parse(key_id), Some(Name::KeyArn { .. })).then(|| key_id.clone())
}

/// The canonical id that the service answered with, which must be the key that was asked.
pub(crate) fn answered(operation: Operation, asked: &KeyId, answer: Option<&str>) -> Result<KeyId> {
    let told = told(operation, asked, answer)?;
    if is_of(asked, &told) {
        return Ok(told);
    }
    Err(broken_answer(operation, asked, "the service answered for another key"))
}

/// That the key which opened is the one that was asked: nothing of another one's is authentic.
pub(crate) fn opened(operation: Operation, asked: &KeyId, answer: Option<&str>) -> Result<()> {
    if is_of(asked, &told(operation, asked, answer)?) {
        return Ok(());
    }
    Err(CryptoError::authentication_failed(operation).with_key_id(asked))
}

fn told(operation: Operation, asked: &KeyId, answer: Option<&str>) -> Result<KeyId> {
    let told = answer.map(KeyId::new).filter(|answer| canonical(answer).is_some());
    told.ok_or_else(|| {
        broken_answer(operation, asked, "the service does not say which key it used")
    })
}

/// Whether `canonical` can be the key that `asked` names. Which key an alias stands for only the service knows.
fn is_of(asked: &KeyId, canonical: &KeyId) -> bool {
    match parse(asked) {
        Some(Name::KeyArn { .. }) => asked == canonical,
        Some(Name::KeyId) => {
            canonical.as_str().rsplit_once(":key/").is_some_and(|(_, id)| id == asked.as_str())
        }
        Some(Name::Alias) => true,
        // An alias stands for a key of its own account and region.
        Some(Name::AliasArn { .. }) => owner(asked) == owner(canonical),
        None => false,
    }
}

/// Partition, region and account of an ARN.
fn owner(arn: &KeyId) -> Option<&str> {
    arn.as_str().rsplit_once(':').map(|(owner, _)| owner)
}

/// Checks the wanted name of a new key and gives the alias that stands for it.
#[cfg(feature = "admin")]
pub(crate) fn alias(name: &str) -> Result<String> {
    let bare = name.strip_prefix("alias/").unwrap_or(name);
    if !is_alias(bare) || bare.starts_with("aws/") {
        return Err(invalid(
            Operation::CreateKey,
            "a key's name has 1 to 250 letters, digits or /_- and does not begin with aws/",
        ));
    }
    Ok(format!("alias/{bare}"))
}

fn is_bare(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !id.is_empty() && id.len() <= 256 && id.bytes().all(allowed)
}

fn is_alias(alias: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/_-".contains(&b);
    !alias.is_empty() && alias.len() <= MAX_ALIAS_LEN && alias.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn every_form_of_a_name_is_known() {
        let region = "eu-west-1";
        assert_eq!(parse(&ARN.into()), Some(Name::KeyArn { region }));
        let alias = KeyId::from("arn:aws-cn:kms:eu-west-1:111122223333:alias/team/pay_1");
        assert_eq!(parse(&alias), Some(Name::AliasArn { region }));
        assert_eq!(parse(&"mrk-1234abcd12ab34cd56ef1234567890ab".into()), Some(Name::KeyId));
        assert_eq!(parse(&"alias/team/payments".into()), Some(Name::Alias));
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = "a".repeat(10_000);
        let longer = format!("alias/{}", "a".repeat(251));
        let hostile = [
            "",
            "../x",
            "alias/",
            "alias/../x",
            "alias/a b",
            "a\nb",
            "a b",
            "key?x",
            "key#x",
            "key%2fx",
            "\u{e9}",
            "arn:",
            "arn:aws:kms:::key/x",
            "arn:aws:s3:eu-west-1:111122223333:key/x",
            &long,
            &longer,
            "arn:aws:kms:eu-west-1:11112222333:key/x",
            "arn:aws:kms:eu-west-1:111122223333:key/",
            "arn:aws:kms:eu-west-1:111122223333:key/a/b",
            "arn:aws:kms:EU:111122223333:key/x",
            "arn:aws:kms:eu-west-1:111122223333:key/x\n",
            "arn:aws:kms:eu-west-1:111122223333:key/x:y",
            "arn:aws:kms:evil.example/:111122223333:key/x",
        ];
        for name in hostile {
            assert_eq!(parse(&name.into()), None, "{name:?}");
        }
    }

    #[test]
    fn a_key_of_another_region_is_not_found_without_asking() {
        let error =
            check(Operation::Decrypt, &ARN.into(), Some("us-east-1")).expect_err("another region");
        assert_eq!(error.kind(), ErrorKind::KeyNotFound);
        assert!(check(Operation::Decrypt, &ARN.into(), Some("eu-west-1")).is_ok());
        assert!(check(Operation::Decrypt, &ARN.into(), None).is_ok());
    }

    #[test]
    fn the_answer_must_be_of_the_key_that_was_asked() {
        let other = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000";
        let op = Operation::Decrypt;
        assert_eq!(answered(op, &ARN.into(), Some(ARN)).expect("the same"), ARN.into());
        let bare = KeyId::from("1234abcd-12ab-34cd-56ef-1234567890ab");
        assert_eq!(answered(op, &bare, Some(ARN)).expect("its id"), ARN.into());
        assert_eq!(answered(op, &"alias/x".into(), Some(ARN)).expect("an alias"), ARN.into());
        let alias = "arn:aws:kms:eu-west-1:111122223333:alias/x";
        assert_eq!(answered(op, &alias.into(), Some(ARN)).expect("an alias"), ARN.into());
        let elsewhere = ARN.replace("111122223333", "444455556666");
        for (asked, answer) in [
            (alias, Some(&*elsewhere)),
            (ARN, Some(other)),
            (bare.as_str(), Some(other)),
            (ARN, None),
            (ARN, Some("x")),
            (ARN, Some("")),
        ] {
            assert!(answered(op, &asked.into(), answer).is_err(), "{asked} {answer:?}");
        }
    }
}
