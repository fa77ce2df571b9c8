//! Tables: printed as they come, and written into docs/PERFORMANCE.md between its markers.

use std::fmt::Write as _;
use std::path::Path;

use crate::timing::Figure;

/// A table with a fixed place in the document.
pub struct Table {
    /// `<!-- bench:MARKER -->` starts its place.
    pub marker: String,
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
    pub verdicts: Vec<Verdict>,
}

pub struct Row {
    pub name: String,
    pub cells: Vec<String>,
}

/// A target of the project, and what was measured.
pub struct Verdict {
    pub what: String,
    pub target: Target,
    pub measured: f64,
}

#[derive(Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Verdict {
    pub fn is_met(&self) -> bool {
        match self.target {
            Target::AtMost(limit) => self.measured <= limit,
            Target::AtLeast(limit) => self.measured >= limit,
        }
    }
}

impl Table {
    pub fn new<const N: usize>(marker: String, title: String, columns: [&str; N]) -> Self {
        let columns = columns.map(ToOwned::to_owned).to_vec();
        Self { marker, title, columns, rows: Vec::new(), verdicts: Vec::new() }
    }

    /// Adds a row; cells that are left out stay empty.
    pub fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.rows.push(Row { name: name.to_owned(), cells: cells.into_iter().collect() });
    }

    pub fn verdict(&mut self, what: String, target: Target, measured: f64) {
        self.verdicts.push(Verdict { what, target, measured });
    }

    /// As Markdown, aligned so that it reads well on a terminal too.
    pub fn markdown(&self) -> String {
        let head =
            std::iter::once(self.title.as_str()).chain(self.columns.iter().map(String::as_str));
        let mut lines: Vec<Vec<String>> = vec![head.map(ToOwned::to_owned).collect()];
        for row in &self.rows {
            let mut line = vec![row.name.clone()];
            line.extend(row.cells.iter().cloned());
            line.resize(self.columns.len() + 1, String::new());
            lines.push(line);
        }
        layout(&lines)
    }
}

/// The targets of all tables.
pub fn verdicts(tables: &[Table]) -> String {
    let mut lines = vec![["Target", "measured", "wanted", ""].map(ToOwned::to_owned).to_vec()];
    for verdict in tables.iter().flat_map(|table| &table.verdicts) {
        let wanted = match verdict.target {
            Target::AtMost(limit) => format!("at most {limit:.2}"),
            Target::AtLeast(limit) => format!("at least {limit:.2}"),
        };
        let met = if verdict.is_met() { "met" } else { "**missed**" };
        let measured = format!("{:.2}", verdict.measured);
        lines.push(vec![verdict.what.clone(), measured, wanted, met.to_owned()]);
    }
    if lines.len() == 1 { String::new() } else { layout(&lines) }
}

fn layout(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // The name to the left, figures to the right.
            let pad = " ".repeat(width - cell.chars().count());
            let (left, right) = if column == 0 { ("", pad.as_str()) } else { (pad.as_str(), "") };
            let _ = write!(out, "| {left}{cell}{right} ");
        }
        out.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                let _ = write!(out, "|{dashes}{}", if column == 0 { "-" } else { ":" });
            }
            out.push_str("|\n");
        }
    }
    out
}

/// Puts `text` between `<!-- bench:MARKER -->` and `<!-- /bench:MARKER -->` of `document`.
pub fn place(document: &str, marker: &str, text: &str) -> Result<String, String> {
    let (open, close) = (format!("<!-- bench:{marker} -->\n"), format!("<!-- /bench:{marker} -->"));
    let missing = || format!("docs/PERFORMANCE.md has no place for `{marker}`");
    let (before, rest) = document.split_once(&open).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&close).ok_or_else(missing)?;
    Ok(format!("{before}{open}{text}{close}{after}"))
}

/// Rewrites the places of what was measured; the others keep what they have.
pub fn write(path: &Path, machine: &str, tables: &[Table]) -> Result<(), String> {
    let mut document = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    for table in tables {
        let targets = verdicts(std::slice::from_ref(table));
        let gap = if targets.is_empty() { "" } else { "\n" };
        let text = format!("{machine}\n\n{}{gap}{targets}", table.markdown());
        document = place(&document, &table.marker, &text)?;
    }
    std::fs::write(path, document).map_err(|error| error.to_string())
}

/// Nanoseconds of one repetition: least and median.
pub fn nanoseconds(figure: &Figure) -> [String; 2] {
    [figure.min, figure.median].map(|seconds| {
        let nanoseconds = seconds * 1e9;
        if nanoseconds < 100_000.0 {
            format!("{nanoseconds:.0}")
        } else {
            format!("{nanoseconds:.3e}")
        }
    })
}

/// Gigabytes (10^9) a second at best and in the median.
pub fn gigabytes(bytes: usize, figure: &Figure) -> [String; 2] {
    [figure.min, figure.median].map(|seconds| format!("{:.2}", bytes as f64 / seconds / 1e9))
}

pub fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before_and_nothing_else() {
        let document = "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb <!-- bench:y -->\n";
        let placed = place(document, "x", "new\n").unwrap();
        assert_eq!(placed, document.replace("old", "new"));
        assert_eq!(place(&placed, "x", "new\n").unwrap(), placed);
    }

    #[test]
    fn a_table_without_a_place_is_an_error() {
        assert!(place("<!-- bench:x -->\n", "x", "").is_err());
        assert!(place("", "x", "").is_err());
    }

    #[test]
    fn a_target_is_met_at_its_limit_and_missed_beyond() {
        let verdict = |target, measured| Verdict { what: String::new(), target, measured }.is_met();
        assert!(verdict(Target::AtMost(1.25), 1.25) && !verdict(Target::AtMost(1.25), 1.26));
        assert!(verdict(Target::AtLeast(0.9), 0.9) && !verdict(Target::AtLeast(0.9), 0.89));
    }
}
