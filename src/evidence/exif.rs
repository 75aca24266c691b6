//! What a photo says of itself: when and where it was taken.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Asia::Shanghai;
use exif::{In, Reader, Tag, Value};
use serde::{Deserialize, Serialize};
use std::io::Cursor;

/// The tags that matter here; none where the file does not say them, or says nonsense.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Exif {
    pub taken_at: Option<DateTime<Utc>>,
    /// Degrees; the datum is the phone's business, WGS 84 as a rule. Some write GCJ-02, about
    /// 600 m off: comparisons must bear that.
    pub lon: Option<f64>,
    pub lat: Option<f64>,
    /// Where the camera looked, degrees clockwise from north.
    pub bearing: Option<f64>,
    /// Maker and model.
    pub camera: Option<String>,
}

/// Reads the EXIF of a JPEG, PNG, WebP or HEIF file; none where there is none to read.
pub fn read(bytes: &[u8]) -> Option<Exif> {
    let found = Reader::new()
        .continue_on_error(true)
        .read_from_container(&mut Cursor::new(bytes))
        .or_else(|error| error.distill_partial_result(|_| ()))
        .ok()?;
    let position = position(&found);
    let read = Exif {
        taken_at: taken_at(&found),
        lon: position.map(|(lon, _)| lon),
        lat: position.map(|(_, lat)| lat),
        bearing: rationals(&found, Tag::GPSImgDirection)
            .and_then(|v| v.first().copied())
            .filter(|degrees| (0.0..360.0).contains(degrees)),
        camera: camera(&found),
    };
    (read != Exif::default()).then_some(read)
}

fn ascii(exif: &exif::Exif, tag: Tag) -> Option<&[u8]> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(texts) => texts.first().map(Vec::as_slice),
        _ => None,
    }
}

fn rationals(exif: &exif::Exif, tag: Tag) -> Option<Vec<f64>> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Rational(values) => {
            let values: Vec<f64> = values.iter().map(exif::Rational::to_f64).collect();
            values.iter().all(|v| v.is_finite()).then_some(values)
        }
        _ => None,
    }
}

/// Degrees, minutes and seconds, as far as given.
fn degrees(exif: &exif::Exif, value: Tag, hemisphere: Tag, negative: u8) -> Option<f64> {
    let parts = rationals(exif, value)?;
    let degrees = match parts[..] {
        [d] => d,
        [d, m] => d + m / 60.0,
        [d, m, s, ..] => d + m / 60.0 + s / 3600.0,
        [] => return None,
    };
    let is_negative = ascii(exif, hemisphere)?.first()?.eq_ignore_ascii_case(&negative);
    Some(if is_negative { -degrees } else { degrees })
}

fn position(exif: &exif::Exif) -> Option<(f64, f64)> {
    let lon = degrees(exif, Tag::GPSLongitude, Tag::GPSLongitudeRef, b'W')?;
    let lat = degrees(exif, Tag::GPSLatitude, Tag::GPSLatitudeRef, b'S')?;
    // A camera without a fix writes zeros.
    let is_nowhere = lon == 0.0 && lat == 0.0;
    (lon.abs() <= 180.0 && lat.abs() <= 90.0 && !is_nowhere).then_some((lon, lat))
}

fn date_time(exif: &exif::Exif, tag: Tag) -> Option<NaiveDateTime> {
    let text = std::str::from_utf8(ascii(exif, tag)?).ok()?;
    NaiveDateTime::parse_from_str(text.trim_end_matches('\0').trim(), "%Y:%m:%d %H:%M:%S").ok()
}

fn offset(exif: &exif::Exif, tag: Tag) -> Option<FixedOffset> {
    let text = std::str::from_utf8(ascii(exif, tag)?).ok()?;
    text.trim_end_matches('\0').trim().parse().ok()
}

fn taken_at(exif: &exif::Exif) -> Option<DateTime<Utc>> {
    let tags = [
        (Tag::DateTimeOriginal, Tag::OffsetTimeOriginal),
        (Tag::DateTimeDigitized, Tag::OffsetTimeDigitized),
    ];
    let by_clock = tags.into_iter().find_map(|(time, zone)| {
        let local = date_time(exif, time)?;
        match offset(exif, zone) {
            Some(offset) => local.and_local_timezone(offset).earliest().map(|t| t.to_utc()),
            // Without a zone it is the local time of a phone in China.
            None => Shanghai.from_local_datetime(&local).earliest().map(|t| t.to_utc()),
        }
    });
    by_clock.or_else(|| by_satellite(exif))
}

/// The GPS time, in UTC.
fn by_satellite(exif: &exif::Exif) -> Option<DateTime<Utc>> {
    let day = std::str::from_utf8(ascii(exif, Tag::GPSDateStamp)?).ok()?;
    let day = NaiveDate::parse_from_str(day.trim_end_matches('\0').trim(), "%Y:%m:%d").ok()?;
    let time = rationals(exif, Tag::GPSTimeStamp)?;
    let [hour, minute, second] = time[..] else { return None };
    // Casting saturates, and what is no time of day is refused.
    day.and_hms_opt(hour as u32, minute as u32, second as u32).map(|t| t.and_utc())
}

fn camera(exif: &exif::Exif) -> Option<String> {
    let words: Vec<String> = [Tag::Make, Tag::Model]
        .into_iter()
        .filter_map(|tag| ascii(exif, tag))
        .map(|text| String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect())
        .map(|text: String| text.trim().chars().take(60).collect())
        .filter(|text: &String| !text.is_empty())
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_exif;
    use super::*;

    #[test]
    fn reads_position_and_time() {
        let jpeg = [0xff, 0xd8, 0xff, 0xd9];
        let exif = |lon, lat, time, zone| read(&with_exif(&jpeg, lon, lat, time, zone));
        let found = exif(119.0078, 25.454, "2026:11:23 09:12:03", None).unwrap();
        assert!((found.lon.unwrap() - 119.0078).abs() < 1e-7, "{found:?}");
        assert!((found.lat.unwrap() - 25.454).abs() < 1e-7, "{found:?}");
        assert_eq!(found.taken_at.unwrap().to_rfc3339(), "2026-11-23T01:12:03+00:00");
        assert_eq!(found.camera.as_deref(), Some("P50"));
        let west = exif(-70.5, -33.25, "2026:11:23 09:12:03", Some("-03:00")).unwrap();
        assert_eq!((west.lon, west.lat), (Some(-70.5), Some(-33.25)));
        assert_eq!(west.taken_at.unwrap().to_rfc3339(), "2026-11-23T12:12:03+00:00");
        let odd = exif(0.0, 0.0, "    :  :     :  :  ", None).unwrap();
        assert_eq!((odd.lon, odd.taken_at), (None, None));
        assert_eq!(read(&jpeg), None);
    }

    #[test]
    fn cut_and_broken_files_are_no_trouble() {
        let jpeg = with_exif(
            &[0xff, 0xd8, 0xff, 0xd9],
            119.0,
            25.4,
            "2026:11:23 09:12:03",
            Some("+08:00"),
        );
        for end in 0..jpeg.len() {
            let _ = read(&jpeg[..end]);
        }
        for at in 0..jpeg.len() {
            for value in [0, 0x7f, 0xff] {
                let mut broken = jpeg.clone();
                broken[at] = value;
                if let Some(Exif { lon: Some(lon), lat: Some(lat), .. }) = read(&broken) {
                    assert!(lon.abs() <= 180.0 && lat.abs() <= 90.0);
                }
            }
        }
    }
}
