//! The key store as the program meets it: made at the first use, refused when anything is wrong with it,
//! opened with a master secret from elsewhere.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::support::Desk;

#[test]
fn the_first_seal_makes_a_store_for_the_owner_alone_and_says_where() {
    let desk = Desk::new();
    desk.write("a", "text");
    let ended = desk.done(["seal", "a"]);
    assert!(ended.err.contains("made a key store in"), "{}", ended.err);
    assert!(ended.err.contains(desk.store().to_str().unwrap()), "{}", ended.err);
    assert_eq!(fs::metadata(desk.store()).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(desk.store()).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(!desk.done(["seal", "a", "-f"]).err.contains("made a key store"));
}

#[test]
fn the_data_folder_follows_the_environment() {
    let desk = Desk::new();
    desk.write("a", "text");
    let home = desk.path("home");
    let data = desk.path("data");
    let seal = |xdg: bool| {
        let mut command = desk.command(["seal", "a", "--force"]);
        command.env_remove("VAULTKIT_HOME").env("HOME", &home);
        if xdg {
            command.env("XDG_DATA_HOME", &data);
        }
        assert!(command.output().unwrap().status.success());
    };
    seal(false);
    assert!(home.join(".local/share/vaultkit/keys.vks").exists());
    seal(true);
    assert!(data.join("vaultkit/keys.vks").exists());
    let mut homeless = desk.command(["seal", "a", "--force"]);
    homeless.env_remove("VAULTKIT_HOME");
    assert_eq!(homeless.output().unwrap().status.code(), Some(4));
}

#[test]
fn a_damaged_widely_readable_or_newer_key_file_is_4_and_nothing_is_changed() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    desk.done(["seal", "a"]);
    let path = desk.store().join("keys.vks");
    let good = fs::read(&path).unwrap();
    let refuse = |word: &str| {
        let before = fs::read(&path).unwrap();
        desk.fails(4, word, ["open", "a.vk", "-o", "x"]);
        desk.fails(4, word, ["seal", "a", "-o", "x"]);
        desk.fails(4, word, ["keys", "list"]);
        assert_eq!(fs::read(&path).unwrap(), before);
    };
    for (at, word) in [(0, ""), (4, "newer"), (60, ""), (good.len() / 2, ""), (good.len() - 1, "")]
    {
        let mut bad = good.clone();
        bad[at] ^= 2;
        fs::write(&path, bad).unwrap();
        refuse(word);
    }
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    refuse("");
    fs::write(&path, &good).unwrap();
    for name in ["keys.vks", "master"] {
        fs::set_permissions(desk.store().join(name), Permissions::from_mode(0o644)).unwrap();
        refuse("chmod 600");
        fs::set_permissions(desk.store().join(name), Permissions::from_mode(0o600)).unwrap();
    }
    fs::set_permissions(desk.store(), Permissions::from_mode(0o750)).unwrap();
    refuse("chmod 700");
    fs::set_permissions(desk.store(), Permissions::from_mode(0o700)).unwrap();
    desk.done(["open", "a.vk", "-o", "x"]);
}

#[test]
fn an_older_key_file_is_4() {
    let desk = Desk::with_store();
    let path = desk.store().join("keys.vks");
    let old = fs::read(&path).unwrap();
    desk.done(["keys", "rotate", "default"]);
    fs::write(&path, old).unwrap();
    desk.fails(4, "older", ["keys", "list"]);
}

#[test]
fn the_master_secret_comes_from_a_variable_or_a_descriptor() {
    let desk = Desk::new();
    desk.write("a", "text");
    let secret = "5f".repeat(32);
    desk.write("secret", &secret);
    let script = "export M=$(cat secret); \"$V\" seal a --master-env M && \
         \"$V\" verify a.vk --master-fd 3 3< secret";
    let ended = desk.shell(script);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(!desk.store().join("master").exists());
    desk.fails(4, "", ["verify", "a.vk"]);
    desk.fails(4, "", ["verify", "a.vk", "--master-env", "MISSING"]);
    desk.fails(4, "", ["verify", "a.vk", "--master-fd", "77"]);
    let ended = desk.shell("M=$(printf '%064d' 1) \"$V\" verify a.vk --master-env M");
    assert_eq!(ended.code, 4, "{}", ended.err);
}

#[test]
fn a_store_under_a_passphrase_opens_with_it_alone() {
    let desk = Desk::new();
    desk.write("a", "text");
    desk.write("pass", "correct horse battery\n");
    desk.write("wrong", "correct horse\n");
    let run =
        |file: &str| desk.shell(&format!("\"$V\" seal a -f --master-passphrase-fd 3 3< {file}"));
    assert_eq!(run("pass").code, 0);
    assert_eq!(run("wrong").code, 4);
    // Without a terminal nobody can be asked.
    let ended = desk.run(["seal", "a", "-f"]);
    assert!(matches!(ended.code, 2 | 4), "{}", ended.err);
}
