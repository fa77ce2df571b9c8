//! Relative links in Markdown lead to a file or folder of the checkout, and a `#part` of a Markdown
//! file to one of its headings. Links to other hosts are not followed.

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.with_extension("md") {
        for (line, target) in links(&file.text) {
            let (path, part) = target.split_once('#').unwrap_or((&target, ""));
            let path = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
            if !tree.paths.contains(&path) {
                findings.push(Finding::new(&file.path, line, format!("`{target}` leads nowhere")));
            } else if !part.is_empty() && !has_heading(tree, &path, part) {
                let message = format!("`{path}` has no heading for `#{part}`");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// The relative targets of `[text](target)` outside code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            if is_relative(target) {
                found.push((index + 1, target.to_owned()));
            }
        }
    }
    found
}

/// Not an address, and not a path of Rust (a README that is also a crate's documentation has those).
fn is_relative(target: &str) -> bool {
    let is_address = target.contains("://") || target.starts_with("mailto:");
    let is_rust = target.contains("::") || !target.contains(['.', '/', '#']);
    !is_address && !is_rust
}

fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn has_heading(tree: &Tree, path: &str, part: &str) -> bool {
    let Some(file) = tree.files.iter().find(|file| file.path == path) else { return true };
    !path.ends_with(".md")
        || file.text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == part)
}

/// A heading's anchor, as the common renderers make it.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let tree = Tree::of(&[
            ("docs/a.md", "[b](b.md) [up](../README.md) [gone](gone.md)\n"),
            ("docs/b.md", ""),
            ("README.md", "[docs](docs/) [web](https://example.org/x.md)\n"),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("gone.md"));
    }

    #[test]
    fn a_part_needs_its_heading() {
        let text = "# The one thing\n[yes](#the-one-thing) [no](#another)\n";
        assert_eq!(check(&Tree::of(&[("a.md", text)])).len(), 1);
    }

    #[test]
    fn code_and_paths_of_rust_are_left_alone() {
        let text = "```text\n[a](gone.md)\n```\n[`Scope`](crate::Scope)\n";
        assert!(check(&Tree::of(&[("a.md", text)])).is_empty());
    }
}
