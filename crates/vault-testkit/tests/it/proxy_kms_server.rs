//! The server of the KMS over HTTP that the transport suite is tried on, and the form of its messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use vault_crypto_core::{
    ErrorKind, KeyId, KeyVersion, KmsProvider, Result, Scope, SecureBytes, WrapContext, WrappedKey,
};
use vault_testkit::MemoryKms;

pub(super) type Fields = BTreeMap<String, Vec<u8>>;

/// The body of a refusal that the server itself has worded.
pub(super) const OWN_REFUSAL: &str = "refused\nend\n";

/// Serves `kms` on HTTP/1.1, one call for each connection.
pub(super) async fn serve(listener: TcpListener, kms: Arc<MemoryKms>) {
    loop {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let kms = Arc::clone(&kms);
        tokio::spawn(async move {
            let mut request = Vec::new();
            loop {
                let mut buffer = [0; 4_096];
                let len = tcp.read(&mut buffer).await.unwrap_or(0);
                request.extend_from_slice(&buffer[..len]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n").filter(|_| len > 0) else {
                    if len == 0 { return } else { continue }
                };
                let declared = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() < declared.unwrap_or("0").parse().unwrap() {
                    continue;
                }
                let path = head.split(' ').nth(1).unwrap().trim_start_matches('/');
                let (status, body) = match answer(&kms, path, &fields(body).unwrap()).await {
                    Ok(body) => ("200 OK", body + "end\n"),
                    Err(error) if error.kind() == ErrorKind::KeyNotFound => {
                        ("404 Not Found", OWN_REFUSAL.to_owned())
                    }
                    Err(_) => ("400 Bad Request", OWN_REFUSAL.to_owned()),
                };
                let len = body.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {len}\r\n\r\n");
                drop(tcp.write_all((head + &body).as_bytes()).await);
                request.clear();
            }
        });
    }
}

async fn answer(kms: &MemoryKms, path: &str, fields: &Fields) -> Result<String> {
    let empty = Vec::new();
    let field = |name| fields.get(name).unwrap_or(&empty);
    let text = |name| String::from_utf8(field(name).clone()).unwrap();
    let key = KeyId::new(text("key"));
    let scope = Scope::from_canonical(field("scope")).unwrap_or_default();
    let context = WrapContext::data_key(scope.clone());
    let told = |key: &KeyId, version: &KeyVersion, bytes: &[u8], plaintext: &[u8]| {
        let (key, version) = (hex(key.as_str().as_bytes()), hex(version.as_str().as_bytes()));
        let (bytes, plaintext) = (hex(bytes), hex(plaintext));
        format!("key={key}\nversion={version}\nbytes={bytes}\nplaintext={plaintext}\n")
    };
    let unknown = KeyVersion::unknown();
    Ok(match path {
        "generate_data_key" => {
            let made = kms.generate_data_key(&key, &context).await?;
            let wrapped = made.wrapped();
            told(&wrapped.key_id, &wrapped.version, &wrapped.bytes, made.plaintext().as_slice())
        }
        "wrap_data_key" => {
            let plaintext = SecureBytes::new(field("plaintext").clone());
            let wrapped = kms.wrap_data_key(&key, &plaintext, &context).await?;
            told(&wrapped.key_id, &wrapped.version, &wrapped.bytes, &[])
        }
        "decrypt_data_key" => {
            let version = KeyVersion::new(text("version"))?;
            let wrapped = WrappedKey::new(field("bytes").clone(), key.clone(), version);
            let opened = kms.decrypt_data_key(&wrapped, &context).await?;
            told(&key, &unknown, &[], opened.as_slice())
        }
        "encrypt" => {
            let sealed = kms.encrypt(&key, field("plaintext"), &scope).await?;
            told(&key, &unknown, &sealed, &[])
        }
        "decrypt" => {
            let opened = kms.decrypt(&key, field("bytes"), &scope).await?;
            told(&key, &unknown, &[], opened.as_slice())
        }
        "describe_key" => told(&kms.describe_key(&key).await?.key_id, &unknown, &[], &[]),
        "create_key" => told(&kms.add_key(key.as_str())?, &unknown, &[], &[]),
        _ => told(&key, &unknown, &[], &[]),
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` for a line that is not one of ours. The last line may be cut off.
pub(super) fn fields(text: &str) -> Option<Fields> {
    let lines = text.lines().filter(|line| !line.starts_with("token=") && *line != "end");
    let value = |hex: &str| -> Option<Vec<u8>> {
        let pairs = hex.as_bytes().chunks_exact(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    lines
        .map(|line| Some((line.split_once('=')?.0.to_owned(), value(line.split_once('=')?.1)?)))
        .collect()
}
