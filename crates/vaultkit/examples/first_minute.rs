//! Journey 1 as a library call: seal a file, look at it without a key, rotate the key, move the file to
//! the new version without touching its body, open it again.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use vaultkit::core::header::parse;
use vaultkit::core::{EncryptionContext, KeyId, KeyVersion, KmsAdmin as _, RotateOptions};
use vaultkit::envelope::stream::Workers;
use vaultkit::envelope::{EnvelopeEncryption, Rewrapped};
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    pollster::block_on(first_minute(folder.path()))
}

async fn first_minute(folder: &Path) -> Result<(), Box<dyn Error>> {
    let plain = folder.join("contract.pdf");
    std::fs::write(&plain, vec![7; 2 << 20])?;

    let (kms, _created) = LocalKms::open_or_create(LocalKmsConfig::new(folder.join("keys")))?;
    let kms = Arc::new(kms);
    let envelope = EnvelopeEncryption::new(kms.clone(), KeyId::new("default"));
    let context = EncryptionContext::new();

    let sealer = envelope.seal_stream(&context, Some(2 << 20)).await?;
    let sealed = folder.join("contract.pdf.vk");
    let nobody_listens = |_| {};
    sealer.seal_all(
        File::open(&plain)?,
        File::create(&sealed)?,
        Workers::available(),
        &nobody_listens,
    )?;

    let mut bytes = std::fs::read(&sealed)?;
    let before = version(&bytes)?; // from the header, without a key

    kms.rotate_key(&KeyId::new("default"), RotateOptions::now()).await?;
    let Rewrapped::Changed(header) = envelope.rewrap_header(&bytes).await? else {
        return Err("the key was rotated, so the header must change".into());
    };
    let body = parse(&bytes)?.len();
    bytes.splice(..body, header);
    assert_ne!(version(&bytes)?, before);

    let opened = envelope.open_whole(bytes.as_slice(), &context, 4 << 20).await?;
    assert_eq!(opened.as_slice(), std::fs::read(&plain)?);
    Ok(())
}

/// The version of the key that the first slot names. Nothing of it is verified.
fn version(sealed: &[u8]) -> Result<KeyVersion, Box<dyn Error>> {
    let header = parse(sealed)?.header;
    Ok(header.slots.first().ok_or("no slot")?.version.clone())
}
