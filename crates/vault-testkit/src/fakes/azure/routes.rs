//! From a request to the operation: the token first, then knobs, permissions, the path, and pages of lists.
//!
//! Left to `vault` and its parts: what the operations do. The paths are those of
//! <https://learn.microsoft.com/rest/api/keyvault/keys/operation-groups>.

use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::authority::{pairs, value};
use super::keys::{Answered, check_name, kind};
use super::material::{Material, decode, encode};
use super::server::Heard;
use super::{Call, State};

/// How many items a page holds unless the client wants fewer, and at most.
const PAGE: usize = 25;

/// An operation as roles name it, with what the path gave it.
enum Wanted<'a> {
    Create(&'a str),
    Get(&'a str, Option<&'a str>),
    Update(&'a str, Option<&'a str>),
    Delete(&'a str),
    Use(&'static str, &'a str, Option<&'a str>),
    Rotate(&'a str),
    Policy(&'a str),
    SetPolicy(&'a str),
    Backup(&'a str),
    Restore,
    List,
    Versions(&'a str),
    GetDeleted(&'a str),
    ListDeleted,
    Recover(&'a str),
    Purge(&'a str),
}

impl Wanted<'_> {
    /// The data action that a role must have, without `Microsoft.KeyVault/vaults/keys/` and `/action`.
    /// <https://learn.microsoft.com/azure/role-based-access-control/permissions/security#microsoftkeyvault>
    fn permission(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Get(..) | Self::List | Self::Versions(_) => "read",
            Self::Update(..) => "update",
            Self::Delete(_) => "delete",
            Self::Use("wrapKey", ..) => "wrap",
            Self::Use("unwrapKey", ..) => "unwrap",
            Self::Use(operation, ..) => operation,
            Self::Rotate(_) => "rotate",
            Self::Policy(_) | Self::SetPolicy(_) => "rotationpolicy",
            Self::Backup(_) => "backup",
            Self::Restore => "restore",
            Self::GetDeleted(_) | Self::ListDeleted => "deletedkeys",
            Self::Recover(_) => "recover",
            Self::Purge(_) => "purge",
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Create(name) | Self::Get(name, _) | Self::Update(name, _) => Some(name),
            Self::Delete(name) | Self::Use(_, name, _) | Self::Rotate(name) => Some(name),
            Self::Policy(name) | Self::SetPolicy(name) | Self::Backup(name) => Some(name),
            Self::Versions(name) | Self::GetDeleted(name) => Some(name),
            Self::Recover(name) | Self::Purge(name) => Some(name),
            Self::Restore | Self::List | Self::ListDeleted => None,
        }
    }
}

/// Whether a path is one of a vault's; all others are the login server's.
pub(super) fn of_vault(heard: &Heard) -> bool {
    let first = heard.segments().first().copied();
    matches!(first, Some("keys" | "deletedkeys" | "rng" | "secrets" | "certificates") | None)
}

fn wanted<'a>(method: &str, segments: &[&'a str]) -> Option<Wanted<'a>> {
    Some(match (method, segments) {
        ("GET", ["keys"]) => Wanted::List,
        ("POST", ["keys", "restore"]) => Wanted::Restore,
        ("POST", ["keys", name, "create"]) => Wanted::Create(name),
        ("POST", ["keys", name, "rotate"]) => Wanted::Rotate(name),
        ("POST", ["keys", name, "backup"]) => Wanted::Backup(name),
        ("GET", ["keys", name, "versions"]) => Wanted::Versions(name),
        ("GET", ["keys", name, "rotationpolicy"]) => Wanted::Policy(name),
        ("PUT", ["keys", name, "rotationpolicy"]) => Wanted::SetPolicy(name),
        ("POST", ["keys", name, used]) => Wanted::Use(operation(used)?, name, None),
        ("POST", ["keys", name, id, used]) => Wanted::Use(operation(used)?, name, Some(*id)),
        ("GET", ["keys", name]) => Wanted::Get(name, None),
        ("GET", ["keys", name, id]) => Wanted::Get(name, Some(*id)),
        ("PATCH", ["keys", name]) => Wanted::Update(name, None),
        ("PATCH", ["keys", name, id]) => Wanted::Update(name, Some(*id)),
        ("DELETE", ["keys", name]) => Wanted::Delete(name),
        ("GET", ["deletedkeys"]) => Wanted::ListDeleted,
        ("GET", ["deletedkeys", name]) => Wanted::GetDeleted(name),
        ("POST", ["deletedkeys", name, "recover"]) => Wanted::Recover(name),
        ("DELETE", ["deletedkeys", name]) => Wanted::Purge(name),
        _ => return None,
    })
}

/// The operation of `key_ops` that a path ends in.
fn operation(path: &str) -> Option<&'static str> {
    match path {
        "wrapkey" => Some("wrapKey"),
        "unwrapkey" => Some("unwrapKey"),
        "encrypt" => Some("encrypt"),
        "decrypt" => Some("decrypt"),
        _ => None,
    }
}

impl State {
    /// The vault's answer, with the headers that all its answers have, and a note of the call.
    pub(super) fn answer(&self, heard: &Heard) -> Answer {
        let authorized = self.authority.issuer.check(heard.header("authorization"));
        let known = authorized.is_ok();
        let answer = match authorized {
            Ok(()) => self.authorized(heard).unwrap_or_else(|refused| refused),
            Err(refused) => {
                refused.with_header("www-authenticate", self.authority.issuer.challenge())
            }
        };
        self.note(Call {
            method: heard.method.clone(),
            path: heard.path.clone(),
            authorized: known,
            status: answer.status,
        });
        self.with_headers(answer, heard)
    }

    fn authorized(&self, heard: &Heard) -> Result<Answer, Answer> {
        if let Some(refused) = self.throttle() {
            return Err(refused);
        }
        let query = pairs(&heard.query);
        if value(&query, "api-version").is_none() {
            return Err(answer::bad_parameter("api-version must be specified."));
        }
        let mut segments = heard.segments();
        let spelled = segments.get(1).map(|name| super::lock(&self.vault).spelled(name));
        // `/keys/restore` alone has no name there.
        if let (true, Some(name), Some(spelled)) =
            (segments != ["keys", "restore"], segments.get_mut(1), &spelled)
        {
            *name = spelled;
        }
        let wanted = wanted(&heard.method, &segments).ok_or_else(answer::no_such_path)?;
        wanted.name().map_or(Ok(()), check_name)?;
        if self.denies(wanted.permission()) {
            let (caller, name) = (self.authority.issuer.caller(), &self.name);
            return Err(answer::not_authorized(&caller, wanted.permission(), name));
        }
        let asked = match heard.body() {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(|_| answer::incorrect_parameter())?,
        };
        if let Wanted::Purge(name) = wanted {
            return self.with_vault(|vault, _| vault.purge(name)).map(|()| Answer::no_content());
        }
        self.perform(&wanted, &asked, &query).map(|body| Answer::ok(&body))
    }

    fn perform(&self, wanted: &Wanted<'_>, asked: &Value, query: &[(String, String)]) -> Answered {
        match *wanted {
            // Keys are made outside of the lock: it takes up to seconds.
            Wanted::Create(name) => {
                let made = Material::generate(kind(asked)?);
                self.with_vault(|vault, now| vault.create(name, made, asked, now))
            }
            Wanted::Rotate(name) => {
                let made = Material::generate(self.with_vault(|vault, _| vault.kind(name))?);
                self.with_vault(|vault, now| vault.rotate(name, made, now))
            }
            Wanted::Use(operation, name, id) => self.with_vault(|vault, now| {
                let version = vault.version(name, id)?;
                let done = version.operate(operation, asked, now)?;
                Ok(version.result(name, &vault.settings, &done))
            }),
            Wanted::Get(name, id) => self.with_vault(|vault, _| vault.get(name, id)),
            Wanted::Update(name, id) => {
                self.with_vault(|vault, now| vault.update(name, id, asked, now))
            }
            Wanted::Policy(name) => self.with_vault(|vault, _| vault.policy(name)),
            Wanted::SetPolicy(name) => {
                self.with_vault(|vault, now| vault.set_policy(name, asked, now))
            }
            Wanted::Delete(name) => self.with_vault(|vault, now| vault.delete(name, now)),
            Wanted::GetDeleted(name) => self.with_vault(|vault, _| vault.get_deleted(name)),
            Wanted::Recover(name) => self.with_vault(|vault, _| vault.recover(name)),
            Wanted::Backup(name) => self.with_vault(|vault, _| vault.backup(name)),
            Wanted::Restore => self.with_vault(|vault, _| vault.restore(asked)),
            Wanted::List => self.page("keys", query, |vault| vault.items()),
            Wanted::Versions(name) => {
                let path = format!("keys/{name}/versions");
                self.page(&path, query, |vault| vault.version_items(name))
            }
            Wanted::ListDeleted => self.page("deletedkeys", query, |vault| vault.deleted_items()),
            Wanted::Purge(_) => Err(answer::no_such_path()),
        }
    }

    /// A page of a list, and where the next one is. The service may answer a page without items that has a
    /// next one (recorded by Microsoft's own clients for deleted keys), so this always does for those.
    fn page(
        &self,
        path: &str,
        query: &[(String, String)],
        items: impl FnOnce(&super::vault::Vault) -> Vec<Value>,
    ) -> Answered {
        let most = match value(query, "maxresults").map(str::parse) {
            None => PAGE,
            Some(Ok(most)) if (1..=PAGE).contains(&most) => most,
            Some(_) => return Err(answer::bad_parameter("maxresults must be between 1 and 25.")),
        };
        let token = value(query, "$skiptoken");
        let begin = match token {
            None => 0,
            Some(token) => begin_of(token).ok_or_else(answer::incorrect_parameter)?,
        };
        let items = self.with_vault(|vault, _| Ok(items(vault)))?;
        let most = if token.is_none() && path == "deletedkeys" { 0 } else { most };
        let end = items.len().min(begin + most);
        let more = end < items.len() || (most == 0 && token.is_none());
        let next = more.then(|| {
            let version = value(query, "api-version").unwrap_or_default();
            let token = encode(format!("2!{end}").as_bytes());
            let most = if most == 0 { PAGE } else { most };
            let host = self.host();
            format!(
                "https://{host}:443/{path}?api-version={version}&$skiptoken={token}&maxresults={most}"
            )
        });
        let page: Vec<&Value> = items.iter().take(end).skip(begin).collect();
        Ok(json!({ "value": page, "nextLink": next }))
    }

    /// What the service puts on every answer; recorded.
    fn with_headers(&self, answer: Answer, heard: &Heard) -> Answer {
        let mut answer = answer
            .with_header("cache-control", "no-cache")
            .with_header("pragma", "no-cache")
            .with_header("expires", "-1")
            .with_header("date", self.date())
            .with_header("strict-transport-security", "max-age=31536000;includeSubDomains")
            .with_header("x-content-type-options", "nosniff")
            .with_header("x-ms-keyvault-region", "westeurope")
            .with_header("x-ms-keyvault-network-info", "conn_type=Ipv4;addr=127.0.0.1;")
            .with_header("x-ms-keyvault-service-version", "1.9.1222.3")
            .with_header("x-ms-request-id", super::tokens::uuid());
        if !answer.body.is_empty() {
            answer = answer.with_header("content-type", "application/json; charset=utf-8");
        }
        match heard.header("x-ms-client-request-id") {
            Some(id) => answer.with_header("x-ms-client-request-id", id),
            None => answer,
        }
    }
}

fn begin_of(token: &str) -> Option<usize> {
    String::from_utf8(decode(token)?).ok()?.strip_prefix("2!")?.parse().ok()
}
