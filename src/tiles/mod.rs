//! Vector tiles from the snapshot: address, simplification, clipping, encoding, heat grid, cache.

pub mod address;
pub mod case_index;
pub mod cases;
