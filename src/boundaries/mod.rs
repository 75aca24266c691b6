//! Boundary files in: open, decode, repair, check, publish.
