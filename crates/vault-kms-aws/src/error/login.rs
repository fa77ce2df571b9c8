//! Why nobody could log in, and what to do about it.
//!
//! Our own logins fail by a [`Fault`]; those of the SDK's chain by errors that hold the cause somewhere below. What is
//! left to [`renewal`](crate::renewal): when the next login is worth a try.

use std::error::Error;
use std::time::SystemTime;

use aws_config::imds::client::error::ImdsError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use vault_crypto_core::ErrorKind::{
    InvalidInput, PermissionDenied, Throttled, TimedOut, Unavailable,
};

use super::{Fault, SLOWER, chain};

/// What STS is shown for a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Credentials.
    Credentials,
    /// A token of somebody else's, from a file.
    WebIdentity,
}

impl Shown {
    /// What a code means here, where that is more than it means everywhere.
    fn advice(self, code: &str) -> Option<&'static str> {
        Some(match (self, code) {
            (_, "AccessDenied" | "AccessDeniedException") => {
                "this identity may not take the role; see the role's trust policy, its external id, and this identity's right to take it"
            }
            (Self::WebIdentity, "ExpiredTokenException" | "ExpiredToken") => {
                "the web identity token is over; whoever writes its file has to renew it"
            }
            (Self::WebIdentity, "InvalidIdentityToken") => {
                "the web identity token is not accepted; see its audience, and that the account knows its issuer"
            }
            (_, "ValidationError") => {
                "STS refuses an argument; see the role's ARN, the session's name and the external id"
            }
            _ => return None,
        })
    }
}

/// STS did not give the credentials of a role.
pub(crate) fn of_role<E>(shown: Shown, error: &SdkError<E, HttpResponse>, now: SystemTime) -> Fault
where
    E: ProvideErrorMetadata,
    SdkError<E, HttpResponse>: Error + 'static,
{
    let mut fault = Fault::of(error, now);
    if let Some((code, advice)) = error.code().and_then(|code| Some((code, shown.advice(code)?))) {
        fault.detail = format!("AWS says {code}: {advice}").into();
    }
    // Whoever may not log in may not do anything, and a token that was read just now is read no better again.
    fault.forbidden = false;
    fault.stale_login &= shown == Shown::Credentials;
    fault.detail = format!("the login failed: {}", fault.detail).into();
    fault
}

/// A failure to get credentials, wherever below `error` it lies.
pub(crate) fn of_login(error: &(dyn Error + 'static), now: SystemTime) -> Fault {
    if let Some(ours) = find::<Fault>(error) {
        return ours.clone();
    }
    match find::<CredentialsError>(error) {
        Some(CredentialsError::CredentialsNotLoaded(_)) => Fault::new(
            PermissionDenied,
            "no credentials were found; say which login to use, set them up in the environment or a profile, or give this machine a role",
        ),
        Some(CredentialsError::ProviderTimedOut(_)) => {
            Fault::new(TimedOut, "the credentials' source did not answer in time")
        }
        failed => of_source(error, now).unwrap_or_else(|| match failed {
            Some(CredentialsError::InvalidConfiguration(_)) => {
                Fault::new(InvalidInput, "the credentials' configuration is not valid")
            }
            _ => Fault::new(
                Unavailable,
                "the source of the credentials fails; see the container's or the machine's role, and the service that gives its credentials",
            ),
        }),
    }
}

/// What the SDK asked for credentials, and how that failed.
fn of_source(error: &(dyn Error + 'static), now: SystemTime) -> Option<Fault> {
    if let Some(refused) = find::<SdkError<AssumeRoleError, HttpResponse>>(error) {
        return Some(of_role(Shown::Credentials, refused, now));
    }
    if let Some(refused) = find::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>(error) {
        return Some(of_role(Shown::WebIdentity, refused, now));
    }
    if let Some(machine) = find::<ImdsError>(error) {
        return Some(of_machine(machine));
    }
    let file = find::<std::io::Error>(error)?.kind();
    [std::io::ErrorKind::NotFound, std::io::ErrorKind::PermissionDenied].contains(&file).then(
        || {
            Fault::new(
                PermissionDenied,
                "a file that the login needs cannot be read: a web identity token, or a profile",
            )
        },
    )
}

/// The machine's metadata service did not give its credentials.
fn of_machine(error: &ImdsError) -> Fault {
    let ImdsError::ErrorResponse(answer) = error else {
        return Fault::new(
            Unavailable,
            "the machine's metadata service does not answer as it should; in a container, see its hop limit",
        );
    };
    match answer.response().status().as_u16() {
        404 => Fault::new(
            PermissionDenied,
            "the machine's metadata service has no credentials; give the machine a role",
        ),
        429 => Fault::new(Throttled, SLOWER),
        status @ 500.. => {
            let detail = format!("the machine's metadata service fails (HTTP {status})");
            Fault::new(Unavailable, detail)
        }
        status => {
            let detail = format!(
                "the machine's metadata service refuses (HTTP {status}); see that this machine's settings allow it"
            );
            Fault::new(PermissionDenied, detail)
        }
    }
}

/// The first error of this type, at or below `error`.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}
