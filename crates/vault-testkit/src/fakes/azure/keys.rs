//! The keys of a vault: names, versions, attributes, and what may be done with them.
//!
//! Left to `deleted`: keys on their way out. To `rotation`: policies. To `routes`: who asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::{self, Answer};
use super::material::{Kind, Material, decode, encode};
use super::rotation::Policy;

/// What a request is answered, or with what it is refused.
pub(super) type Answered = Result<Value, Answer>;

/// One version of a key.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) material: Arc<Material>,
    pub(super) operations: Vec<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) enabled: bool,
    pub(super) not_before: Option<u64>,
    pub(super) expires: Option<u64>,
    pub(super) created: u64,
    updated: u64,
}

/// A key: its versions, the oldest first, and its policy.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) versions: Vec<Version>,
    pub(super) policy: Option<Policy>,
}

/// What a vault is set to, which shows in the attributes of every key.
/// <https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview>
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) retention_days: u64,
    pub(super) purge_protection: bool,
}

impl Settings {
    pub(super) fn url(&self) -> String {
        format!("https://{}", self.host)
    }

    /// The first label of the host name.
    pub(super) fn name(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }

    /// `DeletionRecoveryLevel` of the reference.
    fn recovery_level(&self) -> String {
        let base = if self.retention_days < 90 { "CustomizedRecoverable" } else { "Recoverable" };
        let purgeable = if self.purge_protection { "" } else { "+Purgeable" };
        format!("{base}{purgeable}")
    }
}

impl Version {
    /// A version as `KeyCreateParameters` asks for it.
    /// <https://learn.microsoft.com/rest/api/keyvault/keys/create-key/create-key>
    pub(super) fn new(material: Arc<Material>, asked: &Value, now: u64) -> Result<Self, Answer> {
        let operations = material.kind().operations().iter().map(|name| (*name).to_owned());
        let mut version = Self {
            id: super::hex(&super::random_bytes::<16>()),
            operations: operations.collect(),
            material,
            tags: BTreeMap::new(),
            enabled: true,
            not_before: None,
            expires: None,
            created: now,
            updated: now,
        };
        version.change(asked, now)?;
        Ok(version)
    }

    /// The next version of a key that is rotated: the same but for the material and the dates.
    /// <https://learn.microsoft.com/azure/key-vault/keys/how-to-configure-key-rotation>
    pub(super) fn next(&self, material: Arc<Material>, now: u64, lifetime: Option<u64>) -> Self {
        Self {
            id: super::hex(&super::random_bytes::<16>()),
            material,
            operations: self.operations.clone(),
            tags: self.tags.clone(),
            enabled: true,
            not_before: None,
            expires: lifetime.map(|lifetime| now + lifetime),
            created: now,
            updated: now,
        }
    }

    /// Takes over what `asked` names of `attributes`, `tags` and `key_ops`; the rest stays.
    /// <https://learn.microsoft.com/rest/api/keyvault/keys/update-key/update-key>
    pub(super) fn change(&mut self, asked: &Value, now: u64) -> Result<(), Answer> {
        let attributes = asked.get("attributes");
        let attribute = |name: &str| attributes.and_then(|all| all.get(name));
        let time = |name: &str, old| attribute(name).map_or(old, Value::as_u64);
        let (not_before, expires) = (time("nbf", self.not_before), time("exp", self.expires));
        if not_before.zip(expires).is_some_and(|(begin, end)| begin > end) {
            return Err(answer::bad_parameter("The nbf must not be after the exp."));
        }
        let operations: Option<Vec<String>> = asked.get("key_ops").and_then(strings);
        let all = self.material.kind().operations();
        if operations.iter().flatten().any(|name| !all.contains(&name.as_str())) {
            return Err(answer::bad_parameter("An operation of key_ops is not one of this key's."));
        }
        if let Some(tags) = asked.get("tags").and_then(Value::as_object) {
            self.tags = texts(tags)?;
        }
        if let Some(enabled) = attribute("enabled").and_then(Value::as_bool) {
            self.enabled = enabled;
        }
        self.operations = operations.unwrap_or_else(|| std::mem::take(&mut self.operations));
        (self.not_before, self.expires, self.updated) = (not_before, expires, now);
        Ok(())
    }

    /// One of the four operations that this fake has: real cryptography under the version's own key.
    pub(super) fn operate(
        &self,
        operation: &str,
        asked: &Value,
        now: u64,
    ) -> Result<Vec<u8>, Answer> {
        self.allow(operation, now)?;
        let text = |name: &str| asked.get(name).and_then(Value::as_str);
        let algorithm = text("alg").ok_or_else(answer::incorrect_parameter)?;
        let value = text("value").and_then(decode).ok_or_else(answer::incorrect_parameter)?;
        let done = match operation {
            "wrapKey" | "encrypt" => self.material.seal(algorithm, &value),
            _ => self.material.open(algorithm, &value),
        };
        done.ok_or_else(answer::incorrect_parameter)
    }

    /// A disabled version does nothing; outside of `nbf` and `exp` it still opens what was sealed.
    /// <https://learn.microsoft.com/azure/key-vault/keys/about-keys-details#date-time-controlled-operations>
    fn allow(&self, operation: &str, now: u64) -> Result<(), Answer> {
        if !self.enabled {
            return Err(answer::disabled(operation));
        }
        if !self.operations.iter().any(|name| name == operation) {
            return Err(answer::not_permitted(operation));
        }
        if matches!(operation, "unwrapKey" | "decrypt") {
            return Ok(());
        }
        if self.not_before.is_some_and(|begin| now < begin) {
            return Err(answer::not_yet_valid(operation));
        }
        if self.expires.is_some_and(|end| now >= end) {
            return Err(answer::expired(operation));
        }
        Ok(())
    }

    /// `KeyAttributes` of the reference.
    fn attributes(&self, settings: &Settings) -> Value {
        let mut shown = json!({
            "enabled": self.enabled, "created": self.created, "updated": self.updated,
            "recoveryLevel": settings.recovery_level(), "recoverableDays": settings.retention_days,
            "exportable": false,
        });
        if let Some(shown) = shown.as_object_mut() {
            let times = [("nbf", self.not_before), ("exp", self.expires)];
            for (name, time) in times.iter().filter_map(|(name, time)| Some((name, (*time)?))) {
                shown.insert((*name).to_owned(), json!(time));
            }
        }
        shown
    }

    /// `KeyBundle` of the reference.
    pub(super) fn bundle(&self, name: &str, settings: &Settings) -> Value {
        let mut key = self.material.shown();
        if let Some(key) = key.as_object_mut() {
            key.insert("kid".to_owned(), json!(self.identifier(name, settings)));
            key.insert("key_ops".to_owned(), json!(self.operations));
        }
        let mut bundle = json!({ "key": key, "attributes": self.attributes(settings) });
        self.tag(&mut bundle);
        bundle
    }

    /// `KeyItem` of the reference, under `kid`.
    pub(super) fn item(&self, kid: &str, settings: &Settings) -> Value {
        let mut item = json!({ "kid": kid, "attributes": self.attributes(settings) });
        self.tag(&mut item);
        item
    }

    /// Tags are absent where there are none.
    fn tag(&self, shown: &mut Value) {
        if let Some(shown) = shown.as_object_mut().filter(|_| !self.tags.is_empty()) {
            shown.insert("tags".to_owned(), json!(self.tags));
        }
    }

    pub(super) fn identifier(&self, name: &str, settings: &Settings) -> String {
        format!("{}/keys/{name}/{}", settings.url(), self.id)
    }

    /// `KeyOperationResult` of the reference: always the whole identifier, also where the request named no
    /// version. Recorded.
    pub(super) fn result(&self, name: &str, settings: &Settings, value: &[u8]) -> Value {
        json!({ "kid": self.identifier(name, settings), "value": encode(value) })
    }
}

impl Key {
    /// The version that is named, or the newest.
    pub(super) fn version(&self, id: Option<&str>) -> Option<&Version> {
        match id {
            Some(id) => self.versions.iter().find(|version| version.id.eq_ignore_ascii_case(id)),
            None => self.versions.last(),
        }
    }

    pub(super) fn version_mut(&mut self, id: Option<&str>) -> Option<&mut Version> {
        match id {
            Some(id) => {
                self.versions.iter_mut().find(|version| version.id.eq_ignore_ascii_case(id))
            }
            None => self.versions.last_mut(),
        }
    }

    /// All versions in the order of their random names: the reference promises no order, so no client may
    /// count on one.
    pub(super) fn shuffled(&self) -> Vec<&Version> {
        let mut all: Vec<&Version> = self.versions.iter().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }
}

/// The kind of key that `KeyCreateParameters` asks for.
pub(super) fn kind(asked: &Value) -> Result<Kind, Answer> {
    let text = |name: &str| asked.get(name).and_then(Value::as_str);
    let size = asked.get("key_size").filter(|size| !size.is_null());
    let size = match size.map(|size| size.as_u64().ok_or_else(answer::incorrect_parameter)) {
        Some(size) => Some(size?),
        None => None,
    };
    Kind::parse(text("kty").unwrap_or_default(), size, text("crv"))
        .ok_or_else(|| answer::bad_parameter("The kty, key_size or crv is not supported here."))
}

/// `^[0-9a-zA-Z-]{1,127}$`.
pub(super) fn check_name(name: &str) -> Result<(), Answer> {
    let good = (1..=127).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if good { Ok(()) } else { Err(answer::invalid_name(name)) }
}

fn strings(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Tags: 15 at most, whose names and values have 256 characters at most.
/// <https://learn.microsoft.com/azure/key-vault/keys/about-keys-details#key-tags>
fn texts(map: &Map<String, Value>) -> Result<BTreeMap<String, String>, Answer> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tags: BTreeMap<String, String> =
        map.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let long = |text: &String| text.chars().count() > 256;
    if tags.len() > 15 || tags.iter().any(|(name, value)| long(name) || long(value)) {
        return Err(answer::bad_parameter("There are too many tags, or one is too long."));
    }
    Ok(tags)
}
