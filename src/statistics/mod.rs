//! Land areas and reports, computed in polars frames.
