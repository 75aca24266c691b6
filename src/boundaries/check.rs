//! The draft against itself and the boundaries in force.

use super::draft::Draft;
use crate::atlas::lookup::Atlas;

/// Fills in duplicates, gaps, overlaps, orphans and changes.
pub fn check(_draft: &mut Draft, _atlas: &Atlas) {}
