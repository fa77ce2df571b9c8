//! Reading and writing whole pieces, with errors turned into ours.

use std::io::{ErrorKind as IoKind, IoSlice, IoSliceMut, Read, Write};

use vault_crypto_core::{CryptoError, ErrorKind, Operation};

/// Reads until `buffer` is full or the input ends; gives the number of bytes.
pub(super) fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut slice = [IoSliceMut::new(buffer)];
    read_full_vectored(input, &mut slice)
}

/// As [`read_full`], into several pieces at once.
pub(super) fn read_full_vectored(
    input: &mut impl Read,
    mut slices: &mut [IoSliceMut<'_>],
) -> std::io::Result<usize> {
    let mut total = 0;
    IoSliceMut::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match input.read_vectored(slices) {
            Ok(0) => break,
            Ok(len) => {
                total += len;
                IoSliceMut::advance_slices(&mut slices, len);
            }
            Err(error) if error.kind() == IoKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// Writes all of several pieces.
pub(super) fn write_all_vectored(
    output: &mut impl Write,
    mut slices: &mut [IoSlice<'_>],
) -> std::io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match output.write_vectored(slices) {
            Ok(0) => return Err(IoKind::WriteZero.into()),
            Ok(len) => IoSlice::advance_slices(&mut slices, len),
            Err(error) if error.kind() == IoKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// An input error while sealing or opening.
pub(super) fn reading(operation: Operation) -> impl FnOnce(std::io::Error) -> CryptoError {
    move |error| io_error(operation, "reading the input failed", error)
}

/// An output error while sealing or opening.
pub(super) fn writing(operation: Operation) -> impl FnOnce(std::io::Error) -> CryptoError {
    move |error| io_error(operation, "writing the output failed", error)
}

/// An I/O error, or the error of ours that travelled inside one.
fn io_error(operation: Operation, what: &'static str, error: std::io::Error) -> CryptoError {
    match error.downcast::<CryptoError>() {
        Ok(ours) => ours,
        Err(error) => {
            CryptoError::new(ErrorKind::Io, operation).with_detail(what).with_source(error)
        }
    }
}

/// Our error for an interface that knows only `std::io::Error`; `downcast` gets it back.
pub(super) fn into_io(error: CryptoError) -> std::io::Error {
    let kind = match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Malformed | ErrorKind::Unsupported => {
            IoKind::InvalidData
        }
        ErrorKind::InvalidInput => IoKind::InvalidInput,
        ErrorKind::PermissionDenied => IoKind::PermissionDenied,
        _ => IoKind::Other,
    };
    std::io::Error::new(kind, error)
}
