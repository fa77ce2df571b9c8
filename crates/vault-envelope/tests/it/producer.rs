//! What can seal and cannot open; that it has no method to open is in the documentation of `Producer`.

use std::io::Write as _;

use vault_crypto_core::ErrorKind;
use vault_envelope::{AllowedKeys, EnvelopeEncryption, Recipient, Recipients};

use super::people::{passphrase, rsa, x25519};
use super::support::{block_on, context, kind_of, kms};

#[test]
fn a_producer_s_records_and_streams_open_with_each_private_key() {
    let (own, rsa) = (x25519(), rsa());
    let recipients = [own.public_key(), rsa.public_key()].map(Recipient::public_key);
    let producer = EnvelopeEncryption::to(Recipients::all(recipients))
        .scope([("table", "cards")])
        .build_producer()
        .unwrap();
    let tenant = producer.scoped([("tenant", "acme")]).unwrap();
    let record = block_on(tenant.encrypt(b"4111", &context())).unwrap();
    let mut writer = block_on(tenant.writer(Vec::new(), &context())).unwrap();
    writer.write_all(&[7; 100_000]).unwrap();
    let stream = writer.finish().unwrap();
    for key in [own, rsa] {
        let reader =
            EnvelopeEncryption::to(Recipients::all([Recipient::public_key(key.public_key())]))
                .scope([("table", "cards"), ("tenant", "acme")])
                .allow_only(AllowedKeys::none().private_key(key))
                .build()
                .unwrap();
        assert_eq!(reader.scope(), tenant.scope());
        assert_eq!(block_on(reader.decrypt(&record, &context())).unwrap(), b"4111");
        let whole = block_on(reader.open_whole(stream.as_slice(), &context(), 1 << 20)).unwrap();
        assert_eq!(whole.as_slice(), [7; 100_000]);
    }
}

#[cfg(feature = "async")]
#[test]
fn a_producer_writes_async_streams() {
    use futures_util::io::AsyncWriteExt as _;
    let own = x25519();
    let recipients = Recipients::all([Recipient::public_key(own.public_key())]);
    let producer = EnvelopeEncryption::to(recipients.clone()).build_producer().unwrap();
    let sealed = block_on(async {
        let mut writer = producer.async_writer(Vec::new(), &context()).await.unwrap();
        writer.write_all(b"4111").await.unwrap();
        writer.finish().await.unwrap()
    });
    let keys = AllowedKeys::none().private_key(own);
    let reader = EnvelopeEncryption::to(recipients).allow_only(keys).build().unwrap();
    let whole = block_on(reader.open_whole(sealed.as_slice(), &context(), 100)).unwrap();
    assert_eq!(whole.as_slice(), b"4111");
}

#[test]
fn a_producer_is_refused_who_could_open() {
    let (kms, key_id) = kms();
    let public = || Recipient::public_key(x25519().public_key());
    let could_open = [Recipient::kms(kms, key_id), Recipient::passphrase(passphrase("secret"))];
    for recipient in could_open {
        let builder = EnvelopeEncryption::to(Recipients::all([public(), recipient]));
        assert_eq!(kind_of(builder.build_producer()), ErrorKind::InvalidInput);
    }
    let builder = EnvelopeEncryption::to(Recipients::all([public()]));
    assert!(builder.build_producer().is_ok());
}
