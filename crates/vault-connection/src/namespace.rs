//! Whether the server has namespaces. One that has none ignores the header and works in its only place, with
//! the keys of that place, so a namespace that was configured is proved once, before the first login.

use std::sync::atomic::Ordering;

use crate::transport::Transport;
use crate::{VaultFailure, VaultFailureKind, server};

/// Asks once for each connection, and only where a namespace was configured.
pub(crate) async fn prove(transport: &Transport) -> Result<(), VaultFailure> {
    if transport.namespace_proved.load(Ordering::Relaxed) {
        return Ok(());
    }
    let (body, _) = server::ask(transport).await.map_err(|failure| {
        if failure.is_refusal() {
            return failure.explained(
                "sys/health, which tells whether the server has namespaces, is not answered; let it through",
            );
        }
        failure
    })?;
    if !body.read::<server::Body<'_>>()?.has_namespaces() {
        return Err(VaultFailure::new(
            VaultFailureKind::NotSupported,
            "a namespace is configured and this server has none: it would ignore the namespace and use the keys \
             of its only place; take the namespace out of the settings, or connect to the server that has it",
        ));
    }
    transport.namespace_proved.store(true, Ordering::Relaxed);
    Ok(())
}
