//! The promises of the traits as cases that every backend and every decorator runs.
//!
//! Every bullet under `# Behavior` in `vault-crypto-core` is one [`Case`], which carries the trait,
//! the method and the bullet's text, so that a check can compare the two. A case that needs
//! something which the backend does not declare in its `Capabilities` is *not applicable* and says
//! why; nothing is skipped silently. No case asks which backend it has.
//!
//! The suites need no runtime: drive `run_all` with the executor that the backend needs.
//!
//! Left to others: limits, quotas and error classification of a particular service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use vault_crypto_core::{CryptoError, ErrorKind};

pub mod admin;
pub mod audit;
mod fixture;
pub mod kms;
pub mod provider;
mod rotation;
pub mod storage;
#[cfg(feature = "proxy")]
pub mod transport;

pub use fixture::{AdminFixture, AuditFixture, KmsFixture, ProviderFixture, StorageFixture};

/// One sentence of a contract and the code that holds a backend to it.
pub struct Case<F> {
    /// `Trait::method`.
    pub method: &'static str,
    /// The bullet under `# Behavior`, with links replaced by their text.
    pub sentence: &'static str,
    run: for<'a> fn(&'a F) -> Running<'a>,
}

type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// What a case found out.
pub type Verdict = Result<Outcome, Failure>;

impl<F> Case<F> {
    const fn new(
        method: &'static str,
        sentence: &'static str,
        run: for<'a> fn(&'a F) -> Running<'a>,
    ) -> Self {
        Self { method, sentence, run }
    }
}

impl<F> fmt::Debug for Case<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.method, self.sentence)
    }
}

/// How a case ended that found nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The backend keeps the promise.
    Proved,
    /// The backend does not declare what the promise is about.
    NotApplicable(&'static str),
}

/// A broken promise.
#[derive(Debug)]
pub struct Failure {
    what: String,
    source: Option<CryptoError>,
}

impl Failure {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.source {
            Some(source) => write!(f, ": {source} (in {})", source.operation().as_str()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<CryptoError> for Failure {
    fn from(source: CryptoError) -> Self {
        Self { what: "a call that must succeed failed".into(), source: Some(source) }
    }
}

/// What all cases of a suite found out, in the order of the traits.
#[derive(Debug)]
pub struct Report {
    results: Vec<CaseResult>,
}

/// What one case found out.
#[derive(Debug)]
#[non_exhaustive]
pub struct CaseResult {
    /// `Trait::method`.
    pub method: &'static str,
    /// The bullet under `# Behavior`.
    pub sentence: &'static str,
    /// How it ended.
    pub verdict: Verdict,
}

impl Report {
    /// One result for every case.
    #[must_use]
    pub fn results(&self) -> &[CaseResult] {
        &self.results
    }

    /// How many promises were proved.
    #[must_use]
    pub fn proved(&self) -> usize {
        self.results.iter().filter(|r| matches!(r.verdict, Ok(Outcome::Proved))).count()
    }

    /// The cases that did not apply, and why.
    #[must_use]
    pub fn not_applicable(&self) -> Vec<(&'static str, &'static str)> {
        let reason = |result: &CaseResult| match result.verdict {
            Ok(Outcome::NotApplicable(why)) => Some((result.sentence, why)),
            _ => None,
        };
        self.results.iter().filter_map(reason).collect()
    }

    /// The sentences that were broken.
    #[must_use]
    pub fn broken(&self) -> Vec<&'static str> {
        self.results.iter().filter(|r| r.verdict.is_err()).map(|r| r.sentence).collect()
    }

    /// Ends the test unless every promise was proved or did not apply.
    ///
    /// # Panics
    /// Listing the broken promises.
    pub fn assert_passed(&self) {
        assert!(self.broken().is_empty(), "{self}");
    }

    /// What does not apply must have been said beforehand, and what was said must not apply.
    #[cfg(feature = "proxy")]
    fn leaving_out(mut self, left_out: &[&'static str]) -> Self {
        for result in &mut self.results {
            let said = left_out.contains(&result.sentence);
            match result.verdict {
                Ok(Outcome::NotApplicable(why)) if !said => {
                    let what = format!("does not apply, and nobody said so beforehand: {why}");
                    result.verdict = Err(Failure::new(what));
                }
                Ok(Outcome::Proved) if said => {
                    result.verdict = Err(Failure::new("was to be left out, and applies"));
                }
                _ => {}
            }
        }
        for &sentence in left_out {
            if self.results.iter().all(|result| result.sentence != sentence) {
                let verdict = Err(Failure::new("was to be left out, and is no case"));
                self.results.push(CaseResult { method: "no method", sentence, verdict });
            }
        }
        self
    }

    async fn of<F: Sync>(cases: &[Case<F>], fixture: &F) -> Self {
        let mut results = Vec::with_capacity(cases.len());
        for case in cases {
            let verdict = (case.run)(fixture).await;
            results.push(CaseResult { method: case.method, sentence: case.sentence, verdict });
        }
        Self { results }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} promises proved", self.proved(), self.results.len())?;
        for CaseResult { method, sentence, verdict } in &self.results {
            match verdict {
                Ok(Outcome::Proved) => {}
                Ok(Outcome::NotApplicable(why)) => {
                    writeln!(f, "not applicable: {method}: {sentence}\n    {why}")?;
                }
                Err(failure) => writeln!(f, "BROKEN: {method}: {sentence}\n    {failure}")?,
            }
        }
        Ok(())
    }
}

/// Every sentence that has a case, as (`Trait::method`, sentence).
#[must_use]
pub fn sentences() -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<_> = kms::CASES.iter().map(|case| (case.method, case.sentence)).collect();
    all.extend(admin::CASES.iter().map(|case| (case.method, case.sentence)));
    all.extend(audit::CASES.iter().map(|case| (case.method, case.sentence)));
    all.extend(provider::CASES.iter().map(|case| (case.method, case.sentence)));
    all.extend(storage::CASES.iter().map(|case| (case.method, case.sentence)));
    all
}

/// A table of cases: method, then sentence and the function that proves it.
macro_rules! cases {
    ($fixture:ty; $($method:literal { $($sentence:literal => $run:path,)+ })+) => {
        &[$($(
            $crate::conformance::Case::<$fixture>::new($method, $sentence, |fixture| Box::pin($run(fixture))),
        )+)+]
    };
}
use cases;

const PROVED: Verdict = Ok(Outcome::Proved);

fn not_applicable(why: &'static str) -> Verdict {
    Ok(Outcome::NotApplicable(why))
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(otherwise)) }
}

/// The call failed, and with one of `kinds`.
fn fails_with<T>(outcome: Result<T, CryptoError>, kinds: &[ErrorKind]) -> Result<(), Failure> {
    match outcome {
        Err(error) if kinds.contains(&error.kind()) => Ok(()),
        Err(error) => Err(Failure {
            what: format!("the wrong error, {kinds:?} was promised"),
            source: Some(error),
        }),
        Ok(_) => Err(Failure::new(format!("succeeded where {kinds:?} was promised"))),
    }
}
