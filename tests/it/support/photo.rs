//! Photos as phones send them.

#[path = "../../../src/evidence/testing.rs"]
mod exif_writer;

pub use exif_writer::with_exif;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use rand::RngExt;
use std::io::Cursor;

/// A photo of its own: no two have the same bytes.
pub fn photo(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let seed: u8 = rand::rng().random();
    let image = RgbImage::from_fn(width, height, |x, y| {
        let shade = (x / 8 + y / 8) as u8;
        Rgb([shade ^ seed, shade, rand::rng().random::<u8>() / 8])
    });
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

/// A JPEG that says where and when (local time) it was taken.
pub fn taken(lon: f64, lat: f64, time: &str) -> Vec<u8> {
    with_exif(&photo(640, 480, ImageFormat::Jpeg), lon, lat, time, Some("+08:00"))
}

/// A PNG that says it has this many pixels, and holds one.
pub fn png_that_says(width: u32, height: u32) -> Vec<u8> {
    let mut png = photo(1, 1, ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&png[12..29]);
    png[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    png
}
