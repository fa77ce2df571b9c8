//! KMS URIs: what is accepted, written again, is accepted as the same, and the keys of services across the
//! network are one line that leads nowhere else.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use libfuzzer_sys::fuzz_target;
use vaultkit::kms::KmsUri;

fuzz_target!(|data: &[u8]| {
    let uri = OsString::from_vec(data.to_vec());
    let Ok(parsed) = KmsUri::parse(&uri) else { return };
    if let KmsUri::Remote(remote) = &parsed
        && let Some(key) = remote.key()
    {
        let strange = |c: char| c.is_control() || c.is_whitespace();
        assert!(!key.as_str().contains(strange), "{key}");
        assert!(!key.as_str().split('/').any(|part| matches!(part, "." | "..")), "{key}");
        key.check().expect("it can stand in a header");
    }
    let KmsUri::Local { folder, key } = &parsed else { return };
    let mut again = b"local:".to_vec();
    again.extend_from_slice(folder.as_os_str().as_bytes());
    if let Some(key) = key {
        again.push(b'#');
        again.extend_from_slice(key.as_str().as_bytes());
    }
    let again = OsString::from_vec(again);
    assert_eq!(KmsUri::parse(&again).expect("accepted before"), parsed);
});
