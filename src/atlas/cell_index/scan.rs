//! Runs edges through a grid: which cells each crosses, and where it crosses the lines between.
//!
//! All decisions are exact, so that they agree wherever they are taken: an edge crosses a line of
//! the grid to one side of a corner or the other, the same for its twin in the neighbouring polygon
//! and for every grid that has that corner. Coordinates are doubled, so that vertices (odd) and
//! lines (even) never meet.

use super::layout::{CELL_BITS, Frame, unit};
use geo::Coord;

/// An edge from its lower to its upper end (if level, from west to east), in half units from the
/// frame's corner.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    pub ax: i64,
    pub ay: i64,
    pub bx: i64,
    pub by: i64,
    /// The ring runs it from a to b.
    pub forward: bool,
}

/// A vertex in half units from the frame's corner.
#[inline]
pub fn vertex(frame: &Frame, c: Coord) -> (i64, i64) {
    (2 * (unit(c.x) - frame.west) + 1, 2 * (unit(c.y) - frame.south) + 1)
}

impl Edge {
    /// `None` where both ends are one unit.
    #[inline]
    pub fn new(from: (i64, i64), to: (i64, i64)) -> Option<Self> {
        if from == to {
            return None;
        }
        let forward = (from.1, from.0) < (to.1, to.0);
        let (a, b) = if forward { (from, to) } else { (to, from) };
        Some(Self { ax: a.0, ay: a.1, bx: b.0, by: b.1, forward })
    }

    #[inline]
    fn x_at(&self, y: i64) -> f64 {
        self.ax as f64
            + (y - self.ay) as f64 * ((self.bx - self.ax) as f64 / (self.by - self.ay) as f64)
    }

    #[inline]
    fn y_at(&self, x: i64) -> f64 {
        self.ay as f64
            + (x - self.ax) as f64 * ((self.by - self.ay) as f64 / (self.bx - self.ax) as f64)
    }

    /// Whether the edge crosses the line at `y` west of `x`, or at it. The edge spans `y`.
    #[inline]
    fn crosses_west_of(&self, x: i64, y: i64) -> bool {
        let (dx, dy) = (i128::from(self.bx - self.ax), i128::from(self.by - self.ay));
        i128::from(x - self.ax) * dy >= i128::from(y - self.ay) * dx
    }
}

/// The floor, give or take 2^-8 beside whole numbers, of numbers below 2^43. The compiler makes a
/// call of `f64::floor`.
#[inline]
fn floor(x: f64) -> i64 {
    const SHIFT: i64 = 1 << 44;
    (x + SHIFT as f64) as i64 - SHIFT
}

/// A grid of equal cells; its corner in half units from the frame's corner.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    pub west: i64,
    pub south: i64,
    /// Binary logarithm of a cell's side in units.
    pub log2_cell: u32,
    pub columns: i64,
    pub rows: i64,
}

/// The part of an edge in a cell: from its lower to its upper end, in steps of the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub ends: [u16; 4],
    /// It enters, or leaves, through the cell's western border.
    pub enters_west: bool,
    pub leaves_west: bool,
}

/// What [`Grid::scan`] finds.
pub trait Sink {
    /// The edge comes within a unit of the cell; `piece` is its part inside.
    fn touch(&mut self, column: i64, row: i64, piece: Option<Piece>);
    /// The edge crosses the northern line of a row, east of the grid's western line and west of
    /// the north-western corner of this column.
    fn crosses_north(&mut self, column: i64, row: i64);
    /// The edge crosses the grid's western line in this row.
    fn crosses_west(&mut self, row: i64);
}

/// How near an edge must come to touch a cell, half units: far above all rounding, of which the
/// largest is that of vertices and positions to units.
const BESIDE: i64 = 4;

/// Rounding of [`Edge::x_at`] is below 2^-9 half units for coordinates below 2^41.
const CERTAIN: f64 = 1.0 / 64.0;

impl Grid {
    fn log2_side(&self) -> u32 {
        self.log2_cell + 1
    }

    /// The column in which the edge crosses the line at `y`.
    #[inline]
    fn column_at(&self, edge: &Edge, y: i64) -> (i64, f64) {
        let bits = self.log2_side();
        let side = (1i64 << bits) as f64;
        let x = edge.x_at(y).clamp(edge.ax.min(edge.bx) as f64, edge.ax.max(edge.bx) as f64);
        let from = x - self.west as f64;
        let mut column = floor(from) >> bits;
        let within = from - (column << bits) as f64;
        if within < CERTAIN {
            if !edge.crosses_east_of(self.west + (column << bits), y) {
                column -= 1;
            }
        } else if within > side - CERTAIN
            && edge.crosses_east_of(self.west + ((column + 1) << bits), y)
        {
            column += 1;
        }
        (column, x)
    }

    /// Steps from a cell's corner.
    #[inline]
    fn steps(&self, from_corner: i64) -> u16 {
        let bits = self.log2_side();
        let shift = self.log2_cell.saturating_sub(CELL_BITS);
        ((from_corner.clamp(0, 1 << bits) + (1 << shift)) >> (shift + 1)) as u16
    }

    #[inline]
    fn steps_f(&self, from_corner: f64) -> u16 {
        self.steps(floor(from_corner + 0.5))
    }

    /// Runs one edge through the grid.
    pub fn scan(&self, edge: &Edge, sink: &mut impl Sink) {
        let bits = self.log2_side();
        let side = 1i64 << bits;
        let (ax, ay) = (edge.ax - self.west, edge.ay - self.south);
        let (bx, by) = (edge.bx - self.west, edge.by - self.south);
        let (row_a, row_b) = (ay >> bits, by >> bits);
        let (column_a, column_b) = (ax >> bits, bx >> bits);

        // Most edges lie in one cell, clear of its borders.
        if row_a == row_b && column_a == column_b {
            let clear =
                |v: i64| (v & (side - 1)).wrapping_sub(BESIDE) as u64 <= (side - 2 * BESIDE) as u64;
            if clear(ax) && clear(ay) && clear(bx) && clear(by) {
                if (0..self.rows).contains(&row_a) && (0..self.columns).contains(&column_a) {
                    let shift = self.log2_cell.saturating_sub(CELL_BITS);
                    let steps = |v: i64| (((v & (side - 1)) + (1 << shift)) >> (shift + 1)) as u16;
                    let ends = [steps(ax), steps(ay), steps(bx), steps(by)];
                    let piece = Piece { ends, enters_west: false, leaves_west: false };
                    sink.touch(column_a, row_a, Some(piece));
                }
                return;
            }
        }
        if ax.max(bx) < -BESIDE || ax.min(bx) > (self.columns << bits) + BESIDE {
            // Still it may cross lines west of the grid; none of that is asked for.
            return;
        }

        let slope = (edge.bx - edge.ax) as f64 / (edge.by - edge.ay).max(1) as f64;
        let beside = (slope.abs() * BESIDE as f64) as i64 + BESIDE;
        let first = ((ay - BESIDE) >> bits).max(0);
        let last = ((by + BESIDE) >> bits).min(self.rows - 1);
        let mut entering: Option<(i64, f64)> = None;
        for row in first..=last {
            let (low, high) = (row << bits, (row + 1) << bits);
            let inside = row >= row_a && row <= row_b;
            let mut columns = None;
            if inside {
                let enter = if row == row_a {
                    (column_a, edge.ax as f64)
                } else {
                    entering.unwrap_or_else(|| self.column_at(edge, self.south + low))
                };
                let leave = if row == row_b {
                    (column_b, edge.bx as f64)
                } else {
                    let crossing = self.column_at(edge, self.south + high);
                    if crossing.0 >= 0 && crossing.0 + 1 < self.columns {
                        sink.crosses_north(crossing.0 + 1, row);
                    }
                    crossing
                };
                entering = Some(leave);
                if (enter.0 < 0) != (leave.0 < 0) {
                    sink.crosses_west(row);
                }
                columns = Some((enter, leave));
            }
            // What comes within two units of the row. An edge's x over two units of height changes
            // by `beside` at most; where that is much, more cells are told of it than need be.
            let (x0, x1) = match columns {
                Some(((_, enter), (_, leave))) => (floor(enter), floor(leave)),
                None if row < row_a => (edge.ax, edge.ax),
                None => (edge.bx, edge.bx),
            };
            let reach = |x: i64| (x - self.west).clamp(ax.min(bx), ax.max(bx));
            let mut west = (reach(x0.min(x1) - beside) - BESIDE) >> bits;
            let mut east = (reach(x0.max(x1) + beside) + BESIDE) >> bits;
            if let Some((enter, leave)) = columns {
                west = west.min(enter.0).min(leave.0);
                east = east.max(enter.0).max(leave.0);
            }
            for column in west.max(0)..=east.min(self.columns - 1) {
                let piece = columns.and_then(|(enter, leave)| {
                    self.piece(edge, row, column, (row == row_a, enter), (row == row_b, leave))
                });
                sink.touch(column, row, piece);
            }
        }
    }

    /// The part in one cell of an edge that goes through its row from `enter` to `leave`, columns
    /// with their x; the flags tell whether the edge begins or ends in the row.
    #[inline]
    fn piece(
        &self,
        edge: &Edge,
        row: i64,
        column: i64,
        (begins, enter): (bool, (i64, f64)),
        (ends, leave): (bool, (i64, f64)),
    ) -> Option<Piece> {
        if column < enter.0.min(leave.0) || column > enter.0.max(leave.0) {
            return None;
        }
        let bits = self.log2_side();
        let eastward = leave.0 > enter.0;
        let (west, south) = (self.west + (column << bits), self.south + (row << bits));
        let (east, side) = (west + (1 << bits), 1i64 << bits);
        let upright = |x: i64| self.steps_f(edge.y_at(x) - south as f64);
        let level = |x: f64| self.steps_f(x - west as f64);
        let span = self.steps(side);
        let (mut enters_west, mut leaves_west) = (false, false);
        let start = if column == enter.0 {
            if begins {
                [self.steps(edge.ax - west), self.steps(edge.ay - south)]
            } else {
                [level(enter.1), 0]
            }
        } else if eastward {
            enters_west = true;
            [0, upright(west)]
        } else {
            [span, upright(east)]
        };
        let end = if column == leave.0 {
            if ends {
                [self.steps(edge.bx - west), self.steps(edge.by - south)]
            } else {
                [level(leave.1), span]
            }
        } else if eastward {
            [span, upright(east)]
        } else {
            leaves_west = true;
            [0, upright(west)]
        };
        Some(Piece { ends: [start[0], start[1], end[0], end[1]], enters_west, leaves_west })
    }
}

impl Edge {
    /// Whether the edge crosses the line at `y` east of `x`; a crossing at `x` counts as west.
    #[inline]
    fn crosses_east_of(&self, x: i64, y: i64) -> bool {
        !self.crosses_west_of(x, y)
    }
}
