//! What Transit says of a key, and whether the key is of the kind that the scope's binding needs.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use vault_crypto_core::{KeyId, KeyInfo, KeySpec, KeyState, KeyUsage, KeyVersion, KeyVersionInfo};

use crate::ScopeBinding;

/// `GET keys/NAME`.
#[derive(Deserialize)]
pub(crate) struct Described {
    pub(crate) name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    derived: bool,
    #[serde(default)]
    convergent_encryption: bool,
    /// By version: seconds since 1970 for a symmetric key, an object for the others.
    #[serde(default)]
    keys: BTreeMap<u32, Value>,
    pub(crate) latest_version: u32,
    #[serde(default)]
    min_decryption_version: u32,
    /// What is below has been destroyed.
    #[serde(default)]
    min_available_version: u32,
    /// Seconds; older servers write a duration as text.
    #[serde(default)]
    auto_rotate_period: Value,
}

impl Described {
    /// Why this key cannot be used under `binding`, if it cannot.
    pub(crate) fn unfit_for(&self, binding: ScopeBinding) -> Option<&'static str> {
        if !matches!(
            self.kind.as_str(),
            "aes256-gcm96" | "chacha20-poly1305" | "xchacha20-poly1305"
        ) {
            return Some(
                "this key is not of a type that wraps data keys; make one of the type aes256-gcm96",
            );
        }
        if self.convergent_encryption {
            return Some(
                "this key encrypts convergently, so that equal keys look equal; make one that does not",
            );
        }
        match (binding, self.derived) {
            (ScopeBinding::DerivedKey, false) => Some(
                "this key is not a derived one, so the server would ignore the scope; make one with \
                 derived=true, or choose ScopeBinding::HeaderMac",
            ),
            (ScopeBinding::HeaderMac, true) => Some(
                "this key is a derived one and wants the scope; choose ScopeBinding::DerivedKey",
            ),
            _ => None,
        }
    }

    /// When version `version` was made.
    pub(crate) fn made_at(&self, version: u32) -> Option<SystemTime> {
        match self.keys.get(&version)? {
            Value::Number(seconds) => {
                UNIX_EPOCH.checked_add(Duration::from_secs(seconds.as_u64()?))
            }
            Value::Object(version) => {
                let text = version.get("creation_time")?.as_str()?;
                Some(OffsetDateTime::parse(text, &Rfc3339).ok()?.into())
            }
            _ => None,
        }
    }

    /// The description; `None` for a key that is no [`KeySpec`] (a signing key on a curve).
    pub(crate) fn info(&self, key_id: KeyId) -> Option<KeyInfo> {
        let mut info = KeyInfo::new(key_id, KeyState::Enabled);
        (info.spec, info.usage) = self.spec()?;
        info.primary_version = Some(KeyVersion::from(self.latest_version));
        info.versions = self.versions();
        info.created_at = self.made_at(1);
        info.rotated_at =
            if self.latest_version > 1 { self.made_at(self.latest_version) } else { None };
        info.rotation_period =
            self.auto_rotate_period.as_u64().filter(|s| *s > 0).map(Duration::from_secs);
        Some(info)
    }

    /// The server lists no version below `min_decryption_version`; they are there all the same, and unusable.
    fn versions(&self) -> Vec<KeyVersionInfo> {
        let state = |version: u32| match version {
            version if version == self.latest_version => KeyState::Enabled,
            version if version >= self.min_decryption_version => KeyState::DecryptOnly,
            _ => KeyState::Disabled,
        };
        let first = self.keys.keys().next().copied().unwrap_or(self.latest_version);
        let hidden = self.min_available_version.max(1)..first.min(self.min_decryption_version);
        let hidden = hidden.start.max(hidden.end.saturating_sub(MAX_HIDDEN))..hidden.end;
        let all = hidden.chain(self.keys.keys().copied());
        all.map(|v| KeyVersionInfo::new(KeyVersion::from(v), state(v), self.made_at(v))).collect()
    }

    fn spec(&self) -> Option<(KeySpec, KeyUsage)> {
        let rsa = |bits| Some((KeySpec::Rsa { bits }, KeyUsage::EncryptDecrypt));
        match self.kind.as_str() {
            "aes256-gcm96" | "chacha20-poly1305" | "xchacha20-poly1305" => {
                Some((KeySpec::Symmetric256, KeyUsage::EncryptDecrypt))
            }
            "rsa-2048" => rsa(2_048),
            "rsa-3072" => rsa(3_072),
            "rsa-4096" => rsa(4_096),
            _ => None,
        }
    }
}

/// Versions that nobody can use any more need not have a line each without end.
const MAX_HIDDEN: u32 = 1_000;

#[cfg(test)]
mod tests {
    use KeyState::{DecryptOnly, Disabled, Enabled};

    use super::*;

    fn described(changes: &[(&str, Value)]) -> Described {
        let mut json = serde_json::json!({
            "name": "k", "type": "aes256-gcm96", "derived": true, "convergent_encryption": false,
            "keys": {"1": 1_795_322_602_u64, "2": 1_795_322_603_u64, "10": 1_795_322_999_u64},
            "latest_version": 10, "min_decryption_version": 1, "auto_rotate_period": 0,
        });
        for (name, value) in changes {
            json[name] = value.clone();
        }
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn versions_ascend_by_number_and_have_their_own_dates() {
        let info = described(&[]).info(KeyId::new("k")).unwrap();
        let told: Vec<&str> = info.versions.iter().map(|v| v.version.as_str()).collect();
        assert_eq!(told, ["1", "2", "10"]);
        assert_eq!(info.created_at, Some(UNIX_EPOCH + Duration::from_secs(1_795_322_602)));
        assert_eq!(info.rotated_at, Some(UNIX_EPOCH + Duration::from_secs(1_795_322_999)));
        assert_eq!(info.rotation_period, None);
    }

    #[test]
    fn versions_below_the_least_that_decrypts_are_disabled() {
        let low = described(&[
            ("keys", serde_json::json!({"3": 7, "4": 8})),
            ("latest_version", 4.into()),
            ("min_decryption_version", 3.into()),
        ]);
        let info = low.info(KeyId::new("k")).unwrap();
        let states: Vec<KeyState> = info.versions.iter().map(|v| v.state).collect();
        assert_eq!(states, [Disabled, Disabled, DecryptOnly, Enabled]);
        assert_eq!(info.created_at, None);
    }

    #[test]
    fn a_key_of_the_wrong_kind_is_unfit() {
        let (derived, mac) = (ScopeBinding::DerivedKey, ScopeBinding::HeaderMac);
        let plain = [("derived", Value::Bool(false))];
        assert_eq!(described(&[]).unfit_for(derived), None);
        assert_eq!(described(&plain).unfit_for(mac), None);
        assert!(described(&[]).unfit_for(mac).is_some());
        assert!(described(&plain).unfit_for(derived).is_some());
        assert!(described(&[("convergent_encryption", true.into())]).unfit_for(derived).is_some());
        for kind in ["aes128-gcm96", "rsa-4096", "ed25519", "hmac"] {
            assert!(described(&[("type", kind.into())]).unfit_for(derived).is_some(), "{kind}");
        }
    }
}
