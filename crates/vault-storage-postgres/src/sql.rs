//! The table's name and the statements over it.
//!
//! Each change is one statement, and so a transaction of its own.

use std::fmt;

use vault_crypto_core::Result;

use crate::error::invalid;

const MAX_NAME_LEN: usize = 48;

/// A table and the sequence that numbers its changes, quoted.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Table {
    table: String,
    changes: String,
}

impl Default for Table {
    fn default() -> Self {
        Self::quoted(None, "vault_storage")
    }
}

impl Table {
    /// `name` or `schema.name`.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let (schema, table) = match name.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, name),
        };
        if schema.into_iter().chain([table]).all(is_plain) {
            return Ok(Self::quoted(schema, table));
        }
        Err(invalid("a table's name has 1 to 48 of a-z 0-9 _ and begins with no digit"))
    }

    fn quoted(schema: Option<&str>, table: &str) -> Self {
        let schema = schema.map(|schema| format!("\"{schema}\".")).unwrap_or_default();
        Self {
            table: format!("{schema}\"{table}\""),
            changes: format!("{schema}\"{table}_changes\""),
        }
    }

    /// Makes table and sequence where they are not. Run as one string, and so in one transaction.
    ///
    /// Names are compared as bytes (`collate "C"`), whatever the database's language is. One number serves
    /// all keys, so that none ever sees a version twice. It is not cached by sessions, which would hand
    /// numbers out in another order than that of the changes.
    pub(crate) fn schema(&self) -> String {
        let Self { table, changes } = self;
        format!(
            "create sequence if not exists {changes} as bigint cache 1;\n\
             create table if not exists {table} (\n  \
               key text collate \"C\" primary key check (octet_length(key) between 1 and 512),\n  \
               value bytea not null check (octet_length(value) <= 65536),\n  \
               version bigint not null\n\
             );\n"
        )
    }

    /// `schema`, by one session at a time: two that make the same table at once fail otherwise.
    pub(crate) fn make(&self) -> String {
        format!("select pg_advisory_xact_lock({});\n{}", self.lock(""), self.schema())
    }

    /// Whether the table is there: one row, `true` or `false`.
    pub(crate) fn exists(&self) -> String {
        format!("select to_regclass('{}') is not null", self.table)
    }

    /// Of key `$1`.
    pub(crate) fn get(&self) -> String {
        format!("select value, version from {} where key = $1", self.table)
    }

    /// Key `$1` to value `$2`, in the turn of lock `$3`: one row with the version, or none where there is
    /// such a key.
    ///
    /// `turn` keeps the order of versions that of the changes: without it a number could be drawn, the key
    /// made, changed and deleted by others, and the older number then be put in.
    pub(crate) fn make_key(&self) -> String {
        let Self { table, changes } = self;
        format!(
            "with turn as materialized (select pg_advisory_xact_lock($3)) \
             insert into {table} (key, value, version) \
             select $1, $2, nextval('{changes}') from turn \
             on conflict (key) do nothing returning version"
        )
    }

    /// Key `$1` to value `$2` in the turn of lock `$3`, if it holds version `$4`: one row with the new
    /// version, or none.
    pub(crate) fn replace(&self) -> String {
        let Self { table, changes } = self;
        format!(
            "with turn as materialized (select pg_advisory_xact_lock($3)) \
             update {table} as held set value = $2, version = nextval('{changes}') from turn \
             where held.key = $1 and held.version = $4 returning held.version"
        )
    }

    /// Key `$1` away, if it holds version `$2`: one row, or none.
    pub(crate) fn delete(&self) -> String {
        format!("delete from {} where key = $1 and version = $2 returning version", self.table)
    }

    /// Up to `$4` keys from `$1` to before `$2`, after `$3`.
    pub(crate) fn list(&self) -> String {
        format!(
            "select key, version from {} where key >= $1 and key < $2 and key > $3 \
             order by key limit $4",
            self.table
        )
    }

    /// The number of the advisory lock under which `key` is changed: FNV-1a, 64 bits. Keys that share one
    /// only wait for each other.
    pub(crate) fn lock(&self, key: &str) -> i64 {
        let bytes = self.table.bytes().chain([0]).chain(key.bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        hash.cast_signed()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table)
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=MAX_NAME_LEN).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// What each session begins with. Nothing here depends on a caller but the milliseconds.
///
/// `read committed`, because a change looks at the row as it is when its turn comes.
pub(crate) fn session(timeout_ms: u128) -> String {
    format!(
        "set statement_timeout = {timeout_ms}; \
         set default_transaction_isolation = 'read committed'; \
         set bytea_output = 'hex'; \
         select set_config('synchronous_commit', 'on', false) \
         where current_setting('synchronous_commit') = 'off'"
    )
}

/// What every key with `prefix` is before: keys are ASCII, so the last byte has a next one.
pub(crate) fn end_of(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    // Nothing in a key comes after `z`; DEL does.
    let last = end.pop().map_or('\u{7f}', |last| char::from(last as u8 + 1));
    end.push(last);
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_or_refused() {
        assert_eq!(Table::new("app.branch_keys").unwrap().table, "\"app\".\"branch_keys\"");
        for bad in ["", "a b", "a\"b", "A", "1a", "a.b.c", ".a", "a.", "a;drop", &"a".repeat(49)] {
            assert!(Table::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_ends_before_its_next_neighbour() {
        assert_eq!(end_of("a/"), "a0");
        assert_eq!(end_of("z"), "{");
        assert!("zzz:" < end_of("").as_str());
    }
}
