//! AWS services played inside the process, so that no peer's hit is charged for a network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// Answers one operation, by the name after the dot of `X-Amz-Target`.
type Answer = dyn Fn(&str, &Value) -> Value + Send + Sync;

/// A service: what it answers, how long it takes, how often it was asked.
#[derive(Clone)]
pub struct Service {
    answer: Arc<Answer>,
    latency: Duration,
    calls: Arc<AtomicU64>,
}

impl Service {
    pub fn new(answer: impl Fn(&str, &Value) -> Value + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), latency: Duration::ZERO, calls: Arc::default() }
    }

    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// What an SDK's client is given in place of a network.
    pub fn client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default());
        let answer = (self.answer)(operation, &body.unwrap_or(Value::Null));
        let latency = self.latency;
        HttpConnectorFuture::new(async move {
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            let ok = StatusCode::try_from(200_u16).expect("a status");
            Ok(HttpResponse::new(ok, SdkBody::from(answer.to_string())))
        })
    }
}
