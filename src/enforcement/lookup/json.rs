//! What NDJSON and GeoJSON share: the members of an object by their bytes, so that everything but
//! the appended members is copied as it came.

use super::batch::{COLUMNS, Found, Rendered};
use crate::enforcement::dispatch::PlaceCodes;
use crate::error::{Fault, Result};
use serde::de::IgnoredAny;

/// One member of an object: its key without quotes, and the text of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    pub key: &'a str,
    pub value: &'a str,
}

/// The text of an object that is known to be valid JSON.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a>(&'a str);

impl<'a> Object<'a> {
    /// Checks that the text is one JSON object.
    pub fn parse(text: &'a [u8]) -> Result<Self> {
        let text = std::str::from_utf8(text)
            .map_err(|_| Fault::invalid("不是 UTF-8 编码", "it is not UTF-8"))?;
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
            Fault::invalid(format!("不是有效的 JSON：{error}"), format!("invalid JSON: {error}"))
        })?;
        Self::of_valid(text).ok_or_else(|| Fault::invalid("不是 JSON 对象", "it is no JSON object"))
    }

    /// The object in a text already known to be valid JSON; `None` for any other value.
    pub fn of_valid(text: &'a str) -> Option<Self> {
        let text = text.trim();
        text.starts_with('{').then_some(Self(text))
    }

    /// The members in their order.
    pub fn members(self) -> impl Iterator<Item = Member<'a>> {
        let text = self.0;
        let mut at = 1;
        std::iter::from_fn(move || {
            let bytes = text.as_bytes();
            at += bytes[at..].iter().position(|b| matches!(b, b'"' | b'}'))?;
            if bytes[at] == b'}' {
                return None;
            }
            let key_end = value_end(bytes, at);
            let key = text.get(at + 1..key_end - 1)?;
            let colon = key_end + memchr::memchr(b':', &bytes[key_end..])?;
            let start =
                colon + 1 + bytes[colon + 1..].iter().position(|b| !b.is_ascii_whitespace())?;
            let end = value_end(bytes, start);
            at = end;
            Some(Member { key, value: text.get(start..end)?.trim_end() })
        })
    }

    /// The value of the last member with this key.
    pub fn get(self, key: &str) -> Option<&'a str> {
        self.members().filter(|m| m.key == key).last().map(|m| m.value)
    }
}

/// Where the value that begins at `start` ends, in valid JSON.
fn value_end(bytes: &[u8], start: usize) -> usize {
    let mut scan = Scan::default();
    for (offset, &byte) in bytes[start..].iter().enumerate() {
        let outside = !scan.in_string && scan.depth == 0;
        if outside && offset > 0 && matches!(byte, b',' | b'}' | b']' | b':') {
            return start + offset;
        }
        scan.step(byte);
        let closed = !scan.in_string && scan.depth == 0;
        if closed && matches!(byte, b'"' | b'}' | b']') {
            return start + offset + 1;
        }
    }
    bytes.len()
}

/// Follows nesting and strings through JSON text.
#[derive(Debug, Default, Clone, Copy)]
pub struct Scan {
    pub depth: usize,
    pub in_string: bool,
    escaped: bool,
}

impl Scan {
    pub fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }
}

/// The members of an answer, before and after the category.
pub fn render(place: &PlaceCodes, phone: Option<&str>) -> Rendered {
    let mut before = br#""inside":true"#.to_vec();
    let codes = [&place.city, &place.district, &place.town, &place.village, &place.cell];
    for (column, code) in COLUMNS[1..].iter().zip(codes) {
        let member = format!(r#","{column}":{}"#, serde_json::json!(code));
        before.extend_from_slice(member.as_bytes());
    }
    before.extend_from_slice(br#","category":""#);
    let after = format!(r#"","responsible_phone":{},"error":null"#, serde_json::json!(phone));
    Rendered { before, after: after.into_bytes() }
}

/// Writes an object: the members it has, less those that an answer brings, and the answer's.
pub fn push_answered(object: Option<Object>, found: Result<Found, String>, out: &mut Vec<u8>) {
    out.push(b'{');
    for member in object.into_iter().flat_map(Object::members) {
        if !COLUMNS.contains(&member.key) {
            out.push(b'"');
            out.extend_from_slice(member.key.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(member.value.as_bytes());
            out.push(b',');
        }
    }
    match found {
        Ok(Found::Inside(rendered, category)) => {
            out.extend_from_slice(&rendered.before);
            out.extend_from_slice(category.as_str().as_bytes());
            out.extend_from_slice(&rendered.after);
        }
        Ok(Found::Outside) => push_empty("false", "null", out),
        Err(error) => push_empty("null", &serde_json::json!(error).to_string(), out),
    }
    out.push(b'}');
}

fn push_empty(inside: &str, error: &str, out: &mut Vec<u8>) {
    for (n, column) in COLUMNS.iter().enumerate() {
        let value = match *column {
            "inside" => inside,
            "error" => error,
            _ => "null",
        };
        let comma = if n > 0 { "," } else { "" };
        out.extend_from_slice(format!(r#"{comma}"{column}":{value}"#).as_bytes());
    }
}

/// A number, or a string that holds one.
pub fn number(value: &str, what: &str) -> Result<f64> {
    let text = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    super::batch::number(text.as_bytes(), what)
}

/// The text of something that could not be read, as a JSON string of bounded length.
pub fn shown(record: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(record).trim().chars().take(1000).collect();
    serde_json::json!(text).to_string()
}
