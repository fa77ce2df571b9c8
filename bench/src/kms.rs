//! Providers of real services beside the vendors' SDKs called bare, against the same server in one run:
//! CPU and latency of a call, calls a second with 64 in flight, connections, the time from a configuration to the
//! first data key, and what a minimal program weighs.
//!
//! Everything of a client runs on this one thread, so its CPU time is the client's alone; the servers are other
//! processes, or threads of their own (the fakes of Azure and Google). A service is here when the program is built with its feature; `cargo xtask bench kms` has them all.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use vault_testkit::proxy::FaultProxy;

use crate::report::{Table, Target};
use crate::timing::{Case, Figure, Plan, Time, interleave};

#[cfg(feature = "kms-aws")]
mod aws;
#[cfg(feature = "kms-azure")]
mod azure;
#[cfg(feature = "kms-gcp")]
mod gcp;
mod sizes;
#[cfg(feature = "kms-vault")]
mod vault;

const IN_FLIGHT: u64 = 64;
/// Calls of each task that is in flight, one after another.
const IN_A_ROW: u64 = 4;
/// Most CPU time that a call may cost above the bare SDK's, in microseconds.
const CPU_LIMIT: f64 = 20.0;
/// Most that a call may take, in units of the bare SDK's.
const LATENCY_LIMIT: f64 = 1.05;
/// Least part of the bare SDK's calls a second.
const RATE_LIMIT: f64 = 0.9;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Call = Arc<dyn Fn() -> Boxed<()> + Send + Sync>;

/// A client that is connected: what it can be asked, again and again.
struct Side {
    generate: Call,
    unwrap: Call,
}

impl Side {
    fn calls(&self) -> [(&'static str, &Call); 2] {
        [("generate", &self.generate), ("unwrap", &self.unwrap)]
    }
}

/// A server with a key, and two ways to it.
trait Service {
    fn name(&self) -> &'static str;
    /// The crate whose weight is told.
    fn provider(&self) -> &'static str;
    fn addr(&self) -> SocketAddr;
    /// Our provider, its server at `at`.
    fn ours(&self, at: SocketAddr) -> Boxed<Side>;
    /// The SDK, its server at `at`.
    fn bare(&self, at: SocketAddr) -> Boxed<Side>;
    /// Stands before the server and counts connections.
    fn proxy(&self) -> io::Result<FaultProxy> {
        FaultProxy::start(self.addr())
    }
}

/// Starts each server that there is a feature for, and measures.
pub fn run(rounds: usize, full: bool) -> Result<Vec<Table>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let mut services: Vec<Box<dyn Service>> = Vec::new();
    #[cfg(feature = "kms-aws")]
    services.push(Box::new(aws::Aws::start(&runtime)?));
    #[cfg(feature = "kms-azure")]
    services.push(Box::new(azure::Azure::start(&runtime)?));
    #[cfg(feature = "kms-gcp")]
    services.push(Box::new(gcp::Google::start(&runtime)?));
    #[cfg(feature = "kms-vault")]
    services.push(Box::new(vault::Transit::start()?));
    let mut tables = Vec::new();
    for service in &services {
        tables.push(calls(&runtime, service.as_ref(), rounds)?);
    }
    let services: Vec<&dyn Service> = services.iter().map(AsRef::as_ref).collect();
    tables.push(cold(&runtime, &services, rounds));
    tables.push(sizes::table(&services, full)?);
    Ok(tables)
}

fn calls(runtime: &Runtime, service: &dyn Service, rounds: usize) -> Result<Table, String> {
    let name = service.name();
    let columns =
        ["CPU us, least", "median", "latency us, least", "median", "calls/s", "connections"];
    let mut table = Table::new(format!("kms-{name}"), format!("{name}, one call"), columns);
    let sides = [
        runtime.block_on(service.ours(service.addr())),
        runtime.block_on(service.bare(service.addr())),
    ];
    let [ours, bare] = &sides;
    let connections = connections(runtime, service)?;
    for ((verb, ours), (_, bare)) in ours.calls().into_iter().zip(bare.calls()) {
        let pair = [("ours", ours), ("bare SDK", bare)];
        let cpu = measure(runtime, pair, Plan { time: Time::Thread, rounds, turn: TURN }, 1);
        let wall = measure(runtime, pair, Plan { time: Time::Wall, rounds, turn: TURN }, 1);
        let busy = measure(runtime, pair, Plan { time: Time::Wall, rounds, turn: TURN }, IN_FLIGHT);
        for (index, (side, _)) in pair.iter().enumerate() {
            let cells = [
                micros(cpu[index].min),
                micros(cpu[index].median),
                micros(wall[index].min),
                micros(wall[index].median),
                format!("{:.0}", rate(&busy[index])),
                connections[index].to_string(),
            ];
            table.row(&format!("{verb}, {side}"), cells);
        }
        let more = (cpu[0].median - cpu[1].median) * 1e6;
        let what = |what: &str| format!("{name}, {verb}: {what}");
        table.verdict(what("us of CPU above the bare SDK"), Target::AtMost(CPU_LIMIT), more);
        let latency = wall[0].over_beside(&wall[1]);
        table.verdict(what("latency over the bare SDK's"), Target::AtMost(LATENCY_LIMIT), latency);
        let rates = 1.0 / busy[0].over_beside(&busy[1]);
        table.verdict(what("rate over the bare SDK's"), Target::AtLeast(RATE_LIMIT), rates);
    }
    Ok(table)
}

/// Long enough to hold many calls to a server on this machine.
const TURN: Duration = Duration::from_millis(100);

fn measure(runtime: &Runtime, pair: [(&str, &Call); 2], plan: Plan, in_flight: u64) -> Vec<Figure> {
    let case = |(name, call): (&str, &Call)| {
        let call = Arc::clone(call);
        Case::new(name, move || match in_flight {
            1 => runtime.block_on(call()),
            _ => runtime.block_on(together(&call)),
        })
    };
    interleave(plan, &mut pair.map(case))
}

async fn together(call: &Call) {
    let mut tasks = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let call = Arc::clone(call);
        tasks.spawn(async move {
            for _ in 0..IN_A_ROW {
                call().await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a call that succeeds");
    }
}

fn rate(busy: &Figure) -> f64 {
    (IN_FLIGHT * IN_A_ROW) as f64 / busy.median
}

/// How many connections a thousand calls take, one after another, of ours and of the bare SDK.
fn connections(runtime: &Runtime, service: &dyn Service) -> Result<[u64; 2], String> {
    let count = |connect: &dyn Fn(SocketAddr) -> Boxed<Side>| {
        let proxy = service.proxy().map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let side = connect(proxy.addr()).await;
            for _ in 0..1_000 {
                (side.generate)().await;
            }
        });
        Ok::<u64, String>(proxy.connections())
    };
    Ok([count(&|at| service.ours(at))?, count(&|at| service.bare(at))?])
}

/// From a configuration to the first data key.
fn cold(runtime: &Runtime, services: &[&dyn Service], rounds: usize) -> Table {
    let columns = ["ms, least", "ms, median"];
    let mut table =
        Table::new("kms-cold".into(), "Configuration to first data key".into(), columns);
    for service in services {
        let connect = |connect: Box<dyn Fn(SocketAddr) -> Boxed<Side>>| {
            let at = service.addr();
            move || {
                runtime.block_on(async {
                    let side = connect(at).await;
                    (side.generate)().await;
                });
            }
        };
        let mut cases = [
            Case::new("ours", connect(Box::new(|at| service.ours(at)))),
            Case::new("bare SDK", connect(Box::new(|at| service.bare(at)))),
        ];
        let figures = interleave(Plan { time: Time::Wall, rounds, turn: TURN }, &mut cases);
        for figure in figures {
            let cells = [figure.min, figure.median].map(|seconds| format!("{:.2}", seconds * 1e3));
            table.row(&format!("{}, {}", service.name(), figure.name), cells);
        }
    }
    table
}

fn micros(seconds: f64) -> String {
    format!("{:.0}", seconds * 1e6)
}

/// Our side of any service: a data key made anew, and one unwrapped again and again.
async fn ours(
    kms: Arc<dyn vault_crypto_core::KmsProvider>,
    key: vault_crypto_core::KeyId,
    context: vault_crypto_core::WrapContext,
) -> Side {
    let wrapped = kms.generate_data_key(&key, &context).await.expect("a data key");
    let wrapped = Arc::new(wrapped.wrapped().clone());
    let (making, opening) = (Arc::new((kms, key, context.clone())), Arc::new(context));
    let unwrapping = Arc::clone(&making);
    Side {
        generate: Arc::new(move || {
            let asked = Arc::clone(&making);
            Box::pin(async move {
                let (kms, key, context) = &*asked;
                drop(kms.generate_data_key(key, context).await.expect("a data key"));
            })
        }),
        unwrap: Arc::new(move || {
            let (asked, wrapped) = (Arc::clone(&unwrapping), Arc::clone(&wrapped));
            let context = Arc::clone(&opening);
            Box::pin(async move {
                drop(asked.0.decrypt_data_key(&wrapped, &context).await.expect("the data key"));
            })
        }),
    }
}
