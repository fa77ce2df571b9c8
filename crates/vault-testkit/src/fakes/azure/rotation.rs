//! Rotation: a new version on demand, or by the key's policy as the vault's clock goes on.
//!
//! Left to `keys`: what a version is. Left out: the notices that a policy may ask for.
//! <https://learn.microsoft.com/azure/key-vault/keys/how-to-configure-key-rotation>

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::keys::{Key, Settings};
use super::material::Material;
use super::period;

const DAY: u64 = 86_400;

/// A key is not rotated sooner than seven days after it was made or before it expires, and lives for 28 at least.
const SOONEST: u64 = 7 * DAY;
const SHORTEST: u64 = 28 * DAY;

/// A `KeyRotationPolicy` of the reference, as the client put it.
#[derive(Clone)]
pub(super) struct Policy {
    expiry: Option<String>,
    actions: Vec<Value>,
    created: u64,
    updated: u64,
}

impl Policy {
    /// The policy that `asked` describes, in the place of `old`.
    /// <https://learn.microsoft.com/rest/api/keyvault/keys/update-key-rotation-policy/update-key-rotation-policy>
    pub(super) fn new(asked: &Value, old: Option<&Self>, now: u64) -> Result<Self, Answer> {
        let expiry = asked.get("attributes").and_then(|all| all.get("expiryTime"));
        let expiry = expiry.and_then(Value::as_str).map(str::to_owned);
        let mut actions: Vec<Value> =
            asked.get("lifetimeActions").and_then(Value::as_array).cloned().unwrap_or_default();
        // The service adds the notice that every policy has: recorded by Microsoft's own clients.
        if !actions.iter().any(|action| is(action, "notify")) {
            actions.push(notice());
        }
        let created = old.map_or(now, |old| old.created);
        let policy = Self { expiry, actions, created, updated: now };
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), Answer> {
        let refuse = |what: &str| Err(answer::bad_parameter(what));
        let expiry = match self.expiry.as_deref().map(period::seconds) {
            Some(None) => return refuse("The expiryTime is not a duration."),
            Some(Some(expiry)) if expiry < SHORTEST => {
                return refuse("The expiryTime is shorter than 28 days.");
            }
            Some(expiry) => expiry,
            None => None,
        };
        for action in self.actions.iter().filter(|action| is(action, "rotate")) {
            match (trigger(action, "timeAfterCreate"), trigger(action, "timeBeforeExpiry"), expiry)
            {
                (Some(after), None, _) if after >= SOONEST => {}
                (None, Some(before), Some(_)) if before >= SOONEST => {}
                _ => return refuse("The trigger of the rotation is missing or less than 7 days."),
            }
        }
        Ok(())
    }

    /// How long a version that is made by rotation lives.
    pub(super) fn lifetime(&self) -> Option<u64> {
        self.expiry.as_deref().and_then(period::seconds)
    }

    /// When a version made at `created` that ends at `expires` is rotated.
    fn due(&self, created: u64, expires: Option<u64>) -> Option<u64> {
        let rotations = self.actions.iter().filter(|action| is(action, "rotate"));
        let times = rotations.filter_map(|action| match trigger(action, "timeAfterCreate") {
            Some(after) => Some(created + after),
            None => Some(expires?.saturating_sub(trigger(action, "timeBeforeExpiry")?)),
        });
        times.min()
    }

    fn shown(&self, id: &str) -> Value {
        let mut attributes = json!({ "created": self.created, "updated": self.updated });
        if let Some((expiry, attributes)) = self.expiry.as_ref().zip(attributes.as_object_mut()) {
            attributes.insert("expiryTime".to_owned(), json!(expiry));
        }
        json!({ "id": id, "lifetimeActions": self.actions, "attributes": attributes })
    }
}

impl Key {
    /// The policy as the service shows it: a key that was given none has the notice alone.
    pub(super) fn shown_policy(&self, name: &str, settings: &Settings) -> Value {
        let id = format!("{}/keys/{name}/rotationpolicy", settings.url());
        match &self.policy {
            Some(policy) => policy.shown(&id),
            None => json!({ "id": id, "lifetimeActions": [notice()], "attributes": {} }),
        }
    }

    /// Puts `material` in front as the newest version.
    pub(super) fn rotate(&mut self, material: Arc<Material>, now: u64) {
        let lifetime = self.policy.as_ref().and_then(Policy::lifetime);
        if let Some(next) = self.versions.last().map(|last| last.next(material, now, lifetime)) {
            self.versions.push(next);
        }
    }

    /// Does what the policy asked for up to `now`, each rotation at its time.
    pub(super) fn rotate_when_due(&mut self, now: u64) {
        let due = |key: &Self| {
            let last = key.versions.last()?;
            let at = key.policy.as_ref()?.due(last.created, last.expires)?;
            // A policy that comes late does not rotate in the past.
            let at = at.max(key.policy.as_ref()?.updated);
            (at <= now && at > last.created).then(|| (at, last.material.kind()))
        };
        while let Some((at, kind)) = due(self) {
            self.rotate(Arc::new(Material::generate(kind)), at);
        }
    }
}

/// The notice a month before the end that the service puts into every policy.
fn notice() -> Value {
    json!({ "trigger": { "timeBeforeExpiry": "P30D" }, "action": { "type": "Notify" } })
}

/// Clients write the kind of an action in either case.
fn is(action: &Value, kind: &str) -> bool {
    let found = action.get("action").and_then(|action| action.get("type")).and_then(Value::as_str);
    found.is_some_and(|found| found.eq_ignore_ascii_case(kind))
}

fn trigger(action: &Value, name: &str) -> Option<u64> {
    action.get("trigger")?.get(name)?.as_str().and_then(period::seconds)
}
