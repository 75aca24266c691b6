//! A grid over a layer that answers most positions with one memory access.
//!
//! The layer's bounding box is cut into equal squares. A square that no border touches is wholly
//! inside or outside every polygon, so its answer is known beforehand; for the others the
//! directory names the few polygons whose border crosses the square, and their exact test decides.
//! It is exact because squares are marked as crossed with a margin far above the rounding of the
//! arithmetic that finds a position's square.

use super::layer::FeatureIndex;
use crate::geometry::containment::{PreparedPolygon, rings};
use geo::{Coord, MultiPolygon, Rect};
use rayon::prelude::*;
use std::ops::Range;

/// By how much, in squares, an edge counts as touching its neighbour square too. The rounding in
/// [`Directory::square`] is below 1e-10 squares.
const MARGIN: f64 = 1e-6;

/// Squares per edge of the layer: borders then cross about a third of the squares.
const SQUARES_PER_EDGE: usize = 4;
const MIN_SQUARES: usize = 1 << 10;
const MAX_SQUARES: usize = 1 << 24;

/// Polygons that may meet in a square on average, before a coarser grid is taken: a bound on the
/// memory that hostile data can cause.
const MARKS_PER_SQUARE: f64 = 16.0;

/// A polygon that holds a square, or part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate(u32);

impl Candidate {
    fn new(index: FeatureIndex, whole: bool) -> Self {
        Self(index << 1 | u32::from(whole))
    }

    pub fn index(self) -> FeatureIndex {
        self.0 >> 1
    }

    /// The polygon holds all of the square; otherwise its exact test decides.
    pub fn is_whole(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The grid. Costs 4 bytes per square and 4 per candidate of the squares that need a list.
#[derive(Debug, Default)]
pub struct Directory {
    west: f64,
    south: f64,
    /// Squares per degree, east and north.
    per_degree: [f64; 2],
    columns: usize,
    rows: usize,
    /// Square to `lists[lists_from[i]..]`: the length, then that many candidates, lowest first.
    /// 0 is the empty list; it stands at the beginning. A sole whole polygon is `WHOLE | index`.
    squares: Vec<u32>,
    lists: Vec<u32>,
}

/// Marks a square that one polygon holds whole and no border touches.
const WHOLE: u32 = 1 << 31;

/// What one polygon does to one square, for building.
struct Mark {
    square: u32,
    candidate: Candidate,
}

/// Sums over the polygons of a layer, degrees.
struct Extent {
    bounds: Rect,
    polygons: usize,
    edges: usize,
    box_area: f64,
    box_width: f64,
    box_height: f64,
    edge_width: f64,
    edge_height: f64,
}

impl Extent {
    fn of(polygons: &[(&MultiPolygon, &PreparedPolygon)]) -> Option<Self> {
        let mut sum = Self {
            bounds: polygons.first()?.1.bounds(),
            polygons: polygons.len(),
            edges: 0,
            box_area: 0.0,
            box_width: 0.0,
            box_height: 0.0,
            edge_width: 0.0,
            edge_height: 0.0,
        };
        for (polygon, prepared) in polygons {
            let (all, own) = (sum.bounds, prepared.bounds());
            let (low, high) = (all.min(), all.max());
            sum.bounds = Rect::new(
                Coord { x: low.x.min(own.min().x), y: low.y.min(own.min().y) },
                Coord { x: high.x.max(own.max().x), y: high.y.max(own.max().y) },
            );
            sum.box_area += own.width() * own.height();
            sum.box_width += own.width();
            sum.box_height += own.height();
            for edge in rings(polygon).flat_map(|ring| ring.lines()) {
                sum.edges += 1;
                sum.edge_width += edge.dx().abs();
                sum.edge_height += edge.dy().abs();
            }
        }
        Some(sum)
    }
}

impl Directory {
    /// Builds the directory of polygons whose indices are their order. `None` where it would not
    /// pay: no polygon, or so many on top of each other that every square would list them.
    pub fn build(polygons: &[(&MultiPolygon, &PreparedPolygon)]) -> Option<Self> {
        let extent = Extent::of(polygons)?;
        let wanted = extent.edges.saturating_mul(SQUARES_PER_EDGE).clamp(MIN_SQUARES, MAX_SQUARES);
        let budget = wanted as f64 * MARKS_PER_SQUARE;
        let mut directory = Self::grid(extent.bounds, wanted);
        let mut coarser = wanted;
        while directory.most_marks(&extent) > budget {
            coarser /= 4;
            if coarser < MIN_SQUARES / 4 {
                return None;
            }
            directory = Self::grid(extent.bounds, coarser);
        }
        let marks: Vec<Vec<Mark>> = polygons
            .par_iter()
            .enumerate()
            .map(|(index, (polygon, prepared))| directory.marks(index as u32, polygon, prepared))
            .collect();
        directory.file(marks);
        Some(directory)
    }

    /// An upper bound of the marks, from boxes and edge lengths alone.
    fn most_marks(&self, extent: &Extent) -> f64 {
        let [east, north] = self.per_degree;
        extent.box_area * east * north
            + (extent.box_width + extent.edge_width) * east
            + (extent.box_height + extent.edge_height) * north
            + 4.0 * (extent.edges + extent.polygons) as f64
    }

    fn grid(bounds: Rect, wanted: usize) -> Self {
        // A hundredth of a square around, so that no position of a polygon falls off the grid.
        let (width, height) = (bounds.width().max(1e-9), bounds.height().max(1e-9));
        let side = (width * height / wanted as f64).sqrt();
        let columns = ((width / side).ceil() as usize).clamp(1, wanted);
        let rows = ((height / side).ceil() as usize).clamp(1, (wanted / columns).max(1));
        let (pad_x, pad_y) = (width / columns as f64 * 0.01, height / rows as f64 * 0.01);
        Self {
            west: bounds.min().x - pad_x,
            south: bounds.min().y - pad_y,
            per_degree: [
                columns as f64 / (width + 2.0 * pad_x),
                rows as f64 / (height + 2.0 * pad_y),
            ],
            columns,
            rows,
            ..Self::default()
        }
    }

    /// Grid coordinates: whole numbers are the borders of squares.
    #[inline]
    fn grid_position(&self, position: Coord) -> (f64, f64) {
        (
            (position.x - self.west) * self.per_degree[0],
            (position.y - self.south) * self.per_degree[1],
        )
    }

    #[inline]
    fn square(&self, position: Coord) -> Option<usize> {
        let (u, v) = self.grid_position(position);
        // Comparisons with NaN are false, so it is off the grid.
        let on_grid = u >= 0.0 && v >= 0.0 && u < self.columns as f64 && v < self.rows as f64;
        on_grid.then(|| v as usize * self.columns + u as usize)
    }

    /// The polygons that may hold the position, lowest index first.
    #[inline]
    pub fn candidates(&self, position: Coord) -> impl Iterator<Item = Candidate> + '_ {
        let entry = self.square(position).map_or(0, |square| self.squares[square]);
        let (sole, list): (_, &[u32]) = if entry & WHOLE != 0 {
            (Some(Candidate::new(entry & !WHOLE, true)), &[])
        } else if entry == 0 {
            (None, &[])
        } else {
            let from = entry as usize + 1;
            (None, &self.lists[from..from + self.lists[entry as usize] as usize])
        };
        sole.into_iter().chain(list.iter().map(|&raw| Candidate(raw)))
    }

    /// The columns (or rows) that an interval of grid coordinates touches, margin included.
    fn touched(from: f64, to: f64, count: usize) -> Range<usize> {
        let first = (from.min(to) - MARGIN).max(0.0) as usize;
        let last = ((from.max(to) + MARGIN).max(0.0) as usize).min(count - 1);
        first.min(last)..last + 1
    }

    /// The squares a polygon's border crosses, and those it holds whole.
    fn marks(
        &self,
        index: FeatureIndex,
        polygon: &MultiPolygon,
        prepared: &PreparedPolygon,
    ) -> Vec<Mark> {
        let mut crossed: Vec<u32> = Vec::new();
        for edge in rings(polygon).flat_map(|ring| ring.lines()) {
            self.trace(edge.start, edge.end, |square| crossed.push(square as u32));
        }
        crossed.sort_unstable();
        crossed.dedup();
        // Between two crossed squares of a row no border passes: one test answers for the run.
        let mut marks = Vec::with_capacity(crossed.len());
        let mut previous: Option<u32> = None;
        for &square in &crossed {
            if let Some(last) = previous {
                let same_row = last as usize / self.columns == square as usize / self.columns;
                if same_row
                    && square > last + 1
                    && prepared.contains(self.centre(last as usize + 1))
                {
                    let whole = Candidate::new(index, true);
                    marks.extend((last + 1..square).map(|s| Mark { square: s, candidate: whole }));
                }
            }
            marks.push(Mark { square, candidate: Candidate::new(index, false) });
            previous = Some(square);
        }
        marks
    }

    /// Every square that an edge touches, some more than once.
    fn trace(&self, a: Coord, b: Coord, mut touch: impl FnMut(usize)) {
        let ((au, av), (bu, bv)) = (self.grid_position(a), self.grid_position(b));
        let slope = (bu - au) / (bv - av);
        for row in Self::touched(av, bv, self.rows) {
            // The part of the edge between this row's borders, margin included.
            let (low, high) = (row as f64 - MARGIN, (row + 1) as f64 + MARGIN);
            let (mut from, mut to) = (au, bu);
            if slope.is_finite() {
                let clip = |v: f64| au + (v.clamp(av.min(bv), av.max(bv)) - av) * slope;
                (from, to) = (clip(low), clip(high));
                // A nearly level edge makes a huge slope; the ends bound the rounding.
                let (least, most) = (au.min(bu), au.max(bu));
                (from, to) = (from.clamp(least, most), to.clamp(least, most));
            }
            for column in Self::touched(from, to, self.columns) {
                touch(row * self.columns + column);
            }
        }
    }

    fn centre(&self, square: usize) -> Coord {
        let (row, column) = (square / self.columns, square % self.columns);
        Coord {
            x: self.west + (column as f64 + 0.5) / self.per_degree[0],
            y: self.south + (row as f64 + 0.5) / self.per_degree[1],
        }
    }

    /// Turns marks, in the order of their polygons, into squares and lists.
    fn file(&mut self, marks: Vec<Vec<Mark>>) {
        let count = self.columns * self.rows;
        // A counting sort by square keeps the polygons of a square in order.
        let mut starts = vec![0u32; count + 1];
        for mark in marks.iter().flatten() {
            starts[mark.square as usize + 1] += 1;
        }
        for square in 0..count {
            starts[square + 1] += starts[square];
        }
        let mut sorted = vec![0u32; starts[count] as usize];
        let mut next = starts.clone();
        for mark in marks.iter().flatten() {
            let slot = &mut next[mark.square as usize];
            sorted[*slot as usize] = mark.candidate.0;
            *slot += 1;
        }
        self.lists.push(0);
        self.squares = (0..count)
            .map(|square| match &sorted[starts[square] as usize..starts[square + 1] as usize] {
                [] => 0,
                [sole] if Candidate(*sole).is_whole() => WHOLE | Candidate(*sole).index(),
                candidates => {
                    let from = self.lists.len() as u32;
                    self.lists.push(candidates.len() as u32);
                    self.lists.extend_from_slice(candidates);
                    from
                }
            })
            .collect();
        self.lists.shrink_to_fit();
    }

    /// Bytes of memory, for figures.
    pub fn bytes(&self) -> usize {
        (self.squares.len() + self.lists.len()) * size_of::<u32>()
    }
}
