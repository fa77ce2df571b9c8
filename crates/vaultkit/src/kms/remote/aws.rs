//! `aws-kms://`: AWS KMS.

use vault_crypto_core::Result;
use vault_kms_aws::{AssumeRole, AwsCredentials, AwsKmsConfig, AwsKmsProvider};

use super::{Connected, RemoteUri};
use crate::kms::options::Reading;

about!(AwsKmsProvider);

pub(super) async fn connect(uri: RemoteUri) -> Result<Connected> {
    let provider = AwsKmsProvider::connect(config(&uri)?).await?;
    Ok(Connected::remote(provider, uri.key().cloned()))
}

fn config(uri: &RemoteUri) -> Result<AwsKmsConfig> {
    let options = uri.options.reading();
    let key = uri.key().map(vault_crypto_core::KeyId::as_str).unwrap_or_default();
    let mut config = AwsKmsConfig::new()
        .with_credentials(credentials(&options)?)
        .with_fips(options.switch("fips")?)
        .with_dual_stack(options.switch("dual_stack")?);
    if let Some(region) = options.text("region").or_else(|| region_of(key)) {
        config = config.with_region(region);
    }
    if let Some(endpoint) = options.text("endpoint") {
        config = config.with_endpoint(endpoint);
    }
    if let Some(endpoint) = options.text("sts_endpoint") {
        config = config.with_sts_endpoint(endpoint);
    }
    if let Some(proxy) = options.proxy()? {
        config = config.with_proxy(proxy);
    }
    if let Some(roots) = options.roots()? {
        config = config.with_tls_roots(roots);
    }
    if let Some(timeout) = options.timeout()? {
        config = config.with_read_timeout(timeout).with_call_timeout(timeout);
    }
    options.finish()?;
    Ok(config)
}

fn credentials(options: &Reading<'_>) -> Result<AwsCredentials> {
    let session = options.text("session_name");
    if let Some(file) = options.path("web_identity_token_file") {
        let role = options.needed("role_arn", "web_identity_token_file")?;
        options.refuse(&["external_id", "profile"], "web_identity_token_file")?;
        let login = AwsCredentials::web_identity(role, file);
        return Ok(session
            .map(str::to_owned)
            .into_iter()
            .fold(login, AwsCredentials::with_session_name));
    }
    let base = match options.text("profile") {
        Some(profile) => AwsCredentials::profile(profile),
        None => AwsCredentials::default_chain(),
    };
    let Some(arn) = options.text("role_arn") else {
        options.refuse(&["external_id", "session_name"], "a login without role_arn")?;
        return Ok(base);
    };
    let mut role = AssumeRole::new(arn);
    if let Some(id) = options.text("external_id") {
        role = role.with_external_id(id.to_owned());
    }
    if let Some(session) = session {
        role = role.with_session_name(session);
    }
    Ok(base.assume_role(role))
}

/// The region in an ARN, which is the only one that has the key.
fn region_of(key: &str) -> Option<&str> {
    let mut parts = key.split(':');
    (parts.next() == Some("arn")).then_some(())?;
    parts.nth(2).filter(|region| !region.is_empty())
}
