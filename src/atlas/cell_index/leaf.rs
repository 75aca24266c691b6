//! Puts the edges of one cell into a leaf.

use super::layout::{CHAIN_START, LeafHead, MAX_SLOTS, MAX_STACK, MAX_VERTICES};
use super::scan::Piece;

/// An edge's part in the cell, and the slot of its polygon.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub slot: usize,
    /// `None`: the edge only comes near.
    pub piece: Option<Piece>,
    /// The ring runs the piece from its lower to its upper end.
    pub forward: bool,
}

/// A polygon that the cell may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub index: u32,
    /// It holds the cell's north-western corner.
    pub at_reference: bool,
}

/// A border of which neighbours have one copy each.
struct Shared {
    /// The piece's ends in one word, and whether it runs through the western border.
    key: (u64, [bool; 2]),
    piece: Piece,
    forward: bool,
    mask: u8,
}

/// Reused from leaf to leaf.
#[derive(Default)]
pub struct LeafWriter {
    shared: Vec<Shared>,
    vertices: Vec<u32>,
    masks: Vec<u8>,
}

impl LeafWriter {
    /// Appends a leaf. `None`, and nothing written, where it holds too much.
    pub fn write(&mut self, slots: &[Slot], parts: &[Part], words: &mut Vec<u32>) -> Option<u32> {
        let with_edges = parts.iter().any(|part| part.piece.is_some());
        if slots.len() > if with_edges { MAX_SLOTS } else { MAX_STACK } {
            return None;
        }
        if !with_edges && slots.len() > MAX_SLOTS && slots.iter().any(|s| !s.at_reference) {
            return None;
        }
        self.share(parts);
        self.chain();
        if self.vertices.len() > MAX_VERTICES {
            return None;
        }
        let reference = slots.iter().take(MAX_SLOTS).enumerate();
        let reference =
            reference.fold(0, |mask, (i, slot)| mask | u8::from(slot.at_reference) << i);
        let beside = parts.iter().any(|part| part.piece.is_none());
        let mask_words = self.masks.len().div_ceil(4);
        let at = words.len() as u32;
        words
            .push(LeafHead::new(self.vertices.len(), slots.len(), mask_words, reference, beside).0);
        words.extend(slots.iter().map(|slot| slot.index));
        words.extend(
            self.masks
                .chunks(4)
                .map(|four| four.iter().rev().fold(0, |word, &mask| word << 8 | u32::from(mask))),
        );
        words.extend_from_slice(&self.vertices);
        Some(at)
    }

    /// Merges the copies of each border; it toggles every polygon that has a copy.
    fn share(&mut self, parts: &[Part]) {
        self.shared.clear();
        for part in parts {
            let Some(piece) = part.piece else { continue };
            let mask = 1u8 << part.slot;
            let ends = piece.ends.iter().fold(0, |key, &end| key << 16 | u64::from(end));
            let key = (ends, [piece.enters_west, piece.leaves_west]);
            match self.shared.iter_mut().find(|other| other.key == key) {
                Some(other) => other.mask ^= mask,
                None => self.shared.push(Shared { key, piece, forward: part.forward, mask }),
            }
        }
    }

    /// Strings the borders of the same polygons together where one ends at the next's beginning.
    fn chain(&mut self) {
        self.vertices.clear();
        self.masks.clear();
        let pack = |x: u16, y: u16| u32::from(x) | u32::from(y) << 16;
        // Where the last chain may go on: its end and its mask.
        let mut open: Option<(u32, u8)> = None;
        for border in &self.shared {
            let [ax, ay, bx, by] = border.piece.ends;
            let (mut from, mut to) = (pack(ax, ay), pack(bx, by));
            let (mut enters, mut leaves) = (border.piece.enters_west, border.piece.leaves_west);
            if !border.forward {
                (from, to, enters, leaves) = (to, from, leaves, enters);
            }
            let goes_on = !enters && open == Some((from, border.mask));
            if !goes_on {
                self.masks.push(border.mask);
                if enters && from >> 16 != 0 {
                    // Beyond the western border a chain runs down to the corner: then the way from
                    // the north-western corner to a position, down the border and along a
                    // parallel, crosses it exactly if the parallel does.
                    self.vertices.push(CHAIN_START);
                    self.vertices.push(from);
                } else {
                    self.vertices.push(from | CHAIN_START);
                }
            }
            if !(goes_on && from == to) {
                self.vertices.push(to);
            }
            if leaves && to >> 16 != 0 {
                self.vertices.push(0);
            }
            open = (!leaves).then_some((to, border.mask));
        }
    }
}
