//! Inputs: regular files, pipes and standard input; folders and devices are refused with advice.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use vaultkit::core::header::{COMPACT_MAGIC, PREFIX_LEN, ParsedHeader, parse, parse_prefix};

use crate::failure::Failure;
use crate::platform::{self, Rights};
use crate::text;

/// What `-` means where a file is named.
pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// An open input.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: File,
    /// Length of a regular file; it can be read at any place.
    pub(crate) len: Option<u64>,
    /// Bytes to come, if known, for the progress bar.
    pub(crate) expected: Option<u64>,
    /// Those of a named file.
    pub(crate) rights: Option<Rights>,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if is_dash(path) {
            let file = platform::stdin()
                .map_err(|error| Failure::stream_io("read standard input", &error))?;
            let meta = file.metadata().ok();
            let expected = meta.filter(fs::Metadata::is_file).map(|meta| meta.len());
            return Ok(Self { file, len: None, expected, rights: None });
        }
        let fault = |error| Failure::io(path, "read it", &error);
        check_kind(path, &fs::metadata(path).map_err(fault)?)?;
        let file = File::open(path).map_err(fault)?;
        let meta = file.metadata().map_err(fault)?;
        check_kind(path, &meta)?;
        // A length of zero may be that of a file whose content is made while it is read.
        let len = Some(meta.len()).filter(|len| meta.is_file() && *len > 0);
        Ok(Self { file, len, expected: len, rights: Some(Rights::of(&meta)) })
    }

    /// Reads the header from the front; allocates only what its checked lengths ask for.
    pub(crate) fn read_header(&mut self) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![0; PREFIX_LEN];
        let len = self.fill(&mut bytes)?;
        bytes.truncate(len);
        if bytes.starts_with(&COMPACT_MAGIC) {
            return Ok(bytes);
        }
        let header_len = parse_prefix(&bytes)?.header_len;
        bytes.resize(header_len, 0);
        let len = self.fill(bytes.get_mut(PREFIX_LEN..).unwrap_or_default())?;
        bytes.truncate(PREFIX_LEN + len);
        Ok(bytes)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read(rest) {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::stream_io("read the input", &error)),
            }
        }
        Ok(filled)
    }
}

/// A header of a message that this program can open: no compact record, whose key is elsewhere.
pub(crate) fn parse_header(bytes: &[u8]) -> Result<ParsedHeader<'_>, Failure> {
    if bytes.starts_with(&COMPACT_MAGIC) {
        return Err(Failure::malformed(
            "a compact record: its data key is stored apart from it, with the program that made it; open it there",
        ));
    }
    Ok(parse(bytes)?)
}

fn check_kind(path: &Path, meta: &fs::Metadata) -> Result<(), Failure> {
    let name = text::path(path);
    if meta.is_dir() {
        return Err(Failure::file(
            path,
            format!("it is a folder; name its files, or pack it: tar c {name} | vaultkit seal -"),
        ));
    }
    if platform::is_device(meta) {
        return Err(Failure::file(
            path,
            format!("it is a device, not a file; to read from it use a pipe: - < {name}"),
        ));
    }
    Ok(())
}
