//! An index on disk, mapped into memory: a start needs not build it again.
//!
//! | bytes | |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 4 | [`VERSION`] of this format and of the build |
//! | 4 | polygons |
//! | 32 | [`Key`] of the polygons it was built of |
//! | 16 | south-western corner of the frame, units, two `i64` |
//! | 12 | side, columns and rows of the root grid |
//! | 4 | zero |
//! | 8 | number of words |
//! | 32 | SHA-256 of the bytes before this and of the words |
//! | 8 | zero |
//! | | the words, little-endian |
//!
//! A file is never trusted: one that is cut short, changed, or names anything beyond itself is
//! refused, and whoever asked builds the index anew.

use super::layout::{Entry, Frame, Kind, LeafHead, MAX_VERTICES, PADDING};
use super::{CellIndex, Fineness, Words, processor};
use crate::geometry::containment::rings;
use geo::MultiPolygon;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"XUNCHACX";
/// Also to be raised when the same polygons would give other words.
const VERSION: u32 = 1;
/// Bytes before the words; a multiple of their alignment.
pub(super) const HEADER: usize = 128;
/// Bytes that the checksum covers besides the words.
const CHECKED: usize = 88;

/// What an index was built of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of polygons in their order. Any other bit of a coordinate gives another key.
    pub fn of<'a>(shapes: impl Iterator<Item = &'a MultiPolygon>, fineness: &Fineness) -> Self {
        let mut hash = Sha256::new();
        hash.update(format!("{fineness:?}"));
        let mut bytes = Vec::new();
        for shape in shapes {
            bytes.clear();
            for ring in rings(shape) {
                bytes.extend((ring.0.len() as u64).to_le_bytes());
                for c in &ring.0 {
                    bytes.extend(c.x.to_le_bytes());
                    bytes.extend(c.y.to_le_bytes());
                }
            }
            // A length that no ring has: the polygon's end.
            bytes.extend(u64::MAX.to_le_bytes());
            hash.update(&bytes);
        }
        Self(hash.finalize().into())
    }
}

/// Why a file does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// There is none yet.
    #[error("there is no index file yet")]
    Missing,
    /// Made of other polygons, or by another version.
    #[error("the index file was made of other boundaries or by another version")]
    Outdated,
    /// Cut short or changed.
    #[error("the index file is damaged: {0}")]
    Damaged(&'static str),
    #[error("the index file cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl CellIndex {
    /// Writes the index to a file, whole or not at all.
    pub fn save(&self, path: &Path, key: &Key) -> std::io::Result<()> {
        if cfg!(target_endian = "big") {
            return Err(ErrorKind::Unsupported.into());
        }
        let words: &[u8] = bytemuck::cast_slice(self.words());
        let Frame { west, south, log2_side, columns, rows } = self.frame;
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend(self.polygons.to_le_bytes());
        header.extend(key.0);
        header.extend(west.to_le_bytes());
        header.extend(south.to_le_bytes());
        header.extend([log2_side, columns, rows, 0].map(u32::to_le_bytes).as_flattened());
        header.extend((self.words().len() as u64).to_le_bytes());
        debug_assert_eq!(header.len(), CHECKED);
        header.extend(checksum(&header, words));
        header.resize(HEADER, 0);

        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&header)?;
        file.write_all(words)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// Maps the index of these polygons from a file.
    pub fn open(path: &Path, key: &Key, polygons: usize) -> Result<Self, Unusable> {
        let file = File::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Unusable::Missing,
            _ => error.into(),
        })?;
        let map = processor::map(&file)?;
        let Some((header, words)) = map.split_at_checked(HEADER) else {
            return Err(Unusable::Damaged("it is shorter than its header"));
        };
        let mut rest = header;
        let magic: [u8; 8] = take(&mut rest);
        let version = u32::from_le_bytes(take(&mut rest));
        if &magic != MAGIC {
            return Err(Unusable::Damaged("it is no index file"));
        }
        if version != VERSION || cfg!(target_endian = "big") {
            return Err(Unusable::Outdated);
        }
        let count = u32::from_le_bytes(take(&mut rest));
        let made_of: [u8; 32] = take(&mut rest);
        let (west, south) =
            (i64::from_le_bytes(take(&mut rest)), i64::from_le_bytes(take(&mut rest)));
        let [log2_side, columns, rows, _] = [(); 4].map(|()| u32::from_le_bytes(take(&mut rest)));
        let length = u64::from_le_bytes(take(&mut rest));
        if usize::try_from(length).ok().and_then(|n| n.checked_mul(4)) != Some(words.len()) {
            return Err(Unusable::Damaged("its length is not what it says"));
        }
        if checksum(&header[..CHECKED], words) != take(&mut rest) {
            return Err(Unusable::Damaged("its checksum does not match"));
        }
        if made_of != key.0 || count as usize != polygons {
            return Err(Unusable::Outdated);
        }
        let frame = Frame { west, south, log2_side, columns, rows };
        let index = Self { frame, polygons: count, words: Words::Mapped(map) };
        index.validate().map_err(Unusable::Damaged)?;
        Ok(index)
    }

    /// Whether all that the words name exists. Look-ups would not read outside the words without
    /// this, but could name a polygon that is none.
    fn validate(&self) -> Result<(), &'static str> {
        const BEYOND: &str = "it names what is not in it";
        let (frame, words) = (&self.frame, self.words());
        let roots = u64::from(frame.columns) * u64::from(frame.rows);
        let reach = 1i64 << 42;
        if frame.log2_side > 31 || frame.west.abs() > reach || frame.south.abs() > reach {
            return Err("its frame is off the earth");
        }
        if roots == 0 || roots + PADDING as u64 > words.len() as u64 {
            return Err(BEYOND);
        }
        let known = |index: u32| if index < self.polygons { Ok(()) } else { Err(BEYOND) };
        let mut grids = vec![(0, roots as usize, frame.log2_side)];
        // Every grid is named once; one that is named again and again would have no end.
        let mut visited = 0;
        while let Some((from, cells, bits)) = grids.pop() {
            visited += cells;
            let entries = words.get(from..from + cells).filter(|_| visited <= words.len());
            for &entry in entries.ok_or(BEYOND)? {
                match Entry(entry).kind() {
                    Kind::Nothing | Kind::Undecided => {}
                    Kind::Whole(index) => known(index)?,
                    Kind::Grid(log2_cells, word) => {
                        if log2_cells == 0 || log2_cells > bits {
                            return Err("a grid is finer than its coordinates");
                        }
                        grids.push((word as usize, 1 << (2 * log2_cells), bits - log2_cells));
                    }
                    Kind::Leaf(word) => {
                        let leaf = words.get(word as usize..).unwrap_or_default();
                        let (&head, leaf) = leaf.split_first().ok_or(BEYOND)?;
                        let head = LeafHead(head);
                        let size = head.slots() + head.mask_words() + head.vertices();
                        if head.vertices() > MAX_VERTICES || size > leaf.len() {
                            return Err(BEYOND);
                        }
                        leaf[..head.slots()].iter().try_for_each(|&index| known(index))?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn checksum(header: &[u8], words: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(header).chain_update(words).finalize().into()
}

/// The next bytes of a header, which is long enough for all of them.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    match rest.split_first_chunk() {
        Some((first, others)) => {
            *rest = others;
            *first
        }
        None => [0; N],
    }
}

/// A folder with one index file for each layer.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

/// An index from a shelf, and why it had to be built if it had.
#[derive(Debug)]
pub struct FromShelf {
    pub index: Option<CellIndex>,
    pub built_because: Option<Unusable>,
    /// Why the file could not be written; the index serves all the same.
    pub not_kept: Option<std::io::Error>,
}

impl Shelf {
    /// The folder is made when there is something to put there.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The index of a layer's polygons: from its file, or built and written there.
    pub fn index<'a>(
        &self,
        layer: &str,
        count: usize,
        shape: impl Fn(usize) -> &'a MultiPolygon + Sync,
        fineness: &Fineness,
    ) -> FromShelf {
        let key = Key::of((0..count).map(&shape), fineness);
        // A layer's name comes from outside.
        let path = self.folder.join(format!("{}.cells", hex::encode(layer)));
        match CellIndex::open(&path, &key, count) {
            Ok(index) => FromShelf { index: Some(index), built_because: None, not_kept: None },
            Err(reason) => {
                let index = CellIndex::build(count, shape, fineness);
                let save = |index: &CellIndex| {
                    std::fs::create_dir_all(&self.folder)?;
                    index.save(&path, &key)
                };
                let kept = index.as_ref().map_or(Ok(()), save);
                FromShelf { index, built_because: Some(reason), not_kept: kept.err() }
            }
        }
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
