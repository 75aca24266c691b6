//! Getis-Ord Gi*: where high values lie together more than chance would have it.
//!
//! J. K. Ord, A. Getis, "Local spatial autocorrelation statistics: distributional issues and an
//! application", Geographical Analysis 27 (1995), with binary weights that include the unit
//! itself; p-values of the normal distribution, both sides; false discovery rate after
//! Y. Benjamini, Y. Hochberg (1995).

/// What the statistic says of one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gi {
    /// Standard deviations from what chance would give; 0 where all units are alike.
    pub z: f64,
    /// Two-sided.
    pub p: f64,
    /// Significant at 5 % also after correction for so many tests.
    pub fdr: bool,
}

/// The level of significance.
pub const ALPHA: f64 = 0.05;

/// Gi* of each unit. `neighbours` holds, for each, the positions of the others whose values count
/// with its own, the unit itself left out.
pub fn gi_star(values: &[f64], neighbours: &[Vec<u32>]) -> Vec<Gi> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    // Around the mean: squares of large values would lose digits.
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    let deviation = variance.sqrt();
    let mut found: Vec<Gi> = values
        .iter()
        .zip(neighbours)
        .map(|(own, others)| {
            let weight = (others.len() + 1) as f64;
            let around = others.iter().filter_map(|other| values.get(*other as usize));
            let sum: f64 = own + around.sum::<f64>();
            let spread = deviation * ((n * weight - weight * weight) / (n - 1.0)).sqrt();
            let z = (sum - mean * weight) / spread;
            let z = if z.is_finite() { z } else { 0.0 };
            Gi { z, p: two_sided(z), fdr: false }
        })
        .collect();
    correct(&mut found);
    found
}

/// Benjamini and Hochberg: the largest p below its own share of [`ALPHA`], and all smaller ones.
fn correct(found: &mut [Gi]) {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|a, b| found[*a].p.total_cmp(&found[*b].p));
    let n = found.len() as f64;
    let last = order
        .iter()
        .enumerate()
        .rev()
        .find(|(rank, unit)| found[**unit].p <= ALPHA * (*rank as f64 + 1.0) / n);
    if let Some((last, _)) = last {
        for unit in &order[..=last] {
            found[*unit].fdr = true;
        }
    }
}

/// The chance of a normal deviate at least so far from 0, either side.
pub fn two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// The complementary error function for x ≥ 0: a series near 0, a continued fraction beyond
/// (M. Abramowitz, I. A. Stegun, 7.1.6 and 7.1.14).
fn erfc(x: f64) -> f64 {
    let scale = (-x * x).exp();
    if x < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term > sum * f64::EPSILON {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 1.0 - 2.0 / std::f64::consts::PI.sqrt() * scale * sum;
    }
    let mut fraction = x;
    for k in (1..=60).rev() {
        fraction = x + f64::from(k) / 2.0 / fraction;
    }
    scale / (std::f64::consts::PI.sqrt() * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (z, p) in [
            (0.0, 1.0),
            (0.5, 0.617_075_077_451_973_9),
            (1.959_963_984_540_054, 0.05),
            (2.575_829_303_548_901, 0.01),
            (3.290_526_731_491_9, 0.001),
            (6.0, 1.973_175_290_075_396e-9),
        ] {
            let found = two_sided(z);
            assert!((found - p).abs() <= 1e-9 * p, "{z}: {found}, {p}");
            assert_eq!(found, two_sided(-z));
        }
    }

    /// By the definition, with the whole matrix of weights and the moments of 1995.
    fn dense(values: &[f64], weights: &[Vec<f64>]) -> Vec<f64> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let s = (values.iter().map(|v| v * v).sum::<f64>() / n - mean * mean).sqrt();
        weights
            .iter()
            .map(|row| {
                let sum: f64 = row.iter().sum();
                let squares: f64 = row.iter().map(|w| w * w).sum();
                let around: f64 = row.iter().zip(values).map(|(w, v)| w * v).sum();
                (around - mean * sum) / (s * ((n * squares - sum * sum) / (n - 1.0)).sqrt())
            })
            .collect()
    }

    #[test]
    fn a_full_matrix_gives_the_same() {
        let side = 9;
        let neighbours: Vec<Vec<u32>> = (0..side * side)
            .map(|unit: i32| {
                let (x, y) = (unit % side, unit / side);
                let around = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (x + dx, y + dy)));
                let inside = around.filter(|(x, y)| (0..side).contains(x) && (0..side).contains(y));
                inside.map(|(x, y)| (y * side + x) as u32).filter(|o| *o != unit as u32).collect()
            })
            .collect();
        let values: Vec<f64> =
            (0..side * side).map(|unit| f64::from((unit * 7919 % 13) + (unit % 9) * 2)).collect();
        let weights: Vec<Vec<f64>> = neighbours
            .iter()
            .enumerate()
            .map(|(unit, others)| {
                let mut row = vec![0.0; values.len()];
                row[unit] = 1.0;
                others.iter().for_each(|other| row[*other as usize] = 1.0);
                row
            })
            .collect();
        for (own, other) in gi_star(&values, &neighbours).iter().zip(dense(&values, &weights)) {
            assert!((own.z - other).abs() < 1e-9);
        }
    }

    /// Numbers that PySAL (esda) gave once; `tests/fixtures/getis_ord.py` makes them.
    #[test]
    fn pysal_gives_the_same() {
        #[derive(Deserialize)]
        struct Fixture {
            values: Vec<f64>,
            neighbours: Vec<Vec<u32>>,
            z: Vec<f64>,
            p_two_sided: Vec<f64>,
        }
        let text = include_str!("../../tests/fixtures/getis_ord.json");
        let fixture: Fixture = serde_json::from_str(text).unwrap();
        assert!(fixture.values.len() >= 100);
        let found = gi_star(&fixture.values, &fixture.neighbours);
        for ((own, z), p) in found.iter().zip(&fixture.z).zip(&fixture.p_two_sided) {
            assert!((own.z - z).abs() < 1e-9, "{} {z}", own.z);
            assert!((own.p - p).abs() < 1e-9, "{} {p}", own.p);
        }
        assert!(found.iter().any(|g| g.fdr) && found.iter().any(|g| !g.fdr && g.p < ALPHA));
    }

    #[test]
    fn where_all_are_alike_nothing_is_significant() {
        let neighbours = vec![vec![1], vec![0, 2], vec![1]];
        for gi in gi_star(&[4.0; 3], &neighbours) {
            assert_eq!((gi.z, gi.p, gi.fdr), (0.0, 1.0, false));
        }
    }
}
