//! Lines of text on the copy of a photo: case number, time, coordinates, person.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use image::{Rgb, RgbImage};
use std::sync::OnceLock;

/// ASCII and GB 2312; `font/README.md` says where it comes from.
static FONT: &[u8] = include_bytes!("font/NotoSansCJKsc-GB2312.otf");

fn font() -> Option<&'static FontRef<'static>> {
    static PARSED: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    PARSED.get_or_init(|| FontRef::try_from_slice(FONT).ok()).as_ref()
}

/// Height of a line as a share of the picture's longer edge.
const LINE_SHARE: f32 = 1.0 / 45.0;
/// How dark the band below the text is, of 256.
const BAND: u32 = 110;

/// Writes the lines on a darkened band along the lower edge. A line that is too wide is written
/// smaller, all of them then.
pub fn draw(image: &mut RgbImage, lines: &[String]) {
    let Some(font) = font().filter(|_| !lines.is_empty()) else { return };
    let (width, height) = image.dimensions();
    let margin = (width.max(height) as f32 * LINE_SHARE / 2.0).max(2.0);
    let wanted = (width.max(height) as f32 * LINE_SHARE).max(10.0);
    let widest = lines.iter().map(|line| line_width(font, wanted, line)).fold(1.0, f32::max);
    let room = (width as f32 - 2.0 * margin).max(1.0);
    let px = wanted * (room / widest).min(1.0);
    let step = px * 1.35;
    let band = (step * lines.len() as f32 + 2.0 * margin).min(height as f32);
    let top = height as f32 - band;
    for y in top as u32..height {
        for x in 0..width {
            let pixel = image.get_pixel_mut(x, y);
            *pixel = Rgb(pixel.0.map(|c| (u32::from(c) * (256 - BAND) / 256) as u8));
        }
    }
    for (index, line) in lines.iter().enumerate() {
        let baseline = top + margin + step * index as f32 + px;
        write(image, font, px, (margin, baseline), line);
    }
}

fn line_width(font: &FontRef, px: f32, line: &str) -> f32 {
    let scaled = font.as_scaled(PxScale::from(px));
    line.chars().map(|c| scaled.h_advance(font.glyph_id(c))).sum()
}

fn write(image: &mut RgbImage, font: &FontRef, px: f32, at: (f32, f32), line: &str) {
    let scaled = font.as_scaled(PxScale::from(px));
    let (mut x, y) = at;
    for c in line.chars() {
        let id = font.glyph_id(c);
        let glyph = id.with_scale_and_position(px, ab_glyph::point(x, y));
        x += scaled.h_advance(id);
        let Some(outline) = font.outline_glyph(glyph) else { continue };
        let bounds = outline.px_bounds();
        outline.draw(|dx, dy, cover| {
            let (px, py) = (bounds.min.x + dx as f32, bounds.min.y + dy as f32);
            if px < 0.0 || py < 0.0 {
                return;
            }
            if let Some(pixel) = image.get_pixel_mut_checked(px as u32, py as u32) {
                let cover = (cover.clamp(0.0, 1.0) * 256.0) as u32;
                *pixel = Rgb(pixel
                    .0
                    .map(|c| ((u32::from(c) * (256 - cover) + 255 * cover) / 256).min(255) as u8));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels at least half covered by a letter; fine strokes never cover one whole.
    fn ink(image: &RgbImage) -> usize {
        image.pixels().filter(|p| p.0[0] >= 128).count()
    }

    #[test]
    fn digits_and_chinese_are_drawn_within_the_picture() {
        let stamped = |text: &str, width, height| {
            let mut image = RgbImage::new(width, height);
            draw(&mut image, &[text.to_string()]);
            image
        };
        let number = stamped("350302-2026-000123", 800, 600);
        assert!(ink(&number) > 80, "{}", ink(&number));
        assert!(ink(&stamped("莆田市荔城区", 800, 600)) > 80);
        assert_ne!(stamped("1", 800, 600).as_raw(), stamped("7", 800, 600).as_raw());
        // A line that is much too long is made to fit: its last letter is there.
        let long = "长".repeat(300);
        let fits = stamped(&format!("{long}I"), 800, 600);
        assert!(fits.dimensions() == (800, 600));
        for size in [1, 2, 9] {
            stamped("350302", size, size);
        }
        assert_eq!(stamped("", 80, 60).dimensions(), (80, 60));
    }

    #[test]
    fn every_usual_character_has_a_glyph() {
        let font = font().unwrap();
        for c in "0123456789°′″±.,:-+ ENESWm()莆田荔城涵江秀屿仙游湄洲湾模拟定位无坐标".chars()
        {
            assert_ne!(font.glyph_id(c).0, 0, "{c}");
        }
    }
}
