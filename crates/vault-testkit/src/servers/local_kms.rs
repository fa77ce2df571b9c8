//! local-kms: a fast AWS KMS with real AEAD, for load and for crashes: it keeps its keys in files. Its
//! errors are not always those of AWS.

use super::aws::stands_for_aws;
use super::lifecycle::lifecycle;
use super::port::{Port, start_on_one};
use super::supervisor::{Launch, Runs, Supervisor};
use super::{ServerError, pins};

const SCRIPT: &str = r#"
program=$1 port=$2
start() {
  rm -f "$dir/ready"
  "$program" "$port" "$dir" >>"$dir/log" 2>&1 &
  pid=$!
  await test -e "$dir/ready"
}
"#;

/// A running local-kms.
#[derive(Debug)]
pub struct LocalKms {
    supervisor: Supervisor,
    port: Port,
}

impl LocalKms {
    /// Starts it, in a tenth of a second.
    ///
    /// # Errors
    /// If it is not installed, or what it said instead of starting.
    pub fn start() -> Result<Self, ServerError> {
        let program = pins::LOCAL_KMS.found().ok_or_else(|| super::missing("local-kms"))?;
        let program = program.to_string_lossy();
        let (supervisor, port) = start_on_one(|port| {
            let args = [&*program, port];
            let name = "local-kms";
            Supervisor::start(&Launch { name, script: SCRIPT, args: &args, runs: Runs::AsMyself })
        })?;
        Ok(Self { supervisor, port })
    }
}

stands_for_aws!(LocalKms);
lifecycle!(LocalKms, "The keys are kept.");
