//! Land areas and reports, computed in polars frames.

pub mod attendance;
pub mod case_frame;
pub mod cases_report;
pub mod demolition;
pub mod figures;
pub mod getis_ord;
pub mod hotspots;
pub mod land;
mod land_frame;
pub mod land_taken;
pub mod patrollers;
pub mod period;
pub mod print;
pub mod rates;
pub mod sheet_csv;
pub mod timeline;
pub mod units;
pub mod workbook;
