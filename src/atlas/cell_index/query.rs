//! Look-ups, one at a time and in groups.

use super::crossings::packed;
use super::layout::{CELL_BITS, Entry, Kind, LeafHead, MAX_SLOTS, MAX_VERTICES, unit};
use super::processor::{crossings, prefetch};
use super::{CellIndex, Exact, NOBODY};
use geo::Coord;

/// A position on its way through the grids.
#[derive(Debug, Clone, Copy)]
struct Place {
    entry: Entry,
    /// Units from the cell's corner.
    x: u32,
    y: u32,
    /// Binary logarithm of the cell's side.
    bits: u32,
}

/// A leaf's answer.
enum Answer<'a> {
    /// These slots of the polygons.
    Slots(&'a [u32], u32),
    All(&'a [u32]),
    /// These may hold the position, no others.
    Unsure(&'a [u32]),
    Undecided,
}

/// Positions whose waits for memory overlap.
const GROUP: usize = 32;

impl CellIndex {
    #[inline]
    fn root(&self, position: Coord) -> Place {
        let nowhere = Place { entry: Entry::NOTHING, x: 0, y: 0, bits: 0 };
        // Also refuses what is not a number.
        if !(position.x.abs() < 1000.0 && position.y.abs() < 1000.0) {
            return nowhere;
        }
        let (x, y) = (unit(position.x) - self.frame.west, unit(position.y) - self.frame.south);
        let bits = self.frame.log2_side;
        let (column, row) = (x >> bits, y >> bits);
        if column < 0
            || row < 0
            || column >= i64::from(self.frame.columns)
            || row >= i64::from(self.frame.rows)
        {
            return nowhere;
        }
        let cell = row as usize * self.frame.columns as usize + column as usize;
        let entry = self.words().get(cell).map_or(Entry::UNDECIDED, |&word| Entry(word));
        let mask = (1i64 << bits) - 1;
        Place { entry, x: (x & mask) as u32, y: (y & mask) as u32, bits }
    }

    /// The word of the entry of a place in a grid.
    #[inline]
    fn in_grid(place: Place, log2_cells: u32, word: u32) -> (usize, Place) {
        let bits = place.bits.saturating_sub(log2_cells);
        let cell = (place.y >> bits) as usize * (1usize << log2_cells) + (place.x >> bits) as usize;
        let mask = (1u32 << bits) - 1;
        (word as usize + cell, Place { bits, x: place.x & mask, y: place.y & mask, ..place })
    }

    #[inline]
    fn descend(&self, mut place: Place) -> Place {
        while let Kind::Grid(log2_cells, word) = place.entry.kind() {
            // Each step must lead to smaller cells, so this ends whatever the words hold.
            if log2_cells == 0 || log2_cells > place.bits {
                return Place { entry: Entry::UNDECIDED, ..place };
            }
            let (at, inner) = Self::in_grid(place, log2_cells, word);
            let entry = self.words().get(at).map_or(Entry::UNDECIDED, |&word| Entry(word));
            place = Place { entry, ..inner };
        }
        place
    }

    #[inline]
    fn leaf(&self, word: u32, place: Place) -> Answer<'_> {
        let Some((&head, rest)) = self.words().get(word as usize..).and_then(<[u32]>::split_first)
        else {
            return Answer::Undecided;
        };
        let head = LeafHead(head);
        let count = head.slots();
        let Some((slots, rest)) = rest.split_at_checked(count) else { return Answer::Undecided };
        if head.edges_beside() {
            let last = (1u32 << place.bits) - 1;
            let near = |v: u32| v < 2 || v > last.saturating_sub(2);
            if near(place.x) || near(place.y) {
                return Answer::Unsure(slots);
            }
        }
        let vertices = head.vertices();
        if vertices > MAX_VERTICES {
            return Answer::Undecided;
        }
        if vertices == 0 {
            return if count > MAX_SLOTS {
                Answer::All(slots)
            } else {
                Answer::Slots(slots, head.reference())
            };
        }
        let Some((masks, vertex_words)) = rest.split_at_checked(head.mask_words()) else {
            return Answer::Undecided;
        };
        let shift = place.bits.saturating_sub(CELL_BITS);
        let found = crossings(vertex_words, vertices, packed(place.x >> shift, place.y >> shift));
        if found.unsure {
            return Answer::Unsure(slots);
        }
        let mut state = head.reference();
        let mut crossed = found.crossed;
        while crossed != 0 {
            let edge = crossed.trailing_zeros();
            let chain = (found.starts & ((2u64 << edge).wrapping_sub(1))).count_ones() as usize;
            let mask = masks.get(chain / 4).map_or(0, |four| four >> (chain % 4 * 8) & 0xff);
            state ^= mask;
            crossed &= crossed - 1;
        }
        Answer::Slots(slots, state)
    }

    #[inline]
    fn owner_in(&self, place: Place, position: Coord, exact: &impl Exact) -> u32 {
        match place.entry.kind() {
            Kind::Nothing => NOBODY,
            Kind::Whole(index) => index,
            Kind::Leaf(word) => match self.leaf(word, place) {
                Answer::Slots(slots, state) => {
                    slots.get(state.trailing_zeros() as usize).copied().unwrap_or(NOBODY)
                }
                Answer::All(slots) => slots.first().copied().unwrap_or(NOBODY),
                Answer::Unsure(slots) => slots
                    .iter()
                    .copied()
                    .find(|&index| exact.holds(index, position))
                    .unwrap_or(NOBODY),
                Answer::Undecided => exact_owner(position, exact),
            },
            Kind::Undecided | Kind::Grid(..) => exact_owner(position, exact),
        }
    }

    /// The polygon of lowest index that holds the position, or [`NOBODY`].
    #[inline]
    pub fn owner(&self, position: Coord, exact: &impl Exact) -> u32 {
        self.owner_in(self.descend(self.root(position)), position, exact)
    }

    /// All polygons that hold the position, lowest index first.
    pub fn hits(&self, position: Coord, exact: &impl Exact, hits: &mut Vec<u32>) {
        hits.clear();
        let place = self.descend(self.root(position));
        match place.entry.kind() {
            Kind::Nothing => {}
            Kind::Whole(index) => hits.push(index),
            Kind::Leaf(word) => match self.leaf(word, place) {
                Answer::Slots(slots, state) => {
                    hits.extend(
                        (0..).zip(slots).filter(|(i, _)| state >> i & 1 == 1).map(|(_, &s)| s),
                    );
                }
                Answer::All(slots) => hits.extend_from_slice(slots),
                Answer::Unsure(slots) => {
                    hits.extend(
                        slots.iter().copied().filter(|&index| exact.holds(index, position)),
                    );
                }
                Answer::Undecided => exact.hits(position, hits),
            },
            Kind::Undecided | Kind::Grid(..) => exact.hits(position, hits),
        }
    }

    /// [`CellIndex::owner`] of many positions: memory that the next steps need is asked for ahead,
    /// so that the waits overlap.
    pub fn owners(&self, positions: &[Coord], exact: &impl Exact, owners: &mut [u32]) {
        let mut places = [Place { entry: Entry::NOTHING, x: 0, y: 0, bits: 0 }; GROUP];
        let mut words = [0usize; GROUP];
        for (positions, owners) in positions.chunks(GROUP).zip(owners.chunks_mut(GROUP)) {
            for ((place, at), &position) in places.iter_mut().zip(&mut words).zip(positions) {
                *place = self.root(position);
                *at = usize::MAX;
                if let Kind::Grid(log2_cells, word) = place.entry.kind() {
                    (*at, *place) = Self::in_grid(*place, log2_cells, word);
                    prefetch(self.words(), *at);
                }
            }
            for (place, &at) in places.iter_mut().zip(&words).take(positions.len()) {
                if at != usize::MAX {
                    place.entry =
                        self.words().get(at).map_or(Entry::UNDECIDED, |&word| Entry(word));
                    match place.entry.kind() {
                        Kind::Leaf(word) => {
                            prefetch(self.words(), word as usize);
                            prefetch(self.words(), word as usize + 16);
                        }
                        Kind::Grid(log2_cells, word) => {
                            prefetch(self.words(), Self::in_grid(*place, log2_cells, word).0);
                        }
                        _ => {}
                    }
                }
            }
            for ((place, &position), owner) in places.iter().zip(positions).zip(owners) {
                *owner = self.owner_in(self.descend(*place), position, exact);
            }
        }
    }
}

#[cold]
fn exact_owner(position: Coord, exact: &impl Exact) -> u32 {
    let mut hits = Vec::new();
    exact.hits(position, &mut hits);
    hits.first().copied().unwrap_or(NOBODY)
}
