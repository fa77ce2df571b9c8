//! Who may do what: IAM policies of rings and keys, changed against their etag so that no change is lost.
//!
//! What a policy carries beside its bindings (conditions, audit settings) is kept as it came.

use gcloud_sdk::google::iam::v1 as iam;
use vault_crypto_core::{Operation, Result};

use super::CloudKmsClient;
use crate::client::Iam;
use crate::error::{Verb, after, broken_answer, classify, invalid};

/// The version that carries conditions (<https://cloud.google.com/iam/docs/policies#versions>).
const POLICY_VERSION: i32 = 3;

/// What a policy is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IamResource<'a> {
    /// A ring: what is granted here holds for all its keys.
    KeyRing(&'a str),
    /// A key, by ring and name.
    Key(&'a str, &'a str),
}

/// Who has which role on a ring or key.
///
/// It comes from [`CloudKmsClient::get_iam_policy`] alone: a policy without its etag would overwrite what
/// somebody else granted meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct IamPolicy(iam::Policy);

/// One role and those who have it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IamBinding {
    /// `roles/cloudkms.cryptoKeyEncrypterDecrypter`.
    pub role: String,
    /// `serviceAccount:app@project.iam.gserviceaccount.com`, `user:...`, `group:...`.
    pub members: Vec<String>,
    /// Whether it holds only under a condition.
    pub conditional: bool,
}

impl IamPolicy {
    /// Roles and members.
    #[must_use]
    pub fn bindings(&self) -> Vec<IamBinding> {
        let told = |binding: &iam::Binding| IamBinding {
            role: binding.role.clone(),
            members: binding.members.clone(),
            conditional: binding.condition.is_some(),
        };
        self.0.bindings.iter().map(told).collect()
    }

    /// The service's mark of this state of the policy.
    #[must_use]
    pub fn etag(&self) -> &[u8] {
        &self.0.etag
    }

    /// Gives `member` a role, without condition. Who has it already keeps it.
    pub fn grant(&mut self, role: impl Into<String>, member: impl Into<String>) {
        let (role, member) = (role.into(), member.into());
        let unconditional =
            self.0.bindings.iter_mut().find(|b| b.role == role && b.condition.is_none());
        match unconditional {
            Some(binding) if binding.members.contains(&member) => {}
            Some(binding) => binding.members.push(member),
            None => {
                let members = vec![member];
                self.0.bindings.push(iam::Binding { role, members, condition: None });
            }
        }
    }

    /// Takes a role from `member`, with and without conditions. Whether there was one to take.
    pub fn revoke(&mut self, role: &str, member: &str) -> bool {
        let mut taken = false;
        for binding in self.0.bindings.iter_mut().filter(|binding| binding.role == role) {
            let before = binding.members.len();
            binding.members.retain(|holder| holder != member);
            taken |= binding.members.len() != before;
        }
        self.0.bindings.retain(|binding| !binding.members.is_empty());
        taken
    }
}

/// What lacks it could be put only over whatever else was granted meanwhile.
fn with_etag(policy: iam::Policy) -> Result<IamPolicy> {
    if policy.etag.is_empty() {
        return Err(broken_answer("the service answered a policy without its etag"));
    }
    Ok(IamPolicy(policy))
}

impl CloudKmsClient {
    /// The policy of a ring or key.
    ///
    /// # Errors
    /// `KeyNotFound`, `PermissionDenied`, `InvalidInput`, or what the service says.
    pub async fn get_iam_policy(&self, resource: IamResource<'_>) -> Result<IamPolicy> {
        let name = self.resource_name(resource)?;
        self.logged("GetIamPolicy", Operation::AccessPolicy, &name, async |call| {
            let options = iam::GetPolicyOptions { requested_policy_version: POLICY_VERSION };
            let message =
                iam::GetIamPolicyRequest { resource: name.clone(), options: Some(options) };
            let answer = call.iam(&name, message, Iam::get_iam_policy).await;
            let policy = answer.map_err(|status| classify(&status, Verb::Other))?.into_inner();
            with_etag(policy)
        })
        .await
    }

    /// Puts a changed policy in the place of the one that it was read from.
    ///
    /// # Errors
    /// `Conflict` if somebody changed it meanwhile: read it again and change that. Else as
    /// [`get_iam_policy`](Self::get_iam_policy).
    pub async fn set_iam_policy(
        &self,
        resource: IamResource<'_>,
        policy: &IamPolicy,
    ) -> Result<IamPolicy> {
        let name = self.resource_name(resource)?;
        self.logged("SetIamPolicy", Operation::AccessPolicy, &name, async |call| {
            let mut policy = policy.0.clone();
            policy.version = POLICY_VERSION;
            let message = iam::SetIamPolicyRequest {
                resource: name.clone(),
                policy: Some(policy),
                ..Default::default()
            };
            let answer = call.iam(&name, message, Iam::set_iam_policy).await;
            let policy = answer.map_err(|status| classify(&status, Verb::Other))?.into_inner();
            with_etag(policy).map_err(|error| {
                after("the policy was set, but has to be read again before the next change", error)
            })
        })
        .await
    }

    /// Which of these permissions (`cloudkms.cryptoKeyVersions.useToEncrypt`) the caller has.
    ///
    /// # Errors
    /// As [`get_iam_policy`](Self::get_iam_policy).
    pub async fn test_iam_permissions(
        &self,
        resource: IamResource<'_>,
        permissions: &[&str],
    ) -> Result<Vec<String>> {
        let name = self.resource_name(resource)?;
        self.logged("TestIamPermissions", Operation::AccessPolicy, &name, async |call| {
            if permissions.iter().any(|permission| permission.contains('*')) {
                return Err(invalid("permissions are named one by one, without *"));
            }
            let message = iam::TestIamPermissionsRequest {
                resource: name.clone(),
                permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
            };
            let answer = call.iam(&name, message, Iam::test_iam_permissions).await;
            let held = answer.map_err(|status| classify(&status, Verb::Other))?.into_inner();
            Ok(held.permissions)
        })
        .await
    }

    fn resource_name(&self, resource: IamResource<'_>) -> Result<String> {
        match resource {
            IamResource::KeyRing(ring) => Ok(self.ring_name(ring)?.to_string()),
            IamResource::Key(ring, key) => Ok(self.ring_name(ring)?.key(key)?.to_string()),
        }
    }
}
