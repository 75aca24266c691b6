//! Points as a GeoJSON FeatureCollection, feature by feature: the collection is never in memory.

use super::batch::{Format, Found, Numbered, Render, Rendered, Where, Worker};
use super::json::{self, Object, Scan};
use super::records::{Cut, Head, Record, Records};
use crate::enforcement::dispatch::PlaceCodes;
use crate::error::{Fault, FaultKind, Result};
use geo::Coord;
use serde::de::IgnoredAny;
use std::io::Read;

pub(super) struct GeoJsonFormat;

impl GeoJsonFormat {
    /// Reads up to the features: what stands before them, and the features.
    pub fn open<R: Read>(mut head: Head<R>) -> Result<(Vec<u8>, Records<R, FeatureCut>)> {
        let end = loop {
            if let Some(end) = features_begin(&head.ahead)? {
                break end;
            }
            if head.at_end {
                return Err(not_a_collection());
            }
            head.read_more()?;
        };
        let opening = head.ahead[..end].to_vec();
        head.ahead.drain(..end);
        Ok((opening, Records::new(head, FeatureCut { next_feature: 1, finished: false })))
    }

    /// What stands after the features. The collection is valid JSON if it is without them.
    pub fn close<R: Read>(opening: &[u8], records: &mut Records<R, FeatureCut>) -> Result<Vec<u8>> {
        let closing = records.rest()?;
        let whole = [opening, &closing].concat();
        match serde_json::from_slice::<IgnoredAny>(&whole) {
            Ok(_) => Ok(closing),
            Err(_) => Err(Fault::new(
                FaultKind::Invalid,
                "not_geojson",
                "GeoJSON 不完整或有语法错误",
                "the GeoJSON is cut short or malformed",
            )),
        }
    }
}

fn not_a_collection() -> Fault {
    Fault::new(
        FaultKind::Invalid,
        "not_geojson",
        "需要一个由点组成的 GeoJSON FeatureCollection",
        "a GeoJSON FeatureCollection of points is expected",
    )
}

/// Where the array of `features` begins; `None` when it is not there yet.
fn features_begin(bytes: &[u8]) -> Result<Option<usize>> {
    let start = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut scan = Scan::default();
    // At the top level: the last string, the key it may be, and whether a value is due.
    let (mut string, mut key): (&[u8], &[u8]) = (b"", b"");
    let (mut string_from, mut value_due) = (0, false);
    for (at, &byte) in bytes.iter().enumerate().skip(start) {
        if byte.is_ascii_whitespace() && !scan.in_string {
            continue;
        }
        if scan.depth == 0 && byte != b'{' {
            return Err(not_a_collection());
        }
        let was_in_string = scan.in_string;
        scan.step(byte);
        if was_in_string || scan.in_string {
            if scan.depth == 1 && !was_in_string {
                string_from = at + 1;
            }
            if scan.depth == 1 && !scan.in_string {
                string = &bytes[string_from..at];
                let is_type = value_due && key == b"type";
                if is_type && string != b"FeatureCollection" {
                    return Err(not_a_collection());
                }
            }
            continue;
        }
        match (scan.depth, byte) {
            (1, b':') => (key, value_due) = (string, true),
            (1, b',') => value_due = false,
            (2, b'[') if value_due && key == b"features" => return Ok(Some(at + 1)),
            _ => {}
        }
    }
    Ok(None)
}

/// Cuts the array of features into its elements.
#[derive(Debug)]
pub(super) struct FeatureCut {
    next_feature: u64,
    finished: bool,
}

impl Cut for FeatureCut {
    fn cut(&mut self, bytes: &[u8], _at_end: bool, records: &mut Vec<Record>) -> Result<usize> {
        let mut taken = 0;
        if self.finished {
            return Ok(0);
        }
        let mut scan = Scan::default();
        let mut start: Option<usize> = None;
        for (at, &byte) in bytes.iter().enumerate() {
            let between = !scan.in_string && scan.depth == 0;
            if between && matches!(byte, b',' | b']') {
                if let Some(start) = start.take() {
                    records.push(Record { start, end: at, number: self.next_feature });
                    self.next_feature += 1;
                }
                taken = at + 1;
                if byte == b']' {
                    self.finished = true;
                    return Ok(at);
                }
                continue;
            }
            if start.is_none() && !byte.is_ascii_whitespace() {
                start = Some(at);
            }
            scan.step(byte);
        }
        Ok(taken)
    }

    fn finished(&self) -> bool {
        self.finished
    }
}

fn coordinate(feature: Object) -> Result<Coord> {
    let no_point = || Fault::invalid("要素不是点", "the feature is no point");
    let geometry = feature.get("geometry").and_then(Object::of_valid).ok_or_else(no_point)?;
    if geometry.get("type") != Some(r#""Point""#) {
        return Err(no_point());
    }
    let position = geometry.get("coordinates").ok_or_else(no_point)?;
    let numbers: Vec<f64> = serde_json::from_str(position).map_err(|_| no_point())?;
    match numbers[..] {
        [x, y, ..] => Ok(Coord { x, y }),
        _ => Err(no_point()),
    }
}

impl Render for GeoJsonFormat {
    fn render(&self, place: &PlaceCodes, phone: Option<&str>) -> Rendered {
        json::render(place, phone)
    }
}

impl Format for GeoJsonFormat {
    type Read<'r> = Option<Object<'r>>;

    fn read<'r>(&self, record: &'r [u8]) -> (Self::Read<'r>, Result<Coord>) {
        match Object::parse(record) {
            Ok(feature) => (Some(feature), coordinate(feature)),
            Err(fault) => (None, Err(fault)),
        }
    }

    fn write(
        &self,
        (record, number): Numbered,
        feature: Option<Object>,
        found: Result<Found>,
        worker: &mut Worker,
        out: &mut Vec<u8>,
    ) {
        if number > 1 {
            out.push(b',');
        }
        out.push(b'\n');
        let found = found.map_err(|fault| worker.error(Where::Feature(number), &fault));
        out.push(b'{');
        match feature {
            Some(feature) => {
                for member in feature.members().filter(|m| m.key != "properties") {
                    let text = format!(r#""{}":{},"#, member.key, member.value);
                    out.extend_from_slice(text.as_bytes());
                }
                out.extend_from_slice(br#""properties":"#);
                let properties = feature.get("properties").and_then(Object::of_valid);
                json::push_answered(properties, found, out);
            }
            None => {
                out.extend_from_slice(br#""type":"Feature","geometry":null,"properties":"#);
                let input = format!(r#"{{"input":{}}}"#, json::shown(record));
                json::push_answered(Object::of_valid(&input), found, out);
            }
        }
        out.push(b'}');
    }
}
