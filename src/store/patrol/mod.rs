//! Patrol: plans, tracks, visits, and the visits that are due.

pub mod due;
pub mod plans;
pub mod tracks;
pub mod visits;
