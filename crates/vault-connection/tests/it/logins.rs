//! Every login method against the real server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use vault_connection::{
    Jwt, SecretId, VaultConnectionConfig, VaultCredentials, VaultFailureKind, VaultMount,
};
use vault_crypto_core::{ErrorKind, Operation, SecureBytes, SecureString};
use vault_testkit::servers::Vault;
use vault_testkit::tls::TestCa;

use super::support::{allow_all, app_role, ask, connect, count, mount, proxy, role_at, server};

async fn logs_in(credentials: VaultCredentials, as_whom: &str) {
    let connection = connect(VaultConnectionConfig::new(server().url(), credentials)).await;
    connection.log_in().await.unwrap();
    let told = connection.who_am_i().await.unwrap();
    assert!(told.starts_with(as_whom), "{told}");
    assert!(told.contains("all"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_role() {
    logs_in(app_role("plain", &[]), "approle").await;
    let wrong = VaultCredentials::app_role("no-such-role", SecretId::None).unwrap();
    let connection = connect(VaultConnectionConfig::new(server().url(), wrong)).await;
    let failure = connection.log_in().await.unwrap_err();
    assert!(failure.was_login());
    let error = failure.to_error(Operation::GenerateDataKey);
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("while logging in"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_role_mounted_elsewhere_with_the_secret_in_a_file() {
    ask(server(), &["auth", "enable", "-path=team/machines", "approle"]);
    let (role_id, secret) = role_at("team/machines", "app", &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret-id");
    std::fs::write(&file, secret + "\n").unwrap();
    let credentials = VaultCredentials::app_role(role_id, SecretId::File(file)).unwrap();
    logs_in(credentials.at(mount("team/machines")), "team-machines").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_wrapped_secret_which_opens_once() {
    let (role_id, _) = role_at("approle", "wrapped", &["token_ttl=3s", "token_max_ttl=3s"]);
    let wrap = ["write", "-f", "-wrap-ttl=60s", "-field=wrapping_token"];
    let path = "auth/approle/role/wrapped/secret-id";
    let wrapping = ask(server(), &[&wrap[..], &[path]].concat());
    let credentials = || {
        let secret = SecretId::Wrapped(SecureString::new(wrapping.as_str()));
        VaultCredentials::app_role(role_id.clone(), secret).unwrap()
    };
    let proxy = proxy();
    let connection = connect(VaultConnectionConfig::new(proxy.url(), credentials())).await;
    connection.log_in().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(3_500)).await;
    connection.log_in().await.unwrap();
    assert_eq!((count(&proxy, "/login"), count(&proxy, "/unwrap")), (2, 1));
    // Whoever comes second learns that somebody else was first.
    let second = connect(VaultConnectionConfig::new(server().url(), credentials())).await;
    let failure = second.log_in().await.unwrap_err();
    assert!(failure.to_string().contains("somebody else has unwrapped it"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapped_secret_that_somebody_wrapped_anew_is_not_used() {
    let (role_id, secret) = role_at("approle", "rewrapped", &[]);
    let wrap = ["write", "-wrap-ttl=60s", "-field=wrapping_token", "sys/wrapping/wrap"];
    let wrapping = ask(server(), &[&wrap[..], &[&format!("secret_id={secret}")]].concat());
    let secret = SecretId::Wrapped(SecureString::new(wrapping));
    let login = VaultCredentials::app_role(role_id, secret).unwrap();
    let proxy = proxy();
    let connection = connect(VaultConnectionConfig::new(proxy.url(), login)).await;
    let failure = connection.log_in().await.unwrap_err();
    assert_eq!(failure.to_error(Operation::LogIn).kind(), ErrorKind::PermissionDenied);
    assert!(failure.to_string().contains("wrapped another secret"), "{failure}");
    assert_eq!((count(&proxy, "/unwrap"), count(&proxy, "/login")), (0, 0));
}

/// A token signed by a key of the server's own Transit, so that no signing is needed here.
struct Issuer {
    key: &'static str,
}

impl Issuer {
    fn new(vault: &Vault, key: &'static str) -> Self {
        drop(vault.run(&["secrets", "enable", "transit"]));
        ask(vault, &["write", "-f", &format!("transit/keys/{key}"), "type=ecdsa-p256"]);
        Self { key }
    }

    fn public_key(&self, vault: &Vault) -> String {
        let read = ask(vault, &["read", "-format=json", &format!("transit/keys/{}", self.key)]);
        let read: serde_json::Value = serde_json::from_str(&read).unwrap();
        read.pointer("/data/keys/1/public_key").unwrap().as_str().unwrap().to_owned()
    }

    fn sign(&self, vault: &Vault, claims: &serde_json::Value) -> String {
        let signed = format!(
            "{}.{}",
            base64url(br#"{"alg":"ES256","typ":"JWT"}"#),
            base64url(claims.to_string().as_bytes())
        );
        let input = format!("input={}", base64(signed.as_bytes()));
        let path = format!("transit/sign/{}", self.key);
        let write = [
            "write",
            "-field=signature",
            path.as_str(),
            "marshaling_algorithm=jws",
            "hash_algorithm=sha2-256",
        ];
        let signature = ask(vault, &[&write[..], &[input.as_str()]].concat());
        format!("{signed}.{}", signature.rsplit(':').next().unwrap())
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64ct::{Base64, Encoding as _};
    let mut room = vec![0; bytes.len() * 2 + 4];
    Base64::encode(bytes, &mut room).unwrap().to_owned()
}

fn base64url(bytes: &[u8]) -> String {
    base64(bytes).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

fn seconds_from_now(seconds: i64) -> i64 {
    use vault_crypto_core::Clock as _;
    let now = vault_crypto_core::SystemClock::new().now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + seconds
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_signed_token() {
    let vault = server();
    let issuer = Issuer::new(vault, "jwt-issuer");
    ask(vault, &["auth", "enable", "jwt"]);
    let keys = format!("jwt_validation_pubkeys={}", issuer.public_key(vault));
    ask(vault, &["write", "auth/jwt/config", &keys]);
    let write = ["write", "auth/jwt/role/app", "role_type=jwt", "user_claim=sub"];
    ask(vault, &[&write[..], &["bound_audiences=vault", "token_policies=all"]].concat());
    let claims = |until| serde_json::json!({"sub": "builder", "aud": "vault", "iat": seconds_from_now(-5), "exp": seconds_from_now(until)});
    let jwt = issuer.sign(vault, &claims(300));
    let plain = Jwt::Plain(SecureString::new(jwt.as_str()));
    logs_in(VaultCredentials::jwt(Some("app".into()), plain).unwrap(), "jwt-builder").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwt");
    std::fs::write(&file, jwt + "\n").unwrap();
    logs_in(VaultCredentials::jwt(Some("app".into()), Jwt::File(file)).unwrap(), "jwt-builder")
        .await;
    let late = issuer.sign(vault, &claims(-600));
    let late =
        VaultCredentials::jwt(Some("app".into()), Jwt::Plain(SecureString::new(late))).unwrap();
    let connection = connect(VaultConnectionConfig::new(vault.url(), late)).await;
    let failure = connection.log_in().await.unwrap_err();
    assert_eq!(failure.to_error(Operation::LogIn).kind(), ErrorKind::PermissionDenied);
}

/// Answers what a cluster's API answers to "whose token is this?".
fn token_review() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let review = serde_json::json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "status": {"authenticated": true, "audiences": ["vault"], "user": {
                "username": "system:serviceaccount:shop:checkout", "uid": "d77f89bc-9055-11e7-a068-0800276d99bf",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:shop"]}},
        });
        let review = review.to_string();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            read_request(&mut stream);
            let head = format!(
                "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                review.len()
            );
            drop(stream.write_all((head + &review).as_bytes()));
        }
    });
    address
}

/// Reads a request with its body.
fn read_request(stream: &mut TcpStream) {
    let mut lines = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_pods_service_account() {
    let vault = server();
    let issuer = Issuer::new(vault, "cluster");
    ask(vault, &["auth", "enable", "kubernetes"]);
    let host = format!("kubernetes_host={}", token_review());
    let config = ["write", "auth/kubernetes/config", host.as_str(), "disable_local_ca_jwt=true"];
    ask(vault, &[&config[..], &["token_reviewer_jwt=reviewer"]].concat());
    let role = ["write", "auth/kubernetes/role/shop", "bound_service_account_names=checkout"];
    let role = [
        &role[..],
        &["bound_service_account_namespaces=shop", "token_policies=all", "audience=vault"],
    ];
    ask(vault, &role.concat());
    let jwt = issuer.sign(vault, &serde_json::json!({
        "iss": "https://kubernetes.default.svc", "aud": ["vault"], "exp": seconds_from_now(300),
        "iat": seconds_from_now(-5), "nbf": seconds_from_now(-5), "sub": "system:serviceaccount:shop:checkout",
        "kubernetes.io": {"namespace": "shop", "serviceaccount": {
            "name": "checkout", "uid": "d77f89bc-9055-11e7-a068-0800276d99bf"}},
    }));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, jwt).unwrap();
    let credentials = VaultCredentials::kubernetes("shop").unwrap().with_jwt_file(&file);
    logs_in(credentials, "kubernetes-shop-checkout").await;
    std::fs::remove_file(&file).unwrap();
    let credentials = VaultCredentials::kubernetes("shop").unwrap().with_jwt_file(&file);
    let connection = connect(VaultConnectionConfig::new(vault.url(), credentials)).await;
    let failure = connection.log_in().await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_tls_certificate() {
    let vault = Vault::start_tls().unwrap_or_else(|error| panic!("{error}"));
    allow_all(&vault);
    ask(&vault, &["auth", "enable", "cert"]);
    let ca = TestCa::new();
    let certificate = format!("certificate={}", ca.ca_pem());
    ask(
        &vault,
        &["write", "auth/cert/certs/app", &certificate, "token_policies=all", "display_name=app"],
    );
    let roots = std::fs::read(vault.ca_certificate().unwrap()).unwrap();
    let config = |authority: &TestCa| {
        let client = authority.issue_client("client.test");
        let identity = SecureBytes::new((client.chain_pem() + &client.key_pem()).into_bytes());
        let credentials = VaultCredentials::tls_certificate(Some("app".into())).unwrap();
        VaultConnectionConfig::new(vault.url(), credentials)
            .with_tls_roots(roots.clone())
            .with_client_identity(identity)
    };
    let told = connect(config(&ca)).await.who_am_i().await.unwrap();
    assert!(told.contains("app") && told.contains("all"), "{told}");
    let stranger = connect(config(&TestCa::new())).await;
    let failure = stranger.who_am_i().await.unwrap_err();
    assert_eq!(failure.to_error(Operation::LogIn).kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_certificate_login_needs_a_certificate() {
    let credentials = VaultCredentials::tls_certificate(None).unwrap();
    let config = VaultConnectionConfig::new("https://vault.example.com", credentials);
    let error = vault_connection::VaultConnection::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(VaultMount::new("a//b").is_err());
}
