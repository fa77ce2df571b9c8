//! Answers of something that stands between: a load balancer, a gateway, a portal that wants a login.
//!
//! Its statuses are those of the service and mean less. A bare 404 is no missing key, a bare 400 no forged
//! ciphertext, and whoever creates a key for either of them creates it twice.

use vault_crypto_core::ErrorKind::{LimitExceeded, TimedOut, Unavailable};
use vault_crypto_core::{ErrorKind, KeyConfig, KmsAdmin, Operation};

use super::{CANARY, Judge, Sample, TransportFixture, each};
use crate::conformance::{Failure, PROVED, Verdict, ensure, fails_with, not_applicable};
use crate::proxy::{Answer, HttpFault, Match};

const REFUSALS: [(u16, ErrorKind); 2] = [(400, Unavailable), (404, Unavailable)];
const LIMITS: [(u16, ErrorKind); 3] = [(408, TimedOut), (413, LimitExceeded), (504, TimedOut)];

fn page(status: u16) -> Answer {
    let body = format!("<html><body><h1>{status}</h1>{CANARY}</body></html>");
    Answer::new(status).with_header("content-type", "text/html").with_body(body)
}

pub(super) async fn refusals_are_nobodys(fixture: &TransportFixture) -> Verdict {
    have_their_kinds(fixture, &REFUSALS).await
}

pub(super) async fn limits_have_their_kinds(fixture: &TransportFixture) -> Verdict {
    have_their_kinds(fixture, &LIMITS).await
}

async fn have_their_kinds(fixture: &TransportFixture, kinds: &[(u16, ErrorKind)]) -> Verdict {
    for &(status, kind) in kinds {
        let told = |failure| of_status(status, failure);
        each(fixture, &HttpFault::Answer(page(status)), &[kind]).await.map_err(told)?;
    }
    PROVED
}

pub(super) async fn creations_are_not_repeated(fixture: &TransportFixture) -> Verdict {
    let Some((admin, prefix)) = &fixture.admin else {
        return not_applicable("no administrator was given");
    };
    let named = |(operation, call): &(Operation, Match)| {
        (*operation == Operation::CreateKey).then(|| call.clone())
    };
    let Some(creation) = fixture.shape.mutations.iter().find_map(named) else {
        return Err(Failure::new("the shape does not name the call of create_key"));
    };
    let sample = Sample::new(fixture).await?;
    let judge = Judge::new(fixture, &sample);
    let watched = Watched { fixture, judge: &judge, admin: &**admin, creation };
    let existing = KeyConfig::new(format!("{prefix}-between"));
    let key = admin.create_key(existing.clone()).await?.key_id;
    for (status, kind) in REFUSALS.into_iter().chain(LIMITS) {
        let told = |failure| of_status(status, failure);
        let before = admin.describe_key(&key).await?;
        watched.first_call_fails(&existing, status, kind).await.map_err(told)?;
        let after = admin.describe_key(&key).await?;
        let same = (before.primary_version, before.versions.len(), before.state)
            == (after.primary_version, after.versions.len(), after.state);
        ensure(same, "an existing key was changed by a creation").map_err(told)?;
        let fresh = KeyConfig::new(format!("{prefix}-between-{status}"));
        watched.answer_is_replaced(&fresh, status, kind).await.map_err(told)?;
    }
    PROVED
}

struct Watched<'a> {
    fixture: &'a TransportFixture,
    judge: &'a Judge<'a>,
    admin: &'a dyn KmsAdmin,
    creation: Match,
}

impl Watched<'_> {
    /// The name is taken; the first call, a look or the creation itself, does not reach the service.
    async fn first_call_fails(
        &self,
        config: &KeyConfig,
        status: u16,
        kind: ErrorKind,
    ) -> Result<(), Failure> {
        let outcome = self.create(config, Match::any(), HttpFault::Answer(page(status)), 0).await?;
        self.fails_with(outcome, kind)
    }

    /// The service creates the key, and something between answers for it. Who looks may find the key.
    async fn answer_is_replaced(
        &self,
        config: &KeyConfig,
        status: u16,
        kind: ErrorKind,
    ) -> Result<(), Failure> {
        let fault = HttpFault::AnswerAfter(page(status));
        let outcome = self.create(config, self.creation.clone(), fault, 1).await?;
        if outcome.is_ok() { Ok(()) } else { self.fails_with(outcome, kind) }
    }

    /// Creates a key while `fault` meets the first call `on` the way, and sees how many creations that made.
    async fn create(
        &self,
        config: &KeyConfig,
        on: Match,
        fault: HttpFault,
        creations: usize,
    ) -> Result<vault_crypto_core::Result<()>, Failure> {
        let proxy = &self.fixture.proxy;
        let before = proxy.calls().len();
        proxy.on(on).fault(fault);
        let outcome = self.admin.create_key(config.clone()).await;
        proxy.clear();
        self.created(before, creations)?;
        Ok(outcome.map(drop))
    }

    fn fails_with(
        &self,
        outcome: vault_crypto_core::Result<()>,
        kind: ErrorKind,
    ) -> Result<(), Failure> {
        if let Err(error) = &outcome {
            self.judge.shows_nothing(Operation::CreateKey, error, "between")?;
        }
        fails_with(outcome, &[kind])
    }

    fn created(&self, before: usize, right: usize) -> Result<(), Failure> {
        let calls = self.fixture.proxy.calls();
        let created = |call: &&_| self.creation.describes(call);
        let told = calls.iter().skip(before).filter(created).filter(|call| call.forwarded).count();
        let what = format!("the service was told {told} times to create, {right} was right");
        ensure(told == right, &what)
    }
}

fn of_status(status: u16, failure: Failure) -> Failure {
    let Failure { what, source } = failure;
    Failure { what: format!("a bare {status}: {what}"), source }
}
