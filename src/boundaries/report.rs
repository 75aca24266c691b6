//! The check report: what was read, repaired and rejected, and what a publish would change.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Findings of one kind are listed up to this many; [`Report::totals`] counts them all.
pub const MAX_LISTED: usize = 1_000;

/// A geometry that was not valid as it came, and what was done to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Repaired {
    /// 1-based in the source.
    pub record: u32,
    pub code: String,
    /// What was wrong and what was done, in Chinese and English.
    pub what: String,
}

/// A record that did not come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rejected {
    /// 1-based in the source.
    pub record: u32,
    pub code: String,
    pub reason: String,
}

/// Something to know before publishing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Warning {
    pub code: String,
    pub detail: String,
}

/// A code that several records share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DuplicateCode {
    pub code: String,
    pub records: Vec<u32>,
}

/// An area inside the layer that no polygon covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Gap {
    pub area_m2: f64,
    /// Longitude and latitude of a position on it, degrees.
    pub position: [f64; 2],
    /// GeoJSON.
    #[schema(value_type = Object)]
    pub geometry: Value,
}

/// An area that two polygons both claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Overlap {
    pub codes: [String; 2],
    pub records: [u32; 2],
    pub area_m2: f64,
    /// Longitude and latitude of a position on it, degrees.
    pub position: [f64; 2],
    /// GeoJSON.
    #[schema(value_type = Object)]
    pub geometry: Value,
}

/// A feature whose parent is missing, or that lies outside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Orphan {
    pub record: u32,
    pub code: String,
    pub parent_code: Option<String>,
    pub reason: String,
}

/// What a publish would change against the boundaries in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Changes {
    pub added: u32,
    pub removed: u32,
    /// Same code, other outline.
    pub moved: u32,
    /// Same code and outline, other attributes.
    pub renamed: u32,
    pub unchanged: u32,
    /// Area of the layer after less before, m².
    pub area_m2: f64,
    /// Open cases that would change hands.
    pub cases_reassigned: u32,
}

/// How many findings there are of each kind; the lists hold at most [`MAX_LISTED`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Totals {
    pub repaired: usize,
    pub duplicate_codes: usize,
    pub gaps: usize,
    pub overlaps: usize,
    pub orphans: usize,
}

/// The check report of a draft; `read = accepted + rejected.len()`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Report {
    pub import_id: Option<Uuid>,
    pub layer: String,
    pub source_layer: String,
    /// The coordinate reference system the file was read in.
    pub crs: String,
    /// The text encoding the file was read in.
    pub encoding: String,
    pub read: u32,
    pub accepted: u32,
    pub repaired: Vec<Repaired>,
    pub rejected: Vec<Rejected>,
    pub warnings: Vec<Warning>,
    pub duplicate_codes: Vec<DuplicateCode>,
    pub gaps: Vec<Gap>,
    pub overlaps: Vec<Overlap>,
    pub orphans: Vec<Orphan>,
    pub totals: Totals,
    pub changes: Changes,
    pub published: bool,
}

impl Report {
    /// Adds a warning.
    pub fn warn(&mut self, code: &str, zh: impl AsRef<str>, en: impl AsRef<str>) {
        let detail = format!("{} / {}", zh.as_ref(), en.as_ref());
        self.warnings.push(Warning { code: code.to_string(), detail });
    }

    /// Adds a warning that names records, as far as they fit.
    pub fn warn_records(&mut self, code: &str, zh: &str, en: &str, records: &[u32]) {
        if records.is_empty() {
            return;
        }
        let listed = list_records(records);
        self.warn(code, format!("{zh}（记录 {listed}）"), format!("{en} (records {listed})"));
    }
}

/// `1, 2, 3 … (total 70)`
fn list_records(records: &[u32]) -> String {
    const SHOWN: usize = 50;
    let shown: Vec<String> = records.iter().take(SHOWN).map(u32::to_string).collect();
    let rest =
        if records.len() > SHOWN { format!(" … ({})", records.len()) } else { String::new() };
    shown.join(", ") + &rest
}

/// The answer to a refused file: `{"error":{"code","detail"}}`.
pub fn refusal(fault: &crate::error::Fault) -> Value {
    json!({"error": {"code": fault.code, "detail": format!("{} / {}", fault.zh, fault.en)}})
}
