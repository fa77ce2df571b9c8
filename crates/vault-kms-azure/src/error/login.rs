//! What a login's failure means, and what to do about it.
//!
//! Left to others: when to log in (`login`, in this crate's root), the vault's own answers (`table`).

use std::time::Duration;

use azure_core::Value;
use azure_core::error::ErrorKind as SdkErrorKind;
use azure_core::http::headers::Headers;
use azure_core::json::from_json;
use vault_crypto_core::{Clock, ErrorKind};

use super::{Fault, MAX_DEPTH, WireFault, table};

/// The way of logging in: what to do about a refusal differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    ManagedIdentity,
    WorkloadIdentity,
    ClientSecret,
    Cli,
    Injected,
}

impl Door {
    /// The login service said no.
    fn refused(self) -> &'static str {
        match self {
            Self::ManagedIdentity => {
                "this machine has no such managed identity; assign it, or see its client id"
            }
            Self::WorkloadIdentity => {
                "the login service refused the federated token; see tenant, client id and federated credential"
            }
            Self::ClientSecret => {
                "the login service refused these credentials; see tenant, client id and secret"
            }
            Self::Cli | Self::Injected => "the login service refused these credentials",
        }
    }

    /// It failed before anybody was asked.
    fn failed_here(self) -> &'static str {
        match self {
            Self::ManagedIdentity => {
                "managed identities are known of virtual machines and App Service; what the environment describes is another"
            }
            Self::WorkloadIdentity => {
                "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE must be set, and the file be readable"
            }
            Self::ClientSecret => {
                "no login can be made of these; see tenant, client id, secret and the cloud's authority"
            }
            Self::Cli => "the program az gave no token; run `az login`",
            Self::Injected => "the injected login failed",
        }
    }

    fn unreachable(self) -> &'static str {
        match self {
            Self::ManagedIdentity => {
                "the machine's metadata service does not answer; does this run in Azure?"
            }
            _ => "no connection to the login service; see the cloud, the network and the proxy",
        }
    }
}

/// Numbers of Microsoft Entra that say more than its status does.
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
const TABLE: &[(u64, &str, ErrorKind, &str)] = &[
    (
        7_000_215,
        "AADSTS7000215",
        ErrorKind::PermissionDenied,
        "the client secret is wrong; give the secret's value, not its id",
    ),
    (
        7_000_222,
        "AADSTS7000222",
        ErrorKind::PermissionDenied,
        "the client secret has expired; make a new one",
    ),
    (
        700_016,
        "AADSTS700016",
        ErrorKind::PermissionDenied,
        "the tenant has no such application; see tenant and client id",
    ),
    (90_002, "AADSTS90002", ErrorKind::PermissionDenied, "there is no such tenant in this cloud"),
    (
        700_213,
        "AADSTS700213",
        ErrorKind::PermissionDenied,
        "no federated credential fits the token; see its issuer, subject and audience",
    ),
    (
        700_024,
        "AADSTS700024",
        ErrorKind::PermissionDenied,
        "the federated token is not valid at this time; see its file and the clocks",
    ),
    (
        90_033,
        "AADSTS90033",
        ErrorKind::Unavailable,
        "the login service is not ready; it says that this passes",
    ),
];
const NOT_READY: &str = "the login service failed or is not ready";
const BETWEEN: &str = "something between here and the login service refuses this, not the service";

/// An answer of the login service that is no success.
pub(crate) fn refused(
    door: Door,
    status: u16,
    headers: &Headers,
    body: &[u8],
    clock: &dyn Clock,
) -> Fault {
    let (code, kind, says) = match (door, status) {
        (_, 408 | 504) => ("", ErrorKind::TimedOut, "the login service did not answer in time"),
        (_, 413) => {
            ("", ErrorKind::LimitExceeded, "the request is too large for the login service")
        }
        (_, 429) => ("", ErrorKind::Throttled, "the login service asks for fewer requests"),
        // It says so while it starts, and while it is brought up to date:
        // https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling
        (Door::ManagedIdentity, 404 | 410) => (
            "",
            ErrorKind::Unavailable,
            "the machine's metadata service is not ready; it takes up to 70 s",
        ),
        (_, 401 | 403) => of_refusal(door, body),
        (_, 400..500) if is_own(door, body) => of_refusal(door, body),
        (_, 400..500) => ("", ErrorKind::Unavailable, BETWEEN),
        _ => ("", ErrorKind::Unavailable, NOT_READY),
    };
    let retry_after = table::retry_after(headers, clock);
    Fault { status: Some(status), code, retry_after, ..failed(kind, says) }
}

fn of_refusal(door: Door, body: &[u8]) -> (&'static str, ErrorKind, &'static str) {
    let row = number_of(body).and_then(|number| TABLE.iter().find(|(of, ..)| *of == number));
    row.map_or(("", ErrorKind::PermissionDenied, door.refused()), |(_, code, kind, says)| {
        (*code, *kind, *says)
    })
}

/// Whether the service itself says no: with an `error` (RFC 6749 section 5.2), or as App Service's does,
/// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.
fn is_own(door: Door, body: &[u8]) -> bool {
    let Ok(told) = from_json::<_, Value>(body) else { return false };
    let local = door == Door::ManagedIdentity && told.get("statusCode").is_some();
    local || told.get("error").is_some_and(|error| error.is_string())
}

/// The first of `error_codes` (RFC 6749 section 5.2, with Entra's additions).
fn number_of(body: &[u8]) -> Option<u64> {
    let told: Value = from_json(body).ok()?;
    told.get("error_codes")?.get(0)?.as_u64()
}

/// What the SDK's login through `door` failed with.
pub(crate) fn of_error(error: &azure_core::Error, door: Door, clock: &dyn Clock) -> Fault {
    let mut error = error;
    for _ in 0..MAX_DEPTH {
        let Some(inner) = error.downcast_ref() else { break };
        error = inner;
    }
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    if let Some(fault) = error.downcast_ref::<WireFault>() {
        return of_wire(*fault, door);
    }
    match error.kind() {
        SdkErrorKind::HttpResponse { status, raw_response: Some(answer), .. } => {
            refused(door, u16::from(*status), answer.headers(), answer.body().as_ref(), clock)
        }
        SdkErrorKind::HttpResponse { status, .. } => {
            refused(door, u16::from(*status), &Headers::new(), &[], clock)
        }
        SdkErrorKind::Connection => of_wire(WireFault::Unreachable, door),
        SdkErrorKind::Io => of_wire(WireFault::Broken, door),
        SdkErrorKind::DataConversion => not_understood(),
        _ => failed_here(door),
    }
}

/// Nobody was asked: what this machine has for the login does not do.
pub(crate) fn failed_here(door: Door) -> Fault {
    failed(ErrorKind::PermissionDenied, door.failed_here())
}

/// An answer that is no token.
pub(crate) fn not_understood() -> Fault {
    failed(ErrorKind::Unavailable, "the login service's answer is not understood")
}

/// A token that cannot stand in a header (RFC 6750 section 2.1).
pub(crate) fn not_a_token() -> Fault {
    failed(
        ErrorKind::PermissionDenied,
        "the login gave a token with blanks, line breaks or other strange characters",
    )
}

/// No token within the time for a call.
pub(crate) fn timed_out() -> Fault {
    failed(ErrorKind::TimedOut, "no token within the time for a call")
}

fn of_wire(fault: WireFault, door: Door) -> Fault {
    match fault {
        WireFault::TimedOut if door == Door::ManagedIdentity => {
            failed(ErrorKind::TimedOut, door.unreachable())
        }
        WireFault::TimedOut => {
            failed(ErrorKind::TimedOut, "the login service did not answer in time")
        }
        WireFault::Unreachable => failed(ErrorKind::Unavailable, door.unreachable()),
        WireFault::Untrusted => failed(
            ErrorKind::Unavailable,
            "the login service's certificate is not trusted for its name; see the roots and the cloud",
        ),
        WireFault::Broken | WireFault::TooLong => failed(ErrorKind::Unavailable, NOT_READY),
        WireFault::NotSent | WireFault::ForeignHost => failed_here(door),
    }
}

fn failed(kind: ErrorKind, says: &'static str) -> Fault {
    Fault { logging_in: true, ..Fault::new(kind, says) }
}

impl Fault {
    /// The same failure told to somebody who did not ask for it: come back after `wait`.
    pub(crate) fn again_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Whether asking again may help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.kind, ErrorKind::Throttled | ErrorKind::TimedOut | ErrorKind::Unavailable)
    }

    /// How long the service wants to be left alone.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.retry_after
    }
}

#[cfg(test)]
mod tests {
    use azure_core::http::headers::RETRY_AFTER;
    use vault_crypto_core::{Operation, SystemClock};

    use super::*;

    fn told(door: Door, status: u16, body: &str) -> Fault {
        let mut headers = Headers::new();
        headers.insert(RETRY_AFTER, "3");
        refused(door, status, &headers, body.as_bytes(), &SystemClock::new())
    }

    #[test]
    fn what_passes_by_itself_can_be_asked_for_again_and_a_refusal_cannot() {
        use Door::{ClientSecret, ManagedIdentity, WorkloadIdentity};
        for (door, status, kind) in [
            (ClientSecret, 408, ErrorKind::TimedOut),
            (ClientSecret, 504, ErrorKind::TimedOut),
            (ClientSecret, 429, ErrorKind::Throttled),
            (ClientSecret, 500, ErrorKind::Unavailable),
            (WorkloadIdentity, 503, ErrorKind::Unavailable),
            (ManagedIdentity, 404, ErrorKind::Unavailable),
            (ManagedIdentity, 410, ErrorKind::Unavailable),
            (ManagedIdentity, 429, ErrorKind::Throttled),
            (ManagedIdentity, 500, ErrorKind::Unavailable),
            (ManagedIdentity, 400, ErrorKind::Unavailable),
            (ClientSecret, 404, ErrorKind::Unavailable),
            (ClientSecret, 400, ErrorKind::Unavailable),
            (ClientSecret, 413, ErrorKind::LimitExceeded),
            (WorkloadIdentity, 401, ErrorKind::PermissionDenied),
            (ClientSecret, 403, ErrorKind::PermissionDenied),
        ] {
            for body in ["", "<html>", "{}", r#"{"error_codes":[]}"#, r#"{"error_codes":"x"}"#] {
                let fault = told(door, status, body);
                assert_eq!(fault.kind, kind, "{door:?} {status} {body}");
                assert_eq!(fault.wait(), Some(Duration::from_secs(3)));
                let error = fault.into_error(Operation::Encrypt);
                assert_eq!(error.operation(), Operation::LogIn);
                assert!(error.detail().is_some());
            }
        }
    }

    #[test]
    fn only_the_services_own_words_are_a_refusal() {
        use Door::{ClientSecret, ManagedIdentity};
        let of_app_service = r#"{"statusCode":400,"message":"No such identity"}"#;
        for (door, body, kind) in [
            (ClientSecret, r#"{"error":"invalid_client"}"#, ErrorKind::PermissionDenied),
            (ManagedIdentity, r#"{"error":"invalid_request"}"#, ErrorKind::PermissionDenied),
            (ManagedIdentity, of_app_service, ErrorKind::PermissionDenied),
            (ClientSecret, of_app_service, ErrorKind::Unavailable),
            (ClientSecret, r#"{"error":{"code":"x"}}"#, ErrorKind::Unavailable),
        ] {
            assert_eq!(told(door, 400, body).kind, kind, "{door:?} {body}");
        }
    }

    #[test]
    fn a_number_of_entra_says_what_to_do() {
        let expired = told(Door::ClientSecret, 401, r#"{"error_codes":[7000222]}"#);
        assert_eq!(expired.kind, ErrorKind::PermissionDenied);
        assert!(expired.to_string().contains("expired"), "{expired}");
        let passing = r#"{"error":"temporarily_unavailable","error_codes":[90033]}"#;
        let passing = told(Door::ClientSecret, 400, passing);
        assert_eq!(passing.kind, ErrorKind::Unavailable);
    }
}
