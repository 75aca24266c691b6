//! Pure geometry: coordinate reference systems, geodesic measures, exact containment, repair.
//!
//! Everything inside the product is CGCS2000 longitude/latitude in degrees (EPSG:4490), x = longitude.

pub mod containment;
pub mod crs;
pub mod cut;
pub mod drawn;
pub mod gcj02;
pub mod geodesic;
pub mod repair;
pub mod representative;
pub mod side;
pub mod validity;
