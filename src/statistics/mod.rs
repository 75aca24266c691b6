//! Land areas and reports, computed in polars frames.

pub mod cases_report;
pub mod land;
mod land_frame;
