//! All integration tests, one binary: linking is the slow part.

mod cluster;
mod exactly_one;
mod lookup_answer;
mod lookup_batch;
mod support;
mod toy_city;
