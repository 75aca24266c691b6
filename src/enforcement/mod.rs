//! The pure rules of enforcement: who answers for a place, alarms, permissions; later the workflow, deadlines and messages.
