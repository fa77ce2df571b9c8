//! Nothing that the program says, in any mood, holds a secret or the plaintext.

use super::support::{Desk, Ended};

const MARK: &str = "plaintext-marker-4111-1111";
const PASSPHRASE: &str = "passphrase-marker-55";

#[test]
fn no_output_holds_a_secret() {
    let desk = Desk::with_store();
    desk.write("a", MARK);
    desk.write("pass", PASSPHRASE);
    desk.write("broken.vk", MARK);
    let public = desk.done(["keys", "generate", "me.key"]).out;
    desk.write("me.pub", public);
    desk.done(["seal", "a", "-o", "mine.vk", "-r", "@me.pub"]);
    let mut said = Vec::new();
    for mood in [&[][..], &["--json"], &["--verbose"]] {
        for args in [
            &["seal", "a", "--force", "--context", "pan=4242424242"][..],
            &["inspect", "a.vk"],
            &["open", "a.vk", "-o", "x"],
            &["open", "a.vk", "-o", "x", "--force", "--context", "pan=4242424242"],
            &["verify", "a.vk"],
            &["open", "broken.vk"],
            &["inspect", "broken.vk"],
            &["rewrap", "a.vk"],
            &["keys", "rotate", "default"],
            &["rewrap", "a.vk"],
            &["keys", "list"],
            &["keys", "show", "default"],
            &["keys", "show", "none"],
            &["seal", "a", "--master-env", "SECRET", "--kms", "local:other"],
            &["keys", "generate", "me.key"],
            &["keys", "public", "me.key"],
            &["seal", "a", "-f", "-o", "mine.vk", "-r", "@me.key"],
            &["inspect", "mine.vk"],
            &["open", "mine.vk", "-f", "-o", "x", "-i", "me.key"],
            &["open", "a.vk", "-f", "-o", "x", "-i", "me.key"],
            &["add-recipient", "mine.vk", "-i", "me.key", "-r", "@me.pub"],
        ] {
            let args = [args, mood].concat();
            said.push(said_by(desk.run(args)));
        }
        let backup = "rm -f b; \"$V\" keys backup b --backup-passphrase-fd 3 3< pass; \"$V\" keys restore b --backup-passphrase-fd 3 3< pass";
        said.push(said_by(desk.shell(&format!("{backup} {}", mood.join(" ")))));
        let passphrase = "\"$V\" seal a -f -o p.vk --passphrase-fd 3 3< pass; \"$V\" open p.vk -o x -f --passphrase-fd 3 3< pass; \"$V\" open p.vk -o x --passphrase-fd 3 3< a";
        said.push(said_by(desk.shell(&format!("{passphrase} {}", mood.join(" ")))));
    }
    let mut secrets = vec![MARK.to_owned(), PASSPHRASE.to_owned(), "4242424242".to_owned()];
    let master = std::fs::read_to_string(desk.store().join("master")).unwrap();
    secrets.push(master.trim().to_owned());
    secrets.push(master.trim()[..16].to_owned());
    let identity = std::fs::read_to_string(desk.path("me.key")).unwrap();
    let private = identity.lines().last().unwrap();
    secrets.extend([private.to_owned(), private[20..40].to_owned()]);
    for text in &said {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
    }
    assert!(said.len() > 40 && said.iter().filter(|text| !text.is_empty()).count() > 40);
}

fn said_by(ended: Ended) -> String {
    format!("{}{}", String::from_utf8_lossy(&ended.out), ended.err)
}
