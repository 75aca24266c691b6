//! Vector tiles from the snapshot: address, simplification, clipping, encoding, heat grid, cache.

pub mod address;
pub mod blocks;
pub mod boundary;
pub mod case_index;
pub mod cases;
pub mod clip;
pub mod coverage;
pub mod dissolve;
pub mod encode;
pub mod filter;
pub mod gaps;
pub mod heat;
pub mod morton;
pub mod outlines;
pub mod service;
#[cfg(test)]
mod testing;
pub mod topology;
