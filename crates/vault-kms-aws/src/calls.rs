//! How the service is asked: within one deadline, with one new login at most, and lists to their end but not for
//! ever.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use vault_crypto_core::{CryptoError, ErrorKind, KeyId, Operation, Result};

use crate::error::Fault;
use crate::names;
use crate::provider::AwsKmsProvider;

/// Most pages of one list.
const MAX_PAGES: usize = 10_000;

/// Part of a list, and the marker that asks for the next part, if there is one.
pub(crate) type Page<T> = (Vec<T>, Option<String>);

impl AwsKmsProvider {
    /// The deadline of a whole call of ours, with its logins and all that is asked for it. `None` if it passed.
    /// Beside it the renewal goes on, if there is one.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = T> + Send) -> Option<T> {
        let (mut work, mut end) = (pin!(work), self.clock.sleep(self.patience));
        let (logins, mut renewals) = (self.connection.logins(), Vec::new());
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            logins.drive(&mut renewals, cx);
            end.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    /// The same, where being late is nothing but that.
    pub(crate) async fn within<T>(
        &self,
        operation: Operation,
        key_id: Option<&KeyId>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let late = || Err(Fault::timed_out().into_error(operation, key_id));
        self.in_time(work).await.unwrap_or_else(late)
    }

    /// Calls the service.
    pub(crate) async fn ask<T, E, F>(
        &self,
        operation: Operation,
        key_id: Option<&KeyId>,
        call: impl Fn(aws_sdk_kms::Client) -> F + Send + Sync,
    ) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.try_ask(call).await.map_err(|fault| fault.into_error(operation, key_id))
    }

    /// Where the credentials are refused as stale, logs in anew and calls once more: such a call did nothing, so
    /// this is right for mutations too.
    pub(crate) async fn try_ask<T, E, F>(
        &self,
        call: impl Fn(aws_sdk_kms::Client) -> F + Send + Sync,
    ) -> std::result::Result<T, Fault>
    where
        F: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let login = self.connection.logins().number();
        let fault = match call(self.connection.client()).await {
            Ok(answer) => {
                self.connection.logins().served();
                return Ok(answer);
            }
            Err(error) => Fault::of(&error, self.clock.now()),
        };
        if !fault.stale_login || !self.connection.log_in_anew(login) {
            return Err(fault);
        }
        let again = call(self.connection.client()).await;
        if again.is_ok() {
            self.connection.logins().served();
        }
        again.map_err(|error| Fault::of(&error, self.clock.now()))
    }

    /// All of a list whose `page` after a marker is asked for.
    pub(crate) async fn list<T, F>(
        &self,
        operation: Operation,
        key_id: Option<&KeyId>,
        page: impl Fn(Option<String>) -> F + Send + Sync,
    ) -> Result<Vec<T>>
    where
        T: Send,
        F: Future<Output = Result<Page<T>>> + Send,
    {
        let endless = || {
            let error = CryptoError::new(ErrorKind::Unavailable, operation).with_detail(
                "the service's list does not end: a marker comes again, or more than 10000 pages",
            );
            key_id.into_iter().fold(error, CryptoError::with_key_id)
        };
        whole(page).await?.ok_or_else(endless)
    }

    /// The name of a key, checked.
    pub(crate) fn check<'a>(
        &self,
        operation: Operation,
        key_id: &'a KeyId,
    ) -> Result<names::Name<'a>> {
        names::check(operation, key_id, self.connection.region())
    }
}

/// All pages, or `None` where they do not end.
async fn whole<T, F>(page: impl Fn(Option<String>) -> F) -> Result<Option<Vec<T>>>
where
    F: Future<Output = Result<Page<T>>>,
{
    let (mut all, mut seen, mut marker) = (Vec::new(), HashSet::new(), None);
    for _ in 0..MAX_PAGES {
        let (items, next) = page(marker).await?;
        all.extend(items);
        let Some(next) = next.filter(|next| !next.is_empty()) else { return Ok(Some(all)) };
        if !seen.insert(next.clone()) {
            return Ok(None);
        }
        marker = Some(next);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages that name the next one by `next`, up to the 15,000th.
    async fn walk(next: fn(usize) -> usize) -> Option<Vec<usize>> {
        let page = |marker: Option<String>| async move {
            let number = marker.map_or(0, |marker| marker.parse().expect("a number"));
            let then = next(number);
            Ok((vec![number], (then < 15_000).then(|| then.to_string())))
        };
        whole(page).await.expect("pages")
    }

    #[tokio::test]
    async fn a_list_ends_or_is_given_up() {
        assert_eq!(walk(|_| 15_000).await, Some(vec![0]));
        assert_eq!(
            walk(|n| if n < 9_999 { n + 1 } else { 15_000 }).await.map(|all| all.len()),
            Some(MAX_PAGES)
        );
        assert_eq!(walk(|n| n + 1).await, None, "more pages than there can be");
        assert_eq!(walk(|n| (n + 1) % 3).await, None, "markers that come again");
        assert_eq!(walk(|n| n).await, None, "the same marker");
    }
}
