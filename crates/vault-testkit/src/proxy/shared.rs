//! What the test and the proxy's thread both see: rules, calls, the certificate of the hour.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::request::Parts;
use rustls::ServerConfig;
use tokio::sync::watch;

use super::answer::Answer;
use super::fault::HttpFault;
use super::rules::Rules;
use super::upstream::Upstream;

/// One call as the proxy saw it. Bodies and credentials are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// `GET`, `POST`, ...; `CONNECT` for a raw connection.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The header `X-Amz-Target`, where there is one.
    pub target: Option<String>,
    /// What the client was answered; `None` while it waits, and for good where the answer was lost.
    pub status: Option<u16>,
    /// The server saw it.
    pub forwarded: bool,
    /// The fault that it met.
    pub fault: Option<&'static str>,
    /// Which connection it came on, counted from 1.
    pub connection: u64,
}

pub(super) struct Shared {
    pub(super) upstream: Upstream,
    pub(super) accepted: AtomicU64,
    pub(super) open: AtomicU64,
    rules: Mutex<Rules>,
    calls: Mutex<Vec<Call>>,
    tape: Mutex<Option<Vec<Answer>>>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    generation: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            rules: Mutex::default(),
            calls: Mutex::default(),
            tape: Mutex::default(),
            tls: Mutex::default(),
            generation: watch::Sender::new(0),
        }
    }

    pub(super) fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.rules)
    }

    pub(super) fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        lock(&self.calls)
    }

    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        lock(&self.tls).clone()
    }

    pub(super) fn set_tls(&self, config: Arc<ServerConfig>) {
        *lock(&self.tls) = Some(config);
    }

    /// Ends every connection that listens to [`generation`](Self::generation).
    pub(super) fn hang_up(&self) {
        self.generation.send_modify(|number| *number += 1);
    }

    pub(super) fn generation(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Writes the call down and says what is to happen to it.
    pub(super) fn begin(&self, parts: &Parts, connection: u64) -> (usize, Option<HttpFault>) {
        let fault = self.rules().decide(parts);
        let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        let path = parts.uri.path_and_query().map(ToString::to_string);
        let mut calls = self.calls();
        calls.push(Call {
            method: parts.method.to_string(),
            path: path.unwrap_or_default(),
            target: target.map(ToOwned::to_owned),
            status: None,
            forwarded: false,
            fault: fault.as_ref().map(HttpFault::name),
            connection,
        });
        (calls.len() - 1, fault)
    }

    pub(super) fn forwarded(&self, call: usize) {
        self.note(call, |call| call.forwarded = true);
    }

    pub(super) fn answered(&self, call: usize, status: u16) {
        self.note(call, |call| call.status = Some(status));
    }

    fn note(&self, call: usize, what: impl FnOnce(&mut Call)) {
        self.calls().get_mut(call).map(what).unwrap_or_default();
    }

    pub(super) fn start_recording(&self) {
        *lock(&self.tape) = Some(Vec::new());
    }

    pub(super) fn stop_recording(&self) -> Vec<Answer> {
        lock(&self.tape).take().unwrap_or_default()
    }

    pub(super) fn is_recording(&self) -> bool {
        lock(&self.tape).is_some()
    }

    pub(super) fn keep(&self, answer: Answer) {
        if let Some(tape) = &mut *lock(&self.tape) {
            tape.push(answer);
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
