//! Pages of lists: <https://google.aip.dev/158>.
//!
//! Left to others: what is listed, and in which order.

use tonic::Status;

use super::state::State;
use super::status;

/// "If unspecified, the server will pick an appropriate default."
const DEFAULT: usize = 100;
const LARGEST: usize = 1000;
/// What a token looks like; it means nothing to a client.
const TOKEN: &str = "vaultkit-page-";

/// A part of a list.
pub(super) struct Page<'a, T> {
    pub(super) items: &'a [T],
    /// The token of the next page, empty on the last.
    pub(super) next: String,
    pub(super) total: i32,
}

/// The page of `all` that `token` names. `asked`: filter and order, which are not here.
pub(super) fn page<'a, T>(
    state: &State,
    all: &'a [T],
    size: i32,
    token: &str,
    asked: [&str; 2],
) -> Result<Page<'a, T>, Status> {
    if asked.iter().any(|text| !text.is_empty()) {
        return Err(Status::unimplemented("filters and orders"));
    }
    let size = usize::try_from(size)
        .map_err(|_| status::invalid("The page_size must not be negative."))?;
    let size = if size == 0 { DEFAULT } else { size.min(LARGEST) };
    let total = i32::try_from(all.len()).unwrap_or(i32::MAX);
    if token.is_empty() && state.knobs.empty_first_pages {
        return Ok(Page { items: &[], next: format!("{TOKEN}0"), total });
    }
    let start = match token.strip_prefix(TOKEN) {
        None if token.is_empty() => Some(0),
        digits => digits.and_then(|digits| digits.parse().ok()),
    };
    let start = start.filter(|start| *start <= all.len());
    let start: usize = start.ok_or_else(|| status::invalid("The page_token is not valid."))?;
    let end = all.len().min(start + size);
    let next = match end < all.len() {
        _ if state.knobs.endless_lists => format!("{TOKEN}0"),
        true => format!("{TOKEN}{end}"),
        false => String::new(),
    };
    Ok(Page { items: all.get(start..end).unwrap_or_default(), next, total })
}
