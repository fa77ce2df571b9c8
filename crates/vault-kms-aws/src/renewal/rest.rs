//! How long nobody asks again after a login that did not help: it was refused, or its credentials were.
//!
//! Left to [`renewal`](super): what counts as a refusal. Outages are none.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::RandomSource;
use zeroize::Zeroizing;

use crate::login::MAX_TOKEN_LEN;

/// The rest after the first refusal at the longest, doubled with each one that follows.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The rests of one provider.
pub(super) struct Rests {
    random: Arc<dyn RandomSource>,
    /// What holds the credentials, where that is known: somebody may put others there.
    file: Option<PathBuf>,
}

/// What a login was made with, without any of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown(Option<u64>);

impl Rests {
    pub(super) fn new(random: Arc<dyn RandomSource>, file: Option<PathBuf>) -> Self {
        Self { random, file }
    }

    /// After a refusal that follows `before` others; never shorter than whoever refused asks for. Up to half of it
    /// is left to chance, so that not all come again at once.
    pub(super) fn after(&self, before: u32, asked: Option<Duration>) -> Duration {
        let doubled = SHORTEST.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX));
        let mut part = [0];
        let part = self.random.fill(&mut part).map_or(0, |()| part[0]);
        let rest = doubled.min(LONGEST) * (512 - u32::from(part)) / 512;
        rest.max(asked.unwrap_or_default())
    }

    /// What a login would be made with now, so far as that is known.
    pub(super) fn shown(&self) -> Shown {
        let hash = || {
            let file = File::open(self.file.as_ref()?).ok()?;
            let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_TOKEN_LEN + 1));
            let most = u64::try_from(bytes.capacity()).unwrap_or_default();
            file.take(most).read_to_end(&mut bytes).ok()?;
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            Some(hasher.finish())
        };
        Shown(hash())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Always the same byte.
    #[derive(Debug)]
    struct Same(u8);

    impl RandomSource for Same {
        fn fill(&self, out: &mut [u8]) -> vault_crypto_core::Result<()> {
            out.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn a_rest_doubles_to_a_minute_and_leaves_up_to_half_to_chance() {
        let seconds = |chance, before, asked: Option<u64>| {
            let rests = Rests::new(Arc::new(Same(chance)), None);
            rests.after(before, asked.map(Duration::from_secs)).as_secs_f64()
        };
        let longest = [0, 1, 2, 5, 6, 31, 32, u32::MAX].map(|before| seconds(0, before, None));
        assert_eq!(longest, [1.0, 2.0, 4.0, 32.0, 60.0, 60.0, 60.0, 60.0]);
        for before in 0..8 {
            let (least, most) = (seconds(255, before, None), seconds(0, before, None));
            assert!(least > most / 2.0 && least < most * 0.51, "{least} {most}");
        }
        assert_eq!(seconds(7, 0, Some(3_600)), 3_600.0);
        assert_eq!(seconds(0, 6, Some(2)), 60.0);
    }
}
