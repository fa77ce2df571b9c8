//! A cache put together from the core as `cache/ask.rs` and `cache/holdings.rs` do, over keys that are
//! numbers and a KMS that can be told to answer otherwise.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize as Count;
use std::sync::atomic::Ordering::SeqCst;

use shuttle::future::yield_now;

use crate::cache::flight::Flights;
use crate::cache::order::Orders;
use crate::cache::store::{Kept, Role, Store};
use crate::cache::sync::{Arc, AtomicBool, AtomicU64, Ordering};

/// The one thing that everybody wants.
pub const PRINT: u128 = 7;

/// What a KMS answered.
pub struct Key {
    /// The KMS's state when it answered: an invalidation follows each change of it.
    pub era: u64,
    shelved: AtomicBool,
    wiped: AtomicBool,
    touched: AtomicBool,
}

impl Key {
    pub fn new(era: u64) -> Arc<Self> {
        let [shelved, wiped, touched] = [(); 3].map(|()| AtomicBool::new(false));
        Arc::new(Self { era, shelved, wiped, touched })
    }

    /// Whether it was ever on a shelf.
    pub fn was_shelved(&self) -> bool {
        self.shelved.load(Ordering::SeqCst)
    }

    /// What the key is good for, if it was not taken away.
    pub fn use_it(&self) -> Option<u64> {
        self.touched.store(true, Ordering::SeqCst);
        (!self.is_wiped()).then_some(self.era)
    }

    pub fn is_wiped(&self) -> bool {
        self.wiped.load(Ordering::SeqCst)
    }
}

/// Everything from before this era.
pub struct Before(pub u64);

impl Kept for Key {
    type Order = Before;

    fn take_touch(&self, _: Role) -> bool {
        self.touched.swap(false, Ordering::SeqCst)
    }

    fn is_named_by(&self, order: &Before) -> bool {
        self.era < order.0
    }

    fn take_on(&self, _: Role) {
        assert!(!self.is_wiped(), "a wiped key was put on a shelf");
        self.shelved.store(true, Ordering::SeqCst);
    }

    fn let_go(&self, _: Role) {
        self.wiped.store(true, Ordering::SeqCst);
    }
}

/// The service: counts calls, answers with its era, refuses when told to.
#[derive(Default)]
pub struct Kms {
    pub calls: Count,
    era: AtomicU64,
    pub refuses: AtomicBool,
}

impl Kms {
    async fn call(&self) -> Result<u64, Refused> {
        self.calls.fetch_add(1, SeqCst);
        let era = self.era.load(Ordering::SeqCst);
        // On its way back; whatever happens meanwhile, this is what it says.
        yield_now().await;
        if self.refuses.load(Ordering::SeqCst) { Err(Refused) } else { Ok(era) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused;

type Answer = Result<Arc<Key>, Refused>;

/// The cache.
pub struct Cache {
    pub kms: Kms,
    pub flights: Arc<Flights<(u128, u64), Answer>>,
    pub store: Store<Key>,
    orders: Orders<Before>,
}

impl Cache {
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            kms: Kms::default(),
            flights: Flights::new(|| Err(Refused)),
            store: Store::new(Role::Opening, capacity),
            orders: Orders::default(),
        })
    }

    /// The key, from the store or from the KMS.
    pub async fn key(self: &Arc<Self>, print: u128) -> Answer {
        if let Some(key) = self.store.get(print) {
            return Ok(key);
        }
        let began = self.orders.number();
        let (seat, _) = self.flights.join((print, began), || self.question(print, began));
        seat.await
    }

    fn question(
        self: &Arc<Self>,
        print: u128,
        began: u64,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let cache = self.clone();
        Box::pin(async move {
            // Between the look above and the seat another flight may have landed.
            if let Some(key) = cache.store.get(print) {
                return Ok(key);
            }
            let key = Key::new(cache.kms.call().await?);
            cache.store.admit(&cache.orders, began, print, &key);
            Ok(key)
        })
    }

    /// The service changes, and says so. Gives the era from which on keys are good.
    pub fn change(&self) -> u64 {
        let era = self.kms.era.fetch_add(1, Ordering::SeqCst) + 1;
        self.orders.give(Before(era));
        self.store.sweep(|key| key.era < era);
        era
    }
}
