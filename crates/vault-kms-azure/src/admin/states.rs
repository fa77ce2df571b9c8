//! States of a key: enabled, disabled, pending deletion.
//!
//! Key Vault keeps `enabled` per version, and how long a deleted key is kept per vault.

use std::time::Duration;

use azure_security_keyvault_keys::models::{
    DeletedKey, Key, KeyAttributes, UpdateKeyPropertiesParameters,
};
use vault_crypto_core::{ErrorKind, KeyInfo};

use super::done::Done;
use super::{conflict, wrong};
use crate::client::within;
use crate::describe::Version;
use crate::error::{Fault, classify};
use crate::names::KeyName;
use crate::provider::{AzureKmsProvider, MIN_WINDOW_DAYS};

/// How often a deletion or a recovery is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many times versions that appear meanwhile are switched too.
const PASSES: usize = 5;

const PENDING: &str = "it is pending deletion; cancel the deletion first";

impl AzureKmsProvider {
    /// Enables or disables every version; asks again for those that appeared meanwhile.
    pub(super) async fn switch(
        &self,
        name: &KeyName,
        enabled: bool,
        done: &Done,
    ) -> Result<(), Fault> {
        self.switch_each(name, enabled, done, &mut Vec::new()).await
    }

    /// The same, and keeps those versions that it changed or may have changed.
    async fn switch_each(
        &self,
        name: &KeyName,
        enabled: bool,
        done: &Done,
        changed: &mut Vec<Version>,
    ) -> Result<(), Fault> {
        let current = self.current_of(name, &self.living(name).await?)?;
        for _ in 0..PASSES {
            let versions = self.versions(name, &current).await?;
            if versions.iter().all(|version| version.enabled == enabled) {
                return Ok(());
            }
            // The newest first: it is the one that wraps.
            for version in versions.into_iter().rev().filter(|version| version.enabled != enabled) {
                let set = self.set_enabled(name, &version, enabled).await;
                if !set.as_ref().is_err_and(Fault::is_refusal) {
                    changed.push(version);
                }
                set?;
                let some =
                    ["versions of the key were disabled", "versions of the key were enabled"];
                done.is(some.get(usize::from(enabled)).copied());
            }
        }
        Err(conflict("new versions keep appearing; is its rotation running?"))
    }

    async fn set_enabled(
        &self,
        name: &KeyName,
        version: &Version,
        enabled: bool,
    ) -> Result<(), Fault> {
        let change = UpdateKeyPropertiesParameters {
            key_attributes: Some(KeyAttributes { enabled: Some(enabled), ..Default::default() }),
            ..Default::default()
        };
        self.update(name, version, &change).await
    }

    /// The vault's own retention is what a deleted key is kept for. It may be longer than asked, never shorter.
    pub(super) async fn delete(
        &self,
        name: &KeyName,
        pending_days: u32,
        done: &Done,
    ) -> Result<KeyInfo, Fault> {
        if pending_days < MIN_WINDOW_DAYS {
            return Err(wrong("a deleted key is kept for 7 days at least"));
        }
        let key = match self.living(name).await {
            Err(fault) if fault.kind == ErrorKind::KeyUnusable => {
                return Err(conflict(
                    "its deletion is scheduled already; cancel it to choose again",
                ));
            }
            key => key?,
        };
        let kept = key.attributes.as_ref().and_then(|attributes| attributes.recoverable_days);
        let kept = kept.and_then(|days| u32::try_from(days).ok()).unwrap_or_default();
        if kept < pending_days {
            return Err(wrong(
                "the vault keeps deleted keys for fewer days than asked; its retention is the vault's setting",
            ));
        }
        let deleted = self.disable_and_delete(name, done).await?;
        // It takes the service some seconds; what it will say then, it has said already, so there is time
        // left for that answer.
        let info = self.of_deleted(name, deleted)?;
        let looking = async {
            while matches!(self.describe_deleted(name).await, Ok(None)) {
                self.clock.sleep(LOOK_EVERY).await;
            }
        };
        within(&*self.clock, self.call_timeout / 2, looking).await;
        Ok(info)
    }

    /// Disabled first, so that it is disabled when it is recovered. What went wrong first is what is told.
    async fn disable_and_delete(&self, name: &KeyName, done: &Done) -> Result<DeletedKey, Fault> {
        let mut disabled = Vec::new();
        if let Err(fault) = self.switch_each(name, false, done, &mut disabled).await {
            self.enable_again(name, &disabled, done).await;
            return Err(fault);
        }
        if !disabled.is_empty() {
            done.is(Some("the key was disabled"));
        }
        let answer = match self.ask(self.client.delete_key(name.as_str(), None)).await {
            Err(fault) if fault.is_refusal() => {
                self.enable_again(name, &disabled, done).await;
                return Err(fault);
            }
            answer => answer?,
        };
        done.is(Some("the deletion of the key was scheduled"));
        answer.into_model().map_err(|error| classify(&error, &*self.clock))
    }

    /// Nothing was deleted, so nothing is to be left disabled; and where it is, that is told.
    async fn enable_again(&self, name: &KeyName, versions: &[Version], done: &Done) {
        let mut left = None;
        for version in versions.iter().rev() {
            if self.set_enabled(name, version, true).await.is_err() {
                left = Some("versions of the key were disabled and perhaps not enabled again");
            }
        }
        done.is(left);
    }

    pub(super) async fn recover(&self, name: &KeyName, done: &Done) -> Result<(), Fault> {
        if self.describe_deleted(name).await?.is_none() {
            self.current(name).await?;
            return Err(conflict("its deletion is not scheduled"));
        }
        self.ask(self.client.recover_deleted_key(name.as_str(), None)).await?;
        done.is(Some("the recovery of the key was begun"));
        loop {
            match self.current(name).await {
                // Whoever deleted it may not have disabled it.
                Ok(_) => {
                    done.is(Some("the key was recovered"));
                    return self.switch(name, false, &Done::default()).await;
                }
                Err(fault) if fault.is_not_found() || fault.is_mid_deletion() => {}
                Err(fault) => return Err(fault),
            }
            self.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// The key, or `KeyUnusable` while its deletion is pending.
    pub(crate) async fn living(&self, name: &KeyName) -> Result<Key, Fault> {
        match self.current(name).await {
            Err(fault) if fault.is_not_found() || fault.is_mid_deletion() => {
                Err(match self.explain(fault, name, None).await {
                    fault if fault.kind == ErrorKind::KeyUnusable => {
                        Fault::new(fault.kind, PENDING)
                    }
                    fault => fault,
                })
            }
            answer => answer,
        }
    }
}
