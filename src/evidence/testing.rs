//! EXIF written by the library's own writer, put into a JPEG by hand.

use exif::experimental::Writer;
use exif::{Field, In, Rational, Tag, Value};
use std::io::Cursor;

/// `jpeg` with an EXIF segment that says this position and local time.
pub fn with_exif(jpeg: &[u8], lon: f64, lat: f64, time: &str, zone: Option<&str>) -> Vec<u8> {
    let text = |tag, text: &str| Field {
        tag,
        ifd_num: In::PRIMARY,
        value: Value::Ascii(vec![text.as_bytes().to_vec()]),
    };
    let angle = |tag, degrees: f64| Field {
        tag,
        ifd_num: In::PRIMARY,
        value: Value::Rational(vec![
            Rational { num: degrees.abs() as u32, denom: 1 },
            Rational { num: 0, denom: 1 },
            Rational { num: (degrees.abs().fract() * 3600.0 * 10_000.0) as u32, denom: 10_000 },
        ]),
    };
    let mut fields = vec![
        text(Tag::DateTimeOriginal, time),
        text(Tag::Model, "P50"),
        text(Tag::GPSLongitudeRef, if lon < 0.0 { "W" } else { "E" }),
        angle(Tag::GPSLongitude, lon),
        text(Tag::GPSLatitudeRef, if lat < 0.0 { "S" } else { "N" }),
        angle(Tag::GPSLatitude, lat),
    ];
    fields.extend(zone.map(|zone| text(Tag::OffsetTimeOriginal, zone)));
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut tiff = Cursor::new(Vec::new());
    writer.write(&mut tiff, false).unwrap();
    let mut segment = b"Exif\0\0".to_vec();
    segment.extend(tiff.into_inner());
    let length = (segment.len() + 2) as u16;
    let mut out = jpeg[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend(length.to_be_bytes());
    out.extend(segment);
    out.extend(&jpeg[2..]);
    out
}
