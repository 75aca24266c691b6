//! Land areas and reports, computed in polars frames.

pub mod land;
mod land_frame;
