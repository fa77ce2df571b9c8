//! Lists of the service, read page by page to their end, which must come.
//!
//! Left to others: what is in them.

use std::collections::HashSet;

use azure_core::http::pager::Page;
use azure_core::http::{DeserializeWith, JsonFormat, Pager};
#[cfg(feature = "admin")]
use azure_security_keyvault_keys::models::{DeletedKeyProperties, ListDeletedKeyPropertiesResult};
use azure_security_keyvault_keys::models::{KeyProperties, ListKeyPropertiesResult};
use futures_util::TryStreamExt as _;
use vault_crypto_core::ErrorKind;

use crate::error::{Fault, classify};
use crate::provider::AzureKmsProvider;

/// Most pages of one list.
const MAX_PAGES: usize = 10_000;

/// A page as both kinds of lists have it.
pub(crate) trait Listed: Page + DeserializeWith<JsonFormat> + Send {
    /// What is on it, and where the next one is.
    fn into_parts(self) -> (Vec<Self::Item>, Option<String>);
}

impl Listed for ListKeyPropertiesResult {
    fn into_parts(self) -> (Vec<KeyProperties>, Option<String>) {
        (self.value, self.next_link)
    }
}

#[cfg(feature = "admin")]
impl Listed for ListDeletedKeyPropertiesResult {
    fn into_parts(self) -> (Vec<DeletedKeyProperties>, Option<String>) {
        (self.value, self.next_link)
    }
}

impl AzureKmsProvider {
    /// The items of a list, which may be a page more than `most`.
    pub(crate) async fn all_of<P: Listed>(
        &self,
        pager: azure_core::Result<Pager<P>>,
        most: usize,
    ) -> Result<Vec<P::Item>, Fault> {
        let (mut all, mut links) = (Vec::new(), Links::default());
        let mut pages = pager.map_err(|error| classify(&error, &*self.clock))?.into_pages();
        while let Some(page) = self.ask(pages.try_next()).await? {
            let page: P = page.into_model().map_err(|error| classify(&error, &*self.clock))?;
            let (items, link) = page.into_parts();
            all.extend(items);
            if all.len() > most {
                break;
            }
            links.note(link)?;
        }
        Ok(all)
    }
}

/// The links that were followed.
#[derive(Default)]
struct Links(HashSet<String>);

impl Links {
    fn note(&mut self, link: Option<String>) -> Result<(), Fault> {
        let Some(link) = link.filter(|link| !link.is_empty()) else { return Ok(()) };
        if self.0.len() >= MAX_PAGES || !self.0.insert(link) {
            return Err(Fault::new(
                ErrorKind::Unavailable,
                "the vault's list does not end: a page leads back to one before, or there are over 10,000",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_or_is_given_up() {
        let mut links = Links::default();
        links.note(None).unwrap();
        links.note(Some(String::new())).unwrap();
        for page in 0..MAX_PAGES {
            links.note(Some(page.to_string())).unwrap();
        }
        assert_eq!(links.note(Some("one more".into())).unwrap_err().kind, ErrorKind::Unavailable);
        let mut links = Links::default();
        links.note(Some("a".into())).unwrap();
        links.note(Some("b".into())).unwrap();
        assert_eq!(links.note(Some("a".into())).unwrap_err().kind, ErrorKind::Unavailable);
    }
}
