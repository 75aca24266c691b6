//! From which zoom on each vertex of a layer is drawn, decided once per border and not once per
//! polygon, so that neighbours keep meeting at every zoom.
//!
//! A vertex where the border branches (a node) is always drawn. The line between two nodes (an
//! arc) belongs to at most two polygons, and its vertices are ranked by effective area
//! (M. Visvalingam, J. D. Whyatt, "Line generalisation by repeated elimination of points", 1993).

use super::address::{self, EXTENT_BITS, MAX_ZOOM};
use crate::atlas::feature::Feature;
use geo::{Coord, LineString};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

/// A vertex is left out at zooms where leaving it out moves the border by a triangle of less than
/// this many square tile units (an eighth by a quarter of a pixel of a 256-pixel tile).
const LEAST_TRIANGLE_UNITS2: f64 = 8.0;

/// The first zoom of each vertex of a layer: one byte per vertex, in the order of features,
/// polygons and rings, without the vertex that closes a ring.
#[derive(Debug)]
pub struct VertexZooms {
    starts: Box<[usize]>,
    zooms: Box<[u8]>,
}

impl VertexZooms {
    /// The bytes of one feature.
    pub fn of(&self, feature: usize) -> &[u8] {
        &self.zooms[self.starts[feature]..self.starts[feature + 1]]
    }

    /// Ranks the vertices of a layer.
    pub fn new(features: &[Feature]) -> Self {
        let mut starts = vec![0];
        let mut vertices: Vec<Coord> = Vec::new();
        let mut rings: Vec<Range<usize>> = Vec::new();
        for feature in features {
            for ring in rings_of(feature) {
                let open = open_ring(ring);
                rings.push(vertices.len()..vertices.len() + open.len());
                vertices.extend_from_slice(open);
            }
            starts.push(vertices.len());
        }
        let graph = Graph::new(&vertices, &rings);
        let unset = || AtomicU8::new(UNSET);
        let ranked: Vec<AtomicU8> =
            std::iter::repeat_with(unset).take(graph.positions.len()).collect();
        rings.par_iter().for_each(|ring| graph.rank_ring(&graph.ids[ring.clone()], &ranked));
        let zoom = |&id: &u32| match graph.is_node[id as usize] {
            true => 0,
            false => ranked[id as usize].load(Ordering::Relaxed),
        };
        Self { starts: starts.into(), zooms: graph.ids.iter().map(zoom).collect() }
    }
}

/// The rings of a feature in the order that [`VertexZooms`] counts them.
pub fn rings_of(feature: &Feature) -> impl Iterator<Item = &LineString> {
    feature.geometry.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()))
}

/// A ring without the vertex that closes it.
pub fn open_ring(ring: &LineString) -> &[Coord] {
    match ring.0.split_last() {
        Some((last, open)) if open.first() == Some(last) => open,
        _ => &ring.0,
    }
}

/// Not yet ranked, and being ranked.
const UNSET: u8 = 255;
const CLAIMED: u8 = 254;

/// The borders of a layer as a graph of distinct positions.
struct Graph {
    /// By vertex: which position it is.
    ids: Vec<u32>,
    /// Web Mercator, by id.
    positions: Vec<Coord>,
    is_node: Vec<bool>,
}

impl Graph {
    fn new(vertices: &[Coord], rings: &[Range<usize>]) -> Self {
        // +0 and -0 are one position.
        let bits = |v: f64| (v + 0.0).to_bits();
        let mut order: Vec<(u64, u64, u32)> = vertices
            .par_iter()
            .enumerate()
            .map(|(i, v)| (bits(v.x), bits(v.y), i as u32))
            .collect();
        order.par_sort_unstable();
        let mut ids = vec![0u32; vertices.len()];
        let mut firsts: Vec<u32> = Vec::new();
        for (i, entry) in order.iter().enumerate() {
            if i == 0 || (order[i - 1].0, order[i - 1].1) != (entry.0, entry.1) {
                firsts.push(entry.2);
            }
            ids[entry.2 as usize] = (firsts.len() - 1) as u32;
        }
        drop(order);
        let positions: Vec<Coord> =
            firsts.par_iter().map(|&first| address::project(vertices[first as usize])).collect();

        // A position is inside an arc when every ring passes it between the same two neighbours.
        let mut is_node = vec![false; positions.len()];
        let mut neighbours = vec![(UNSEEN, UNSEEN); positions.len()];
        for ring in rings {
            let ring = &ids[ring.clone()];
            for (i, &id) in ring.iter().enumerate() {
                let before = ring[if i == 0 { ring.len() - 1 } else { i - 1 }];
                let after = ring[if i + 1 == ring.len() { 0 } else { i + 1 }];
                let pair = (before.min(after), before.max(after));
                let known = &mut neighbours[id as usize];
                if *known == (UNSEEN, UNSEEN) {
                    *known = pair;
                }
                is_node[id as usize] |= *known != pair || before == after;
            }
        }
        Self { ids, positions, is_node }
    }

    /// Ranks the arcs of a ring that no other ring has ranked.
    fn rank_ring(&self, ring: &[u32], ranked: &[AtomicU8]) {
        let is_node = |&id: &u32| self.is_node[id as usize];
        let start = ring.iter().position(is_node).or_else(|| {
            // An island: every ring along it starts at the same vertex.
            ring.iter().enumerate().min_by_key(|&(_, id)| *id).map(|(i, _)| i)
        });
        let Some(start) = start else { return };
        let walk: Vec<u32> = ring[start..].iter().chain(&ring[..=start]).copied().collect();
        if !is_node(&walk[0]) {
            ranked[walk[0] as usize].store(0, Ordering::Relaxed);
        }
        let mut from = 0;
        for to in 1..walk.len() {
            if is_node(&walk[to]) || to + 1 == walk.len() {
                self.rank_arc(&walk[from..=to], ranked);
                from = to;
            }
        }
    }

    fn rank_arc(&self, arc: &[u32], ranked: &[AtomicU8]) {
        let [_, inner @ .., _] = arc else { return };
        let (Some(&first), Some(&last)) = (inner.first(), inner.last()) else { return };
        let token = &ranked[first.min(last) as usize];
        if token.compare_exchange(UNSET, CLAIMED, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        // Always from the same end: equal areas are then taken in the same order.
        let mut points: Vec<u32> = arc.to_vec();
        if first > last {
            points.reverse();
        }
        let positions: Vec<Coord> = points.iter().map(|&id| self.positions[id as usize]).collect();
        let areas = effective_areas(&positions);
        // A loop keeps three vertices at every zoom: it goes when the grid has no room for it.
        let kept = if points.first() == points.last() { 2 } else { 0 };
        let mut by_area: Vec<usize> = (0..areas.len()).collect();
        by_area.sort_by(|&i, &j| areas[j].total_cmp(&areas[i]).then(i.cmp(&j)));
        for (rank, i) in by_area.into_iter().enumerate() {
            let zoom = if rank < kept { 0 } else { first_zoom(areas[i]) };
            ranked[points[i + 1] as usize].store(zoom, Ordering::Relaxed);
        }
    }
}

const UNSEEN: u32 = u32::MAX;

/// The first zoom at which a triangle of this (world) area shows.
fn first_zoom(area: f64) -> u8 {
    let levels = (LEAST_TRIANGLE_UNITS2 / area).log2() / 2.0 - f64::from(EXTENT_BITS);
    // A cast saturates, and NaN gives 0; an area of 0 is infinitely deep.
    (levels.ceil() as u8).min(MAX_ZOOM + 1)
}

/// The effective area of each inner vertex of a line: that of the triangle it makes when its turn
/// comes to be left out, and never less than that of those left out before.
fn effective_areas(line: &[Coord]) -> Vec<f64> {
    let triangle = |a: usize, v: usize, b: usize| {
        let (p, q) = (line[a] - line[v], line[b] - line[v]);
        ((p.x * q.y - p.y * q.x) / 2.0).abs()
    };
    let count = line.len();
    let mut before: Vec<usize> = (0..count).map(|i| i.saturating_sub(1)).collect();
    let mut after: Vec<usize> = (1..=count).collect();
    let mut current = vec![f64::INFINITY; count];
    let mut areas = vec![0.0; count - 2];
    let mut queue = BinaryHeap::with_capacity(count);
    // Positive floats sort as their bits do.
    for (v, area) in current.iter_mut().enumerate().take(count - 1).skip(1) {
        *area = triangle(v - 1, v, v + 1);
        queue.push(Reverse((area.to_bits(), v)));
    }
    let mut least = 0.0f64;
    while let Some(Reverse((bits, v))) = queue.pop() {
        if current[v].to_bits() != bits {
            continue;
        }
        least = least.max(current[v]);
        areas[v - 1] = least;
        current[v] = f64::NAN;
        let (a, b) = (before[v], after[v]);
        after[a] = b;
        before[b] = a;
        for v in [a, b] {
            if v > 0 && v < count - 1 {
                current[v] = triangle(before[v], v, after[v]);
                queue.push(Reverse((current[v].to_bits(), v)));
            }
        }
    }
    areas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Vec<Coord> {
        points.iter().map(|&(x, y)| Coord { x, y }).collect()
    }

    #[test]
    fn small_bends_go_first() {
        let areas =
            effective_areas(&line(&[(0.0, 0.0), (1.0, 0.1), (2.0, 0.0), (3.0, 5.0), (4.0, 0.0)]));
        assert!(areas[0] < areas[1] && areas[1] < areas[2], "{areas:?}");
        assert_eq!(effective_areas(&line(&[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)])), [0.0]);
    }

    #[test]
    fn zooms_follow_areas() {
        assert_eq!(first_zoom(0.0), MAX_ZOOM + 1);
        assert_eq!(first_zoom(f64::NAN), 0);
        assert_eq!(first_zoom(1.0), 0);
        let unit = (2.0f64).powi(-(10 + EXTENT_BITS as i32));
        assert_eq!(first_zoom(LEAST_TRIANGLE_UNITS2 * unit * unit), 10);
        assert_eq!(first_zoom(LEAST_TRIANGLE_UNITS2 * unit * unit * 0.99), 11);
    }
}
