//! Rings on the grid of tile units: clipping to a box, area, direction.

/// A position in tile units: x east, y south, the tile's north-west corner at 0, 0.
pub type Unit = [i32; 2];

/// Units around a tile that are drawn too, so that lines and labels at its rim are whole.
pub const BUFFER: i32 = 64;

/// Twice the signed area in square units; positive where the ring runs clockwise on the screen, as
/// the exterior rings of a vector tile do.
pub fn doubled_area(ring: &[Unit]) -> i64 {
    let wide = |p: Unit| (i64::from(p[0]), i64::from(p[1]));
    let Some(&last) = ring.last() else { return 0 };
    let mut before = wide(last);
    ring.iter()
        .map(|&p| {
            let here = wide(p);
            let (a, b) = (before, here);
            before = here;
            a.0 * b.1 - b.0 * a.1
        })
        .sum()
}

/// Removes vertices equal to the one before them, around the ring.
pub fn dedup(ring: &mut Vec<Unit>) {
    ring.dedup();
    while ring.len() > 1 && ring.first() == ring.last() {
        ring.pop();
    }
}

/// Clips an open ring to the box from `min` to `max` on both axes (I. E. Sutherland, G. W. Hodgman,
/// "Reentrant polygon clipping", 1974). An edge and its twin in the neighbouring polygon are cut at
/// the same unit.
pub fn clip(ring: Vec<Unit>, min: i32, max: i32) -> Vec<Unit> {
    let mut low = [i32::MAX; 2];
    let mut high = [i32::MIN; 2];
    for p in &ring {
        for axis in 0..2 {
            low[axis] = low[axis].min(p[axis]);
            high[axis] = high[axis].max(p[axis]);
        }
    }
    if ring.is_empty() || (0..2).any(|axis| high[axis] < min || low[axis] > max) {
        return Vec::new();
    }
    let mut ring = ring;
    for axis in 0..2 {
        if low[axis] < min {
            ring = clip_side(&ring, axis, min, |v| v >= min);
        }
        if high[axis] > max {
            ring = clip_side(&ring, axis, max, |v| v <= max);
        }
    }
    dedup(&mut ring);
    ring
}

fn clip_side(ring: &[Unit], axis: usize, side: i32, inside: impl Fn(i32) -> bool) -> Vec<Unit> {
    let mut kept = Vec::with_capacity(ring.len() + 4);
    let Some(&last) = ring.last() else { return kept };
    let mut before = last;
    for &here in ring {
        if inside(before[axis]) != inside(here[axis]) {
            kept.push(cut(before, here, axis, side));
        }
        if inside(here[axis]) {
            kept.push(here);
        }
        before = here;
    }
    kept
}

/// Where the edge a–b meets a side, to the nearest unit; the same for b–a.
fn cut(a: Unit, b: Unit, axis: usize, side: i32) -> Unit {
    let (a, b) = if a < b { (a, b) } else { (b, a) };
    let other = 1 - axis;
    let wide = |p: Unit| (i128::from(p[axis]), i128::from(p[other]));
    let ((a_along, a_across), (b_along, b_across)) = (wide(a), wide(b));
    let length = b_along - a_along;
    let rise = (b_across - a_across) * (i128::from(side) - a_along);
    // Rounded half up: (2 rise + length) / (2 length), whatever the sign of length.
    let (rise, length) = if length < 0 { (-rise, -length) } else { (rise, length) };
    let across = a_across + (2 * rise + length).div_euclid(2 * length);
    let mut at = [0; 2];
    at[axis] = side;
    // Between the ends, so it fits.
    at[other] = across as i32;
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clips_to_the_box() {
        let square = vec![[-10, -10], [10, -10], [10, 10], [-10, 10]];
        assert_eq!(doubled_area(&square), 800);
        let clipped = clip(square.clone(), -5, 5);
        assert_eq!(doubled_area(&clipped), 200);
        assert_eq!(clip(square.clone(), 11, 20), Vec::<Unit>::new());
        assert_eq!(clip(square.clone(), -10, 10), square);
        assert!(clip(Vec::new(), 0, 1).is_empty());
    }

    proptest! {
        #[test]
        fn twins_are_cut_alike_and_inside(
            a in prop::array::uniform2(-(1 << 30)..(1 << 30)),
            b in prop::array::uniform2(-(1 << 30)..(1 << 30)),
            axis in 0..2usize,
            at in 0.0..1.0f64,
        ) {
            prop_assume!(a[axis] != b[axis]);
            let side = (f64::from(a[axis]) + at * (f64::from(b[axis]) - f64::from(a[axis]))) as i32;
            let cut_at = cut(a, b, axis, side);
            prop_assert_eq!(cut_at, cut(b, a, axis, side));
            let other = 1 - axis;
            prop_assert!(cut_at[other] >= a[other].min(b[other]) && cut_at[other] <= a[other].max(b[other]));
        }

        #[test]
        fn halves_add_up(ring in prop::collection::vec(prop::array::uniform2(-100..100i32), 3..12)) {
            // Cut along a side that only whole units meet: halves then add up but for rounding.
            let whole = doubled_area(&ring);
            let (west, east) = (clip_side(&ring, 0, 0, |v| v <= 0), clip_side(&ring, 0, 0, |v| v >= 0));
            let halves = doubled_area(&west) + doubled_area(&east);
            prop_assert!((whole - halves).abs() <= 200 * ring.len() as i64);
        }
    }
}
