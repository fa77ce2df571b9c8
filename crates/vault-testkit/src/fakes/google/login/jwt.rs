//! Tokens that service accounts sign for themselves: <https://google.aip.dev/auth/4111>.
//!
//! Left to others: tokens of any other kind.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::Value;

const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/cloudkms"];
const AUDIENCE: &str = "https://cloudkms.googleapis.com/";
/// "exp … MUST be at most 1 hour" after `iat`; clients leave some seconds for clocks that differ.
const LONGEST: u64 = 3600 + 60;

/// The account that signed `token`, if it may be used now.
pub(super) fn verify<'k>(
    token: &str,
    key_of: impl Fn(&str) -> Option<&'k [u8]>,
    now: SystemTime,
) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let (header, claims) = (json(header)?, json(claims)?);
    let another = claims.get("sub").is_some_and(|subject| Some(subject) != claims.get("iss"));
    if header.get("alg")? != "RS256" || another {
        return None;
    }
    let email = claims.get("iss")?.as_str()?;
    let signature = Base64UrlUnpadded::decode_vec(signature).ok()?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key_of(email)?);
    key.verify(signed.as_bytes(), &signature).ok()?;
    let scope = claims.get("scope").and_then(Value::as_str);
    let scoped = scope.is_some_and(|all| all.split(' ').any(|scope| SCOPES.contains(&scope)));
    let audience = claims.get("aud").and_then(Value::as_str) == Some(AUDIENCE);
    let (from, until) = (claims.get("iat")?.as_u64()?, claims.get("exp")?.as_u64()?);
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let current = until.checked_sub(from)? <= LONGEST && at(from) <= now && now < at(until);
    ((scoped || audience) && current).then(|| email.to_owned())
}

fn json(part: &str) -> Option<Value> {
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
    use serde_json::json;

    use super::*;

    const EMAIL: &str = "app@acme-prod.iam.gserviceaccount.com";

    fn token(key: &KeyPair, claims: &Value) -> String {
        let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&json!({ "alg": "RS256" })), part(claims));
        let mut signature = vec![0; key.public_modulus_len()];
        let random = SystemRandom::new();
        key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature))
    }

    #[test]
    fn a_token_holds_only_as_it_was_signed_while_it_lasts_and_for_this_service() {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = key.public_key().as_ref().to_vec();
        let holder = |token: &str, seconds: u64| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            verify(token, |email| (email == EMAIL).then_some(public.as_slice()), now)
        };
        let right =
            json!({ "iss": EMAIL, "sub": EMAIL, "scope": SCOPES[0], "iat": 100, "exp": 3700 });
        let good = token(&key, &right);
        assert_eq!(holder(&good, 100).as_deref(), Some(EMAIL));
        assert_eq!(holder(&good, 99), None, "from the future");
        assert_eq!(holder(&good, 3700), None, "expired");
        for (name, value) in [
            ("iss", json!("another")),
            ("sub", json!("another")),
            ("scope", json!("https://www.googleapis.com/auth/devstorage")),
            ("exp", json!(9_999)),
        ] {
            let mut wrong = right.clone();
            wrong[name] = value;
            assert_eq!(holder(&token(&key, &wrong), 100), None, "{name}");
        }
        let other = KeyPair::generate(KeySize::Rsa2048).unwrap();
        assert_eq!(holder(&token(&other, &right), 100), None, "signed by another");
        for damaged in [&good[1..], &good[..good.len() - 1], "", ".", "..", "a.b.c"] {
            assert_eq!(holder(damaged, 100), None);
        }
    }
}
