//! The options of the services: each is read by somebody, and none is passed over.

use std::collections::BTreeSet;
use std::path::Path;

use vaultkit::core::ErrorKind;
use vaultkit::kms::{KmsUri, Service, connect};

const RING: &str = "projects/p/locations/l/keyRings/r";

/// Files that options name.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = vault_testkit::tls::TestCa::new();
        std::fs::write(folder.path().join("ca.pem"), ca.ca_pem()).unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A value that the option may have.
    fn value(&self, option: &str) -> String {
        let file = |name| self.path().join(name).display().to_string();
        match option {
            "ca_file" => file("ca.pem"),
            name if name.ends_with("_file") => file("secret"),
            "proxy" => "http://proxy.example:3128".to_owned(),
            "timeout" => "3s".to_owned(),
            "fips" | "dual_stack" | "plain_http" => "false".to_owned(),
            "address" => "127.0.0.1:443".to_owned(),
            "endpoint" | "sts_endpoint" | "authority" => "https://kms.example".to_owned(),
            "scope_binding" => "header-mac".to_owned(),
            "role_arn" => "arn:aws:iam::111122223333:role/app".to_owned(),
            "region" => "eu-west-1".to_owned(),
            "auth_mount" => "auth-mount".to_owned(),
            _ => "some-name".to_owned(),
        }
    }
}

fn place(service: Service) -> String {
    match service {
        Service::Aws => "aws-kms://alias/a".to_owned(),
        Service::HashiCorp => "hcvault://vault.example/transit/a".to_owned(),
        Service::Azure => "azurekeyvault://v.vault.azure.net/keys/a".to_owned(),
        _ => format!("gcp-kms://{RING}/cryptoKeys/a"),
    }
}

/// Options that go together; all of a service's stand in one line at least.
const TOGETHER: &[(Service, &str)] = &[
    (
        Service::Aws,
        "region endpoint sts_endpoint fips dual_stack profile role_arn external_id session_name ca_file proxy timeout",
    ),
    (Service::Aws, "region role_arn session_name web_identity_token_file"),
    (
        Service::HashiCorp,
        "login=token token_file name namespace plain_http scope_binding ca_file timeout",
    ),
    (Service::HashiCorp, "login=approle role_id secret_id_file auth_mount proxy"),
    (Service::HashiCorp, "login=kubernetes role jwt_file auth_mount"),
    (Service::HashiCorp, "login=jwt role jwt_file"),
    (
        Service::Azure,
        "login=secret tenant_id client_id client_secret_file authority address ca_file timeout",
    ),
    (Service::Azure, "login=managed client_id proxy"),
    (Service::Gcp, "login=metadata endpoint ca_file proxy timeout"),
];

#[tokio::test]
async fn every_option_of_every_service_is_read_where_it_belongs() {
    let files = Files::new();
    let mut read: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (service, options) in TOGETHER {
        let mut query = Vec::new();
        for option in options.split(' ') {
            let name = option.split_once('=').map_or(option, |(name, _)| name);
            let named = || format!("{name}={}", files.value(name));
            query.push(if option == name { named() } else { option.to_owned() });
            read.insert((service.scheme(), name));
        }
        let uri = format!("{}?{}", place(*service), query.join("&"));
        // What is not read is refused, so that an answer is the proof.
        connect(&uri).await.unwrap_or_else(|error| panic!("{uri}: {error:?}"));
    }
    let known = Service::ALL.iter().flat_map(|s| s.options().map(|name| (s.scheme(), name)));
    // These take a file that its service's library reads at once: the next test gives them.
    let elsewhere = [
        ("hcvault", "client_cert_file"),
        ("hcvault", "client_key_file"),
        ("gcp-kms", "credentials_file"),
    ];
    let unread: Vec<_> = known.filter(|one| !read.contains(one)).collect();
    assert_eq!(unread, elsewhere);
}

#[tokio::test]
async fn a_file_that_a_service_needs_is_read() {
    let nowhere = "/nowhere/at/all";
    for uri in [
        format!("hcvault://vault.example/transit/a?login=cert&client_cert_file={nowhere}"),
        format!(
            "hcvault://vault.example/transit/a?login=cert&client_cert_file={nowhere}&client_key_file={nowhere}"
        ),
        format!("gcp-kms://{RING}?login=service-account&credentials_file={nowhere}"),
        format!("gcp-kms://{RING}?login=federation&credentials_file={nowhere}"),
    ] {
        let error = connect(&uri).await.unwrap_err();
        assert!(!error.to_string().contains("does not go with"), "{uri}: {error}");
    }
}

#[tokio::test]
async fn an_option_by_itself_is_read_or_refused_and_never_passed_over() {
    let files = Files::new();
    for service in Service::ALL {
        for option in service.options() {
            let uri = format!("{}?{option}={}", place(*service), files.value(option));
            assert!(uri.parse::<KmsUri>().is_ok(), "{uri}");
            if let Err(error) = connect(&uri).await {
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{uri}: {error}");
            }
        }
        for other in Service::ALL.iter().flat_map(|service| service.options()) {
            let uri = format!("{}?{other}={}", place(*service), files.value(other));
            let is_own = service.options().any(|own| own == other);
            assert_eq!(uri.parse::<KmsUri>().is_ok(), is_own, "{uri}");
        }
    }
}

#[tokio::test]
async fn an_address_beside_a_name_is_an_ip_and_a_port() {
    for wrong in ["vault.example:443", "127.0.0.1", "127.0.0.1:port", ":443"] {
        let uri = format!("azurekeyvault://v.vault.azure.net/keys/a?login=cli&address={wrong}");
        let error = connect(&uri).await.unwrap_err();
        assert!(error.to_string().contains("IP:PORT"), "{uri}: {error}");
    }
    connect("azurekeyvault://v.vault.azure.net/keys/a?login=cli&address=[::1]:443").await.unwrap();
}

#[tokio::test]
async fn a_proxy_is_a_host_and_a_port_and_has_no_login() {
    for service in Service::ALL {
        let login = match service {
            Service::Aws => "region=eu-west-1",
            Service::HashiCorp => "token_file=/nowhere",
            Service::Azure => "login=cli",
            _ => "login=metadata",
        };
        for wrong in [
            "proxy.example:3128",
            "https://p:3128",
            "http://p",
            "http://:1",
            "http://p:x",
            "http://p:1/x",
        ] {
            let uri = format!("{}?{login}&proxy={wrong}", place(*service));
            let error = connect(&uri).await.unwrap_err().to_string();
            assert!(error.contains("proxy is http://HOST:PORT"), "{uri}: {error}");
        }
        for secret in ["http://me:SECRET@p:3128", "me:SECRET@p:3128"] {
            let uri = format!("{}?{login}&proxy={secret}", place(*service));
            let error = connect(&uri).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn options_that_a_login_does_not_read_are_refused() {
    let ring = "projects/p/locations/l/keyRings/r";
    for uri in [
        "aws-kms://alias/a?region=eu-west-1&external_id=x",
        "aws-kms://alias/a?region=eu-west-1&session_name=x",
        "hcvault://vault.example/transit/a?login=token&role_id=x",
        // As whom, if VAULT_TOKEN is set?
        "hcvault://vault.example/transit/a?role_id=x&secret_id_file=/nowhere",
        "hcvault://vault.example/transit/a?token_file=/nowhere&client_key_file=/nowhere",
        "azurekeyvault://v.vault.azure.net/keys/a?login=cli&client_id=x",
        "azurekeyvault://v.vault.azure.net/keys/a?login=managed&tenant_id=x",
        "azurekeyvault://v.vault.azure.net/keys/a?login=cli&address=127.0.0.1:443&proxy=http://p:3128",
        "hcvault://127.0.0.1/transit/a?token_file=/nowhere&plain_http=true&proxy=http://p:3128",
        &format!("gcp-kms://{ring}?login=metadata&credentials_file=/nowhere"),
    ] {
        let error = connect(uri).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{uri}: {error}");
        assert!(error.to_string().contains("does not go with"), "{uri}: {error}");
    }
}

#[tokio::test]
async fn no_uri_sends_a_token_readable_to_another_machine() {
    let uri = |host| format!("hcvault://{host}/transit/a?plain_http=true&token_file=/nowhere");
    let error = connect(uri("vault.example")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("plain http"), "{error}");
    connect(uri("127.0.0.1:8200")).await.unwrap();
}
