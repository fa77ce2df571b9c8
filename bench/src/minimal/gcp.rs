//! The least that a program does with Google Cloud KMS, to be weighed by `cargo xtask bench kms --full`.

use vault_crypto_core::{KeyId, KmsProvider as _, Scope, WrapContext};
use vault_kms_gcp::{GcpKmsConfig, GcpKmsProvider};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = std::env::args().nth(1).ok_or("which key?")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let kms = GcpKmsProvider::connect(GcpKmsConfig::for_key(&key)?).await?;
        let context = WrapContext::data_key(Scope::empty());
        let made = kms.generate_data_key(&KeyId::new(key), &context).await?;
        println!("{} bytes wrapped", made.wrapped().bytes.len());
        Ok(())
    })
}
