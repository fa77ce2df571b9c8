//! Policies of key rings and keys: get, set with an etag, and which permissions a caller has.
//!
//! Reference: <https://cloud.google.com/iam/docs/reference/rest/v1/Policy> and
//! <https://cloud.google.com/kms/docs/reference/permissions-and-roles>. Left to others: enforcing them; a
//! test denies permissions by name.

use gcloud_sdk::google::iam::v1 as iam;
use tonic::Status;

use super::state::State;
use super::{names, status};

/// The etag of a policy that nobody has set.
const UNSET: &[u8] = &[0x00, 0x20, 0x01];
/// Principals in the bindings of one policy (<https://cloud.google.com/iam/quotas>).
const MEMBERS: usize = 1500;
const MEMBER_KINDS: &[&str] = &[
    "user:",
    "serviceAccount:",
    "group:",
    "domain:",
    "principal://",
    "principalSet://",
    "deleted:",
    "projectOwner:",
    "projectEditor:",
    "projectViewer:",
];

/// That the key ring or key is there.
fn exists(state: &State, resource: &str) -> Result<(), Status> {
    if names::is_key_ring(resource) {
        state.ring(resource).map(|_| ())
    } else {
        state.key(resource).map(|_| ())
    }
}

pub(super) fn get(
    state: &mut State,
    request: iam::GetIamPolicyRequest,
) -> Result<iam::Policy, Status> {
    exists(state, &request.resource)?;
    let version = request.options.unwrap_or_default().requested_policy_version;
    if ![0, 1, 3].contains(&version) {
        return Err(status::invalid("The requested_policy_version must be 0, 1 or 3."));
    }
    Ok(current(state, &request.resource))
}

fn current(state: &State, resource: &str) -> iam::Policy {
    let unset = || iam::Policy { etag: UNSET.to_vec(), ..Default::default() };
    state.policies.get(resource).cloned().unwrap_or_else(unset)
}

/// "If no etag is provided, the existing policy is overwritten"; an etag that is not the current one is
/// `ABORTED`.
pub(super) fn set(
    state: &mut State,
    request: iam::SetIamPolicyRequest,
) -> Result<iam::Policy, Status> {
    exists(state, &request.resource)?;
    let mask = request.update_mask.unwrap_or_default().paths;
    if mask.iter().any(|path| path != "bindings" && path != "etag") {
        return Err(Status::unimplemented("audit configurations"));
    }
    let mut policy = request.policy.ok_or_else(|| status::invalid("policy is required."))?;
    let now = current(state, &request.resource);
    if !policy.etag.is_empty() && policy.etag != now.etag {
        return Err(status::etag_mismatch());
    }
    check(&policy)?;
    policy.bindings = merged(policy.bindings);
    policy.version = if policy.version == 0 { 1 } else { policy.version };
    policy.etag = super::material::random::<8>().to_vec();
    if let Some(kind) = policy.etag.first_mut() {
        *kind = 0x07;
    }
    state.policies.insert(request.resource, policy.clone());
    Ok(policy)
}

fn check(policy: &iam::Policy) -> Result<(), Status> {
    if ![0, 1, 3].contains(&policy.version) {
        return Err(status::invalid("The version of a policy must be 0, 1 or 3."));
    }
    if policy.version != 3 && policy.bindings.iter().any(|binding| binding.condition.is_some()) {
        return Err(status::invalid("A policy with conditions must have version 3."));
    }
    let members = policy.bindings.iter().map(|binding| binding.members.len()).sum::<usize>();
    if members > MEMBERS {
        return Err(status::invalid("The policy has too many members."));
    }
    for binding in &policy.bindings {
        let role = &binding.role;
        if !role.starts_with("roles/") && !role.contains("/roles/") {
            return Err(status::invalid(&format!("Role {role} is not supported.")));
        }
        let known = |member: &String| {
            member == "allUsers"
                || member == "allAuthenticatedUsers"
                || MEMBER_KINDS.iter().any(|kind| member.starts_with(kind) && member != kind)
        };
        if !binding.members.iter().all(known) {
            return Err(status::invalid("The policy has a member of an unknown type."));
        }
    }
    Ok(())
}

/// One binding for each role and condition, its members sorted and each there once.
fn merged(bindings: Vec<iam::Binding>) -> Vec<iam::Binding> {
    let mut result: Vec<iam::Binding> = Vec::new();
    for binding in bindings {
        let same = |other: &&mut iam::Binding| {
            other.role == binding.role && other.condition == binding.condition
        };
        match result.iter_mut().find(same) {
            Some(there) => there.members.extend(binding.members),
            None => result.push(binding),
        }
    }
    for binding in &mut result {
        binding.members.sort();
        binding.members.dedup();
    }
    result.retain(|binding| !binding.members.is_empty());
    result.sort_by(|one, other| one.role.cmp(&other.role));
    result
}

/// "If the resource does not exist, this will return an empty set of permissions, not a `NOT_FOUND`
/// error."
pub(super) fn test(
    state: &mut State,
    request: iam::TestIamPermissionsRequest,
) -> Result<iam::TestIamPermissionsResponse, Status> {
    if request.permissions.iter().any(|permission| permission.contains('*')) {
        return Err(status::invalid("Permissions with wildcards are not allowed."));
    }
    let there = exists(state, &request.resource).is_ok();
    let mut permissions = request.permissions;
    permissions.retain(|permission| {
        there && permission.starts_with("cloudkms.") && !state.knobs.denied.contains(permission)
    });
    Ok(iam::TestIamPermissionsResponse { permissions })
}
