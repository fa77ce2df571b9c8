//! The checkout as the rules see it: every path, and the text of the files that rules read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::shell::{self, Outcome};

/// A text file; `path` is relative to the root, with slashes.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// The checkout.
#[derive(Default)]
pub(super) struct Tree {
    /// The files whose text some rule reads, sorted by path.
    pub(super) files: Vec<File>,
    /// Every file and folder.
    pub(super) paths: BTreeSet<String>,
}

/// Folders of built, fetched or generated things.
const SKIPPED: &[&str] = &["target", ".git", "corpus", "artifacts", "__pycache__"];
const READ: &[&str] = &["rs", "md", "toml", "yml", "py", "sh"];

impl Tree {
    /// Reads the checkout.
    pub(super) fn read() -> Outcome<Self> {
        let mut tree = Self::default();
        tree.walk(&shell::root(), "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// The files whose name ends with `.extension`.
    pub(super) fn with_extension(&self, extension: &'static str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| extension_of(&file.path) == Some(extension))
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> Outcome {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            if entry.file_type()?.is_dir() {
                self.walk(&entry.path(), &path)?;
            } else if extension_of(&path).is_some_and(|ext| READ.contains(&ext)) {
                let text = fs::read_to_string(entry.path())
                    .map_err(|error| format!("cannot read {path}: {error}"))?;
                self.files.push(File { path: path.clone(), text });
            }
            self.paths.insert(path);
        }
        Ok(())
    }

    /// A checkout made of nothing but these files.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.paths.insert((*path).to_owned());
            for (index, _) in path.match_indices('/') {
                tree.paths.insert(path[..index].to_owned());
            }
            tree.files.push(File { path: (*path).to_owned(), text: (*text).to_owned() });
        }
        tree
    }
}

fn extension_of(path: &str) -> Option<&str> {
    Path::new(path).extension()?.to_str()
}
