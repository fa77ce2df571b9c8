//! Every workspace dependency is somebody's: a line that no crate takes is advice nobody follows.
//!
//! Whether a crate that takes one also uses it is the compiler's business.

use super::Finding;
use super::tree::Tree;

const ROOT: &str = "Cargo.toml";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let manifests =
        || tree.with_extension("toml").filter(|file| file.path.ends_with("/Cargo.toml"));
    let Some(root) = tree.files.iter().find(|file| file.path == ROOT) else { return Vec::new() };
    let mut findings = Vec::new();
    for (line, name) in declared(&root.text) {
        if !manifests().any(|file| file.text.lines().any(|line| takes(line, name))) {
            findings.push(Finding::new(ROOT, line, format!("no crate takes `{name}`")));
        }
    }
    findings
}

/// The names under `[workspace.dependencies]`, with their lines.
fn declared(manifest: &str) -> Vec<(usize, &str)> {
    manifest
        .lines()
        .enumerate()
        .skip_while(|(_, line)| line.trim() != "[workspace.dependencies]")
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['))
        .filter(|(_, line)| !line.starts_with([' ', '#', ']', '}']))
        .filter_map(|(index, line)| Some((index + 1, line.split_once('=')?.0.trim())))
        .collect()
}

/// Whether `line` is `NAME.workspace = true` or `NAME = { workspace = true, ... }`.
fn takes(line: &str, name: &str) -> bool {
    let Some(rest) = line.strip_prefix(name) else { return false };
    rest.starts_with(".workspace") || (rest.starts_with([' ', '=']) && rest.contains("workspace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: &str = "[workspace.dependencies]\nhex = \"1\" # a\nring = \"1\" # b\n\
                            rustix = \"1\" # c\n[workspace.lints.rust]\nunsafe_code = \"deny\"\n";

    #[test]
    fn a_dependency_that_no_crate_takes_is_found() {
        let tree = Tree::of(&[
            ("Cargo.toml", DECLARED),
            ("crates/a/Cargo.toml", "[dependencies]\nhex.workspace = true\n"),
            (
                "crates/b/Cargo.toml",
                "[dependencies]\nrustix = { workspace = true }\nringer = \"1\"\n",
            ),
        ]);
        let findings = check(&tree);
        assert_eq!(findings, [Finding::new("Cargo.toml", 3, "no crate takes `ring`")]);
    }
}
