//! All integration tests, one binary: linking is the slow part.

mod cluster;
mod exactly_one;
mod support;
