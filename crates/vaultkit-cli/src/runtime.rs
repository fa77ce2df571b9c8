//! What the services across the network need under them: a tokio runtime that drives their connections on
//! a thread of its own, while the program's threads wait where they are.

use crate::failure::Failure;

/// Runs the program inside of the runtime.
#[cfg(feature = "clouds")]
pub(crate) fn enter<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::stream_io("start the thread for connections", &error))?;
    let entered = runtime.enter();
    let answer = run();
    drop(entered);
    // A connection that lingers does not keep the program.
    runtime.shutdown_background();
    Ok(answer)
}

/// Nothing here waits for a network.
#[cfg(not(feature = "clouds"))]
pub(crate) fn enter<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    Ok(run())
}
