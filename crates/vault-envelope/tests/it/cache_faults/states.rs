//! An envelope whose cache is in some state, and what becomes of an operation when a fault comes then.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use vault_crypto_core::layers::{Layered, TimeoutLayer};
use vault_crypto_core::locked::{LockPolicy, LockedPool};
use vault_crypto_core::{EncryptedData, ErrorKind};
use vault_envelope::{CachePolicy, EnvelopeEncryption};
use vault_testkit::VirtualClock;

use super::LATER;
use super::kms::{Fault, Service};
use crate::it::support::context;

const SECOND: Duration = Duration::from_secs(1);
/// Longer than the slow take, with the way there.
const PATIENCE: Duration = Duration::from_secs(2);
/// Beyond the 300 s of both defaults, and within the staleness that is allowed where it is.
const OVER: Duration = Duration::from_secs(310);
const STALE_FOR: Duration = Duration::from_secs(600);
/// Beyond 80 % of 300 s, with room for what comes later.
const DUE: Duration = Duration::from_secs(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Open,
    Seal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Cold,
    Warm,
    Due,
    Over,
    StaleAllowed,
    Refused,
    InvalidatedMidFill,
    Forked,
    Uncached,
}

/// One envelope over one service.
pub(crate) struct World {
    clock: VirtualClock,
    service: Arc<Service>,
    envelope: EnvelopeEncryption,
    side: Side,
    state: State,
    /// Sealed elsewhere, for opening here.
    foreign: EncryptedData,
    /// Sealed here.
    sealed: RefCell<Vec<EncryptedData>>,
}

impl World {
    pub(crate) fn new(side: Side, state: State) -> Self {
        let clock = VirtualClock::new();
        let service = Service::new(&clock);
        let patience = TimeoutLayer::new(PATIENCE, Arc::new(clock.clone()));
        let kms = Arc::new(Layered::new(service.clone(), patience));
        let mut policy = CachePolicy::default();
        if state == State::StaleAllowed {
            policy = policy.with_stale_for(STALE_FOR);
        }
        let builder = EnvelopeEncryption::builder(kms, service.key())
            .clock(Arc::new(clock.clone()))
            .memory(LockedPool::new(LockPolicy::Off, 64 * 1024).unwrap())
            .cache(policy);
        let builder = if state == State::Uncached { builder.without_cache() } else { builder };
        let elsewhere = EnvelopeEncryption::new(service.well(), service.key());
        let foreign = clock.run(elsewhere.encrypt(b"value", &context())).unwrap();
        let envelope = builder.build().unwrap();
        let sealed = RefCell::default();
        let world = Self { clock, service, envelope, side, state, foreign, sealed };
        world.prepare();
        world
    }

    fn prepare(&self) {
        let age = match self.state {
            State::Cold | State::InvalidatedMidFill | State::Uncached => return,
            State::Refused => {
                self.service.refuse_once();
                assert_eq!(self.operate(), "permission_denied 1");
                return;
            }
            State::Warm | State::Forked => 10 * SECOND,
            State::Due => DUE,
            State::Over | State::StaleAllowed => OVER,
        };
        assert_eq!(self.operate(), "new 1");
        assert_eq!(self.operate(), "kept 0");
        self.clock.advance(age);
    }

    /// What becomes of an operation while `fault` lasts, and of the same one later, when it is over.
    pub(crate) fn meet(&self, fault: Fault) -> String {
        if self.state == State::Forked {
            return in_a_child(|| self.meet_here(fault));
        }
        self.meet_here(fault)
    }

    fn meet_here(&self, fault: Fault) -> String {
        self.service.begin(fault);
        let during = self.operate();
        self.service.end(fault);
        self.clock.advance(LATER);
        let later = self.operate_undisturbed();
        self.all_opens_elsewhere();
        format!("{during}, {later}")
    }

    /// The outcome, and the number of calls it took.
    fn operate(&self) -> String {
        self.operate_with(self.state == State::InvalidatedMidFill)
    }

    fn operate_undisturbed(&self) -> String {
        self.operate_with(false)
    }

    fn operate_with(&self, disturbed: bool) -> String {
        let (calls, truths) = self.service.counts();
        let stale = self.envelope.cache().stats().stale_uses;
        let outcome = self.outcome(disturbed);
        let (all_calls, all_truths) = self.service.counts();
        let outcome = match outcome {
            Err(kind) => kind.as_str(),
            Ok(()) if self.envelope.cache().stats().stale_uses > stale => "stale",
            Ok(()) if all_truths > truths => "new",
            Ok(()) => "kept",
        };
        format!("{outcome} {}", all_calls - calls)
    }

    fn outcome(&self, disturbed: bool) -> Result<(), ErrorKind> {
        let context = context();
        match self.side {
            Side::Open => {
                let opening = self.envelope.decrypt(&self.foreign, &context);
                let opened = self.run(opening, disturbed).map_err(|error| error.kind())?;
                assert_eq!(opened, b"value");
            }
            Side::Seal => {
                let sealing = self.envelope.encrypt(b"value", &context);
                let sealed = self.run(sealing, disturbed).map_err(|error| error.kind())?;
                self.sealed.borrow_mut().push(sealed);
            }
        }
        Ok(())
    }

    /// Nothing that was sealed is lost, whatever went wrong: another process opens it.
    fn all_opens_elsewhere(&self) {
        let elsewhere = EnvelopeEncryption::new(self.service.well(), self.service.key());
        for sealed in self.sealed.borrow().iter() {
            let opened = self.clock.run(elsewhere.decrypt(sealed, &context())).unwrap();
            assert_eq!(opened, b"value");
        }
    }

    fn run<F: Future>(&self, future: F, disturbed: bool) -> F::Output {
        let mut future = pin!(future);
        if disturbed {
            let mut waiting = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut waiting).is_pending(), "a call is under way");
            self.envelope.cache().invalidate_all();
        }
        self.clock.run(future)
    }
}

/// What `work` says in a forked child, which is killed after 10 seconds.
#[expect(unsafe_code, reason = "the test forks")]
fn in_a_child(work: impl FnOnce() -> String) -> String {
    let (mut reading, mut writing) = std::io::pipe().unwrap();
    // SAFETY: the child uses only its own thread and what glibc allows after a fork (allocation), and
    // leaves by `_exit` without unwinding into the test harness.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: sets a timer of this process.
        unsafe { libc::alarm(10) };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            writing.write_all(work().as_bytes()).unwrap();
        }));
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(if done.is_ok() { 0 } else { 1 }) };
    }
    drop(writing);
    let mut said = String::new();
    reading.read_to_string(&mut said).unwrap();
    let mut status = 0;
    // SAFETY: waits for our child and writes to a local.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child hung or failed: {said}");
    said
}
