//! One published layer: its features and two indices: a directory of cells for positions, an R-tree
//! over the boxes for everything else.

use super::category::Category;
use super::cell_index::{CellIndex, Exact, Fineness, NOBODY};
use super::feature::{Feature, LayerInfo, LayerKind};
use crate::geometry::containment::{self, PreparedPolygon};
use crate::geometry::geodesic;
use geo::{BoundingRect, Coord, CoordsIter, Rect};
use rstar::{AABB, RTree, RTreeObject};
use rustc_hash::FxHashMap;
use std::collections::HashMap;

/// Edges from which a polygon is prepared.
const PREPARED_FROM: usize = 64;

/// A feature's place in its layer: the index into [`Layer::features`].
pub type FeatureIndex = u32;

#[derive(Debug)]
struct Entry {
    index: FeatureIndex,
    envelope: AABB<[f64; 2]>,
}

impl RTreeObject for Entry {
    type Envelope = AABB<[f64; 2]>;
    fn envelope(&self) -> Self::Envelope {
        self.envelope
    }
}

/// An immutable layer. Features are sorted by code, so the lowest index is the lowest code.
#[derive(Debug)]
pub struct Layer {
    info: LayerInfo,
    generation: u64,
    features: Vec<Feature>,
    /// The land category that each feature's class means; beside the features, because a look-up
    /// of a million parcels would wait for their memory.
    categories: Vec<Category>,
    bounds: Vec<Rect>,
    /// Polygons of so many edges that going through all of them would tell.
    prepared: FxHashMap<FeatureIndex, PreparedPolygon>,
    tree: RTree<Entry>,
    /// None in an empty layer, or one off the earth: the tree answers then.
    cells: Option<CellIndex>,
    by_code: HashMap<String, FeatureIndex>,
}

impl Layer {
    /// Builds the layer as of a generation. Features without any ring are left out: they hold no
    /// position.
    pub fn new(info: LayerInfo, generation: u64, features: Vec<Feature>) -> Self {
        Self::with_index(info, generation, features, |_, shapes| {
            CellIndex::build(shapes.len(), |i| &shapes[i].geometry, &Fineness::default())
        })
    }

    /// [`Layer::new`] with an index from elsewhere, given the features in their order; it must be
    /// an index of just these.
    pub fn with_index(
        info: LayerInfo,
        generation: u64,
        mut features: Vec<Feature>,
        index: impl FnOnce(&LayerInfo, &[Feature]) -> Option<CellIndex>,
    ) -> Self {
        use rayon::prelude::*;
        features.retain(|f| f.geometry.iter().any(|p| !p.exterior().0.is_empty()));
        features.sort_by(|a, b| a.code.cmp(&b.code).then(a.id.cmp(&b.id)));
        let categories =
            features.iter().map(|f| Category::of_class(f.class_code.as_deref())).collect();
        let bounds: Vec<Rect> =
            features.par_iter().filter_map(|f| f.geometry.bounding_rect()).collect();
        debug_assert_eq!(bounds.len(), features.len());
        let prepared = (0..features.len() as FeatureIndex)
            .into_par_iter()
            .filter(|&i| features[i as usize].geometry.coords_count() > PREPARED_FROM)
            .filter_map(|i| Some((i, PreparedPolygon::new(&features[i as usize].geometry)?)))
            .collect();
        let entries = bounds
            .iter()
            .zip(0..)
            .map(|(&bounds, index)| Entry { index, envelope: envelope(bounds) })
            .collect();
        let cells = index(&info, &features);
        let mut by_code = HashMap::with_capacity(features.len());
        for (index, feature) in (0..).zip(&features) {
            by_code.entry(feature.code.clone()).or_insert(index);
        }
        let tree = RTree::bulk_load(entries);
        Self { info, generation, features, categories, bounds, prepared, tree, cells, by_code }
    }

    pub fn info(&self) -> &LayerInfo {
        &self.info
    }

    /// The generation that last changed this layer.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// All features, sorted by code.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The feature at an index that this layer gave.
    pub fn feature(&self, index: FeatureIndex) -> &Feature {
        &self.features[index as usize]
    }

    /// The land category that a feature's class means, outside basic farmland.
    pub fn category(&self, index: FeatureIndex) -> Category {
        self.categories[index as usize]
    }

    /// The feature with this code; the first where several share it.
    pub fn by_code(&self, code: &str) -> Option<&Feature> {
        self.by_code.get(code).map(|&index| self.feature(index))
    }

    /// The index of the feature with this code.
    pub fn index_of(&self, code: &str) -> Option<FeatureIndex> {
        self.by_code.get(code).copied()
    }

    /// Every feature that holds the position (half-open rule), lowest code first.
    pub fn hits_at(&self, position: Coord, hits: &mut Vec<FeatureIndex>) {
        match &self.cells {
            Some(cells) => cells.hits(position, self, hits),
            None => Exact::hits(self, position, hits),
        }
    }

    /// The one owner of the position: of the features that hold it, the one of lowest code.
    pub fn owner_at(&self, position: Coord) -> Option<FeatureIndex> {
        let owner = match &self.cells {
            Some(cells) => cells.owner(position, self),
            None => self.owner_by_tree(position),
        };
        (owner != NOBODY).then_some(owner)
    }

    /// [`Layer::owner_at`] of many positions, several times faster; [`NOBODY`] where there is none.
    /// Both slices have one length.
    pub fn owners_at(&self, positions: &[Coord], owners: &mut [FeatureIndex]) {
        debug_assert_eq!(positions.len(), owners.len());
        match &self.cells {
            Some(cells) => cells.owners(positions, self, owners),
            None => {
                for (owner, &position) in owners.iter_mut().zip(positions) {
                    *owner = self.owner_by_tree(position);
                }
            }
        }
    }

    fn owner_by_tree(&self, position: Coord) -> FeatureIndex {
        let mut hits = Vec::new();
        Exact::hits(self, position, &mut hits);
        hits.first().copied().unwrap_or(NOBODY)
    }

    /// The plain path, same answer as [`Layer::hits_at`]: every box that holds the position, every
    /// edge of its polygon. The oracle of tests and benchmarks.
    pub fn hits_by_tree(&self, position: Coord, hits: &mut Vec<FeatureIndex>) {
        self.tree_hits(position, hits, |index| {
            containment::contains(&self.feature(index).geometry, position)
        });
    }

    fn tree_hits(
        &self,
        position: Coord,
        hits: &mut Vec<FeatureIndex>,
        holds: impl Fn(FeatureIndex) -> bool,
    ) {
        hits.clear();
        if !position.x.is_finite() || !position.y.is_finite() {
            return;
        }
        let here = AABB::from_point([position.x, position.y]);
        let boxes = self.tree.locate_in_envelope_intersecting(&here);
        hits.extend(boxes.map(|entry| entry.index).filter(|&index| holds(index)));
        hits.sort_unstable();
    }

    /// Whether a feature of this layer holds the position.
    pub fn feature_contains(&self, index: FeatureIndex, position: Coord) -> bool {
        if let Some(prepared) = self.prepared.get(&index) {
            return prepared.contains(position);
        }
        let (low, high) = (self.bounds[index as usize].min(), self.bounds[index as usize].max());
        let in_bounds = position.x >= low.x
            && position.x <= high.x
            && position.y >= low.y
            && position.y <= high.y;
        in_bounds && containment::contains(&self.feature(index).geometry, position)
    }

    /// The bounding box of a feature, degrees.
    pub fn bounds_of(&self, index: FeatureIndex) -> Rect {
        self.bounds[index as usize]
    }

    /// Bytes that the directory takes, for figures.
    pub fn directory_bytes(&self) -> usize {
        self.cells.as_ref().map_or(0, CellIndex::bytes)
    }

    /// The bounding box of the layer, degrees; `None` when it is empty.
    pub fn bounds(&self) -> Option<Rect> {
        let envelope = self.tree.root().envelope();
        (self.tree.size() > 0).then(|| {
            let ([w, s], [e, n]) = (envelope.lower(), envelope.upper());
            Rect::new(Coord { x: w, y: s }, Coord { x: e, y: n })
        })
    }

    /// Every feature whose box meets the given box, in no particular order.
    pub fn in_box(&self, bounds: Rect) -> impl Iterator<Item = FeatureIndex> + '_ {
        let envelope = envelope(bounds);
        self.tree
            .locate_in_envelope_intersecting(&envelope)
            .map(|e| e.index)
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Distance in metres from a position to the border of a feature.
    pub fn border_distance_m(&self, index: FeatureIndex, position: Coord) -> f64 {
        self.feature(index)
            .geometry
            .iter()
            .flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()))
            .flat_map(|ring| ring.lines())
            .map(|edge| geodesic::distance_to_segment_m(position, edge.start, edge.end))
            .fold(f64::INFINITY, f64::min)
    }

    /// The features within a distance in metres of a position, nearest first; one that holds the
    /// position is at 0. Equal distances go by code.
    pub fn within_m(&self, position: Coord, distance_m: f64) -> Vec<(FeatureIndex, f64)> {
        if !position.x.is_finite() || !position.y.is_finite() || !distance_m.is_finite() {
            return Vec::new();
        }
        let (east, north) = geodesic::metres_per_degree(position.y);
        let reach = Coord { x: distance_m / east.max(1.0) * 1.01, y: distance_m / north * 1.01 };
        let bounds = Rect::new(position - reach, position + reach);
        let mut near: Vec<(FeatureIndex, f64)> = self
            .in_box(bounds)
            .map(|index| {
                let inside = self.feature_contains(index, position);
                (index, if inside { 0.0 } else { self.border_distance_m(index, position) })
            })
            .filter(|&(_, distance)| distance <= distance_m)
            .collect();
        near.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        near
    }

    /// The nearest feature within a distance in metres.
    pub fn nearest(&self, position: Coord, distance_m: f64) -> Option<(FeatureIndex, f64)> {
        self.within_m(position, distance_m).into_iter().next()
    }

    /// Whether positions have one owner here.
    pub fn is_partition(&self) -> bool {
        self.info.kind == LayerKind::Partition
    }
}

/// What the directory asks for positions within a hair of a border.
impl Exact for Layer {
    fn holds(&self, index: FeatureIndex, position: Coord) -> bool {
        self.feature_contains(index, position)
    }

    fn hits(&self, position: Coord, hits: &mut Vec<FeatureIndex>) {
        self.tree_hits(position, hits, |index| self.feature_contains(index, position));
    }
}

fn envelope(bounds: Rect) -> AABB<[f64; 2]> {
    AABB::from_corners([bounds.min().x, bounds.min().y], [bounds.max().x, bounds.max().y])
}
