//! Renewal in the background, as a future that the caller drives.

use std::convert::Infallible;

use crate::VaultConnection;

impl VaultConnection {
    /// Renews the token in time, and logs in again where renewal ends, for ever: spawn it, and drop it to
    /// stop. Without it the first request after the time does the same, and takes that much longer; a token
    /// that was given and that nobody uses for its whole life is then lost.
    ///
    /// The time is drawn once for each grant, between 65 and 85 % of its length. A failure is tried again after
    /// 1 s, then 2 s, to a minute at most, each shortened by up to a half at random.
    pub fn upkeep(&self) -> impl Future<Output = Infallible> + Send + use<> {
        let connection = self.clone();
        async move {
            loop {
                let rest = connection.0.sessions.tend(&connection.0.transport).await;
                connection.0.clock.sleep(rest).await;
            }
        }
    }
}
