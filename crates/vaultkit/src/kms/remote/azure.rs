//! `azurekeyvault://`: Azure Key Vault.

use vault_crypto_core::{Result, SecureString};
use vault_kms_azure::{AzureCloud, AzureCredentials, AzureKmsConfig, AzureKmsProvider};

use super::{Connected, RemoteUri};
use crate::kms::invalid;
use crate::kms::options::Reading;

about!(AzureKmsProvider);

pub(super) async fn connect(uri: RemoteUri) -> Result<Connected> {
    let provider = AzureKmsProvider::connect(config(&uri)?).await?;
    Ok(Connected::remote(provider, uri.key().cloned()))
}

fn config(uri: &RemoteUri) -> Result<AzureKmsConfig> {
    let options = uri.options.reading();
    let vault = format!("https://{}", uri.place);
    let mut config = AzureKmsConfig::new(vault, credentials(&options)?).with_cloud(cloud(&options));
    if let Some(address) = options.text("address") {
        let address = address
            .parse()
            .map_err(|_| invalid("the option address is IP:PORT, where the vault is reached"))?;
        // The name stays what the certificate is verified for.
        let host = uri.place.split_once(':').map_or(&*uri.place, |(host, _)| host);
        config = config.with_resolved(host, address);
    }
    if let Some(proxy) = options.proxy()? {
        // A proxy looks names up itself, so that the address would be passed over.
        options.refuse(&["address"], "a proxy")?;
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

/// A name of a cloud, or where its logins go.
fn cloud(options: &Reading<'_>) -> AzureCloud {
    match options.text("authority") {
        None | Some("public") => AzureCloud::Public,
        Some("us-government") => AzureCloud::UsGovernment,
        Some("china") => AzureCloud::China,
        Some(authority) => AzureCloud::Custom { authority: authority.to_owned() },
    }
}

/// The login that was named, else the one that the environment is made for, as Azure's own tools do.
fn credentials(options: &Reading<'_>) -> Result<AzureCredentials> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let option = |name: &str, its_variable: &str| {
        options.text(name).map(str::to_owned).or_else(|| variable(its_variable))
    };
    let login = match options.text("login") {
        Some(login) => login,
        None if options.has("client_secret_file") => "secret",
        None if variable("AZURE_CLIENT_SECRET").is_some() => "secret",
        None if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() => "workload",
        None if variable("IDENTITY_ENDPOINT").is_some() => "managed",
        None => "cli",
    };
    match login {
        "cli" => {
            options.refuse(&["client_id", "client_secret_file", "tenant_id"], "login=cli")?;
            Ok(AzureCredentials::Cli)
        }
        "workload" => {
            options.refuse(&["client_id", "client_secret_file", "tenant_id"], "login=workload")?;
            Ok(AzureCredentials::WorkloadIdentity)
        }
        "managed" => {
            options.refuse(&["client_secret_file", "tenant_id"], "login=managed")?;
            let client_id = options.text("client_id").map(str::to_owned);
            Ok(AzureCredentials::ManagedIdentity { client_id })
        }
        "secret" => {
            let needed = |name: &str, its_variable: &str| {
                option(name, its_variable).ok_or_else(|| {
                    invalid(format!("a login by secret needs the option {name} or {its_variable}"))
                })
            };
            let from_file = options.secret_text("client_secret_file")?;
            let secret =
                from_file.or_else(|| variable("AZURE_CLIENT_SECRET").map(SecureString::new));
            Ok(AzureCredentials::ClientSecret {
                tenant_id: needed("tenant_id", "AZURE_TENANT_ID")?,
                client_id: needed("client_id", "AZURE_CLIENT_ID")?,
                client_secret: secret.ok_or_else(|| {
                    invalid("a login by secret needs the option client_secret_file or AZURE_CLIENT_SECRET")
                })?,
            })
        }
        _ => Err(invalid("the option login is managed, workload, secret or cli")),
    }
}
