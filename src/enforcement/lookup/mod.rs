//! The look-up: from a coordinate, or a file of them, to the place, the land and the person.

pub mod answer;
pub mod batch;
mod csv;
mod geojson;
mod json;
mod ndjson;
mod pipeline;
mod records;
