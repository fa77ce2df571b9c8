//! The one error of every crate: what kind of failure, in which operation, on which key.
//!
//! Deliberately absent: plaintext, key bytes, context values, tokens, a server's error body. A failed
//! tag, a wrong context and a wrong key are one and the same [`ErrorKind::AuthenticationFailed`].

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::KeyId;

/// Defines an enum whose variants have stable names, said once.
macro_rules! named {
    (
        $(#[$doc:meta])*
        pub enum $enum:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $enum { $($(#[$variant_doc])* $variant,)+ }

        impl $enum {
            /// Every value that this version knows.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// A stable name for logs, metrics and `--json`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

named! {
    /// What went wrong, in terms a caller can act on.
    pub enum ErrorKind {
        /// The key, the context or the bytes are not the ones of sealing. One answer for all three.
        AuthenticationFailed = "authentication_failed",
        /// The bytes are not a message of this format, or are cut off inside its header.
        Malformed = "malformed",
        /// A format version, suite, extension or operation that this build does not know or have.
        Unsupported = "unsupported",
        /// An argument that can never work: repeated context name, bad key id, wrong length.
        InvalidInput = "invalid_input",
        /// A finite limit would be passed: budget, size, number of slots.
        LimitExceeded = "limit_exceeded",
        /// None of the message's key slots is among the keys the reader allows.
        KeyNotAllowed = "key_not_allowed",
        /// The key or key version does not exist.
        KeyNotFound = "key_not_found",
        /// The key exists but its state forbids the operation (disabled, pending deletion).
        KeyUnusable = "key_unusable",
        /// A key, alias or store of that name exists already, or somebody else changed it meanwhile.
        Conflict = "conflict",
        /// The caller may not do this.
        PermissionDenied = "permission_denied",
        /// The service asks for fewer requests; retry later.
        Throttled = "throttled",
        /// No answer in time. A mutation may have happened.
        TimedOut = "timed_out",
        /// The service or key store cannot be reached or answers that it is not ready.
        Unavailable = "unavailable",
        /// The key store is damaged, older than its generation, or its files have the wrong mode.
        StoreDamaged = "store_damaged",
        /// Reading or writing failed; the source says how.
        Io = "io",
        /// A defect of this library or of a backend.
        Internal = "internal",
    }
}

impl ErrorKind {
    const fn sentence(self) -> &'static str {
        match self {
            Self::AuthenticationFailed => {
                "not authentic: the key, the context or the data is not the one it was sealed with"
            }
            Self::Malformed => "malformed",
            Self::Unsupported => "not supported",
            Self::InvalidInput => "invalid input",
            Self::LimitExceeded => "limit exceeded",
            Self::KeyNotAllowed => "no key slot of the message is among the allowed keys",
            Self::KeyNotFound => "key not found",
            Self::KeyUnusable => "the key's state forbids this",
            Self::Conflict => "conflict",
            Self::PermissionDenied => "permission denied",
            Self::Throttled => "throttled by the service",
            Self::TimedOut => "timed out",
            Self::Unavailable => "unavailable",
            Self::StoreDamaged => "the key store is damaged",
            Self::Io => "input or output failed",
            Self::Internal => "internal error",
        }
    }
}

named! {
    /// The operation that failed; also the `operation` label of audit events, spans and metrics.
    pub enum Operation {
        /// Sealing a message.
        Seal = "seal",
        /// Opening a message.
        Open = "open",
        /// Changing a message's key slots.
        Rewrap = "rewrap",
        /// Reading a message's header.
        Inspect = "inspect",
        /// `KmsProvider::generate_data_key`.
        GenerateDataKey = "generate_data_key",
        /// `KmsProvider::wrap_data_key`.
        WrapDataKey = "wrap_data_key",
        /// `KmsProvider::decrypt_data_key`.
        DecryptDataKey = "decrypt_data_key",
        /// `KmsProvider::rewrap_data_key`.
        RewrapDataKey = "rewrap_data_key",
        /// `KmsProvider::encrypt`.
        Encrypt = "encrypt",
        /// `KmsProvider::decrypt`.
        Decrypt = "decrypt",
        /// `KmsProvider::describe_key`.
        DescribeKey = "describe_key",
        /// `KmsProvider::health_check`.
        HealthCheck = "health_check",
        /// `KmsProvider::random_bytes`.
        RandomBytes = "random_bytes",
        /// `KmsAdmin::create_key`.
        CreateKey = "create_key",
        /// `KmsAdmin::rotate_key`.
        RotateKey = "rotate_key",
        /// `KmsAdmin::promote_key`.
        PromoteKey = "promote_key",
        /// `KmsAdmin::enable_key`.
        EnableKey = "enable_key",
        /// `KmsAdmin::disable_key`.
        DisableKey = "disable_key",
        /// `KmsAdmin::schedule_key_deletion`.
        ScheduleKeyDeletion = "schedule_key_deletion",
        /// `KmsAdmin::cancel_key_deletion`.
        CancelKeyDeletion = "cancel_key_deletion",
        /// `KmsAdmin::list_keys`.
        ListKeys = "list_keys",
        /// `KmsAdmin::tag_key`.
        TagKey = "tag_key",
        /// `KmsAdmin::set_rotation_period`.
        SetRotationPeriod = "set_rotation_period",
        /// Reading or changing who may use a key.
        AccessPolicy = "access_policy",
        /// Proving to a service who this is.
        LogIn = "log_in",
        /// A primitive: cipher, MAC, key derivation, randomness.
        Primitive = "primitive",
        /// `StorageBackend::get`.
        StorageGet = "storage_get",
        /// `StorageBackend::put`.
        StoragePut = "storage_put",
        /// `StorageBackend::delete`.
        StorageDelete = "storage_delete",
        /// `StorageBackend::list`.
        StorageList = "storage_list",
        /// Opening, reading or writing a key store.
        KeyStore = "key_store",
        /// Reading or checking configuration and arguments.
        Configure = "configure",
    }
}

/// The error of every vaultkit crate.
///
/// Match on [`kind`](Self::kind); print it for a person (`Display` says what to do where it can be
/// known); walk `source()` for the cause. It never holds a secret.
pub struct CryptoError(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Operation,
    key_id: Option<KeyId>,
    detail: Option<Cow<'static, str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    retry_after: Option<Duration>,
}

impl CryptoError {
    /// An error of `kind` in `operation`.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: Operation) -> Self {
        Self(Box::new(Inner {
            kind,
            operation,
            key_id: None,
            detail: None,
            source: None,
            retry_after: None,
        }))
    }

    /// The one answer to a wrong key, a wrong context or altered bytes: no detail, no source.
    #[must_use]
    pub fn authentication_failed(operation: Operation) -> Self {
        Self::new(ErrorKind::AuthenticationFailed, operation)
    }

    /// Adds a sentence that says what is wrong and what to do. Ignored on
    /// [`ErrorKind::AuthenticationFailed`], which never says more than its kind.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        if self.0.kind != ErrorKind::AuthenticationFailed {
            self.0.detail = Some(detail.into());
        }
        self
    }

    /// Names the key (a key id is public; it stands in every header).
    #[must_use]
    pub fn with_key_id(mut self, key_id: &KeyId) -> Self {
        self.0.key_id = Some(key_id.clone());
        self
    }

    /// Keeps the cause. Ignored on [`ErrorKind::AuthenticationFailed`].
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        if self.0.kind != ErrorKind::AuthenticationFailed {
            self.0.source = Some(Arc::from(source.into()));
        }
        self
    }

    /// Says how long the service wants to be left alone; the retry layer waits at least that.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// The same error, reported from `operation`.
    #[must_use]
    pub fn in_operation(mut self, operation: Operation) -> Self {
        self.0.operation = operation;
        self
    }

    /// A second copy, asked for by name: every waiter of one failed call gets its error.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let Inner { kind, operation, key_id, detail, source, retry_after } = &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            operation: *operation,
            key_id: key_id.clone(),
            detail: detail.clone(),
            source: source.clone(),
            retry_after: *retry_after,
        }))
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// The key it concerns, where one is known.
    #[must_use]
    pub fn key_id(&self) -> Option<&KeyId> {
        self.0.key_id.as_ref()
    }

    /// The explaining sentence, where there is one.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// How long the service asked to be left alone, where it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the same call may succeed later without any change by the caller.
    ///
    /// True for throttling, time-outs and unavailability. A time-out of a mutation is retryable in
    /// this sense, yet the decorators never retry a mutation that may have happened.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Throttled | ErrorKind::TimedOut | ErrorKind::Unavailable)
    }
}

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.sentence())?;
        if let Some(key_id) = &self.0.key_id {
            write!(f, " (key {key_id})")?;
        }
        if let Some(detail) = &self.0.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CryptoError")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("key_id", &self.0.key_id)
            .field("detail", &self.0.detail)
            .field("source", &self.0.source)
            .finish()
    }
}

impl Error for CryptoError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Shorthand of every fallible function here.
pub type Result<T, E = CryptoError> = std::result::Result<T, E>;
