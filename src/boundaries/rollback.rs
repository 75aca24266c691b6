//! An earlier version of a layer, brought back as a draft: looked at, compared with what is in
//! force and published like any other. The history only grows.

use super::draft::{Draft, DraftFeature};
use super::import_file::check_all;
use super::publish::{self, Reading};
use super::report::Report;
use super::{ReadOptions, refuse};
use crate::atlas::feature::LayerInfo;
use crate::atlas::lookup::Atlas;
use crate::error::{Fault, FaultKind, Result};
use crate::store::{Store, features, generations};
use uuid::Uuid;

/// A roll-back that has begun: its import is in state `reading`.
pub struct Job {
    reading: Reading,
    store: Store,
    layer: LayerInfo,
    generation: i64,
    atlas: Atlas,
}

/// Begins to bring a version back. The one in force needs no bringing back.
pub fn begin(store: &Store, generation: i64, by: Option<Uuid>) -> Result<Job> {
    let (layer, atlas) = {
        let mut conn = store.conn()?;
        let name = generations::layer_of(&mut conn, generation)?;
        if generations::newest_of(&mut conn, &name)? == Some(generation) {
            return Err(Fault::new(
                FaultKind::Conflict,
                "wrong_state",
                "这已是现行版本",
                "This version is in force already",
            ));
        }
        let layer = features::layer_infos(&mut conn)?
            .into_iter()
            .find(|info| info.name == name)
            .ok_or_else(|| Fault::internal("layer vanished"))?;
        (layer, features::load_atlas(&mut conn)?)
    };
    let name = format!("版本 {generation} / version {generation}");
    let reading = publish::begin(store, &layer.name, &name, &ReadOptions::default(), by)?;
    Ok(Job { reading, store: store.clone(), layer, generation, atlas })
}

impl Job {
    pub fn id(&self) -> Uuid {
        self.reading.id
    }

    /// Reads the version, checks it against what is in force and keeps the draft.
    pub fn run(self) -> Result<()> {
        let Self { reading, store, layer, generation, atlas } = self;
        match draft(&store, layer, generation, &atlas) {
            Ok(mut draft) => reading.finish(&mut draft, atlas.generation()),
            Err(fault) => {
                reading.fail(&fault)?;
                Err(fault)
            }
        }
    }
}

fn draft(store: &Store, layer: LayerInfo, generation: i64, atlas: &Atlas) -> Result<Draft> {
    let found = features::at_generation(&mut *store.conn()?, &layer.name, generation)?;
    if found.is_empty() {
        return Err(refuse("empty", "该版本没有图形", "This version holds nothing"));
    }
    let features: Vec<DraftFeature> = found
        .into_iter()
        .zip(1u32..)
        .map(|(feature, record)| {
            let mut draft = DraftFeature {
                record,
                code: feature.code,
                name: feature.name,
                class_code: feature.class_code,
                class_name: feature.class_name,
                parent_code: feature.parent_code,
                area_m2: feature.area_m2,
                surveyed_area_m2: feature.surveyed_area_m2,
                attributes: feature.attributes,
                content_hash: 0,
                geometry: feature.geometry,
            };
            draft.seal();
            draft
        })
        .collect();
    let count = u32::try_from(features.len()).map_err(Fault::internal)?;
    let report = Report {
        layer: layer.name.clone(),
        source_layer: layer.name.clone(),
        crs: "EPSG:4490".into(),
        encoding: "UTF-8".into(),
        read: count,
        accepted: count,
        ..Report::default()
    };
    let mut draft = Draft { layer, area: None, report, features };
    check_all(store, &mut draft, atlas)?;
    Ok(draft)
}
