//! What a test can make the service do wrong, once or until it is told otherwise.
//!
//! Left to others: where each of them takes effect.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tonic::Code;

use super::login::Accounts;

/// What goes wrong with a checksum in the next call that carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrcFault {
    /// The service finds that the request was damaged on its way: `INVALID_ARGUMENT`.
    RequestDamaged,
    /// The answer says that the request's checksums were not verified, as if they never arrived.
    NotVerified,
    /// The answer's checksum is not that of its data.
    AnswerDamaged,
    /// The answer has no checksum.
    AnswerWithout,
}

/// A call that is to fail.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// Only this method, if it is named.
    pub(super) method: Option<String>,
    pub(super) code: Code,
    pub(super) retry_after: Option<Duration>,
    /// Whether the call takes effect before it fails.
    pub(super) after_effect: bool,
}

/// Everything a test has asked for.
#[derive(Default)]
pub(super) struct Knobs {
    pub(super) failures: VecDeque<Failure>,
    pub(super) crc: VecDeque<CrcFault>,
    pub(super) login: Login,
    pub(super) denied: BTreeSet<String>,
    pub(super) params_required: bool,
    /// The name that the next `Encrypt` answers instead of the version's.
    pub(super) answered_name: Option<String>,
    pub(super) empty_first_pages: bool,
    /// Every page of a list names the page before it as the next.
    pub(super) endless_lists: bool,
    /// How long the generation of a version takes.
    pub(super) generation: Duration,
}

/// Which tokens are taken.
#[derive(Default)]
pub(super) enum Login {
    /// Any, and none as well.
    #[default]
    Anyone,
    /// This one alone.
    Token(String),
    /// Those that these accounts have.
    Of(Arc<Accounts>),
    /// None any more.
    Nobody,
}

impl Knobs {
    /// Takes the failure that is to hit a call of `method`, if there is one.
    pub(super) fn take_failure(&mut self, method: &str) -> Option<Failure> {
        let hits = |failure: &Failure| failure.method.as_deref().is_none_or(|only| only == method);
        let at = self.failures.iter().position(hits)?;
        self.failures.remove(at)
    }

    /// Takes the checksum fault that is to come next.
    pub(super) fn take_crc(&mut self) -> Option<CrcFault> {
        self.crc.pop_front()
    }
}
