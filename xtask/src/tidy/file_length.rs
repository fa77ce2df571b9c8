//! Length of files: at most 400 lines without the unit tests at the end, 800 for files of tests;
//! and `foo.rs` beside `foo/` instead of `foo/mod.rs`.

use super::Finding;
use super::tree::Tree;

const CODE: usize = 400;
const TESTS: usize = 800;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.with_extension("rs") {
        let is_test = file.path.contains("/tests/");
        let limit = if is_test { TESTS } else { CODE };
        let lines = if is_test { file.text.lines().count() } else { code_lines(&file.text) };
        if lines > limit {
            let message = format!("{lines} lines, {limit} at most: it is more than one idea");
            findings.push(Finding::new(&file.path, 0, message));
        }
        if file.path.ends_with("/mod.rs") {
            findings.push(Finding::new(
                &file.path,
                0,
                "name it after its folder and put it beside",
            ));
        }
    }
    findings
}

/// The lines before the unit tests at the file's end.
fn code_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let starts_tests = |pair: &[&str]| {
        matches!(pair, [attribute, module] if attribute.starts_with("#[cfg(")
            && attribute.contains("test")
            && module.starts_with("mod ")
            && module.ends_with('{'))
    };
    lines.windows(2).position(starts_tests).unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let code = "//! A.\n".to_owned() + &"fn a() {}\n".repeat(400);
        assert_eq!(check(&Tree::of(&[("src/a.rs", &code)])).len(), 1);
        let tested = "fn a() {}\n".repeat(400) + "#[cfg(test)]\nmod tests {\n" + &"\n".repeat(500);
        assert!(check(&Tree::of(&[("src/a.rs", &tested)])).is_empty());
    }

    #[test]
    fn tests_have_their_own_limit() {
        let text = "\n".repeat(700);
        assert!(check(&Tree::of(&[("crates/a/tests/it/b.rs", &text)])).is_empty());
        assert_eq!(check(&Tree::of(&[("crates/a/tests/it/b.rs", &text.repeat(2))])).len(), 1);
    }

    #[test]
    fn a_mod_rs_is_found() {
        assert_eq!(check(&Tree::of(&[("src/a/mod.rs", "//! A.\n")])).len(), 1);
    }
}
