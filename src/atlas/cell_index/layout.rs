//! How the index lies in memory and on disk: one array of 32-bit words.
//!
//! The root grid's entries come first, then blocks in any order. A block is a grid, entries in
//! rows from the south-west, begun at a multiple of [`GRID_ALIGN`] words; or a leaf:
//!
//! | words | |
//! |---|---|
//! | 1 | vertices, slots, answer at the reference corner, flags: see [`LeafHead`] |
//! | slots | the polygons that the cell may know, lowest index first |
//! | mask words | one byte per chain: the slots on whose border it is |
//! | vertices | x and y in steps of the cell, 16 bits each; [`CHAIN_START`] begins a chain |

/// Steps of the stored grid per degree: 1e-9°, about 0.1 mm.
pub const UNITS_PER_DEGREE: f64 = 1e9;

/// No coordinate beyond this is taken in, degrees.
pub const MAX_DEGREES: f64 = 400.0;

/// Grids begin at multiples of this many words.
pub const GRID_ALIGN: usize = 16;

/// A cell is at most this many steps wide (as a power of two); smaller ones have steps of a unit.
pub const CELL_BITS: u32 = 14;

/// A position nearer than this many steps to an edge of its cell is decided by the exact test.
/// Rounding moves an edge by at most 1 step (vertex 0.5, stored grid 0.5) and a position by 1.
pub const UNSURE_STEPS: i32 = 3;

/// Flag in a vertex's x: it begins a chain, so no edge leads to it.
pub const CHAIN_START: u32 = 1 << 15;

/// Polygons that a leaf with edges can tell apart.
pub const MAX_SLOTS: usize = 8;
/// Polygons in a leaf without edges: they all hold it.
pub const MAX_STACK: usize = 64;
/// Vertices in a leaf: one bit each in a word of 64.
pub const MAX_VERTICES: usize = 64;

/// Words behind the last block, so that four vertices can always be read at once.
pub const PADDING: usize = 16;

/// Nearest unit of a coordinate, `|degrees|` ≤ 1000. Monotone; off by at most 0.501 units.
#[inline]
pub fn unit(degrees: f64) -> i64 {
    // Positive numbers truncate to their floor: no call for rounding.
    const SHIFT: i64 = 1 << 40;
    (degrees * UNITS_PER_DEGREE + (SHIFT as f64 + 0.5)) as i64 - SHIFT
}

/// What a cell of a grid says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry(pub u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No polygon.
    Nothing,
    /// The index does not know; ask the exact path.
    Undecided,
    /// Wholly inside one polygon and no other.
    Whole(u32),
    /// Word of the leaf.
    Leaf(u32),
    /// Binary logarithm of the cells per side, and the grid's first word.
    Grid(u32, u32),
}

impl Entry {
    pub const NOTHING: Self = Self(0);
    pub const UNDECIDED: Self = Self(1);
    /// Indices and words that an entry can name.
    pub const LIMIT: u32 = 1 << 30;

    pub fn whole(index: u32) -> Self {
        debug_assert!(index < Self::LIMIT);
        Self(1 << 30 | index)
    }

    pub fn leaf(word: u32) -> Self {
        debug_assert!(word < Self::LIMIT);
        Self(2 << 30 | word)
    }

    pub fn grid(log2_cells: u32, word: u32) -> Self {
        debug_assert!(log2_cells < 16 && word.is_multiple_of(GRID_ALIGN as u32));
        Self(3 << 30 | log2_cells << 26 | (word / GRID_ALIGN as u32))
    }

    #[inline]
    pub fn kind(self) -> Kind {
        let low = self.0 & (Self::LIMIT - 1);
        match self.0 >> 30 {
            0 if low == 0 => Kind::Nothing,
            0 => Kind::Undecided,
            1 => Kind::Whole(low),
            2 => Kind::Leaf(low),
            _ => Kind::Grid(low >> 26, (low & ((1 << 26) - 1)) * GRID_ALIGN as u32),
        }
    }

    /// The same block after everything was moved by some words.
    pub fn moved(self, by: u32) -> Self {
        match self.kind() {
            Kind::Leaf(word) => Self::leaf(word + by),
            Kind::Grid(log2_cells, word) => Self::grid(log2_cells, word + by),
            _ => self,
        }
    }
}

/// The first word of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafHead(pub u32);

impl LeafHead {
    /// `edges_beside`: an edge runs within a unit of the cell but not through it.
    pub fn new(
        vertices: usize,
        slots: usize,
        mask_words: usize,
        reference: u8,
        edges_beside: bool,
    ) -> Self {
        debug_assert!(vertices <= MAX_VERTICES && slots <= MAX_STACK && mask_words < 64);
        Self(
            vertices as u32
                | (slots as u32) << 8
                | u32::from(reference) << 16
                | u32::from(edges_beside) << 24
                | (mask_words as u32) << 25,
        )
    }

    #[inline]
    pub fn vertices(self) -> usize {
        (self.0 & 0xff) as usize
    }

    #[inline]
    pub fn slots(self) -> usize {
        (self.0 >> 8 & 0xff) as usize
    }

    /// The slots that hold the cell's north-western corner.
    #[inline]
    pub fn reference(self) -> u32 {
        self.0 >> 16 & 0xff
    }

    #[inline]
    pub fn edges_beside(self) -> bool {
        self.0 >> 24 & 1 == 1
    }

    #[inline]
    pub fn mask_words(self) -> usize {
        (self.0 >> 25) as usize
    }
}

/// Where the root grid lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// South-western corner, units. Borders of cells lie half a unit beside units.
    pub west: i64,
    pub south: i64,
    /// Binary logarithm of a root cell's side in units; at most 31.
    pub log2_side: u32,
    pub columns: u32,
    pub rows: u32,
}
