//! Key Vault's addresses and names, and payloads as they are handed out: what is accepted is plain, stays
//! itself, and is packed to the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::{KeyId, Scope};
use vaultkit_fuzz::assert_plain;

// The parsers name the URL by the SDK that hands it on.
extern crate self as azure_core;
mod http {
    pub(crate) use url::Url;
}

#[path = "../../crates/vault-kms-azure/src/binding.rs"]
mod binding;
#[path = "../../crates/vault-kms-azure/src/names.rs"]
#[expect(dead_code, reason = "the crate uses more of it")]
mod names;
use names::Vault;

fuzz_target!(|data: &[u8]| {
    payload(data);
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (address, asked, told) = (line(), line(), line());
    let named = Vault::parse(address);
    if let Ok(vault) = &named {
        let origin = vault.origin();
        assert!(origin.starts_with("https://") && origin.contains(vault.host()));
        let strange = |c: char| c.is_control() || c.is_whitespace() || "@?#".contains(c);
        assert!(!origin.contains(strange), "{origin:?}");
        // Written out, an international name may be longer than an address is taken.
        assert!(origin.len() > 512 || Vault::parse(origin).is_ok_and(|again| again == *vault));
        let audience = vault.audience();
        assert!(origin.contains(audience.trim_start_matches("https://")), "{audience}");
    }
    let constant = || Vault::parse("https://a.vault.azure.net").expect("a constant");
    let vault = named.unwrap_or_else(|_| constant());
    let Ok(name) = vault.name_in(&KeyId::new(asked)) else { return };
    assert_plain(name.as_str());
    let id = vault.key_id(&name);
    assert_eq!(vault.name_in(&id).expect("canonical"), name);
    if id.as_str().len() <= 2_048 {
        id.check().expect("it can stand in a header");
    }
    if let Some(version) = vault.version_in(told, &name) {
        assert!(version.is_known() && vault.name_of(told).as_ref() == Some(&name));
        if names::can_be_asked(&version) {
            assert_plain(version.as_str());
        }
    }
});

fn payload(data: &[u8]) {
    if let Some((version, bytes)) = binding::unpack(data) {
        assert!(names::can_be_asked(&version) && binding::is_rsa_len(bytes.len()));
        assert_eq!(binding::pack(&version, bytes).expect("unpacked"), data);
    }
    let (scope, other) = (Scope::new([("tenant", "acme")]).expect("a constant"), Scope::empty());
    let plaintext = data.get(..binding::MAX_PAYLOAD_LEN).unwrap_or(data);
    let whole = binding::enclose(plaintext, &scope);
    assert!(binding::is_payload(whole.as_slice()));
    let opened = binding::disclose(&whole, &scope).expect("enclosed in this scope");
    assert_eq!(opened.as_slice(), plaintext);
    assert!(binding::disclose(&whole, &other).is_none());
    // What is disclosed was enclosed.
    let foreign = vault_crypto_core::SecureBytes::new(data.to_vec());
    if let Some(inside) = binding::disclose(&foreign, &scope) {
        assert_eq!(binding::enclose(inside.as_slice(), &scope).as_slice(), data);
    }
}
