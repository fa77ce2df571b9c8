//! The cache of data keys: sealing within budgets, opening without a call for what was opened before.
//!
//! Left to others: where data keys come from (`source`), who may open (`allowed`), bodies (`body`).

mod invalidation;
mod source;

pub use invalidation::Invalidation;
#[expect(unused_imports, reason = "the cache itself comes next")]
pub(crate) use source::{Fetch, Headers, KeySource, SourcedKey};
