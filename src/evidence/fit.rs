//! Whether a photo fits the case it is put to. What does not fit is told, never refused: phones
//! have wrong clocks and no view of the sky.

use super::exif::Exif;
use crate::geometry::geodesic::distance_m;
use chrono::{DateTime, Duration, Utc};
use geo::Coord;

/// Farther from the case than this is remarked, metres. Beyond what a phone that writes GCJ-02
/// instead of WGS 84 is off.
pub const FAR_M: f64 = 1_000.0;
/// A photo made earlier than this before it was sent is remarked, days.
pub const OLD_DAYS: i64 = 7;
/// A camera's clock may be wrong by so much, days.
pub const AHEAD_DAYS: i64 = 1;

/// What is known of a piece of evidence.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Where the case is, CGCS2000 degrees.
    pub case: Coord,
    /// When the file came.
    pub received_at: DateTime<Utc>,
    pub exif: Option<&'a Exif>,
    /// Where the device says that it was.
    pub device: Option<Coord>,
    /// The device's position is made up.
    pub mocked: bool,
    /// The same bytes are evidence of another case.
    pub in_other_case: bool,
}

/// The remarks, as stable codes: `exif_far`, `exif_old`, `exif_in_future`, `device_far`, `mocked`,
/// `in_other_case`.
pub fn flags(about: Circumstances) -> Vec<&'static str> {
    let far = |position: Coord| distance_m(about.case, position) > FAR_M;
    let taken_at = about.exif.and_then(|exif| exif.taken_at);
    let exif = about.exif.and_then(|exif| Some(Coord { x: exif.lon?, y: exif.lat? }));
    let age = taken_at.map(|time| about.received_at - time);
    [
        ("exif_far", exif.is_some_and(far)),
        ("exif_old", age.is_some_and(|age| age > Duration::days(OLD_DAYS))),
        ("exif_in_future", age.is_some_and(|age| age < -Duration::days(AHEAD_DAYS))),
        ("device_far", about.device.is_some_and(far)),
        ("mocked", about.mocked),
        ("in_other_case", about.in_other_case),
    ]
    .into_iter()
    .filter_map(|(code, holds)| holds.then_some(code))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_kilometres_and_last_year_are_remarked() {
        let case = Coord { x: 119.0, y: 25.4 };
        let now: DateTime<Utc> = "2026-11-23T01:00:00Z".parse().unwrap();
        let told = |lon: f64, days: i64, device: Option<Coord>| {
            let exif = Exif {
                taken_at: Some(now - Duration::days(days)),
                lon: Some(lon),
                lat: Some(25.4),
                ..Exif::default()
            };
            flags(Circumstances {
                case,
                received_at: now,
                exif: Some(&exif),
                device,
                mocked: false,
                in_other_case: false,
            })
        };
        // One degree of longitude is 100.7 km there.
        assert_eq!(told(119.0, 0, Some(case)), [""; 0]);
        assert_eq!(told(119.0099, 7, None), [""; 0]);
        assert_eq!(told(119.03, 0, None), ["exif_far"]);
        assert_eq!(told(119.03, 365, None), ["exif_far", "exif_old"]);
        assert_eq!(told(119.0, -2, None), ["exif_in_future"]);
        assert_eq!(told(119.0, 0, Some(Coord { x: 119.0, y: 25.42 })), ["device_far"]);
        let bare = Circumstances {
            case,
            received_at: now,
            exif: None,
            device: None,
            mocked: true,
            in_other_case: true,
        };
        assert_eq!(flags(bare), ["mocked", "in_other_case"]);
    }
}
