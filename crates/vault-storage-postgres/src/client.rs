//! The connections: made when needed, driven by the call that uses them, kept when the call went well.
//!
//! No task is spawned: whoever asks also turns the crank. What is asked is left to `storage`.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};

use tokio::sync::Semaphore;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Row, Socket};
use vault_crypto_core::Sleep;

use crate::config::PostgresStorageConfig;
use crate::error::Fault;
use crate::sql;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// A statement's parameters with their types, so that the server is asked once and not for the types first.
pub(crate) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// What is asked of the server.
#[derive(Clone, Copy)]
pub(crate) enum Request<'a> {
    /// One statement, which answers rows.
    Rows(&'a str, Params<'a>),
    /// Several statements in one transaction, which answer nothing.
    Script(&'a str),
}

impl Request<'_> {
    async fn send(self, client: &Client) -> Result<Vec<Row>, tokio_postgres::Error> {
        match self {
            Self::Rows(statement, params) => client.query_typed(statement, params).await,
            Self::Script(statements) => client.batch_execute(statements).await.map(|()| Vec::new()),
        }
    }
}

/// Up to a number of connections.
pub(crate) struct Clients {
    connect: Box<dyn Fn() -> Boxed<Result<Session, Fault>> + Send + Sync>,
    idle: Mutex<Vec<Session>>,
    permits: Semaphore,
    config: PostgresStorageConfig,
}

impl Clients {
    /// None yet; `tls` makes each of them.
    pub(crate) fn new<T>(config: PostgresStorageConfig, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::TlsConnect: Send,
        T::Stream: Send + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let (server, timeout) = (config.server.clone(), config.timeout.as_millis());
        let connect = move || -> Boxed<Result<Session, Fault>> {
            Box::pin(connect(server.clone(), tls.clone(), sql::session(timeout)))
        };
        let permits = Semaphore::new(config.connections);
        Self { connect: Box::new(connect), idle: Mutex::default(), permits, config }
    }

    /// The settings.
    pub(crate) fn config(&self) -> &PostgresStorageConfig {
        &self.config
    }

    /// What the server answers, within the time that a call has. A connection whose call failed or was
    /// dropped is closed.
    pub(crate) async fn ask(&self, request: Request<'_>) -> Result<Vec<Row>, Fault> {
        let asked = async {
            // Never closed, so there is always a permit to come.
            let _permit = self.permits.acquire().await.map_err(|_| Fault::Closed)?;
            let mut session = self.session().await?;
            let answer = session.ask(request).await?;
            self.idle().push(session);
            Ok(answer)
        };
        let answer = within(self.config.clock.sleep(self.config.timeout), asked).await;
        if answer.as_ref().is_err_and(Fault::is_of_all_connections) {
            self.idle().clear();
        }
        answer
    }

    /// One that was kept, or a new one.
    async fn session(&self) -> Result<Session, Fault> {
        loop {
            let Some(mut kept) = self.idle().pop() else { break };
            if kept.is_open().await {
                return Ok(kept);
            }
        }
        // Without a runtime tokio would panic.
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Fault::NoRuntime);
        }
        (self.connect)().await
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection and what drives it.
struct Session {
    client: Client,
    driver: Boxed<Result<(), tokio_postgres::Error>>,
}

async fn connect<T>(server: Config, tls: T, settings: String) -> Result<Session, Fault>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, mut connection) = server.connect(tls).await?;
    // Moves bytes until the connection ends, and lets the server's notices go: as a future of its own, a
    // connection logs their text.
    let driver = poll_fn(move |cx| {
        loop {
            match ready!(connection.poll_message(cx)) {
                Some(Ok(_notice)) => {}
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
    });
    let mut session = Session { client, driver: Box::pin(driver) };
    session.ask(Request::Script(&settings)).await?;
    Ok(session)
}

impl Session {
    /// Whether the server has not hung up, as far as is known here.
    async fn is_open(&mut self) -> bool {
        // The runtime hears of a hang-up when it looks, and it looks when a task gives way.
        tokio::task::yield_now().await;
        poll_fn(|cx| Poll::Ready(self.driver.as_mut().poll(cx).is_pending())).await
    }

    async fn ask(&mut self, request: Request<'_>) -> Result<Vec<Row>, Fault> {
        let Self { client, driver } = self;
        let mut asked = pin!(request.send(client));
        poll_fn(|cx| {
            let ended = driver.as_mut().poll(cx);
            // What the server said before it hung up is an answer still.
            match (asked.as_mut().poll(cx), ended) {
                (Poll::Ready(Err(error)), Poll::Ready(Err(cause))) if error.is_closed() => {
                    Poll::Ready(Err(Fault::Driver(cause)))
                }
                (Poll::Ready(answer), _) => Poll::Ready(answer.map_err(Fault::Driver)),
                (Poll::Pending, Poll::Ready(Err(cause))) => Poll::Ready(Err(Fault::Driver(cause))),
                (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready(Err(Fault::Closed)),
                (Poll::Pending, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }
}

/// What `asked` gets before `limit` ends. The answer wins when both are ready.
async fn within<T>(
    mut limit: Sleep,
    asked: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let mut asked = pin!(asked);
    poll_fn(|cx| {
        if let Poll::Ready(answer) = asked.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        limit.as_mut().poll(cx).map(|()| Err(Fault::TimedOut))
    })
    .await
}
