//! Journey 2: a field in a database. The tenant is in the scope, which the KMS binds; the row is in the
//! context, which is bound to the one value and stored nowhere.

use std::error::Error;
use std::sync::Arc;

use vaultkit::core::{EncryptedData, EncryptionContext, ErrorKind, SecureBytes};
use vaultkit::envelope::EnvelopeEncryption;
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    pollster::block_on(database_field())
}

async fn database_field() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (kms, _) = LocalKms::open_or_create(LocalKmsConfig::new(folder.path().join("keys")))?;

    let envelope = EnvelopeEncryption::builder(Arc::new(kms), "default")
        .scope([("table", "cards")]) // who may share a data key; bound in the KMS call
        .build()?;

    let tenant = envelope.scoped([("tenant", "acme")])?; // cheap handle; its own data keys
    let context = EncryptionContext::from([("row", "42")]); // bound to this one value, stored nowhere
    let sealed: EncryptedData = tenant.encrypt(b"4111 1111 1111 1111", &context).await?;
    let number: SecureBytes = tenant.decrypt(&sealed, &context).await?;
    assert_eq!(number, b"4111 1111 1111 1111");

    // Wrong tenant, wrong row, altered bytes: always the same answer.
    let other = envelope.scoped([("tenant", "globex")])?;
    let wrong_row = EncryptionContext::from([("row", "43")]);
    let mut altered = sealed.as_bytes().to_vec();
    *altered.last_mut().ok_or("empty")? ^= 1;
    for result in [
        other.decrypt(&sealed, &context).await,
        tenant.decrypt(&sealed, &wrong_row).await,
        tenant.decrypt(&altered, &context).await,
    ] {
        let kind = result.err().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::AuthenticationFailed));
    }
    Ok(())
}
