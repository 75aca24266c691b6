//! Patrol: what a position on the way is worth, and which visits a plan asks for.
//!
//! Nobody has to report that they were there. A visit is derived from what is there anyway:
//! records, photos and track points that are genuine and accurate enough.

pub mod plan;
pub mod track;

/// A position with a larger circle shows no visit, metres.
pub const MAX_ACCURACY_M: f64 = 50.0;

/// Whether a position shows that somebody was in the cell that holds it.
pub fn is_genuine(mocked: Option<bool>, accuracy_m: Option<f64>) -> bool {
    mocked != Some(true) && accuracy_m.is_some_and(|m| (0.0..=MAX_ACCURACY_M).contains(&m))
}
