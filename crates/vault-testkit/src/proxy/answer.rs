//! A whole answer: one that a test writes down, or one of the server's, kept for later.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;

use super::body::{Body, BodyError, boxed};
use super::upstream::OF_ONE_CONNECTION;

/// An answer that the proxy gives in the server's place.
///
/// ```
/// use vault_testkit::proxy::Answer;
///
/// let throttled = Answer::new(400)
///     .with_header("content-type", "application/x-amz-json-1.1")
///     .with_body(r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);
/// let exhausted = Answer::grpc(8, "Quota exceeded");
/// assert_eq!((throttled.status(), exhausted.status()), (400, 200));
/// ```
#[derive(Clone)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Answer {
    /// A status without headers or body. A number that is no status becomes 500.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), trailers: None }
    }

    /// JSON under a status.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status).with_header("content-type", "application/json").with_body(body)
    }

    /// A gRPC failure in the head alone ("trailers only"), with this `grpc-status`.
    #[must_use]
    pub fn grpc(code: u16, message: &str) -> Self {
        Self::new(200)
            .with_header("content-type", "application/grpc")
            .with_header("grpc-status", &code.to_string())
            .with_header("grpc-message", message)
    }

    /// With this header, instead of another of that name. What no header can hold is left out.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// With this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Bytes::from(body.into());
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The body's bytes.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether `text` stands in the body or in a header.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        holds(&self.body) || self.headers.values().any(|value| holds(value.as_bytes()))
    }

    /// The server's whole answer.
    pub(super) async fn collect(answer: Response<Body>) -> Result<Self, BodyError> {
        let (mut parts, body) = answer.into_parts();
        for name in OF_ONE_CONNECTION {
            parts.headers.remove(name);
        }
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned();
        Ok(Self {
            status: parts.status,
            headers: parts.headers,
            body: collected.to_bytes(),
            trailers,
        })
    }

    /// Changes the body, and its length in the head with it.
    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        const FRAME: usize = 5; // gRPC: a flag and four bytes of length before each message
        let mut body = self.body.to_vec();
        if self.is_grpc() && body.len() >= FRAME {
            let mut message = body.split_off(FRAME);
            edit(&mut message);
            let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
            body.truncate(1);
            body.extend(len.to_be_bytes());
            body.extend(message);
        } else {
            edit(&mut body);
        }
        self.headers.remove(http::header::CONTENT_LENGTH);
        self.body = Bytes::from(body);
    }

    pub(super) fn is_grpc(&self) -> bool {
        let kind = self.headers.get(http::header::CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body = match self.trailers {
            Some(trailers) => {
                boxed(Full::new(self.body).with_trailers(async move { Some(Ok(trailers)) }))
            }
            None => boxed(Full::new(self.body)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    /// The head, the body's bytes and what comes after them.
    pub(super) fn into_parts(self) -> (Response<()>, Bytes, Option<HeaderMap>) {
        let mut head = Response::new(());
        *head.status_mut() = self.status;
        *head.headers_mut() = self.headers;
        (head, self.body, self.trailers)
    }
}

/// Without the body: a recorded one may hold a plaintext key.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}
