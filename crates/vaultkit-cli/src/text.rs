//! How sizes, times and paths are written for people.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use vaultkit::core::KeyVersion;
use vaultkit::core::header::{Slot, SlotKind};

/// A size as people say it: `2.1 MB`, in powers of ten.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} bytes");
    }
    let mut unit = 1_000_u64;
    let mut names = UNITS.iter().peekable();
    let mut name = "kB";
    while let Some(next) = names.next() {
        name = next;
        if names.peek().is_none() || bytes / unit < 1_000 {
            break;
        }
        unit *= 1_000;
    }
    let tenths = bytes / (unit / 10);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// A number with its digits in groups: `2 097 152`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A time in UTC as RFC 3339 writes it, to the second.
pub(crate) fn time(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Days since 1970 to the Gregorian date, by eras of 400 years that begin on 1 March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// A path for people: what is not Unicode is replaced, and control characters cannot reach the
/// terminal.
pub(crate) fn path(path: &Path) -> String {
    safe(&path.to_string_lossy())
}

/// Text of an unverified origin, with control characters replaced.
pub(crate) fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// As [`safe`], for text that may have lines of its own.
pub(crate) fn safe_lines(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}

/// Whom a key slot is for.
pub(crate) fn slot_name(slot: &Slot) -> String {
    key_name(slot.kind, &slot.key_id_text())
}

/// A key by kind and id.
pub(crate) fn key_name(kind: SlotKind, id: &str) -> String {
    match kind.name() {
        // The id of a local key begins with the name of its kind.
        "local" => safe(id),
        kind if id.is_empty() => kind.to_owned(),
        kind => format!("{kind} {}", safe(id)),
    }
}

/// The version of a key, to stand behind its name; people's keys have none.
pub(crate) fn version(kind: SlotKind, version: &KeyVersion) -> String {
    if kind.requires_exclusive() { String::new() } else { format!("  version {version}") }
}

/// Bytes as hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sizes_are_cut_and_never_rounded_up() {
        let cases = [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (2_097_152, "2.0 MB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1 000"), (2_097_152, "2 097 152")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn dates_are_gregorian() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in cases {
            assert_eq!(time(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn no_control_character_reaches_the_terminal() {
        assert_eq!(safe("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
