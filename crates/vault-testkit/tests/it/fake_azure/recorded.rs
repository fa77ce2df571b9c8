//! Witness one: what the real service answered, recorded.

use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::fakes::azure::recorded::{Exchange, Recording, ReplayedKeyVault};

use super::client::{Answer, Asks as _, ask};

const URL: &str = "/keys/test1/decrypt?api-version=2025-07-01";

fn recorded(recording: Recording, status: u16) -> Exchange {
    recording.exchanges().into_iter().find(|exchange| exchange.status == status).unwrap()
}

fn header<'a>(exchange: &'a Exchange, name: &str) -> &'a str {
    exchange.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str())
}

/// Body and status are the recorded ones, byte for byte, and so is every header that is not of its moment.
fn assert_like(answer: &Answer, exchange: &Exchange) {
    assert_eq!((answer.status, answer.body.as_str()), (exchange.status, exchange.body.as_str()));
    for (name, value) in &exchange.headers {
        assert!(answer.headers.contains_key(name.as_str()), "{name} is missing");
        let moment = ["date", "www-authenticate"].contains(&name.as_str());
        if !moment && !name.starts_with("x-ms-") {
            assert_eq!(answer.header(name), value, "{name}");
        }
    }
}

#[test]
fn a_request_without_a_token_is_answered_the_recorded_challenge() {
    let tenant = "db44ed8f-85f7-4f22-b378-3bb9fa3d62ff";
    let options = vault_testkit::fakes::azure::FakeKeyVaultOptions::new().with_tenant(tenant);
    let vault = FakeKeyVault::start_with(options);
    let (host, ca) = (vault.host(), vault.ca_pem());
    let answer = ask(vault.addr(), (&host, &ca), "POST", URL, &[], "").unwrap();
    let real = recorded(Recording::NoCiphertext, 401);
    assert_like(&answer, &real);
    assert_eq!(answer.header("www-authenticate"), header(&real, "www-authenticate"));
}

#[test]
fn every_ciphertext_that_the_service_refused_is_refused_in_the_same_words() {
    let vault = FakeKeyVault::start();
    vault.create("test1");
    for recording in [Recording::NoCiphertext, Recording::ChangedCiphertexts] {
        let all = recording.exchanges();
        let refused: Vec<&Exchange> =
            all.iter().filter(|exchange| exchange.status == 400).collect();
        assert!(!refused.is_empty());
        for exchange in refused {
            assert_like(&vault.call("POST", URL, &exchange.sent), exchange);
        }
    }
}

#[test]
fn a_changed_a_shortened_and_a_lengthened_ciphertext_of_its_own_are_refused_in_the_same_words() {
    let vault = FakeKeyVault::start();
    let key = vault.create("test1");
    let real = recorded(Recording::ChangedCiphertexts, 400);
    let sealed = vault.used(&key, "encrypt", "AAAA").unwrap();
    let first = if sealed.starts_with('B') { 'C' } else { 'B' };
    let changed = format!("{first}{}", &sealed[1..]);
    // 256 bytes are 342 characters: four less are three bytes less.
    for wrong in [changed, sealed[..338].to_owned(), format!("AAAA{sealed}"), String::new()] {
        let body = format!(r#"{{"alg":"RSA-OAEP-256","value":"{wrong}"}}"#);
        assert_like(&vault.call("POST", URL, &body), &real);
    }
}

#[test]
fn an_encryption_and_a_decryption_have_the_form_that_was_recorded() {
    let vault = FakeKeyVault::start();
    vault.create("test1");
    let all = Recording::EncryptDecrypt.exchanges();
    let [_, encryption, decryption] = all.as_slice() else { panic!("three exchanges") };
    let answer =
        vault.call("POST", &format!("{}?api-version=7.4", encryption.path), &encryption.sent);
    let real: serde_json::Value = serde_json::from_str(&encryption.body).unwrap();
    let (ours, real) = (answer.json(), real);
    let names =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&real));
    let length = |value: &serde_json::Value| value["value"].as_str().unwrap().len();
    assert_eq!(length(&ours), length(&real));
    let depth = |value: &serde_json::Value| value["kid"].as_str().unwrap().split('/').count();
    assert_eq!(depth(&ours), depth(&real));
    let body = format!(r#"{{"alg":"RSA-OAEP-256","value":{}}}"#, ours["value"]);
    let opened = vault.call("POST", URL, &body);
    let real: serde_json::Value = serde_json::from_str(&decryption.body).unwrap();
    assert_eq!(opened.json()["value"], real["value"]);
}

#[test]
fn every_recording_is_read_whole() {
    let counts = Recording::ALL.map(|recording| recording.exchanges().len());
    assert_eq!(counts, [3, 5, 6, 5, 2]);
    for recording in Recording::ALL {
        for exchange in recording.exchanges() {
            assert_eq!(exchange.sent.is_empty(), exchange.status == 401);
            assert!(exchange.path.starts_with("/keys/test"), "{}", exchange.path);
            assert_eq!(header(&exchange, "content-length"), exchange.body.len().to_string());
        }
    }
}

#[test]
fn a_replay_answers_what_the_service_did_and_each_answer_once() {
    let vault = ReplayedKeyVault::start(Recording::EncryptDecrypt);
    let bearer = format!("Bearer {}", vault.token());
    let real = Recording::EncryptDecrypt.exchanges();
    let ca = vault.ca_pem();
    let ask = |token: &[(&str, &str)], exchange: &Exchange| {
        // The version is left out by an empty segment, as Microsoft's Rust client does.
        let target = exchange.path.replace("/test1/", "/test1//");
        ask(vault.addr(), (vault.host(), &ca), "POST", &target, token, &exchange.sent).unwrap()
    };
    assert_eq!(ask(&[], &real[0]).body, real[0].body);
    for exchange in &real[1..] {
        let answer = ask(&[("authorization", &bearer)], exchange);
        assert_eq!((answer.status, &answer.body), (exchange.status, &exchange.body));
    }
    assert_eq!(vault.left(), 0);
    assert_eq!(ask(&[("authorization", &bearer)], &real[2]).status, 404);
}
