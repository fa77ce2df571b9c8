//! Which tokens are good, until when and whose, and whose keys may sign their own.
//!
//! Left to others: how a token is asked for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64ct::{Base64UrlUnpadded, Encoding as _};

use super::jwt;
use crate::fakes::google::material::random;
use crate::fakes::google::pem::pem;

const HOUR: Duration = Duration::from_secs(3600);

/// Tokens and keys that the Cloud KMS takes.
pub(in crate::fakes::google) struct Accounts(Mutex<Known>);

struct Known {
    /// Each token's account and end.
    tokens: BTreeMap<String, (String, SystemTime)>,
    /// Each service account's public key (PKCS#1, DER).
    keys: BTreeMap<String, Vec<u8>>,
    lifetime: Duration,
}

impl Default for Accounts {
    fn default() -> Self {
        let (tokens, keys) = (BTreeMap::new(), BTreeMap::new());
        Self(Mutex::new(Known { tokens, keys, lifetime: HOUR }))
    }
}

impl Accounts {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token for `account`, and how long it lasts.
    pub(super) fn issue(&self, account: &str, now: SystemTime) -> (String, Duration) {
        let token = format!("ya29.{}", Base64UrlUnpadded::encode_string(&random::<24>()));
        let mut known = self.known();
        let lifetime = known.lifetime;
        known.tokens.insert(token.clone(), (account.to_owned(), now + lifetime));
        (token, lifetime)
    }

    /// Makes a key for `email` and answers its private half (PKCS#8, PEM).
    #[expect(clippy::expect_used, reason = "a test without randomness cannot go on")]
    pub(super) fn add_key(&self, email: &str) -> String {
        let key = KeyPair::generate(KeySize::Rsa2048).expect("the system has randomness");
        let public = key.public_key().as_ref().to_vec();
        self.known().keys.insert(email.to_owned(), public);
        let private = key.as_der().expect("a key that was made can be written");
        pem("PRIVATE KEY", private.as_ref())
    }

    pub(super) fn set_lifetime(&self, lifetime: Duration) {
        self.known().lifetime = lifetime;
    }

    pub(super) fn revoke_all(&self) {
        let mut known = self.known();
        known.tokens.clear();
        known.keys.clear();
    }

    /// Whose token it is, if it is good.
    pub(in crate::fakes::google) fn account(&self, token: &str, now: SystemTime) -> Option<String> {
        let known = self.known();
        if let Some((account, end)) = known.tokens.get(token) {
            return (now < *end).then(|| account.clone());
        }
        jwt::verify(token, |email| known.keys.get(email).map(Vec::as_slice), now)
    }
}
