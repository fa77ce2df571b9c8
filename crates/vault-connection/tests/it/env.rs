//! The variables of Vault's own programs, read strictly.

use std::collections::HashMap;
use std::ffi::OsString;

use vault_connection::{VaultConnection, VaultConnectionConfig, VaultFailureKind};
use vault_crypto_core::{ErrorKind, Result};
use vault_testkit::proxy::FaultProxy;
use vault_testkit::tls::TestCa;

use super::support::{connect, server};

const ADDRESS: (&str, &str) = ("VAULT_ADDR", "https://vault.example.com:8200");
const TOKEN: (&str, &str) = ("VAULT_TOKEN", "hvs.from-the-environment");

fn from(vars: &[(&str, &str)]) -> Result<VaultConnectionConfig> {
    let vars: HashMap<&str, &str> = vars.iter().copied().collect();
    VaultConnectionConfig::from_vars(|name| vars.get(name).map(OsString::from))
}

fn refused(vars: &[(&str, &str)]) {
    let error = from(vars).err().map(|error| error.kind());
    assert_eq!(error, Some(ErrorKind::InvalidInput), "{:?}", vars.last());
}

#[tokio::test]
async fn only_documented_values_of_the_switch_are_values() {
    let with = |value| from(&[ADDRESS, TOKEN, ("VAULT_SKIP_VERIFY", value)]);
    for off in ["0", "f", "F", "false", "False", "FALSE"] {
        VaultConnection::connect(with(off).unwrap()).await.unwrap();
    }
    for on in ["1", "t", "T", "true", "True", "TRUE"] {
        // True by itself turns nothing off: it refuses to connect.
        let error = VaultConnection::connect(with(on).unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("danger_accept_any_certificate"), "{error}");
        VaultConnection::connect(with(on).unwrap().danger_accept_any_certificate()).await.unwrap();
    }
    for neither in ["", " ", "no", "yes", "off", "on", "tRUE", "true ", "2", "-1", "null", "0\n"] {
        refused(&[ADDRESS, TOKEN, ("VAULT_SKIP_VERIFY", neither)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_danger_by_name_talks_to_a_server_that_nobody_vouches_for() {
    let proxy = FaultProxy::start_tls(server().url().as_str(), &TestCa::new(), &[]).unwrap();
    let vars = |more: &[(&str, &str)]| {
        let url = proxy.url();
        from(
            &[&[("VAULT_ADDR", url.as_str()), ("VAULT_TOKEN", server().root_token())], more]
                .concat(),
        )
        .unwrap()
    };
    let failure = connect(vars(&[])).await.who_am_i().await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::Untrusted);
    assert!(proxy.calls().is_empty());
    let dangerous = vars(&[("VAULT_SKIP_VERIFY", "true")]).danger_accept_any_certificate();
    connect(dangerous).await.who_am_i().await.unwrap();
}

#[tokio::test]
async fn variables_that_would_be_ignored_at_a_risk_are_errors() {
    for name in ["VAULT_CAPATH", "VAULT_TLS_SERVER_NAME", "VAULT_CACERT_BYTES"] {
        refused(&[ADDRESS, TOKEN, (name, "something")]);
    }
    refused(&[TOKEN]);
    refused(&[ADDRESS]);
    refused(&[("VAULT_ADDR", ""), TOKEN]);
    refused(&[ADDRESS, ("VAULT_TOKEN", "")]);
    refused(&[ADDRESS, TOKEN, ("VAULT_NAMESPACE", "../other")]);
    refused(&[ADDRESS, TOKEN, ("VAULT_CLIENT_CERT", "/tls/client.pem")]);
    for timeout in ["", "0", "1m", "-5", "5.5", "fast"] {
        refused(&[ADDRESS, TOKEN, ("VAULT_CLIENT_TIMEOUT", timeout)]);
    }
    let missing = from(&[ADDRESS, TOKEN, ("VAULT_CACERT", "/no/such/file")]).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_enough_to_connect() {
    let ca = TestCa::new();
    let proxy = FaultProxy::start_tls(server().url().as_str(), &ca, &[]).unwrap();
    let home = tempfile::tempdir().unwrap();
    let roots = home.path().join("ca.pem");
    std::fs::write(&roots, ca.ca_pem()).unwrap();
    std::fs::write(home.path().join(".vault-token"), server().root_token()).unwrap();
    let (url, home, roots) = (proxy.url(), home.path().to_str().unwrap(), roots.to_str().unwrap());
    let vars = [
        ("VAULT_ADDR", url.as_str()),
        ("HOME", home),
        ("VAULT_CACERT", roots),
        ("VAULT_CLIENT_TIMEOUT", "20s"),
    ];
    connect(from(&vars).unwrap()).await.who_am_i().await.unwrap();
}
