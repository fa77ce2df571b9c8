//! Times in the headers of HTTP: the server's clock, and how long it wants to be left alone.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Whoever asks for more than this does not mean it.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// RFC 9110, section 10.2.3: seconds, or a date, which is `now` or earlier where it is over.
pub(crate) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let wait = match text.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => http_date(text.trim())?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_WAIT))
}

/// RFC 9110, section 5.6.7: the one form that servers write is a subset of RFC 2822's.
pub(crate) fn http_date(text: &str) -> Option<SystemTime> {
    text.ends_with(" GMT").then(|| OffsetDateTime::parse(text, &Rfc2822).ok())?.map(Into::into)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn dates_are_read_as_servers_write_them() {
        let date = http_date("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date, Some(UNIX_EPOCH + Duration::from_secs(784_111_777)));
        for wrong in
            ["", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +0000", "soon GMT"]
        {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_as_a_date_and_believed_within_reason() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 60);
        let wait = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(wait("3"), Some(3));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:40:00 GMT"), Some(0));
        for long in ["18446744073709551615", "Sun, 06 Nov 2094 08:49:37 GMT"] {
            assert_eq!(wait(long), Some(24 * 60 * 60), "{long}");
        }
        for wrong in ["", "-1", "soon", "1.5"] {
            assert_eq!(wait(wrong), None, "{wrong}");
        }
    }
}
