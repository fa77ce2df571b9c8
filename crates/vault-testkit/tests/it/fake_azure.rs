//! The fake Key Vault, held to recorded traffic of the service and to Microsoft's own client.

mod client;
mod life;
mod login;
mod published;
mod recorded;
#[cfg(all(unix, feature = "servers"))]
mod witness;
