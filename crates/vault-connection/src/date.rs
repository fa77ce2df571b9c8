//! The header `Date` of HTTP: the server's idea of the time.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// RFC 9110, section 5.6.7: the one form that servers write is a subset of RFC 2822's.
pub(crate) fn http_date(text: &str) -> Option<SystemTime> {
    text.ends_with(" GMT").then(|| OffsetDateTime::parse(text, &Rfc2822).ok())?.map(Into::into)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

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
}
