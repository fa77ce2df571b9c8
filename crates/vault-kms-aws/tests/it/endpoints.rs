//! Which address a provider asks, told by a proxy that connects nobody.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use vault_crypto_core::{ErrorKind, KmsProvider};
use vault_kms_aws::{AwsKmsConfig, AwsKmsProvider};

use super::support::{DEADLINE, fixed, login};

/// The first line that a provider sends to its proxy.
async fn asked(configure: impl FnOnce(AwsKmsConfig) -> AwsKmsConfig) -> String {
    heard(|settings, proxy| configure(settings.with_proxy(proxy))).await
}

/// The first line that a provider sends to an address that answers nothing of use.
async fn heard(configure: impl FnOnce(AwsKmsConfig, String) -> AwsKmsConfig) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let first = lines.next()?;
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        (&stream).write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").ok()?;
        Some(first)
    });
    let settings = AwsKmsConfig::new().with_region("eu-west-1").with_credentials(fixed(&login()));
    let settings = configure(settings.with_call_timeout(DEADLINE), format!("http://{address}"));
    let kms = AwsKmsProvider::connect(settings).await.unwrap();
    let error = kms.random_bytes(16).await.unwrap_err();
    // Where the provider asked nobody, this is who lets the listener go.
    drop(TcpStream::connect(address));
    let first = heard.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    // The provider asks this address.
    first.unwrap()
}

#[tokio::test]
async fn the_regions_endpoints_are_asked_through_the_proxy() {
    assert_eq!(
        asked(|settings| settings).await,
        "CONNECT kms.eu-west-1.amazonaws.com:443 HTTP/1.1"
    );
    let fips = asked(|settings| settings.with_fips(true)).await;
    assert_eq!(fips, "CONNECT kms-fips.eu-west-1.amazonaws.com:443 HTTP/1.1");
    let dual = asked(|settings| settings.with_dual_stack(true)).await;
    assert_eq!(dual, "CONNECT kms.eu-west-1.api.aws:443 HTTP/1.1");
    let both = asked(|settings| settings.with_fips(true).with_dual_stack(true)).await;
    assert_eq!(both, "CONNECT kms-fips.eu-west-1.api.aws:443 HTTP/1.1");
    let own = asked(|settings| settings.with_endpoint("https://vpce-1.kms.example")).await;
    assert_eq!(own, "CONNECT vpce-1.kms.example:443 HTTP/1.1");
}

/// Credentials of the machine are asked for there, and a proxy would give its own.
#[tokio::test]
async fn plain_http_on_this_machine_goes_past_the_proxy() {
    let nobody = "http://127.0.0.1:1";
    let line = heard(|settings, address| settings.with_endpoint(address).with_proxy(nobody)).await;
    assert_eq!(line, "POST / HTTP/1.1");
}
