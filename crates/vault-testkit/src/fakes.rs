//! Services on loopback sockets that no package registry has an emulator of: the public protocol, real
//! cryptography, real tokens, held to the services by recorded traffic and by the vendors' own clients.
//!
//! Left to others: breaking what they say on the wire (`proxy`), servers that exist as programs (`servers`).

#[cfg(feature = "fake-azure")]
pub mod azure;
#[cfg(feature = "fake-google")]
pub mod google;
