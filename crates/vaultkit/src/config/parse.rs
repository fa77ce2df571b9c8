//! The text of a configuration file, taken apart strictly: what is not known is an error that says where.

use std::collections::BTreeMap;

use toml::{Table, Value};
use vault_crypto_core::Result;

use super::envelope::{EnvelopePlan, Write};
use super::{Config, invalid};
use crate::kms::{KmsUri, duration};

type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) fn parse(text: &str, variable: Variables<'_>) -> Result<Config> {
    let mut root: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().and_then(|span| text.get(..span.start));
        let line = line.map_or(1, |before| before.matches('\n').count() + 1);
        // The library's message quotes the line; who writes a secret there by mistake must not see it logged.
        invalid(format!("line {line} is no TOML"))
    })?;
    let kms = tables(&mut root, "kms")?;
    let envelopes = tables(&mut root, "envelope")?;
    nothing_else(&root, "", "[kms.NAME] and [envelope.NAME]")?;
    let mut config = Config { kms: BTreeMap::new(), envelopes: BTreeMap::new() };
    for (name, table) in kms {
        let uri = service(&name, table, variable)?;
        config.kms.insert(name, uri);
    }
    for (name, table) in envelopes {
        let plan = envelope(&name, table, variable)?;
        if let Some(missing) = plan.members().find(|member| !config.kms.contains_key(*member)) {
            return Err(invalid(format!(
                "[envelope.{name}] names {missing:?}, and there is no [kms.{missing}]"
            )));
        }
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

fn service(name: &str, mut table: Table, variable: Variables<'_>) -> Result<KmsUri> {
    let at = format!("[kms.{name}]");
    let uri = text(&mut table, &at, "uri", variable)?;
    let uri = uri.ok_or_else(|| invalid(format!("{at} has no uri")))?;
    let mut options = BTreeMap::new();
    for (option, value) in table {
        let value = match value {
            Value::String(value) => expand(&value, &at, variable)?,
            Value::Boolean(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            _ => return Err(invalid(format!("{at}: {option} is a text"))),
        };
        options.insert(option, value);
    }
    let place = |error: vault_crypto_core::CryptoError| {
        invalid(format!("{at}: {}", error.detail().unwrap_or("no KMS URI")))
    };
    match uri.parse::<KmsUri>().map_err(place)? {
        KmsUri::Remote(uri) => uri.with_options(options).map(KmsUri::Remote).map_err(place),
        local @ KmsUri::Local { .. } => match options.keys().next() {
            None => Ok(local),
            Some(option) => Err(invalid(format!("{at}: a local KMS has no option {option}"))),
        },
    }
}

fn envelope(name: &str, mut table: Table, variable: Variables<'_>) -> Result<EnvelopePlan> {
    let at = format!("[envelope.{name}]");
    let write = table.remove("write");
    let write = write.ok_or_else(|| invalid(format!("{at} has no write; name a service")))?;
    let write = writing(write, &at)?;
    let open = names(&mut table, &at, "open")?.unwrap_or_default();
    let mut scope = BTreeMap::new();
    match table.remove("scope") {
        None => {}
        Some(Value::Table(pairs)) => {
            for (name, value) in pairs {
                let Value::String(value) = value else {
                    return Err(invalid(format!("{at}: a scope has texts")));
                };
                scope.insert(name, expand(&value, &at, variable)?);
            }
        }
        Some(_) => return Err(invalid(format!("{at}: write scope = {{ name = \"value\" }}"))),
    }
    let hedge_after = text(&mut table, &at, "hedge_after", variable)?;
    let hedge_after = hedge_after.as_deref().map(duration).transpose()?;
    let cache = match table.remove("cache") {
        None => true,
        Some(Value::Boolean(cache)) => cache,
        Some(_) => return Err(invalid(format!("{at}: cache is true or false"))),
    };
    nothing_else(&table, &at, "write, open, scope, hedge_after and cache")?;
    Ok(EnvelopePlan { name: name.to_owned(), write, open, scope, hedge_after, cache })
}

fn writing(value: Value, at: &str) -> Result<Write> {
    let form = || {
        invalid(format!(
            "{at}: write = \"NAME\", {{ primary = \"NAME\", fill = [...] }}, {{ all = [...] }}, \
             {{ at_least = N, of = [...] }} or {{ threshold = N, of = [...] }}"
        ))
    };
    let mut table = match value {
        Value::String(primary) => return Ok(Write::Primary { primary, fill: Vec::new() }),
        Value::Table(table) => table,
        _ => return Err(form()),
    };
    let count = |value: Option<Value>| {
        let number = value.and_then(|value| value.as_integer());
        number.and_then(|number| usize::try_from(number).ok())
    };
    let write = if let Some(Value::String(primary)) = table.remove("primary") {
        Write::Primary { primary, fill: names(&mut table, at, "fill")?.unwrap_or_default() }
    } else if let Some(all) = names(&mut table, at, "all")? {
        Write::All(all)
    } else if let Some(needed) = count(table.remove("at_least")) {
        Write::AtLeast { needed, of: names(&mut table, at, "of")?.ok_or_else(form)? }
    } else if let Some(needed) = count(table.remove("threshold")) {
        Write::Threshold { needed, of: names(&mut table, at, "of")?.ok_or_else(form)? }
    } else {
        return Err(form());
    };
    if table.is_empty() { Ok(write) } else { Err(form()) }
}

fn names(table: &mut Table, at: &str, name: &str) -> Result<Option<Vec<String>>> {
    let form = || invalid(format!("{at}: write {name} = [\"NAME\", \"NAME\"]"));
    let Some(value) = table.remove(name) else { return Ok(None) };
    let Value::Array(values) = value else { return Err(form()) };
    let texts = values.into_iter().map(|value| match value {
        Value::String(name) => Ok(name),
        _ => Err(form()),
    });
    texts.collect::<Result<Vec<_>>>().map(Some)
}

fn text(
    table: &mut Table,
    at: &str,
    name: &str,
    variable: Variables<'_>,
) -> Result<Option<String>> {
    match table.remove(name) {
        None => Ok(None),
        Some(Value::String(value)) => expand(&value, at, variable).map(Some),
        Some(_) => Err(invalid(format!("{at}: {name} is a text"))),
    }
}

fn nothing_else(table: &Table, at: &str, known: &str) -> Result<()> {
    match table.keys().next() {
        None => Ok(()),
        Some(name) => {
            let at = if at.is_empty() { "the file" } else { at };
            Err(invalid(format!("{at} has no {name}; there are {known}")))
        }
    }
}

/// Puts the environment's variables in the place of `${NAME}`; `$$` is a dollar sign.
fn expand(value: &str, at: &str, variable: Variables<'_>) -> Result<String> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            after
        } else {
            let named = after.strip_prefix('{').and_then(|after| after.split_once('}'));
            let (name, after) = named.ok_or_else(|| {
                invalid(format!("{at}: write ${{NAME}} for a variable, $$ for a dollar sign"))
            })?;
            let found = variable(name)
                .ok_or_else(|| invalid(format!("{at}: the environment has no variable {name}")))?;
            out.push_str(&found);
            after
        };
    }
    out.push_str(rest);
    Ok(out)
}
