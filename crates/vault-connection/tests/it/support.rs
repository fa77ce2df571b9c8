//! A server, roles on it, and a proxy that counts what it is asked.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;

use vault_connection::{
    SecretId, VaultConnection, VaultConnectionConfig, VaultCredentials, VaultMount,
};
use vault_crypto_core::SecureString;
use vault_testkit::proxy::{FaultProxy, HttpFault, Match};
use vault_testkit::servers::Vault;

/// One server for the tests that change nothing but roles of their own.
static SERVER: LazyLock<Vault> = LazyLock::new(|| {
    let vault = Vault::start().unwrap_or_else(|error| panic!("{error}"));
    vault.run(&["auth", "enable", "approle"]).unwrap();
    allow_all(&vault);
    vault
});

pub(crate) fn server() -> &'static Vault {
    &SERVER
}

/// The policy `all`.
pub(crate) fn allow_all(vault: &Vault) {
    let policy = r#"path "*" { capabilities = ["create","read","update","delete","list","sudo"] }"#;
    vault.run(&["write", "sys/policies/acl/all", &format!("policy={policy}")]).unwrap();
}

/// What `vault` prints, as one line.
pub(crate) fn ask(vault: &Vault, args: &[&str]) -> String {
    vault.run(args).unwrap_or_else(|error| panic!("{error}")).trim().to_owned()
}

pub(crate) fn proxy() -> Arc<FaultProxy> {
    Arc::new(FaultProxy::start(server().url().as_str()).unwrap())
}

/// From now on the server says that it is the edition with namespaces.
pub(crate) fn has_namespaces(proxy: &FaultProxy) {
    proxy.on(Match::path("sys/health")).always().fault(HttpFault::edit(|body| {
        let text = String::from_utf8(body.clone()).unwrap();
        let paid = text.replace(r#""enterprise":false"#, r#""enterprise":true"#);
        assert_ne!(paid, text);
        *body = paid.into_bytes();
    }));
}

pub(crate) fn mount(path: &str) -> VaultMount {
    VaultMount::new(path).unwrap()
}

/// A role with the policy `all`: its id and a secret.
pub(crate) fn role_at(mount: &str, name: &str, settings: &[&str]) -> (String, String) {
    let path = format!("auth/{mount}/role/{name}");
    let policies = if settings.iter().any(|s| s.starts_with("token_policies=")) {
        ""
    } else {
        "token_policies=all"
    };
    let write = ["write", path.as_str(), policies];
    let args: Vec<&str> =
        write.iter().chain(settings).copied().filter(|arg| !arg.is_empty()).collect();
    ask(server(), &args);
    let role_id = ask(server(), &["read", "-field=role_id", &format!("{path}/role-id")]);
    let secret = ask(server(), &["write", "-f", "-field=secret_id", &format!("{path}/secret-id")]);
    (role_id, secret)
}

/// A login as that role.
pub(crate) fn app_role_at(at: &str, name: &str, settings: &[&str]) -> VaultCredentials {
    let (role_id, secret) = role_at(at, name, settings);
    let secret = SecretId::Plain(SecureString::new(secret));
    VaultCredentials::app_role(role_id, secret).unwrap().at(mount(at))
}

/// The same where the method usually is.
pub(crate) fn app_role(name: &str, settings: &[&str]) -> VaultCredentials {
    app_role_at("approle", name, settings)
}

pub(crate) async fn connect(config: VaultConnectionConfig) -> VaultConnection {
    VaultConnection::connect(config).await.unwrap()
}

/// How often the proxy saw a path with this end.
pub(crate) fn count(proxy: &FaultProxy, end: &str) -> usize {
    proxy.calls().iter().filter(|call| call.path.ends_with(end)).count()
}

/// What `work` answers if that takes no more than `times` polls, each after it was woken.
pub(crate) async fn polled<F: Future>(work: F, times: usize) -> Option<F::Output> {
    let (mut work, mut left) = (pin!(work), times);
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match work.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
