//! What every server of this kit can be told, written once: the types have no trait to import.

/// The methods of a server with the fields `supervisor` and `port`. Given the words for what is left
/// after a crash.
macro_rules! lifecycle {
    ($server:ident, $left:literal) => {
        impl $server {
            /// The one server that all tests of this process share: each works with keys of its own.
            ///
            /// # Panics
            /// If it cannot be started, with the command that helps.
            #[must_use]
            pub fn shared() -> &'static Self {
                static SHARED: std::sync::OnceLock<$server> = std::sync::OnceLock::new();
                SHARED.get_or_init(|| match Self::start() {
                    Ok(started) => started,
                    Err(error) => panic!("{error}"),
                })
            }

            /// Where it listens, on 127.0.0.1.
            #[must_use]
            pub fn port(&self) -> u16 {
                self.port.number()
            }

            /// Stops it as a crash would: connections are cut.
            #[doc = $left]
            ///
            /// # Errors
            /// What the server said.
            pub fn crash(&self) -> Result<(), ServerError> {
                self.supervisor.tell("stop")
            }

            /// Starts it again after [`crash`](Self::crash), on the same port.
            ///
            /// # Errors
            /// What the server said.
            pub fn recover(&self) -> Result<(), ServerError> {
                self.supervisor.tell("start")
            }

            /// Halts it where it stands: connections stay open, and nothing is answered.
            ///
            /// # Errors
            /// If it does not run.
            pub fn pause(&self) -> Result<(), ServerError> {
                self.supervisor.tell("pause")
            }

            /// Lets it go on after [`pause`](Self::pause).
            ///
            /// # Errors
            /// If it does not run.
            pub fn resume(&self) -> Result<(), ServerError> {
                self.supervisor.tell("resume")
            }

            /// Everything it printed, for an assertion that a secret is not in it.
            ///
            /// # Errors
            /// If its log cannot be read.
            pub fn log(&self) -> Result<String, ServerError> {
                self.supervisor.read("log")
            }
        }
    };
}

pub(super) use lifecycle;
