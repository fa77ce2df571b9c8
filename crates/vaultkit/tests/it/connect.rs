//! A URI opens the store that it names, and makes none.

use pollster::block_on;
use vaultkit::core::{ErrorKind, KeyId};
use vaultkit::kms::connect;
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};

#[test]
fn a_uri_opens_the_store_it_names_and_gives_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("keys");
    let (made, _) = LocalKms::open_or_create(LocalKmsConfig::new(&folder)).unwrap();
    let connected = block_on(connect(format!("local:{}#default", folder.display()))).unwrap();
    let info = block_on(connected.kms().describe_key(connected.key().unwrap())).unwrap();
    assert_eq!(info.key_id, made.key_id("default"));
    assert_ne!(info.key_id, KeyId::new("default"));
    assert_eq!(block_on(connected.who_am_i()).unwrap(), None);
}

#[test]
fn a_uri_makes_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("keys");
    let error = block_on(connect(format!("local:{}", folder.display()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!folder.exists());
}
