//! Batches keep what they are given, in order, and answer each point as a single look-up does.

use crate::toy_city;
use geo::Coord;
use proptest::prelude::*;
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use xuncha::enforcement::lookup::answer::Question;
use xuncha::enforcement::lookup::batch::{
    BatchCounts, BatchFormat, BatchOptions, BatchSummary, COLUMNS, count_batch, lookup_batch,
};
use xuncha::enforcement::nature::Nature;
use xuncha::error::{Fault, FaultKind, Language};
use xuncha::geometry::crs::Crs;
use xuncha::geometry::gcj02;

fn options() -> BatchOptions {
    BatchOptions { language: Language::English, threads: 3, ..BatchOptions::default() }
}

fn run_from(
    reader: impl Read + Send,
    format: BatchFormat,
    options: &BatchOptions,
) -> Result<(Vec<u8>, BatchSummary), Fault> {
    let mut out = Vec::new();
    let (atlas, roster) = (toy_city::atlas(), toy_city::roster());
    let counts = BatchCounts::default();
    let summary = lookup_batch(&atlas, &roster, reader, &mut out, format, options, &counts)?;
    Ok((out, summary))
}

fn csv_text(input: &[u8]) -> (String, BatchSummary) {
    let (out, summary) = run_from(input, BatchFormat::Csv, &options()).unwrap();
    (String::from_utf8(out).unwrap(), summary)
}

/// The rows as any strict CSV reader sees them.
fn rows(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(bytes)
        .into_byte_records()
        .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect())
        .collect()
}

#[test]
fn rows_get_their_answers_and_bad_rows_their_errors() {
    let input = "id,lon,lat,note\n1,119.05,25.05,a\n2,119.45,25.05,\"b, c\"\n3,118.0,25.0,sea\n\
                 4,x,25.0,d\n5,NaN,25.0,e\n6,119.05\n7,119.05,25.05,f,g\n8,,25.0,h\n9,119.05,95,i\n";
    let (out, summary) = csv_text(input.as_bytes());
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], format!("id,lon,lat,note,{}", COLUMNS.join(",")));
    let (village, cell) = (toy_city::village(0, 0), toy_city::cell(0, 0));
    assert_eq!(
        lines[1],
        format!(
            "1,119.05,25.05,a,true,350300,350302,350302001,{village},{cell},basic_farmland,10005940001,"
        )
    );
    let east = toy_city::cell(4, 0);
    assert!(
        lines[2].starts_with("2,119.45,25.05,\"b, c\",true,350300,350303,350303001,"),
        "{}",
        lines[2]
    );
    assert!(lines[2].ends_with(&format!("{east},farmland,10005940002,")), "{}", lines[2]);
    assert_eq!(lines[3], "3,118.0,25.0,sea,false,,,,,,,,");
    assert_eq!(lines[4], "4,x,25.0,d,,,,,,,,,line 5: lon is not a number: x");
    assert!(
        lines[5].starts_with("5,NaN,25.0,e,,,,,,,,,\"line 6: coordinate NaN, 25 is out of range")
    );
    assert_eq!(lines[6], "6,119.05,,,,,,,,,,,\"line 7: the row has 2 fields, the header 4\"");
    assert_eq!(
        lines[7],
        "7,119.05,25.05,\"f,g\",,,,,,,,,\"line 8: the row has 5 fields, the header 4\""
    );
    assert!(lines[8].ends_with("line 9: lon is empty"));
    assert!(lines[9].contains("line 10: coordinate 119.05, 95 is out of range"));
    assert_eq!(summary, BatchSummary { points: 9, outside: 1, errors: 6 });
    assert!(rows(out.as_bytes()).iter().all(|row| row.len() == 4 + COLUMNS.len()));
}

#[test]
fn line_ends_marks_blank_lines_and_encodings_stay() {
    let (out, _) = csv_text(b"\xef\xbb\xbfLNG,Latitude\r\n\"119.05\", 25.05 \r\n\r\n119.05,oops");
    assert!(out.starts_with("\u{feff}LNG,Latitude,inside"));
    assert!(out.contains("\r\n\"119.05\", 25.05 ,true,"));
    assert!(out.contains("\r\n\r\n119.05,oops,,"));
    assert!(out.ends_with("line 4: lat is not a number: oops\r\n"));

    let gbk = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
    let input = gbk("名称,经度,纬度\n莆田,119.05,25.05\n仙游,东,25.05\n");
    let chinese = BatchOptions { language: Language::Chinese, ..options() };
    let (out, _) = run_from(&*input, BatchFormat::Csv, &chinese).unwrap();
    let (text, _, malformed) = encoding_rs::GBK.decode(&out);
    assert!(!malformed);
    assert!(text.starts_with("名称,经度,纬度,inside"));
    assert!(text.contains("莆田,119.05,25.05,true"));
    assert!(text.ends_with("第 3 行：lon 不是数字：东\n"));

    let (out, _) = csv_text("a;x;y\n1,5;119.05;25.05\n".as_bytes());
    assert!(out.contains("1,5;119.05;25.05;true;350300"));
}

#[test]
fn a_quote_that_never_closes_costs_one_line() {
    let mut input = b"lon,lat,note\n119.05,25.05,\"open\n".to_vec();
    // More than a record may hold, so the end of the quote is not waited for.
    for _ in 0..200_000 {
        input.extend_from_slice(b"119.05,25.05,fine\n");
    }
    let (out, summary) = csv_text(&input);
    assert_eq!(summary, BatchSummary { points: 200_001, outside: 0, errors: 1 });
    let rows = rows(out.as_bytes());
    assert_eq!(rows.len(), 200_002);
    assert_eq!(rows[1][0], b"119.05,25.05,\"open");
    assert_eq!(rows[1][11], b"line 2: a quoted field does not end");
    assert_eq!(rows[200_001][3], b"true");
    // At the end of the file it is the same.
    let (out, summary) = csv_text(b"lon,lat,note\n119.05,25.05,\"open\n119.05,25.05,fine");
    assert_eq!((summary.points, summary.errors), (2, 1), "{out}");
}

#[test]
fn what_is_no_batch_is_refused_as_a_whole() {
    let refused = |input: &[u8], format, options: &BatchOptions| {
        let fault = run_from(input, format, options).unwrap_err();
        let counted = count_batch(input, format, options, 10);
        assert_eq!(counted.unwrap_err().code, fault.code);
        (fault.kind, fault.code)
    };
    let invalid = |code| (FaultKind::Invalid, code);
    let plain = options();
    assert_eq!(refused(b"", BatchFormat::Csv, &plain), invalid("column_unknown"));
    assert_eq!(refused(b"a,b\n1,2\n", BatchFormat::Csv, &plain), invalid("column_unknown"));
    let named = BatchOptions { lon: Some("E".into()), ..options() };
    assert_eq!(refused(b"lon,lat\n1,2\n", BatchFormat::Csv, &named), invalid("column_unknown"));
    assert_eq!(
        refused(b"\xff\xfel\0o\0n\0", BatchFormat::Csv, &plain),
        invalid("encoding_unknown")
    );
    let mars = BatchOptions { crs: Crs::Epsg(999_999), ..options() };
    assert_eq!(refused(b"lon,lat\n1,2\n", BatchFormat::Csv, &mars), invalid("crs_unknown"));
    for text in [
        "",
        "[]",
        "{}",
        "nonsense",
        r#"{"type":"Feature","geometry":null}"#,
        r#"{"type":"FeatureCollection","features":[{"type":"Feature""#,
        r#"{"type":"FeatureCollection","features":[]"#,
        r#"{"type":"FeatureCollection","features":[]} x"#,
        r#"{"type":"FeatureCollection" "features":[]}"#,
    ] {
        assert_eq!(
            refused(text.as_bytes(), BatchFormat::GeoJson, &plain),
            invalid("not_geojson"),
            "{text}"
        );
    }
    let binary = vec![b'a'; 3_000_000];
    assert_eq!(refused(&binary, BatchFormat::Csv, &plain).1, "record_too_long");
    assert_eq!(refused(&binary, BatchFormat::Ndjson, &plain).1, "record_too_long");

    let many = b"lon,lat\n1,2\n\n3,4\n5,6";
    assert_eq!(count_batch(&many[..], BatchFormat::Csv, &plain, 3).unwrap(), 3);
    let fault = count_batch(&many[..], BatchFormat::Csv, &plain, 2).unwrap_err();
    assert_eq!((fault.kind, fault.code), (FaultKind::TooLarge, "too_many_points"));
}

#[test]
fn ndjson_and_geojson_keep_their_members_and_get_the_same_answers() {
    let lines = concat!(
        "{\"id\": 1, \"lng\": 119.05, \"lat\": \"25.05\", \"s\": \"a,}\\\"b\", \"o\": {\"x\": [1, 2]}}\n",
        "{\"lon\":118,\"lat\":25,\"inside\":\"old\"}\r\n\n{\"lat\":25}\nnot json\n[1]\n{\"lon\":null,\"lat\":1}"
    );
    let (out, summary) = run_from(lines.as_bytes(), BatchFormat::Ndjson, &options()).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(summary, BatchSummary { points: 6, outside: 1, errors: 4 });
    let answers: Vec<serde_json::Value> =
        text.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers.len(), 6);
    assert_eq!(answers[0]["o"]["x"][1], 2);
    assert_eq!(answers[0]["s"], "a,}\"b");
    assert_eq!(answers[0]["cell"], toy_city::cell(0, 0));
    assert_eq!(answers[0]["category"], "basic_farmland");
    assert_eq!(answers[0]["responsible_phone"], "10005940001");
    assert!(answers[0]["error"].is_null());
    assert_eq!(answers[1]["inside"], false);
    assert!(answers[1]["cell"].is_null());
    assert_eq!(answers[2]["error"], "line 4: lon is missing");
    assert_eq!(answers[3]["input"], "not json");
    assert!(answers[3]["error"].as_str().unwrap().starts_with("line 5: "));
    assert!(answers[5]["error"].as_str().unwrap().starts_with("line 7: "));

    let collection = r#" {"name": "features", "type":"FeatureCollection", "x":{"features":[1]}, "features" : [
        {"type":"Feature","id":"a]","geometry":{"type":"Point","coordinates":[119.05,25.05,3]},"properties":{"n":"{1"}} ,
        {"type":"Feature","properties":null,"geometry":{"type":"Point","coordinates":[118,25]}},
        {"type":"Feature","properties":{},"geometry":{"type":"LineString","coordinates":[[1,2],[3,4]]}},
        7 ], "after": true }"#;
    let (out, summary) = run_from(collection.as_bytes(), BatchFormat::GeoJson, &options()).unwrap();
    assert_eq!(summary, BatchSummary { points: 4, outside: 1, errors: 2 });
    let answer: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let features = answer["features"].as_array().unwrap();
    assert_eq!(features.len(), 4);
    assert_eq!(answer["after"], true);
    assert_eq!(features[0]["id"], "a]");
    assert_eq!(features[0]["properties"]["n"], "{1");
    assert_eq!(features[0]["properties"]["cell"], toy_city::cell(0, 0));
    assert_eq!(features[1]["properties"]["inside"], false);
    assert_eq!(features[2]["properties"]["error"], "feature 3: the feature is no point");
    assert_eq!(features[3]["properties"]["input"], "7");
    let empty = br#"{"type":"FeatureCollection","features":[ ]}"#;
    let (out, summary) = run_from(&empty[..], BatchFormat::GeoJson, &options()).unwrap();
    assert_eq!(summary.points, 0);
    assert!(serde_json::from_slice::<serde_json::Value>(&out).unwrap()["features"].is_array());
}

#[test]
fn nature_and_datum_reach_every_row() {
    let construction = BatchOptions { nature: Some(Nature::IllegalConstruction), ..options() };
    let (out, _) =
        run_from(&b"lon,lat\n119.15,25.05\n"[..], BatchFormat::Csv, &construction).unwrap();
    assert!(String::from_utf8(out).unwrap().contains(",10005940003,"));
    let shifted = gcj02::to_gcj02(Coord { x: 119.1001, y: 25.05 });
    let input = format!("lon,lat\n{},{}\n", shifted.x, shifted.y);
    let mars = BatchOptions { crs: Crs::Gcj02, ..options() };
    let (out, _) = run_from(input.as_bytes(), BatchFormat::Csv, &mars).unwrap();
    assert!(String::from_utf8(out).unwrap().contains(&toy_city::cell(1, 0)));
}

/// Fails after some bytes, like a full disk or a closed connection.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| std::io::Error::other("full"))?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_batch() {
    let mut input = b"lon,lat\n".to_vec();
    input.resize(8 + 12 * 500_000, b'\n');
    input.extend_from_slice(&b"119.05,25.05\n".repeat(200_000));
    let counts = BatchCounts::default();
    let (atlas, roster) = (toy_city::atlas(), toy_city::roster());
    let run = lookup_batch(
        &atlas,
        &roster,
        Cursor::new(input),
        Full(100),
        BatchFormat::Csv,
        &options(),
        &counts,
    );
    assert_eq!(run.unwrap_err().code, "unwritable");
}

/// Gives a few bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.1.min(buffer.len()).min(self.0.len());
        buffer[..size].copy_from_slice(&self.0[..size]);
        self.0 = &self.0[size..];
        Ok(size)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_csv_keeps_its_fields_and_is_answered_like_single_points(
        points in prop::collection::vec((118.9..119.9f64, 24.9..25.9f64, "[a\",;\n\r莆 ]{0,6}"), 1..60),
        always in any::<bool>(),
        trickle in 1..5000usize,
    ) {
        let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let mut writer = csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
        writer.write_record(["note", "y", "x"]).unwrap();
        for (x, y, note) in &points {
            writer.write_record([note, &y.to_string(), &x.to_string()]).unwrap();
        }
        let input = writer.into_inner().unwrap();
        let (out, summary) = run_from(Trickle(&input, trickle), BatchFormat::Csv, &options()).unwrap();
        prop_assert_eq!(summary.points, points.len() as u64);
        prop_assert_eq!(summary.errors, 0);
        let (before, after) = (rows(&input), rows(&out));
        prop_assert_eq!(before.len(), after.len());
        let (atlas, roster) = (toy_city::atlas(), toy_city::roster());
        for ((before, after), (x, y, _)) in before.iter().zip(&after).skip(1).zip(&points) {
            prop_assert_eq!(&after[..3], &before[..]);
            let question = Question { x: *x, y: *y, crs: Crs::Wgs84, nature: None, accuracy_m: None };
            let single = question.answer(&atlas, &roster).unwrap();
            let code = |area: &Option<xuncha::enforcement::place::AreaName>| {
                area.as_ref().map_or(Vec::new(), |a| a.code.clone().into_bytes())
            };
            let place = &single.place;
            let mut expected = vec![single.inside.to_string().into_bytes()];
            expected.extend([&place.city, &place.district, &place.town, &place.village, &place.cell].map(code));
            let category = if single.inside { single.category.as_str() } else { "" };
            expected.push(category.into());
            expected.push(single.responsible.map_or(Vec::new(), |r| r.assignment.primary.phone.into_bytes()));
            expected.push(Vec::new());
            prop_assert_eq!(&after[3..], &expected[..]);
        }
    }

    #[test]
    fn any_bytes_end_without_panic_and_keep_their_order(
        body in "[\",\n\r0-9.a{}\\[\\]:]{0,400}",
        trickle in 1..50usize,
    ) {
        for (format, head) in [
            (BatchFormat::Csv, "lon,lat\n"),
            (BatchFormat::Ndjson, ""),
            (BatchFormat::GeoJson, r#"{"type":"FeatureCollection","features":["#),
        ] {
            let input = format!("{head}{body}");
            let whole = run_from(input.as_bytes(), format, &options());
            let parts = run_from(Trickle(input.as_bytes(), trickle), format, &options());
            match (whole, parts) {
                (Ok(whole), Ok(parts)) => prop_assert_eq!(whole, parts),
                (Err(whole), Err(parts)) => prop_assert_eq!(whole.code, parts.code),
                (whole, parts) => prop_assert!(false, "{:?} {:?}", whole.is_ok(), parts.is_ok()),
            }
        }
    }
}

/// Makes rows as they are asked for, and knows how many are on their way.
struct Rows<'a> {
    given: usize,
    bytes: usize,
    under_way: &'a AtomicUsize,
    most_under_way: &'a AtomicUsize,
}

const ROW: &[u8] = b"119.05,25.05\n";

impl Read for Rows<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = buffer.len().min(self.bytes - self.given);
        for (byte, at) in buffer[..size].iter_mut().zip(self.given..) {
            *byte = ROW[at % ROW.len()];
        }
        let rows = (self.given + size) / ROW.len() - self.given / ROW.len();
        self.given += size;
        let under_way = self.under_way.fetch_add(rows, Ordering::SeqCst) + rows;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        Ok(size)
    }
}

struct CountLines<'a>(&'a AtomicUsize);

impl std::io::Write for CountLines<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let lines = bytes.iter().filter(|&&b| b == b'\n').count();
        self.0.fetch_sub(lines, Ordering::SeqCst);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_more_than_a_chunk_a_thread_is_ever_in_memory() {
    let (atlas, roster) = (toy_city::atlas(), toy_city::roster());
    let most = |rows: usize| {
        // The header is a line that is written but not counted as read.
        let (under_way, most_under_way) = (AtomicUsize::new(1), AtomicUsize::new(0));
        let body = Rows {
            given: 0,
            bytes: rows * ROW.len(),
            under_way: &under_way,
            most_under_way: &most_under_way,
        };
        let input = Cursor::new(b"lon,lat\n").chain(body);
        let (counts, writer) = (BatchCounts::default(), CountLines(&under_way));
        let format = BatchFormat::Csv;
        lookup_batch(&atlas, &roster, input, writer, format, &options(), &counts).unwrap();
        assert_eq!((counts.summary().points, under_way.into_inner()), (rows as u64, 0));
        most_under_way.into_inner()
    };
    // Three threads with a chunk of 256 KiB each, and what is read ahead.
    let bound = 5 * (256 << 10) / ROW.len();
    assert!(most(100_000) <= bound);
    assert!(most(1_000_000) <= bound);
}
