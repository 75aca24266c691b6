//! The pure rules of enforcement: who answers for a place, alarms, permissions. The workflow,
//! deadlines and messages of a case come here next.

pub mod alarms;
pub mod dispatch;
pub mod intake;
pub mod lookup;
pub mod nature;
pub mod people;
pub mod permissions;
pub mod place;
