//! Look-ups by the million: a stream of points in, the same stream with its answers out.
//!
//! Memory does not depend on the length of the stream. Records keep their bytes and their order;
//! what is appended is the same for CSV columns, NDJSON members and GeoJSON properties.

use super::csv::CsvFormat;
use super::geojson::GeoJsonFormat;
use super::ndjson::NdjsonFormat;
use super::pipeline;
use super::records::{Chunk, Cut, Head, Lines, Records};
use crate::atlas::category::Category;
use crate::atlas::layer::FeatureIndex;
use crate::atlas::lookup::{Atlas, Place};
use crate::enforcement::dispatch::{PlaceCodes, Roster};
use crate::enforcement::nature::Nature;
use crate::enforcement::place::NamedPlace;
use crate::error::{Fault, FaultKind, Language, Result};
use crate::geometry::crs::{Crs, ToCgcs2000};
use geo::Coord;
use rustc_hash::FxHashMap;
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is appended to every record, in this order.
pub const COLUMNS: [&str; 9] = [
    "inside",
    "city",
    "district",
    "town",
    "village",
    "cell",
    "category",
    "responsible_phone",
    "error",
];

/// How the points come and the answers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchFormat {
    Csv,
    Ndjson,
    /// A FeatureCollection of points.
    GeoJson,
}

/// What a batch asks.
#[derive(Debug, Clone)]
pub struct BatchOptions {
    /// Name of the column or member with longitude or easting; found by its usual names if `None`.
    pub lon: Option<String>,
    /// The same for latitude or northing.
    pub lat: Option<String>,
    pub crs: Crs,
    pub nature: Option<Nature>,
    pub language: Language,
    pub threads: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            lon: None,
            lat: None,
            crs: Crs::Wgs84,
            nature: None,
            language: Language::default(),
            threads,
        }
    }
}

/// What a batch came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct BatchSummary {
    pub points: u64,
    pub outside: u64,
    pub errors: u64,
}

/// Counts shared by the workers; the caller may watch them for progress.
#[derive(Debug, Default)]
pub struct BatchCounts {
    points: AtomicU64,
    outside: AtomicU64,
    errors: AtomicU64,
}

impl BatchCounts {
    pub fn summary(&self) -> BatchSummary {
        BatchSummary {
            points: self.points.load(Ordering::Relaxed),
            outside: self.outside.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
        }
    }

    fn add(&self, part: BatchSummary) {
        self.points.fetch_add(part.points, Ordering::Relaxed);
        self.outside.fetch_add(part.outside, Ordering::Relaxed);
        self.errors.fetch_add(part.errors, Ordering::Relaxed);
    }
}

/// How one format writes an answer.
pub(super) trait Render: Sync {
    /// The answer for a place, cut in two where the category goes.
    fn render(&self, place: &PlaceCodes, phone: Option<&str>) -> Rendered;
}

/// How one format reads a record and writes it again with its answer.
pub(super) trait Format: Render {
    /// What reading a record finds out and writing needs again.
    type Read<'r>;

    /// Reads a record; the coordinate is in the batch's system.
    fn read<'r>(&self, record: &'r [u8]) -> (Self::Read<'r>, Result<Coord>);

    /// Appends one record with its answer.
    fn write(
        &self,
        record: Numbered,
        read: Self::Read<'_>,
        found: Result<Found>,
        worker: &mut Worker,
        out: &mut Vec<u8>,
    );
}

/// A record's bytes and its number.
pub(super) type Numbered<'r> = (&'r [u8], u64);

/// An answer before and after its category.
pub(super) struct Rendered {
    pub before: Vec<u8>,
    pub after: Vec<u8>,
}

/// What one position comes to.
pub(super) enum Found {
    Inside(Rc<Rendered>, Category),
    Outside,
}

/// The areas of a position: one person answers for all positions that share them.
type PlaceKey = ([Option<FeatureIndex>; 5], Vec<FeatureIndex>);

/// Records whose positions are looked up together.
const LOOKED_UP_TOGETHER: usize = 512;

/// Places remembered per thread.
const REMEMBERED_PLACES: usize = 200_000;

/// One thread's part: the transformation, and the answers for places already seen.
pub(super) struct Worker<'a> {
    atlas: &'a Atlas,
    roster: &'a Roster,
    to_cgcs2000: Rc<ToCgcs2000>,
    nature: Option<Nature>,
    pub language: Language,
    format: &'a dyn Render,
    seen: FxHashMap<PlaceKey, Rc<Rendered>>,
    pub counts: BatchSummary,
}

impl Worker<'_> {
    /// Answers consecutive records: their coordinates are looked up together.
    fn answer<F: Format>(&mut self, format: &F, records: &[Numbered], out: &mut Vec<u8>) {
        let mut positions = Vec::with_capacity(records.len());
        let read: Vec<_> = records
            .iter()
            .map(|(record, _)| {
                if is_blank(record) {
                    return None;
                }
                let (read, from) = format.read(record);
                let position = from.and_then(|from| Ok(self.to_cgcs2000.position(from)?));
                Some((read, position.map(|position| positions.push(position))))
            })
            .collect();
        let mut places = self.atlas.places_at(&positions).into_iter();
        for (&record, read) in records.iter().zip(read) {
            let Some((read, position)) = read else {
                out.extend_from_slice(record.0);
                continue;
            };
            self.counts.points += 1;
            let found = position.and_then(|()| {
                let place = places.next();
                place.map(|p| self.found(p)).ok_or_else(|| Fault::internal("a place is missing"))
            });
            format.write(record, read, found, self, out);
        }
    }

    fn found(&mut self, place: Place) -> Found {
        if !place.inside() {
            self.counts.outside += 1;
            return Found::Outside;
        }
        let category = place.category;
        Found::Inside(self.rendered(place), category)
    }

    fn rendered(&mut self, place: Place) -> Rc<Rendered> {
        let areas = [place.city, place.district, place.town, place.village, place.cell];
        let key = (areas, place.functional_areas);
        if let Some(seen) = self.seen.get(&key) {
            return Rc::clone(seen);
        }
        let (areas, functional_areas) = key;
        let [city, district, town, village, cell] = areas;
        let place = Place { functional_areas, city, district, town, village, cell, ..place };
        let codes = NamedPlace::new(self.atlas, &place).codes();
        let phone = self.roster.responsible_phone(&codes, self.nature);
        let rendered = Rc::new(self.format.render(&codes, phone));
        if self.seen.len() >= REMEMBERED_PLACES {
            self.seen.clear();
        }
        self.seen.insert((areas, place.functional_areas), Rc::clone(&rendered));
        rendered
    }

    /// The text for the `error` column; counts the error.
    pub fn error(&mut self, place: Where, fault: &Fault) -> String {
        self.counts.errors += 1;
        match (self.language, place) {
            (Language::Chinese, Where::Line(n)) => format!("第 {n} 行：{}", fault.zh),
            (Language::Chinese, Where::Feature(n)) => format!("第 {n} 个要素：{}", fault.zh),
            (Language::English, Where::Line(n)) => format!("line {n}: {}", fault.en),
            (Language::English, Where::Feature(n)) => format!("feature {n}: {}", fault.en),
        }
    }
}

/// Where an error is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Where {
    Line(u64),
    Feature(u64),
}

/// Answers every point of `reader` on `writer`, in order.
pub fn lookup_batch(
    atlas: &Atlas,
    roster: &Roster,
    reader: impl Read + Send,
    mut writer: impl Write + Send,
    format: BatchFormat,
    options: &BatchOptions,
    counts: &BatchCounts,
) -> Result<BatchSummary> {
    // An unknown system is one error, not one per row.
    ToCgcs2000::cached(&options.crs)?;
    let head = Head::read(reader)?;
    let batch = Batch { atlas, roster, options, counts };
    let put = |writer: &mut dyn Write, bytes: &[u8]| {
        writer.write_all(bytes).map_err(|error| pipeline::unwritable(&error))
    };
    match format {
        BatchFormat::Csv => {
            let (csv, records) = CsvFormat::open(head, options)?;
            put(&mut writer, csv.header())?;
            batch.run(&csv, records, writer)?;
        }
        BatchFormat::Ndjson => {
            let records = Records::new(head, Lines { next_line: 1 });
            batch.run(&NdjsonFormat::new(options), records, writer)?;
        }
        BatchFormat::GeoJson => {
            let (opening, records) = GeoJsonFormat::open(head)?;
            put(&mut writer, &opening)?;
            let (mut records, mut writer) = batch.run(&GeoJsonFormat, records, writer)?;
            let closing = GeoJsonFormat::close(&opening, &mut records)?;
            put(&mut writer, &closing)?;
        }
    }
    Ok(counts.summary())
}

/// Reads a whole batch without answering it: the number of its points, and every fault that would
/// stop it midway. Fails with `too_many_points` beyond `most`.
pub fn count_batch(
    reader: impl Read,
    format: BatchFormat,
    options: &BatchOptions,
    most: u64,
) -> Result<u64> {
    ToCgcs2000::cached(&options.crs)?;
    let head = Head::read(reader)?;
    match format {
        BatchFormat::Csv => count(&mut CsvFormat::open(head, options)?.1, most),
        BatchFormat::Ndjson => count(&mut Records::new(head, Lines { next_line: 1 }), most),
        BatchFormat::GeoJson => {
            let (opening, mut records) = GeoJsonFormat::open(head)?;
            let points = count(&mut records, most)?;
            GeoJsonFormat::close(&opening, &mut records)?;
            Ok(points)
        }
    }
}

fn count(records: &mut Records<impl Read, impl Cut>, most: u64) -> Result<u64> {
    let mut chunk = Chunk::default();
    let mut points = 0;
    while records.next(&mut chunk)? {
        points += chunk.iter().filter(|(record, _)| !is_blank(record)).count() as u64;
        if points > most {
            return Err(Fault::new(
                FaultKind::TooLarge,
                "too_many_points",
                format!("点数超过上限 {most}，请分批提交"),
                format!("more than {most} points; please send them in parts"),
            ));
        }
    }
    Ok(points)
}

/// A line without anything on it asks nothing.
pub(super) fn is_blank(record: &[u8]) -> bool {
    record.iter().all(u8::is_ascii_whitespace)
}

struct Batch<'a> {
    atlas: &'a Atlas,
    roster: &'a Roster,
    options: &'a BatchOptions,
    counts: &'a BatchCounts,
}

impl Batch<'_> {
    fn run<R: Read + Send, C: Cut + Send, W: Write + Send>(
        &self,
        format: &impl Format,
        records: Records<R, C>,
        writer: W,
    ) -> Result<(Records<R, C>, W)> {
        let Self { atlas, roster, options, counts } = *self;
        pipeline::run(records, writer, options.threads, || {
            let mut worker = Worker {
                atlas,
                roster,
                to_cgcs2000: ToCgcs2000::cached(&options.crs)?,
                nature: options.nature,
                language: options.language,
                format,
                seen: FxHashMap::default(),
                counts: BatchSummary::default(),
            };
            Ok(Box::new(move |chunk: &Chunk, out: &mut Vec<u8>| {
                let records: Vec<_> = chunk.iter().collect();
                for records in records.chunks(LOOKED_UP_TOGETHER) {
                    worker.answer(format, records, out);
                }
                counts.add(std::mem::take(&mut worker.counts));
            }))
        })
    }
}

/// The usual names of a longitude or easting, most certain first.
pub(super) const LON_NAMES: [&str; 10] =
    ["lon", "lng", "longitude", "long", "经度", "东经", "x", "easting", "横坐标", "东坐标"];
/// The usual names of a latitude or northing.
pub(super) const LAT_NAMES: [&str; 8] =
    ["lat", "latitude", "纬度", "北纬", "y", "northing", "纵坐标", "北坐标"];

/// The position of the wanted name, or of the most certain usual one.
pub(super) fn find_column(names: &[String], wanted: Option<&str>, usual: &[&str]) -> Option<usize> {
    let same =
        |name: &String, wanted: &str| name.trim().to_lowercase() == wanted.trim().to_lowercase();
    match wanted {
        Some(wanted) => names.iter().position(|name| same(name, wanted)),
        None => usual.iter().find_map(|usual| names.iter().position(|name| same(name, usual))),
    }
}

/// Reads a number as people write it in a table.
pub(super) fn number(text: &[u8], what: &str) -> Result<f64> {
    let trimmed = text.trim_ascii();
    let parsed = std::str::from_utf8(trimmed).ok().and_then(|t| t.parse().ok());
    parsed.ok_or_else(|| {
        if trimmed.is_empty() {
            return Fault::invalid(format!("{what} 为空"), format!("{what} is empty"));
        }
        let text = match std::str::from_utf8(trimmed) {
            Ok(text) => text.into(),
            Err(_) => encoding_rs::GB18030.decode(trimmed).0,
        };
        let shown: String = text.chars().take(40).collect();
        Fault::invalid(
            format!("{what} 不是数字：{shown}"),
            format!("{what} is not a number: {shown}"),
        )
    })
}
