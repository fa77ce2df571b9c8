//! One call: what its fault does before the server sees it, the call itself, and what its fault does
//! to the answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use tokio::time::sleep;

use super::answer::Answer;
use super::body::{self, Body};
use super::fault::HttpFault;
use super::line::Line;
use super::rules::Random;

/// What neither a JSON parser, a protobuf decoder nor a person takes for an answer.
pub(super) const NOISE: &[u8] = b"\xff\xfe\x00 not what anybody asked for \xc3\x28\xff";

pub(super) async fn handle(
    line: Arc<Line>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(line.reset().await) };
    let body = body.to_bytes();
    let (call, fault) = line.shared.begin(&parts, line.number);
    let answered = |response: Response<Body>| {
        line.shared.answered(call, response.status().as_u16());
        Ok(response)
    };
    if let Some(answer) = before(&line, fault.as_ref()).await {
        return answered(answer.into_response());
    }
    line.shared.forwarded(call);
    // A server that cannot be reached, or breaks off, is that for the client too.
    let Ok(answer) = line.shared.upstream.send(&parts, &body).await else {
        return Err(line.reset().await);
    };
    if line.shared.is_recording() {
        line.shared.keep(answer.clone());
    }
    answered(after(&line, fault, answer).await)
}

/// What happens instead of the call, or before it.
pub(super) async fn before(line: &Line, fault: Option<&HttpFault>) -> Option<Answer> {
    match fault? {
        HttpFault::Latency(delay) => sleep(*delay).await,
        HttpFault::Jitter(most) => sleep(part_of(*most, line.number)).await,
        HttpFault::Hang => std::future::pending().await,
        HttpFault::ResetBefore => match line.reset().await {},
        HttpFault::Answer(answer) => return Some(answer.clone()),
        _ => {}
    }
    None
}

async fn after(line: &Line, fault: Option<HttpFault>, mut answer: Answer) -> Response<Body> {
    match fault {
        Some(HttpFault::ResetAfter) => match line.reset().await {},
        Some(HttpFault::AnswerAfter(other)) => answer = other,
        Some(HttpFault::LateAnswer(delay)) => sleep(delay).await,
        Some(HttpFault::Garbage) => answer.edit(|body| *body = NOISE.to_vec()),
        Some(HttpFault::EditBody(edit)) => answer.edit(|body| edit(body)),
        Some(HttpFault::Header(name, value)) => answer = answer.with_header(name, &value),
        Some(HttpFault::Truncate(len)) => {
            let declared = answer.body().len().to_string();
            let answer = match answer.is_grpc() {
                true => answer,
                false => answer.with_header("content-length", &declared),
            };
            return streamed(answer, |bytes, _| body::broken(bytes, len));
        }
        Some(HttpFault::SlowLoris(pause)) => {
            return streamed(answer, |bytes, trailers| body::trickling(bytes, trailers, pause));
        }
        _ => {}
    }
    answer.into_response()
}

fn streamed(
    answer: Answer,
    body: impl FnOnce(&Bytes, Option<http::HeaderMap>) -> Body,
) -> Response<Body> {
    let (head, bytes, trailers) = answer.into_parts();
    let body = body(&bytes, trailers);
    head.map(|()| body)
}

/// Between nothing and `most`, another part for each connection and each call.
fn part_of(most: Duration, salt: u64) -> Duration {
    let drawn = Random(salt ^ u64::try_from(most.as_nanos()).unwrap_or_default()).next();
    most.mul_f64(f64::from(u32::try_from(drawn >> 32).unwrap_or_default()) / f64::from(u32::MAX))
}
