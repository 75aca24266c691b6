//! The structure of a .shp, checked before GDAL sees it.
//!
//! Counts and offsets of the file are believed only where they fit its bytes. Our copy then gets a
//! fresh .shx and header, so that GDAL reads what was checked.

use super::refuse;
use crate::error::{Fault, Result};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

const HEADER_BYTES: u64 = 100;

/// What a shape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShapeKind {
    Null,
    Polygon,
    /// Points, lines and others, which no boundary layer is made of.
    Other(i32),
}

impl ShapeKind {
    fn of(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::Null),
            5 | 15 | 25 => Some(Self::Polygon),
            1 | 3 | 8 | 11 | 13 | 18 | 21 | 23 | 28 | 31 => Some(Self::Other(number)),
            _ => None,
        }
    }

    /// The shape's name, where it is none of ours.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::Polygon => "Polygon",
            Self::Other(1 | 11 | 21) => "Point",
            Self::Other(3 | 13 | 23) => "PolyLine",
            Self::Other(8 | 18 | 28) => "MultiPoint",
            Self::Other(_) => "MultiPatch",
        }
    }
}

/// A record's place in the file.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// Of the record's header, bytes.
    offset: u64,
    /// Of its content, bytes.
    length: u64,
}

/// What the check found.
#[derive(Debug)]
pub struct Shapes {
    pub kinds: Vec<ShapeKind>,
    /// The .shx was missing or wrong and the .shp was searched instead.
    pub rebuilt_index: bool,
}

fn io(error: std::io::Error) -> Fault {
    Fault::internal(error)
}

fn truncated(record: usize) -> Fault {
    refuse(
        "truncated",
        format!(".shp 文件被截断：第 {record} 条记录不完整"),
        format!("The .shp is truncated at record {record}"),
    )
}

fn damaged(record: usize, what_zh: &str, what_en: &str) -> Fault {
    refuse(
        "damaged",
        format!(".shp 文件损坏：第 {record} 条记录{what_zh}"),
        format!("The .shp is damaged: record {record} {what_en}"),
    )
}

/// Checks our copy `shp`, and writes the .shx beside it from what is really there.
pub fn check_and_index(shp: &Path, shx: &Path) -> Result<Shapes> {
    let length = std::fs::metadata(shp).map_err(io)?.len();
    if length == 0 {
        return Err(refuse(
            "not_a_map",
            ".shp 文件是空的（0 字节）",
            "The .shp is empty (0 bytes)",
        ));
    }
    let mut file = BufReader::with_capacity(1 << 16, File::open(shp).map_err(io)?);
    if length < HEADER_BYTES {
        return Err(refuse(
            "truncated",
            ".shp 文件头不完整",
            "The .shp is truncated in its header",
        ));
    }
    let mut header = [0u8; HEADER_BYTES as usize];
    file.read_exact(&mut header).map_err(io)?;
    let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
    let header_kind = ShapeKind::of(i32::from_le_bytes(word(32)));
    if i32::from_be_bytes(word(0)) != 9994 || header_kind.is_none() {
        return Err(refuse(
            "not_a_map",
            "不是 shapefile：.shp 文件头不对",
            "Not a shapefile: its header is wrong",
        ));
    }

    let indexed = read_index(shx, &mut file, length);
    let rebuilt_index = indexed.is_none();
    let records = match indexed {
        Some(records) => records,
        None => search(&mut file, length)?,
    };
    let mut kinds = Vec::with_capacity(records.len());
    for (number, record) in (1..).zip(&records) {
        kinds.push(check_record(&mut file, record, number)?);
    }
    drop(file);
    write_index(shp, shx, &header, &records, length)?;
    Ok(Shapes { kinds, rebuilt_index })
}

fn u32_be(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)))
}

/// The records as the .shx has them, if each is where it says.
fn read_index(shx: &Path, file: &mut BufReader<File>, length: u64) -> Option<Vec<Record>> {
    let size = std::fs::metadata(shx).ok()?.len();
    if size < HEADER_BYTES
        || !(size - HEADER_BYTES).is_multiple_of(8)
        || size > length + HEADER_BYTES
    {
        return None;
    }
    let bytes = std::fs::read(shx).ok()?;
    let entries = &bytes[HEADER_BYTES as usize..];
    let mut records = Vec::with_capacity(entries.len() / 8);
    for (number, entry) in (1..).zip(entries.chunks_exact(8)) {
        let record = Record { offset: u32_be(entry, 0)? * 2, length: u32_be(entry, 4)? * 2 };
        if record.offset < HEADER_BYTES || record.offset + 8 + record.length > length {
            return None;
        }
        let mut head = [0u8; 8];
        seek(file, record.offset).ok()?;
        file.read_exact(&mut head).ok()?;
        if u32_be(&head, 0)? != number || u32_be(&head, 4)? * 2 != record.length {
            return None;
        }
        records.push(record);
    }
    // An index that leaves records out would hide them.
    let last = records.last().map_or(HEADER_BYTES, |r| r.offset + 8 + r.length);
    let covers = records.iter().map(|r| 8 + r.length).sum::<u64>() + HEADER_BYTES >= length
        || last >= length;
    covers.then_some(records)
}

fn seek(file: &mut BufReader<File>, to: u64) -> std::io::Result<()> {
    let here = file.stream_position()?;
    file.seek_relative(i64::try_from(to).unwrap_or(i64::MAX) - i64::try_from(here).unwrap_or(0))
}

/// The records in the order of the file.
fn search(file: &mut BufReader<File>, length: u64) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut offset = HEADER_BYTES;
    while offset < length {
        let number = records.len() + 1;
        if offset + 8 > length {
            return Err(truncated(number));
        }
        let mut head = [0u8; 8];
        seek(file, offset).map_err(io)?;
        file.read_exact(&mut head).map_err(io)?;
        let content = u32_be(&head, 4).unwrap_or(0) * 2;
        if content < 4 {
            return Err(damaged(number, "长度为零", "has no content"));
        }
        if offset + 8 + content > length {
            return Err(truncated(number));
        }
        records.push(Record { offset, length: content });
        offset += 8 + content;
    }
    Ok(records)
}

/// Whether a record's counts fit into it.
fn check_record(file: &mut BufReader<File>, record: &Record, number: usize) -> Result<ShapeKind> {
    if record.length < 4 {
        return Err(damaged(number, "长度为零", "has no content"));
    }
    seek(file, record.offset + 8).map_err(io)?;
    let mut word = [0u8; 4];
    let mut next = |file: &mut BufReader<File>| -> Result<i32> {
        file.read_exact(&mut word).map_err(|_| truncated(number))?;
        Ok(i32::from_le_bytes(word))
    };
    let kind = ShapeKind::of(next(file)?).ok_or_else(|| {
        damaged(number, "的几何类型不存在", "has a shape type that does not exist")
    })?;
    if kind != ShapeKind::Polygon {
        return Ok(kind);
    }
    let counts_zh = "的环数或点数与长度不符";
    let counts_en = "has counts of rings or points that do not fit its length";
    if record.length < 44 {
        return Err(damaged(number, counts_zh, counts_en));
    }
    seek(file, record.offset + 8 + 36).map_err(io)?;
    let (parts, points) = (next(file)?, next(file)?);
    let (Ok(parts), Ok(points)) = (u64::try_from(parts), u64::try_from(points)) else {
        return Err(damaged(number, counts_zh, counts_en));
    };
    if 44 + 4 * parts + 16 * points > record.length {
        return Err(damaged(number, counts_zh, counts_en));
    }
    if parts == 0 || points == 0 {
        return Ok(ShapeKind::Null);
    }
    let mut previous = None;
    for _ in 0..parts {
        let start = u64::try_from(next(file)?).ok().filter(|&start| start < points);
        let first_is_zero = previous.is_some() || start == Some(0);
        match start {
            Some(start) if first_is_zero && previous.is_none_or(|p| start >= p) => {
                previous = Some(start)
            }
            _ => return Err(damaged(number, "的环起点越界", "has rings that start out of range")),
        }
    }
    Ok(kind)
}

/// Writes the .shx, and the true length into the header of the .shp.
fn write_index(
    shp: &Path,
    shx: &Path,
    header: &[u8],
    records: &[Record],
    length: u64,
) -> Result<()> {
    let words = |bytes: u64| u32::try_from(bytes / 2).map(u32::to_be_bytes);
    let too_large = |_| super::too_large(".shp 超过 4 GB", "The .shp is larger than 4 GB");
    let mut shp = std::fs::OpenOptions::new().write(true).open(shp).map_err(io)?;
    shp.seek(SeekFrom::Start(24)).map_err(io)?;
    shp.write_all(&words(length).map_err(too_large)?).map_err(io)?;

    let mut index = header.to_vec();
    let index_length = HEADER_BYTES + 8 * records.len() as u64;
    index[24..28].copy_from_slice(&words(index_length).map_err(too_large)?);
    let mut file = BufWriter::new(File::create(shx).map_err(io)?);
    file.write_all(&index).map_err(io)?;
    for record in records {
        file.write_all(&words(record.offset).map_err(too_large)?).map_err(io)?;
        file.write_all(&words(record.length).map_err(too_large)?).map_err(io)?;
    }
    file.flush().map_err(io)
}
