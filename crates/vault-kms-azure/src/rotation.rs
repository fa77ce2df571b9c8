//! How often the vault rotates a key by itself: reading and writing its rotation policy.
//!
//! Left to others: rotating now.

use std::time::Duration;

use azure_security_keyvault_keys::models::{
    KeyRotationPolicy, KeyRotationPolicyAction, LifetimeAction,
};

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// After how long the policy rotates the key, counted from a version's creation.
pub(crate) fn period_of(policy: &KeyRotationPolicy) -> Option<Duration> {
    let actions = policy.lifetime_actions.as_deref().unwrap_or_default();
    let rotation = actions.iter().find(|action| rotates(action))?;
    let trigger = rotation.trigger.as_ref()?;
    if let Some(after) = &trigger.time_after_create {
        return parse_period(after);
    }
    let lifetime = policy.attributes.as_ref()?.expiry_time.as_deref().and_then(parse_period)?;
    lifetime.checked_sub(trigger.time_before_expiry.as_deref().and_then(parse_period)?)
}

fn rotates(action: &LifetimeAction) -> bool {
    let kind = action.action.as_ref().and_then(|action| action.type_prop);
    kind == Some(KeyRotationPolicyAction::Rotate)
}

/// ISO 8601 durations of years, months, weeks and days; a year has 365 days and a month 30.
fn parse_period(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty())?;
    let mut days = 0_u64;
    while !rest.is_empty() {
        let (number, after) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit())?)?;
        let mut after = after.chars();
        let unit = match after.next()? {
            'Y' => 365,
            'M' => 30,
            'W' => 7,
            'D' => 1,
            _ => return None,
        };
        days = days.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = after.as_str();
    }
    days.checked_mul(DAY).map(Duration::from_secs)
}

#[cfg(feature = "admin")]
mod set {
    use azure_core::json::to_json;
    use azure_security_keyvault_keys::models::{LifetimeActionTrigger, LifetimeActionType};

    use super::*;
    use crate::admin::wrong;
    use crate::error::{Fault, classify};
    use crate::names::KeyName;
    use crate::provider::AzureKmsProvider;

    /// Shortest period that Key Vault takes, in days, and the longest that makes sense.
    const MIN_DAYS: u64 = 7;
    const MAX_DAYS: u64 = 100 * 365;

    impl AzureKmsProvider {
        /// The rest of the policy, notifications and lifetime, stays as it is.
        pub(crate) async fn set_period(
            &self,
            name: &KeyName,
            period: Option<Duration>,
        ) -> Result<(), Fault> {
            let days = period.map(whole_days).transpose()?;
            self.living(name).await?;
            let mut policy = self.policy(name).await?;
            let actions = policy.lifetime_actions.get_or_insert_default();
            actions.retain(|action| !rotates(action));
            actions.extend(days.map(rotation_after));
            let body = to_json(&policy).map_err(|error| classify(&error, &*self.clock))?;
            let update = self.client.update_key_rotation_policy(name.as_str(), body.into(), None);
            self.ask(update).await.map(drop)
        }
    }

    fn whole_days(period: Duration) -> Result<u64, Fault> {
        let days = period.as_secs() / DAY;
        let whole = period == Duration::from_secs(days * DAY);
        if whole && (MIN_DAYS..=MAX_DAYS).contains(&days) {
            return Ok(days);
        }
        Err(wrong("Key Vault rotates by itself after whole days, from 7 on, and at most 100 years"))
    }

    fn rotation_after(days: u64) -> LifetimeAction {
        let trigger = LifetimeActionTrigger {
            time_after_create: Some(format!("P{days}D")),
            ..Default::default()
        };
        let action = LifetimeActionType { type_prop: Some(KeyRotationPolicyAction::Rotate) };
        LifetimeAction { trigger: Some(trigger), action: Some(action) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_as_key_vault_writes_them() {
        let days = |text| parse_period(text).map(|period| period.as_secs() / DAY);
        assert_eq!(days("P90D"), Some(90));
        assert_eq!(days("P1Y"), Some(365));
        assert_eq!(days("P1Y6M2W1D"), Some(365 + 180 + 15));
        for strange in ["", "P", "90D", "PD", "P1", "PT1H", "P-1D", "P99999999999999999999D"] {
            assert_eq!(days(strange), None, "{strange}");
        }
    }
}
