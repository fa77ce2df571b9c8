//! Every file of Rust starts with `//!`, or with a README taken in as its documentation.

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let starts_well = |text: &str| {
        // A shebang or a licence line may stand before it, code may not.
        let first = text.lines().find(|line| !line.trim().is_empty() && !is_plain_comment(line));
        first.is_some_and(|line| {
            line.starts_with("//! ") || line.starts_with("#![doc = include_str!(")
        })
    };
    tree.with_extension("rs")
        .filter(|file| !starts_well(&file.text))
        .map(|file| {
            let message =
                "starts without `//!`: say what the file is for and what it leaves to others";
            Finding::new(&file.path, 1, message)
        })
        .collect()
}

fn is_plain_comment(line: &str) -> bool {
    line.starts_with("// ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_starts_with_code_is_found() {
        let tree = Tree::of(&[("a.rs", "use std::fmt;\n//! Too late.\n")]);
        assert_eq!(check(&tree).len(), 1);
    }

    #[test]
    fn documentation_may_come_from_a_readme() {
        let tree = Tree::of(&[
            ("a.rs", "#![doc = include_str!(\"../README.md\")]\n"),
            ("b.rs", "//! What b is for.\n"),
        ]);
        assert!(check(&tree).is_empty());
    }
}
