//! A service, or somebody in its place, that breaks HTTP/2 and gRPC: every call ends in time with its kind
//! of error, and the next connection is as good as new.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use vault_crypto_core::{Clock, ErrorKind, KmsProvider, SystemClock};
use vault_kms_gcp::GcpKmsProvider;
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};

use super::support::{Service, at, context, kind, scope};

const DEADLINE: Duration = Duration::from_secs(1);
/// HTTP/2 frames (RFC 9113, section 6): length, type, flags, stream, payload.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The same with SETTINGS_MAX_CONCURRENT_STREAMS of none at all.
const NO_STREAMS: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];
/// GOAWAY, no stream was processed, NO_ERROR.
const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// RST_STREAM of the first stream: REFUSED_STREAM, ENHANCE_YOUR_CALM, INTERNAL_ERROR.
const RESETS: [&[u8]; 3] = [
    &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7],
    &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 11],
    &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2],
];

/// Stands before `server`. The first connection gets `settings` at once and `then` after its first request,
/// and hears no more; the others reach the server.
fn front(
    server: &str,
    settings: &'static [u8],
    then: &'static [u8],
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, server) = (listener.local_addr().unwrap(), server.to_owned());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, server) = (client.unwrap(), server.clone());
            let number = counted.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || match number {
                0 => hostile(&mut client, settings, then),
                _ => tunnel(client, &server),
            });
        }
    });
    (address, connections)
}

fn hostile(client: &mut TcpStream, settings: &[u8], then: &[u8]) {
    client.write_all(settings).unwrap();
    let (mut heard, mut said) = (Vec::<u8>::new(), false);
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        heard.extend(buffer.iter().take(count));
        // A request names its path, and a path of gRPC's is hidden by no table.
        if !said && heard.len() > 200 {
            said = true;
            drop(client.write_all(then));
        }
    }
}

fn tunnel(mut client: TcpStream, server: &str) {
    let mut server = TcpStream::connect(server).unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut from, &mut to));
    drop(std::io::copy(&mut server, &mut client));
}

async fn impatient(endpoint: &str) -> GcpKmsProvider {
    let config = at(endpoint).with_call_timeout(DEADLINE);
    GcpKmsProvider::connect(config).await.unwrap()
}

/// Runs `call` and says how it failed, which it must in time.
async fn failure<T>(call: impl Future<Output = vault_crypto_core::Result<T>>) -> ErrorKind {
    let began = SystemClock::new().monotonic();
    let kind = kind(call.await);
    let took = SystemClock::new().monotonic() - began;
    assert!(took < DEADLINE * 4, "{took:?}");
    kind
}

/// ENHANCE_YOUR_CALM is throttling where `tonic` tells HTTP/2's reasons apart, which a feature of it decides.
fn lets_ask_again(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Throttled)
}

/// The next call may be on its way to the connection that ends; the one after it is not.
async fn recovers(kms: &GcpKmsProvider) {
    if let Err(error) = kms.random_bytes(32).await {
        assert!(lets_ask_again(error.kind()), "{error}");
        kms.random_bytes(32).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_sent_away_are_left_and_made_anew() {
    let service = Service::start().await;
    let scripts = [GOAWAY, RESETS[0], RESETS[1], RESETS[2]];
    for then in scripts {
        let (address, connections) = front(&service.fake.address(), SETTINGS, then);
        let kms = impatient(&format!("http://{address}")).await;
        assert!(lets_ask_again(failure(kms.random_bytes(32)).await), "{then:?}");
        if then == GOAWAY {
            recovers(&kms).await;
            assert_eq!(connections.load(Ordering::SeqCst), 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_takes_no_streams_or_says_nothing_ends_at_the_deadline() {
    let service = Service::start().await;
    for settings in [NO_STREAMS, SETTINGS, &[]] {
        let (address, _) = front(&service.fake.address(), settings, &[]);
        let kms = Arc::new(impatient(&format!("http://{address}")).await);
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let kms = Arc::clone(&kms);
                tokio::spawn(async move { failure(kms.random_bytes(32)).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), ErrorKind::TimedOut, "{settings:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_too_large_to_be_true_are_not_taken() {
    let service = Service::start().await;
    service.key("cards").await;
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let kms = impatient(&proxy.url()).await;
    let grpc = |body: Vec<u8>| {
        Answer::new(200).with_header("content-type", "application/grpc").with_body(body)
    };
    let answers = [
        // A message of 5 MiB is announced.
        grpc(vec![0, 0, 0x50, 0, 0]),
        grpc([vec![0, 0, 0x50, 0, 0], vec![0; 5 << 20]].concat()),
        // Compressed, which nobody asked for.
        grpc(vec![1, 0, 0, 0, 1, 0]),
        Answer::grpc(0, "").with_header("x-large", &"a".repeat(1 << 20)),
        Answer::grpc(14, &"a".repeat(60_000)),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        proxy.on(Match::any()).fault(HttpFault::Answer(answer));
        assert!(lets_ask_again(failure(kms.random_bytes(32)).await), "{number}");
        recovers(&kms).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_plaintext_is_no_plaintext() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let kms = impatient(&proxy.url()).await;
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    let sealed = kms.encrypt(&key, b"payload", &scope()).await.unwrap();
    // DecryptResponse of a checksum alone: field 2, an Int64Value of 0, which is right for no bytes.
    let empty = HttpFault::edit(|message| *message = vec![0x12, 0]);
    proxy.on(Match::path("Decrypt")).always().fault(empty);
    let opened = kms.decrypt_data_key(data_key.wrapped(), &context()).await;
    assert_eq!(kind(opened), ErrorKind::Unavailable);
    assert_eq!(kind(kms.decrypt(&key, &sealed, &scope()).await), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_nobody_waits_for_any_more_leave_nothing_behind() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let kms = Arc::new(GcpKmsProvider::connect(at(&proxy.url())).await.unwrap());
    kms.generate_data_key(&key, &context()).await.unwrap();
    let given_up = async |count: usize| {
        proxy.on(Match::any()).always().fault(HttpFault::Hang);
        let calls: Vec<_> = (0..count)
            .map(|_| {
                let (kms, key) = (Arc::clone(&kms), key.clone());
                tokio::spawn(async move { kms.generate_data_key(&key, &context()).await.map(drop) })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        for call in calls {
            drop(call.await);
        }
        proxy.clear();
    };
    for _ in 0..10 {
        given_up(10).await;
        kms.generate_data_key(&key, &context()).await.unwrap();
    }
    assert_eq!(proxy.connections(), 1, "a call given up is no reason to connect again");
    // So many at once may be taken for an attack (CVE-2023-44487), and the connection is closed.
    given_up(1_000).await;
    recovers(&kms).await;
    for _ in 0..300 {
        kms.generate_data_key(&key, &context()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_requests_of_a_call_share_one_deadline() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let kms = impatient(&proxy.url()).await;
    let sealed = kms.generate_data_key(&key, &context()).await.unwrap();
    // Each request by itself is in time.
    proxy.on(Match::any()).always().fault(HttpFault::Latency(DEADLINE * 3 / 5));
    let began = SystemClock::new().monotonic();
    assert_eq!(kind(kms.describe_key(&key).await), ErrorKind::TimedOut);
    let rewrapped = kms.rewrap_data_key(sealed.wrapped(), &key, &context()).await;
    assert_eq!(kind(rewrapped), ErrorKind::TimedOut);
    let took = SystemClock::new().monotonic() - began;
    assert!((DEADLINE * 2..DEADLINE * 4).contains(&took), "{took:?}");
}
