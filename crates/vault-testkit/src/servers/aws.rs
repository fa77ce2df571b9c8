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
