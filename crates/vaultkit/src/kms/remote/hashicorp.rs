//! `hcvault://`: Transit of HashiCorp Vault or OpenBao.

use vault_connection::{Jwt, SecretId, VaultConnectionConfig, VaultCredentials, VaultMount};
use vault_crypto_core::Result;
use vault_kms_hashicorp::{ScopeBinding, VaultKmsConfig, VaultKmsProvider};

use super::{Connected, RemoteUri};
use crate::kms::invalid;
use crate::kms::options::Reading;

use environment::Environment;

mod environment;

about!(VaultKmsProvider);

pub(super) async fn connect(uri: RemoteUri) -> Result<Connected> {
    let provider = VaultKmsProvider::connect(config(&uri)?).await?;
    Ok(Connected::remote(provider, uri.key().cloned()))
}

fn config(uri: &RemoteUri) -> Result<VaultKmsConfig> {
    let options = uri.options.reading();
    let (host, mount) = uri.place.split_once('/').unwrap_or((&uri.place, "transit"));
    let mut config = VaultKmsConfig::new(connection(&options, host)?).with_mount(mount);
    match options.text("scope_binding") {
        None | Some("derived-key") => {}
        Some("header-mac") => config = config.with_scope_binding(ScopeBinding::HeaderMac),
        Some(_) => return Err(invalid("the option scope_binding is derived-key or header-mac")),
    }
    options.finish()?;
    Ok(config)
}

fn connection(options: &Reading<'_>, host: &str) -> Result<VaultConnectionConfig> {
    // To this machine alone: to send tokens readable over the network takes more than a word in a file.
    let is_plain = options.switch("plain_http")?;
    let scheme = if is_plain { "http" } else { "https" };
    let address = format!("{scheme}://{host}");
    let Login { credentials, namespace } = login(options, &address)?;
    let mut config = VaultConnectionConfig::new(address, credentials);
    if let Some(name) = options.text("name") {
        config = config.with_server_name(name);
    }
    if let Some(namespace) = namespace {
        config = config.with_namespace(VaultMount::new(&namespace)?);
    }
    if let Some(proxy) = options.proxy()? {
        // For this machine alone, and a proxy may be another one.
        if is_plain {
            options.refuse(&["plain_http"], "a proxy")?;
        }
        config = config.with_proxy(proxy);
    }
    if let Some(roots) = options.roots()? {
        config = config.with_tls_roots(roots);
    }
    if let Some(timeout) = options.timeout()? {
        config = config.with_read_timeout(timeout).with_call_timeout(timeout);
    }
    if let Some(certificate) = options.secret_file("client_cert_file")? {
        let key = options.secret_file("client_key_file")?;
        let parts = [certificate.as_slice(), key.as_ref().map_or(&[][..], |key| key.as_slice())];
        let pem = parts.join(&b'\n');
        config = config.with_client_identity(vault_crypto_core::SecureBytes::new(pem));
    } else {
        options.refuse(&["client_key_file"], "a login without client_cert_file")?;
    }
    Ok(config)
}

/// Who asks, and where the service knows them.
struct Login {
    credentials: VaultCredentials,
    namespace: Option<String>,
}

/// The login that was named, else the token of the environment or of Vault's own program.
fn login(options: &Reading<'_>, address: &str) -> Result<Login> {
    options.refuse(unread(options.text("login")), "this login; name it by the option login")?;
    let namespace = options.text("namespace");
    if matches!(options.text("login"), None | Some("token")) {
        let Some(path) = options.path("token_file") else {
            return Environment::of_process().login(address, namespace);
        };
        let credentials = VaultCredentials::token_file(path);
        return Ok(Login { credentials, namespace: namespace.map(str::to_owned) });
    }
    let namespace = namespace.map(str::to_owned);
    Ok(Login { credentials: credentials(options)?, namespace })
}

/// The login that was named, other than by a token.
fn credentials(options: &Reading<'_>) -> Result<VaultCredentials> {
    let role = || options.text("role").map(str::to_owned);
    let credentials = match options.text("login") {
        Some("approle") => {
            let secret = match options.path("secret_id_file") {
                Some(path) => SecretId::File(path),
                None => SecretId::None,
            };
            VaultCredentials::app_role(options.needed("role_id", "login=approle")?, secret)?
        }
        Some("kubernetes") => {
            let login = VaultCredentials::kubernetes(options.needed("role", "login=kubernetes")?)?;
            options.path("jwt_file").into_iter().fold(login, VaultCredentials::with_jwt_file)
        }
        Some("jwt") => {
            let file = options.needed("jwt_file", "login=jwt")?;
            VaultCredentials::jwt(role(), Jwt::File(file.into()))?
        }
        Some("cert") => {
            options.needed("client_cert_file", "login=cert")?;
            VaultCredentials::tls_certificate(role())?
        }
        _ => {
            return Err(invalid("the option login is token, approle, kubernetes, jwt or cert"));
        }
    };
    match options.text("auth_mount") {
        Some(mount) => Ok(credentials.at(VaultMount::new(mount)?)),
        None => Ok(credentials),
    }
}

/// The options of other logins.
fn unread(login: Option<&str>) -> &'static [&'static str] {
    match login {
        None | Some("token") => &["auth_mount", "jwt_file", "role", "role_id", "secret_id_file"],
        Some("approle") => &["jwt_file", "role", "token_file"],
        Some("kubernetes" | "jwt") => &["role_id", "secret_id_file", "token_file"],
        Some("cert") => &["jwt_file", "role_id", "secret_id_file", "token_file"],
        // Refused below.
        Some(_) => &[],
    }
}
