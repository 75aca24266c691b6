//! Areas of land by category and class under a polygon.
