//! Where the product keeps its things and how it is started.
