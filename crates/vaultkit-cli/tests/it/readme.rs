//! The README's commands do what it says.

use std::path::Path;

use super::support::Desk;

/// A block of commands in the README, with the program that these tests run.
fn commands(block: usize) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let block = text.split("```console\n").nth(block).unwrap().split("```").next().unwrap();
    let lines = block.lines().filter_map(|line| line.strip_prefix("$ "));
    let ours = |line: &str| {
        line.replace("cargo run --quiet --release -p vaultkit-cli --", "\"$V\"")
            .replace("target/release/vaultkit", "\"$V\"")
            .replacen("vaultkit ", "\"$V\" ", usize::from(line.starts_with("vaultkit ")))
    };
    lines.map(ours).collect()
}

#[test]
fn the_first_commands_seal_inspect_open_rotate_rewrap_and_open_again() {
    let desk = Desk::new();
    desk.write("README.md", "the real file");
    let commands = commands(1);
    for word in ["seal", "inspect", "open", "rotate", "rewrap"] {
        assert!(commands.iter().any(|line| line.contains(word)), "{word}");
    }
    for line in &commands {
        assert!(line.contains("\"$V\""), "{line}");
        let ended = desk.shell(line);
        assert_eq!(ended.code, 0, "{line}: {}", ended.err);
    }
    assert_eq!(desk.read("copy.md"), b"the real file");
}

#[test]
fn the_commands_for_people_seal_and_open() {
    let desk = Desk::new();
    desk.write("notes.txt", "notes");
    desk.done(["keys", "create", "default", "--kms", "local:keys"]);
    let (asking, commands): (Vec<_>, Vec<_>) =
        commands(2).into_iter().partition(|line| line.contains("--passphrase"));
    assert_eq!((asking.len(), commands.len()), (1, 3));
    for line in &commands {
        // It would write over the file that it was sealed from.
        let force = if line.contains("open") { " --force" } else { "" };
        let ended = desk.shell(&format!("{line}{force}"));
        assert_eq!(ended.code, 0, "{line}: {}", ended.err);
    }
    assert_eq!(desk.read("notes.txt"), b"notes");
}
