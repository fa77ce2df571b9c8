//! Every feature and every workspace dependency says what it is for, on its line or the one above.

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.with_extension("toml").filter(|file| file.path.ends_with("Cargo.toml")) {
        for (line, name) in uncommented(&file.text) {
            let message = format!("`{name}` does not say what it is for");
            findings.push(Finding::new(&file.path, line, message));
        }
    }
    findings
}

fn uncommented(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_section = false;
    let mut above_is_comment = false;
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            in_section = matches!(line.trim(), "[features]" | "[workspace.dependencies]");
        } else if in_section
            && let Some((name, value)) = entry(line)
            && !above_is_comment
            && !line.contains(" # ")
            && !is_ours(value)
        {
            found.push((index + 1, name.to_owned()));
        }
        // A ruled line heads a group and explains none of its entries.
        above_is_comment = line.starts_with("# ") && !line.starts_with("# --");
    }
    found
}

/// A key and its value; lines inside an array or a table have none at their start.
fn entry(line: &str) -> Option<(&str, &str)> {
    if line.starts_with([' ', '\t', '#', ']', '}']) {
        return None;
    }
    let (name, value) = line.split_once('=')?;
    Some((name.trim(), value))
}

/// Our own crates say it in their own manifests.
fn is_ours(value: &str) -> bool {
    value.contains("path = \"crates/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_feature_and_a_bare_dependency_are_found() {
        let tree = Tree::of(&[(
            "Cargo.toml",
            "[workspace.dependencies]\n# --- group ---\nhex = \"1\"\nring = \"1\" # fast\n\
             vaultkit = { path = \"crates/vaultkit\" }\n[features]\n# Nothing.\ndefault = []\nfast = []\n",
        )]);
        let lines: Vec<usize> = check(&tree).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [3, 9]);
    }

    #[test]
    fn other_sections_are_left_alone() {
        let tree = Tree::of(&[("Cargo.toml", "[dependencies]\nhex.workspace = true\n")]);
        assert!(check(&tree).is_empty());
    }
}
