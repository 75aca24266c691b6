//! The draft against itself and the boundaries in force.

use super::draft::{Draft, DraftFeature, content_hash_of, geometry_digest};
use super::partition::{self, MIN_AREA_M2};
use super::read::AreaTest;
use super::report::{Changes, DuplicateCode, Gap, MAX_LISTED, Orphan, Overlap, Report};
use crate::atlas::feature::{Feature, LayerKind, layers};
use crate::atlas::layer::Layer;
use crate::atlas::lookup::Atlas;
use crate::geometry::representative::representative_point;
use geo::{BoundingRect, Coord, MultiPolygon};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A child may reach over its parent's border by this much, degrees (about a metre).
const BORDER_NOISE: f64 = 1e-5;
/// Outlines of findings are for the map; longer ones are left out.
const MAX_OUTLINE: usize = 2_000;

/// Fills in duplicates, gaps, overlaps, orphans and changes.
pub fn check(draft: &mut Draft, atlas: &Atlas) {
    duplicates(&draft.features, &mut draft.report);
    let layer = draft.to_layer(atlas.generation() + 1);
    let parents = parent_layer(&draft.layer.name).and_then(|name| atlas.layer(name));
    if draft.layer.kind == LayerKind::Partition {
        overlaps(&draft.features, &layer, &mut draft.report);
        gaps(&draft.features, &layer, parents.map(AsRef::as_ref), &mut draft.report);
    }
    if let Some(parents) = parents {
        orphans(&draft.features, parents, &mut draft.report);
    }
    draft.report.changes = changes(draft, atlas);
}

/// The layer one level up.
fn parent_layer(layer: &str) -> Option<&'static str> {
    match layer {
        layers::DISTRICT => Some(layers::CITY),
        layers::TOWN => Some(layers::DISTRICT),
        layers::VILLAGE => Some(layers::TOWN),
        layers::CELL | layers::PARCEL | layers::BASIC_FARMLAND => Some(layers::VILLAGE),
        _ => None,
    }
}

fn duplicates(features: &[DraftFeature], report: &mut Report) {
    let mut records: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for feature in features {
        records.entry(&feature.code).or_default().push(feature.record);
    }
    let duplicates = records.into_iter().filter(|(_, records)| records.len() > 1);
    let all: Vec<DuplicateCode> = duplicates
        .map(|(code, records)| DuplicateCode { code: code.to_string(), records })
        .collect();
    report.totals.duplicate_codes = all.len();
    report.duplicate_codes = all.into_iter().take(MAX_LISTED).collect();
}

fn overlaps(features: &[DraftFeature], layer: &Layer, report: &mut Report) {
    let (found, all) = partition::overlaps(features, layer);
    if !all {
        report.warn(
            "overlaps_unfinished",
            "相邻图形边界大多不一致，重叠检查只完成了一部分",
            "Most borders differ from their neighbours'; only a part of the layer was checked for overlaps",
        );
    }
    report.totals.overlaps = found.len();
    let overlap = |shared: partition::SharedArea| {
        let (a, b) = (&features[shared.features.0], &features[shared.features.1]);
        Overlap {
            codes: [a.code.clone(), b.code.clone()],
            records: [a.record, b.record],
            area_m2: shared.area_m2,
            position: position(representative_point(&shared.geometry)),
            geometry: outline(&shared.geometry),
        }
    };
    report.overlaps = found.into_iter().take(MAX_LISTED).map(overlap).collect();
}

fn gaps(features: &[DraftFeature], layer: &Layer, parents: Option<&Layer>, report: &mut Report) {
    // Only parents that the draft is about: a draft of one district leaves the others empty.
    let codes: HashSet<&str> = features.iter().filter_map(|f| f.parent_code.as_deref()).collect();
    let areas: Option<Vec<&MultiPolygon>> = parents.map(|parents| {
        parents
            .features()
            .iter()
            .filter(|p| codes.contains(p.code.as_str()))
            .map(|p| &p.geometry)
            .collect()
    });
    let found = partition::gaps(features, layer, areas.as_deref().filter(|a| !a.is_empty()));
    report.totals.gaps = found.len();
    report.gaps = found
        .into_iter()
        .take(MAX_LISTED)
        .map(|hole| Gap {
            area_m2: hole.area_m2,
            position: position(Some(hole.position)),
            geometry: outline(&hole.geometry),
        })
        .collect();
    debug_assert!(report.gaps.iter().all(|gap| gap.area_m2 >= MIN_AREA_M2));
}

fn position(c: Option<Coord>) -> [f64; 2] {
    c.map_or([0.0, 0.0], |c| [c.x, c.y])
}

/// GeoJSON of a finding.
fn outline(polygons: &MultiPolygon) -> Value {
    let vertices: usize = polygons
        .iter()
        .map(|p| p.exterior().0.len() + p.interiors().iter().map(|r| r.0.len()).sum::<usize>())
        .sum();
    if vertices > MAX_OUTLINE {
        return Value::Null;
    }
    let ring = |r: &geo::LineString| json!(r.0.iter().map(|c| [c.x, c.y]).collect::<Vec<_>>());
    let coordinates: Vec<Value> = polygons
        .iter()
        .map(|p| {
            json!(std::iter::once(p.exterior()).chain(p.interiors()).map(ring).collect::<Vec<_>>())
        })
        .collect();
    json!({"type": "MultiPolygon", "coordinates": coordinates})
}

fn orphans(features: &[DraftFeature], parents: &Layer, report: &mut Report) {
    let all: Vec<Orphan> = features
        .par_iter()
        .filter_map(|feature| Some((feature, orphaned(feature, parents)?)))
        .map(|(feature, reason)| Orphan {
            record: feature.record,
            code: feature.code.clone(),
            parent_code: feature.parent_code.clone(),
            reason,
        })
        .collect();
    report.totals.orphans = all.len();
    report.orphans = all.into_iter().take(MAX_LISTED).collect();
}

/// Why a feature does not belong to the parent it names, if it does not.
fn orphaned(feature: &DraftFeature, parents: &Layer) -> Option<String> {
    let code = feature.parent_code.as_deref()?;
    let Some(index) = parents.index_of(code) else {
        return Some(format!("没有上级 {code} / there is no parent {code}"));
    };
    let inside =
        representative_point(&feature.geometry).is_some_and(|p| parents.feature_contains(index, p));
    let (own, around) = (feature.geometry.bounding_rect()?, parents.bounds_of(index));
    let within = own.min().x >= around.min().x - BORDER_NOISE
        && own.min().y >= around.min().y - BORDER_NOISE
        && own.max().x <= around.max().x + BORDER_NOISE
        && own.max().y <= around.max().y + BORDER_NOISE;
    (!inside || !within)
        .then(|| format!("超出上级 {code} 的范围 / it reaches outside its parent {code}"))
}

/// What would change. Rows of the same code and content stay, as in the store.
fn changes(draft: &Draft, atlas: &Atlas) -> Changes {
    let within = draft.area.as_deref().and_then(|code| AreaTest::new(code, atlas).ok());
    let replaced: Vec<&Feature> = atlas
        .layer(&draft.layer.name)
        .map(|layer| {
            let kept = |f: &&Feature| within.as_ref().is_none_or(|w| w.holds(&f.geometry));
            layer.features().iter().filter(kept).collect()
        })
        .unwrap_or_default();
    let mut old: HashMap<&str, Vec<(i64, &Feature)>> = HashMap::new();
    let hashes: Vec<i64> = replaced.par_iter().map(|f| content_hash_of(f)).collect();
    for (feature, hash) in replaced.iter().zip(hashes) {
        old.entry(&feature.code).or_default().push((hash, feature));
    }
    let mut changes = Changes::default();
    let mut changed: Vec<&DraftFeature> = Vec::new();
    for feature in &draft.features {
        let same = old.get_mut(feature.code.as_str()).and_then(|rows| {
            let at = rows.iter().position(|(hash, _)| *hash == feature.content_hash)?;
            Some(rows.swap_remove(at))
        });
        match same {
            Some(_) => changes.unchanged += 1,
            None => changed.push(feature),
        }
    }
    let codes: HashSet<&str> = changed.iter().map(|f| f.code.as_str()).collect();
    for feature in changed {
        match old.get(feature.code.as_str()).and_then(|rows| rows.first()) {
            None => changes.added += 1,
            Some((_, before))
                if geometry_digest(&before.geometry) == geometry_digest(&feature.geometry) =>
            {
                changes.renamed += 1;
            }
            Some(_) => changes.moved += 1,
        }
    }
    changes.removed = old
        .iter()
        .filter(|(code, _)| !codes.contains(*code))
        .map(|(_, rows)| rows.len() as u32)
        .sum();
    let after: f64 = draft.features.iter().map(|f| f.area_m2).sum();
    let before: f64 = replaced.iter().map(|f| f.area_m2).sum();
    changes.area_m2 = after - before;
    changes
}

#[cfg(test)]
mod tests;
