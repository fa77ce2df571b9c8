//! A connection whose bytes are passed as they are: for protocols other than HTTP, and for TLS that ends at
//! the server itself.

use http::Request;
use http::request::Parts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::fault::HttpFault;
use super::forward::{NOISE, before};
use super::line::{Line, Wire};

pub(super) async fn pass(line: &Line, mut wire: Wire) {
    let (call, fault) = line.shared.begin(&connecting(), line.number);
    if let Some(answer) = before(line, fault.as_ref()).await {
        // The client may be gone; then nobody misses the answer. What it says meanwhile is read, for
        // a socket closed with bytes unread is reset.
        drop(wire.write_all(answer.body()).await);
        drop(wire.shutdown().await);
        drop(tokio::io::copy(&mut wire, &mut tokio::io::sink()).await);
        return;
    }
    line.shared.forwarded(call);
    let Ok(server) = line.shared.upstream.connect().await else { match line.reset().await {} };
    let (mut from_server, mut to_server) = server.into_split();
    let (mut from_client, mut to_client) = tokio::io::split(wire);
    let asking = async {
        drop(tokio::io::copy(&mut from_client, &mut to_server).await);
        drop(to_server.shutdown().await);
        std::future::pending::<()>().await;
    };
    let answering = async {
        let mut buffer = vec![0; 16 * 1_024];
        let mut passed = 0;
        while let Ok(len @ 1..) = from_server.read(&mut buffer).await {
            let mut chunk = buffer.get(..len).unwrap_or_default().to_vec();
            let cut = alter(line, fault.as_ref(), &mut chunk, passed).await;
            if write(&mut to_client, &chunk, fault.as_ref()).await.is_err() {
                break;
            }
            passed += chunk.len();
            if cut {
                line.reset().await;
            }
        }
    };
    // When the server has said all, the connection ends; when the client has, the server may go on.
    tokio::select! { () = asking => {}, () = answering => {} }
}

/// Does to a piece of the answer what the fault says; whether the connection breaks off after it.
async fn alter(line: &Line, fault: Option<&HttpFault>, chunk: &mut Vec<u8>, passed: usize) -> bool {
    match fault {
        Some(HttpFault::ResetAfter) => match line.reset().await {},
        Some(HttpFault::AnswerAfter(answer)) => *chunk = answer.body().to_vec(),
        Some(HttpFault::LateAnswer(delay)) if passed == 0 => sleep(*delay).await,
        Some(HttpFault::Garbage) => *chunk = NOISE.to_vec(),
        Some(HttpFault::EditBody(edit)) => edit(chunk),
        Some(HttpFault::Truncate(len)) => {
            chunk.truncate(len.saturating_sub(passed));
            return passed + chunk.len() >= *len;
        }
        _ => {}
    }
    false
}

async fn write(
    client: &mut (impl AsyncWriteExt + Unpin),
    chunk: &[u8],
    fault: Option<&HttpFault>,
) -> std::io::Result<()> {
    let Some(HttpFault::SlowLoris(pause)) = fault else { return client.write_all(chunk).await };
    for byte in chunk {
        client.write_all(&[*byte]).await?;
        sleep(*pause).await;
    }
    Ok(())
}

/// A raw connection as rules see it.
fn connecting() -> Parts {
    let mut request = Request::new(());
    *request.method_mut() = http::Method::CONNECT;
    request.into_parts().0
}
