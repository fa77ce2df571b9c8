//! Lists that come in pages, and a service that never ends one.
//!
//! Left to others: what is listed.

use std::collections::HashSet;

use vault_crypto_core::Result;

use crate::error::broken_answer;

/// Most pages of one list.
const MAX_PAGES: usize = 10_000;

/// Which page comes next.
#[derive(Default)]
pub(crate) struct Pages {
    token: String,
    seen: HashSet<String>,
}

impl Pages {
    /// What asks for the page; empty for the first one.
    pub(crate) fn token(&self) -> String {
        self.token.clone()
    }

    /// Goes to the page that `next` asks for; `false` at the end of the list.
    pub(crate) fn turn(&mut self, next: String) -> Result<bool> {
        if next.is_empty() {
            return Ok(false);
        }
        if self.seen.len() == MAX_PAGES - 1 || !self.seen.insert(next.clone()) {
            return Err(broken_answer("the service's list does not end"));
        }
        self.token = next;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use vault_crypto_core::ErrorKind;

    use super::*;

    #[test]
    fn a_list_ends_by_itself_or_as_an_error() {
        let mut pages = Pages::default();
        assert_eq!(pages.token(), "");
        assert!(pages.turn("a".into()).unwrap() && pages.turn("b".into()).unwrap());
        assert_eq!(pages.token(), "b");
        assert!(!pages.turn(String::new()).unwrap());
        assert_eq!(pages.turn("a".into()).unwrap_err().kind(), ErrorKind::Unavailable);
        let mut pages = Pages::default();
        let turned = (1..).take_while(|page| pages.turn(page.to_string()).is_ok()).count();
        assert_eq!(turned + 1, 10_000, "pages, the first included");
    }
}
