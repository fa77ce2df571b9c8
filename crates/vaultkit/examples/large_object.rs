//! Journey 3: a large object as a stream, in constant memory, and a range out of its middle.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use vaultkit::core::EncryptionContext;
use vaultkit::envelope::EnvelopeEncryption;
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    pollster::block_on(large_object())
}

async fn large_object() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (kms, _) = LocalKms::open_or_create(LocalKmsConfig::new(folder.path().join("keys")))?;
    let envelope = EnvelopeEncryption::builder(Arc::new(kms), "default").build()?;
    let context = EncryptionContext::from([("object", "backup")]);
    let sealed = folder.path().join("backup.vk");

    let mut input = io::repeat(9).take(3_000_000);
    let mut out = envelope.writer(File::create(&sealed)?, &context).await?; // std::io::Write
    io::copy(&mut input, &mut out)?;
    out.finish()?; // without it the file does not open

    let mut reader = envelope.reader(File::open(&sealed)?, &context).await?; // std::io::Read
    assert_eq!(io::copy(&mut reader, &mut io::sink())?, 3_000_000);

    // Read + Seek and ranges: one read of the file, authenticated.
    let object = envelope.range_reader(File::open(&sealed)?, &context).await?;
    let middle = object.range(1_000_000..2_000_000)?;
    assert_eq!(middle, vec![9; 1_000_000]);
    Ok(())
}
