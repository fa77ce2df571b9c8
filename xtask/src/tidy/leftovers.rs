//! Things that must not stay: ignored tests, unfinished work, features that exclude each other,
//! paths of one person's machine.

use super::Finding;
use super::tree::{File, Tree};

/// A word that must not stand in code, and why. Each is put together from two parts, so that this
/// file does not find itself.
const IN_CODE: &[(&str, &str)] = &[
    (concat!("#[", "ignore"), "a test that never runs proves nothing: repair it or take it out"),
    (concat!("todo", "!("), "finish it"),
    (concat!("unimplemented", "!("), "finish it, or answer `ErrorKind::Unsupported`"),
    (concat!("dbg", "!("), "take it out"),
    (concat!("compile", "_error!("), "features add; they never exclude each other"),
];

/// Words that must not stand anywhere.
const ANYWHERE: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "finish it, or write it down as an issue"),
    (concat!("FIX", "ME"), "mend it"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/tm", "p/"), "a path of one machine: use a temporary folder of the test's own"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        if file.path.ends_with(".rs") {
            search(file, IN_CODE, true, &mut findings);
        }
        search(file, ANYWHERE, false, &mut findings);
    }
    findings
}

fn search(file: &File, words: &[(&str, &str)], code_only: bool, findings: &mut Vec<Finding>) {
    for (index, line) in file.text.lines().enumerate() {
        if code_only && line.trim_start().starts_with("//") {
            continue;
        }
        for (word, why) in words {
            if stands_alone(line, word) {
                findings.push(Finding::new(&file.path, index + 1, format!("`{word}`: {why}")));
            }
        }
    }
}

/// Whether `word` stands in `line` with no letter, digit or dot before it, and none after it where
/// it ends in a letter.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
        let joined_before = before.is_some_and(|c| part_of_word(c) || c == '.');
        let joined_after = word.ends_with(char::is_alphanumeric) && after.is_some_and(part_of_word);
        !joined_before && !joined_after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_code() {
        for (word, _) in IN_CODE.iter().chain(ANYWHERE) {
            let text = format!("//! A.\n    {word}\n");
            let findings = check(&Tree::of(&[("src/a.rs", &text)]));
            assert_eq!(findings.len(), 1, "{word}");
            assert_eq!(findings[0].line, 2, "{word}");
        }
    }

    #[test]
    fn paths_are_found_in_documents_and_relative_ones_are_not() {
        let machine = concat!("see /tm", "p/x");
        assert_eq!(check(&Tree::of(&[("README.md", machine)])).len(), 1);
        let relative = concat!("see docs/wo", "rk/x");
        assert!(check(&Tree::of(&[("README.md", relative)])).is_empty());
    }
}
