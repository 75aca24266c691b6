//! The commands, thin.

pub mod lookup;
mod lookup_batch;
