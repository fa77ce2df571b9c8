//! Which Transit engine, over which connection, and how the scope is bound.
//!
//! Left to others: logins, TLS, time-outs and pools, which are the connection's.

use std::fmt;

use vault_connection::VaultConnectionConfig;

/// What binds the scope of a wrapped key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScopeBinding {
    /// The key, which is a *derived* one: each scope has a key of its own inside Transit. The server refuses
    /// another scope.
    #[default]
    DerivedKey,
    /// The message's header alone, for keys that are not derived and cannot be made anew. The server unwraps
    /// whatever the key has wrapped, in any scope.
    HeaderMac,
}

/// Settings of a [`VaultKmsProvider`](crate::VaultKmsProvider).
///
/// [`Default`] is Transit at `transit/` over a connection that is ready, for
/// [`with_client`](crate::VaultKmsProvider::with_client).
pub struct VaultKmsConfig {
    pub(crate) connection: Option<VaultConnectionConfig>,
    pub(crate) mount: String,
    pub(crate) binding: ScopeBinding,
}

impl VaultKmsConfig {
    /// Transit at `transit/` of the server that `connection` names.
    #[must_use]
    pub fn new(connection: VaultConnectionConfig) -> Self {
        Self { connection: Some(connection), ..Self::default() }
    }

    /// Transit is mounted at `path` (`team-a/transit`).
    #[must_use]
    pub fn with_mount(mut self, path: impl Into<String>) -> Self {
        self.mount = path.into();
        self
    }

    /// What binds the scope. It belongs to the keys: messages of one binding do not open with the other.
    #[must_use]
    pub fn with_scope_binding(mut self, binding: ScopeBinding) -> Self {
        self.binding = binding;
        self
    }
}

impl Default for VaultKmsConfig {
    fn default() -> Self {
        Self { connection: None, mount: "transit".to_owned(), binding: ScopeBinding::default() }
    }
}

impl fmt::Debug for VaultKmsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultKmsConfig")
            .field("connection", &self.connection)
            .field("mount", &self.mount)
            .field("binding", &self.binding)
            .finish()
    }
}
