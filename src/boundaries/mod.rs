//! Boundary files in: open, decode, locate, repair, check, publish.
//!
//! [`read`] takes a file to a [`Draft`] without touching the store; [`check::check`] holds the draft
//! against itself and the boundaries in force; `publish` puts it there.

mod archive;
pub mod check;
mod dbf;
pub mod demo;
pub mod draft;
mod encoding;
pub mod export;
mod fields;
mod filter;
mod geojson;
pub mod import_file;
mod partition;
pub mod publish;
pub(crate) mod read;
mod reference_system;
pub mod report;
pub mod rollback;
mod shape;
mod shapefile;
mod sources;
mod table;
mod vector;

pub use draft::{Draft, DraftFeature};
pub use read::read;
pub use report::Report;

use crate::error::{Fault, FaultKind, Result};
use crate::geometry::crs::Crs;
use encoding::TextEncoding;
use serde::{Deserialize, Serialize};

/// How to read a file, where it does not say itself.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    pub source_layer: Option<String>,
    pub crs: Option<Crs>,
    /// Name of a text encoding or code page.
    pub encoding: Option<String>,
    pub code_field: Option<String>,
    pub name_field: Option<String>,
    pub class_field: Option<String>,
    pub parent_field: Option<String>,
    /// `--where`: comparisons of fields with values.
    pub filter: Option<String>,
    /// Only the features within the area of this code.
    pub area: Option<String>,
}

/// The options as they are kept with an import.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StoredOptions {
    pub source_layer: Option<String>,
    pub crs: Option<String>,
    pub encoding: Option<String>,
    pub code_field: Option<String>,
    pub name_field: Option<String>,
    pub class_field: Option<String>,
    pub parent_field: Option<String>,
    pub filter: Option<String>,
    pub area: Option<String>,
}

impl From<&ReadOptions> for StoredOptions {
    fn from(options: &ReadOptions) -> Self {
        let ReadOptions {
            source_layer,
            crs,
            encoding,
            code_field,
            name_field,
            class_field,
            parent_field,
            filter,
            area,
        } = options.clone();
        let crs = crs.map(|crs| crs.to_string());
        Self {
            source_layer,
            crs,
            encoding,
            code_field,
            name_field,
            class_field,
            parent_field,
            filter,
            area,
        }
    }
}

impl ReadOptions {
    fn text_encoding(&self) -> Result<Option<TextEncoding>> {
        let Some(name) = &self.encoding else { return Ok(None) };
        let found = TextEncoding::from_name(name).ok_or_else(|| {
            let name: String = name.chars().take(40).collect();
            refuse(
                "encoding_unknown",
                format!("不认识的编码：{name}"),
                format!("Unknown encoding: {name}"),
            )
        })?;
        Ok(Some(found))
    }
}

/// A file that cannot be taken.
fn refuse(code: &'static str, zh: impl Into<String>, en: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Unprocessable, code, zh, en)
}

fn too_large(zh: impl Into<String>, en: impl Into<String>) -> Fault {
    Fault::new(FaultKind::TooLarge, "too_large", zh, en)
}
