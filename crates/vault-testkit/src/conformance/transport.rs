//! What a provider owes its caller when the network or the service misbehaves.
//!
//! Each sentence is held against every call an application makes (generate, wrap, unwrap, rewrap, encrypt,
//! decrypt, describe), through a [`FaultProxy`] before a server that works.
//! After every fault the provider must work again by itself. No error, nor
//! any of its sources, may show a plaintext, a ciphertext, a token or the body that a server sent:
//! the suite plants [`CANARY`] in the bodies and looks for all of them in what errors print.
//!
//! Decisions that stand here, for all services: a broken answer is `Unavailable`, since asking again may
//! help, and never `Internal`, which is for defects of ours. An answer that names another key opens
//! nothing (`AuthenticationFailed`); where there was nothing to open yet it is `Unavailable` and says so. A certificate that is expired or of another name is
//! `Unavailable`: nothing was sent and nothing is known about the service, and asking again is
//! harmless; the error's text or a source says "certificate", so that whoever reads it knows what to mend.
//! Refused credentials are `PermissionDenied` after at most one new login. A refusal that the service did not
//! word says nothing about keys and ciphertexts: it comes from something between.
//!
//! The suite needs the executor of the provider, real time and the provider's own deadline. Left to
//! others: retries (the layers of `vault-crypto-core`), faults that are a service's own.

use std::time::{Duration, UNIX_EPOCH};

use vault_crypto_core::ErrorKind::{
    AuthenticationFailed, PermissionDenied, Throttled, TimedOut, Unavailable,
};
use vault_crypto_core::{ErrorKind, Operation};

use super::{Case, Failure, PROVED, Report, Verdict, cases, ensure, not_applicable};
use crate::proxy::{FaultProxy, HttpFault, Match};

mod between;
mod calls;
mod fixture;
mod judge;
mod mixed;
mod mutations;
mod together;

pub use fixture::{CANARY, ServiceShape, TransportFixture};

use calls::{Done, OPERATIONS, Sample};
use judge::Judge;

/// Every case of this suite.
pub const CASES: &[Case<TransportFixture>] = cases! { TransportFixture;
    "Transport" {
        "An answer later than the deadline is `TimedOut`, at the deadline." => late_answers_time_out,
        "An answer that never comes is `TimedOut`, at the deadline." => hanging_calls_time_out,
        "An answer that comes byte by byte is `TimedOut`, at the deadline." => trickling_answers_time_out,
        "A refused connection is `Unavailable`, and its return is noticed." => refused_connections,
        "A connection reset before the answer is `Unavailable`, whether the service did the work or not." => resets,
        "The service's own throttling is `Throttled`." => throttling,
        "Where the service says how long to wait, `retry_after` says it too." => throttling_with_a_time,
        "The service's own failures are `Unavailable`." => failures_of_the_service,
        "An answer cut off, garbled or empty is `Unavailable`, never a wrong answer." => broken_answers,
        "Another key's answer is `AuthenticationFailed` to what opens and else `Unavailable`, which says so; where no key is named, it does not open." => answers_of_another_key,
        "Credentials refused for good are `PermissionDenied`, after few calls." => refused_credentials,
        "Credentials refused once are `PermissionDenied`, or the right answer where a new login is to be had." => credentials_refused_once,
        "A 400 or 404 that the service did not word is `Unavailable`." => between::refusals_are_nobodys,
        "A 413 is `LimitExceeded`, a 408 or 504 `TimedOut`, whoever answers." => between::limits_have_their_kinds,
        "What something between answers to a creation makes no second key and no new version." => between::creations_are_not_repeated,
        "A certificate of another name is `Unavailable` and says so." => wrong_certificates,
        "An expired certificate is `Unavailable` and says so." => expired_certificates,
        "A service whose clock is years off is served as ever." => clock_skew,
        "A mutation whose answer was lost is not repeated." => mutations::are_not_repeated,
        "Of many mixed calls with faults among them each is answered rightly or fails by its kind, in time." => mixed::are_right_or_typed,
    }
};

/// Runs every case, one after another: some 20 times the provider's deadline, plus the mixed calls.
///
/// A case that does not apply is broken unless the fixture [leaves it out](TransportFixture::leaving_out).
pub async fn run_all(fixture: &TransportFixture) -> Report {
    let report = Report::of(CASES, fixture).await;
    fixture.proxy.clear();
    report.leaving_out(&fixture.left_out)
}

/// Meets every operation once with `fault`, one after another, and sees it recover.
async fn each(
    fixture: &TransportFixture,
    fault: &HttpFault,
    kinds: &[ErrorKind],
) -> Result<Vec<vault_crypto_core::CryptoError>, Failure> {
    let sample = Sample::new(fixture).await?;
    let judge = Judge::new(fixture, &sample);
    let mut errors = Vec::new();
    for operation in OPERATIONS {
        let before = fixture.proxy.calls().len();
        fixture.proxy.on(Match::any()).fault(fault.clone());
        let attempt = judge.attempt(operation).await?;
        let met = fixture.proxy.calls().iter().skip(before).any(|call| call.fault.is_some());
        fixture.proxy.clear();
        let name = operation.as_str();
        ensure(met, &format!("{name} sent nothing through the proxy"))?;
        errors.push(judge.failed(operation, attempt, kinds, &format!("{fault:?}"))?);
        judge.recovers(operation).await?;
    }
    Ok(errors)
}

/// All operations at once against `fault`: each ends at the deadline.
async fn at_the_deadline(fixture: &TransportFixture, fault: HttpFault) -> Verdict {
    let sample = Sample::new(fixture).await?;
    let judge = Judge::new(fixture, &sample);
    fixture.proxy.on(Match::any()).always().fault(fault.clone());
    let attempts = OPERATIONS.map(|operation| judge.attempt(operation));
    let attempts = together::all(attempts.into_iter().collect()).await;
    fixture.proxy.clear();
    for (operation, attempt) in OPERATIONS.into_iter().zip(attempts) {
        judge.failed(operation, attempt?, &[TimedOut], &format!("{fault:?}"))?;
    }
    for operation in OPERATIONS {
        judge.recovers(operation).await?;
    }
    PROVED
}

async fn late_answers_time_out(fixture: &TransportFixture) -> Verdict {
    at_the_deadline(fixture, HttpFault::Latency(fixture.patience() * 2)).await
}

async fn hanging_calls_time_out(fixture: &TransportFixture) -> Verdict {
    at_the_deadline(fixture, HttpFault::Hang).await
}

async fn trickling_answers_time_out(fixture: &TransportFixture) -> Verdict {
    // The shortest answers have some twenty bytes.
    at_the_deadline(fixture, HttpFault::SlowLoris(fixture.shape.deadline / 4)).await
}

async fn refused_connections(fixture: &TransportFixture) -> Verdict {
    let sample = Sample::new(fixture).await?;
    let judge = Judge::new(fixture, &sample);
    for operation in OPERATIONS {
        fixture.proxy.stop();
        let attempt = judge.attempt(operation).await;
        let opened = fixture.proxy.listen_again();
        ensure(opened.is_ok(), "the proxy's port was taken meanwhile")?;
        judge.failed(operation, attempt?, &[Unavailable], "refused")?;
        judge.recovers(operation).await?;
    }
    PROVED
}

async fn resets(fixture: &TransportFixture) -> Verdict {
    for fault in [HttpFault::ResetBefore, HttpFault::ResetAfter] {
        each(fixture, &fault, &[Unavailable]).await?;
    }
    PROVED
}

async fn throttling(fixture: &TransportFixture) -> Verdict {
    let answer = fixture.shape.planted(&fixture.shape.throttled)?;
    for error in each(fixture, &HttpFault::Answer(answer), &[Throttled]).await? {
        ensure(error.retry_after().is_none(), "a time to wait that nobody said")?;
    }
    PROVED
}

async fn throttling_with_a_time(fixture: &TransportFixture) -> Verdict {
    let Some((answer, wait)) = &fixture.shape.throttled_for else {
        return not_applicable("the service never says how long to wait");
    };
    let answer = fixture.shape.planted(answer)?;
    for error in each(fixture, &HttpFault::Answer(answer), &[Throttled]).await? {
        let (said, name) = (error.retry_after(), error.operation().as_str());
        ensure(said == Some(*wait), &format!("{name} says {said:?}, the service {wait:?}"))?;
    }
    PROVED
}

async fn failures_of_the_service(fixture: &TransportFixture) -> Verdict {
    ensure(!fixture.shape.failing.is_empty(), "the shape names no failure of the service")?;
    for answer in &fixture.shape.failing {
        let answer = fixture.shape.planted(answer)?;
        each(fixture, &HttpFault::Answer(answer), &[Unavailable]).await?;
    }
    PROVED
}

async fn broken_answers(fixture: &TransportFixture) -> Verdict {
    let faults = [
        HttpFault::Truncate(0),
        HttpFault::Truncate(7),
        HttpFault::Garbage,
        HttpFault::edit(|body| body.truncate(body.len() / 2)),
        HttpFault::edit(|body| *body = format!("<html>{CANARY}</html>").into_bytes()),
        HttpFault::edit(|body| *body = format!("{{\"message\":\"{CANARY}\"}}").into_bytes()),
    ];
    for fault in faults {
        each(fixture, &fault, &[Unavailable]).await?;
    }
    PROVED
}

async fn answers_of_another_key(fixture: &TransportFixture) -> Verdict {
    let Some(other_key) = &fixture.other_key else {
        return not_applicable("no second key was given");
    };
    let sample = Sample::new(fixture).await?;
    let other = Sample::of(fixture, other_key).await?;
    let (judge, elsewhere) = (Judge::new(fixture, &sample), Judge::new(fixture, &other));
    for operation in OPERATIONS {
        let Some((unnamed, kind)) = named_by(operation) else { continue };
        let named = !fixture.shape.unnamed.contains(&unnamed);
        if !named && kind == AuthenticationFailed {
            continue; // An answer of bytes alone cannot tell whose they are; the message's own tag does.
        }
        fixture.proxy.record();
        elsewhere.right(operation, elsewhere.attempt(operation).await?).await?;
        fixture.proxy.replay(fixture.proxy.recorded().into_iter().take(1).collect());
        let attempt = judge.attempt(operation).await?;
        fixture.proxy.clear();
        if named || attempt.outcome.is_err() {
            let error = judge.failed(operation, attempt, &[kind], "another key's")?;
            let says = error.detail().is_some_and(|text| text.contains("answered for another key"));
            let name = operation.as_str();
            ensure(
                says || kind != Unavailable,
                &format!("{name} does not say that it was another key's"),
            )?;
        } else {
            judge.does_not_open(operation, attempt).await?;
        }
        judge.recovers(operation).await?;
    }
    PROVED
}

/// By which operation's name the shape says that this one's answer names no key, and the kind of error
/// when it names another. Rewrapping is made of these.
fn named_by(operation: Operation) -> Option<(Operation, ErrorKind)> {
    match operation {
        Operation::WrapDataKey | Operation::Encrypt => Some((Operation::WrapDataKey, Unavailable)),
        Operation::DecryptDataKey | Operation::Decrypt => {
            Some((Operation::DecryptDataKey, AuthenticationFailed))
        }
        Operation::GenerateDataKey | Operation::DescribeKey => Some((operation, Unavailable)),
        _ => None,
    }
}

async fn refused_credentials(fixture: &TransportFixture) -> Verdict {
    const FEW: usize = 4;
    let answer = fixture.shape.planted(&fixture.shape.refused)?;
    let sample = Sample::new(fixture).await?;
    let judge = Judge::new(fixture, &sample);
    for operation in OPERATIONS {
        let before = fixture.proxy.calls().len();
        fixture.proxy.on(Match::any()).always().fault(HttpFault::Answer(answer.clone()));
        let attempt = judge.attempt(operation).await?;
        let calls = fixture.proxy.calls().len() - before;
        fixture.proxy.clear();
        judge.failed(operation, attempt, &[PermissionDenied], "refused credentials")?;
        let name = operation.as_str();
        ensure(calls <= FEW, &format!("{name} asked {calls} times with credentials refused"))?;
        judge.recovers(operation).await?;
    }
    PROVED
}

async fn credentials_refused_once(fixture: &TransportFixture) -> Verdict {
    let answer = fixture.shape.planted(&fixture.shape.refused)?;
    let sample = Sample::new(fixture).await?;
    let judge = Judge::new(fixture, &sample);
    for operation in OPERATIONS {
        fixture.proxy.on(Match::any()).fault(HttpFault::Answer(answer.clone()));
        let attempt = judge.attempt(operation).await?;
        fixture.proxy.clear();
        if fixture.new_logins {
            judge.right(operation, attempt).await?;
        } else {
            judge.failed(operation, attempt, &[PermissionDenied], "credentials refused once")?;
        }
        judge.recovers(operation).await?;
    }
    PROVED
}

async fn clock_skew(fixture: &TransportFixture) -> Verdict {
    let sample = Sample::new(fixture).await?;
    let judge = Judge::new(fixture, &sample);
    for years in [20, 80] {
        let then = UNIX_EPOCH + Duration::from_secs(years * 31_557_600);
        fixture.proxy.on(Match::any()).always().fault(HttpFault::date(then));
        for operation in OPERATIONS {
            judge.right(operation, judge.attempt(operation).await?).await?;
        }
        fixture.proxy.clear();
    }
    PROVED
}

async fn wrong_certificates(fixture: &TransportFixture) -> Verdict {
    certificates(fixture, FaultProxy::serve_wrong_name).await
}

async fn expired_certificates(fixture: &TransportFixture) -> Verdict {
    certificates(fixture, FaultProxy::serve_expired_certificate).await
}

async fn certificates(fixture: &TransportFixture, serve: fn(&FaultProxy)) -> Verdict {
    if !fixture.proxy.has_tls() {
        return not_applicable("the proxy speaks plain HTTP to this client");
    }
    let sample = Sample::new(fixture).await?;
    let judge = Judge::new(fixture, &sample);
    for operation in [Operation::GenerateDataKey, Operation::DescribeKey] {
        serve(&fixture.proxy);
        let before = fixture.proxy.calls().len();
        let attempt = judge.attempt(operation).await;
        let calls = fixture.proxy.calls().len() - before;
        fixture.proxy.serve_right_certificate();
        let error = judge.failed(operation, attempt?, &[Unavailable], "a wrong certificate")?;
        ensure(calls == 0, "a call was sent to a server that had not proved its name")?;
        let said = judge::chain(&error).to_lowercase().contains("certificate");
        ensure(said, "neither the error nor a source says that it is the certificate")?;
        judge.recovers(operation).await?;
    }
    PROVED
}
