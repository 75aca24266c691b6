//! Points as NDJSON: one object a line.

use super::batch::{
    BatchOptions, Format, Found, LAT_NAMES, LON_NAMES, Numbered, Render, Rendered, Where, Worker,
    find_column,
};
use super::json::{self, Object};
use crate::enforcement::dispatch::PlaceCodes;
use crate::error::{Fault, Result};
use geo::Coord;

/// Which members hold the coordinate.
pub(super) struct NdjsonFormat<'a> {
    options: &'a BatchOptions,
}

impl<'a> NdjsonFormat<'a> {
    pub fn new(options: &'a BatchOptions) -> Self {
        Self { options }
    }

    fn coordinate(&self, object: Object) -> Result<Coord> {
        let (keys, values): (Vec<String>, Vec<&str>) =
            object.members().map(|m| (m.key.to_string(), m.value)).unzip();
        let of = |wanted: &Option<String>, usual: &[&str], what: &str| {
            let found = find_column(&keys, wanted.as_deref(), usual).map(|n| values[n]);
            let value = found.ok_or_else(|| {
                Fault::invalid(format!("缺少 {what}"), format!("{what} is missing"))
            })?;
            json::number(value, what)
        };
        Ok(Coord {
            x: of(&self.options.lon, &LON_NAMES, "lon")?,
            y: of(&self.options.lat, &LAT_NAMES, "lat")?,
        })
    }
}

impl Render for NdjsonFormat<'_> {
    fn render(&self, place: &PlaceCodes, phone: Option<&str>) -> Rendered {
        json::render(place, phone)
    }
}

impl Format for NdjsonFormat<'_> {
    type Read<'r> = Option<Object<'r>>;

    fn read<'r>(&self, record: &'r [u8]) -> (Self::Read<'r>, Result<Coord>) {
        match Object::parse(record) {
            Ok(object) => (Some(object), self.coordinate(object)),
            Err(fault) => (None, Err(fault)),
        }
    }

    fn write(
        &self,
        (record, number): Numbered,
        object: Option<Object>,
        found: Result<Found>,
        worker: &mut Worker,
        out: &mut Vec<u8>,
    ) {
        let found = found.map_err(|fault| worker.error(Where::Line(number), &fault));
        if object.is_some() {
            json::push_answered(object, found, out);
        } else {
            let input = format!(r#"{{"input":{}}}"#, json::shown(record));
            json::push_answered(Object::of_valid(&input), found, out);
        }
        out.push(b'\n');
    }
}
