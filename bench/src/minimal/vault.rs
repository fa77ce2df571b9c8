//! The least that a program does with Vault's Transit, to be weighed by `cargo xtask bench kms --full`.

use vault_crypto_core::{KeyId, KmsProvider as _, Scope, WrapContext};
use vault_kms_hashicorp::{
    VaultConnectionConfig, VaultCredentials, VaultKmsConfig, VaultKmsProvider,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().ok_or("server, token and key?");
    let connection = VaultConnectionConfig::new(word()?, VaultCredentials::token(word()?));
    let key = KeyId::new(word()?);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let kms = VaultKmsProvider::connect(VaultKmsConfig::new(connection)).await?;
        let made = kms.generate_data_key(&key, &WrapContext::data_key(Scope::empty())).await?;
        println!("{} bytes wrapped", made.wrapped().bytes.len());
        Ok(())
    })
}
