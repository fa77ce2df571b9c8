//! What can happen to a call.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::answer::Answer;

type Edit = Arc<dyn Fn(&mut Vec<u8>) + Send + Sync>;

/// What happens to a call. Of a raw connection "the call" is the connection, and "the body" what the
/// server sends on it.
#[derive(Clone)]
#[non_exhaustive]
pub enum HttpFault {
    /// The call reaches the server this much later.
    Latency(Duration),
    /// The same, by between nothing and this much.
    Jitter(Duration),
    /// The server does it at once, its answer comes this much later.
    LateAnswer(Duration),
    /// The connection is reset, and the server never sees the call.
    ResetBefore,
    /// The server does it, and the connection is reset: the answer is lost.
    ResetAfter,
    /// The server never sees the call; this is the answer.
    Answer(Answer),
    /// The server does it; this is the answer.
    AnswerAfter(Answer),
    /// The answer's body breaks off after so many bytes, though its head promises more.
    Truncate(usize),
    /// The answer's head is right, its body is noise.
    Garbage,
    /// The answer's body is changed, and its length in the head with it. Of a gRPC answer this
    /// sees the message, without its frame.
    EditBody(Edit),
    /// The answer has this header, instead of its own of that name.
    Header(&'static str, String),
    /// The answer's body comes byte by byte, with such a pause after each.
    SlowLoris(Duration),
    /// No answer, ever; the server does not see the call.
    Hang,
}

impl HttpFault {
    /// [`EditBody`](Self::EditBody) with a closure.
    #[must_use]
    pub fn edit(edit: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        Self::EditBody(Arc::new(edit))
    }

    /// The server's clock seems to say `now`: the answer's `Date` (RFC 9110 section 5.6.7).
    #[must_use]
    pub fn date(now: SystemTime) -> Self {
        Self::Header("date", imf_fixdate(now))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::Jitter(_) => "jitter",
            Self::LateAnswer(_) => "late answer",
            Self::ResetBefore => "reset before",
            Self::ResetAfter => "reset after",
            Self::Answer(_) => "answer",
            Self::AnswerAfter(_) => "answer after",
            Self::Truncate(_) => "truncate",
            Self::Garbage => "garbage",
            Self::EditBody(_) => "edit body",
            Self::Header(..) => "header",
            Self::SlowLoris(_) => "slow loris",
            Self::Hang => "hang",
        }
    }
}

impl fmt::Debug for HttpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn imf_fixdate(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let weekday = DAYS.get(usize::try_from(days % 7).unwrap_or_default()).unwrap_or(&"Thu");
    let month = MONTHS.get(month).unwrap_or(&"Jan");
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Year, month from 0 and day of the month, of a day counted from 1970-01-01.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_rfc() {
        let date = |seconds| imf_fixdate(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT"); // RFC 9110 section 5.6.7
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
