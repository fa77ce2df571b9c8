//! Decision records: `docs/decisions/NNNN-title.md`, counted from 0001 without gaps, each with its
//! context, the decision and the consequences.

use super::Finding;
use super::tree::Tree;

const FOLDER: &str = "docs/decisions/";
const PARTS: &[&str] = &["## Context", "## Decision", "## Consequences"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut expected = 1;
    for file in tree.files.iter().filter(|file| file.path.starts_with(FOLDER)) {
        let name = file.path.strip_prefix(FOLDER).unwrap_or_default();
        match number(name) {
            Some(number) if number == expected => expected += 1,
            Some(number) => {
                let message = format!("number {expected:04} is missing or taken twice");
                findings.push(Finding::new(&file.path, 0, message));
                expected = number + 1;
            }
            None => findings.push(Finding::new(&file.path, 0, "name it NNNN-title.md")),
        }
        for part in PARTS {
            if !file.text.lines().any(|line| line.trim_end() == *part) {
                findings.push(Finding::new(&file.path, 0, format!("has no part `{part}`")));
            }
        }
    }
    findings
}

fn number(name: &str) -> Option<u32> {
    let (digits, title) = name.strip_suffix(".md")?.split_once('-')?;
    (digits.len() == 4 && !title.is_empty()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "# 1\n## Context\n## Decision\n## Consequences\n";

    fn findings(names: &[&str], text: &str) -> usize {
        let paths: Vec<String> = names.iter().map(|name| format!("{FOLDER}{name}")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), text)).collect();
        check(&Tree::of(&files)).len()
    }

    #[test]
    fn a_gap_a_double_and_a_nameless_file_are_found() {
        assert_eq!(findings(&["0001-a.md", "0002-b.md"], WHOLE), 0);
        assert_eq!(findings(&["0001-a.md", "0003-c.md", "0004-d.md"], WHOLE), 1);
        assert_eq!(findings(&["0001-a.md", "0001-b.md"], WHOLE), 1);
        assert_eq!(findings(&["notes.md"], WHOLE), 1);
    }

    #[test]
    fn a_missing_part_is_found() {
        assert_eq!(findings(&["0001-a.md"], "# 1\n## Context\n## Decision\n"), 1);
    }
}
