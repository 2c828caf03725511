//! A part: records one after another, in memory while they are few, then in a file without a name.

use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use tempfile::SpooledTempFile;

use crate::limits;

pub(super) struct Part {
    out: BufWriter<SpooledTempFile>,
    bytes: u64,
}

/// The records of a part, in their order.
pub(super) struct Reader<'a> {
    from: BufReader<&'a mut SpooledTempFile>,
}

impl Part {
    pub(super) fn new() -> Part {
        let file = SpooledTempFile::new(limits::SPILL_BUFFER_BYTES);
        Part {
            // Nothing is allocated before the first record.
            out: BufWriter::with_capacity(0, file),
            bytes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(super) fn write(&mut self, record: &[u8]) -> io::Result<()> {
        if self.out.capacity() == 0 && self.bytes > limits::SPILL_BUFFER_BYTES as u64 {
            let empty = BufWriter::with_capacity(0, SpooledTempFile::new(0));
            let file = std::mem::replace(&mut self.out, empty);
            let (file, _) = file.into_parts();
            self.out = BufWriter::with_capacity(limits::SPILL_BUFFER_BYTES, file);
        }
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        self.bytes += 4 + u64::from(length);
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(record)
    }

    pub(super) fn read(&mut self) -> io::Result<Reader<'_>> {
        self.out.flush()?;
        let file = self.out.get_mut();
        file.seek(SeekFrom::Start(0))?;
        Ok(Reader {
            from: BufReader::with_capacity(limits::SPILL_BUFFER_BYTES, file),
        })
    }
}

impl Reader<'_> {
    /// The next record; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut length = [0; 4];
        match self.from.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut record = vec![0; u32::from_be_bytes(length) as usize];
        self.from.read_exact(&mut record)?;
        Ok(Some(Bytes::from(record)))
    }
}
