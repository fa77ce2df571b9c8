//! What a Managed HSM has and a vault has not: random bytes. No fake has them, so a transport answers here
//! as the reference says (<https://learn.microsoft.com/rest/api/keyvault/keys/get-random-bytes>).

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::Value;
use azure_core::base64::encode_url_safe;
use azure_core::http::headers::{AUTHORIZATION, Headers, WWW_AUTHENTICATE};
use azure_core::http::{
    AsyncRawResponse, Body, ClientOptions, HttpClient, Request, StatusCode, Transport,
};
use azure_core::json::from_json;
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use vault_crypto_core::ErrorKind::{InvalidInput, Unavailable};
use vault_crypto_core::{KmsProvider as _, RandomSource as _, SystemRandom};
use vault_kms_azure::{AzureKmsConfig, AzureKmsProvider};

use super::logins::fixed_token;

const URL: &str = "https://unit.managedhsm.azure.net";

/// Answers `/rng` with at most so many bytes.
#[derive(Debug)]
struct Hsm {
    most: u64,
}

#[async_trait]
impl HttpClient for Hsm {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut headers = Headers::new();
        if request.headers().get_optional_str(&AUTHORIZATION).is_none() {
            let challenge = r#"Bearer authorization="https://login.microsoftonline.com/t", resource="https://managedhsm.azure.net""#;
            headers.insert(WWW_AUTHENTICATE, challenge);
            return Ok(AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, ""));
        }
        assert_eq!(request.url().path(), "/rng");
        let Body::Bytes(body) = request.body() else { panic!("a body of bytes") };
        let asked: Value = from_json(body.as_ref())?;
        let count = asked.get("count").and_then(Value::as_u64).unwrap();
        assert!((1..=128).contains(&count), "{count}");
        let mut bytes = vec![0; usize::try_from(count.min(self.most)).unwrap()];
        SystemRandom::new().fill(&mut bytes).unwrap();
        let answer = format!(r#"{{"value":"{}"}}"#, encode_url_safe(bytes));
        Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, headers, answer))
    }
}

fn provider(most: u64) -> AzureKmsProvider {
    let transport = Some(Transport::new(Arc::new(Hsm { most })));
    let client_options = ClientOptions { transport, ..ClientOptions::default() };
    let options = KeyClientOptions { client_options, ..KeyClientOptions::default() };
    let client = KeyClient::new(URL, fixed_token("e30.e30.e30".into()), Some(options)).unwrap();
    AzureKmsProvider::with_client(client, AzureKmsConfig::for_client(URL)).unwrap()
}

#[tokio::test]
async fn a_managed_hsm_gives_as_many_random_bytes_as_asked() {
    let hsm = provider(128);
    assert!(hsm.capabilities().random_bytes);
    for len in [1, 32, 128, 129, 1_024] {
        let (one, other) =
            (hsm.random_bytes(len).await.unwrap(), hsm.random_bytes(len).await.unwrap());
        assert_eq!((one.len(), other.len()), (len, len));
        assert!(len < 16 || one != other);
    }
    for len in [0, 1_025] {
        assert_eq!(hsm.random_bytes(len).await.unwrap_err().kind(), InvalidInput);
    }
}

#[tokio::test]
async fn fewer_random_bytes_than_asked_are_none() {
    assert_eq!(provider(31).random_bytes(32).await.unwrap_err().kind(), Unavailable);
}
