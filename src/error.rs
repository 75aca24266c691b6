//! The errors a user sees.
