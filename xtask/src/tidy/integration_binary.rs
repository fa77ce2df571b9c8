//! One integration binary per crate, `tests/it.rs` with its modules under `tests/it/`: each further
//! binary links everything once more. A file that must be alone in its process says so in its first
//! lines with the words `Own binary:` and the reason.

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.with_extension("rs")
        .filter(|file| is_test_root(&file.path) && !file.text.contains("//! Own binary: "))
        .map(|file| Finding::new(&file.path, 0, "make it a module of tests/it.rs"))
        .collect()
}

fn is_test_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["crates", _, "tests", name] if *name != "it.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_binary_is_found_unless_it_gives_its_reason() {
        let tree = Tree::of(&[
            ("crates/a/tests/it.rs", "//! A.\n"),
            ("crates/a/tests/it/b.rs", "//! B.\n"),
            ("crates/a/tests/c.rs", "//! C.\n"),
            ("crates/a/tests/d.rs", "//! D.\n//! Own binary: it forks.\n"),
        ]);
        let paths: Vec<String> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["crates/a/tests/c.rs"]);
    }
}
