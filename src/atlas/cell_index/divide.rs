//! Divides one cell into a grid, and its cells again where they hold too much.

use super::Fineness;
use super::layout::{Entry, GRID_ALIGN};
use super::leaf::{LeafWriter, Part, Slot};
use super::scan::{Edge, Grid};
use super::sweep::{Known, Near, Sweep};

/// Cells are not divided below this side, units (binary logarithm).
pub const MIN_LOG2_CELL: u32 = 4;
/// A polygon in a grid: the state at the grid's north-western corner and its edges there.
pub struct Member {
    pub index: u32,
    pub at_corner: bool,
    pub edges: std::ops::Range<usize>,
}

/// A root cell's part of the index. Entries count from its beginning.
pub struct Blob {
    pub entry: Entry,
    pub words: Vec<u32>,
    /// Where grids lie in it.
    pub grids: Vec<std::ops::Range<usize>>,
}

/// One thread's buffers.
#[derive(Default)]
pub struct Worker {
    sweeps: Vec<Sweep>,
    pub leaf: LeafWriter,
    parts: Vec<Part>,
    slots: Vec<Slot>,
    pub work: usize,
}

impl Worker {
    /// Writes the grid that divides a cell; members name ranges of `order`, which names edges.
    #[allow(clippy::too_many_arguments)]
    pub fn grid(
        &mut self,
        cell: &Grid,
        log2_cells: u32,
        members: &[Member],
        order: &[u32],
        edges: &[Edge],
        fineness: &Fineness,
        blob: &mut Blob,
    ) -> Entry {
        let log2_cells = log2_cells.min(cell.log2_cell);
        let side = 1i64 << log2_cells;
        let grid =
            Grid { log2_cell: cell.log2_cell - log2_cells, columns: side, rows: side, ..*cell };
        let mut sweep = self.sweeps.pop().unwrap_or_default();
        sweep.clear(&grid);
        let cells = (side * side) as usize;
        for (number, member) in (0..).zip(members) {
            for &edge in &order[member.edges.clone()] {
                sweep.edge(&grid, number, edge, &edges[edge as usize]);
            }
            sweep.finish(&grid, number, member.at_corner);
            // Hundreds of polygons on one place, or edges without end: the exact path can do that.
            if sweep.records() + cells > self.work {
                self.sweeps.push(sweep);
                return Entry::UNDECIDED;
            }
        }
        self.work -= sweep.records() + cells;
        let at = blob.words.len().next_multiple_of(GRID_ALIGN);
        let span = at..at + cells;
        blob.words.resize(span.end, 0);
        blob.grids.push(span);
        sweep.by_cell(|cell, known, near| {
            let corner = Grid {
                west: grid.west + ((i64::from(cell) % side) << (grid.log2_cell + 1)),
                south: grid.south + ((i64::from(cell) / side) << (grid.log2_cell + 1)),
                columns: 1,
                rows: 1,
                ..grid
            };
            let entry = self.cell(&corner, known, near, members, edges, fineness, blob);
            blob.words[at + cell as usize] = entry.0;
        });
        self.sweeps.push(sweep);
        Entry::grid(log2_cells, at as u32)
    }

    #[allow(clippy::too_many_arguments)]
    fn cell(
        &mut self,
        corner: &Grid,
        known: &[Known],
        near: &[Near],
        members: &[Member],
        edges: &[Edge],
        fineness: &Fineness,
        blob: &mut Blob,
    ) -> Entry {
        if let ([only], []) = (known, near) {
            return Entry::whole(members[only.member as usize].index);
        }
        self.slots.clear();
        self.slots.extend(known.iter().map(|known| Slot {
            index: members[known.member as usize].index,
            at_reference: known.at_corner,
        }));
        let divisible = corner.log2_cell > MIN_LOG2_CELL && !near.is_empty();
        // Each border comes twice.
        if !(divisible && near.len() > 2 * fineness.divide_from) {
            self.parts.clear();
            let mut slot = 0;
            self.parts.extend(near.iter().map(|near| {
                while known[slot].member != near.member {
                    slot += 1;
                }
                Part { slot, piece: near.piece, forward: edges[near.edge as usize].forward }
            }));
            if let Some(word) = self.leaf.write(&self.slots, &self.parts, &mut blob.words) {
                return Entry::leaf(word);
            }
        }
        if !divisible {
            return Entry::UNDECIDED;
        }
        let mut order = Vec::with_capacity(near.len());
        let mut near = near.iter().peekable();
        let inner: Vec<Member> = known
            .iter()
            .map(|known| {
                let from = order.len();
                while let Some(near) = near.next_if(|near| near.member == known.member) {
                    order.push(near.edge);
                }
                let index = members[known.member as usize].index;
                Member { index, at_corner: known.at_corner, edges: from..order.len() }
            })
            .collect();
        let log2_cells = ((order.len() as f64 / 8.0).log2() / 2.0).ceil() as u32;
        let log2_cells = log2_cells.clamp(1, 4).min(corner.log2_cell - MIN_LOG2_CELL + 1);
        self.grid(corner, log2_cells, &inner, &order, edges, fineness, blob)
    }
}
