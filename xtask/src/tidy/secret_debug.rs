//! No `derive(Debug)` on a type that holds a secret: the derived text would follow every later change
//! of a field's type. Write `Debug` by hand and say what it may show.

use super::Finding;
use super::tree::Tree;

/// Types that hold secrets wherever they stand.
const SECRET_TYPES: &[&str] =
    &["SecureBytes", "SecureString", "DataKey", "Zeroizing", "AeadKey", "XaesKey"];
/// Field names that tell a secret in a type that holds anything.
const SECRET_NAMES: &[&str] =
    &["key", "secret", "plaintext", "password", "passphrase", "token", "master", "material"];
/// Types that hold anything.
const RAW_TYPES: &[&str] = &["[u8", "Vec<u8>", "String"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.with_extension("rs") {
        for (line, body) in debug_bodies(&file.text) {
            if let Some(field) = secret_field(&body) {
                let message = format!("derives Debug and holds a secret: `{field}`");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// The declarations that follow a `derive` with `Debug`: the line of the derive, and the text up to
/// the declaration's end.
fn debug_bodies(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if line.trim_start().starts_with("#[derive(") {
            let rest = lines.get(index..).unwrap_or_default();
            let attribute_end = rest.iter().position(|line| line.contains(")]")).unwrap_or(0);
            let (attribute, declaration) = rest.split_at(attribute_end + 1);
            let derives: String = attribute.concat();
            if derives.split(['(', ')', ',']).any(|name| name.trim() == "Debug") {
                found.push((index + 1, declaration_text(declaration)));
            }
        }
    }
    found
}

/// The lines up to the one that closes the declaration, without comments and attributes.
fn declaration_text(lines: &[&str]) -> String {
    let mut text = String::new();
    let mut depth = 0_i32;
    for line in lines {
        let line = line.split("//").next().unwrap_or_default();
        if line.trim_start().starts_with("#[") {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        for c in line.chars() {
            depth += i32::from(c == '{' || c == '(') - i32::from(c == '}' || c == ')');
        }
        if depth == 0 && line.trim_end().ends_with([';', '}']) {
            break;
        }
    }
    text
}

fn secret_field(declaration: &str) -> Option<&str> {
    let names_type = |line: &str| {
        let mut names = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        names.any(|name| SECRET_TYPES.contains(&name))
    };
    let head_ends = declaration.find(['{', '(', ';'])?;
    let body = declaration.get(head_ends + 1..)?;
    // The name of a variant is no type: of `C(SecureString)` only what the parentheses hold counts.
    let is_enum = declaration.split_whitespace().any(|word| word == "enum");
    body.lines().map(str::trim).find(|line| {
        let (name, kind) = match line.rsplit_once(": ") {
            Some((name, kind)) => (name.rsplit(' ').next().unwrap_or_default(), kind),
            None if is_enum => ("", line.split_once('(').unwrap_or_default().1),
            None => ("", *line),
        };
        names_type(kind)
            || SECRET_NAMES.contains(&name) && RAW_TYPES.iter().any(|raw| kind.starts_with(raw))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> usize {
        check(&Tree::of(&[("a.rs", text)])).len()
    }

    #[test]
    fn every_form_of_a_secret_is_found() {
        for text in [
            "#[derive(Clone, Debug)]\nstruct A {\n    bytes: SecureBytes,\n}\n",
            "#[derive(Debug)]\npub struct A(pub Zeroizing<[u8; 32]>);\n",
            "#[derive(\n    Debug,\n    Clone,\n)]\n#[must_use]\npub enum A {\n    B,\n    C(SecureString),\n}\n",
            "#[derive(Debug)]\nstruct A {\n    pub key: [u8; 32],\n}\n",
            "#[derive(Debug)]\nstruct A {\n    token: String,\n}\n",
            "#[derive(Debug)]\nstruct A { inner: Arc<Option<DataKey>> }\n",
        ] {
            assert_eq!(findings(text), 1, "{text}");
        }
    }

    #[test]
    fn types_without_secrets_and_other_derives_are_left_alone() {
        for text in [
            "#[derive(Clone)]\nstruct A {\n    bytes: SecureBytes,\n}\n",
            "#[derive(Debug)]\nstruct A {\n    // not a SecureBytes\n    key_id: String,\n}\n",
            "#[derive(Debug)]\nstruct A;\nstruct B(SecureBytes);\n",
            "#[derive(Debug)]\nenum WrapKind {\n    DataKey,\n    Share,\n}\n",
        ] {
            assert_eq!(findings(text), 0, "{text}");
        }
    }
}
