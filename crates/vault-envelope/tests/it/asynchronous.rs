//! Async streams: the same bytes as the sync ones, fair to other tasks, stoppable at any moment.

mod bytes;
mod refusals;
mod sources;
mod turns;

use std::io::{Read, Write};

use futures_util::io::Cursor;
use futures_util::{AsyncReadExt, AsyncWriteExt};
use vault_crypto_core::{CryptoError, ErrorKind, Result};
use vault_envelope::stream::{Job, Spawner};
use vault_envelope::{EnvelopeEncryption, Padding};

use super::support::{block_on, builder, context};

const MIB: usize = 1 << 20;

fn each_padding(test: impl Fn(&EnvelopeEncryption, Padding)) {
    for padding in [Padding::None, Padding::Padme] {
        test(&builder().padding(padding).build().unwrap(), padding);
    }
}

fn seal(envelope: &EnvelopeEncryption, plaintext: &[u8]) -> Vec<u8> {
    let mut writer = block_on(envelope.writer(Vec::new(), &context())).unwrap();
    writer.write_all(plaintext).unwrap();
    writer.finish().unwrap()
}

fn open(envelope: &EnvelopeEncryption, sealed: &[u8]) -> Vec<u8> {
    let mut plaintext = Vec::new();
    let mut reader = block_on(envelope.reader(sealed, &context())).unwrap();
    reader.read_to_end(&mut plaintext).unwrap();
    plaintext
}

async fn seal_async(envelope: &EnvelopeEncryption, plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    let mut writer = envelope.async_writer(&mut sealed, &context()).await.unwrap();
    writer.write_all(plaintext).await.unwrap();
    writer.close().await.unwrap();
    sealed
}

async fn open_async(envelope: &EnvelopeEncryption, sealed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plaintext = Vec::new();
    let reader = envelope.async_reader(sealed, &context()).await;
    reader.map_err(std::io::Error::other)?.read_to_end(&mut plaintext).await?;
    Ok(plaintext)
}

async fn seal_all(
    envelope: &EnvelopeEncryption,
    plaintext: &[u8],
    spawner: &dyn Spawner,
    in_flight: usize,
) -> Result<Vec<u8>> {
    let sealer = envelope.seal_stream(&context(), None).await?;
    let output = Cursor::new(Vec::new());
    Ok(sealer.seal_all_async(plaintext, output, spawner, in_flight, &|_| {}).await?.into_inner())
}

async fn open_all(
    envelope: &EnvelopeEncryption,
    mut sealed: &[u8],
    spawner: &dyn Spawner,
    in_flight: usize,
) -> Result<Vec<u8>> {
    let opener = envelope.open_stream_async(&mut sealed, &context()).await?;
    opener.open_all_async(sealed, Vec::new(), spawner, in_flight, &|_| {}).await
}

fn inline(job: Job) {
    job();
}

fn kind_inside(error: std::io::Error) -> ErrorKind {
    error.downcast::<CryptoError>().unwrap().kind()
}
