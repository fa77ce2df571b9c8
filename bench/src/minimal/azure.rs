//! The least that a program does with Azure Key Vault, to be weighed by `cargo xtask bench kms --full`.

use vault_crypto_core::{KeyId, KmsProvider as _, Scope, WrapContext};
use vault_kms_azure::{AzureCredentials, AzureKmsConfig, AzureKmsProvider};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().ok_or("vault and key?");
    let login = AzureCredentials::ManagedIdentity { client_id: None };
    let (config, key) = (AzureKmsConfig::new(word()?, login), KeyId::new(word()?));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let kms = AzureKmsProvider::connect(config).await?;
        let made = kms.generate_data_key(&key, &WrapContext::data_key(Scope::empty())).await?;
        println!("{} bytes wrapped", made.wrapped().bytes.len());
        Ok(())
    })
}
