//! The program and services across the network: Vault and LocalStack themselves, and stand-ins of Google's and
//! Azure's.

use serde_json::Value;
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::fakes::google::FakeCloudKms;
use vault_testkit::servers::{LocalStack, Vault};

use super::support::{Desk, Ended};

const RING: &str = "projects/test/locations/global/keyRings/default";

/// The four services.
const ALL: [&str; 4] = ["vault", "aws", "google", "azure"];

/// A desk whose `vaultkit.toml` names the four services, with the key `app` at each.
struct Clouds {
    desk: Desk,
    vault: Vault,
    aws: LocalStack,
    google: FakeCloudKms,
    azure: FakeKeyVault,
}

impl Clouds {
    fn start() -> Self {
        let (vault, aws) = (Vault::start().unwrap(), LocalStack::start().unwrap());
        let (google, azure) = (FakeCloudKms::start(), FakeKeyVault::start());
        let clouds = Self { desk: Desk::new(), vault, aws, google, azure };
        clouds.desk.write("ca.pem", clouds.azure.ca_pem());
        clouds.desk.write("secret", clouds.azure.client_secret());
        clouds.vault.run(&["secrets", "enable", "transit"]).unwrap();
        clouds.google.add_key_ring(RING);
        let address = clouds.vault.url().replace("http://", "");
        let (aws, google) = (clouds.aws.url(), clouds.google.endpoint());
        let region = clouds.aws.login().region;
        let (host, at, authority) =
            (clouds.azure.host(), clouds.azure.addr(), clouds.azure.authority());
        let (tenant, client) = (clouds.azure.tenant(), clouds.azure.client_id());
        clouds.desk.write(
            "vaultkit.toml",
            format!(
                r#"
                [kms.vault]
                uri = "hcvault://{address}/transit/app?name=it"
                plain_http = true
                [kms.aws]
                uri = "aws-kms://alias/app?region={region}"
                endpoint = "{aws}"
                sts_endpoint = "{aws}"
                [kms.google]
                uri = "gcp-kms://{RING}/cryptoKeys/app"
                endpoint = "{google}"
                login = "anonymous"
                [kms.azure]
                uri = "azurekeyvault://{host}/keys/app"
                address = "{at}"
                authority = "{authority}"
                ca_file = "ca.pem"
                login = "secret"
                tenant_id = "{tenant}"
                client_id = "{client}"
                client_secret_file = "secret"
                [envelope.clouds]
                write = {{ at_least = 2, of = ["vault", "aws", "google", "azure"] }}
                scope = {{ table = "cards" }}
                "#
            ),
        );
        for name in ALL {
            clouds.done(&["keys", "create", "app", "--kms", name]);
        }
        clouds
    }

    fn run(&self, args: &[&str]) -> Ended {
        let login = self.aws.login();
        let mut command = self.desk.command(args);
        command
            .env("VAULT_TOKEN", self.vault.root_token())
            .env("AWS_ACCESS_KEY_ID", login.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", login.secret_access_key);
        super::support::end(&mut command)
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> Ended {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        ended
    }

    #[track_caller]
    fn object(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.done(args).out).unwrap()
    }
}

#[test]
fn files_and_keys_live_at_services_across_the_network() {
    let clouds = Clouds::start();
    seals_for_all_and_opens_with_each(&clouds);
    an_address_does_not_change_whose_certificate_is_wanted(&clouds);
    an_envelope_outlives_two_services(&clouds);
    manages_keys(&clouds);
    the_doctor_knows_whom_it_asks(&clouds);
    what_is_down_is_told_and_the_others_open(&clouds);
}

fn seals_for_all_and_opens_with_each(clouds: &Clouds) {
    clouds.desk.write("a", "text");
    let for_all = ALL.into_iter().flat_map(|name| ["--kms", name]);
    clouds.done(&["seal", "a"].into_iter().chain(for_all).collect::<Vec<_>>());
    for name in ALL {
        assert_eq!(clouds.done(&["open", "a.vk", "-o", "-", "--kms", name]).out, b"text", "{name}");
    }
    let inspected = clouds.object(&["inspect", "a.vk", "--json"]);
    let slots = inspected["inspected"]["slots"].clone();
    let ids: Vec<&str> =
        slots.as_array().unwrap().iter().map(|s| s["key"].as_str().unwrap()).collect();
    assert_eq!(ids[0], "hcvault:it/transit#app");
    assert!(ids[1].starts_with("arn:aws:kms:us-east-1:"), "an alias could be moved: {}", ids[1]);
    assert_eq!(ids[2], format!("{RING}/cryptoKeys/app"));
    clouds.done(&["rewrap", "a.vk", "--kms", "aws"]);
    assert_eq!(clouds.done(&["open", "a.vk", "-o", "-", "--kms", "aws"]).out, b"text");
    // Without a key that is named, the message would choose whose key opens it.
    let region = clouds.aws.login().region;
    let any = format!("aws-kms://?region={region}&endpoint={}", clouds.aws.url());
    let refused = clouds.run(&["open", "a.vk", "-o", "x", "--kms", &any]);
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert!(refused.err.contains("--key"), "{}", refused.err);
}

/// A name is verified wherever it is reached; another machine at the address is not the vault.
fn an_address_does_not_change_whose_certificate_is_wanted(clouds: &Clouds) {
    let azure = &clouds.azure;
    let uri = |host: &str| {
        format!(
            "azurekeyvault://{host}/keys/app?address={}&authority={}&ca_file=ca.pem&login=secret&tenant_id={}&client_id={}&client_secret_file=secret",
            azure.addr(),
            azure.authority(),
            azure.tenant(),
            azure.client_id(),
        )
    };
    assert_eq!(
        clouds.done(&["open", "a.vk", "-o", "-", "--kms", &uri(&azure.host())]).out,
        b"text"
    );
    let asked = azure.calls().len();
    let refused = clouds.run(&["doctor", "--kms", &uri("vault.example.com")]);
    assert_eq!(refused.code, 4, "{}", String::from_utf8_lossy(&refused.out));
    assert_eq!(azure.calls().len(), asked, "it was sent something");
}

/// Two of four are enough; who was down is told, opens nothing, and is filled in when it is back.
fn an_envelope_outlives_two_services(clouds: &Clouds) {
    clouds.google.stop();
    clouds.azure.stop();
    let sealed = clouds.done(&["seal", "a", "-o", "b.vk", "--envelope", "clouds"]);
    let names = [format!("{RING}/cryptoKeys/app"), clouds.azure.host()];
    for name in &names {
        assert!(sealed.err.contains(name), "{}", sealed.err);
    }
    assert_eq!(clouds.done(&["open", "b.vk", "-o", "-", "--envelope", "clouds"]).out, b"text");
    clouds.google.start_again();
    clouds.azure.start_again();
    clouds.done(&["fill", "b.vk", "--envelope", "clouds"]);
    let with = ["--kms", "google", "--scope", "table=cards"];
    assert_eq!(clouds.done(&[&["open", "b.vk", "-o", "-"][..], &with].concat()).out, b"text");
    let with = ["--kms", "azure", "--scope", "table=cards"];
    assert_eq!(clouds.done(&[&["open", "b.vk", "-o", "-"][..], &with].concat()).out, b"text");
}

fn manages_keys(clouds: &Clouds) {
    for name in ["vault", "google"] {
        clouds.done(&["keys", "rotate", "app", "--kms", name]);
        let key = clouds.object(&["keys", "show", "app", "--kms", name, "--json"])["key"].clone();
        assert_eq!(key["primary_version"], "2", "{name}");
        clouds.done(&["keys", "rotate-every", "app", "--days", "90", "--kms", name]);
        let listed = clouds.object(&["keys", "list", "--kms", name, "--json"]);
        assert_eq!(listed["keys"][0]["rotation_period_days"], 90, "{name}");
    }
    clouds.done(&["rewrap", "a.vk", "--kms", "vault", "--kms", "google"]);
    assert_eq!(clouds.done(&["open", "a.vk", "-o", "-", "--kms", "google"]).out, b"text");
    clouds.done(&["keys", "tag", "alias/app", "team=ledger", "--kms", "aws"]);
    let shown = clouds.object(&["keys", "show", "alias/app", "--kms", "aws", "--json"]);
    assert_eq!(shown["key"]["tags"]["team"], "ledger");
    let refused = clouds.run(&["keys", "disable", "app", "--kms", "vault"]);
    assert_eq!(refused.code, 4, "{}", refused.err);
    let refused = clouds.run(&["keys", "backup", "x", "--kms", "vault"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
}

fn the_doctor_knows_whom_it_asks(clouds: &Clouds) {
    let services =
        clouds.object(&["doctor", "--config", "vaultkit.toml", "--json"])["services"].clone();
    let services = services.as_array().unwrap();
    assert_eq!(services.len(), 4);
    for service in services {
        let checks = &service["checks"];
        for check in ["reachable", "generate", "wrap", "unwrap", "describe", "i_am"] {
            assert_eq!(checks[check]["ok"], true, "{service}");
        }
        let off = service["clock_ahead_by_seconds"].as_f64();
        assert!(off.is_none_or(|seconds| seconds.abs() < 60.0), "{service}");
    }
    let who = services.iter().find(|service| service["name"] == "vault").unwrap();
    assert!(who["checks"]["i_am"]["answer"].as_str().unwrap().contains("root"), "{who}");
}

fn what_is_down_is_told_and_the_others_open(clouds: &Clouds) {
    clouds.vault.crash().unwrap();
    clouds.google.stop();
    let ended = clouds.run(&["doctor", "--config", "vaultkit.toml"]);
    let said = String::from_utf8(ended.out).unwrap();
    assert_eq!(ended.code, 4, "{said}");
    let vault = said.lines().find(|line| line.starts_with("vault ")).unwrap();
    assert!(vault.contains("hcvault") && vault.contains("reachable unavailable"), "{said}");
    assert!(vault.contains("generate skipped"), "{said}");
    assert!(said.contains("is up"), "{said}");
    let all = ["open", "a.vk", "-o", "-", "--kms", "vault", "--kms", "google", "--kms", "aws"];
    assert_eq!(clouds.done(&all).out, b"text");
    for secret in [clouds.vault.root_token(), clouds.aws.login().secret_access_key] {
        assert!(!said.contains(secret) && !ended.err.contains(secret));
    }
}
