//! Which points of a track count.

use super::MAX_ACCURACY_M;
use crate::geometry::geodesic::distance_m;
use chrono::{DateTime, Utc};
use geo::Coord;

/// Nobody patrols faster, metres per second: 900 km/h.
pub const MAX_SPEED_M_S: f64 = 250.0;

/// A position of a person at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackPoint {
    pub at: DateTime<Utc>,
    /// CGCS2000 degrees.
    pub position: Coord,
    pub accuracy_m: Option<f64>,
    /// The device says that its position is made up.
    pub mocked: bool,
}

/// Why a point does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    Mocked,
    /// The circle is too large, or unknown.
    Inaccurate,
    /// Nobody gets there from the other points.
    ImpossibleSpeed,
}

impl Flag {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mocked => "mocked",
            Self::Inaccurate => "inaccurate",
            Self::ImpossibleSpeed => "impossible_speed",
        }
    }
}

fn flag_alone(point: &TrackPoint) -> Option<Flag> {
    if point.mocked {
        return Some(Flag::Mocked);
    }
    let accurate = point.accuracy_m.is_some_and(|m| (0.0..=MAX_ACCURACY_M).contains(&m));
    (!accurate).then_some(Flag::Inaccurate)
}

/// Whether one can get from one point to the other. The circles are taken off the distance: two
/// fixes in one second may differ by what they are unsure of.
fn is_possible(a: &TrackPoint, b: &TrackPoint) -> bool {
    let seconds = (b.at - a.at).abs().as_seconds_f64();
    let unsure = a.accuracy_m.unwrap_or(0.0) + b.accuracy_m.unwrap_or(0.0);
    distance_m(a.position, b.position) - unsure <= MAX_SPEED_M_S * seconds
}

/// Stretches looked back at when a jump is judged: more jumps than this in a row are no track.
const LOOK_BACK: usize = 200;

/// Judges the points of one person, in the order of time: none counts, or why it does not.
///
/// Where a jump is impossible, one of its ends is wrong. The most points that can belong together
/// count; so neither a wrong first fix nor one in between discredits the rest.
pub fn judge(points: &[TrackPoint]) -> Vec<Option<Flag>> {
    let mut flags: Vec<Option<Flag>> = points.iter().map(flag_alone).collect();
    let genuine: Vec<usize> = (0..points.len()).filter(|&i| flags[i].is_none()).collect();
    // Stretches without a jump, as ranges of `genuine`.
    let mut stretches: Vec<std::ops::Range<usize>> = Vec::new();
    for n in 0..genuine.len() {
        let goes_on = n > 0 && is_possible(&points[genuine[n - 1]], &points[genuine[n]]);
        match stretches.last_mut() {
            Some(last) if goes_on => last.end = n + 1,
            _ => stretches.push(n..n + 1),
        }
    }
    // The chain of stretches with the most points: for each its length and the one before.
    let mut best: Vec<(usize, Option<usize>)> = Vec::with_capacity(stretches.len());
    for (k, stretch) in stretches.iter().enumerate() {
        let first = &points[genuine[stretch.start]];
        let before = (k.saturating_sub(LOOK_BACK)..k)
            .filter(|&j| is_possible(&points[genuine[stretches[j].end - 1]], first))
            .max_by_key(|&j| (best[j].0, j));
        let length = stretch.len() + before.map_or(0, |j| best[j].0);
        best.push((length, before));
    }
    let mut counted = vec![false; genuine.len()];
    // Of equally long chains the earliest.
    let mut at = (0..best.len()).max_by_key(|&k| (best[k].0, std::cmp::Reverse(k)));
    while let Some(k) = at {
        stretches[k].clone().for_each(|n| counted[n] = true);
        at = best[k].1;
    }
    for (n, counts) in counted.into_iter().enumerate() {
        if !counts {
            flags[genuine[n]] = Some(Flag::ImpossibleSpeed);
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Duration;
    use proptest::prelude::*;

    fn point(seconds: i64, lon: f64) -> TrackPoint {
        let start: DateTime<Utc> = "2026-11-23T01:00:00Z".parse().unwrap();
        TrackPoint {
            at: start + Duration::seconds(seconds),
            position: Coord { x: lon, y: 25.4 },
            accuracy_m: Some(8.0),
            mocked: false,
        }
    }

    const JUMP: Option<Flag> = Some(Flag::ImpossibleSpeed);

    #[test]
    fn made_up_and_vague_points_do_not_count() {
        let mut points =
            vec![point(0, 119.0), point(10, 119.0), point(20, 119.0), point(30, 119.0)];
        points[0].mocked = true;
        points[1].accuracy_m = Some(50.1);
        points[2].accuracy_m = None;
        let flags = judge(&points);
        assert_eq!(
            flags,
            [Some(Flag::Mocked), Some(Flag::Inaccurate), Some(Flag::Inaccurate), None]
        );
        assert_eq!(judge(&[]), []);
    }

    #[test]
    fn a_jump_costs_the_fewer_points() {
        // A tenth of a degree is 10 km: 1,000 m/s in 10 s, 168 m/s in 60 s.
        let walk = |from: i64, n: i64, lon: f64| (0..n).map(move |k| point(from + k * 10, lon));
        let in_between: Vec<_> =
            walk(0, 3, 119.0).chain([point(30, 119.1)]).chain(walk(40, 3, 119.0)).collect();
        assert_eq!(judge(&in_between), [None, None, None, JUMP, None, None, None]);
        let first_fix: Vec<_> = [point(0, 119.1)].into_iter().chain(walk(10, 3, 119.0)).collect();
        assert_eq!(judge(&first_fix), [JUMP, None, None, None]);
        let by_plane: Vec<_> = vec![point(0, 119.0), point(60, 119.1), point(120, 119.2)];
        assert_eq!(judge(&by_plane), [None, None, None]);
        // 40 m in a tenth of a second is within the circles of two fixes.
        let mut jitter = [point(0, 119.0), point(0, 119.000_16)];
        jitter[1].at += Duration::milliseconds(100);
        assert_eq!(judge(&jitter), [None, None]);
    }

    proptest! {
        /// What counts can have been walked, and no other choice of whole stretches has more.
        #[test]
        fn what_counts_is_possible_and_as_much_as_can_be(
            steps in prop::collection::vec((1i64..30, 0u8..4), 1..10),
        ) {
            let mut seconds = 0;
            let points: Vec<TrackPoint> = steps
                .iter()
                .map(|&(pause, place)| {
                    seconds += pause;
                    point(seconds, 119.0 + f64::from(place) * 0.05)
                })
                .collect();
            let mut stretches: Vec<Vec<&TrackPoint>> = Vec::new();
            for point in &points {
                match stretches.last_mut() {
                    Some(last) if is_possible(last[last.len() - 1], point) => last.push(point),
                    _ => stretches.push(vec![point]),
                }
            }
            let most = (0u32..1 << stretches.len())
                .map(|set| {
                    let chosen: Vec<&TrackPoint> = (0..stretches.len())
                        .filter(|k| set >> k & 1 == 1)
                        .flat_map(|k| stretches[k].clone())
                        .collect();
                    let walks = chosen.windows(2).all(|pair| is_possible(pair[0], pair[1]));
                    if walks { chosen.len() } else { 0 }
                })
                .max()
                .unwrap_or(0);
            let flags = judge(&points);
            let kept: Vec<&TrackPoint> =
                points.iter().zip(&flags).filter(|(_, f)| f.is_none()).map(|(p, _)| p).collect();
            prop_assert!(kept.windows(2).all(|pair| is_possible(pair[0], pair[1])));
            prop_assert_eq!(kept.len(), most);
        }
    }
}
