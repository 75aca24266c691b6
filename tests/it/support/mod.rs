//! What the integration tests share: real PostgreSQL, thrown away at the end.

pub mod caller;
pub mod crew;
pub mod database;
pub mod demo_city;
pub mod events;
pub mod folder;
pub mod import;
pub mod photo;
pub mod receiver;
pub mod service;
