//! How much of each block of a tile each land category covers: what is drawn of parcels at zooms
//! where they are too small or too many to be drawn one by one.

use super::address::{self, TileAddress};
use super::topology::open_ring;
use crate::atlas::category::Category;
use crate::atlas::feature::{Feature, layers};
use crate::atlas::layer::Layer;
use geo::{Coord, Polygon};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;

/// Blocks along one side of a tile: one block is a pixel of a 256-pixel tile.
pub const SIDE: usize = 256;

/// What features are summed under: their category, or `None` in layers without classes.
pub type Group = Option<Category>;

/// The group of a feature.
pub fn group_of(layer_name: &str, feature: &Feature) -> Group {
    match &feature.class_code {
        _ if layer_name == layers::BASIC_FARMLAND => Some(Category::BasicFarmland),
        Some(class) => Some(Category::of_class(Some(class))),
        None => None,
    }
}

/// The covered shares of a tile's blocks, by group.
#[derive(Debug, Clone)]
pub struct Shares {
    side: usize,
    groups: usize,
    /// By group, row and column, in 1/65535 of the block.
    shares: Box<[u16]>,
}

impl Shares {
    fn empty(groups: usize) -> Self {
        Self { side: SIDE, groups, shares: vec![0; groups * SIDE * SIDE].into() }
    }

    /// Blocks along one side.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The share of a block that a group covers, 0 to 1.
    #[inline]
    pub fn get(&self, group: usize, x: usize, y: usize) -> f32 {
        f32::from(self.shares[(group * self.side + y) * self.side + x]) / 65535.0
    }

    fn is_empty(&self) -> bool {
        self.shares.iter().all(|&share| share == 0)
    }

    /// The same in blocks of twice the width.
    pub fn halved(&self) -> Self {
        let side = self.side / 2;
        let mut shares = Vec::with_capacity(self.groups * side * side);
        for row in 0..self.groups * side {
            let above = &self.shares[2 * row * self.side..][..self.side];
            let below = &self.shares[(2 * row + 1) * self.side..][..self.side];
            for (a, b) in above.chunks_exact(2).zip(below.chunks_exact(2)) {
                let sum: u32 = a.iter().chain(b).map(|&s| u32::from(s)).sum();
                shares.push(((sum + 2) / 4) as u16);
            }
        }
        Self { side, groups: self.groups, shares: shares.into() }
    }

    /// Takes the place of one of the four tiles below, as blocks of half their number.
    fn insert_quarter(&mut self, below: &Self, east: bool, south: bool) {
        let quarter = below.halved();
        let (x, y) = (usize::from(east) * quarter.side, usize::from(south) * quarter.side);
        for group in 0..self.groups {
            for row in 0..quarter.side {
                let from = (group * quarter.side + row) * quarter.side;
                let to = (group * self.side + y + row) * self.side + x;
                self.shares[to..to + quarter.side]
                    .copy_from_slice(&quarter.shares[from..from + quarter.side]);
            }
        }
    }

    /// Measures the features of a layer under a tile.
    pub fn measure(layer: &Layer, groups: &[Group], tile: TileAddress) -> Self {
        let name = &layer.info().name;
        let mut sums: Vec<Sum> = groups.iter().map(|_| Sum::new()).collect();
        let origin = tile.world_bounds(0.0).min();
        let scale = f64::from(1u32 << tile.z()) * SIDE as f64;
        let to_blocks = |c: Coord| (address::project(c) - origin) * scale;
        let mut found: Vec<u32> = layer.in_box(tile.bounds(0.0)).collect();
        // Sums of floats depend on their order.
        found.sort_unstable();
        for index in found {
            let feature = layer.feature(index);
            let Some(group) = groups.iter().position(|g| *g == group_of(name, feature)) else {
                continue;
            };
            for polygon in &feature.geometry {
                sums[group].add(polygon, to_blocks);
            }
        }
        let shares = sums.into_iter().flat_map(Sum::finish).collect();
        Self { side: SIDE, groups: groups.len(), shares }
    }
}

/// Signed cover per block: each edge adds to the blocks it crosses what it changes for all blocks
/// east of it, so that a running sum along the row gives the covered shares, exactly.
struct Sum {
    changes: Vec<f32>,
}

impl Sum {
    fn new() -> Self {
        Self { changes: vec![0.0; SIDE * SIDE] }
    }

    fn add(&mut self, polygon: &Polygon, to_blocks: impl Fn(Coord) -> Coord) {
        let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
        for (i, ring) in rings.enumerate() {
            let ring: Vec<Coord> = open_ring(ring).iter().map(|&c| to_blocks(c)).collect();
            let edges = || ring.iter().zip(ring.iter().cycle().skip(1));
            let Some(&origin) = ring.first() else { continue };
            let area: f64 = edges()
                .map(|(&a, &b)| {
                    (a.x - origin.x) * (b.y - origin.y) - (a.y - origin.y) * (b.x - origin.x)
                })
                .sum();
            let sign = if (area > 0.0) == (i == 0) { -1.0 } else { 1.0 };
            edges().for_each(|(&a, &b)| self.add_edge(a, b, sign));
        }
    }

    fn add_edge(&mut self, a: Coord, b: Coord, sign: f64) {
        let (top, bottom, sign) = if a.y < b.y { (a, b, sign) } else { (b, a, -sign) };
        let slope = (bottom.x - top.x) / (bottom.y - top.y);
        let first = top.y.floor().max(0.0) as usize;
        let last = (bottom.y.ceil().max(0.0) as usize).min(SIDE);
        for row in first..last {
            let (from, to) = (top.y.max(row as f64), bottom.y.min((row + 1) as f64));
            if to <= from {
                continue;
            }
            let x_at = |y: f64| top.x + (y - top.y) * slope;
            self.add_piece(row, x_at(from), x_at(to), (to - from) * sign);
        }
    }

    /// A piece of an edge within one row: `height` is signed.
    fn add_piece(&mut self, row: usize, a: f64, b: f64, height: f64) {
        let side = SIDE as f64;
        let (west, east) = if a < b { (a, b) } else { (b, a) };
        if west >= side {
            return;
        }
        let changes = &mut self.changes[row * SIDE..(row + 1) * SIDE];
        let mut add = |column: usize, change: f64| {
            if let Some(sum) = changes.get_mut(column) {
                *sum += change as f32;
            }
        };
        let width = east - west;
        if east <= 0.0 || width < 1e-9 {
            // Upright: a part of its own block, all of those to the east.
            let x = west.max(0.0);
            let column = x as usize;
            let own = height * (1.0 - (x - column as f64));
            add(column, own);
            add(column + 1, height - own);
            return;
        }
        // What lies west of the tile counts whole for every block.
        let outside = (-west).clamp(0.0, width) / width;
        add(0, height * outside);
        let per_width = height / width;
        let mut x = west.max(0.0);
        let end = east.min(side);
        while x < end {
            let column = x as usize;
            let next = ((column + 1) as f64).min(end);
            let piece = per_width * (next - x);
            let own = piece * ((column + 1) as f64 - (x + next) / 2.0);
            add(column, own);
            add(column + 1, piece - own);
            x = next;
        }
    }

    fn finish(self) -> impl Iterator<Item = u16> {
        let mut cover = 0.0f32;
        self.changes.into_iter().enumerate().map(move |(i, change)| {
            cover = if i % SIDE == 0 { change } else { cover + change };
            // Polygons of a layer may overlap; a cast saturates.
            (cover.min(1.0) * 65535.0 + 0.5) as u16
        })
    }
}

/// The shares of all tiles of a layer up to a zoom.
#[derive(Debug)]
pub struct Coverage {
    groups: Vec<Group>,
    /// The deepest one measured.
    zoom: u8,
    tiles: HashMap<TileAddress, Shares>,
}

impl Coverage {
    /// Measures a layer at a zoom, or the deepest one above it with few enough tiles, and sums up
    /// from there.
    pub fn new(layer: &Layer, deepest: u8) -> Self {
        let groups = groups_of(layer);
        let tiles = tiles_over(layer, deepest);
        let zoom = tiles.first().map_or(0, |tile| tile.z());
        let mut level: HashMap<TileAddress, Shares> = tiles
            .into_par_iter()
            .map(|tile| (tile, Shares::measure(layer, &groups, tile)))
            .filter(|(_, shares)| !shares.is_empty())
            .collect();
        let mut tiles = HashMap::new();
        loop {
            let mut above: HashMap<TileAddress, Shares> = HashMap::new();
            for (tile, shares) in &level {
                if let Some(parent) = tile.parent() {
                    let sum = above.entry(parent).or_insert_with(|| Shares::empty(groups.len()));
                    sum.insert_quarter(shares, tile.x() & 1 == 1, tile.y() & 1 == 1);
                }
            }
            tiles.extend(level);
            if above.is_empty() {
                return Self { groups, zoom, tiles };
            }
            level = above;
        }
    }

    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The shares of a tile of the layer this was made from; `None` where nothing is.
    pub fn get(&self, layer: &Layer, tile: TileAddress) -> Option<Cow<'_, Shares>> {
        if tile.z() <= self.zoom {
            return self.tiles.get(&tile).map(Cow::Borrowed);
        }
        Some(Shares::measure(layer, &self.groups, tile)).filter(|s| !s.is_empty()).map(Cow::Owned)
    }
}

/// The groups that occur in a layer.
pub fn groups_of(layer: &Layer) -> Vec<Group> {
    let mut groups: Vec<Group> =
        layer.features().iter().map(|f| group_of(&layer.info().name, f)).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// A layer is measured beforehand only as deep as this many tiles; deeper ones hold few features.
const MAX_TILES: u64 = 1024;

/// The tiles of a layer at the deepest zoom, up to the given one, where they are few enough.
fn tiles_over(layer: &Layer, deepest: u8) -> Vec<TileAddress> {
    let Some(bounds) = layer.bounds() else { return Vec::new() };
    let corners = [bounds.min(), bounds.max()].map(address::project);
    let mut tiles = Vec::new();
    for zoom in (0..=deepest).rev() {
        let [a, b] = corners.map(|corner| TileAddress::at(zoom, corner));
        let (columns, rows) =
            (a.x().min(b.x())..=a.x().max(b.x()), a.y().min(b.y())..=a.y().max(b.y()));
        let count =
            |range: &std::ops::RangeInclusive<u32>| u64::from(range.end() - range.start()) + 1;
        if count(&columns) * count(&rows) <= MAX_TILES {
            for x in columns {
                tiles.extend(rows.clone().filter_map(|y| TileAddress::new(zoom, x, y)));
            }
            break;
        }
    }
    tiles
}
