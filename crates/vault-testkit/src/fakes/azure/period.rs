//! The durations of a rotation policy (ISO 8601, as `P90D` or `P1Y2M`), in seconds.
//!
//! Left to `rotation`: what they mean. A month counts 30 days and a year 365, which is exact enough for tests.

const DAY: u64 = 86_400;

/// Seconds of a duration, or none if it is not one.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let rest = text.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None => (rest, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let date = sum(date, &[('Y', 365 * DAY), ('M', 30 * DAY), ('W', 7 * DAY), ('D', DAY)])?;
    let time = sum(time, &[('H', 3600), ('M', 60), ('S', 1)])?;
    date.checked_add(time)
}

fn sum(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, tail) = rest.split_at_checked(end)?;
        let unit = tail.chars().next()?;
        let (_, length) = units.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(count.parse::<u64>().ok()?.checked_mul(*length)?)?;
        rest = tail.get(unit.len_utf8()..)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_the_reference_are_read_and_others_refused() {
        for (text, days) in [("P90D", 90), ("P2M", 60), ("P1Y", 365), ("P1Y1M1D", 396), ("P4W", 28)]
        {
            assert_eq!(seconds(text), Some(days * DAY), "{text}");
        }
        assert_eq!(seconds("PT1H30M"), Some(5400));
        for text in
            ["", "P", "90D", "PD", "P9", "P-1D", "PT", "P1H", "P1D2", "P99999999999999999999D"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
