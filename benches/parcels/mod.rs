//! A seeded land survey of any size: parcels that share their borders bit for bit, 16 times denser
//! in the south-west than in the north-east, some with a hole that another parcel fills.

use geo::{Coord, LineString, MultiPolygon, Polygon};
use rayon::prelude::*;
use xuncha::geometry::crs::snap;

/// One degree square with this corner, EPSG:4490.
const WEST: f64 = 118.6;
const SOUTH: f64 = 24.9;

/// SplitMix64: the same numbers on every machine.
fn mixed(seed: u64) -> u64 {
    let x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// From 0 to 1.
fn fraction(seed: u64) -> f64 {
    (mixed(seed) >> 11) as f64 / (1u64 << 53) as f64
}

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Survey {
    /// Parcels per side of the square.
    pub side: usize,
    /// A border between two nodes has 1 to this many edges.
    pub most_edges: usize,
    /// How far borders wander, as a share of their length.
    pub rough: f64,
    pub seed: u64,
}

impl Survey {
    /// About a million parcels of 6 to 60 vertices, 22 on average.
    pub fn of_parcels(side: usize) -> Self {
        Self { side, most_edges: 10, rough: 0.25, seed: 5 }
    }

    /// About a thousand villages of 1,200 vertices.
    pub fn of_villages() -> Self {
        Self { side: 31, most_edges: 598, rough: 0.05, seed: 5 }
    }

    pub fn polygons(&self) -> Vec<MultiPolygon> {
        (0..self.side)
            .into_par_iter()
            .flat_map_iter(|row| (0..self.side).flat_map(move |column| self.cell(column, row)))
            .collect()
    }

    fn node(&self, i: usize, j: usize) -> Coord {
        // The density falls to a quarter along each axis.
        let warped = |t: f64| (t + 1.5 * t * t) / 2.5;
        let id = (i as u64) << 32 | j as u64;
        let at = |n: usize, axis: u64| {
            let rim = n == 0 || n == self.side;
            let jitter =
                if rim { 0.0 } else { (fraction((id * 4 + axis) ^ self.seed) - 0.5) * 0.5 };
            warped((n as f64 + jitter) / self.side as f64)
        };
        snap(Coord { x: WEST + at(i, 1), y: SOUTH + at(j, 2) })
    }

    /// The vertices between two nodes; the same from either side.
    fn border(&self, key: u64, a: Coord, b: Coord, backwards: bool, ring: &mut Vec<Coord>) {
        let from = ring.len();
        let edges = 1 + mixed(key ^ self.seed) % self.most_edges as u64;
        let d = b - a;
        let mut off = 0.0;
        for n in 1..edges {
            let t = n as f64 / edges as f64;
            off = off * 0.9 + (fraction(key.wrapping_mul(131).wrapping_add(n)) - 0.5) * self.rough;
            let fading = off * (t * (1.0 - t) * 4.0).min(1.0);
            let bent = Coord { x: d.x * t - d.y * fading, y: d.y * t + d.x * fading };
            ring.push(snap(a + bent));
        }
        if backwards {
            ring[from..].reverse();
        }
    }

    fn cell(&self, i: usize, j: usize) -> Vec<MultiPolygon> {
        let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)];
        let [a, b, c, d] = corners.map(|(i, j)| self.node(i, j));
        let level = |i: usize, j: usize| (i as u64 * 2) << 32 | (j as u64 * 2 + 1);
        let upright = |i: usize, j: usize| (i as u64 * 2 + 1) << 32 | (j as u64 * 2);
        let mut ring = vec![a];
        self.border(level(i, j), a, b, false, &mut ring);
        ring.push(b);
        self.border(upright(i + 1, j), b, c, false, &mut ring);
        ring.push(c);
        self.border(level(i, j + 1), d, c, true, &mut ring);
        ring.push(d);
        self.border(upright(i, j), a, d, true, &mut ring);
        ring.push(a);
        let shell = LineString(ring);
        if !mixed((i as u64) << 32 | j as u64 ^ 77).is_multiple_of(32) {
            return vec![Polygon::new(shell, vec![]).into()];
        }
        let middle = (a + b + c + d) / 4.0;
        let [a, b, c, d] = [a, b, c, d].map(|p| snap(middle + (p - middle) * 0.2));
        let hole = LineString(vec![a, d, c, b, a]);
        let filling = LineString(vec![a, b, c, d, a]);
        vec![Polygon::new(shell, vec![hole]).into(), Polygon::new(filling, vec![]).into()]
    }
}

/// Random points over the square and a hundredth around it.
pub fn points(count: usize, seed: u64) -> Vec<Coord> {
    let at = |n: u64| fraction(n.wrapping_add(seed.wrapping_mul(1_000_003))) * 1.02 - 0.01;
    let count = count as u64;
    (0..count).map(|n| Coord { x: WEST + at(n * 2), y: SOUTH + at(n * 2 + 1) }).collect()
}

/// The points in the order of a Z-curve.
pub fn sorted(mut points: Vec<Coord>) -> Vec<Coord> {
    let spread = |v: f64| {
        let mut x = (v * 65_535.0) as u64;
        for (shift, mask) in [
            (16, 0x0000_ffff_0000_ffff),
            (8, 0x00ff_00ff_00ff_00ff),
            (4, 0x0f0f_0f0f_0f0f_0f0f),
            (2, 0x3333_3333_3333_3333),
            (1, 0x5555_5555_5555_5555),
        ] {
            x = (x | x << shift) & mask;
        }
        x
    };
    let key =
        |p: &Coord| spread((p.x - WEST + 0.02) / 1.04) | spread((p.y - SOUTH + 0.02) / 1.04) << 1;
    points.sort_by_cached_key(key);
    points
}
