//! What the suite is told: the provider, the proxy before its server, and how the service words its
//! failures.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{KeyId, KmsAdmin, KmsProvider, Operation};

use crate::conformance::{Failure, ensure};
use crate::proxy::{Answer, FaultProxy, Match};

/// What the bodies of a [`ServiceShape`]'s answers contain, and no error may show.
pub const CANARY: &str = "canary-7f3a9c51-in-the-body";

/// How a service words its failures, and how long its client is configured to wait.
///
/// The message in each answer contains [`CANARY`].
#[derive(Debug, Clone)]
pub struct ServiceShape {
    pub(super) deadline: Duration,
    pub(super) margin: Duration,
    pub(super) throttled: Answer,
    pub(super) throttled_for: Option<(Answer, Duration)>,
    pub(super) failing: Vec<Answer>,
    pub(super) refused: Answer,
    pub(super) unnamed: Vec<Operation>,
    pub(super) mutations: Vec<(Operation, Match)>,
}

impl ServiceShape {
    /// The provider's deadline for a whole call (a second is a good one for a test), the answer that asks
    /// for fewer requests without saying for how long, and the one that refuses expired or revoked
    /// credentials.
    #[must_use]
    pub fn new(deadline: Duration, throttled: Answer, refused: Answer) -> Self {
        Self {
            deadline,
            margin: Duration::from_secs(2),
            throttled,
            throttled_for: None,
            failing: Vec::new(),
            refused,
            unnamed: Vec::new(),
            mutations: Vec::new(),
        }
    }

    /// The answer that asks to be left alone for `wait`.
    #[must_use]
    pub fn with_retry_after(mut self, answer: Answer, wait: Duration) -> Self {
        self.throttled_for = Some((answer, wait));
        self
    }

    /// One more answer by which the service says that it has failed: its 500, its 503.
    #[must_use]
    pub fn with_failure(mut self, answer: Answer) -> Self {
        self.failing.push(answer);
        self
    }

    /// The service's answer to `operation` does not name the key, so another key's cannot be told by
    /// it. Of the operations `GenerateDataKey`, `WrapDataKey` and `DecryptDataKey`.
    #[must_use]
    pub fn with_key_unnamed_in(mut self, operation: Operation) -> Self {
        self.unnamed.push(operation);
        self
    }

    /// Which call is the one that takes effect in `CreateKey`, `RotateKey` or `ScheduleKeyDeletion`; of
    /// headers only `X-Amz-Target` can be matched here. Each that the provider's capabilities declare
    /// has to be named.
    #[must_use]
    pub fn with_mutation(mut self, operation: Operation, call: Match) -> Self {
        self.mutations.push((operation, call));
        self
    }

    /// How much later than the deadline a call may end (2 s unless said otherwise).
    #[must_use]
    pub fn with_margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// `answer`, with the canary in it.
    pub(super) fn planted(&self, answer: &Answer) -> Result<Answer, Failure> {
        ensure(answer.mentions(CANARY), "an answer of the shape does not contain CANARY")?;
        Ok(answer.clone())
    }
}

/// A provider whose calls go through a [`FaultProxy`].
pub struct TransportFixture {
    pub(super) kms: Arc<dyn KmsProvider>,
    pub(super) proxy: Arc<FaultProxy>,
    pub(super) key: KeyId,
    pub(super) shape: ServiceShape,
    pub(super) other_key: Option<KeyId>,
    pub(super) admin: Option<(Arc<dyn KmsAdmin>, String)>,
    pub(super) secrets: Vec<Vec<u8>>,
    pub(super) mixed: usize,
    pub(super) new_logins: bool,
    pub(super) left_out: Vec<&'static str>,
}

impl TransportFixture {
    /// `kms` reaches its server through `proxy` alone, without any layer that retries; `key` is enabled.
    #[must_use]
    pub fn new(
        kms: Arc<dyn KmsProvider>,
        proxy: Arc<FaultProxy>,
        key: KeyId,
        shape: ServiceShape,
    ) -> Self {
        Self {
            kms,
            proxy,
            key,
            shape,
            other_key: None,
            admin: None,
            secrets: Vec::new(),
            mixed: 1_000,
            new_logins: false,
            left_out: Vec::new(),
        }
    }

    /// A second enabled key: its answers are passed off as those of the first.
    #[must_use]
    pub fn with_other_key(mut self, key: KeyId) -> Self {
        self.other_key = Some(key);
        self
    }

    /// The same provider as an administrator. The suite makes keys named `prefix-create`, `prefix-rotate`,
    /// `prefix-delete` and schedules the deletion of the last.
    #[must_use]
    pub fn with_admin(mut self, admin: Arc<dyn KmsAdmin>, prefix: impl Into<String>) -> Self {
        self.admin = Some((admin, prefix.into()));
        self
    }

    /// A token, a password, a secret access key (8 bytes at least) that no error may show.
    #[must_use]
    pub fn with_secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// How many mixed calls (1,000 unless said otherwise).
    #[must_use]
    pub fn with_mixed_calls(mut self, count: usize) -> Self {
        self.mixed = count;
        self
    }

    /// The provider can log in anew when the service refuses its credentials as [`ServiceShape::new`] was told:
    /// those that were taken before and are refused once fail no call.
    #[must_use]
    pub fn with_new_logins(mut self) -> Self {
        self.new_logins = true;
        self
    }

    /// This case (its sentence) does not apply here. Any other that does not apply is a failure, and so is
    /// this one if it does.
    #[must_use]
    pub fn leaving_out(mut self, sentence: &'static str) -> Self {
        self.left_out.push(sentence);
        self
    }

    /// The longest that a call may take.
    pub(super) fn patience(&self) -> Duration {
        self.shape.deadline + self.shape.margin
    }
}

impl fmt::Debug for TransportFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportFixture").field("key", &self.key).finish_non_exhaustive()
    }
}
