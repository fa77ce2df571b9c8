//! `gcp-kms://`: Google Cloud KMS.

use vault_crypto_core::Result;
use vault_kms_gcp::{GcpCredentials, GcpKmsConfig, GcpKmsProvider};

use super::{Connected, RemoteUri};
use crate::kms::invalid;
use crate::kms::options::Reading;

about!(GcpKmsProvider);

pub(super) async fn connect(uri: RemoteUri) -> Result<Connected> {
    let provider = GcpKmsProvider::connect(config(&uri)?).await?;
    Ok(Connected::remote(provider, uri.key().cloned()))
}

fn config(uri: &RemoteUri) -> Result<GcpKmsConfig> {
    let options = uri.options.reading();
    let mut config = GcpKmsConfig::new(&*uri.place).with_credentials(credentials(&options)?);
    if let Some(endpoint) = options.text("endpoint") {
        config = config.with_endpoint(endpoint);
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

fn credentials(options: &Reading<'_>) -> Result<GcpCredentials> {
    let file = |why| options.needed("credentials_file", why).map(std::path::PathBuf::from);
    if let Some(login @ ("default" | "metadata" | "anonymous")) = options.text("login") {
        options.refuse(&["credentials_file"], &format!("login={login}"))?;
    }
    match options.text("login") {
        None if options.has("credentials_file") => Err(invalid(
            "credentials_file needs the option login, which is service-account or federation",
        )),
        None | Some("default") => Ok(GcpCredentials::ApplicationDefault),
        Some("service-account") => {
            Ok(GcpCredentials::ServiceAccountKeyFile(file("login=service-account")?))
        }
        Some("federation") => {
            Ok(GcpCredentials::WorkloadIdentityFederation(file("login=federation")?))
        }
        Some("metadata") => Ok(GcpCredentials::MetadataServer),
        Some("anonymous") => Ok(GcpCredentials::Anonymous),
        Some(_) => Err(invalid(
            "the option login is default, service-account, federation, metadata or anonymous",
        )),
    }
}
