//! Answers tile requests: computes once, compresses once, keeps the bytes.

use super::address::TileAddress;
use super::boundary::PreparedLayer;
use super::case_index::CaseIndex;
use super::cases::CaseFilter;
use super::gaps;
use super::heat::{self, CaseLayer};
use crate::atlas::layer::Layer;
use crate::enforcement::gaps::Gaps;
use crate::enforcement::permissions::Scope;
use flate2::Compression;
use flate2::write::GzEncoder;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How a tile's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Packing {
    Plain,
    Gzip,
    Brotli,
    Zstd,
}

impl Packing {
    /// The value of `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Levels that take about as long as drawing the tile does.
    fn pack(self, bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(bytes),
            Self::Gzip => {
                let mut packer =
                    GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::new(5));
                packer.write_all(&bytes)?;
                packer.finish()
            }
            Self::Brotli => {
                let mut packed = Vec::with_capacity(bytes.len() / 2);
                let mut packer = brotli::CompressorWriter::new(&mut packed, 1 << 16, 4, 20);
                packer.write_all(&bytes)?;
                drop(packer);
                Ok(packed)
            }
            Self::Zstd => zstd::bulk::compress(&bytes, 3),
        }
    }
}

/// A tile ready to be sent.
#[derive(Debug)]
pub struct PackedTile {
    /// Empty where the tile holds nothing.
    pub bytes: Vec<u8>,
    /// Strong, quoted: changes with the content and with the packing.
    pub etag: String,
    pub packing: Packing,
}

impl AsRef<[u8]> for PackedTile {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a tile is asked of.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    Boundary(&'a Arc<Layer>),
    Cases { layer: CaseLayer, index: &'a CaseIndex, filter: &'a CaseFilter },
    Gaps { gaps: &'a Gaps, scope: &'a Scope },
}

/// Everything that the bytes of a tile depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    source: Source,
    tile: TileAddress,
    packing: Packing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    Boundary { layer: Box<str>, generation: u64 },
    Cases { layer: CaseLayer, filter: Box<CaseFilter>, revision: u64 },
    Gaps { scope: Box<Scope>, revision: u64 },
}

impl Key {
    fn new(subject: Subject, tile: TileAddress, packing: Packing) -> Self {
        let source = match subject {
            Subject::Boundary(layer) => Source::Boundary {
                layer: layer.info().name.as_str().into(),
                generation: layer.generation(),
            },
            Subject::Cases { layer, index, filter } => Source::Cases {
                layer,
                filter: Box::new(filter.clone()),
                revision: index.revision(tile),
            },
            Subject::Gaps { gaps, scope } => {
                Source::Gaps { scope: Box::new(scope.clone()), revision: gaps.revision }
            }
        };
        Self { source, tile, packing }
    }
}

/// A layer's name and the generation that last changed it.
type Edition = (String, u64);

/// Tiles of all layers, with what is prepared for them. Meant to be shared.
pub struct TileService {
    cache: Cache<Key, Arc<PackedTile>>,
    prepared: Mutex<HashMap<Edition, Arc<OnceLock<PreparedLayer>>>>,
}

/// What a cached tile takes beside its bytes, roughly.
const FRAME_BYTES: usize = 400;

impl TileService {
    /// Keeps at most about so many bytes of tiles.
    pub fn new(max_bytes: u64) -> Self {
        let weight = |_: &Key, tile: &Arc<PackedTile>| {
            u32::try_from(tile.bytes.len() + FRAME_BYTES).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(max_bytes).weigher(weight).build();
        Self { cache, prepared: Mutex::default() }
    }

    /// A tile, if it is there already: does not block.
    pub fn cached(
        &self,
        subject: Subject,
        tile: TileAddress,
        packing: Packing,
    ) -> Option<Arc<PackedTile>> {
        self.cache.get(&Key::new(subject, tile, packing))
    }

    /// A tile. Requests for the same one wait for each other and share the work.
    pub fn get(&self, subject: Subject, tile: TileAddress, packing: Packing) -> Arc<PackedTile> {
        let key = Key::new(subject, tile, packing);
        self.cache.get_with(key, || {
            let bytes = match subject {
                Subject::Boundary(layer) => {
                    self.edition(layer).get_or_init(|| prepare(layer)).tile(tile)
                }
                Subject::Cases { layer, index, filter } => {
                    heat::tile(layer, &index.snapshot(), tile, filter)
                }
                Subject::Gaps { gaps, scope } => gaps::tile(gaps, scope, tile),
            };
            Arc::new(packed(bytes, packing))
        })
    }

    /// Prepares a layer before anyone asks for its tiles, e.g. after a publish.
    pub fn prepare(&self, layer: &Arc<Layer>) {
        self.edition(layer).get_or_init(|| prepare(layer));
    }

    /// The slot of a layer's edition; the older ones go. Somebody still at work on one keeps it.
    fn edition(&self, layer: &Arc<Layer>) -> Arc<OnceLock<PreparedLayer>> {
        let (name, generation) = (layer.info().name.clone(), layer.generation());
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.retain(|(other, age), _| *other != name || *age >= generation);
        Arc::clone(prepared.entry((name, generation)).or_default())
    }
}

fn prepare(layer: &Arc<Layer>) -> PreparedLayer {
    PreparedLayer::new(Arc::clone(layer))
}

/// Packs a tile and names its content.
pub fn packed(bytes: Vec<u8>, packing: Packing) -> PackedTile {
    let etag = format!("\"{}-{}\"", hex::encode(&Sha256::digest(&bytes)[..12]), packing.as_str());
    let plain_length = bytes.len();
    // Writing to memory does not fail; an empty answer would be a wrong one, so it stays plain.
    match packing {
        _ if plain_length == 0 => PackedTile { bytes, etag, packing: Packing::Plain },
        Packing::Plain => PackedTile { bytes, etag, packing },
        _ => match packing.pack(bytes.clone()) {
            Ok(bytes) => PackedTile { bytes, etag, packing },
            Err(_) => PackedTile { bytes, etag, packing: Packing::Plain },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::address::project;
    use crate::tiles::case_index::tests::record;
    use crate::tiles::testing::{layer, tiling};
    use geo::Coord;
    use std::io::Read;

    fn at(z: u8, x: f64, y: f64) -> TileAddress {
        TileAddress::at(z, project(Coord { x, y }))
    }

    #[test]
    fn every_packing_unpacks_to_the_same_tile() {
        let service = TileService::new(1 << 20);
        let parcels = layer("parcel", tiling(1, 10, 0.01, 3));
        let tile = at(13, 119.05, 25.45);
        let get = |packing| service.get(Subject::Boundary(&parcels), tile, packing);
        let plain = get(Packing::Plain);
        let (gzip, brotli, zstd) = (get(Packing::Gzip), get(Packing::Brotli), get(Packing::Zstd));
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&gzip.bytes[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain.bytes);
        let mut unpacked = Vec::new();
        brotli::Decompressor::new(&brotli.bytes[..], 4096).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain.bytes);
        assert_eq!(zstd::decode_all(&zstd.bytes[..]).unwrap(), plain.bytes);
        let tags = [&plain, &gzip, &brotli, &zstd].map(|t| t.etag.clone());
        assert!((1..4).all(|i| !tags[..i].contains(&tags[i])));
        assert!(service.cached(Subject::Boundary(&parcels), tile, Packing::Gzip).is_some());
    }

    #[test]
    fn a_publish_changes_only_its_own_layer() {
        let service = TileService::new(1 << 20);
        let (parcels, cells) =
            (layer("parcel", tiling(1, 10, 0.01, 3)), layer("cell", tiling(0, 10, 0.01, 3)));
        let tile = at(13, 119.05, 25.45);
        let before = service.get(Subject::Boundary(&parcels), tile, Packing::Plain);
        service.get(Subject::Boundary(&cells), tile, Packing::Plain);
        let changed = tiling(2, 10, 0.01, 3);
        let published = Arc::new(Layer::new(parcels.info().clone(), 2, changed));
        assert!(service.cached(Subject::Boundary(&published), tile, Packing::Plain).is_none());
        assert!(service.cached(Subject::Boundary(&cells), tile, Packing::Plain).is_some());
        let after = service.get(Subject::Boundary(&published), tile, Packing::Plain);
        assert_ne!(before.etag, after.etag);
        // The same content again is the same tag, whatever the generation.
        let again = Arc::new(Layer::new(parcels.info().clone(), 3, tiling(2, 10, 0.01, 3)));
        assert_eq!(after.etag, service.get(Subject::Boundary(&again), tile, Packing::Plain).etag);
        assert_eq!(service.prepared.lock().unwrap().len(), 2);
    }

    #[test]
    fn a_new_case_is_in_the_next_tile_and_in_no_other() {
        let service = TileService::new(1 << 20);
        let index = CaseIndex::new((0..50).map(|n| record(n, 119.0, 25.4)));
        let filter = CaseFilter::default();
        let subject = Subject::Cases { layer: CaseLayer::Heat, index: &index, filter: &filter };
        let (here, there) = (at(12, 119.0, 25.4), at(12, 119.3, 25.2));
        let first = service.get(subject, here, Packing::Plain);
        service.get(subject, there, Packing::Plain);
        index.apply([record(99, 119.0, 25.4)]);
        assert!(service.cached(subject, there, Packing::Plain).is_some());
        assert!(service.cached(subject, here, Packing::Plain).is_none());
        assert_ne!(first.etag, service.get(subject, here, Packing::Plain).etag);
        // Another viewer's area is another tile.
        let scoped = CaseFilter { scope: Some("350302".into()), ..Default::default() };
        let other = Subject::Cases { layer: CaseLayer::Heat, index: &index, filter: &scoped };
        assert!(service.cached(other, here, Packing::Plain).is_none());
    }
}
