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
