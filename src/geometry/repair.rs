//! Repair of polygon rings.
