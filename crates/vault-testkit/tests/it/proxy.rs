//! The fault proxy: it changes nothing until it is told to, and then exactly what it was told.

use std::time::{Duration, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match, Upstream};
use vault_testkit::tls::TestCa;

use super::proxy_support::{Client, Echo};

async fn pair() -> (Echo, FaultProxy) {
    let echo = Echo::start(None).await;
    let proxy = FaultProxy::start(echo.addr).unwrap();
    (echo, proxy)
}

#[tokio::test]
async fn without_rules_calls_and_answers_pass_unchanged() {
    let (echo, proxy) = pair().await;
    let mut one = Client::http1(proxy.addr()).await.unwrap();
    let reply = one.post("/a/b?c=d%2fe", "body").await.unwrap();
    assert_eq!((reply.status, reply.text()), (200, "echo POST /a/b?c=d%2fe body"));
    assert_eq!(reply.headers["content-type"], "text/plain");

    let mut two = Client::http2(proxy.addr()).await.unwrap();
    let reply = two.grpc("/kms/Encrypt", b"message").await.unwrap();
    assert_eq!(&reply.body[5..], b"message");
    assert_eq!(reply.trailers.unwrap()["grpc-status"], "0");
    let reply = two.post("/over/http2", "is HTTP/1.1 behind").await.unwrap();
    assert_eq!(reply.text(), "echo POST /over/http2 is HTTP/1.1 behind");

    assert_eq!((echo.seen(), proxy.connections()), (3, 2));
    let calls = proxy.calls();
    let paths: Vec<_> = calls.iter().map(|call| (call.path.as_str(), call.connection)).collect();
    assert_eq!(paths, [("/a/b?c=d%2fe", 1), ("/kms/Encrypt", 2), ("/over/http2", 2)]);
    assert!(calls.iter().all(|call| call.forwarded && call.status == Some(200)), "{calls:?}");
}

#[tokio::test]
async fn a_reset_before_never_reaches_the_server_and_one_after_does() {
    for (fault, reached) in [(HttpFault::ResetBefore, 0), (HttpFault::ResetAfter, 1)] {
        for version in [1, 2] {
            let (echo, proxy) = pair().await;
            proxy.on(Match::any()).fault(fault.clone());
            let mut client = match version {
                1 => Client::http1(proxy.addr()).await.unwrap(),
                _ => Client::http2(proxy.addr()).await.unwrap(),
            };
            let failed = client.post("/lost", "").await.unwrap_err();
            let mut text = String::new();
            let mut next: Option<&dyn std::error::Error> = Some(failed.as_ref());
            while let Some(error) = next {
                text = error.to_string();
                next = error.source();
            }
            assert!(text.contains("reset"), "{fault:?} over HTTP/{version}: {text}");
            assert_eq!(echo.seen(), reached);
            let call = proxy.calls().pop().unwrap();
            assert_eq!((call.forwarded, call.status), (reached == 1, None));
            assert!(Client::http1(proxy.addr()).await.unwrap().post("/", "").await.is_ok());
        }
    }
}

#[tokio::test]
async fn rules_choose_by_what_a_call_is_and_by_its_number() {
    let (_echo, proxy) = pair().await;
    let fault = |status| HttpFault::Answer(Answer::new(status));
    proxy.on(Match::path("/third")).nth(3).fault(fault(503));
    proxy.on(Match::header("content-type", "text/").and_method("GET")).always().fault(fault(500));
    proxy.on(Match::path("/twice")).times(2).fault(fault(429));
    let mut client = Client::http1(proxy.addr()).await.unwrap();
    let mut statuses = Vec::new();
    for path in ["/third", "/twice", "/third", "/twice", "/third", "/third", "/twice"] {
        statuses.push(client.post(path, "").await.unwrap().status);
    }
    assert_eq!(statuses, [200, 429, 200, 429, 503, 200, 200]);
    proxy.on(Match::any()).always().fault(fault(418));
    assert_eq!(client.post("/", "").await.unwrap().status, 418);
    proxy.clear();
    assert_eq!(client.post("/", "").await.unwrap().status, 200);
}

#[tokio::test]
async fn seeded_faults_are_the_same_on_every_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (_echo, proxy) = pair().await;
        let faults = [500, 503].map(|status| HttpFault::Answer(Answer::new(status)));
        proxy.on(Match::any()).seeded(0.2, 42).one_of(faults.to_vec());
        let mut client = Client::http1(proxy.addr()).await.unwrap();
        let mut statuses = Vec::new();
        for _ in 0..200 {
            statuses.push(client.post("/", "").await.unwrap().status);
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    let met = runs[0].iter().filter(|status| **status != 200).count();
    assert!((20..60).contains(&met), "{met} of 200 at one in five");
    assert!(runs[0].contains(&500) && runs[0].contains(&503));
}

#[tokio::test]
async fn answers_are_replaced_edited_cut_and_garbled() {
    let (echo, proxy) = pair().await;
    let mut client = Client::http1(proxy.addr()).await.unwrap();
    let throttled = Answer::json(429, "{}").with_header("retry-after", "2");
    proxy.on(Match::any()).fault(HttpFault::Answer(throttled.clone()));
    let reply = client.post("/", "").await.unwrap();
    assert_eq!((reply.status, reply.headers["retry-after"].as_bytes()), (429, &b"2"[..]));
    assert_eq!(echo.seen(), 0);
    proxy.on(Match::any()).fault(HttpFault::AnswerAfter(throttled));
    assert_eq!(client.post("/", "").await.unwrap().status, 429);
    assert_eq!(echo.seen(), 1);

    proxy.on(Match::any()).fault(HttpFault::edit(|body| body.extend(b", edited")));
    assert_eq!(client.post("/", "x").await.unwrap().text(), "echo POST / x, edited");
    proxy.on(Match::any()).fault(HttpFault::Garbage);
    assert!(std::str::from_utf8(&client.post("/", "").await.unwrap().body).is_err());
    let then = UNIX_EPOCH + Duration::from_secs(784_111_777);
    proxy.on(Match::any()).fault(HttpFault::date(then));
    let reply = client.post("/", "").await.unwrap();
    assert_eq!(reply.headers["date"], "Sun, 06 Nov 1994 08:49:37 GMT");
    proxy.on(Match::any()).fault(HttpFault::Truncate(4));
    client.post("/", "").await.unwrap_err();
}

#[tokio::test]
async fn grpc_answers_are_edited_inside_of_their_frame_and_keep_their_trailers() {
    let (_echo, proxy) = pair().await;
    let mut client = Client::http2(proxy.addr()).await.unwrap();
    proxy.on(Match::any()).fault(HttpFault::edit(|message| message.extend(b", edited")));
    let reply = client.grpc("/kms/Encrypt", b"message").await.unwrap();
    assert_eq!(reply.body, b"\0\0\0\0\x0fmessage, edited");
    assert_eq!(reply.trailers.unwrap()["grpc-status"], "0");
    proxy.on(Match::any()).fault(HttpFault::Answer(Answer::grpc(8, "too many")));
    let reply = client.grpc("/kms/Encrypt", b"").await.unwrap();
    assert_eq!((reply.status, reply.headers["grpc-status"].as_bytes()), (200, &b"8"[..]));
    proxy.on(Match::any()).fault(HttpFault::Truncate(7));
    client.grpc("/kms/Encrypt", b"message").await.unwrap_err();
    proxy.on(Match::any()).fault(HttpFault::SlowLoris(Duration::from_millis(1)));
    let reply = client.grpc("/kms/Encrypt", b"slow").await.unwrap();
    assert_eq!((&reply.body[5..], reply.trailers.is_some()), (&b"slow"[..], true));
}

#[tokio::test]
async fn answers_come_late_byte_by_byte_or_never() {
    let (echo, proxy) = pair().await;
    let pause = Duration::from_secs(1);
    let too_early = pause / 2;
    let faults =
        [HttpFault::Latency(pause), HttpFault::LateAnswer(pause), HttpFault::SlowLoris(pause / 20)];
    for (fault, reached) in faults.into_iter().zip([0, 1, 1]) {
        let before = echo.seen();
        let mut client = Client::http1(proxy.addr()).await.unwrap();
        proxy.on(Match::any()).fault(fault.clone());
        let mut call = Box::pin(client.post("/slow", "and its body"));
        assert!(timeout(too_early, &mut call).await.is_err(), "{fault:?} was no delay");
        assert_eq!(echo.seen() - before, reached, "{fault:?}");
        assert_eq!(call.await.unwrap().text(), "echo POST /slow and its body");
    }
    proxy.on(Match::any()).fault(HttpFault::Hang);
    let before = echo.seen();
    let mut client = Client::http1(proxy.addr()).await.unwrap();
    assert!(timeout(pause, client.post("/", "")).await.is_err());
    assert_eq!(echo.seen(), before);
}

#[tokio::test]
async fn a_stopped_proxy_refuses_and_comes_back_on_its_port() {
    let (_echo, proxy) = pair().await;
    let mut kept = Client::http1(proxy.addr()).await.unwrap();
    kept.post("/", "").await.unwrap();
    proxy.stop();
    assert!(kept.post("/", "").await.is_err());
    let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.listen_again().unwrap();
    Client::http1(proxy.addr()).await.unwrap().post("/", "").await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_reset_and_its_return_is_noticed() {
    let (echo, inner) = pair().await;
    let proxy = FaultProxy::start(inner.addr()).unwrap();
    let mut client = Client::http1(proxy.addr()).await.unwrap();
    client.post("/", "").await.unwrap();
    inner.stop();
    client.post("/", "").await.unwrap_err();
    inner.listen_again().unwrap();
    let mut client = Client::http1(proxy.addr()).await.unwrap();
    client.post("/", "").await.unwrap();
    assert_eq!(echo.seen(), 2);
}

#[tokio::test]
async fn certificates_are_right_of_another_name_or_expired() {
    let (server_ca, ca) = (TestCa::new(), TestCa::new());
    let echo = Echo::start(Some(&server_ca)).await;
    let upstream = Upstream::https(echo.addr, "echo.test", &server_ca.ca_pem()).unwrap();
    let proxy = FaultProxy::start_tls(upstream, &ca, &["kms.test"]).unwrap();
    assert!(proxy.url().starts_with("https://127.0.0.1:"));
    for name in ["kms.test", "127.0.0.1"] {
        let mut client = Client::https(proxy.addr(), name, &ca).await.unwrap();
        assert_eq!(client.post("/tls", "").await.unwrap().text(), "echo POST /tls ");
    }
    let refused = async |name: &str, ca: &TestCa| match Client::https(proxy.addr(), name, ca).await
    {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    assert!(refused("kms.test", &server_ca).await.contains("UnknownIssuer"));
    proxy.serve_wrong_name();
    assert!(refused("kms.test", &ca).await.contains("not valid for"));
    proxy.serve_expired_certificate();
    assert!(refused("kms.test", &ca).await.contains("expired"));
    proxy.serve_right_certificate();
    assert!(Client::https(proxy.addr(), "kms.test", &ca).await.is_ok());
}

#[tokio::test]
async fn recorded_answers_are_given_again_without_the_server() {
    let (echo, proxy) = pair().await;
    let mut client = Client::http1(proxy.addr()).await.unwrap();
    proxy.record();
    client.post("/first", "").await.unwrap();
    client.post("/second", "").await.unwrap();
    let tape = proxy.recorded();
    assert_eq!(tape.len(), 2);
    proxy.replay(tape);
    for expected in ["echo POST /first ", "echo POST /second ", "echo POST /third "] {
        assert_eq!(client.post("/third", "").await.unwrap().text(), expected);
    }
    assert_eq!(echo.seen(), 3);
}

#[tokio::test]
async fn raw_connections_are_passed_cut_reset_and_answered() {
    let ca = TestCa::new();
    let echo = Echo::start(Some(&ca)).await;
    let proxy = FaultProxy::start(Upstream::raw(echo.addr)).unwrap();
    // TLS goes through to the server itself.
    let mut client = Client::https(proxy.addr(), "echo.test", &ca).await.unwrap();
    assert_eq!(client.post("/raw", "").await.unwrap().text(), "echo POST /raw ");
    for fault in
        [HttpFault::ResetBefore, HttpFault::ResetAfter, HttpFault::Truncate(10), HttpFault::Garbage]
    {
        proxy.on(Match::any()).fault(fault);
        assert!(Client::https(proxy.addr(), "echo.test", &ca).await.is_err());
    }
    proxy.on(Match::any()).fault(HttpFault::Answer(Answer::new(200).with_body("220 ready\r\n")));
    let mut tcp = TcpStream::connect(proxy.addr()).await.unwrap();
    tcp.write_all(b"EHLO\r\n").await.unwrap();
    let mut said = String::new();
    tcp.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "220 ready\r\n");
    assert!(Client::https(proxy.addr(), "echo.test", &ca).await.is_ok());
    assert_eq!(proxy.connections(), 7);
}
