//! Where tokens come from: the token endpoint of Microsoft Entra for client secrets and federated identities,
//! and the instance metadata service for managed identities.
//!
//! Left to `tokens`: what is in them. Left out: users, certificates, refresh tokens.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::answer::Answer;
use super::server::Heard;
use super::tokens::{EXCHANGE, Issuer, seconds_now};

/// The logins of a fake: one application and one managed identity, which are the same principal.
pub(super) struct Authority {
    pub(super) issuer: Issuer,
    /// The value of `X-IDENTITY-HEADER` that App Service gives its applications.
    pub(super) identity_header: String,
}

impl Authority {
    pub(super) fn new(tenant: &str) -> Self {
        Self { issuer: Issuer::new(tenant), identity_header: super::tokens::uuid() }
    }

    /// A request to the login server; `base` is its address, which the metadata names.
    pub(super) fn answer(&self, heard: &Heard, base: &str) -> Answer {
        let parts: Vec<&str> = heard.segments();
        match (heard.method.as_str(), parts.as_slice()) {
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => self.token(tenant, heard),
            ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => {
                Answer::ok(&self.metadata(tenant, base))
            }
            // What Microsoft's own clients ask before they trust an authority that they do not know.
            ("GET", ["common", "discovery", "instance"]) => {
                let tenant = &self.issuer.tenant;
                let endpoint = format!("{base}/{tenant}/v2.0/.well-known/openid-configuration");
                Answer::ok(&json!({
                    "tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": [],
                }))
            }
            _ => super::answer::no_such_path(),
        }
    }

    /// OpenID Connect Discovery 1.0, as far as a confidential client reads it.
    fn metadata(&self, tenant: &str, base: &str) -> Value {
        json!({
            "issuer": format!("{base}/{tenant}/v2.0"),
            "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
            "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
            "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
            "response_types_supported": ["code"],
        })
    }

    /// RFC 6749, 4.4, with a secret or with the assertion of RFC 7523.
    /// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
    fn token(&self, tenant: &str, heard: &Heard) -> Answer {
        let form = pairs(&heard.text());
        let field = |name: &str| value(&form, name);
        if tenant != self.issuer.tenant {
            let what = format!("Tenant '{tenant}' not found.");
            return refuse(400, "invalid_request", 90_002, &what);
        }
        if field("grant_type") != Some("client_credentials") {
            return refuse(
                400,
                "unsupported_grant_type",
                70_003,
                "The grant type is not supported.",
            );
        }
        let client = field("client_id").unwrap_or_default();
        if client != self.issuer.client_id {
            let what =
                format!("Application with identifier '{client}' was not found in the directory.");
            return refuse(400, "unauthorized_client", 700_016, &what);
        }
        if let Err(refused) = self.proof(field("client_secret"), field("client_assertion")) {
            return refused;
        }
        let Some(audience) = field("scope").and_then(|scope| scope.strip_suffix("/.default"))
        else {
            return refuse(400, "invalid_scope", 1_002_012, "The scope must end in /.default.");
        };
        let seconds = self.issuer.lifetime.load(Ordering::Relaxed);
        Answer::ok(&json!({
            "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds,
            "access_token": self.issuer.token(audience, Duration::from_secs(seconds)),
        }))
    }

    fn proof(&self, secret: Option<&str>, assertion: Option<&str>) -> Result<(), Answer> {
        if let Some(assertion) = assertion {
            let claims = self.issuer.claims(assertion);
            let audience = claims.as_ref().and_then(|claims| claims.get("aud")?.as_str());
            if audience == Some(EXCHANGE) {
                return Ok(());
            }
            let what = "No matching federated identity record found for presented assertion.";
            return Err(refuse(401, "invalid_client", 700_213, what));
        }
        if secret == Some(self.issuer.client_secret.as_str()) {
            return Ok(());
        }
        let what = "Invalid client secret provided. Ensure the secret being sent in the request is the \
                    client secret value, not the client secret ID.";
        Err(refuse(401, "invalid_client", 7_000_215, what))
    }

    /// The metadata service of a virtual machine, and App Service's endpoint, which differs in its header.
    /// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
    /// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>
    pub(super) fn managed_identity(&self, heard: &Heard) -> Answer {
        let query = pairs(&heard.query);
        let allowed = match heard.segments().as_slice() {
            ["metadata", "identity", "oauth2", "token"] => heard.header("metadata") == Some("true"),
            ["msi", "token"] => {
                heard.header("x-identity-header") == Some(self.identity_header.as_str())
            }
            _ => return super::answer::no_such_path(),
        };
        if !allowed {
            return metadata_refuses("Required metadata header not specified");
        }
        let client = value(&query, "client_id").unwrap_or(&self.issuer.client_id);
        if client != self.issuer.client_id {
            return metadata_refuses("Identity not found");
        }
        let Some(resource) = value(&query, "resource") else {
            return metadata_refuses("Required query variable 'resource' is missing");
        };
        let seconds = self.issuer.lifetime.load(Ordering::Relaxed);
        let now = seconds_now();
        Answer::ok(&json!({
            "access_token": self.issuer.token(resource, Duration::from_secs(seconds)),
            "client_id": self.issuer.client_id, "expires_in": seconds.to_string(),
            "expires_on": (now + seconds).to_string(), "ext_expires_in": seconds.to_string(),
            "not_before": now.to_string(), "resource": resource, "token_type": "Bearer",
        }))
    }
}

/// RFC 6749, 5.2, with Entra's numbers.
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
fn refuse(status: u16, error: &str, number: u64, what: &str) -> Answer {
    let body = json!({
        "error": error, "error_description": format!("AADSTS{number}: {what}"), "error_codes": [number],
    });
    Answer::json(status, body.to_string())
}

fn metadata_refuses(what: &str) -> Answer {
    let body = json!({ "error": "invalid_request", "error_description": what });
    Answer::json(400, body.to_string())
}

pub(super) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The fields of a query or of a form (`application/x-www-form-urlencoded`).
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let fields = text.split('&').filter(|field| !field.is_empty());
    fields
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            (unescaped(name), unescaped(value))
        })
        .collect()
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok().filter(|_| *first == b'%')?;
            u8::from_str_radix(digits, 16).ok()
        });
        out.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escaped.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_form_are_unescaped_once() {
        let read = pairs("a=1%202&scope=https%3A%2F%2Fvault.azure.net%2F.default&b=x+y&c&d=%2541%");
        let expected = [
            ("a", "1 2"),
            ("scope", "https://vault.azure.net/.default"),
            ("b", "x y"),
            ("c", ""),
            ("d", "%41%"),
        ];
        let read: Vec<(&str, &str)> =
            read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, expected);
    }
}
