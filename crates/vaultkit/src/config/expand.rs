//! What stands for something else in a configuration's texts: variables of the environment, and paths that
//! begin at the file's folder or at the user's home.

use std::path::{Path, PathBuf};

use vault_crypto_core::Result;

use super::invalid;

pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// No text is longer once its variables are in it, in bytes: a short file could ask for a long one many times.
const MAX_TEXT: usize = 64 << 10;

/// Puts the environment's variables in the place of `${NAME}`; `$$` is a dollar sign. What a variable holds
/// is taken as it is.
pub(super) fn variables(value: &str, variable: Variables<'_>) -> Result<String> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            after
        } else {
            let named = after.strip_prefix('{').and_then(|after| after.split_once('}'));
            let (name, after) = named
                .filter(|(name, _)| is_name(name))
                .ok_or_else(|| invalid("write ${NAME} for a variable, $$ for a dollar sign"))?;
            let found = variable(name)
                .ok_or_else(|| invalid(format!("the environment has no variable {name}")))?;
            out.push_str(&found);
            after
        };
        if out.len() > MAX_TEXT {
            break;
        }
    }
    out.push_str(rest);
    if out.len() > MAX_TEXT {
        return Err(invalid(format!("a text has at most {} KiB", MAX_TEXT >> 10)));
    }
    Ok(out)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A path as it is meant: `~/` is the user's home, and one that is not absolute begins at `folder`.
pub(super) fn path(path: &Path, folder: &Path, variable: Variables<'_>) -> Result<PathBuf> {
    match path.strip_prefix("~") {
        Ok(rest) => variable("HOME")
            .map(|home| Path::new(&home).join(rest))
            .ok_or_else(|| invalid("~ is no folder here: there is no variable HOME")),
        Err(_) => Ok(folder.join(path)),
    }
}
