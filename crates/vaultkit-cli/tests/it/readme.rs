//! The README's commands do what it says.

use std::path::Path;

use super::support::Desk;

/// The first block of commands in the README, with the program that these tests run.
fn commands() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let block = text.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    let lines = block.lines().filter_map(|line| line.strip_prefix("$ "));
    let ours = |line: &str| {
        line.replace("cargo run --quiet --release -p vaultkit-cli --", "\"$V\"")
            .replace("target/release/vaultkit", "\"$V\"")
    };
    lines.map(ours).collect()
}

#[test]
fn the_first_commands_seal_inspect_open_rotate_rewrap_and_open_again() {
    let desk = Desk::new();
    desk.write("README.md", "the real file");
    let commands = commands();
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
