//! What the integration tests share: real PostgreSQL, thrown away at the end.

pub mod caller;
pub mod database;
pub mod demo_city;
pub mod folder;
pub mod import;
pub mod service;
