//! What stands at a position: the areas, the cell, the parcels and the land category.

use super::category::Category;
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
        Self { generation, layers }
    }

    /// The same atlas with some layers replaced, as of a later generation.
    pub fn with_layers(
        &self,
        generation: u64,
        changed: impl IntoIterator<Item = Arc<Layer>>,
    ) -> Self {
        let mut layers = self.layers.clone();
        layers.extend(changed.into_iter().map(|l| (l.info().name.clone(), l)));
        Self { generation, layers }
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

    fn owner_at(&self, layer: &str, position: Coord) -> Option<FeatureIndex> {
        self.layer(layer)?.owner_at(position)
    }

    /// The land category at a position.
    pub fn category_at(&self, position: Coord) -> Category {
        let in_farmland =
            self.layer(layers::BASIC_FARMLAND).is_some_and(|l| l.owner_at(position).is_some());
        if in_farmland {
            return Category::BasicFarmland;
        }
        let parcel =
            self.layer(layers::PARCEL).and_then(|l| Some(l.feature(l.owner_at(position)?)));
        Category::of_class(parcel.and_then(|p| p.class_code.as_deref()))
    }

    /// Everything about a position in CGCS2000 degrees; each level on its own layer.
    pub fn place_at(&self, position: Coord) -> Place {
        let mut functional_areas = Vec::new();
        if let Some(layer) = self.layer(layers::FUNCTIONAL_AREA) {
            layer.hits_at(position, &mut functional_areas);
        }
        let parcel = self.owner_at(layers::PARCEL, position);
        let in_basic_farmland = self.owner_at(layers::BASIC_FARMLAND, position).is_some();
        let category = if in_basic_farmland {
            Category::BasicFarmland
        } else {
            let class = parcel
                .and_then(|index| self.layer(layers::PARCEL).map(|l| l.feature(index)))
                .and_then(|feature| feature.class_code.as_deref());
            Category::of_class(class)
        };
        Place {
            city: self.owner_at(layers::CITY, position),
            district: self.owner_at(layers::DISTRICT, position),
            town: self.owner_at(layers::TOWN, position),
            village: self.owner_at(layers::VILLAGE, position),
            cell: self.owner_at(layers::CELL, position),
            functional_areas,
            parcel,
            in_basic_farmland,
            category,
        }
    }
}
