//! Access tokens: signed JSON Web Tokens (RFC 7519) with the claims that Microsoft Entra puts into its own,
//! and the check of signature, issuer, audience and time that a vault makes.
//!
//! Signed with a MAC instead of Entra's RSA: a client must not look at the signature. Time is the system's,
//! not the vault's own: a test that advances the vault by months keeps its login. Left to `authority`: who
//! gets one.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use vault_crypto_core::{Clock as _, SystemClock};

use super::answer::{self, Answer};
use super::material::{decode, encode};

/// What a vault's tokens are for: the resource of its challenge.
pub(super) const RESOURCE: &str = "https://vault.azure.net";

/// What the token of a federated identity is for.
/// <https://learn.microsoft.com/entra/workload-id/workload-identity-federation>
pub(super) const EXCHANGE: &str = "api://AzureADTokenExchange";

pub(super) struct Issuer {
    pub(super) tenant: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    object_id: String,
    key: hmac::Key,
    /// Tokens of an earlier generation were revoked.
    generation: AtomicU64,
    /// Seconds that a token of a login is good for.
    pub(super) lifetime: AtomicU64,
}

impl Issuer {
    pub(super) fn new(tenant: &str) -> Self {
        let mut key = [0; 32];
        super::random(&mut key);
        Self {
            tenant: tenant.to_owned(),
            client_id: uuid(),
            client_secret: encode(&super::random_bytes::<30>()),
            object_id: uuid(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            generation: AtomicU64::new(0),
            lifetime: AtomicU64::new(3599),
        }
    }

    /// `iss` of the tokens: version 1, as Key Vault names it in its refusals.
    pub(super) fn name(&self) -> String {
        format!("https://sts.windows.net/{}/", self.tenant)
    }

    /// Who a token is for, as the service writes it into a refusal.
    pub(super) fn caller(&self) -> String {
        let (app, object, name) = (&self.client_id, &self.object_id, self.name());
        format!("appid={app};oid={object};iss={name}")
    }

    /// A token for `audience` that ends after `ttl`.
    pub(super) fn token(&self, audience: &str, ttl: Duration) -> String {
        let now = seconds_now();
        let (name, tenant) = (self.name(), &self.tenant);
        let claims = json!({
            "aud": audience, "iss": name, "iat": now, "nbf": now, "exp": now + ttl.as_secs(),
            "appid": self.client_id, "appidacr": "1", "idp": name, "oid": self.object_id,
            "sub": self.object_id, "tid": tenant, "ver": "1.0",
            "generation": self.generation.load(Ordering::Relaxed),
        });
        let header = json!({ "typ": "JWT", "alg": "HS256", "kid": "fake" });
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let signature = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    pub(super) fn revoke(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// The claims of a token of this issuer, whatever it is for, that is good now.
    pub(super) fn claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        hmac::verify(&self.key, signed.as_bytes(), &decode(signature)?).ok()?;
        let (_, claims) = signed.split_once('.')?;
        let claims: Value = serde_json::from_slice(&decode(claims)?).ok()?;
        let number = |name: &str| claims.get(name).and_then(Value::as_u64);
        let now = seconds_now();
        let current = self.generation.load(Ordering::Relaxed);
        let good =
            number("exp")? > now && number("nbf")? <= now && number("generation")? == current;
        good.then_some(claims)
    }

    /// The vault's check of the `Authorization` header.
    pub(super) fn check(&self, header: Option<&str>) -> Result<(), Answer> {
        let token = header.and_then(|header| {
            let (scheme, token) = header.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)
        });
        let token = token.ok_or_else(answer::missing_token)?;
        let claims = self.claims(token).ok_or_else(|| self.refuse(token))?;
        let audience = claims.get("aud").and_then(Value::as_str).unwrap_or_default();
        if audience.trim_end_matches('/') == RESOURCE {
            return Ok(());
        }
        Err(answer::wrong_audience(audience))
    }

    /// Another tenant's token is refused in other words than one that is no token.
    fn refuse(&self, token: &str) -> Answer {
        let claims = token.split('.').nth(1).and_then(decode);
        let claims: Option<Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
        let issuer = claims.as_ref().and_then(|claims| claims.get("iss")).and_then(Value::as_str);
        match issuer {
            Some(found) if found != self.name() => answer::wrong_issuer(&self.name(), found),
            _ => answer::bad_token(),
        }
    }

    /// What a 401 tells the client: where to log in, and for what. Recorded.
    pub(super) fn challenge(&self) -> String {
        let tenant = &self.tenant;
        format!(
            "Bearer authorization=\"https://login.microsoftonline.com/{tenant}\", resource=\"{RESOURCE}\""
        )
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// The system's time in seconds since 1970.
pub(super) fn seconds_now() -> u64 {
    SystemClock::new().now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A new random identifier in the form that tenants and applications have (RFC 9562, version 4).
pub(super) fn uuid() -> String {
    let mut bytes = super::random_bytes::<16>();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = super::hex(&bytes);
    for place in [8, 13, 18, 23] {
        text.insert(place, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_and_body(refused: Result<(), Answer>) -> (u16, String) {
        refused.err().map(|answer| (answer.status, answer.body)).unwrap()
    }

    #[test]
    fn a_token_is_good_only_for_its_vault_its_tenant_its_time_and_unchanged() {
        let issuer = Issuer::new("11111111-1111-4111-8111-111111111111");
        let hour = Duration::from_secs(3600);
        let good = issuer.token(RESOURCE, hour);
        let check = |token: &str| issuer.check(Some(&format!("Bearer {token}")));
        assert!(check(&good).is_ok());
        assert!(status_and_body(issuer.check(None)).1.contains("AKV10000"));
        assert!(
            status_and_body(check(&issuer.token(RESOURCE, Duration::ZERO))).1.contains("S2S12086")
        );
        let elsewhere = issuer.token("https://management.azure.com", hour);
        assert!(status_and_body(check(&elsewhere)).1.contains("AKV10022"));
        let stranger = Issuer::new("22222222-2222-4222-8222-222222222222").token(RESOURCE, hour);
        assert!(status_and_body(check(&stranger)).1.contains("AKV10032"));
        let (signed, _) = good.rsplit_once('.').unwrap();
        assert_eq!(status_and_body(check(&format!("{signed}.AAAA"))).0, 401);
        issuer.revoke();
        assert_eq!(status_and_body(check(&good)).0, 401);
        assert!(check(&issuer.token(RESOURCE, hour)).is_ok());
    }
}
