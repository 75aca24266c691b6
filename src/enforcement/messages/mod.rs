//! Messages: which there are, whom they reach, what they say.

mod facts;
mod kind;
mod notice;
mod routing;
mod templates;

pub use facts::{CaseFacts, Facts, place as place_text};
pub use kind::Kind;
pub use notice::{Level, Notice, Recipients, RoleAt};
pub use routing::{channels, standing};
pub use templates::{Overrides, check, check_built_in, render};
