//! The pure rules of enforcement: who answers for a place, alarms, permissions,
//! deadlines and settings.

pub mod alarms;
pub mod calendar;
pub mod clock;
pub mod deadlines;
pub mod dispatch;
pub mod gaps;
pub mod intake;
pub mod lookup;
pub mod messages;
pub mod nature;
pub mod patrol;
pub mod people;
pub mod permissions;
pub mod place;
pub mod reach;
pub mod settings;
pub mod tasks;
pub mod workflow;
