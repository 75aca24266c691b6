//! Xuncha 巡查: finds, assigns and stops illegal land use and illegal construction in a city.
//!
//! The modules form layers; each may use those to its left only, and the pure ones
//! (`geometry` … `enforcement`) know neither HTTP nor SQL (`tests/it/architecture.rs` holds that):
//!
//! `geometry ← atlas ← (tiles, statistics, enforcement) ← (boundaries, store) ← web ← cli`

pub mod atlas;
pub mod boundaries;
pub mod cli;
pub mod config;
pub mod enforcement;
pub mod error;
pub mod evidence;
pub mod geometry;
pub mod statistics;
pub mod store;
pub mod tiles;
pub mod web;
