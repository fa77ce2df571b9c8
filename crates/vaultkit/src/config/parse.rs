//! The text of a configuration file, taken apart strictly: what is not known is an error that says where.

use std::collections::BTreeMap;
use std::path::Path;

use ::toml::{Table, Value};
use vault_crypto_core::{CryptoError, Result, Scope};

use super::envelope::{EnvelopePlan, Write};
use super::expand::{self, Variables};
use super::{Config, invalid};
use crate::kms::{KmsUri, duration};

mod toml;
mod write;

/// What texts mean: where paths begin, and the environment.
struct Reader<'a> {
    folder: &'a Path,
    variable: Variables<'a>,
}

pub(super) fn parse(text: &str, folder: &Path, variable: Variables<'_>) -> Result<Config> {
    let mut root = toml::parse(text)?;
    let reader = Reader { folder, variable };
    let kms = tables(&mut root, "kms")?;
    let envelopes = tables(&mut root, "envelope")?;
    nothing_else(&root, "the file", "[kms.NAME] and [envelope.NAME]")?;
    let mut config = Config { kms: BTreeMap::new(), envelopes: BTreeMap::new() };
    for (name, table) in kms {
        let at = format!("[kms.{name}]");
        let uri = reader.service(&name, table).map_err(|error| placed(&at, &error))?;
        config.kms.insert(name, uri);
    }
    for (name, table) in envelopes {
        let at = format!("[envelope.{name}]");
        let plan = reader.envelope(&name, table).and_then(|plan| {
            check(&plan, &config.kms)?;
            Ok(plan)
        });
        let plan = plan.map_err(|error| placed(&at, &error))?;
        config.envelopes.insert(name, plan);
    }
    Ok(config)
}

/// The tables under `[title.NAME]`.
fn tables(root: &mut Table, title: &str) -> Result<Vec<(String, Table)>> {
    let all = match root.remove(title) {
        None => return Ok(Vec::new()),
        Some(Value::Table(all)) => all,
        Some(_) => return Err(invalid(format!("write [{title}.NAME]"))),
    };
    let named = |(name, value): (String, Value)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(invalid(format!(
                "a name under [{title}.NAME] has letters, digits, and - _ ."
            )));
        }
        match value {
            Value::Table(table) => Ok((name, table)),
            _ => Err(invalid(format!("write [{title}.{name}]"))),
        }
    };
    all.into_iter().map(named).collect()
}

impl Reader<'_> {
    fn service(&self, name: &str, mut table: Table) -> Result<KmsUri> {
        // `[kms.a.b]` is no service a.b, and no part of a.
        if let Some((inner, _)) = table.iter().find(|(_, value)| value.is_table()) {
            let inner = inner.escape_debug();
            return Err(invalid(format!(
                "{inner} is a table; a name with a dot is written [kms.\"{name}.{inner}\"]"
            )));
        }
        let uri = self.text(&mut table, "uri")?.ok_or_else(|| invalid("it has no uri"))?;
        let mut options = BTreeMap::new();
        for (option, value) in table {
            let value = match value {
                Value::String(value) => expand::variables(&value, self.variable)?,
                Value::Boolean(value) => value.to_string(),
                Value::Integer(value) => value.to_string(),
                _ => return Err(invalid(format!("{} is a text", option.escape_debug()))),
            };
            options.insert(option, value);
        }
        let path = |path: &Path| expand::path(path, self.folder, self.variable);
        match uri.parse::<KmsUri>()? {
            KmsUri::Remote(uri) => Ok(KmsUri::Remote(uri.with_options(options)?.with_paths(path)?)),
            KmsUri::Local { folder, key } => match options.keys().next() {
                None => Ok(KmsUri::Local { folder: path(&folder)?, key }),
                Some(option) => {
                    let option = option.escape_debug();
                    Err(invalid(format!("a local KMS has no option {option}")))
                }
            },
        }
    }

    fn envelope(&self, name: &str, mut table: Table) -> Result<EnvelopePlan> {
        let write = table.remove("write");
        let write = write::parse(write.ok_or_else(|| invalid("it has no write; name a service"))?)?;
        let open = names(&mut table, "open")?.unwrap_or_default();
        let scope = self.scope(table.remove("scope"))?;
        let hedge_after = self.text(&mut table, "hedge_after")?;
        let hedge_after = hedge_after.as_deref().map(duration).transpose()?;
        let cache = match table.remove("cache") {
            None => true,
            Some(Value::Boolean(cache)) => cache,
            Some(_) => return Err(invalid("cache is true or false")),
        };
        nothing_else(&table, "it", "write, open, scope, hedge_after and cache")?;
        Ok(EnvelopePlan { name: name.to_owned(), write, open, scope, hedge_after, cache })
    }

    fn scope(&self, value: Option<Value>) -> Result<Scope> {
        let pairs = match value {
            None => return Ok(Scope::empty()),
            Some(Value::Table(pairs)) => pairs,
            Some(_) => return Err(invalid("write scope = { name = \"value\" }")),
        };
        let pairs = pairs.into_iter().map(|(name, value)| match value {
            Value::String(value) => Ok((name, expand::variables(&value, self.variable)?)),
            _ => Err(invalid("a scope has texts")),
        });
        Scope::new(pairs.collect::<Result<Vec<_>>>()?)
    }

    fn text(&self, table: &mut Table, name: &str) -> Result<Option<String>> {
        match table.remove(name) {
            None => Ok(None),
            Some(Value::String(value)) => expand::variables(&value, self.variable).map(Some),
            Some(_) => Err(invalid(format!("{name} is a text"))),
        }
    }
}

/// What can be told of an envelope without asking anybody.
fn check(plan: &EnvelopePlan, kms: &BTreeMap<String, KmsUri>) -> Result<()> {
    if let Some(missing) = plan.services().find(|name| !kms.contains_key(*name)) {
        let missing = missing.escape_debug();
        return Err(invalid(format!("it names \"{missing}\", and there is no [kms.{missing}]")));
    }
    let members: Vec<&str> = plan.sealed_for().collect();
    for (at, name) in members.iter().enumerate() {
        // Two shares of one holder are a threshold that one holder reaches.
        let same = |other: &&&str| kms.get(**other) == kms.get(*name);
        if let Some(other) = members.iter().take(at).find(same) {
            return Err(invalid(format!("it writes to one key twice, as {other} and as {name}")));
        }
    }
    let count = members.len();
    match plan.write {
        _ if count == 0 => Err(invalid("it writes to nobody")),
        Write::AtLeast { needed, .. } | Write::Threshold { needed, .. }
            if needed == 0 || needed > count =>
        {
            Err(invalid(format!("of {count} services 1 to {count} can be needed, not {needed}")))
        }
        _ => Ok(()),
    }
}

fn names(table: &mut Table, name: &str) -> Result<Option<Vec<String>>> {
    let form = || invalid(format!("write {name} = [\"NAME\", \"NAME\"]"));
    let Some(value) = table.remove(name) else { return Ok(None) };
    let Value::Array(values) = value else { return Err(form()) };
    let texts = values.into_iter().map(|value| match value {
        Value::String(name) => Ok(name),
        _ => Err(form()),
    });
    texts.collect::<Result<Vec<_>>>().map(Some)
}

fn nothing_else(table: &Table, what: &str, known: &str) -> Result<()> {
    match table.keys().next() {
        None => Ok(()),
        Some(name) => {
            let name = name.escape_debug();
            Err(invalid(format!("{what} has no {name}; there are {known}")))
        }
    }
}

/// The same, with the place in the file.
fn placed(at: &str, error: &CryptoError) -> CryptoError {
    invalid(format!("{at}: {}", error.detail().unwrap_or("it is not as it should be")))
}
