//! Whether a call ended as promised: in time, with the promised kind, and without showing anything.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vault_crypto_core::ErrorKind::{AuthenticationFailed, Unavailable};
use vault_crypto_core::{Clock, CryptoError, ErrorKind, Operation, SystemClock};

use super::{CANARY, Done, Sample, TransportFixture, together};
use crate::conformance::{Failure, PROVED, Verdict, ensure};
use crate::redaction::SecretScan;

/// A call that has ended.
pub(super) struct Attempt {
    pub(super) outcome: Result<Done, CryptoError>,
    pub(super) took: Duration,
}

/// What a fixture's calls are held to.
pub(super) struct Judge<'a> {
    fixture: &'a TransportFixture,
    sample: &'a Sample,
    scans: Vec<SecretScan>,
    /// What was looked at: hundreds of errors print the same.
    clean: Mutex<BTreeSet<String>>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(fixture: &'a TransportFixture, sample: &'a Sample) -> Self {
        // The first half of a ciphertext may be a frame that the service publishes.
        let second_half = |bytes: &'a [u8]| bytes.get(bytes.len() / 2..).unwrap_or_default();
        let mut secrets: Vec<&[u8]> = fixture.secrets.iter().map(Vec::as_slice).collect();
        secrets.push(CANARY.as_bytes());
        secrets.push(sample.data_key.plaintext().as_slice());
        secrets.push(second_half(&sample.data_key.wrapped().bytes));
        secrets.push(second_half(&sample.payload));
        secrets.retain(|secret| secret.len() >= 8);
        let scans = secrets.into_iter().map(SecretScan::new).collect();
        Self { fixture, sample, scans, clean: Mutex::default() }
    }

    /// One call, watched: a call that never ends is a broken promise and not a test that hangs.
    pub(super) async fn attempt(&self, operation: Operation) -> Result<Attempt, Failure> {
        let clock = SystemClock::new();
        let began = clock.monotonic();
        let limit = self.fixture.patience() * 4;
        let call = self.sample.call(self.fixture, operation);
        let outcome = together::before(call, clock.sleep(limit)).await;
        let took = clock.monotonic().saturating_sub(began);
        let never = || Failure::new(format!("{} never ended", operation.as_str()));
        Ok(Attempt { outcome: outcome.ok_or_else(never)?, took })
    }

    /// It failed, with one of `kinds`, in time, and its error shows nothing.
    pub(super) fn failed(
        &self,
        operation: Operation,
        attempt: Attempt,
        kinds: &[ErrorKind],
        fault: &str,
    ) -> Result<CryptoError, Failure> {
        let took = attempt.took;
        let error = self.typed(operation, attempt, kinds, fault)?;
        self.in_time(operation, took, fault)?;
        Ok(error)
    }

    /// It failed, whenever, with one of `kinds`, and its error shows nothing.
    pub(super) fn typed(
        &self,
        operation: Operation,
        attempt: Attempt,
        kinds: &[ErrorKind],
        fault: &str,
    ) -> Result<CryptoError, Failure> {
        let name = operation.as_str();
        let error = match attempt.outcome {
            Ok(_) => {
                let what = format!("{name} ({fault}) succeeded where {kinds:?} was promised");
                return Err(Failure::new(what));
            }
            Err(error) if !kinds.contains(&error.kind()) => {
                let kind = error.kind();
                let what = format!("{name} ({fault}): {kind:?}, {kinds:?} was promised");
                return Err(Failure { what, source: Some(error) });
            }
            Err(error) => error,
        };
        self.shows_nothing(operation, &error, fault)?;
        Ok(error)
    }

    fn in_time(&self, operation: Operation, took: Duration, fault: &str) -> Result<(), Failure> {
        let (name, deadline) = (operation.as_str(), self.fixture.shape.deadline);
        let late = format!("{name} ({fault}) took {took:?}, its deadline is {deadline:?}");
        ensure(took <= self.fixture.patience(), &late)
    }

    /// What is found is named by its form: the message must not repeat it.
    pub(super) fn shows_nothing(
        &self,
        operation: Operation,
        error: &CryptoError,
        fault: &str,
    ) -> Result<(), Failure> {
        let text = chain(error);
        let mut clean = self.clean.lock().unwrap_or_else(PoisonError::into_inner);
        if clean.contains(&text) {
            return Ok(());
        }
        let Some(form) = self.scans.iter().find_map(|scan| scan.find(&text)) else {
            clean.insert(text);
            return Ok(());
        };
        let name = operation.as_str();
        let what = format!("the error of {name} ({fault}) shows a secret or a body, as {form}");
        Err(Failure::new(what))
    }

    /// It succeeded, with the right answer.
    pub(super) async fn right(&self, operation: Operation, attempt: Attempt) -> Verdict {
        self.sample.check(self.fixture, operation, &attempt.outcome?).await?;
        PROVED
    }

    /// The next call succeeds. A call may find out that the connections it kept are gone, once.
    pub(super) async fn recovers(&self, operation: Operation) -> Verdict {
        self.fixture.proxy.clear();
        let mut attempt = self.attempt(operation).await?;
        if matches!(&attempt.outcome, Err(error) if error.kind() == Unavailable) {
            attempt = self.attempt(operation).await?;
        }
        match &attempt.outcome {
            Ok(_) => self.right(operation, attempt).await,
            Err(error) => {
                let what = format!("{} does not work again after a fault", operation.as_str());
                Err(Failure { what, source: Some(error.duplicate()) })
            }
        }
    }

    /// What was taken for this key's is another's: it must not open as this key's.
    pub(super) async fn does_not_open(&self, operation: Operation, attempt: Attempt) -> Verdict {
        match self.right(operation, attempt).await {
            Err(Failure { source: Some(error), .. }) if error.kind() == AuthenticationFailed => {
                PROVED
            }
            Err(failure) => Err(failure),
            Ok(_) => Err(Failure::new(format!(
                "{} took another key's answer for its own key's",
                operation.as_str()
            ))),
        }
    }
}

/// All that an error and its sources print.
pub(super) fn chain(error: &CryptoError) -> String {
    let mut text = String::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        // Writing to a string does not fail.
        let _ = write!(text, "{error} {error:?} {error:#?} ");
        next = error.source();
    }
    text
}
