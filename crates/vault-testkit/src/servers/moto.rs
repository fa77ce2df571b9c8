//! moto: for what LocalStack does not have of AWS, such as `ListKeyRotations`. It minds neither the state
//! of a key nor a signature, and keeps everything in memory.

use super::aws::stands_for_aws;
use super::lifecycle::lifecycle;
use super::localstack::ANSWERS;
use super::port::{Port, start_on_one};
use super::supervisor::{Launch, Runs, Supervisor};
use super::{ServerError, pins};

const SCRIPT: &str = r#"
python=$1 port=$2 answers=$3
start() {
  "$python" -m moto.server -H 127.0.0.1 -p "$port" >>"$dir/log" 2>&1 &
  pid=$!
  await "$python" -I -S -c "$answers" "http://127.0.0.1:$port/moto-api/data.json" "$pid"
}
"#;

/// A running moto.
#[derive(Debug)]
pub struct Moto {
    supervisor: Supervisor,
    port: Port,
}

impl Moto {
    /// Starts it, in one to five seconds.
    ///
    /// # Errors
    /// If it is not installed, or what it said instead of starting.
    pub fn start() -> Result<Self, ServerError> {
        let python = pins::MOTO.found().ok_or_else(|| super::missing("moto"))?;
        let python = python.to_string_lossy();
        let (supervisor, port) = start_on_one(|port| {
            let args = [&*python, port, ANSWERS];
            let name = "moto";
            Supervisor::start(&Launch { name, script: SCRIPT, args: &args, runs: Runs::AsMyself })
        })?;
        Ok(Self { supervisor, port })
    }
}

stands_for_aws!(Moto);
lifecycle!(Moto, "All keys are gone: it keeps them in memory.");
