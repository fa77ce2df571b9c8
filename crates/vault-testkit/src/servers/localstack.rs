//! LocalStack with KMS and STS: strict on encryption contexts and on the states of keys. It keeps
//! everything in memory.
//!
//! A key that is created with the tags `_custom_id_` (a UUID) and `_custom_key_material_` (32 bytes in
//! base64) is the same key again when a test creates it after a crash: LocalStack's own extension.

use super::aws::{AwsCall, stands_for_aws};
use super::lifecycle::lifecycle;
use super::port::{Port, start_on_one};
use super::supervisor::{Launch, Runs, Supervisor};
use super::{ServerError, pins};

/// It looks for the network in several ways, all of which are off.
const SCRIPT: &str = r#"
python=$1 port=$2 launch=$3 answers=$4
export DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 DNS_ADDRESS=0 SERVICES=kms,sts EAGER_SERVICE_LOADING=1
export GATEWAY_LISTEN="127.0.0.1:$port" FILESYSTEM_ROOT="$dir/state" LOCALSTACK_VOLUME_DIR="$dir/state"
start() {
  "$python" -c "$launch" >>"$dir/log" 2>&1 &
  pid=$!
  await "$python" -I -S -c "$answers" "http://127.0.0.1:$port/_localstack/health" "$pid"
}
"#;
const LAUNCH: &str = include_str!("../../servers/localstack/launch.py");
/// Waits for an answer over HTTP, in any of the virtual environments.
pub(super) const ANSWERS: &str = include_str!("../../servers/answers.py");

/// A running LocalStack.
#[derive(Debug)]
pub struct LocalStack {
    supervisor: Supervisor,
    port: Port,
}

impl LocalStack {
    /// Starts it, in two to ten seconds.
    ///
    /// # Errors
    /// If it is not installed, or what it said instead of starting.
    pub fn start() -> Result<Self, ServerError> {
        let python = pins::LOCALSTACK.found().ok_or_else(|| super::missing("localstack"))?;
        let python = python.to_string_lossy();
        let (supervisor, port) = start_on_one(|port| {
            let args = [&*python, port, LAUNCH, ANSWERS];
            let name = "localstack";
            Supervisor::start(&Launch { name, script: SCRIPT, args: &args, runs: Runs::AsMyself })
        })?;
        Ok(Self { supervisor, port })
    }

    /// Every call that was answered, in order. A call is in it before its answer arrives.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub fn calls(&self) -> Result<Vec<AwsCall>, ServerError> {
        Ok(self.log()?.lines().filter_map(call).collect())
    }
}

stands_for_aws!(LocalStack);
lifecycle!(LocalStack, "All keys are gone: it keeps them in memory.");

/// As in `... localstack.request.aws : AWS kms.Decrypt => 400 (DisabledException)`.
fn call(line: &str) -> Option<AwsCall> {
    let (service, rest) = line.split_once(": AWS ")?.1.split_once('.')?;
    let (operation, rest) = rest.split_once(" => ")?;
    let status = rest.split(' ').next()?.parse().ok()?;
    Some(AwsCall { service: service.into(), operation: operation.into(), status })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_the_lines_that_tell_of_them() {
        let line =
            "T  INFO --- [et.reactor-0] localstack.request.aws     : AWS kms.Decrypt => 400 (X)";
        let found = call(line).unwrap();
        assert_eq!((&*found.service, &*found.operation, found.status), ("kms", "Decrypt", 400));
        assert_eq!(call("Ready."), None);
    }
}
