//! Every fault of a KMS against every state of the cache, as docs/CONFORMANCE.md says it: each row of its
//! tables is a test here, and the cells are what the test compares with.

mod kms;
mod states;

use std::time::Duration;

use kms::FAULTS;
use states::{Side, State, World};

const DOCUMENT: &str = include_str!("../../../../docs/CONFORMANCE.md");

/// After the fault is over, this much later: every remembered refusal is over too.
const LATER: Duration = Duration::from_secs(35);

macro_rules! rows {
    ($($name:ident = $side:ident, $state:ident;)+) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name), Side::$side, State::$state);
            }
        )+

        const ROWS: &[&str] = &[$(stringify!($name)),+];
    };
}

rows! {
    open_cold = Open, Cold;
    open_warm = Open, Warm;
    open_refresh_due = Open, Due;
    open_over = Open, Over;
    open_over_stale_allowed = Open, StaleAllowed;
    open_refused_before = Open, Refused;
    open_invalidated_mid_fill = Open, InvalidatedMidFill;
    open_in_a_forked_child = Open, Forked;
    open_without_a_cache = Open, Uncached;
    seal_cold = Seal, Cold;
    seal_warm = Seal, Warm;
    seal_refresh_due = Seal, Due;
    seal_over = Seal, Over;
    seal_over_stale_allowed = Seal, StaleAllowed;
    seal_refused_before = Seal, Refused;
    seal_invalidated_mid_fill = Seal, InvalidatedMidFill;
    seal_in_a_forked_child = Seal, Forked;
    seal_without_a_cache = Seal, Uncached;
}

#[test]
fn the_tables_have_a_row_for_each_case_and_no_other() {
    let told: Vec<&str> = rows().map(|(name, _)| name).collect();
    assert_eq!(told, ROWS);
    let head = format!("| case | {} |", FAULTS.map(|fault| fault.name()).join(" | "));
    let tables = DOCUMENT.lines().filter(|line| *line == head).count();
    assert_eq!(tables, 2, "each table begins with `{head}`");
}

/// The rows of the document: the name of a case, and its cells.
fn rows() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    DOCUMENT.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?;
        (name.starts_with("open_") || name.starts_with("seal_"))
            .then(|| (name, cells.map(str::trim).collect()))
    })
}

fn check(name: &str, side: Side, state: State) {
    let found: Vec<String> = FAULTS.map(|fault| World::new(side, state).meet(fault)).into();
    let told = rows().find(|(row, _)| *row == name).map(|(_, cells)| cells);
    assert_eq!(told.unwrap_or_default(), found, "| `{name}` | {} |", found.join(" | "));
}
