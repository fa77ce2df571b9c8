//! The SDK's clients over a pool of connections, and what every request carries.
//!
//! Left to others: what the calls mean. Nothing here or in the SDK repeats a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gcloud_sdk::google::cloud::kms::v1::key_management_service_client::KeyManagementServiceClient;
#[cfg(feature = "admin")]
use gcloud_sdk::google::iam::v1::iam_policy_client::IamPolicyClient;
use gcloud_sdk::{GoogleAuthHeaders, RequestTimeouts};
use tonic::Request;
use tonic::metadata::MetadataValue;
use vault_crypto_core::{Result, SecureBytes};

use crate::GcpKmsConfig;
use crate::error::{Verb, classify};
use crate::transport::{self, Transport};

/// How often a call is made whose checksums do not match.
pub(crate) const ATTEMPTS: usize = 3;
/// A year. gRPC tells the time that is left in eight digits, and the SDK panics on what does not fit.
const LONGEST_CALL: Duration = Duration::from_secs(365 * 86_400);
const ROUTING: &str = "x-goog-request-params";

/// A pool of connections to the service.
pub(crate) struct Client {
    first: Transport,
    more: Vec<Transport>,
    next: AtomicUsize,
    timeouts: RequestTimeouts,
    call_timeout: Duration,
    /// Absent where the caller injected a transport, which logs in by itself.
    login: Option<Arc<GoogleAuthHeaders>>,
}

impl Client {
    pub(crate) fn connect(config: &GcpKmsConfig) -> Result<Self> {
        let (first, more, login) = transport::connect(config)?;
        Ok(Self::over(first, more, Some(login), config))
    }

    pub(crate) fn over(
        first: Transport,
        more: Vec<Transport>,
        login: Option<Arc<GoogleAuthHeaders>>,
        config: &GcpKmsConfig,
    ) -> Self {
        let call_timeout = config.call_timeout.min(LONGEST_CALL);
        let timeouts =
            RequestTimeouts::new().with_total(call_timeout).with_idle(config.read_timeout);
        let next = AtomicUsize::new(0);
        Self { first, more, next, timeouts, call_timeout, login }
    }

    /// The connection whose turn it is.
    fn transport(&self) -> Transport {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % (self.more.len() + 1);
        self.more.get(turn).unwrap_or(&self.first).clone()
    }

    pub(crate) fn kms(&self) -> KeyManagementServiceClient<Transport> {
        KeyManagementServiceClient::new(self.transport())
    }

    #[cfg(feature = "admin")]
    pub(crate) fn iam(&self) -> IamPolicyClient<Transport> {
        IamPolicyClient::new(self.transport())
    }

    /// A request with its limits, and with the header that brings it to the right region
    /// (<https://google.aip.dev/client-libraries/4222>). `field` names the field that holds `resource`.
    pub(crate) fn request<M>(&self, field: &str, resource: &str, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(self.timeouts);
        // For transports that the caller injected, which may not know the line above.
        request.set_timeout(self.call_timeout);
        if let Ok(value) = MetadataValue::try_from(format!("{field}={}", percent_encoded(resource)))
        {
            request.metadata_mut().insert(ROUTING, value);
        }
        request
    }

    /// Proves that there is a token. Whether the login is this crate's to know: a transport that the caller
    /// injected has its own.
    pub(crate) async fn log_in(&self) -> Result<bool> {
        let Some(login) = &self.login else { return Ok(false) };
        match login.headers().await {
            Ok(_) => Ok(true),
            Err(error) => Err(classify(&tonic::Status::from_error(Box::new(error)), Verb::Other)),
        }
    }
}

/// All but letters, digits and `-_.~` (RFC 3986, section 2.3).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
    encoded
}

/// CRC32C as Google's messages carry it: 0 is a checksum like any other.
pub(crate) fn checksum(bytes: &[u8]) -> Option<i64> {
    Some(i64::from(crc32c::crc32c(bytes)))
}

/// Whether an answer's checksum is there and right.
pub(crate) fn matches(bytes: &[u8], answered: Option<i64>) -> bool {
    answered.is_some() && answered == checksum(bytes)
}

/// Takes a buffer of the SDK's over, so that it is wiped.
pub(crate) fn secret(buffer: &mut Vec<u8>) -> SecureBytes {
    SecureBytes::new(std::mem::take(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_encoded_for_the_routing_header() {
        assert_eq!(
            percent_encoded("projects/example.com:p/x_y-z"),
            "projects%2Fexample.com%3Ap%2Fx_y-z"
        );
    }

    #[test]
    fn a_checksum_of_nothing_is_present_and_an_absent_one_never_matches() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(checksum(&[0; 32]), Some(0x8a91_36aa));
        assert_eq!(checksum(b""), Some(0));
        assert!(matches(b"", Some(0)) && !matches(b"", None) && !matches(b"x", Some(0)));
    }
}
