//! Tables that offices send: CSV in any encoding they use, or a workbook. And the report on one.

use crate::error::{Fault, FaultKind, Result};
use calamine::{Data, Reader};
use encoding_rs::{Encoding, GB18030, UTF_8};
use serde::Serialize;
use std::fs;
use std::io::Cursor;
use std::path::Path;

/// Larger files are no table of people or cases, bytes.
const LARGEST_FILE: u64 = 256 << 20;
/// A workbook may unpack to this much, bytes.
const LARGEST_WORKBOOK: u64 = 1 << 30;

/// A table with named columns; every cell is trimmed text.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    header: Vec<String>,
    rows: Vec<Row>,
}

/// One row of data.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where it stands in the file: the line of a CSV, the row of a workbook; the header is 1.
    pub number: u64,
    cells: Vec<String>,
}

impl Row {
    /// The text of a column; empty where the row ends before it.
    pub fn get(&self, column: usize) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }
}

impl Sheet {
    /// Reads the first sheet of a workbook (.xlsx, .xls, .ods), or a CSV.
    pub fn read(path: &Path) -> Result<Self> {
        let unreadable = |e: std::io::Error| {
            Fault::new(
                FaultKind::Invalid,
                "unreadable",
                format!("无法读取文件 {}：{e}", path.display()),
                format!("Cannot read {}: {e}", path.display()),
            )
        };
        let meta = fs::metadata(path).map_err(unreadable)?;
        if meta.len() > LARGEST_FILE {
            return Err(too_large());
        }
        Self::parse(&fs::read(path).map_err(unreadable)?)
    }

    /// Reads a table from the bytes of its file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let is_zip = bytes.starts_with(b"PK\x03\x04");
        let is_ole = bytes.starts_with(b"\xd0\xcf\x11\xe0");
        if is_zip || is_ole { Self::parse_workbook(bytes, is_zip) } else { Self::parse_csv(bytes) }
    }

    fn parse_csv(bytes: &[u8]) -> Result<Self> {
        let text = decode(bytes)?;
        let header_line = text.lines().next().unwrap_or_default();
        let commonest = |a: &&u8, b: &&u8| {
            let count = |byte: u8| header_line.bytes().filter(|&b| b == byte).count();
            count(**a).cmp(&count(**b))
        };
        // The first of equals would lose against the last; the comma is what CSV is called after.
        let delimiter = b";\t,".iter().max_by(commonest).copied().unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .has_headers(false)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut rows = Vec::new();
        // The reader's own line numbers are off after CR LF and after empty lines.
        let (mut number, mut counted) = (1, 0);
        for record in reader.records() {
            let record = record.map_err(|e| not_a_table(&e.to_string()))?;
            let start = record.position().map_or(0, |p| usize::try_from(p.byte()).unwrap_or(0));
            let skipped =
                text.bytes().skip(start).take_while(|b| matches!(b, b'\r' | b'\n')).count();
            let start = (start + skipped).max(counted);
            let lines =
                text.bytes().skip(counted).take(start - counted).filter(|&b| b == b'\n').count();
            (number, counted) = (number + lines as u64, start);
            rows.push(Row { number, cells: record.iter().map(str::to_owned).collect() });
        }
        Self::with_header(rows)
    }

    fn parse_workbook(bytes: &[u8], is_zip: bool) -> Result<Self> {
        if is_zip {
            let mut archive = zip::ZipArchive::new(Cursor::new(bytes))
                .map_err(|e| not_a_table(&e.to_string()))?;
            let unpacked = (0..archive.len()).try_fold(0_u64, |sum, index| {
                let size = archive.by_index_raw(index).map(|file| file.size());
                size.map(|size| sum.saturating_add(size)).map_err(|e| not_a_table(&e.to_string()))
            })?;
            if unpacked > LARGEST_WORKBOOK {
                return Err(too_large());
            }
        }
        let mut workbook = calamine::open_workbook_auto_from_rs(Cursor::new(bytes))
            .map_err(|e| not_a_table(&e.to_string()))?;
        let range = workbook
            .worksheet_range_at(0)
            .ok_or_else(|| not_a_table("no sheet"))?
            .map_err(|e| not_a_table(&e.to_string()))?;
        let first = range.start().map_or(0, |(row, _)| u64::from(row));
        let rows = (first + 1..)
            .zip(range.rows())
            .map(|(number, cells)| Row { number, cells: cells.iter().map(cell_text).collect() })
            .collect();
        Self::with_header(rows)
    }

    /// The first row that is not empty names the columns; empty rows are none.
    fn with_header(rows: Vec<Row>) -> Result<Self> {
        let mut rows = rows.into_iter().filter(|row| row.cells.iter().any(|cell| !cell.is_empty()));
        let header = rows.next().ok_or_else(|| not_a_table("empty"))?;
        let header = header.cells.iter().map(|name| name.to_lowercase()).collect();
        Ok(Self { header, rows: rows.collect() })
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The column of any of these names (lower case), in whatever order the file has them.
    pub fn column(&self, names: &[&str]) -> Option<usize> {
        self.header.iter().position(|header| names.contains(&header.as_str()))
    }

    /// Like [`Sheet::column`], for one that must be there; the first name is the one told.
    pub fn required(&self, names: &[&str]) -> Result<usize> {
        self.column(names).ok_or_else(|| {
            let name = names.first().copied().unwrap_or_default();
            Fault::new(
                FaultKind::Invalid,
                "missing_column",
                format!("缺少列 {name}；文件有：{}", self.header.join("、")),
                format!("Column {name} is missing; the file has: {}", self.header.join(", ")),
            )
        })
    }
}

/// A byte-order mark decides; then UTF-8 where it is valid; then what Excel writes in China.
fn decode(bytes: &[u8]) -> Result<String> {
    let (encoding, mark) = Encoding::for_bom(bytes).unwrap_or((UTF_8, 0));
    let body = bytes.get(mark..).unwrap_or_default();
    let decoded = encoding.decode_without_bom_handling_and_without_replacement(body);
    let decoded = match decoded {
        None if mark == 0 => GB18030.decode_without_bom_handling_and_without_replacement(body),
        decoded => decoded,
    };
    match decoded {
        Some(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(Fault::new(
            FaultKind::Invalid,
            "encoding_unknown",
            "无法识别文字编码：请另存为 UTF-8 的 CSV 或 xlsx",
            "The text encoding is unknown: save the table as CSV in UTF-8 or as xlsx",
        )),
    }
}

/// A number without fraction (a phone, a code) is its digits, not `1.0005944055e10`.
fn cell_text(cell: &Data) -> String {
    match cell {
        Data::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
            format!("{number:.0}")
        }
        Data::DateTime(time) => match time.as_datetime() {
            Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
            None => time.to_string(),
        },
        cell => cell.to_string().trim().to_owned(),
    }
}

fn too_large() -> Fault {
    Fault::new(FaultKind::TooLarge, "too_large", "文件过大", "The file is too large")
}

fn not_a_table(cause: &str) -> Fault {
    Fault::new(
        FaultKind::Invalid,
        "not_a_table",
        format!("不是可读的表格（CSV 或 xlsx）：{cause}"),
        format!("Not a readable table (CSV or xlsx): {cause}"),
    )
}

/// What happened to the rows of a table. `read = accepted + rejected`, and of the accepted ones
/// those neither updated nor unchanged are new.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RowReport {
    pub read: usize,
    pub accepted: usize,
    pub updated: usize,
    pub unchanged: usize,
    /// What the store had and the table replaces.
    pub removed: usize,
    pub rejected: Vec<RowRemark>,
    /// Rows accepted, of which something should be known.
    pub warnings: Vec<RowRemark>,
    pub dry_run: bool,
}

/// A remark on one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RowRemark {
    /// Line or row in the file; the header is 1.
    pub row: u64,
    /// Stable, for programs: `unknown_role`, `unknown_area` …
    pub code: &'static str,
    /// In Chinese and English.
    pub reason: String,
}

impl RowRemark {
    pub fn new(row: u64, code: &'static str, zh: impl AsRef<str>, en: impl AsRef<str>) -> Self {
        Self { row, code, reason: format!("{} / {}", zh.as_ref(), en.as_ref()) }
    }
}

impl RowReport {
    /// A table of which no row can be used is refused as a whole.
    pub fn usable(self) -> Result<Self> {
        if self.read == 0 || self.accepted > 0 {
            return Ok(self);
        }
        let mut fault = Fault::new(
            FaultKind::Unprocessable,
            "nothing_accepted",
            format!("{} 行全部被拒绝", self.read),
            format!("All {} rows were rejected", self.read),
        );
        for remark in self.rejected.iter().take(20) {
            fault = fault.field(remark.row.to_string(), remark.reason.clone());
        }
        Err(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(sheet: &Sheet) -> Vec<(u64, &str, &str)> {
        let (name, phone) =
            (sheet.required(&["name"]).unwrap(), sheet.required(&["phone"]).unwrap());
        sheet.rows().iter().map(|row| (row.number, row.get(name), row.get(phone))).collect()
    }

    const TEXT: &str = "Phone,name\r\n10001, 林明永 \r\n\r\n10002,\"张\r\n三\"\r\n10003\r\n";
    const EXPECTED: [(u64, &str, &str); 3] =
        [(2, "林明永", "10001"), (4, "张\r\n三", "10002"), (6, "", "10003")];

    #[test]
    fn columns_are_found_by_name_in_every_encoding_that_offices_use() {
        assert_eq!(table(&Sheet::parse(TEXT.as_bytes()).unwrap()), EXPECTED);
        assert_eq!(table(&Sheet::parse(format!("\u{feff}{TEXT}").as_bytes()).unwrap()), EXPECTED);
        assert_eq!(table(&Sheet::parse(&GB18030.encode(TEXT).0).unwrap()), EXPECTED);
        let utf16: Vec<u8> = std::iter::once(0xfeff)
            .chain(TEXT.replace(',', "\t").encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(table(&Sheet::parse(&utf16).unwrap()), EXPECTED);
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_reason() {
        let code = |bytes: &[u8]| {
            Sheet::parse(bytes).and_then(|s| s.required(&["phone"])).unwrap_err().code
        };
        assert_eq!(code(b""), "not_a_table");
        assert_eq!(code(b"\r\n , \r\n"), "not_a_table");
        assert_eq!(code(b"name,tel\na,1\n"), "missing_column");
        assert_eq!(code(b"name,phone\n\xff\xfe\xfd,1\n"), "encoding_unknown");
        assert_eq!(code(b"PK\x03\x04 no archive"), "not_a_table");
        assert_eq!(code(b"\xd0\xcf\x11\xe0 no workbook"), "not_a_table");
        assert_eq!(code(&[0; 64]), "encoding_unknown");
    }

    #[test]
    fn numbers_of_a_workbook_are_their_digits() {
        assert_eq!(cell_text(&Data::Float(10005944055.0)), "10005944055");
        assert_eq!(cell_text(&Data::Float(350302001001001.0)), "350302001001001");
        assert_eq!(cell_text(&Data::Float(1.5)), "1.5");
        assert_eq!(cell_text(&Data::String(" a ".into())), "a");
        assert_eq!(cell_text(&Data::Empty), "");
    }
}
