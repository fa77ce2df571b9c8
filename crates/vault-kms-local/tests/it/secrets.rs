//! No secret in a file that does not seal it, in `Debug`, or in an error.

use std::fs;

use pollster::block_on;
use vault_crypto_core::{KmsAdmin, KmsProvider, RandomSource, Result, RotateOptions};
use vault_kms_local::{LocalKms, LocalKmsConfig, MasterSource};

use super::support::{Store, acme, key, names, passphrase};

/// Every key is made of this byte, so that it can be searched for; ids and nonces are not.
#[derive(Debug)]
struct Marked(u8);

impl RandomSource for Marked {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.fill(if out.len() == 32 { self.0 } else { 0x11 });
        Ok(())
    }
}

#[test]
fn key_bytes_stand_in_no_file_but_the_master_and_in_no_output() {
    let store = Store::absent();
    let config = || store.config().with_random(std::sync::Arc::new(Marked(0xa7)));
    let (kms, _) = LocalKms::open_or_create(config()).unwrap();
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
    let backup = store.beside("backup");
    kms.backup(&backup, &passphrase("correct horse battery")).unwrap();
    let run = [0xa7; 32];
    let holds = |bytes: &[u8]| bytes.windows(run.len()).any(|window| window == run);
    for name in names(&store.dir()) {
        assert!(!holds(&fs::read(store.file(&name)).unwrap()), "{name}");
    }
    assert!(!holds(&fs::read(&backup).unwrap()));
    assert!(fs::read(store.file("master")).unwrap().starts_with("a7".repeat(32).as_bytes()));

    let data_key = block_on(kms.generate_data_key(&key("default"), &acme())).unwrap();
    fs::write(store.file("generation"), b"rubbish").unwrap();
    fs::write(store.file("keys.vks"), b"rubbish").unwrap();
    let error = block_on(kms.generate_data_key(&key("default"), &acme())).err().unwrap();
    let texts = [
        format!("{kms:?}"),
        format!("{:?}", config()),
        format!("{:?}", data_key.plaintext()),
        format!("{error:?} {error}"),
    ];
    for text in texts {
        for marked in ["a7a7", "A7A7", "167, 167", "p6en", "correct horse"] {
            assert!(!text.contains(marked), "{marked} in {text}");
        }
    }
}

#[test]
fn settings_print_no_passphrase() {
    let config = LocalKmsConfig::new("/nowhere")
        .with_master(MasterSource::Passphrase(passphrase("correct horse battery")));
    let text = format!("{config:?}");
    assert!(text.contains("REDACTED") && !text.contains("horse"), "{text}");
}
