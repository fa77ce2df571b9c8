//! Every sentence under a `# Behavior` heading of a trait in the core stands, word for word, in a case of
//! the conformance suite. Comments do not count: the sentence has to be data of a case.

use super::Finding;
use super::tree::{File, Tree};

const TRAITS: &str = "crates/vault-crypto-core/src/";
const SUITE: &str = "crates/vault-testkit/src/conformance";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let suite: String = tree.files.iter().filter(|f| f.path.starts_with(SUITE)).map(code).collect();
    let suite = words(&suite);
    let mut findings = Vec::new();
    for file in tree.with_extension("rs").filter(|file| file.path.starts_with(TRAITS)) {
        for (line, sentence) in sentences(&file.text) {
            if !suite.contains(&words(&sentence)) {
                let message = format!("no conformance case proves: {sentence}");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// The list items under `# Behavior`, each with the line it starts on.
fn sentences(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut listening = false;
    for (index, line) in text.lines().enumerate() {
        let Some(doc) = line.trim_start().strip_prefix("///").map(str::trim) else {
            listening = false;
            continue;
        };
        if doc.starts_with('#') {
            listening = doc == "# Behavior";
        } else if let Some(item) = doc.strip_prefix("- ").filter(|_| listening) {
            found.push((index + 1, item.to_owned()));
        } else if let Some((_, last)) = found.last_mut().filter(|_| listening && !doc.is_empty()) {
            last.push(' ');
            last.push_str(doc);
        }
    }
    found
}

/// A file without its comment lines, the line breaks inside its strings joined.
fn code(file: &File) -> String {
    let lines = file.text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.map(|line| format!("{} ", line.trim_end_matches('\\'))).collect()
}

/// The bare words, so that neither link targets nor quotes nor line breaks matter.
fn words(text: &str) -> String {
    let mut parts = text.split("](");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once(')').map_or(part, |(_, after)| after));
    }
    let bare = kept.replace(|c: char| !c.is_alphanumeric(), " ");
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAIT: &str = "//! T.\npub trait T {\n    /// Does.\n    ///\n    /// # Behavior\n    \
        /// - Two calls give [`Other`](Self::other)\n    ///   keys.\n    /// - It ends.\n    ///\n    \
        /// # Errors\n    /// - Never.\n    fn a();\n}\n";

    fn findings(suite: &str) -> Vec<Finding> {
        check(&Tree::of(&[
            ("crates/vault-crypto-core/src/t.rs", TRAIT),
            ("crates/vault-testkit/src/conformance/t.rs", suite),
        ]))
    }

    #[test]
    fn a_sentence_without_a_case_is_found() {
        let found = findings("sentence: \"Two calls give `Other` \\\n    keys.\",");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 8);
    }

    #[test]
    fn a_comment_is_no_case() {
        assert_eq!(findings("// Two calls give Other keys. It ends.").len(), 2);
    }
}
