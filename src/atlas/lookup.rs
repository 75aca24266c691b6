//! What stands at a position: the areas, the cell, the parcels and the land category.

use super::category::Category;
use super::cell_index::NOBODY;
use super::feature::{LayerInfo, layers};
use super::layer::{FeatureIndex, Layer};
use geo::Coord;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All layers in force, as of one generation. Immutable: a publish makes another one that shares
/// the layers it did not change.
#[derive(Debug, Default, Clone)]
pub struct Atlas {
    generation: u64,
    layers: BTreeMap<String, Arc<Layer>>,
    known: KnownLayers,
}

/// The built-in layers, so that a look-up needs no search by name.
#[derive(Debug, Default, Clone)]
struct KnownLayers {
    city: Option<Arc<Layer>>,
    district: Option<Arc<Layer>>,
    town: Option<Arc<Layer>>,
    village: Option<Arc<Layer>>,
    functional_area: Option<Arc<Layer>>,
    cell: Option<Arc<Layer>>,
    parcel: Option<Arc<Layer>>,
    basic_farmland: Option<Arc<Layer>>,
}

impl KnownLayers {
    fn of(all: &BTreeMap<String, Arc<Layer>>) -> Self {
        let known = |name| all.get(name).cloned();
        Self {
            city: known(layers::CITY),
            district: known(layers::DISTRICT),
            town: known(layers::TOWN),
            village: known(layers::VILLAGE),
            functional_area: known(layers::FUNCTIONAL_AREA),
            cell: known(layers::CELL),
            parcel: known(layers::PARCEL),
            basic_farmland: known(layers::BASIC_FARMLAND),
        }
    }
}

fn owner(layer: &Option<Arc<Layer>>, position: Coord) -> Option<FeatureIndex> {
    layer.as_ref()?.owner_at(position)
}

/// What an [`Atlas`] says of a position. Areas are indices into their own layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub city: Option<FeatureIndex>,
    pub district: Option<FeatureIndex>,
    pub town: Option<FeatureIndex>,
    pub village: Option<FeatureIndex>,
    pub cell: Option<FeatureIndex>,
    pub functional_areas: Vec<FeatureIndex>,
    /// The parcel that owns the position.
    pub parcel: Option<FeatureIndex>,
    pub in_basic_farmland: bool,
    pub category: Category,
}

impl Place {
    /// Within a city polygon.
    pub fn inside(&self) -> bool {
        self.city.is_some()
    }
}

impl Atlas {
    pub fn new(generation: u64, layers: impl IntoIterator<Item = Arc<Layer>>) -> Self {
        let layers = layers.into_iter().map(|l| (l.info().name.clone(), l)).collect();
        Self { generation, known: KnownLayers::of(&layers), layers }
    }

    /// The same atlas with some layers replaced, as of a later generation.
    pub fn with_layers(
        &self,
        generation: u64,
        changed: impl IntoIterator<Item = Arc<Layer>>,
    ) -> Self {
        let mut layers = self.layers.clone();
        layers.extend(changed.into_iter().map(|l| (l.info().name.clone(), l)));
        Self { generation, known: KnownLayers::of(&layers), layers }
    }

    /// The number of the last publish.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn layer(&self, name: &str) -> Option<&Arc<Layer>> {
        self.layers.get(name)
    }

    pub fn layers(&self) -> impl Iterator<Item = &Arc<Layer>> {
        self.layers.values()
    }

    pub fn infos(&self) -> impl Iterator<Item = &LayerInfo> {
        self.layers.values().map(|l| l.info())
    }

    /// The land category at a position.
    pub fn category_at(&self, position: Coord) -> Category {
        if owner(&self.known.basic_farmland, position).is_some() {
            return Category::BasicFarmland;
        }
        self.category_of_parcel(owner(&self.known.parcel, position))
    }

    fn category_of_parcel(&self, parcel: Option<FeatureIndex>) -> Category {
        let of = |(layer, index): (&Arc<Layer>, _)| layer.category(index);
        self.known.parcel.as_ref().zip(parcel).map_or(Category::NonFarmland, of)
    }

    /// Everything about a position in CGCS2000 degrees; each level on its own layer.
    pub fn place_at(&self, position: Coord) -> Place {
        let mut functional_areas = Vec::new();
        if let Some(layer) = &self.known.functional_area {
            layer.hits_at(position, &mut functional_areas);
        }
        let parcel = owner(&self.known.parcel, position);
        let in_basic_farmland = owner(&self.known.basic_farmland, position).is_some();
        let category = if in_basic_farmland {
            Category::BasicFarmland
        } else {
            self.category_of_parcel(parcel)
        };
        Place {
            city: owner(&self.known.city, position),
            district: owner(&self.known.district, position),
            town: owner(&self.known.town, position),
            village: owner(&self.known.village, position),
            cell: owner(&self.known.cell, position),
            functional_areas,
            parcel,
            in_basic_farmland,
            category,
        }
    }

    /// [`Atlas::place_at`] of many positions, several times faster: layer by layer, so that the
    /// waits for memory overlap. A few hundred positions at a time stay in the processor's cache.
    pub fn places_at(&self, positions: &[Coord]) -> Vec<Place> {
        let owners = |layer: &Option<Arc<Layer>>| {
            let mut owners = vec![NOBODY; positions.len()];
            if let Some(layer) = layer {
                layer.owners_at(positions, &mut owners);
            }
            owners
        };
        let known = &self.known;
        let (city, district, town) =
            (owners(&known.city), owners(&known.district), owners(&known.town));
        let (village, cell) = (owners(&known.village), owners(&known.cell));
        let (parcel, farmland) = (owners(&known.parcel), owners(&known.basic_farmland));
        let functional = owners(&known.functional_area);
        let some = |owner: FeatureIndex| (owner != NOBODY).then_some(owner);
        (0..positions.len())
            .map(|i| {
                let mut functional_areas = Vec::new();
                if let Some(layer) =
                    known.functional_area.as_ref().filter(|_| functional[i] != NOBODY)
                {
                    layer.hits_at(positions[i], &mut functional_areas);
                }
                let parcel = some(parcel[i]);
                let in_basic_farmland = farmland[i] != NOBODY;
                Place {
                    city: some(city[i]),
                    district: some(district[i]),
                    town: some(town[i]),
                    village: some(village[i]),
                    cell: some(cell[i]),
                    functional_areas,
                    parcel,
                    in_basic_farmland,
                    category: if in_basic_farmland {
                        Category::BasicFarmland
                    } else {
                        self.category_of_parcel(parcel)
                    },
                }
            })
            .collect()
    }
}
