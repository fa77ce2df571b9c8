//! Key ids and versions that pass their check stand in a header and come back from it the same;
//! others are never written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::header::{Binding, Header, Shape, Slot, SlotKind, Suite, parse};
use vault_crypto_core::{KeyId, KeyVersion};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (id, version) = text.split_once('\n').unwrap_or((&text, "1"));
    let key_id = KeyId::new(id);
    let Ok(version) = KeyVersion::new(version) else {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/+=-".contains(&byte);
        assert!(version.len() > 128 || !version.bytes().all(plain));
        return;
    };
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::KeyEntry);
    header.slots.push(Slot::kms(SlotKind::AWS_KMS, Binding::Kms, &key_id, version, vec![1]));
    match header.encode(&[0; 32], None) {
        Ok(bytes) => {
            assert!(key_id.check().is_ok());
            let again = parse(&bytes).expect("written by us").header;
            assert_eq!(again, header);
            assert_eq!(again.slots[0].key_id_text(), id);
        }
        Err(_) => assert!(key_id.check().is_err()),
    }
});
