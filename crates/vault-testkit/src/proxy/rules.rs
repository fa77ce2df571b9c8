//! Which calls meet a fault: by what they are, by count, by seed.

use std::fmt;

use http::request::Parts;

use super::fault::HttpFault;
use super::shared::{Call, Shared};

/// Which calls a rule is about.
#[derive(Debug, Clone, Default)]
pub struct Match {
    method: Option<String>,
    path: Option<String>,
    headers: Vec<(String, String)>,
}

impl Match {
    /// Every call.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Calls whose path and query contain `part`.
    #[must_use]
    pub fn path(part: impl Into<String>) -> Self {
        Self { path: Some(part.into()), ..Self::default() }
    }

    /// Calls with this method.
    #[must_use]
    pub fn method(method: impl Into<String>) -> Self {
        Self::any().and_method(method)
    }

    /// Calls whose header `name` contains `value`: `("x-amz-target", "TrentService.Decrypt")`.
    #[must_use]
    pub fn header(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::any().and_header(name, value)
    }

    /// Of those, only calls with this method.
    #[must_use]
    pub fn and_method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Of those, only calls whose header `name` contains `value`.
    #[must_use]
    pub fn and_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Whether it is about a call that was written down. Of headers only `X-Amz-Target` is; a match
    /// by another one describes none.
    #[must_use]
    pub fn describes(&self, call: &Call) -> bool {
        let has = |(name, value): &(String, String)| {
            let target = call.target.as_ref().filter(|_| name.eq_ignore_ascii_case("x-amz-target"));
            target.is_some_and(|held| held.contains(value))
        };
        self.method.as_ref().is_none_or(|method| call.method == *method)
            && self.path.as_ref().is_none_or(|part| call.path.contains(part))
            && self.headers.iter().all(has)
    }

    fn holds(&self, parts: &Parts) -> bool {
        let has = |(name, value): &(String, String)| {
            let mut values = parts.headers.get_all(name.as_str()).iter();
            values.any(|held| held.to_str().is_ok_and(|held| held.contains(value)))
        };
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        self.method.as_ref().is_none_or(|method| parts.method.as_str() == method)
            && self.path.as_ref().is_none_or(|part| path.contains(part))
            && self.headers.iter().all(has)
    }
}

/// A rule in the making: [`fault`](Self::fault) puts it into force.
///
/// Unless said otherwise it is for the next call that matches, and for no other.
#[must_use = "a rule is in force only with its fault"]
pub struct Rule<'a> {
    shared: &'a Shared,
    matches: Match,
    when: When,
    seed: u64,
}

impl<'a> Rule<'a> {
    pub(super) fn new(shared: &'a Shared, matches: Match) -> Self {
        Self { shared, matches, when: When::Times(1), seed: 0 }
    }

    /// The `number`th matching call from now on, counted from 1.
    pub fn nth(mut self, number: u64) -> Self {
        self.when = When::Nth(number);
        self
    }

    /// The next `count` matching calls.
    pub fn times(mut self, count: u64) -> Self {
        self.when = When::Times(count);
        self
    }

    /// All of them.
    pub fn always(mut self) -> Self {
        self.when = When::Times(u64::MAX);
        self
    }

    /// Each with this probability (0 to 1), the same ones on every run for one `seed` and one order
    /// of calls.
    pub fn seeded(mut self, probability: f64, seed: u64) -> Self {
        self.when = When::Chance(probability);
        self.seed = seed;
        self
    }

    /// This is what happens to them.
    pub fn fault(self, fault: HttpFault) {
        self.one_of(vec![fault]);
    }

    /// One of these happens to them, by the seed.
    pub fn one_of(self, faults: Vec<HttpFault>) {
        let Self { shared, matches, when, seed } = self;
        let standing = Standing { matches, when, faults, random: Random(seed), seen: 0, met: 0 };
        shared.rules().standing.push(standing);
    }
}

impl fmt::Debug for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("matches", &self.matches).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum When {
    Nth(u64),
    Times(u64),
    Chance(f64),
}

/// The rules in force.
#[derive(Default)]
pub(super) struct Rules {
    standing: Vec<Standing>,
}

struct Standing {
    matches: Match,
    when: When,
    faults: Vec<HttpFault>,
    random: Random,
    seen: u64,
    met: u64,
}

impl Rules {
    pub(super) fn clear(&mut self) {
        self.standing.clear();
    }

    /// The fault of the first rule that is due. Every rule counts the calls that match it.
    pub(super) fn decide(&mut self, parts: &Parts) -> Option<HttpFault> {
        let mut decided = None;
        for rule in self.standing.iter_mut().filter(|rule| rule.matches.holds(parts)) {
            rule.seen += 1;
            if decided.is_none() && rule.is_due() {
                rule.met += 1;
                decided = rule.choose();
            }
        }
        decided
    }
}

impl Standing {
    fn is_due(&mut self) -> bool {
        match self.when {
            When::Nth(number) => self.seen == number,
            When::Times(count) => self.met < count,
            When::Chance(probability) => self.random.fraction() < probability,
        }
    }

    fn choose(&mut self) -> Option<HttpFault> {
        let chosen = match self.faults.len() {
            0 | 1 => 0,
            // As many faults as a test can write down are few enough.
            several => usize::try_from(self.random.next() % several as u64).unwrap_or_default(),
        };
        self.faults.get(chosen).cloned()
    }
}

/// `SplitMix64`, as in [`SeededRandom`](crate::SeededRandom).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, in steps of 2^-32.
    fn fraction(&mut self) -> f64 {
        let upper = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        f64::from(upper) / 4_294_967_296.0
    }
}
