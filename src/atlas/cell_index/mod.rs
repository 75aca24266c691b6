//! The exact cell directory: which polygons hold a position, mostly in one or two memory accesses.
//!
//! The layer is cut into cells of power-of-two sides over fixed-point coordinates: a small root
//! grid, in each of its cells a grid as fine as the polygons there, and grids again where a cell
//! would hold too much. A cell that no border touches answers by itself. Another holds a *leaf*: the
//! answer at its north-western corner, and the borders that run through it, each once with a mask
//! of the polygons on its two sides. The way from the corner down the cell's western border and
//! east to the position changes the answer at each border it crosses.
//!
//! A leaf's borders are rounded to steps of the cell. It answers only when the position is clear of
//! every border by more than all rounding together; otherwise the exact rule ([`Exact`]) decides
//! among the cell's polygons. So answers are those of
//! [`containment`](crate::geometry::containment), for every position a float can name. The build
//! decides by exact integer arithmetic on which side of a cell's corner a border passes.
//!
//! The idea is that of the Adaptive Cell Trie (A. Kipf et al., "Adaptive Main-Memory Indexing for
//! High-Performance Point-Polygon Joins", EDBT 2020) and of S2ShapeIndex. `docs/lookup-engine.md`
//! has figures.

mod build;
mod crossings;
mod divide;
pub mod file;
pub mod layout;
mod leaf;
mod processor;
mod query;
mod scan;
mod sweep;
#[cfg(test)]
mod tests;

use build::Built;
use geo::{Coord, MultiPolygon};
use layout::Frame;

/// No polygon.
pub const NOBODY: u32 = u32::MAX;

/// The exact rule, asked for positions within a hair of a border.
pub trait Exact {
    /// Whether a polygon holds the position.
    fn holds(&self, index: u32, position: Coord) -> bool;
    /// All polygons that hold the position, lowest index first.
    fn hits(&self, position: Coord, hits: &mut Vec<u32>);
}

/// How fine the index is.
#[derive(Debug, Clone, Copy)]
pub struct Fineness {
    /// Cells per polygon of `TYPICAL_EDGES` edges or fewer.
    pub cells_per_polygon: f64,
    /// Cells grow with this power of the edges per polygon.
    pub growth: f64,
    /// Polygons per root cell.
    pub polygons_per_root: f64,
    /// Pieces of edges in a cell from which it is divided.
    pub divide_from: usize,
}

impl Default for Fineness {
    fn default() -> Self {
        Self { cells_per_polygon: 4.0, growth: 1.4, polygons_per_root: 256.0, divide_from: 48 }
    }
}

/// The index of a layer's polygons. It answers exactly, with the help of [`Exact`].
#[derive(Debug)]
pub struct CellIndex {
    frame: Frame,
    polygons: u32,
    words: Words,
}

/// Where the words are.
#[derive(Debug)]
enum Words {
    Owned(Vec<u32>),
    /// Behind the header of a file.
    Mapped(memmap2::Mmap),
}

impl CellIndex {
    /// Builds the index of polygons whose indices are their order; each has a ring. `None` where
    /// there are none, too many, or one is off the earth.
    pub fn build<'a>(
        count: usize,
        shape: impl Fn(usize) -> &'a MultiPolygon + Sync,
        fineness: &Fineness,
    ) -> Option<Self> {
        let Built { frame, words } = build::build(count, shape, fineness)?;
        Some(Self { frame, polygons: count as u32, words: Words::Owned(words) })
    }

    /// Bytes of memory, for figures.
    pub fn bytes(&self) -> usize {
        size_of_val(self.words())
    }

    #[inline]
    fn words(&self) -> &[u32] {
        match &self.words {
            Words::Owned(words) => words,
            // Maps begin at a page, so the words are aligned.
            Words::Mapped(map) => map
                .get(file::HEADER..)
                .and_then(|bytes| bytemuck::try_cast_slice(bytes).ok())
                .unwrap_or_default(),
        }
    }
}
