//! Cutting a stream of any length into records, a chunk at a time.

use crate::error::{Fault, FaultKind, Result};
use std::io::{ErrorKind, Read};

/// Bytes of a chunk: large enough to share out work, small enough to stay in a cache.
const CHUNK_BYTES: usize = 256 * 1024;

/// A record may be this long; beyond it is no file of points.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// One record within its chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub start: usize,
    pub end: usize,
    /// 1-based number of its first line, or of the feature.
    pub number: u64,
}

/// Consecutive records and their bytes.
#[derive(Debug, Default)]
pub struct Chunk {
    pub bytes: Vec<u8>,
    pub records: Vec<Record>,
}

impl Chunk {
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.records.iter().map(|r| (&self.bytes[r.start..r.end], r.number))
    }
}

/// Finds where records end.
pub trait Cut {
    /// Adds the records that are complete in `bytes`, which begin where the last call left off;
    /// says how many bytes they and what lies between them take. At the end of the stream, or
    /// where `bytes` exceed a record's limit, every call makes progress or fails.
    fn cut(&mut self, bytes: &[u8], at_end: bool, records: &mut Vec<Record>) -> Result<usize>;

    /// No record comes any more, whatever follows.
    fn finished(&self) -> bool {
        false
    }
}

/// A reader and what it has read ahead.
pub struct Records<R, C> {
    reader: R,
    pub cut: C,
    ahead: Vec<u8>,
    at_end: bool,
}

impl<R: Read, C: Cut> Records<R, C> {
    /// Goes on from a reader of which `ahead` has been read already.
    pub fn new(head: Head<R>, cut: C) -> Self {
        Self { reader: head.reader, cut, ahead: head.ahead, at_end: head.at_end }
    }

    /// Fills the chunk with the next records; false when there are none.
    pub fn next(&mut self, chunk: &mut Chunk) -> Result<bool> {
        chunk.records.clear();
        chunk.bytes.clear();
        chunk.bytes.append(&mut self.ahead);
        let mut wanted = CHUNK_BYTES;
        loop {
            self.at_end |= fill(&mut self.reader, &mut chunk.bytes, wanted)?;
            let taken = self.cut.cut(&chunk.bytes, self.at_end, &mut chunk.records)?;
            let stuck = chunk.records.is_empty() && !self.at_end && !self.cut.finished();
            if stuck && taken == 0 {
                if wanted > MAX_RECORD_BYTES {
                    return Err(record_too_long());
                }
                wanted *= 2;
                continue;
            }
            self.ahead.extend_from_slice(&chunk.bytes[taken..]);
            if stuck {
                chunk.bytes.clear();
                chunk.bytes.append(&mut self.ahead);
                continue;
            }
            chunk.bytes.truncate(taken);
            return Ok(!chunk.records.is_empty());
        }
    }

    /// All that follows the last record, up to a record's length.
    pub fn rest(&mut self) -> Result<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.ahead);
        if !self.at_end && !fill(&mut self.reader, &mut rest, MAX_RECORD_BYTES)? {
            return Err(record_too_long());
        }
        self.at_end = true;
        Ok(rest)
    }
}

/// The beginning of a stream.
pub struct Head<R> {
    reader: R,
    pub ahead: Vec<u8>,
    pub at_end: bool,
}

impl<R: Read> Head<R> {
    /// Reads the first chunk.
    pub fn read(mut reader: R) -> Result<Self> {
        let mut ahead = Vec::new();
        let at_end = fill(&mut reader, &mut ahead, CHUNK_BYTES)?;
        Ok(Self { reader, ahead, at_end })
    }

    /// Reads more; fails beyond a record's length.
    pub fn read_more(&mut self) -> Result<()> {
        let wanted = self.ahead.len() * 2;
        if wanted > 2 * MAX_RECORD_BYTES {
            return Err(record_too_long());
        }
        self.at_end |= fill(&mut self.reader, &mut self.ahead, wanted)?;
        Ok(())
    }
}

/// Reads until `bytes` holds `wanted` bytes; true at the end of the stream.
fn fill(reader: &mut impl Read, bytes: &mut Vec<u8>, wanted: usize) -> Result<bool> {
    while bytes.len() < wanted {
        let had = bytes.len();
        bytes.resize(wanted, 0);
        let read = reader.read(&mut bytes[had..]);
        bytes.truncate(had + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&error)),
        }
    }
    Ok(false)
}

fn unreadable(error: &std::io::Error) -> Fault {
    let (zh, en) = (format!("读取失败：{error}"), format!("reading failed: {error}"));
    Fault::new(FaultKind::Invalid, "unreadable", zh, en)
}

pub fn record_too_long() -> Fault {
    Fault::new(
        FaultKind::TooLarge,
        "record_too_long",
        format!("有一行（或一个要素）超过 {MAX_RECORD_BYTES} 字节，这不是坐标点文件"),
        format!("a line or feature exceeds {MAX_RECORD_BYTES} bytes: this is no file of points"),
    )
}

/// Cuts at line ends.
#[derive(Debug)]
pub struct Lines {
    pub next_line: u64,
}

impl Cut for Lines {
    fn cut(&mut self, bytes: &[u8], at_end: bool, records: &mut Vec<Record>) -> Result<usize> {
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            records.push(Record { start: from, end: newline + 1, number: self.next_line });
            self.next_line += 1;
            from = newline + 1;
        }
        if at_end && from < bytes.len() {
            records.push(Record { start: from, end: bytes.len(), number: self.next_line });
            from = bytes.len();
        }
        Ok(from)
    }
}
