//! Stored bytes by position, for synchronous code: files, buffers, and whatever can seek.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

/// Something stored that can be read at an offset: a file, a buffer, an object in a store.
pub trait ReadAt {
    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the object is shorter, or what reading gives.
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()>;

    /// Length of the object in bytes.
    ///
    /// # Errors
    /// What asking gives.
    fn stored_len(&self) -> Result<u64>;
}

#[cfg(unix)]
impl ReadAt for std::fs::File {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, out, offset)
    }

    fn stored_len(&self) -> Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        let end_of_file = || Error::from(ErrorKind::UnexpectedEof);
        let start = usize::try_from(offset).map_err(|_| end_of_file())?;
        let end = start.checked_add(out.len()).ok_or_else(end_of_file)?;
        out.copy_from_slice(self.get(start..end).ok_or_else(end_of_file)?);
        Ok(())
    }

    fn stored_len(&self) -> Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        self.as_slice().read_exact_at(out, offset)
    }

    fn stored_len(&self) -> Result<u64> {
        Ok(self.len() as u64)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        (**self).read_exact_at(out, offset)
    }

    fn stored_len(&self) -> Result<u64> {
        (**self).stored_len()
    }
}

/// Anything that reads and seeks, read by position. Its own position is lost.
#[derive(Debug)]
pub struct Seeking<R>(Mutex<R>);

impl<R: Read + Seek> Seeking<R> {
    /// The object is all of `inner`, from its start.
    pub fn new(inner: R) -> Self {
        Self(Mutex::new(inner))
    }

    /// Gives the input back, at no particular position.
    pub fn into_inner(self) -> R {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Read + Seek> ReadAt for Seeking<R> {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.seek(SeekFrom::Start(offset))?;
        inner.read_exact(out)
    }

    fn stored_len(&self) -> Result<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seek(SeekFrom::End(0))
    }
}
