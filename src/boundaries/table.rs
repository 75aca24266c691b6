//! A shapefile's attributes, decoded, with what was wrong in them.

use super::ReadOptions;
use super::dbf::{Column, RawValue, Table};
use super::encoding::{self, Choice, TextEncoding, refuse_named};
use super::report::Report;
use super::sources::Source;
use crate::error::Result;
use serde_json::{Number, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// An attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Text(String),
    Integer(i64),
    Number(f64),
    Logical(bool),
}

impl Value {
    /// Text without padding and without control characters; `Null` where nothing is left.
    pub fn text(text: String) -> Self {
        let clean = |c: char| !c.is_control() || c == '\n' || c == '\t';
        let text = if text.chars().all(clean) {
            text
        } else {
            text.chars().filter(|&c| clean(c)).collect()
        };
        let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{3000}');
        if trimmed.is_empty() {
            Self::Null
        } else if trimmed.len() == text.len() {
            Self::Text(text)
        } else {
            Self::Text(trimmed.to_string())
        }
    }

    /// A number; NaN and infinity are none.
    pub fn number(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Null }
    }

    /// As a code or name: whole numbers without a decimal point.
    pub fn as_code(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Some(format!("{number:.0}"))
            }
            Self::Number(number) => Some(number.to_string()),
            Self::Null | Self::Logical(_) => None,
        }
    }

    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok().filter(|n: &f64| n.is_finite()),
            Self::Null | Self::Logical(_) => None,
        }
    }

    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Text(text) => json!(text),
            Self::Integer(number) => json!(number),
            // As the store gives it back: jsonb writes 5.0 and 1e15 without an exponent.
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                json!(*number as i64)
            }
            Self::Number(number) => {
                Number::from_f64(*number).map_or(serde_json::Value::Null, Into::into)
            }
            Self::Logical(value) => json!(value),
        }
    }
}

/// The table beside a .shp.
pub struct ShapeTable {
    table: Option<Table>,
    pub fields: Vec<String>,
    pub encoding: TextEncoding,
    /// Records whose value is no number or date, by field.
    bad: RefCell<BTreeMap<usize, Vec<u32>>>,
    /// Records whose text is cut in the middle of a character.
    cut: RefCell<Vec<u32>>,
}

impl ShapeTable {
    /// Opens the table and decides on its encoding.
    pub fn open(
        source: &Source,
        shapes: usize,
        options: &ReadOptions,
        report: &mut Report,
    ) -> Result<Self> {
        let named = options.text_encoding()?;
        let Some(dbf) = &source.dbf else {
            report.warn(
                "no_attributes",
                "没有 .dbf 属性表，只读图形",
                "There is no .dbf; shapes are read without attributes",
            );
            return Ok(Self {
                table: None,
                fields: Vec::new(),
                encoding: named.unwrap_or(TextEncoding::Ascii),
                bad: RefCell::default(),
                cut: RefCell::default(),
            });
        };
        let table = Table::open(dbf, shapes)?;
        if let Some((said, found)) = table.miscounted {
            report.warn(
                "row_count_differs",
                format!(".dbf 文件头写有 {said} 行，实际按 {found} 行读取"),
                format!("The .dbf header says {said} rows; {found} were read"),
            );
        }
        if table.rows() != shapes {
            report.warn(
                "row_count_differs",
                format!("{shapes} 个图形与 {} 行属性数目不符，多出的未读，缺少的无属性", table.rows()),
                format!("{shapes} shapes but {} rows: rows without a shape are not read, shapes without a row have no attributes", table.rows()),
            );
        }
        let choice = decide(&table, source, named)?;
        if let Some(declared) = choice.differs_from {
            report.warn(
                "encoding_differs",
                format!("文件声明为 {declared} 编码，实际内容是 {}，按实际读取", choice.encoding),
                format!(
                    "The file is declared as {declared}, but its text is {0} and was read as {0}",
                    choice.encoding
                ),
            );
        }
        let fields = table.columns.iter().map(|c| field_name(c, choice.encoding)).collect();
        Ok(Self {
            table: Some(table),
            fields,
            encoding: choice.encoding,
            bad: RefCell::default(),
            cut: RefCell::default(),
        })
    }

    pub fn is_deleted(&self, row: usize) -> bool {
        self.table.as_ref().is_some_and(|table| table.is_deleted(row))
    }

    /// The values of a row, in the order of [`Self::fields`].
    pub fn values(&self, row: usize) -> Vec<Value> {
        let Some(table) = &self.table else { return Vec::new() };
        let record = u32::try_from(row + 1).unwrap_or(u32::MAX);
        let mut values = Vec::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            values.push(match table.value(row, column) {
                RawValue::Null => Value::Null,
                RawValue::Text { bytes, .. } => self.decode(bytes, record),
                RawValue::Integer(number) => Value::Integer(number),
                RawValue::Number(number) => Value::number(number),
                RawValue::Date(date) => Value::Text(date.to_string()),
                RawValue::Logical(value) => Value::Logical(value),
                RawValue::Bad => {
                    self.bad.borrow_mut().entry(index).or_default().push(record);
                    Value::Null
                }
            });
        }
        values
    }

    fn decode(&self, bytes: &[u8], record: u32) -> Value {
        if bytes.is_ascii() {
            return Value::text(String::from_utf8_lossy(bytes).into_owned());
        }
        let Some(decoded) = self.encoding.decode_cut(bytes) else { return Value::Null };
        let mut cut = self.cut.borrow_mut();
        if decoded.cut && cut.last() != Some(&record) {
            cut.push(record);
        }
        Value::text(decoded.text)
    }

    /// Tells what was wrong in the values that were asked for.
    pub fn report(&self, report: &mut Report) {
        for (index, records) in self.bad.borrow().iter() {
            let field = self.fields.get(*index).map(String::as_str).unwrap_or_default();
            report.warn_records(
                "bad_value",
                &format!("字段 {field} 的值不是有效的数字或日期，按空值处理"),
                &format!("Values of {field} are no numbers or dates and were read as null"),
                records,
            );
        }
        report.warn_records(
            "text_cut",
            "文字在字符中间被截断，已去掉残缺的字",
            "Text is cut in the middle of a character; the rest of it was dropped",
            &self.cut.borrow(),
        );
    }
}

fn decide(table: &Table, source: &Source, named: Option<TextEncoding>) -> Result<Choice> {
    let samples = table.samples();
    if let Some(named) = named {
        let fits = samples.iter().all(|s| named.decode_cut(s.bytes).is_some());
        return if fits {
            Ok(Choice { encoding: named, differs_from: None })
        } else {
            Err(refuse_named(named))
        };
    }
    let cpg = source
        .cpg
        .as_deref()
        .map(String::from_utf8_lossy)
        .and_then(|name| TextEncoding::from_name(&name));
    encoding::choose(cpg.or_else(|| TextEncoding::from_ldid(table.ldid)), &samples)
}

/// A column's name, whole characters only.
fn field_name(column: &Column, encoding: TextEncoding) -> String {
    let name = encoding.decode_cut(&column.raw_name).map(|d| d.text).unwrap_or_default();
    name.trim().chars().filter(|c| !c.is_control()).collect()
}
