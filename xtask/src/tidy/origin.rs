//! The names in the second column of docs/ORIGIN.md exist in the crates, so that the table cannot
//! promise what is not there.

use super::Finding;
use super::tree::Tree;

const TABLE: &str = "docs/ORIGIN.md";
const CRATES: &str = "crates/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(table) = tree.files.iter().find(|file| file.path == TABLE) else { return Vec::new() };
    let code: Vec<&str> = tree
        .with_extension("rs")
        .filter(|file| file.path.starts_with(CRATES))
        .map(|file| file.text.as_str())
        .collect();
    let mut findings = Vec::new();
    for (index, line) in table.text.lines().enumerate() {
        for name in names(line) {
            for part in name.split("::").filter(|part| !is_crate(part)) {
                if !code.iter().any(|text| has_word(text, part)) {
                    let message = format!("`{name}`: there is no `{part}` in {CRATES}");
                    findings.push(Finding::new(TABLE, index + 1, message));
                }
            }
        }
    }
    findings
}

/// What stands in backquotes in a row's second column.
fn names(row: &str) -> impl Iterator<Item = &str> {
    let column = row.strip_prefix("| ").and_then(|row| row.split(" | ").nth(1)).unwrap_or_default();
    column.split('`').skip(1).step_by(2)
}

/// A crate is a folder, not a word of the code; cargo knows whether it is there.
fn is_crate(part: &str) -> bool {
    part.starts_with("vault_")
}

fn has_word(text: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_exist_is_found() {
        let row = "| `Old::a` | `vault_x::Thing::a`, `Thing::gone` | because of `nothing` |\n";
        let tree = Tree::of(&[
            (TABLE, row),
            ("crates/vault-x/src/lib.rs", "//! X.\npub struct Thing;\nfn a() {}\nfn begone() {}\n"),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("`gone`"));
    }

    #[test]
    fn rows_not_built_yet_promise_nothing() {
        let row = "| `Old::a` | *not built yet* | `Later` |\n";
        assert!(check(&Tree::of(&[(TABLE, row)])).is_empty());
    }
}
