//! When a token is to be renewed: a time drawn once per grant, so that clients that started together do
//! not come together for ever.

use std::time::Duration;

use vault_crypto_core::{RandomSource, Result};

/// A token is tended to at a moment in this part of its life.
const EARLIEST: f64 = 0.65;
const LATEST: f64 = 0.85;
/// Not more often than this, however short the server makes a grant.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// What to do with a token at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ask the server to prolong it.
    Renew,
    /// Get another one.
    LogIn,
}

/// When to tend to a token, on the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) due: Duration,
    pub(crate) ends: Duration,
    pub(crate) next: Next,
    /// How long the first grant was: a renewal that gives much less has met the token's end.
    pub(crate) first_grant: Duration,
}

/// What the server granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grant {
    pub(crate) ttl: Duration,
    pub(crate) renewable: bool,
}

impl Plan {
    /// The plan for a token granted at `now`; `before` is the plan that a renewal replaces. One that is not
    /// `replaceable` is renewed for as long as it can be.
    pub(crate) fn draw(
        now: Duration,
        grant: Grant,
        before: Option<&Self>,
        replaceable: bool,
        random: &dyn RandomSource,
    ) -> Result<Self> {
        let first_grant = before.map_or(grant.ttl, |before| before.first_grant);
        // The server cuts the last renewals short where the token's greatest age comes near.
        let cut_short = grant.ttl < first_grant / 2;
        let worn = cut_short && replaceable;
        let next = if grant.renewable && !worn { Next::Renew } else { Next::LogIn };
        let wait = grant.ttl.mul_f64(between(EARLIEST, LATEST, random)?).max(SHORTEST_WAIT);
        Ok(Self {
            due: now.saturating_add(wait),
            ends: now.saturating_add(grant.ttl),
            next,
            first_grant,
        })
    }
}

/// How long to wait after `failures` in a row: doubled each time to a minute at most, and a random part of it.
pub(crate) fn back_off(failures: u32, random: &dyn RandomSource) -> Duration {
    let doubled = FIRST_BACK_OFF.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let longest = doubled.min(LONGEST_BACK_OFF);
    longest.mul_f64(between(0.5, 1.0, random).unwrap_or(1.0))
}

fn between(low: f64, high: f64, random: &dyn RandomSource) -> Result<f64> {
    let mut bytes = [0; 4];
    random.fill(&mut bytes)?;
    let unit = f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0);
    Ok(low + (high - low) * unit)
}

#[cfg(test)]
mod tests {
    use vault_testkit::SeededRandom;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn grant(ttl: Duration) -> Grant {
        Grant { ttl, renewable: true }
    }

    #[test]
    fn the_time_of_renewal_is_spread_over_the_whole_range() {
        let random = SeededRandom::new(7);
        let draw = |_| Plan::draw(HOUR, grant(HOUR), None, true, &random).unwrap();
        let plans: Vec<Plan> = (0..1_000).map(draw).collect();
        let part = |plan: &Plan| (plan.due - HOUR).as_secs_f64() / HOUR.as_secs_f64();
        assert!(plans.iter().all(|plan| (0.65..0.85).contains(&part(plan))));
        for tenth in 0..10 {
            let low = 0.65 + 0.02 * f64::from(tenth);
            let here = plans.iter().filter(|plan| (low..low + 0.02).contains(&part(plan))).count();
            assert!((60..140).contains(&here), "{here} of 1000 in a tenth of the range");
        }
    }

    #[test]
    fn a_renewal_cut_short_is_followed_by_a_login() {
        let random = SeededRandom::new(7);
        let first = Plan::draw(Duration::ZERO, grant(HOUR), None, true, &random).unwrap();
        assert_eq!(first.next, Next::Renew);
        let whole = Plan::draw(first.due, grant(HOUR), Some(&first), true, &random).unwrap();
        assert_eq!(whole.next, Next::Renew);
        let cut = Plan::draw(whole.due, grant(HOUR / 3), Some(&whole), true, &random).unwrap();
        assert_eq!(cut.next, Next::LogIn);
        assert!(cut.due < cut.ends);
        let kept = Plan::draw(whole.due, grant(HOUR / 3), Some(&whole), false, &random).unwrap();
        assert_eq!(kept.next, Next::Renew, "there is no other token");
        let fixed = Grant { ttl: HOUR, renewable: false };
        assert_eq!(
            Plan::draw(Duration::ZERO, fixed, None, true, &random).unwrap().next,
            Next::LogIn
        );
    }

    #[test]
    fn no_grant_is_so_short_that_renewing_never_rests() {
        let random = SeededRandom::new(7);
        let plan = Plan::draw(HOUR, grant(Duration::ZERO), None, true, &random).unwrap();
        assert_eq!(plan.due, HOUR + Duration::from_secs(1));
    }

    #[test]
    fn back_off_grows_to_a_minute_and_never_to_nothing() {
        let random = SeededRandom::new(7);
        for failures in 1..100 {
            let wait = back_off(failures, &random);
            assert!(wait >= Duration::from_millis(500) && wait <= Duration::from_secs(60));
        }
        assert!(back_off(50, &random) >= Duration::from_secs(30));
    }
}
