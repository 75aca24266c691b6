//! The life of a case: which steps its state allows, who may take them, what they need and what
//! follows. One table ([`rules::RULES`]) and one function ([`step::take`]); no clock, no store.

pub mod case;
pub mod rules;
pub mod step;
pub mod table;

#[cfg(test)]
mod tests;

pub use crate::tiles::cases::CaseStatus as Status;
pub use case::{Actor, CaseState, Past, PastEvent, Request};
pub use rules::{Action, Need, RULES, Rule, Who};
pub use step::{Offer, Taken, offers, take};
