//! The proxy's thread: takes connections, opens and closes the port.

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;

use super::line::{self, Line};
use super::shared::Shared;

/// What the test wants, with where to say that it is done.
pub(super) enum Command {
    Stop(mpsc::Sender<()>),
    Reset(mpsc::Sender<()>),
    Listen(mpsc::Sender<io::Result<()>>),
}

/// Until nobody can send commands any more.
pub(super) async fn run(
    shared: Arc<Shared>,
    listener: StdListener,
    mut commands: UnboundedReceiver<Command>,
) {
    let Ok(address) = listener.local_addr() else { return };
    let mut listening = registered(listener).ok();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                None => return,
                Some(Command::Stop(done)) => {
                    listening = None;
                    hang_up(&shared).await;
                    let _ = done.send(());
                }
                Some(Command::Reset(done)) => {
                    hang_up(&shared).await;
                    let _ = done.send(());
                }
                Some(Command::Listen(done)) => {
                    let opened = match listening.take() {
                        Some(open) => Ok(open),
                        None => StdListener::bind(address).and_then(registered),
                    };
                    drop(done.send(opened.map(|open| listening = Some(open))));
                }
            },
            accepted = next(listening.as_ref()) => if let Ok(tcp) = accepted {
                tokio::spawn(line::serve(Line::new(&shared), tcp, shared.generation()));
            },
        }
    }
}

fn registered(listener: StdListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn next(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(tcp, _)| tcp),
        None => std::future::pending().await,
    }
}

/// Resets every connection and waits until they are gone.
async fn hang_up(shared: &Shared) {
    shared.hang_up();
    for _ in 0..1_000 {
        if shared.open.load(Ordering::SeqCst) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
