//! Recorded traffic of the real Cloud KMS, put to the fake: the same requests get the same answers.
//!
//! The fake cannot have the real keys, so a recorded ciphertext stands for the one that the fake made of
//! the same plaintext, and a damaged one for the fake's with the same damage.

use gcloud_sdk::google::cloud::kms::v1 as kms;
use gcloud_sdk::prost::Message;
use gcloud_sdk::proto_ext::kms::{DecryptResponse, EncryptRequest};
use kms::key_management_service_client::KeyManagementServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Status};
use vault_testkit::fakes::google::FakeCloudKms;

use super::fake_google::{connect, create_key, run};

/// The version that was primary when the traffic was recorded.
const PRIMARY: usize = 29;

/// The length-delimited and number fields of a message, in their order.
fn fields(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>, u64)> {
    let mut found = Vec::new();
    let varint = |bytes: &mut &[u8]| gcloud_sdk::prost::encoding::decode_varint(bytes).unwrap();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = varint(&mut bytes);
        let data = match tag & 7 {
            0 => Vec::new(),
            2 => bytes.split_off(..usize::try_from(value).unwrap()).unwrap().to_vec(),
            kind => unreachable!("wire type {kind}"),
        };
        found.push((u32::try_from(tag >> 3).unwrap(), data, value));
    }
    found
}

fn field(bytes: &[u8], number: u32) -> Vec<u8> {
    let found = fields(bytes).into_iter().find(|(at, ..)| *at == number);
    found.map(|(_, data, _)| data).unwrap_or_default()
}

fn number(bytes: &[u8], number: u32) -> u64 {
    let found = fields(bytes).into_iter().find(|(at, ..)| *at == number);
    found.map_or(0, |(_, _, value)| value)
}

/// A recorded call.
struct Recorded {
    method: String,
    request: Vec<u8>,
    answer: Vec<u8>,
    is_error: bool,
}

fn recorded(file: &str) -> Vec<Recorded> {
    let path = format!("{}/data/recorded/google/{file}.replay", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let mut rest = bytes.strip_prefix(b"RPCReplay").unwrap();
    let mut pieces = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (piece, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        pieces.push(piece);
        rest = after;
    }
    let pairs = pieces[1..].chunks(2);
    let calls = pairs.map(|pair| Recorded {
        method: String::from_utf8(field(pair[0], 2)).unwrap(),
        request: field(&field(pair[0], 3), 2),
        answer: field(&field(pair[1], 3), 2),
        is_error: number(pair[1], 4) == 1,
    });
    calls.collect()
}

/// `ours`, damaged as `recorded` was to become `damaged`; `None` if that was no damage.
fn damage(ours: &[u8], recorded: &[u8], damaged: &[u8]) -> Option<Vec<u8>> {
    let same = |(one, other): &(&u8, &u8)| one == other;
    let most = recorded.len().min(damaged.len());
    let front = recorded.iter().zip(damaged).take_while(same).count().min(most);
    let back = recorded.iter().rev().zip(damaged.iter().rev()).take_while(same).count();
    let back = back.min(most - front);
    if front + back < most / 2 {
        return None;
    }
    let middle = &damaged[front..damaged.len() - back];
    Some([&ours[..front], middle, &ours[ours.len() - back..]].concat())
}

/// Recorded ciphertexts and the fake's for the same plaintexts.
#[derive(Default)]
struct Ciphertexts(Vec<(Vec<u8>, Vec<u8>)>);

impl Ciphertexts {
    fn ours(&self, asked: &[u8]) -> Vec<u8> {
        let same = self.0.iter().find(|(recorded, _)| recorded == asked);
        let damaged = || self.0.iter().find_map(|(recorded, ours)| damage(ours, recorded, asked));
        same.map(|(_, ours)| ours.clone()).or_else(damaged).unwrap_or_else(|| asked.to_vec())
    }
}

fn assert_same_error(got: &Status, answer: &[u8]) {
    assert_eq!(got.code(), Code::from(i32::try_from(number(answer, 1)).unwrap()));
    assert_eq!(got.message().as_bytes(), field(answer, 2));
    let kind = |status: &[u8]| field(&field(status, 3), 1);
    assert_eq!(kind(got.details()), kind(answer), "the type of the detail");
    if got.message().ends_with("the ciphertext is invalid.") {
        assert_eq!(got.details(), answer, "every byte of google.rpc.Status");
    }
}

async fn put(
    client: &mut KeyManagementServiceClient<Channel>,
    call: &Recorded,
    ciphertexts: &mut Ciphertexts,
) {
    match call.method.rsplit('/').next().unwrap() {
        "Encrypt" => {
            let request = EncryptRequest::decode(call.request.as_slice()).unwrap();
            let got = client.encrypt(request).await.unwrap().into_inner();
            let mut want = kms::EncryptResponse::decode(call.answer.as_slice()).unwrap();
            assert_eq!(want.ciphertext_crc32c, Some(i64::from(crc32c::crc32c(&want.ciphertext))));
            assert_eq!(got.ciphertext_crc32c, Some(i64::from(crc32c::crc32c(&got.ciphertext))));
            assert_eq!(got.ciphertext.len(), want.ciphertext.len());
            ciphertexts.0.push((want.ciphertext, got.ciphertext.clone()));
            (want.ciphertext, want.ciphertext_crc32c) =
                (got.ciphertext.clone(), got.ciphertext_crc32c);
            assert_eq!(got, want);
        }
        "Decrypt" => {
            let mut request = kms::DecryptRequest::decode(call.request.as_slice()).unwrap();
            request.ciphertext = ciphertexts.ours(&request.ciphertext);
            let got = client.decrypt(request).await;
            if call.is_error {
                return assert_same_error(&got.unwrap_err(), &call.answer);
            }
            let want = DecryptResponse::decode(call.answer.as_slice()).unwrap();
            assert!(got.unwrap().into_inner() == want, "not the recorded plaintext");
        }
        other => unreachable!("{other}"),
    }
}

/// Puts a file's calls to a fake with the recorded keys, and answers how many were errors.
fn replay(file: &str) -> (usize, usize) {
    let calls = recorded(file);
    let fake = FakeCloudKms::start();
    run(async {
        let mut client = connect(&fake).await;
        for name in ["password", "password2"] {
            let key = create_key(
                &mut client,
                "projects/go-cloud-test-216917/locations/global",
                "test",
                name,
            )
            .await;
            for _ in 1..PRIMARY {
                let parent = key.clone();
                let request = kms::CreateCryptoKeyVersionRequest { parent, ..Default::default() };
                client.create_crypto_key_version(request).await.unwrap();
            }
            let crypto_key_version_id = PRIMARY.to_string();
            let request =
                kms::UpdateCryptoKeyPrimaryVersionRequest { name: key, crypto_key_version_id };
            client.update_crypto_key_primary_version(request).await.unwrap();
        }
        let mut ciphertexts = Ciphertexts::default();
        for call in &calls {
            put(&mut client, call, &mut ciphertexts).await;
        }
    });
    (calls.len(), calls.iter().filter(|call| call.is_error).count())
}

#[test]
fn what_was_encrypted_is_decrypted_as_recorded() {
    assert_eq!(replay("encrypt-decrypt"), (2, 0));
    assert_eq!(replay("multiple-encryptions-not-equal"), (4, 0));
    assert_eq!(replay("multiple-keys"), (4, 0));
}

#[test]
fn other_additional_data_are_refused_as_recorded() {
    assert_eq!(replay("additional-authenticated-data"), (3, 1));
}

#[test]
fn damaged_and_made_up_ciphertexts_are_refused_as_recorded() {
    assert_eq!(replay("decrypt-malformed"), (4, 3));
    assert_eq!(replay("as-function"), (1, 1));
}
