//! Vault's addresses, mounts, keys and Transit's ciphertexts: no text that is accepted reaches another path
//! or host than it names, and there is one text for each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::KeyId;
use vaultkit_fuzz::assert_plain;

// Two crates' parsers meet here; one names the other.
extern crate self as vault_connection;

#[path = "../../crates/vault-connection/src/address.rs"]
#[expect(dead_code, reason = "the crate uses more of it")]
mod address;
#[path = "../../crates/vault-kms-hashicorp/src/ciphertext.rs"]
mod ciphertext;
#[path = "../../crates/vault-kms-hashicorp/src/names.rs"]
mod names;
use address::Address;
pub use address::VaultMount;
use ciphertext::Ciphertext;
use names::Place;

fuzz_target!(|data: &[u8]| {
    if let Some(parsed) = Ciphertext::parse(data) {
        assert!(parsed.version > 0 && parsed.text.as_bytes() == data);
        assert!(parsed.text.starts_with(&format!("vault:v{}:", parsed.version)));
        assert!(parsed.text.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (mount, asked, address) = (line(), line(), line());
    let mount = mount_of(mount, asked);
    key_of(&mount, asked);
    for plain in [false, true] {
        let Ok(parsed) = Address::parse(address, plain) else { continue };
        assert!(plain || !parsed.is_plain() || parsed.is_loopback());
        let again = Address::parse(&parsed.to_string(), plain).expect("accepted before");
        assert_eq!((again.to_string(), again.host()), (parsed.to_string(), parsed.host()));
        let url = parsed.url(mount.as_str(), None).expect("a mount is a path");
        assert!(parsed.same_origin(&url));
        assert!(url.path().ends_with(&format!("/v1/{}", mount.as_str())), "{url}");
        assert_eq!((url.query(), url.fragment()), (None, None));
    }
});

/// A mount as it was written, or any; whatever is put under it stays under it.
fn mount_of(text: &str, segment: &str) -> VaultMount {
    let mount = VaultMount::new(text).inspect(|mount| {
        assert_plain(mount.as_str());
        assert_eq!(VaultMount::new(mount.as_str()).expect("accepted before"), *mount);
    });
    let mount = mount.unwrap_or_else(|_| VaultMount::new("transit").expect("a constant"));
    if let Ok(path) = mount.path(&[segment]) {
        let last = path.strip_prefix(&format!("{mount}/")).expect("under its mount");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
        assert!(last.bytes().all(plain) && !matches!(last, "." | ".."), "{path}");
    }
    mount
}

fn key_of(mount: &VaultMount, asked: &str) {
    let place = Place::new("prod", None, mount);
    let asked = KeyId::new(asked);
    let Ok(name) = place.name_in(&asked) else { return };
    assert_plain(name);
    names::check_name(name).expect("accepted before");
    let id = place.key_id(name);
    assert_eq!(place.name_in(&id).expect("canonical"), name);
    assert_eq!(place.key_id(place.name_in(&id).expect("canonical")), id);
    if id.as_str().len() <= 2_048 {
        id.check().expect("it can stand in a header");
    }
}
