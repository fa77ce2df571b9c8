//! `write = ...`: who is sealed for, in its forms.

use ::toml::Value;
use vault_crypto_core::{CryptoError, Result};

use super::{Write, invalid, names};

pub(super) fn parse(value: Value) -> Result<Write> {
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
        Write::Primary { primary, fill: names(&mut table, "fill")?.unwrap_or_default() }
    } else if let Some(all) = names(&mut table, "all")? {
        Write::All(all)
    } else if let Some(needed) = count(table.remove("at_least")) {
        Write::AtLeast { needed, of: names(&mut table, "of")?.ok_or_else(form)? }
    } else if let Some(needed) = count(table.remove("threshold")) {
        Write::Threshold { needed, of: names(&mut table, "of")?.ok_or_else(form)? }
    } else {
        return Err(form());
    };
    if table.is_empty() { Ok(write) } else { Err(form()) }
}

fn form() -> CryptoError {
    invalid(
        "write = \"NAME\", { primary = \"NAME\", fill = [...] }, { all = [...] }, \
         { at_least = N, of = [...] } or { threshold = N, of = [...] }",
    )
}
