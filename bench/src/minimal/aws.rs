//! The least that a program does with AWS KMS, to be weighed by `cargo xtask bench kms --full`.

use vault_crypto_core::{KeyId, KmsProvider as _, Scope, WrapContext};
use vault_kms_aws::{AwsKmsConfig, AwsKmsProvider};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = KeyId::new(std::env::args().nth(1).ok_or("which key?")?);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let kms = AwsKmsProvider::connect(AwsKmsConfig::new()).await?;
        let made = kms.generate_data_key(&key, &WrapContext::data_key(Scope::empty())).await?;
        println!("{} bytes wrapped", made.wrapped().bytes.len());
        Ok(())
    })
}
