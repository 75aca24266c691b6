//! GeoJSON, checked before GDAL sees it.
//!
//! GDAL would take strings for coordinates, follow a CRS link into the network and skip what it
//! cannot read. Here the text must be UTF-8, not nested without end, and its geometries numbers.
//! Newline-delimited features become one collection.

use super::encoding::{TextEncoding, refuse_named};
use super::{refuse, too_large};
use crate::error::{Fault, Result};
use crate::geometry::crs::Crs;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::error::Category;
use std::fmt;
use std::path::Path;

/// A collection goes through memory.
const MAX_BYTES: u64 = 1 << 30;
/// Deeper nesting is no map: a feature collection needs 9 levels, properties a few more.
const MAX_DEPTH: usize = 60;

/// What a GeoJSON says of itself.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub encoding: TextEncoding,
    /// By its `crs` member, WGS 84 without one. GDAL would take a name it does not know for WGS 84.
    pub crs: Result<Option<Crs>, String>,
}

/// Checks the file and writes it for GDAL to `to`.
pub fn prepare(from: &Path, to: &Path, named: Option<TextEncoding>) -> Result<Said> {
    let length = std::fs::metadata(from).map_err(Fault::internal)?.len();
    if length > MAX_BYTES {
        return Err(too_large(
            "GeoJSON 超过 1 GB，请改用 GeoPackage",
            "The GeoJSON is larger than 1 GB; use GeoPackage",
        ));
    }
    let bytes = std::fs::read(from).map_err(Fault::internal)?;
    let encoding = named.unwrap_or(TextEncoding::Utf8);
    let text = decode(bytes, named)?;
    let mut text = text.into_bytes();
    // GeoJSON text sequences (RFC 8142) part their features by the record separator.
    text.iter_mut().filter(|b| **b == 0x1e).for_each(|b| *b = b'\n');
    refuse_deep(&text)?;
    let (prepared, crs) = check(text)?;
    std::fs::write(to, prepared).map_err(Fault::internal)?;
    Ok(Said { encoding, crs })
}

/// `EPSG:4490`, `urn:ogc:def:crs:EPSG::4490`, `urn:ogc:def:crs:OGC:1.3:CRS84` …
fn crs_of_name(name: &str) -> Option<Crs> {
    let upper = name.trim().to_ascii_uppercase();
    let mut parts = upper.split(':').filter(|p| !p.is_empty());
    let last = parts.next_back()?;
    match (last, parts.next_back()) {
        ("CRS84" | "WGS84", _) => Some(Crs::Wgs84),
        (_, Some(_)) if upper.contains("EPSG") => format!("EPSG:{last}").parse().ok(),
        _ => None,
    }
}

fn decode(bytes: Vec<u8>, named: Option<TextEncoding>) -> Result<String> {
    if let Some(encoding) = named.filter(|&e| e != TextEncoding::Utf8) {
        return encoding.decode(&bytes).ok_or_else(|| refuse_named(encoding));
    }
    let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let utf16 = body.starts_with(b"\xff\xfe")
        || body.starts_with(b"\xfe\xff")
        || body.iter().take(64).any(|&b| b == 0);
    if utf16 {
        return Err(refuse(
            "encoding_unknown",
            "GeoJSON 是 UTF-16 编码，标准要求 UTF-8，请转换后再导入",
            "The GeoJSON is in UTF-16; the standard asks for UTF-8. Convert it first",
        ));
    }
    String::from_utf8(body.to_vec()).map_err(|_| {
        refuse(
            "encoding_unknown",
            "GeoJSON 不是 UTF-8 编码，请用 --encoding 指定，例如 GBK",
            "The GeoJSON is not in UTF-8; name its encoding with --encoding, e.g. GBK",
        )
    })
}

fn refuse_deep(text: &[u8]) -> Result<()> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(refuse(
                "too_deep",
                format!("JSON 嵌套超过 {MAX_DEPTH} 层"),
                format!("The JSON is nested more than {MAX_DEPTH} levels deep"),
            ));
        }
    }
    Ok(())
}

/// What the file's `crs` member names, or the name that means nothing.
type NamedCrs = Result<Option<Crs>, String>;

/// Checks every JSON value of the text and gives one collection, with its CRS.
fn check(text: Vec<u8>) -> Result<(Vec<u8>, NamedCrs)> {
    let mut values = serde_json::Deserializer::from_slice(&text).into_iter::<Object>();
    let mut spans = Vec::new();
    let mut start = 0;
    let mut crs = Ok(Some(Crs::Wgs84));
    while let Some(value) = values.next() {
        let object = value.map_err(|error| unreadable(&error))?;
        object.check_kind(spans.is_empty())?;
        if spans.is_empty() {
            crs = object.said_crs();
        }
        let end = values.byte_offset();
        spans.push(start..end);
        start = end;
    }
    match spans.len() {
        0 => Err(refuse("not_a_map", "文件是空的", "The file is empty")),
        1 => Ok((text, crs)),
        _ => {
            let mut joined = br#"{"type":"FeatureCollection","features":["#.to_vec();
            for (index, span) in spans.into_iter().enumerate() {
                if index > 0 {
                    joined.push(b',');
                }
                joined.extend_from_slice(&text[span]);
            }
            joined.extend_from_slice(b"]}");
            Ok((joined, crs))
        }
    }
}

fn unreadable(error: &serde_json::Error) -> Fault {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Eof => refuse(
            "truncated",
            format!("JSON 被截断（第 {line} 行第 {column} 列）"),
            format!("The JSON is truncated at line {line}, column {column}"),
        ),
        Category::Data => refuse(
            "damaged",
            format!("不是合格的 GeoJSON（第 {line} 行第 {column} 列）：{error}"),
            format!("Not valid GeoJSON: {error}"),
        ),
        _ => refuse(
            "not_a_map",
            format!("不是合格的 JSON（第 {line} 行第 {column} 列）"),
            format!("Not valid JSON: {error}"),
        ),
    }
}

/// A collection, feature or geometry: what of them matters here. A key given twice is an error.
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crs: Option<Option<CrsMember>>,
    #[serde(default, rename = "features")]
    _features: Option<Children>,
    #[serde(default, rename = "geometry")]
    _geometry: Option<Box<Object>>,
    #[serde(default, rename = "geometries")]
    _geometries: Option<Children>,
    #[serde(default, rename = "coordinates")]
    _coordinates: Option<Numbers>,
}

#[derive(Deserialize)]
struct CrsMember {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    properties: Option<CrsName>,
}

#[derive(Deserialize)]
struct CrsName {
    #[serde(default)]
    name: Option<String>,
}

/// Tells `null` from a member that is not there.
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<CrsMember>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl CrsMember {
    fn is_name(&self) -> bool {
        self.kind.as_deref().is_some_and(|k| k.eq_ignore_ascii_case("name"))
    }
}

impl Object {
    fn check_kind(&self, first: bool) -> Result<()> {
        let kind = self.kind.as_deref().unwrap_or_default();
        let geometry = matches!(
            kind,
            "Polygon"
                | "MultiPolygon"
                | "GeometryCollection"
                | "Point"
                | "MultiPoint"
                | "LineString"
                | "MultiLineString"
        );
        if !(kind == "Feature" || first && (kind == "FeatureCollection" || geometry)) {
            let kind: String = kind.chars().take(40).collect();
            return Err(refuse(
                "not_a_map",
                format!("不是 GeoJSON：type 为 {kind:?}"),
                format!("Not GeoJSON: its type is {kind:?}"),
            ));
        }
        // A link would be fetched.
        if self.crs.as_ref().and_then(Option::as_ref).is_some_and(|crs| !crs.is_name()) {
            return Err(refuse(
                "crs_unknown",
                "crs 成员不是名称，请用 --crs 指定坐标系",
                "The crs member is not a name; give the CRS with --crs",
            ));
        }
        Ok(())
    }

    /// The CRS by its name; the name where it is not known; none where it is `null`.
    fn said_crs(&self) -> Result<Option<Crs>, String> {
        let Some(member) = &self.crs else { return Ok(Some(Crs::Wgs84)) };
        let Some(member) = member else { return Ok(None) };
        let name = member.properties.as_ref().and_then(|p| p.name.clone()).unwrap_or_default();
        crs_of_name(&name).map(Some).ok_or_else(|| name.chars().take(80).collect())
    }
}

/// Features or geometries, checked one by one and not kept.
struct Children;

impl<'de> Deserialize<'de> for Children {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Children;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array of features or geometries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Children, A::Error> {
                while let Some(child) = seq.next_element::<Object>()? {
                    if child.crs.flatten().is_some_and(|crs| !crs.is_name()) {
                        return Err(serde::de::Error::custom("crs is not a name"));
                    }
                }
                Ok(Children)
            }
        }
        deserializer.deserialize_seq(Each)
    }
}

/// Coordinates: arrays of numbers, nested.
struct Numbers;

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Nested;
        impl<'de> Visitor<'de> for Nested {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("coordinates as numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Numbers, A::Error> {
                while seq.next_element::<Numbers>()?.is_some() {}
                Ok(Numbers)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Numbers, E> {
                Ok(Numbers)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Numbers, E> {
                Ok(Numbers)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Numbers, E> {
                Ok(Numbers)
            }
        }
        deserializer.deserialize_any(Nested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> String {
        let deep = refuse_deep(text.as_bytes());
        match deep.and_then(|()| check(text.as_bytes().to_vec())) {
            Ok((out, _)) => String::from_utf8(out).unwrap(),
            Err(fault) => fault.code.to_string(),
        }
    }

    #[test]
    fn what_is_refused() {
        let feature = |coordinates: &str| {
            format!(
                r#"{{"type":"Feature","properties":{{}},"geometry":{{"type":"Polygon","coordinates":{coordinates}}}}}"#
            )
        };
        for (text, code) in [
            ("", "not_a_map"),
            ("hello", "not_a_map"),
            ("[1,2]", "damaged"),
            (r#"{"a":1}"#, "not_a_map"),
            (r#"{"type":"Topology"}"#, "not_a_map"),
            (r#"{"type":"FeatureCollection","features":[{"type":"Fea"#, "truncated"),
            (r#"{"type":"FeatureCollection","type":"Feature"}"#, "damaged"),
            (r#"{"type":"FeatureCollection","crs":{"type":"link"},"features":[]}"#, "crs_unknown"),
            (&feature(r#"[[["119",25]]]"#), "damaged"),
            (&feature("[[[null,25]]]"), "damaged"),
            (&feature("[[[1e999,25]]]"), "not_a_map"),
            (&format!("{}{}", "[".repeat(5000), "]".repeat(5000)), "too_deep"),
        ] {
            assert_eq!(outcome(text), code, "{text:.100}");
        }
    }

    #[test]
    fn the_crs_is_what_the_member_says() {
        let said = |crs: &str| {
            let text = format!(r#"{{"type":"FeatureCollection"{crs},"features":[]}}"#);
            check(text.into_bytes()).unwrap().1
        };
        let named = |name: &str| {
            said(&format!(r#","crs":{{"type":"name","properties":{{"name":"{name}"}}}}"#))
        };
        assert_eq!(said(""), Ok(Some(Crs::Wgs84)));
        assert_eq!(said(r#","crs":null"#), Ok(None));
        assert_eq!(named("urn:ogc:def:crs:EPSG::4549"), Ok(Some(Crs::Epsg(4549))));
        assert_eq!(named("EPSG:4490"), Ok(Some(Crs::Cgcs2000)));
        assert_eq!(named("urn:ogc:def:crs:OGC:1.3:CRS84"), Ok(Some(Crs::Wgs84)));
        assert_eq!(named("mars"), Err("mars".into()));
    }

    #[test]
    fn lines_of_features_become_a_collection() {
        let feature = r#"{"type":"Feature","properties":null,"geometry":null}"#;
        let joined = outcome(&format!("{feature}\n{feature}\r\n"));
        let parsed: serde_json::Value = serde_json::from_str(&joined).unwrap();
        assert_eq!(parsed["features"].as_array().unwrap().len(), 2);
    }
}
