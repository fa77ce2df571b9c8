//! What the servers that stand for AWS have in common: a login, and calls by their operation.

/// A login that they take: they know no others and check no signature.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AwsLogin {
    /// The access key's id.
    pub access_key_id: &'static str,
    /// Its secret, distinct enough to be searched for in what is printed.
    pub secret_access_key: &'static str,
    /// The region in which all keys are.
    pub region: &'static str,
}

pub(super) const LOGIN: AwsLogin = AwsLogin {
    access_key_id: "vaultkit-test-access",
    secret_access_key: "vaultkit-test-secret-of-the-access-key",
    region: "us-east-1",
};

/// The methods that every server with a `port()` has that stands for AWS.
macro_rules! stands_for_aws {
    ($server:ident) => {
        impl $server {
            /// The endpoint of all that it serves.
            #[must_use]
            pub fn url(&self) -> String {
                format!("http://127.0.0.1:{}", self.port())
            }

            /// A login that it takes.
            #[must_use]
            pub fn login(&self) -> $crate::servers::AwsLogin {
                $crate::servers::aws::LOGIN
            }
        }
    };
}

pub(super) use stands_for_aws;

/// One call that a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsCall {
    /// The service, as `kms`.
    pub service: String,
    /// The operation, as `GenerateDataKey`.
    pub operation: String,
    /// The HTTP status of the answer.
    pub status: u16,
}
