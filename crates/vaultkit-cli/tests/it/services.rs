//! Services by name, and the doctor.

use serde_json::Value;

use super::support::Desk;

/// Two stores that `vaultkit.toml` calls `main` and `exit`.
fn desk() -> Desk {
    let desk = Desk::new();
    for name in ["one", "two"] {
        desk.done(["keys", "create", "app", "--kms", &format!("local:{name}")]);
    }
    desk.write(
        "vaultkit.toml",
        "[kms.main]\nuri = \"local:one#app\"\n[kms.exit]\nuri = \"local:two#app\"\n",
    );
    desk
}

#[test]
fn a_service_is_known_by_its_name_in_the_configuration() {
    let desk = desk();
    desk.write("a", "text");
    desk.done(["seal", "a", "--kms", "main", "--kms", "exit"]);
    for by in [["--kms", "exit"], ["--kms", "local:one#app"]] {
        assert_eq!(desk.done(["open", "a.vk", "-o", "-"].into_iter().chain(by)).out, b"text");
    }
    desk.done(["keys", "rotate", "app", "--kms", "exit"]);
    desk.done(["rewrap", "a.vk", "--kms", "main", "--kms", "exit", "--to", "exit"]);
    assert_eq!(desk.done(["open", "a.vk", "-o", "-", "--kms", "exit"]).out, b"text");
    desk.fails(4, "no key", ["open", "a.vk", "-o", "x", "--kms", "main"]);
    desk.fails(2, "there are: exit, main", ["open", "a.vk", "-o", "x", "--kms", "other"]);
}

#[test]
fn a_configuration_is_not_looked_for_where_no_name_is_given() {
    let desk = Desk::with_store();
    desk.write("vaultkit.toml", "not even TOML");
    desk.write("a", "text");
    desk.done(["seal", "a"]);
    desk.fails(2, "line 1", ["open", "a.vk", "-o", "x", "--kms", "main"]);
    desk.fails(5, "cannot be read", ["doctor", "--config", "elsewhere.toml"]);
}

#[test]
fn a_configuration_that_anybody_may_write_is_not_taken_from_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = desk();
    let path = desk.path("vaultkit.toml");
    let told = desk.done(["keys", "list", "--kms", "main"]).err;
    assert!(told.contains(&format!("services as in {}", path.display())), "it is told: {told}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    desk.fails(2, "somebody else", ["doctor"]);
    desk.fails(2, "somebody else", ["keys", "list", "--kms", "main"]);
    desk.done(["doctor", "--config", "vaultkit.toml"]);
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let desk = Desk::new();
    assert_eq!(desk.shell("mkfifo vaultkit.toml").code, 0);
    desk.fails(5, "it is no file", ["keys", "list", "--kms", "main"]);
}

#[test]
fn paths_of_a_configuration_begin_at_its_folder() {
    let desk = desk();
    std::fs::create_dir(desk.path("sub")).unwrap();
    let listed = desk.shell("cd sub && \"$V\" keys list --config ../vaultkit.toml --kms main");
    assert_eq!(listed.code, 0, "{}", listed.err);
}

const DOCTOR: [&str; 3] = ["doctor", "--config", "vaultkit.toml"];

/// Whoever wrote the file of an unpacked archive decides where tokens go.
#[test]
fn the_doctor_asks_nobody_whom_only_the_folder_names() {
    let desk = Desk::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    desk.write("token", "hvs.token");
    desk.write(
        "vaultkit.toml",
        format!("[kms.x]\nuri = \"hcvault://{address}/transit/app\"\nplain_http = true\ntoken_file = \"token\"\ntimeout = \"2s\"\n"),
    );
    let told = desk.fails(2, "nobody was asked", ["doctor"]).err;
    let path = desk.path("vaultkit.toml").display().to_string();
    for word in [&*path, "x (hcvault)", "vaultkit doctor --config vaultkit.toml"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(listener.accept().is_err(), "somebody was asked");
    #[cfg(feature = "clouds")]
    {
        // Who is named is asked.
        assert_eq!(desk.run(["doctor", "--kms", "x"]).code, 4);
        listener.accept().unwrap();
    }
}

/// Runs the program on a terminal, types a line, and says what stood there and how it ended.
const ON_A_TERMINAL: &str = r#"
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:2] + sys.argv[3:])
os.write(terminal, sys.argv[2].encode() + b"\n")
while True:
    try:
        said = os.read(terminal, 4096)
    except OSError:
        break
    if not said:
        break
    os.write(1, said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

#[test]
fn on_a_terminal_the_doctor_asks_its_user_first() {
    let desk = desk();
    desk.write("terminal.py", ON_A_TERMINAL);
    for (answer, code, word) in
        [("y", 0, "describe enabled"), ("n", 2, "nobody was asked"), ("", 2, "nobody was asked")]
    {
        let ended = desk.shell(&format!("python3 terminal.py \"$V\" '{answer}' doctor"));
        let said = String::from_utf8(ended.out).unwrap();
        assert_eq!(ended.code, code, "{said}");
        assert!(said.contains("Ask them? [y/N]") && said.contains(word), "{said}");
        assert_eq!(said.contains("reachable"), code == 0, "{said}");
    }
}

#[test]
fn the_doctor_says_what_works_with_each_service() {
    let desk = desk();
    let said = String::from_utf8(desk.done(DOCTOR).out).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let ok = "reachable ok  generate ok  unwrap ok  wrap ok  describe enabled";
    assert_eq!(lines, [format!("exit  local  {ok}"), format!("main  local  {ok}")]);
    let object: Value =
        serde_json::from_slice(&desk.done(DOCTOR.into_iter().chain(["--json"])).out).unwrap();
    assert_eq!(object["configuration"], desk.path("vaultkit.toml").display().to_string());
}

#[test]
fn the_doctor_asks_the_services_of_an_envelope() {
    let desk = desk();
    let text = String::from_utf8(desk.read("vaultkit.toml")).unwrap();
    desk.write("vaultkit.toml", text + "[envelope.e]\nwrite = \"main\"\n");
    let said = String::from_utf8(desk.done(["doctor", "--envelope", "e"]).out).unwrap();
    assert!(said.starts_with("main  local  reachable ok") && said.lines().count() == 1, "{said}");
    desk.fails(2, "there are: e", ["doctor", "--envelope", "f"]);
}

#[test]
fn the_doctor_says_what_to_fix_and_how_bad_it_is() {
    let desk = desk();
    desk.done(["keys", "disable", "app", "--kms", "exit"]);
    let ended = desk.run(DOCTOR);
    let said = String::from_utf8(ended.out).unwrap();
    assert_eq!(ended.code, 4, "{said}");
    assert!(said.contains("generate key unusable") && said.contains("describe disabled"), "{said}");
    assert!(
        said.contains("unwrap skipped") && said.contains("skipped unwrap: nothing was"),
        "{said}"
    );
    assert!(said.contains("enable the key, or cancel its deletion"), "{said}");
    assert!(said.contains("main  local  reachable ok"), "{said}");

    let ended = desk.run(["doctor", "--json", "--kms", "exit"]);
    let object: Value = serde_json::from_slice(&ended.out).unwrap();
    let unwrap = &object["services"][0]["checks"]["unwrap"];
    assert_eq!(unwrap["ok"], false);
    assert!(unwrap["skipped"].as_str().unwrap().contains("nothing was wrapped"), "{unwrap}");
}

#[test]
fn the_doctor_says_what_it_left_out_and_why() {
    let desk = desk();
    let ended = desk.run(["doctor", "--json", "--kms", "local:nowhere#app"]);
    assert_eq!(ended.code, 4);
    let object: Value = serde_json::from_slice(&ended.out).unwrap();
    let service = &object["services"][0];
    assert_eq!(service["checks"]["reachable"]["ok"], false);
    assert_eq!(service["checks"]["reachable"]["kind"], "unavailable");
    for check in ["generate", "unwrap", "wrap", "describe"] {
        assert_eq!(service["checks"][check]["skipped"], "it was not reached", "{service}");
    }
    let said = String::from_utf8(desk.done(["doctor", "--kms", "local:one"]).out).unwrap();
    assert!(said.contains("reachable ok  generate skipped"), "{said}");
    assert!(said.contains("no key is named behind its URI"), "{said}");
}

#[test]
fn labels_are_made_shown_and_replaced() {
    let desk = Desk::new();
    desk.done(["keys", "create", "app", "--tag", "team=payments", "--tag", "env=test"]);
    let tags = |desk: &Desk| {
        let shown = desk.done(["keys", "show", "app", "--json"]).out;
        serde_json::from_slice::<Value>(&shown).unwrap()["key"]["tags"].clone()
    };
    assert_eq!(tags(&desk), serde_json::json!({ "team": "payments", "env": "test" }));
    desk.done(["keys", "tag", "app", "team=ledger"]);
    assert_eq!(tags(&desk), serde_json::json!({ "team": "ledger" }));
    desk.done(["keys", "tag", "app"]);
    assert_eq!(tags(&desk), serde_json::json!({}));
}

#[test]
fn what_a_service_cannot_do_it_says() {
    let desk = Desk::with_store();
    desk.fails(4, "rotates no key by itself", ["keys", "rotate-every", "default", "--days", "90"]);
    desk.fails(4, "rotates no key by itself", ["keys", "rotate-every", "default", "--never"]);
    assert_eq!(desk.run(["keys", "rotate-every", "default"]).code, 2);
}

/// A stranger's file names a server; the user's token is for another one.
#[cfg(feature = "clouds")]
#[test]
fn the_environments_token_is_sent_to_no_server_but_its_own() {
    let desk = Desk::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let uri = format!("hcvault://{address}/transit/app?plain_http=true&timeout=1s");
    desk.write("vaultkit.toml", format!("[kms.x]\nuri = \"{uri}\"\n"));
    for name in ["x", &*uri] {
        let mut command = desk.command(["keys", "list", "--kms", name]);
        command.env("VAULT_TOKEN", "hvs.token").env("VAULT_ADDR", "https://vault.example:8200");
        let ended = super::support::end(&mut command);
        assert_eq!(ended.code, 2, "{}", ended.err);
        assert!(ended.err.contains("VAULT_TOKEN is for VAULT_ADDR"), "{}", ended.err);
        assert!(listener.accept().is_err(), "somebody was asked");
    }
    let mut command = desk.command(["keys", "list", "--kms", "x"]);
    command.env("VAULT_TOKEN", "hvs.token").env("VAULT_ADDR", format!("http://{address}"));
    assert_eq!(super::support::end(&mut command).code, 4);
    listener.accept().unwrap();
}
