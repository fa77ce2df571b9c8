//! Many records in one call: one data key and one reservation of its budget, errors one by one, and as
//! many threads as the caller names.
//!
//! Left to others: one record (`seal`, `open`), and messages whose data key serves them alone.

use std::collections::HashMap;

use vault_crypto_core::{CryptoError, EncryptedData, EncryptionContext, Result, SecureBytes};

use super::entry::CachedKey;
use super::lease::Purse;
use super::local;
use super::open::front_of;
use super::stats::Count;
use super::store::Role;
use super::sync::Arc;
use super::uncached::OwnKey;
use crate::body::BodyRef;
use crate::hedge::{Attempt, together};
use crate::record::{Content, Frame};
use crate::{EnvelopeEncryption, MAX_RECORD_LEN};

/// Data keys in a row that had no budget left for anything.
const ROUNDS: usize = 8;
/// Data keys that are asked for at the same time.
const AT_ONCE: usize = 32;

impl EnvelopeEncryption {
    /// Seals each value, bound to its context, as [`encrypt`](Self::encrypt) does, under as few data keys
    /// as the budget allows: it is reserved in advance. Each value has its own result, in order.
    ///
    /// ```
    /// # fn main() -> Result<(), vault_crypto_core::CryptoError> {
    /// # use std::sync::Arc;
    /// # use vault_crypto_core::EncryptionContext;
    /// # use vault_envelope::EnvelopeEncryption;
    /// # use vault_testkit::{MemoryKms, VirtualClock};
    /// # let kms = MemoryKms::new();
    /// # let key = kms.add_key("orders")?;
    /// let envelope = EnvelopeEncryption::new(Arc::new(kms), key);
    /// let rows: Vec<EncryptionContext> =
    ///     (0..100).map(|row| EncryptionContext::from([("row", row.to_string())])).collect();
    /// let items: Vec<(&[u8], &EncryptionContext)> =
    ///     rows.iter().map(|row| (b"4111".as_slice(), row)).collect();
    /// let sealed = VirtualClock::new().run(envelope.encrypt_batch(&items));
    /// assert!(sealed.iter().all(Result::is_ok));
    /// assert_eq!(envelope.cache().stats().kms_calls, 1);
    /// # Ok(()) }
    /// ```
    pub async fn encrypt_batch<P: AsRef<[u8]> + Sync>(
        &self,
        items: &[(P, &EncryptionContext)],
    ) -> Vec<Result<EncryptedData>> {
        self.encrypt_batch_with(items, 1).await
    }

    /// As [`encrypt_batch`](Self::encrypt_batch) on so many threads, which end with the work. It keeps the
    /// thread that drives the future busy as long; an executor that minds should drive it where blocking
    /// is allowed.
    pub async fn encrypt_batch_with<P: AsRef<[u8]> + Sync>(
        &self,
        items: &[(P, &EncryptionContext)],
        threads: usize,
    ) -> Vec<Result<EncryptedData>> {
        let mut results = Results::of(items.len());
        let (mut shared, mut alone) = (Vec::new(), Vec::new());
        for (index, (plaintext, context)) in items.iter().enumerate() {
            let plaintext = plaintext.as_ref();
            match self.content(plaintext, context) {
                Ok(content) if self.may_share(plaintext.len()) => shared.push((index, content)),
                Ok(_) => alone.push((index, (plaintext, *context))),
                Err(error) => results.put(index, Err(error)),
            }
        }
        let (mut own, mut rounds) = (None, 0);
        while !shared.is_empty() && rounds < ROUNDS {
            let key = match self.key_for_batch(&mut own).await {
                Ok(key) => key,
                Err(error) => {
                    shared
                        .drain(..)
                        .for_each(|(index, _)| results.put(index, Err(error.duplicate())));
                    break;
                }
            };
            let lens = shared.iter().map(|(_, content)| content.plaintext.len() as u64);
            let count = key.purse().map_or(0, |purse| purse.reserve(lens, shared.len() as u64));
            if count == 0 {
                // Nothing is left of it.
                self.retire(&key);
                (own, rounds) = (None, rounds + 1);
                continue;
            }
            let rest = shared.split_off(usize::try_from(count).unwrap_or(shared.len()));
            let sealed = in_parallel(&shared, threads, |jobs| self.seal_run(&key, jobs));
            let jobs = std::mem::replace(&mut shared, rest);
            rounds += usize::from(sealed.iter().any(Option::is_none));
            for (job, sealed) in jobs.into_iter().zip(sealed) {
                match sealed {
                    Some(sealed) => results.put(job.0, sealed),
                    // The key was taken away meanwhile.
                    None => shared.push(job),
                }
            }
        }
        for (index, (plaintext, context)) in alone {
            results.put(index, self.encrypt_alone(plaintext, context).await);
        }
        for (index, _) in shared {
            let Some((plaintext, context)) = items.get(index) else { continue };
            results.put(index, self.encrypt(plaintext.as_ref(), context).await);
        }
        results.all()
    }

    /// Opens each record with its context, as [`decrypt`](Self::decrypt) does, asking once for each data
    /// key. Each record has its own result, in order.
    pub async fn decrypt_batch<S: AsRef<[u8]> + Sync>(
        &self,
        items: &[(S, &EncryptionContext)],
    ) -> Vec<Result<SecureBytes>> {
        self.decrypt_batch_with(items, 1).await
    }

    /// As [`decrypt_batch`](Self::decrypt_batch) on so many threads, which end with the work; see
    /// [`encrypt_batch_with`](Self::encrypt_batch_with).
    pub async fn decrypt_batch_with<S: AsRef<[u8]> + Sync>(
        &self,
        items: &[(S, &EncryptionContext)],
        threads: usize,
    ) -> Vec<Result<SecureBytes>> {
        let mut results = Results::of(items.len());
        let mut jobs = Vec::with_capacity(items.len());
        let mut fronts: HashMap<&[u8], usize> = HashMap::new();
        let mut asked = Vec::new();
        for (index, (sealed, context)) in items.iter().enumerate() {
            let sealed = sealed.as_ref();
            match self.front_and_pairs(sealed, context) {
                Ok((front, pairs, keepable)) => {
                    let key = *fronts.entry(front).or_insert_with(|| {
                        asked.push((front, keepable));
                        asked.len() - 1
                    });
                    jobs.push(Sealed { index, key, sealed, pairs });
                }
                Err(error) => results.put(index, Err(error)),
            }
        }
        let mut keys = Vec::with_capacity(asked.len());
        for some in asked.chunks(AT_ONCE) {
            let mut asking: Vec<Attempt<'_, BatchKey>> = Vec::with_capacity(some.len());
            for (front, keepable) in some {
                asking.push(Box::pin(self.key_of(front, *keepable)));
            }
            let answers = together(asking, 0, None, &*self.shared.clock).await;
            keys.extend(answers.into_iter().flatten());
        }
        let opened = in_parallel(&jobs, threads, |jobs| open_run(&keys, jobs));
        for (job, opened) in jobs.iter().zip(opened) {
            let Some((sealed, context)) = items.get(job.index) else { continue };
            let opened = match opened {
                Some(opened) => opened,
                // The key was taken away meanwhile.
                None => self.decrypt(sealed.as_ref(), context).await,
            };
            results.put(job.index, opened);
        }
        results.all()
    }

    fn content<'a>(
        &self,
        plaintext: &'a [u8],
        context: &'a EncryptionContext,
    ) -> Result<Content<'a>> {
        let (pairs, padding) = (context.canonical_pairs()?, self.shared.padding);
        if padding.padded_len(plaintext.len())? > MAX_RECORD_LEN {
            return Err(crate::envelope::too_long());
        }
        Ok(Content { plaintext, pairs, padding })
    }

    fn front_and_pairs<'a>(
        &self,
        sealed: &'a [u8],
        context: &'a EncryptionContext,
    ) -> Result<(&'a [u8], &'a [u8], bool)> {
        let keepable = self.check_front(&self.shared.cache, sealed)?;
        let front = front_of(sealed).ok_or_else(crate::chunks::defect)?;
        Ok((front, context.canonical_pairs()?, keepable))
    }

    /// The scope's data key, or one for this batch where there is no cache.
    async fn key_for_batch(&self, own: &mut Option<Arc<OwnKey>>) -> Result<BatchKey> {
        if let Some(holdings) = self.shared.cache.holdings() {
            return Ok(BatchKey::Cached(self.sealing_of(holdings).await?.key));
        }
        if let Some(own) = own {
            return Ok(BatchKey::Own(own.clone()));
        }
        let made = Arc::new(self.own_key().await?);
        *own = Some(made.clone());
        Ok(BatchKey::Own(made))
    }

    fn retire(&self, key: &BatchKey) {
        if let (BatchKey::Cached(key), Some(holdings)) = (key, self.shared.cache.holdings()) {
            holdings.sealings.remove(self.sealing_print(holdings), key);
        }
    }

    async fn key_of(&self, front: &[u8], keepable: bool) -> Result<BatchKey> {
        match self.shared.cache.holdings().filter(|_| keepable) {
            Some(holdings) => {
                let filled = self.opening_of(holdings, front).await?;
                if filled.kept {
                    let put = filled.key.clone();
                    local::with(&self.shared.cache, |level| level.put_opening(put));
                    filled.key.touch(Role::Opening);
                }
                Ok(BatchKey::Cached(filled.key))
            }
            None => Ok(BatchKey::Own(Arc::new(self.found_key(front).await?))),
        }
    }

    fn seal_run(
        &self,
        key: &BatchKey,
        jobs: &[(usize, Content<'_>)],
    ) -> Vec<Option<Result<EncryptedData>>> {
        let sealed = key.with(|body, frame| {
            let seal = |(_, content): &(usize, Content<'_>)| {
                let id = self.shared.random.nonce(self.shared.clock.monotonic())?;
                frame.seal_new(body, &id, *content)
            };
            jobs.iter().map(|job| Some(seal(job))).collect()
        });
        if let (Some(holdings), Some(_)) = (self.shared.cache.holdings(), &sealed) {
            holdings.census.add(Count::Hit, jobs.len() as u64);
        }
        sealed.unwrap_or_else(|| jobs.iter().map(|_| None).collect())
    }
}

/// A record of a batch, with the number of its key.
struct Sealed<'a> {
    index: usize,
    key: usize,
    sealed: &'a [u8],
    pairs: &'a [u8],
}

fn open_run(keys: &[Result<BatchKey>], jobs: &[Sealed<'_>]) -> Vec<Option<Result<SecureBytes>>> {
    let open = |job: &Sealed<'_>| match keys.get(job.key)? {
        Ok(key) => key.with(|body, frame| frame.open(body, job.sealed, job.pairs)),
        Err(error) => Some(Err(error.duplicate())),
    };
    jobs.iter().map(open).collect()
}

/// A data key in the cache, or one that this batch alone has.
enum BatchKey {
    Cached(Arc<CachedKey>),
    Own(Arc<OwnKey>),
}

impl BatchKey {
    fn purse(&self) -> Option<&Purse> {
        match self {
            Self::Cached(key) => key.purse.as_deref(),
            Self::Own(key) => Some(&key.purse),
        }
    }

    fn with<R>(&self, f: impl FnOnce(BodyRef<'_>, Frame<'_>) -> R) -> Option<R> {
        match self {
            Self::Cached(key) => key.with(|body| f(body, key.frame())),
            Self::Own(key) => Some(f(key.body.by_ref(), key.frame())),
        }
    }
}

/// Results that come out of order.
struct Results<T>(Vec<Option<Result<T>>>);

impl<T> Results<T> {
    fn of(len: usize) -> Self {
        Self((0..len).map(|_| None).collect())
    }

    fn put(&mut self, index: usize, result: Result<T>) {
        if let Some(place) = self.0.get_mut(index) {
            *place = Some(result);
        }
    }

    fn all(self) -> Vec<Result<T>> {
        let missing = || Err::<T, CryptoError>(crate::chunks::defect());
        self.0.into_iter().map(|result| result.unwrap_or_else(missing)).collect()
    }
}

/// Runs `run` over pieces of `jobs`, each on a thread of its own that ends with it; the first on this one.
fn in_parallel<J: Sync, R: Send>(
    jobs: &[J],
    threads: usize,
    run: impl Fn(&[J]) -> Vec<R> + Sync,
) -> Vec<R> {
    let each = jobs.len().div_ceil(threads.max(1)).max(1);
    let mut pieces = jobs.chunks(each);
    let first = pieces.next().unwrap_or_default();
    let run = &run;
    std::thread::scope(|scope| {
        let others: Vec<_> = pieces
            .map(|piece| {
                let thread = std::thread::Builder::new().spawn_scoped(scope, move || run(piece));
                (piece, thread)
            })
            .collect();
        let mut all = run(first);
        for (piece, thread) in others {
            match thread {
                Ok(thread) => match thread.join() {
                    Ok(some) => all.extend(some),
                    Err(panic) => std::panic::resume_unwind(panic),
                },
                // The system gives no more threads.
                Err(_) => all.extend(run(piece)),
            }
        }
        all
    })
}
