//! What a piece of evidence is and says: by its bytes, by its EXIF, and against the case. Pure.

pub mod exif;
pub mod fit;
pub mod media;
pub mod preview;
pub mod stamp;
#[cfg(test)]
mod testing;
