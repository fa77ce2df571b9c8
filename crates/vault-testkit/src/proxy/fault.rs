//! What can happen to a call.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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
        Self::Header("date", crate::date::imf_fixdate(now))
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
