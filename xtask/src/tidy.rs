//! The rules of the house that no compiler and no linter knows. One rule, one file.
//!
//! The rules look at text, not at syntax trees: each is a few lines that anybody can change, and
//! each has a test that shows it failing on a bad sample.

mod behavior;
mod comments;
mod decisions;
mod edges;
mod file_length;
mod integration_binary;
mod leftovers;
mod links;
mod module_docs;
mod origin;
mod secret_debug;
mod shown;
mod tree;
mod unused_dependencies;

use std::fmt;

use crate::shell::Outcome;
use tree::Tree;

/// One rule.
struct Rule {
    name: &'static str,
    says: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    rule("edges", "crates lean on each other one way only", edges::check),
    rule("module-docs", "every file of Rust says what it is for", module_docs::check),
    rule("file-length", "a file is one idea; foo.rs, not foo/mod.rs", file_length::check),
    rule("secret-debug", "no derived Debug on a type that holds a secret", secret_debug::check),
    rule("comments", "every feature and dependency says what it is for", comments::check),
    rule("unused-dependencies", "every workspace dependency is taken", unused_dependencies::check),
    rule("behavior", "every promised behaviour has a conformance case", behavior::check),
    rule("leftovers", "no ignored test, unfinished work or path of one machine", leftovers::check),
    rule("integration-binary", "one integration binary per crate", integration_binary::check),
    rule("links", "every relative link in a document leads somewhere", links::check),
    rule("shown", "docs/CONFORMANCE.md names only tests that exist", shown::check),
    rule("origin", "docs/ORIGIN.md names only what exists", origin::check),
    rule("decisions", "decisions are numbered without gaps and have three parts", decisions::check),
];

const fn rule(name: &'static str, says: &'static str, check: fn(&Tree) -> Vec<Finding>) -> Rule {
    Rule { name, says, check }
}

/// A place where a rule is broken, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    /// `line` counts from 1; 0 means the file as a whole.
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Checks every rule and prints every finding.
pub(crate) fn run() -> Outcome {
    let tree = Tree::read()?;
    let mut broken = 0;
    for rule in RULES {
        let findings = (rule.check)(&tree);
        for finding in &findings {
            println!("    {}: {finding}", rule.name);
        }
        broken += findings.len();
    }
    println!("    {} files, {} rules", tree.files.len(), RULES.len());
    if broken == 0 { Ok(()) } else { Err(format!("{broken} findings").into()) }
}

/// Names the rules.
pub(crate) fn list() {
    for rule in RULES {
        println!("{:20} {}", rule.name, rule.says);
    }
}
