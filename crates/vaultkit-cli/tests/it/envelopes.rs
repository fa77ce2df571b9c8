//! Envelopes of `vaultkit.toml`: who is sealed for, who opens and in which scope, by one name.

use serde_json::Value;

use super::support::{Desk, Ended};

const CONFIG: &str = r#"
    [kms.main]
    uri = "local:one#app"
    [kms.exit]
    uri = "local:two#app"
    [kms.old]
    uri = "local:three#app"
    [kms.nobody]
    uri = "local:not-there#app"

    [envelope.cards]
    write = { all = ["main", "exit"] }
    open = ["old"]
    scope = { table = "cards" }
    [envelope.later]
    write = { primary = "main", fill = ["exit"] }
    [envelope.either]
    write = { at_least = 1, of = ["main", "exit"] }
    [envelope.two]
    write = { threshold = 2, of = ["main", "exit", "old"] }
    hedge_after = "50ms"
    [envelope.old]
    write = "old"
    scope = { table = "cards" }
    [envelope.unfinished]
    write = "main"
    open = ["nobody"]
"#;

fn desk() -> Desk {
    let desk = Desk::new();
    for name in ["one", "two", "three"] {
        desk.done(["keys", "create", "app", "--kms", &format!("local:{name}")]);
    }
    desk.write("vaultkit.toml", CONFIG);
    desk.write("a", "text");
    desk
}

fn object(ended: &Ended) -> Value {
    serde_json::from_slice(&ended.out).unwrap()
}

fn slots(desk: &Desk, name: &str) -> Vec<Value> {
    let inspected = object(&desk.done(["inspect", name, "--json"]));
    inspected["inspected"]["slots"].as_array().unwrap().clone()
}

#[track_caller]
fn opens<const N: usize>(desk: &Desk, with: [&str; N]) {
    assert_eq!(desk.done(["open", "a.vk", "-o", "-"].into_iter().chain(with)).out, b"text");
}

#[test]
fn an_envelope_seals_for_those_it_names_in_its_scope_and_its_services_open() {
    let desk = desk();
    desk.done(["seal", "a", "--envelope", "cards"]);
    assert_eq!(slots(&desk, "a.vk").len(), 2);
    opens(&desk, ["--envelope", "cards"]);
    desk.done(["verify", "a.vk", "--envelope", "cards"]);
    // The same without the envelope: one key and the scope.
    opens(&desk, ["--kms", "exit", "--scope", "table=cards"]);
    desk.fails(3, "not authentic", ["open", "a.vk", "-o", "x", "--kms", "exit"]);
    desk.fails(4, "no key", ["open", "a.vk", "-o", "x", "--envelope", "old"]);
    desk.fails(3, "not authentic", ["open", "a.vk", "-o", "x", "--envelope", "either"]);

    // What only those open who are allowed beside those who are sealed for.
    desk.done(["seal", "a", "--envelope", "old", "--force"]);
    opens(&desk, ["--envelope", "cards"]);
}

#[test]
fn more_scope_narrows_an_envelope_and_another_one_is_refused() {
    let desk = desk();
    desk.done(["seal", "a", "--envelope", "cards", "--scope", "tenant=acme"]);
    opens(&desk, ["--envelope", "cards", "--scope", "tenant=acme", "--scope", "table=cards"]);
    desk.fails(3, "not authentic", ["open", "a.vk", "-o", "x", "--envelope", "cards"]);
    let other = ["open", "a.vk", "-o", "x", "--envelope", "cards", "--scope", "table=orders"];
    desk.fails(2, "[envelope.cards] has another table in its scope", other);
    // What changes headers takes the rest of the scope from the header.
    desk.done(["keys", "rotate", "app", "--kms", "main"]);
    desk.done(["rewrap", "a.vk", "--envelope", "cards"]);
    opens(&desk, ["--envelope", "cards", "--scope", "tenant=acme"]);
}

#[test]
fn an_envelope_rewraps_the_slots_of_those_it_seals_for() {
    let desk = desk();
    desk.done(["seal", "a", "--envelope", "cards"]);
    let before = slots(&desk, "a.vk");
    desk.done(["keys", "rotate", "app", "--kms", "main"]);
    let done = desk.done(["rewrap", "a.vk", "--envelope", "cards"]);
    assert!(done.err.contains("moved to the current version of"), "{}", done.err);
    let after = slots(&desk, "a.vk");
    assert_eq!((&before[0]["version"], &after[0]["version"]), (&"1".into(), &"2".into()));
    assert_eq!(before[1], after[1]);
    // What the old key opens moves to those who are sealed for now.
    desk.done(["seal", "a", "--envelope", "old", "--force"]);
    desk.done(["rewrap", "a.vk", "--envelope", "cards"]);
    assert_eq!(slots(&desk, "a.vk").len(), 2);
    opens(&desk, ["--kms", "main", "--scope", "table=cards"]);
    desk.fails(4, "no key", ["open", "a.vk", "-o", "x", "--envelope", "old"]);
}

#[test]
fn an_envelope_opens_with_the_keys_it_names_and_not_with_others_of_their_stores() {
    let desk = desk();
    desk.done(["keys", "create", "other", "--kms", "local:one"]);
    desk.done(["seal", "a", "--kms", "local:one#other", "--scope", "table=cards"]);
    desk.fails(4, "no key", ["open", "a.vk", "-o", "x", "--envelope", "cards"]);
    desk.fails(4, "no key", ["rewrap", "a.vk", "--envelope", "cards"]);
    desk.fails(4, "no key", ["add-recipient", "a.vk", "-r", "old", "--envelope", "cards"]);
    assert_eq!(slots(&desk, "a.vk").len(), 1);
}

#[test]
fn an_envelope_leaves_slots_for_later_and_fills_them() {
    let desk = desk();
    let sealed = object(&desk.done(["seal", "a", "--envelope", "later", "--json"]));
    let missing = sealed["sealed"]["missing"].as_array().unwrap().clone();
    assert_eq!(missing.len(), 1, "{sealed}");
    desk.fails(4, "not filled yet", ["open", "a.vk", "-o", "x", "--kms", "exit"]);
    desk.done(["fill", "a.vk", "--envelope", "later"]);
    opens(&desk, ["--kms", "exit"]);
}

#[test]
fn an_envelope_deals_shares_and_takes_them_together() {
    let desk = desk();
    desk.done(["seal", "a", "--envelope", "two"]);
    opens(&desk, ["--envelope", "two"]);
    desk.done(["keys", "disable", "app", "--kms", "old"]);
    opens(&desk, ["--envelope", "two"]);
    desk.done(["keys", "disable", "app", "--kms", "exit"]);
    desk.fails(4, "", ["open", "a.vk", "-o", "x", "--envelope", "two"]);
}

#[test]
fn services_that_an_envelope_does_not_need_are_not_opened() {
    let desk = desk();
    // `nobody` does not exist; only one envelope needs it, and only to open.
    desk.done(["seal", "a", "--envelope", "unfinished"]);
    let ended = desk.run(["open", "a.vk", "-o", "x", "--envelope", "unfinished"]);
    assert_eq!(ended.code, 4, "{}", ended.err);
    opens(&desk, ["--kms", "main"]);
}

#[test]
fn no_envelope_is_chosen_in_silence() {
    let desk = desk();
    desk.write(
        "vaultkit.toml",
        "[kms.main]\nuri = \"local:one#app\"\n[envelope.default]\nwrite = \"main\"\n",
    );
    desk.done(["seal", "a"]);
    desk.fails(4, "no key", ["open", "a.vk", "-o", "x", "--kms", "main"]);
}

#[test]
fn a_name_that_is_none_or_contradicts_is_refused_with_what_there_is() {
    let desk = desk();
    let known = "there are: cards, either, later, old, two, unfinished";
    desk.fails(2, known, ["seal", "a", "--envelope", "card"]);
    desk.fails(2, known, ["open", "a", "-o", "x", "--envelope", "card"]);
    desk.fails(2, "leave --kms and --key out", ["seal", "a", "--envelope", "old", "--kms", "main"]);
    desk.fails(2, "leave --kms and --key out", ["open", "a", "--envelope", "old", "--key", "app"]);
    for other in
        ["--recipient=x", "--fill-later=main", "--threshold=1", "--at-least=1", "--passphrase"]
    {
        desk.fails(2, "cannot be used with", ["seal", "a", "--envelope", "old", other]);
    }
    desk.write(
        "vaultkit.toml",
        "[kms.main]\nuri = \"local:one\"\n[envelope.a]\nwrite = \"main\"\n",
    );
    desk.fails(2, "needs a key of [kms.main]", ["seal", "a", "--envelope", "a"]);
    std::fs::remove_file(desk.path("vaultkit.toml")).unwrap();
    desk.fails(2, "there is no vaultkit.toml", ["seal", "a", "--envelope", "old"]);
    for command in ["inspect", "keys"] {
        assert_eq!(desk.run([command, "--envelope", "old", "a"]).code, 2, "{command}");
    }
}

#[test]
fn completions_and_the_manual_know_the_envelopes() {
    let desk = Desk::new();
    for command in [["completions", "bash"], ["completions", "zsh"], ["completions", "fish"]] {
        let said = String::from_utf8(desk.done(command).out).unwrap();
        assert!(said.contains("envelope") && said.contains("at-least"), "{command:?}");
    }
    let manual = String::from_utf8(desk.done(["man"]).out).unwrap();
    assert!(manual.contains("envelope") && manual.contains("at\\-least"), "the manual");
}

#[test]
fn enough_recipients_are_enough_and_the_missing_one_is_told_and_filled_later() {
    let desk = desk();
    desk.done(["keys", "disable", "app", "--kms", "exit"]);
    let both = ["--kms", "main", "--kms", "exit"];
    desk.fails(4, "", ["seal", "a"].into_iter().chain(both));
    desk.fails(4, "", ["seal", "a", "--at-least", "2"].into_iter().chain(both));
    desk.fails(2, "between 1 and", ["seal", "a", "--at-least", "3"].into_iter().chain(both));
    desk.fails(2, "between 1 and", ["seal", "a", "--at-least", "0"].into_iter().chain(both));
    let sealed = desk.done(["seal", "a", "--at-least", "1"].into_iter().chain(both));
    let missing = slots(&desk, "a.vk")[1]["key"].as_str().unwrap().to_owned();
    assert!(sealed.err.contains("warning:") && sealed.err.contains(&missing), "{}", sealed.err);
    assert!(sealed.err.contains("vaultkit fill"), "{}", sealed.err);
    opens(&desk, ["--kms", "main"]);

    let json = desk.done(["seal", "a", "--envelope", "either", "--force", "--json"]);
    let object = object(&json);
    let said = object["sealed"]["missing"][0].as_str().unwrap();
    assert!(said.contains(&missing), "{object}");
    assert!(json.err.contains("\"warning\""), "{}", json.err);

    desk.done(["keys", "enable", "app", "--kms", "exit"]);
    desk.done(["fill", "a.vk", "--envelope", "either"]);
    opens(&desk, ["--kms", "exit"]);
    let whole = desk.done(["seal", "a", "--envelope", "either", "--force"]);
    assert!(!whole.err.contains("warning"), "{}", whole.err);
}

#[test]
fn a_rewrap_to_others_needs_as_many_as_were_asked_for() {
    let desk = desk();
    desk.done(["seal", "a", "--kms", "old"]);
    desk.done(["keys", "disable", "app", "--kms", "exit"]);
    let to = ["--kms", "old", "--to", "main", "--to", "exit"];
    desk.fails(4, "", ["rewrap", "a.vk"].into_iter().chain(to));
    desk.fails(2, "--at-least says", ["rewrap", "a.vk", "--kms", "old", "--at-least", "1"]);
    let done = desk.done(["rewrap", "a.vk", "--at-least", "1"].into_iter().chain(to));
    assert!(
        done.err.contains("warning:") && done.err.contains("did not take part"),
        "{}",
        done.err
    );
    opens(&desk, ["--kms", "main"]);
    desk.done(["keys", "enable", "app", "--kms", "exit"]);
    desk.done(["fill", "a.vk", "--kms", "main", "--kms", "exit"]);
    opens(&desk, ["--kms", "exit"]);
}

#[test]
fn who_is_named_twice_is_told_so() {
    let desk = desk();
    for more in [&[][..], &["--at-least", "1"], &["--threshold", "2"]] {
        let twice = ["seal", "a", "--kms", "main", "--kms", "local:one#app"];
        let told = desk.fails(2, "once", twice.iter().chain(more)).err;
        assert!(told.contains("two slots name the same key"), "{told}");
    }
}

/// Nothing listens on the port of the service, so that its alias stays one.
#[cfg(feature = "clouds")]
#[test]
fn an_alias_of_a_service_that_is_down_is_told_in_the_words_of_the_program() {
    let desk = desk();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let down = |key: &str| {
        format!("aws-kms://{key}?region=eu-west-1&endpoint=http://127.0.0.1:{port}&timeout=2s")
    };
    let seal = |key: &str| {
        let mut command =
            desk.command(["seal", "a", "--at-least", "1", "--kms", "main", "--kms", &down(key)]);
        command.env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret");
        super::support::end(&mut command)
    };
    let ended = seal("alias/app");
    assert_eq!(ended.code, 2, "{}", ended.err);
    assert!(
        ended.err.contains("alias/app is an alias") && ended.err.contains("whole id"),
        "{}",
        ended.err
    );
    assert!(!ended.err.contains("resolve_recipients"), "{}", ended.err);
    let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let ended = seal(arn);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("warning:") && ended.err.contains(arn), "{}", ended.err);
}
