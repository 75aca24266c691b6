//! Small copies of photos: decoded within limits, turned upright, without EXIF, encoded anew.

use super::stamp;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};
use std::io::Cursor;

/// The largest photo that is taken, pixels: what phones make today is below, a bomb is above.
pub const MAX_PIXELS: u64 = 120_000_000;
/// And its longer edge.
const MAX_EDGE: u32 = 30_000;
/// Memory that decoding may take: three bytes for each pixel, and room to work.
const MAX_ALLOC: u64 = 640 << 20;
const QUALITY: u8 = 82;

/// How large a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// For lists: 320 px on the longer edge.
    Thumb,
    /// For looking at: 1600 px, with the stamp.
    Preview,
}

impl Size {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "thumb" => Some(Self::Thumb),
            "preview" => Some(Self::Preview),
            _ => None,
        }
    }

    fn edge(self) -> u32 {
        match self {
            Self::Thumb => 320,
            Self::Preview => 1600,
        }
    }
}

/// Why there is no copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreviewError {
    #[error("the image has {0} × {1} pixels")]
    TooLarge(u32, u32),
    #[error("the image cannot be read: {0}")]
    Unreadable(String),
}

fn format_of(mime: &str) -> Option<ImageFormat> {
    match mime {
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/png" => Some(ImageFormat::Png),
        "image/webp" => Some(ImageFormat::WebP),
        _ => None,
    }
}

fn unreadable(error: impl std::fmt::Display) -> PreviewError {
    PreviewError::Unreadable(error.to_string())
}

/// Width and height by the header alone; none where this program cannot decode the type. Refuses
/// what has no sound header and what is too large.
pub fn dimensions(bytes: &[u8], mime: &str) -> Result<Option<(u32, u32)>, PreviewError> {
    let Some(format) = format_of(mime) else { return Ok(None) };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.no_limits(); // no pixel is decoded
    let (width, height) = reader.into_dimensions().map_err(unreadable)?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS || width.max(height) > MAX_EDGE {
        return Err(PreviewError::TooLarge(width, height));
    }
    Ok(Some((width, height)))
}

/// A copy as JPEG, with lines of text on it where given.
pub fn render(
    bytes: &[u8],
    mime: &str,
    size: Size,
    lines: &[String],
) -> Result<Vec<u8>, PreviewError> {
    let format = format_of(mime).ok_or_else(|| unreadable("no such format"))?;
    dimensions(bytes, mime)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_EDGE);
    limits.max_image_height = Some(MAX_EDGE);
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let orientation = decoder.orientation().map_err(unreadable)?;
    let whole = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    let edge = size.edge();
    let mut small = match whole.width().max(whole.height()) > edge {
        true => whole.thumbnail(edge, edge),
        false => whole,
    };
    small.apply_orientation(orientation);
    let mut copy = on_white(&small);
    stamp::draw(&mut copy, lines);
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
    copy.write_with_encoder(encoder).map_err(unreadable)?;
    Ok(jpeg)
}

/// Without transparency, which JPEG has not.
fn on_white(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let rgba = image.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, alpha] = rgba.get_pixel(x, y).0.map(u32::from);
        let over = |c: u32| ((c * alpha + 255 * (255 - alpha)) / 255) as u8;
        Rgb([over(r), over(g), over(b)])
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_exif;
    use super::*;

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn photo(width: u32, height: u32) -> DynamicImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([(x % 256) as u8, (y % 256) as u8, 90])).into()
    }

    #[test]
    fn copies_are_small_and_carry_no_exif() {
        let jpeg = encoded(&photo(2000, 1000), ImageFormat::Jpeg);
        let jpeg = with_exif(&jpeg, 119.0, 25.4, "2026:11:23 09:12:03", None);
        for (size, expected) in [(Size::Thumb, (320, 160)), (Size::Preview, (1600, 800))] {
            let copy = render(&jpeg, "image/jpeg", size, &[]).unwrap();
            assert_eq!(dimensions(&copy, "image/jpeg"), Ok(Some(expected)));
            assert_eq!(crate::evidence::exif::read(&copy), None);
        }
        let webp = encoded(&photo(100, 80), ImageFormat::WebP);
        let copy = render(&webp, "image/webp", Size::Thumb, &[]).unwrap();
        assert_eq!(dimensions(&copy, "image/jpeg"), Ok(Some((100, 80))));
    }

    #[test]
    fn turned_photos_stand_upright() {
        // Left half black, right half white; orientation 6 turns the left edge to the top.
        let halves: DynamicImage =
            RgbImage::from_fn(200, 100, |x, _| Rgb([if x < 100 { 0 } else { 255 }; 3])).into();
        let jpeg = encoded(&halves, ImageFormat::Jpeg);
        let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let mut turned = jpeg[..2].to_vec();
        turned.extend([0xff, 0xe1, 0, 8 + tiff.len() as u8]);
        turned.extend(b"Exif\0\0");
        turned.extend(tiff);
        turned.extend(&jpeg[2..]);
        let copy = render(&turned, "image/jpeg", Size::Thumb, &[]).unwrap();
        let copy = image::load_from_memory(&copy).unwrap().to_luma8();
        assert_eq!(copy.dimensions(), (100, 200));
        assert!(copy.get_pixel(50, 20).0[0] < 40 && copy.get_pixel(50, 180).0[0] > 215);
    }

    #[test]
    fn transparency_becomes_white() {
        let clear = DynamicImage::new_rgba8(10, 10);
        let copy = render(&encoded(&clear, ImageFormat::Png), "image/png", Size::Thumb, &[]);
        let copy = image::load_from_memory(&copy.unwrap()).unwrap().to_rgb8();
        assert!(copy.pixels().all(|p| p.0.iter().all(|&c| c > 250)));
    }

    /// A PNG that says it has this many pixels, and holds none of them.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut png = encoded(&photo(1, 1), ImageFormat::Png);
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&png[12..29]);
        let sum = crc.sum().to_be_bytes();
        png[29..33].copy_from_slice(&sum);
        png
    }

    #[test]
    fn bombs_and_rubbish_are_refused_by_their_header() {
        let bomb = png_header(25_000, 20_000);
        assert_eq!(dimensions(&bomb, "image/png"), Err(PreviewError::TooLarge(25_000, 20_000)));
        assert_eq!(
            render(&bomb, "image/png", Size::Thumb, &[]),
            Err(PreviewError::TooLarge(25_000, 20_000))
        );
        // A size that is allowed, without the pixels: an error, not a panic.
        let empty = png_header(9_000, 9_000);
        assert!(render(&empty, "image/png", Size::Thumb, &[]).is_err());
        let jpeg = encoded(&photo(64, 64), ImageFormat::Jpeg);
        for end in (0..jpeg.len()).step_by(7) {
            let _ = render(&jpeg[..end], "image/jpeg", Size::Thumb, &[]);
        }
        assert!(dimensions(b"\xff\xd8\xff\xe0rubbish", "image/jpeg").is_err());
    }
}
