//! All integration tests, one binary: linking is the slow part.
mod exactly_one;
