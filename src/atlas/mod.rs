//! The in-memory world: published boundary layers as one immutable snapshot, and what stands at a
//! position or under a polygon.

pub mod areas;
pub mod category;
pub mod cell_index;
pub mod feature;
pub mod layer;
pub mod lookup;
pub mod overlay;
mod pieces;
