//! The tests that docs/CONFORMANCE.md names in the last column of a table exist, so that it cannot say
//! something is shown that nothing shows.

use super::Finding;
use super::tree::Tree;

const TABLES: &str = "docs/CONFORMANCE.md";
/// What the last column of such a table is called.
const COLUMN: &str = "test";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.files.iter().find(|file| file.path == TABLES) else { return Vec::new() };
    let tests: Vec<&str> = tree
        .with_extension("rs")
        .filter(|file| file.path.starts_with("crates/") && file.path.contains("/tests/"))
        .map(|file| file.text.as_str())
        .collect();
    let mut findings = Vec::new();
    let mut names_tests = false;
    // The line under a table's head is no row of it.
    let lines = page.text.lines().enumerate().filter(|(_, line)| !line.starts_with("|--"));
    for (index, line) in lines {
        let Some(column) = last_column(line) else {
            names_tests = false;
            continue;
        };
        names_tests |= column == COLUMN;
        for name in column.split('`').skip(1).step_by(2).filter(|_| names_tests) {
            let function = format!("fn {name}(");
            if !tests.iter().any(|text| text.contains(&function)) {
                findings.push(Finding::new(
                    TABLES,
                    index + 1,
                    format!("there is no test `{name}`"),
                ));
            }
        }
    }
    findings
}

fn last_column(row: &str) -> Option<&str> {
    row.strip_prefix("| ")?.strip_suffix(" |")?.rsplit(" | ").next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_named_and_not_there_is_found() {
        let page = "| behaviour | server | test |\n|---|---|---|\n| a | b | `is_there`, `is_not` |\n\n\
                    | word | meaning |\n|---|---|\n| a | `no_test` |\n";
        let tree = Tree::of(&[(TABLES, page), ("crates/a/tests/it/b.rs", "fn is_there() {}")]);
        let findings = check(&tree);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.contains("is_not"));
    }
}
