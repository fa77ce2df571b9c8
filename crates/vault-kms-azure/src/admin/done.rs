//! What a change of several calls has done so far: it stands in the error that ends it half-way.
//!
//! Left to others: undoing it.

use std::sync::{Mutex, PoisonError};

use crate::error::Fault;

/// Nothing, until told otherwise.
#[derive(Default)]
pub(super) struct Done(Mutex<Option<&'static str>>);

impl Done {
    /// From now on this has happened; `None`: nothing, or it was taken back.
    pub(super) fn is(&self, done: Option<&'static str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = done;
    }

    /// `fault`, which came after it.
    pub(super) fn before(&self, fault: Fault) -> Fault {
        fault.after(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
