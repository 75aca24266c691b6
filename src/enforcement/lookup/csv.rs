//! Points as CSV. The bytes of a row are copied, never written anew, so columns, quoting and any
//! ASCII-compatible encoding (UTF-8, GBK, GB18030) stay as they came.

use super::batch::{
    BatchOptions, COLUMNS, Format, Found, LAT_NAMES, LON_NAMES, Numbered, Render, Rendered, Where,
    Worker, find_column, number,
};
use super::records::{Cut, Head, MAX_RECORD_BYTES, Record, Records};
use crate::enforcement::dispatch::PlaceCodes;
use crate::error::{Fault, FaultKind, Result};
use encoding_rs::{Encoding, GB18030, UTF_8};
use geo::Coord;
use std::io::Read;
use std::ops::Range;

/// How the rows of one file are read.
pub(super) struct CsvFormat {
    delimiter: u8,
    /// Ends a last row that has no line end of its own.
    line_end: &'static [u8],
    encoding: &'static Encoding,
    columns: usize,
    lon: usize,
    lat: usize,
    header: Vec<u8>,
}

impl CsvFormat {
    /// Reads the header; the records that follow it are the points.
    pub fn open<R: Read>(
        mut head: Head<R>,
        options: &BatchOptions,
    ) -> Result<(Self, Records<R, CsvCut>)> {
        if head.ahead.starts_with(&[0xff, 0xfe]) || head.ahead.starts_with(&[0xfe, 0xff]) {
            return Err(Fault::new(
                FaultKind::Invalid,
                "encoding_unknown",
                "文件是 UTF-16 编码，请另存为 UTF-8 编码的 CSV",
                "the file is UTF-16; please save it as CSV UTF-8",
            ));
        }
        let mark = if head.ahead.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let (delimiter, end) = loop {
            let delimiter = delimiter_of(&head.ahead[mark..]);
            let end = scan(&head.ahead, mark, delimiter, |_| {});
            if let Some(end) = end.filter(|&end| head.ahead[..end].ends_with(b"\n")) {
                break (delimiter, end);
            }
            if head.at_end {
                break (delimiter, head.ahead.len());
            }
            head.read_more()?;
        };
        let encoding = encoding_of(&head.ahead, head.at_end);
        let (row, line_end) = trim_line_end(&head.ahead[mark..end]);
        let mut names = Vec::new();
        scan(row, 0, delimiter, |field| {
            names.push(encoding.decode(&unquoted(&row[field])).0.trim().to_string());
        });
        let find = |wanted: &Option<String>, usual: &[&str], parameter: &str| {
            find_column(&names, wanted.as_deref(), usual)
                .ok_or_else(|| no_column(wanted.as_deref(), usual, parameter, &names))
        };
        let lon = find(&options.lon, &LON_NAMES, "lon")?;
        let lat = find(&options.lat, &LAT_NAMES, "lat")?;

        let line_end = if line_end.is_empty() { b"\n" } else { line_end };
        let mut header = head.ahead[..mark + row.len()].to_vec();
        for column in COLUMNS {
            header.push(delimiter);
            header.extend_from_slice(column.as_bytes());
        }
        header.extend_from_slice(line_end);
        let lines = count_newlines(&head.ahead[..end]);
        head.ahead.drain(..end);
        let cut = CsvCut { delimiter, next_line: 1 + lines };
        let format = Self { delimiter, line_end, encoding, columns: names.len(), lon, lat, header };
        Ok((format, Records::new(head, cut)))
    }

    /// The header with the appended columns.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    fn push_text(&self, text: &str, out: &mut Vec<u8>) {
        let (bytes, _, _) = self.encoding.encode(text);
        push_field(&bytes, self.delimiter, out);
    }
}

impl Render for CsvFormat {
    fn render(&self, place: &PlaceCodes, phone: Option<&str>) -> Rendered {
        let (mut before, mut after) = (b"true".to_vec(), Vec::new());
        for code in [&place.city, &place.district, &place.town, &place.village, &place.cell] {
            before.push(self.delimiter);
            self.push_text(code.as_deref().unwrap_or_default(), &mut before);
        }
        before.push(self.delimiter);
        after.push(self.delimiter);
        self.push_text(phone.unwrap_or_default(), &mut after);
        after.push(self.delimiter);
        Rendered { before, after }
    }
}

/// What a row looks like.
pub(super) struct Row {
    fields: usize,
    /// Where its last field that the header knows begins.
    last: usize,
    complete: bool,
}

impl Format for CsvFormat {
    type Read<'r> = Row;

    fn read(&self, record: &[u8]) -> (Row, Result<Coord>) {
        let (row, _) = trim_line_end(record);
        let mut fields = 0;
        let (mut lon, mut lat, mut last) = (0..0, 0..0, 0);
        let complete = scan(row, 0, self.delimiter, |field| {
            if fields + 1 == self.columns {
                last = field.start;
            }
            if fields == self.lon {
                lon = field.clone();
            }
            if fields == self.lat {
                lat = field;
            }
            fields += 1;
        });
        let complete = complete.is_some();
        let from = if !complete {
            Err(unclosed_quote())
        } else if fields > self.columns
            || (fields < self.columns && (fields <= self.lon || fields <= self.lat))
        {
            Err(wrong_columns(fields, self.columns))
        } else {
            coordinate(&row[lon], &row[lat])
        };
        (Row { fields, last, complete }, from)
    }

    fn write(
        &self,
        (record, number): Numbered,
        Row { mut fields, last, complete }: Row,
        found: Result<Found>,
        worker: &mut Worker,
        out: &mut Vec<u8>,
    ) {
        let (row, line_end) = trim_line_end(record);
        let line_end = if line_end.is_empty() { self.line_end } else { line_end };
        // Whatever the row lacks or has too much, the answer stands under its columns.
        if !complete {
            push_field(row, b'"', out);
            fields = 1;
        } else if fields > self.columns {
            out.extend_from_slice(&row[..last]);
            push_field(&row[last..], b'"', out);
        } else {
            out.extend_from_slice(row);
        }
        out.resize(out.len() + self.columns.saturating_sub(fields), self.delimiter);
        out.push(self.delimiter);
        match found {
            Ok(Found::Inside(rendered, category)) => {
                out.extend_from_slice(&rendered.before);
                out.extend_from_slice(category.as_str().as_bytes());
                out.extend_from_slice(&rendered.after);
            }
            Ok(Found::Outside) => {
                out.extend_from_slice(b"false");
                out.resize(out.len() + COLUMNS.len() - 1, self.delimiter);
            }
            Err(fault) => {
                out.resize(out.len() + COLUMNS.len() - 1, self.delimiter);
                self.push_text(&worker.error(Where::Line(number), &fault), out);
            }
        }
        out.extend_from_slice(line_end);
    }
}

fn coordinate(lon: &[u8], lat: &[u8]) -> Result<Coord> {
    Ok(Coord { x: number(&unquoted(lon), "lon")?, y: number(&unquoted(lat), "lat")? })
}

fn wrong_columns(got: usize, expected: usize) -> Fault {
    Fault::invalid(
        format!("本行有 {got} 列，表头有 {expected} 列"),
        format!("the row has {got} fields, the header {expected}"),
    )
}

fn unclosed_quote() -> Fault {
    Fault::invalid("引号没有闭合", "a quoted field does not end")
}

fn no_column(wanted: Option<&str>, usual: &[&str], parameter: &str, names: &[String]) -> Fault {
    let shown: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
    let (zh, en) = match wanted {
        Some(name) => (format!("没有名为 {name} 的列"), format!("there is no column {name:?}")),
        None => (
            format!("找不到坐标列（{}）", usual.join("、")),
            format!("no column is called {}", usual.join(", ")),
        ),
    };
    let zh = format!("{zh}；请用 {parameter} 指定。表头：{}", shown.join("、"));
    let en = format!("{en}; name it as {parameter}. The header has: {}", shown.join(", "));
    Fault::new(FaultKind::Invalid, "column_unknown", zh, en)
}

/// Cuts a CSV stream into rows.
#[derive(Debug)]
pub(super) struct CsvCut {
    delimiter: u8,
    next_line: u64,
}

impl CsvCut {
    fn push(&mut self, bytes: &[u8], start: usize, end: usize, records: &mut Vec<Record>) {
        records.push(Record { start, end, number: self.next_line });
        self.next_line += count_newlines(&bytes[start..end]).max(1);
    }
}

impl Cut for CsvCut {
    fn cut(&mut self, bytes: &[u8], at_end: bool, records: &mut Vec<Record>) -> Result<usize> {
        let mut from = 0;
        while from < bytes.len() {
            let end = match memchr::memchr2(b'\n', b'"', &bytes[from..]) {
                Some(at) if bytes[from + at] == b'\n' => Some(from + at + 1),
                Some(_) => scan(bytes, from, self.delimiter, |_| {})
                    // Without a line end the row may go on behind the bytes read so far.
                    .filter(|&end| bytes[end - 1] == b'\n'),
                None => None,
            };
            if let Some(end) = end {
                self.push(bytes, from, end, records);
                from = end;
            } else if at_end || bytes.len() - from > MAX_RECORD_BYTES {
                // A quote that never closes: its line is wrong, the ones after it are read.
                let whole = scan(bytes, from, self.delimiter, |_| {}).filter(|_| at_end);
                let line = memchr::memchr(b'\n', &bytes[from..]).map(|at| from + at + 1);
                let Some(end) = whole.or(line).or(at_end.then_some(bytes.len())) else {
                    return Err(super::records::record_too_long());
                };
                self.push(bytes, from, end, records);
                from = end;
            } else {
                break;
            }
        }
        Ok(from)
    }
}

/// Walks one row from `from`: tells each field's bytes, and where the next row begins. `None`
/// where a quoted field does not end. A row ends after its line feed or with the bytes.
fn scan(
    bytes: &[u8],
    from: usize,
    delimiter: u8,
    mut field: impl FnMut(Range<usize>),
) -> Option<usize> {
    let mut start = from;
    let mut at = from;
    loop {
        // A quote counts at the beginning of a field only; inside, two stand for one.
        if bytes.get(at) == Some(&b'"') {
            at += 1;
            loop {
                at += memchr::memchr(b'"', bytes.get(at..)?)? + 1;
                if bytes.get(at) != Some(&b'"') {
                    break;
                }
                at += 1;
            }
        }
        match memchr::memchr2(delimiter, b'\n', &bytes[at..]) {
            Some(offset) if bytes[at + offset] == delimiter => {
                field(start..at + offset);
                at += offset + 1;
                start = at;
            }
            Some(offset) => {
                field(start..at + offset);
                return Some(at + offset + 1);
            }
            None => {
                field(start..bytes.len());
                return Some(bytes.len());
            }
        }
    }
}

/// The row without its line end, and the line end.
fn trim_line_end(record: &[u8]) -> (&[u8], &'static [u8]) {
    if let Some(row) = record.strip_suffix(b"\r\n") {
        (row, b"\r\n")
    } else if let Some(row) = record.strip_suffix(b"\n") {
        (row, b"\n")
    } else {
        (record, b"")
    }
}

/// The text of a field, without its quotes.
fn unquoted(field: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let Some(inner) = field.strip_prefix(b"\"").and_then(|f| f.strip_suffix(b"\"")) else {
        return field.into();
    };
    if memchr::memchr(b'"', inner).is_none() {
        return inner.into();
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut quotes = 0;
    for &byte in inner {
        quotes = if byte == b'"' { quotes + 1 } else { 0 };
        if quotes % 2 == 0 && byte == b'"' {
            continue;
        }
        text.push(byte);
    }
    text.into()
}

/// Appends a field, quoted where it has to be; `delimiter` as `"` quotes it always.
fn push_field(text: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let special = |b: &u8| *b == delimiter || matches!(b, b'"' | b'\n' | b'\r');
    if delimiter != b'"' && !text.iter().any(special) {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for &byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// The most frequent separator of the first line.
fn delimiter_of(bytes: &[u8]) -> u8 {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| memchr::memchr_iter(delimiter, line).count();
    // The last of equals wins: a comma.
    b";\t,".iter().copied().max_by_key(|&d| count(d)).unwrap_or(b',')
}

/// UTF-8, or the national encoding of which GBK is a part.
fn encoding_of(bytes: &[u8], at_end: bool) -> &'static Encoding {
    match std::str::from_utf8(bytes) {
        Ok(_) => UTF_8,
        // A character may be cut where the bytes read so far end.
        Err(error) if error.error_len().is_none() && !at_end => UTF_8,
        Err(_) => GB18030,
    }
}

fn count_newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
