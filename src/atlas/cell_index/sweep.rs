//! Finds for the polygons of a grid what each of its cells must know.

use super::scan::{Edge, Grid, Piece, Sink};

/// An edge near a cell.
#[derive(Clone, Copy)]
pub struct Near {
    pub cell: u32,
    pub member: u32,
    pub edge: u32,
    pub piece: Option<Piece>,
}

/// A polygon that a cell must know: an edge is near, or it holds all of the cell.
#[derive(Clone, Copy)]
pub struct Known {
    pub cell: u32,
    pub member: u32,
    pub at_corner: bool,
}

/// Finds, polygon by polygon, what each cell of a grid must know.
#[derive(Default)]
pub struct Sweep {
    member: u32,
    near: Vec<Near>,
    known: Vec<Known>,
    /// Of the present polygon: crossings of the northern line west of the corner, edges near.
    toggled: Vec<bool>,
    touched: Vec<bool>,
    west: Vec<bool>,
    any_west: bool,
    window: Option<[i64; 4]>,
    columns: i64,
    edge: u32,
    // For `by_cell`.
    near_from: Vec<u32>,
    near_filed: Vec<Near>,
    known_from: Vec<u32>,
    known_filed: Vec<Known>,
}

impl Sink for Sweep {
    #[inline]
    fn touch(&mut self, column: i64, row: i64, piece: Option<Piece>) {
        let cell = (row * self.columns + column) as usize;
        self.near.push(Near { cell: cell as u32, member: self.member, edge: self.edge, piece });
        if !std::mem::replace(&mut self.touched[cell], true) {
            self.widen(column, row);
        }
    }

    #[inline]
    fn crosses_north(&mut self, column: i64, row: i64) {
        self.toggled[(row * self.columns + column) as usize] ^= true;
        // The toggle's own cell must be in the window, or it would stay.
        self.widen(column, row);
    }

    #[inline]
    fn crosses_west(&mut self, row: i64) {
        self.west[row as usize] ^= true;
        self.any_west = true;
    }
}

impl Sweep {
    fn widen(&mut self, column: i64, row: i64) {
        let [west, south, east, north] = self.window.get_or_insert([column, row, column, row]);
        *west = (*west).min(column);
        *south = (*south).min(row);
        *east = (*east).max(column);
        *north = (*north).max(row);
    }

    /// Begins a grid.
    pub fn clear(&mut self, grid: &Grid) {
        let cells = (grid.columns * grid.rows) as usize;
        self.columns = grid.columns;
        self.near.clear();
        self.known.clear();
        self.toggled.clear();
        self.toggled.resize(cells, false);
        self.touched.clear();
        self.touched.resize(cells, false);
        self.west.clear();
        self.west.resize(grid.rows as usize, false);
        self.any_west = false;
        self.window = None;
    }

    /// Takes in an edge of a polygon.
    pub fn edge(&mut self, grid: &Grid, member: u32, number: u32, edge: &Edge) {
        self.member = member;
        self.edge = number;
        grid.scan(edge, self);
    }

    /// After a polygon's edges: carries its state from the grid's north-western corner down the
    /// western line and along the northern line of each row, to every cell's corner.
    pub fn finish(&mut self, grid: &Grid, member: u32, at_corner: bool) {
        // From the western line on, where the polygon may come from there.
        let from_west = at_corner || self.any_west;
        let [west, south, east, north] = match self.window {
            Some([_, _, east, _]) if from_west => [0, 0, east, grid.rows - 1],
            None if from_west => [0, 0, -1, grid.rows - 1],
            Some(window) => window,
            None => return,
        };
        let mut at_west = at_corner;
        for row in (south..=north).rev() {
            let mut state = at_west;
            let base = row * grid.columns;
            // East of all its edges here the polygon may still go on.
            for cell in base + west..base + grid.columns {
                if cell > base + east && !state {
                    break;
                }
                state ^= std::mem::take(&mut self.toggled[cell as usize]);
                if std::mem::take(&mut self.touched[cell as usize]) || state {
                    self.known.push(Known { cell: cell as u32, member, at_corner: state });
                }
            }
            at_west ^= std::mem::take(&mut self.west[row as usize]);
        }
        self.any_west = false;
        self.window = None;
    }

    /// Gives what was found cell by cell; polygons and their edges in the order they came.
    pub fn by_cell(&mut self, mut each: impl FnMut(u32, &[Known], &[Near])) {
        let cells = self.toggled.len();
        // A few records, as of a polygon over several root cells, need no counting.
        if self.near.len() < 4096 && cells > 4096 || cells == 1 {
            self.near.sort_by_key(|near| near.cell);
            self.known.sort_by_key(|known| known.cell);
            let mut near = &self.near[..];
            for known in self.known.chunk_by(|a, b| a.cell == b.cell) {
                let cell = known[0].cell;
                let here = near.partition_point(|near| near.cell == cell);
                each(cell, known, &near[..here]);
                near = &near[here..];
            }
            return;
        }
        file(cells, &self.near, |near| near.cell, &mut self.near_from, &mut self.near_filed);
        file(cells, &self.known, |known| known.cell, &mut self.known_from, &mut self.known_filed);
        let (mut k0, mut n0) = (0, 0);
        for cell in 0..cells {
            let (k1, n1) = (self.known_from[cell] as usize, self.near_from[cell] as usize);
            if k1 > k0 {
                each(cell as u32, &self.known_filed[k0..k1], &self.near_filed[n0..n1]);
            }
            (k0, n0) = (k1, n1);
        }
    }
}

/// A stable counting sort. `from` then tells where each cell ends.
fn file<T: Copy>(
    cells: usize,
    items: &[T],
    cell: impl Fn(&T) -> u32,
    from: &mut Vec<u32>,
    filed: &mut Vec<T>,
) {
    from.clear();
    from.resize(cells + 1, 0);
    for item in items {
        from[cell(item) as usize + 1] += 1;
    }
    for cell in 0..cells {
        from[cell + 1] += from[cell];
    }
    filed.clear();
    let Some(&any) = items.first() else { return };
    filed.resize(items.len(), any);
    for item in items {
        let slot = &mut from[cell(item) as usize];
        filed[*slot as usize] = *item;
        *slot += 1;
    }
}

impl Sweep {
    /// Records held, as a measure of the work.
    pub fn records(&self) -> usize {
        self.near.len() + self.known.len()
    }
}
