//! What the integration tests share: real PostgreSQL, thrown away at the end.

pub mod database;
pub mod folder;
