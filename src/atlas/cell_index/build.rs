//! Builds the index: root grid, then each of its cells on its own.

use super::Fineness;
use super::divide::{Blob, MIN_LOG2_CELL, Member, Worker};
use super::layout::{Entry, Frame, GRID_ALIGN, MAX_DEGREES, PADDING, unit};
use super::leaf::Slot;
use super::scan::{Edge, Grid, vertex};
use super::sweep::Sweep;
use crate::geometry::containment::rings;
use geo::{Coord, MultiPolygon};
use rayon::prelude::*;

/// Edges of a usual parcel.
const TYPICAL_EDGES: f64 = 22.0;
/// Cells of the root grid: few, so that they stay in the processor's cache.
const MAX_ROOTS: f64 = 65_536.0;
/// Cells per side of a root cell's grid (binary logarithm).
const MAX_LOG2_CELLS: u32 = 9;
/// Positions in a root cell fit 32 bits.
const MAX_LOG2_ROOT: u32 = 31;
/// Entries per edge and cell of a root cell's grids together, above which it is left undivided.
const WORK_PER_EDGE: usize = 32;
const MIN_WORK: usize = 1 << 16;

/// The words of an index and where it lies.
pub struct Built {
    pub frame: Frame,
    pub words: Vec<u32>,
}

/// A polygon's bounding box in units.
#[derive(Debug, Clone, Copy)]
struct Extent {
    low: (i64, i64),
    high: (i64, i64),
}

impl Extent {
    fn of(polygons: &MultiPolygon) -> Option<Self> {
        let mut all: Option<(Coord, Coord)> = None;
        for ring in rings(polygons) {
            for &c in &ring.0 {
                if !(c.x.abs() <= MAX_DEGREES && c.y.abs() <= MAX_DEGREES) {
                    return None;
                }
                let (low, high) = all.get_or_insert((c, c));
                *low = Coord { x: low.x.min(c.x), y: low.y.min(c.y) };
                *high = Coord { x: high.x.max(c.x), y: high.y.max(c.y) };
            }
        }
        let (low, high) = all?;
        let (low, high) = ((unit(low.x), unit(low.y)), (unit(high.x), unit(high.y)));
        Some(Self { low, high })
    }
}

/// Builds the index of polygons whose indices are their order. `None` where they are none, too
/// many, or off the earth.
pub fn build<'a>(
    count: usize,
    shape: impl Fn(usize) -> &'a MultiPolygon + Sync,
    fineness: &Fineness,
) -> Option<Built> {
    if count == 0 || count >= Entry::LIMIT as usize {
        return None;
    }
    let extents: Vec<Extent> =
        (0..count).into_par_iter().map(|i| Extent::of(shape(i))).collect::<Option<_>>()?;
    let frame = root_frame(&extents, fineness)?;
    let roots = assign(&frame, &extents, &shape);
    let blobs: Vec<Blob> = roots
        .into_par_iter()
        .map_init(Worker::default, |worker, root| root.build(&frame, &shape, fineness, worker))
        .collect();
    let mut words = vec![0; blobs.len().next_multiple_of(GRID_ALIGN)];
    let size: usize = blobs.iter().map(|blob| blob.words.len()).sum();
    words.reserve_exact(size + PADDING);
    if words.len() + size + PADDING >= Entry::LIMIT as usize {
        return None;
    }
    for (cell, mut blob) in blobs.into_iter().enumerate() {
        let base = words.len() as u32;
        blob.grids.iter().for_each(|grid| {
            for word in &mut blob.words[grid.clone()] {
                *word = Entry(*word).moved(base).0;
            }
        });
        words[cell] = blob.entry.moved(base).0;
        words.append(&mut blob.words);
    }
    words.resize(words.len() + PADDING, 0);
    Some(Built { frame, words })
}

fn root_frame(extents: &[Extent], fineness: &Fineness) -> Option<Frame> {
    let fold = |a: Extent, b: &Extent| Extent {
        low: (a.low.0.min(b.low.0), a.low.1.min(b.low.1)),
        high: (a.high.0.max(b.high.0), a.high.1.max(b.high.1)),
    };
    let all = extents.iter().fold(*extents.first()?, fold);
    // Room on all sides, so that positions just outside are in a cell that knows the edges.
    let (west, south) = (all.low.0 - 8, all.low.1 - 8);
    let (width, height) = ((all.high.0 - west + 8) as f64, (all.high.1 - south + 8) as f64);
    let wanted = (extents.len() as f64 / fineness.polygons_per_root).clamp(1.0, MAX_ROOTS);
    // One root takes in all; otherwise the nearest power of two.
    let log2_side = if wanted <= 1.0 {
        width.max(height).log2().ceil() as u32
    } else {
        ((width * height / wanted).sqrt().log2().round() as u32)
            .max((width.max(height) / MAX_ROOTS).log2().ceil().max(0.0) as u32)
    };
    let log2_side = log2_side.clamp(MIN_LOG2_CELL, MAX_LOG2_ROOT);
    let cells = |size: f64| (size / (1u64 << log2_side) as f64).ceil().max(1.0) as u32;
    let (columns, rows) = (cells(width), cells(height));
    (u64::from(columns) * u64::from(rows) <= 1 << 24).then_some(Frame {
        west,
        south,
        log2_side,
        columns,
        rows,
    })
}

/// What lies in a cell of the root grid.
#[derive(Default)]
struct Root {
    cell: u32,
    /// Polygons that are nowhere else.
    whole: Vec<u32>,
    /// Polygons that are elsewhere too: whether they hold the corner, and which edges are near.
    parts: Vec<(u32, bool, Vec<u32>)>,
}

fn edges_of(frame: &Frame, polygons: &MultiPolygon, mut each: impl FnMut(u32, Edge)) -> u32 {
    let mut number = 0;
    for ring in rings(polygons) {
        let mut vertices = ring.0.iter().map(|&c| vertex(frame, c));
        let Some(mut from) = vertices.next() else { continue };
        for to in vertices {
            if let Some(edge) = Edge::new(from, to) {
                each(number, edge);
            }
            number += 1;
            from = to;
        }
    }
    number
}

fn assign<'a>(
    frame: &Frame,
    extents: &[Extent],
    shape: &(impl Fn(usize) -> &'a MultiPolygon + Sync),
) -> Vec<Root> {
    let (columns, rows) = (i64::from(frame.columns), i64::from(frame.rows));
    let mut roots: Vec<Root> =
        (0..frame.columns * frame.rows).map(|cell| Root { cell, ..Root::default() }).collect();
    let cell_of = |extent: &Extent| {
        let bits = frame.log2_side;
        let west = (extent.low.0 - 4 - frame.west) >> bits;
        let south = (extent.low.1 - 4 - frame.south) >> bits;
        let one = west == (extent.high.0 + 4 - frame.west) >> bits
            && south == (extent.high.1 + 4 - frame.south) >> bits;
        one.then(|| (south * columns + west) as u32)
    };
    let grid = Grid { west: 0, south: 0, log2_cell: frame.log2_side, columns, rows };
    // In runs, so that what is found does not pile up before it is filed.
    const RUN: usize = 1 << 16;
    for first in (0..extents.len()).step_by(RUN) {
        let run = first..(first + RUN).min(extents.len());
        type Parts = Vec<(u32, u32, bool, Vec<u32>)>;
        let found: Vec<(usize, Parts)> = run
            .clone()
            .into_par_iter()
            .filter(|&i| cell_of(&extents[i]).is_none())
            .map_init(Sweep::default, |sweep, i| {
                let mut parts: Parts = Vec::new();
                sweep.clear(&grid);
                edges_of(frame, shape(i), |number, edge| sweep.edge(&grid, 0, number, &edge));
                sweep.finish(&grid, 0, false);
                sweep.by_cell(|cell, known, near| {
                    let edges = near.iter().map(|near| near.edge).collect();
                    parts.extend(
                        known.first().map(|known| (cell, i as u32, known.at_corner, edges)),
                    );
                });
                (i, parts)
            })
            .collect();
        let mut straddling = found.into_iter().peekable();
        for i in run {
            match cell_of(&extents[i]) {
                Some(cell) => roots[cell as usize].whole.push(i as u32),
                None => {
                    let Some((_, parts)) = straddling.next_if(|(j, _)| *j == i) else { continue };
                    for (cell, index, at_corner, edges) in parts {
                        roots[cell as usize].parts.push((index, at_corner, edges));
                    }
                }
            }
        }
    }
    roots
}

impl Root {
    fn build<'a>(
        self,
        frame: &Frame,
        shape: &(impl Fn(usize) -> &'a MultiPolygon + Sync),
        fineness: &Fineness,
        worker: &mut Worker,
    ) -> Blob {
        let mut blob = Blob { entry: Entry::NOTHING, words: Vec::new(), grids: Vec::new() };
        let mut edges: Vec<Edge> = Vec::new();
        let mut members = Vec::with_capacity(self.whole.len() + self.parts.len());
        let mut polygons = 0.0;
        let (mut whole, mut parts) = (self.whole.iter().peekable(), self.parts.iter().peekable());
        loop {
            let from = edges.len();
            let next_whole = whole.next_if(|&&i| parts.peek().is_none_or(|part| i < part.0));
            if let Some(&index) = next_whole {
                edges_of(frame, shape(index as usize), |_, edge| edges.push(edge));
                members.push(Member { index, at_corner: false, edges: from..edges.len() });
                polygons += 1.0;
            } else if let Some((index, at_corner, near)) = parts.next() {
                let mut wanted = near.iter().copied().peekable();
                let total = edges_of(frame, shape(*index as usize), |number, edge| {
                    if wanted.next_if_eq(&number).is_some() {
                        edges.push(edge);
                    }
                });
                members.push(Member {
                    index: *index,
                    at_corner: *at_corner,
                    edges: from..edges.len(),
                });
                polygons += near.len() as f64 / f64::from(total.max(1));
            } else {
                break;
            }
        }
        if members.is_empty() {
            return blob;
        }
        if edges.is_empty() {
            // Only polygons that hold all of it.
            let slots: Vec<Slot> = members
                .iter()
                .map(|m| Slot { index: m.index, at_reference: m.at_corner })
                .collect();
            blob.entry = match slots[..] {
                [slot] => Entry::whole(slot.index),
                _ => worker
                    .leaf
                    .write(&slots, &[], &mut blob.words)
                    .map_or(Entry::UNDECIDED, Entry::leaf),
            };
            blob.words.resize(blob.words.len().next_multiple_of(GRID_ALIGN), 0);
            return blob;
        }
        let per_polygon = (edges.len() as f64 / f64::max(polygons, 0.01) / TYPICAL_EDGES).max(1.0);
        let wanted =
            fineness.cells_per_polygon * polygons.max(0.01) * per_polygon.powf(fineness.growth);
        let most = MAX_LOG2_CELLS.min(frame.log2_side - MIN_LOG2_CELL + 1);
        let log2_cells = ((wanted.max(1.0).log2() / 2.0).round() as u32).clamp(1, most.max(1));
        let corner = Grid {
            west: i64::from(self.cell % frame.columns) << (frame.log2_side + 1),
            south: i64::from(self.cell / frame.columns) << (frame.log2_side + 1),
            log2_cell: frame.log2_side,
            columns: 1,
            rows: 1,
        };
        worker.work = MIN_WORK + WORK_PER_EDGE * edges.len();
        let order: Vec<u32> = (0..edges.len() as u32).collect();
        blob.entry =
            worker.grid(&corner, log2_cells, &members, &order, &edges, fineness, &mut blob);
        blob.words.resize(blob.words.len().next_multiple_of(GRID_ALIGN), 0);
        blob
    }
}
