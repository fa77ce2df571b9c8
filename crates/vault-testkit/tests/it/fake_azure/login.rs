//! Who may ask the fake: challenge, tokens, the login server, the metadata service, permissions, throttling.

use std::time::Duration;

use vault_testkit::fakes::azure::FakeKeyVault;

use super::client::{Answer, Asks as _, ask, ask_plain};

const SCOPE: &str = "https%3A%2F%2Fvault.azure.net%2F.default";

fn get(vault: &FakeKeyVault, token: &str) -> Answer {
    let (host, ca, bearer) = (vault.host(), vault.ca_pem(), format!("Bearer {token}"));
    let headers = [("authorization", bearer.as_str())];
    ask(vault.addr(), (&host, &ca), "GET", "/keys?api-version=7.4", &headers, "").unwrap()
}

fn log_in(vault: &FakeKeyVault, tenant: &str, form: &str) -> Answer {
    let target = format!("/{tenant}/oauth2/v2.0/token");
    let form = format!("grant_type=client_credentials&scope={SCOPE}&{form}");
    let ca = vault.ca_pem();
    ask(vault.addr(), ("login.microsoftonline.com", &ca), "POST", &target, &[], &form).unwrap()
}

fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_of_any_login_opens_the_vault() {
    let vault = FakeKeyVault::start();
    let client = vault.client_id();
    let secret = format!("client_id={client}&client_secret={}", vault.client_secret());
    assert_eq!(get(&vault, &token_of(&log_in(&vault, vault.tenant(), &secret))).status, 200);
    let assertion = format!("client_id={client}&client_assertion={}", vault.federated_token());
    assert_eq!(get(&vault, &token_of(&log_in(&vault, vault.tenant(), &assertion))).status, 200);
    let target =
        "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net";
    let metadata = ask_plain(vault.metadata_addr(), target, &[("metadata", "true")]);
    assert_eq!(get(&vault, &token_of(&metadata)).status, 200);
    // As an HTTP proxy is asked.
    let absolute = format!("http://169.254.169.254{target}&client_id={client}");
    let metadata = ask_plain(vault.metadata_addr(), &absolute, &[("metadata", "true")]);
    assert_eq!(get(&vault, &token_of(&metadata)).status, 200);
    let target = "/msi/token?api-version=2019-08-01&resource=https://vault.azure.net";
    let header = [("x-identity-header", vault.identity_header())];
    let service = ask_plain(vault.metadata_addr(), target, &header);
    assert_eq!(get(&vault, &token_of(&service)).status, 200);
    assert!(vault.calls().iter().all(|call| call.authorized && call.status == 200));
}

#[test]
fn a_wrong_login_gets_no_token() {
    let vault = FakeKeyVault::start();
    let (tenant, client, secret) = (vault.tenant(), vault.client_id(), vault.client_secret());
    let access = vault.token(Duration::from_secs(60));
    for (tenant, form, number) in [
        (tenant, format!("client_id={client}&client_secret=no"), "AADSTS7000215"),
        (tenant, format!("client_id={client}"), "AADSTS7000215"),
        (tenant, format!("client_id=no&client_secret={secret}"), "AADSTS700016"),
        ("elsewhere", format!("client_id={client}&client_secret={secret}"), "AADSTS90002"),
        // An access token is no proof of another identity.
        (tenant, format!("client_id={client}&client_assertion={access}"), "AADSTS700213"),
    ] {
        let answer = log_in(&vault, tenant, &form);
        assert!(answer.status == 400 || answer.status == 401, "{form}");
        let what = answer.json()["error_description"].as_str().unwrap().to_owned();
        assert!(what.starts_with(number), "{what}");
    }
    let target = "/metadata/identity/oauth2/token?resource=https://vault.azure.net";
    assert_eq!(ask_plain(vault.metadata_addr(), target, &[]).status, 400);
    let other = format!("{target}&client_id=other");
    assert_eq!(ask_plain(vault.metadata_addr(), &other, &[("metadata", "true")]).status, 400);
    let wrong = [("x-identity-header", "no")];
    assert_eq!(ask_plain(vault.metadata_addr(), "/msi/token?resource=x", &wrong).status, 400);
}

#[test]
fn a_token_that_is_expired_revoked_or_for_another_service_is_challenged() {
    let vault = FakeKeyVault::start();
    let minute = Duration::from_secs(60);
    let good = vault.token(minute);
    assert_eq!(get(&vault, &good).status, 200);
    vault.revoke_tokens();
    let another = vault.token_for("https://management.azure.com", minute);
    vault.set_token_lifetime(Duration::ZERO);
    let form = format!("client_id={}&client_secret={}", vault.client_id(), vault.client_secret());
    let expired = token_of(&log_in(&vault, vault.tenant(), &form));
    for bad in
        [good, another, expired, vault.token(Duration::ZERO), "no-token".into(), String::new()]
    {
        let answer = get(&vault, &bad);
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").contains(vault.tenant()));
        assert!(
            answer.header("www-authenticate").ends_with("resource=\"https://vault.azure.net\"")
        );
    }
    assert_eq!(get(&vault, &vault.token(minute)).status, 200);
}

#[test]
fn a_permission_that_was_taken_is_refused_until_it_is_given_back() {
    let vault = FakeKeyVault::start();
    let key = vault.create("k");
    let sealed = vault.used(&key, "wrapkey", "AAAA").unwrap();
    vault.deny("unwrap");
    assert_eq!(vault.used(&key, "unwrapkey", &sealed), Err("ForbiddenByRbac".into()));
    assert!(vault.used(&key, "wrapkey", "AAAA").is_ok());
    vault.allow_all();
    assert_eq!(vault.used(&key, "unwrapkey", &sealed).unwrap(), "AAAA");
}

#[test]
fn throttling_ends_after_the_calls_it_was_set_for() {
    let vault = FakeKeyVault::start();
    vault.throttle(2, Some(Duration::from_secs(7)));
    for _ in 0..2 {
        let answer = vault.call("GET", "/keys", "");
        assert_eq!((answer.status, answer.code().as_str()), (429, "Throttled"));
        assert_eq!(answer.header("retry-after"), "7");
    }
    assert_eq!(vault.call("GET", "/keys", "").status, 200);
    vault.throttle(1, None);
    let answer = vault.call("GET", "/keys", "");
    assert_eq!((answer.status, answer.header("retry-after")), (429, ""));
}

#[test]
fn the_vault_tells_its_own_time_and_what_it_was_asked() {
    let vault = FakeKeyVault::start();
    let before = vault.call("GET", "/keys", "").header("date").to_owned();
    vault.advance(Duration::from_secs(2 * 86_400));
    let after = vault.call("GET", "/keys", "").header("date").to_owned();
    assert_ne!(before[..3], after[..3], "another day of the week");
    assert_eq!(get(&vault, "no").status, 401);
    let calls = vault.calls();
    let seen: Vec<_> = calls.iter().map(|call| (call.authorized, call.status)).collect();
    assert_eq!(seen, [(true, 200), (true, 200), (false, 401)]);
    assert_eq!((calls[0].method.as_str(), calls[0].path.as_str()), ("GET", "/keys"));
    vault.forget_calls();
    assert!(vault.calls().is_empty());
}

#[test]
fn a_client_that_does_not_know_the_authority_does_not_talk_to_it() {
    let vault = FakeKeyVault::start();
    let stranger = FakeKeyVault::start();
    let (host, ca) = (vault.host(), stranger.ca_pem());
    let answer = ask(vault.addr(), (&host, &ca), "GET", "/keys", &[], "");
    assert!(answer.is_err());
    let answer = ask(vault.addr(), ("elsewhere.example", &vault.ca_pem()), "GET", "/keys", &[], "");
    assert!(answer.is_err());
    assert!(vault.calls().is_empty());
}
