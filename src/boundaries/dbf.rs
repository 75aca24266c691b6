//! The attribute table of a shapefile, as bytes.
//!
//! GDAL's Rust binding turns undeclared text into replacement characters and bad numbers into 0,
//! so the table is read here and GDAL reads the shapes.

use super::encoding::Sample;
use super::refuse;
use crate::error::Result;
use chrono::NaiveDate;
use std::path::Path;

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// At most 10 or 11 bytes, possibly cut in the middle of a character.
    pub raw_name: Vec<u8>,
    kind: u8,
    offset: usize,
    width: usize,
}

/// A value of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RawValue<'a> {
    Null,
    /// Without the padding; `full` as in [`Sample`].
    Text {
        bytes: &'a [u8],
        full: bool,
    },
    Integer(i64),
    Number(f64),
    Date(NaiveDate),
    Logical(bool),
    /// Not what the column's type says: stars of an overflow, a date that does not exist.
    Bad,
}

/// The table, in memory.
#[derive(Debug)]
pub struct Table {
    bytes: Vec<u8>,
    header_length: usize,
    record_length: usize,
    rows: usize,
    /// The language driver byte.
    pub ldid: u8,
    pub columns: Vec<Column>,
    /// The header counts other rows than the file holds: (said, found).
    pub miscounted: Option<(usize, usize)>,
}

fn damaged(zh: &str, en: &str) -> crate::error::Fault {
    refuse("damaged", format!(".dbf 属性表损坏：{zh}"), format!("The .dbf is damaged: {en}"))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

impl Table {
    /// Reads a table; `shapes` is the number of shapes it should go with.
    pub fn open(path: &Path, shapes: usize) -> Result<Self> {
        Self::parse(std::fs::read(path).map_err(crate::error::Fault::internal)?, shapes)
    }

    fn parse(bytes: Vec<u8>, shapes: usize) -> Result<Self> {
        let header =
            |at| u16_at(&bytes, at).ok_or_else(|| damaged("文件头不完整", "its header is cut"));
        let (mut header_length, declared_length) = (header(8)?, header(10)?);
        let said = u32_at(&bytes, 4).ok_or_else(|| damaged("文件头不完整", "its header is cut"))?;
        let ldid = bytes.get(29).copied().unwrap_or(0);

        let mut columns = Vec::new();
        let mut offset = 1; // after the deletion flag
        let mut at = 32;
        while bytes.get(at).is_some_and(|&b| b != 0x0d && b != 0)
            && at + 32 <= header_length.max(33)
        {
            let Some(field) = bytes.get(at..at + 32) else {
                return Err(damaged("字段表不完整", "its list of columns is cut"));
            };
            let name_end = field[..11].iter().position(|&b| b == 0).unwrap_or(11);
            let kind = field[11].to_ascii_uppercase();
            // Text columns of more than 255 bytes keep the high byte where decimals stand.
            let width = match kind {
                b'C' => usize::from(field[16]) + 256 * usize::from(field[17]),
                _ => usize::from(field[16]),
            };
            columns.push(Column { raw_name: field[..name_end].to_vec(), kind, offset, width });
            offset += width;
            at += 32;
        }
        if header_length < at || header_length > bytes.len() {
            header_length = at + 1;
        }
        // A wider record than its columns is padding; a narrower one is a lie.
        let record_length = if declared_length >= offset { declared_length } else { offset };
        let body = bytes.len().saturating_sub(header_length);
        let found = body / record_length.max(1);
        let rows = if columns.is_empty() {
            0
        } else if said <= found && (said == shapes || found != shapes) {
            said
        } else if found == shapes || said > found {
            found
        } else {
            said
        };
        if said > found && found < shapes {
            return Err(refuse(
                "truncated",
                format!(".dbf 属性表被截断，只到第 {found} 条记录，应有 {said} 条"),
                format!("The .dbf is truncated at record {}; it should hold {said}", found + 1),
            ));
        }
        let miscounted = (rows != said).then_some((said, rows));
        Ok(Self { bytes, header_length, record_length, rows, ldid, columns, miscounted })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    fn record(&self, row: usize) -> &[u8] {
        let start = self.header_length + row * self.record_length;
        self.bytes.get(start..start + self.record_length).unwrap_or_default()
    }

    /// Whether a row is flagged as deleted.
    pub fn is_deleted(&self, row: usize) -> bool {
        row < self.rows && self.record(row).first() == Some(&b'*')
    }

    /// The value in a row and column, 0-based.
    pub fn value(&self, row: usize, column: &Column) -> RawValue<'_> {
        if row >= self.rows {
            return RawValue::Null;
        }
        let bytes =
            self.record(row).get(column.offset..column.offset + column.width).unwrap_or_default();
        column.read(bytes)
    }

    /// Every text of the table: column names and values of rows that are not deleted.
    pub fn samples(&self) -> Vec<Sample<'_>> {
        let names = self
            .columns
            .iter()
            .map(|c| Sample { bytes: &c.raw_name, full: c.raw_name.len() >= 10 });
        let texts = self.columns.iter().filter(|c| c.kind == b'C').flat_map(|column| {
            (0..self.rows).filter(|&row| !self.is_deleted(row)).filter_map(|row| {
                match self.value(row, column) {
                    RawValue::Text { bytes, full } if !bytes.is_ascii() => {
                        Some(Sample { bytes, full })
                    }
                    _ => None,
                }
            })
        });
        names.chain(texts).collect()
    }
}

impl Column {
    fn read<'a>(&self, bytes: &'a [u8]) -> RawValue<'a> {
        match self.kind {
            b'C' | b'V' => {
                let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
                let text = bytes[..end].trim_ascii();
                let full =
                    end == bytes.len() && bytes.last().is_some_and(|b| !b.is_ascii_whitespace());
                if text.is_empty() { RawValue::Null } else { RawValue::Text { bytes: text, full } }
            }
            b'N' | b'F' => read_number(bytes),
            b'D' => read_date(bytes),
            b'L' => match bytes.first() {
                Some(b'T' | b't' | b'Y' | b'y') => RawValue::Logical(true),
                Some(b'F' | b'f' | b'N' | b'n') => RawValue::Logical(false),
                None | Some(b' ' | b'?' | 0) => RawValue::Null,
                Some(_) => RawValue::Bad,
            },
            b'I' | b'+' => match bytes.try_into() {
                Ok(bytes) => RawValue::Integer(i64::from(i32::from_le_bytes(bytes))),
                Err(_) => RawValue::Bad,
            },
            b'B' | b'O' => match bytes.try_into().map(f64::from_le_bytes) {
                Ok(number) if number.is_finite() => RawValue::Number(number),
                _ => RawValue::Bad,
            },
            // Memos, pictures and time stamps: kept elsewhere or of no use here.
            _ => RawValue::Null,
        }
    }
}

fn read_number(bytes: &[u8]) -> RawValue<'static> {
    let text = bytes.split(|&b| b == 0).next().unwrap_or_default().trim_ascii();
    if text.is_empty() {
        return RawValue::Null;
    }
    let Ok(text) = std::str::from_utf8(text) else { return RawValue::Bad };
    if let Ok(integer) = text.parse::<i64>() {
        return RawValue::Integer(integer);
    }
    // `parse` also reads "inf" and "NaN", which no column of numbers means.
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => RawValue::Number(number + 0.0),
        _ => RawValue::Bad,
    }
}

fn read_date(bytes: &[u8]) -> RawValue<'static> {
    let text = bytes.trim_ascii();
    if text.is_empty() || text.iter().all(|&b| b == b'0' || b == 0) {
        return RawValue::Null;
    }
    let digits = (text.len() == 8 && text.iter().all(u8::is_ascii_digit)).then_some(text);
    let number =
        digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| d.parse::<u32>().ok());
    let date =
        number.and_then(|n| NaiveDate::from_ymd_opt((n / 10_000) as i32, n / 100 % 100, n % 100));
    date.map_or(RawValue::Bad, RawValue::Date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_dates_are_strict() {
        for bad in ["****", "NaN", "inf", "abc", "1e999", "1.2.3"] {
            assert_eq!(read_number(bad.as_bytes()), RawValue::Bad, "{bad}");
        }
        assert_eq!(read_number(b"   "), RawValue::Null);
        assert_eq!(
            read_number(b" 3503020010010000000"),
            RawValue::Integer(3_503_020_010_010_000_000)
        );
        assert_eq!(read_number(b" 1.5E+03"), RawValue::Number(1500.0));
        for bad in ["20240230", "abcdefgh", "2024", "20241301"] {
            assert_eq!(read_date(bad.as_bytes()), RawValue::Bad, "{bad}");
        }
        assert_eq!(
            read_date(b"20240229"),
            RawValue::Date(NaiveDate::from_ymd_opt(2024, 2, 29).unwrap())
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..600), shapes in 0..20usize) {
            if let Some(end) = bytes.get_mut(64) {
                *end = 0x0d;
            }
            if let Ok(table) = Table::parse(bytes, shapes) {
                for row in 0..table.rows().min(50) {
                    for column in &table.columns {
                        table.value(row, column);
                    }
                }
                table.samples();
            }
        }
    }
}
