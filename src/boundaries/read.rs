//! From a file to a draft.

use super::draft::{Draft, DraftFeature, first_8, geometry_digest};
use super::fields::{FieldMap, Mapped, needs_code};
use super::reference_system::{self, SourceCrs};
use super::report::{MAX_LISTED, Rejected, Repaired, Report};
use super::shape::Shape;
use super::vector::{self, RawFeature, RawLayer};
use super::{ReadOptions, refuse, sources};
use crate::atlas::feature::{LayerInfo, layers};
use crate::atlas::lookup::Atlas;
use crate::error::{Fault, Result};
use crate::geometry::crs::{Crs, ToCgcs2000, snap};
use crate::geometry::geodesic;
use crate::geometry::repair::{self, Repair};
use crate::geometry::representative::representative_point;
use geo::winding_order::{Winding, WindingOrder};
use geo::{Coord, LineString, MultiPolygon, Polygon};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// A rejection is listed for each record; more than this many is no layer of boundaries.
const MAX_REJECTED: usize = 100_000;
/// How far outside the city a boundary may lie before it is remarked, metres.
const NEAR_CITY_M: f64 = 2_000.0;

/// Reads a layer of a file. `atlas` is what is in force: a file that lies elsewhere is refused.
/// `progress` is told the share done, 0 to 1.
pub fn read(
    path: &Path,
    layer: &LayerInfo,
    options: &ReadOptions,
    atlas: &Atlas,
    progress: &dyn Fn(f32),
) -> Result<Draft> {
    let work =
        tempfile::Builder::new().prefix("xuncha-import-").tempdir().map_err(Fault::internal)?;
    let mut report = Report { layer: layer.name.clone(), ..Report::default() };
    let source = sources::fetch(
        path,
        work.path(),
        options.source_layer.as_deref(),
        options.text_encoding()?,
    )?;
    progress(0.05);
    let raw = vector::read(&source, work.path(), options, &mut report, &|share| {
        progress(0.05 + 0.35 * share)
    })?;
    drop(work);
    progress(0.4);
    let mut draft =
        take_over(raw, layer, options, atlas, report, &|share| progress(0.4 + 0.6 * share))?;
    draft.report.accepted = draft.features.len() as u32;
    draft.report.read = draft.report.accepted + draft.report.rejected.len() as u32;
    progress(1.0);
    Ok(draft)
}

fn take_over(
    raw: RawLayer,
    layer: &LayerInfo,
    options: &ReadOptions,
    atlas: &Atlas,
    mut report: Report,
    progress: &dyn Fn(f32),
) -> Result<Draft> {
    report.source_layer = raw.name.clone();
    report.encoding = raw.encoding.to_string();
    if raw.features.is_empty() {
        return Err(if options.filter.is_some() {
            refuse("empty", "没有记录符合 --where 条件", "No record meets the --where condition")
        } else {
            refuse("empty", "图层没有任何记录", "The layer holds no record")
        });
    }
    let samples: Vec<Coord> = raw.features.iter().filter_map(|f| f.shape.sample()).collect();
    let system = decide_crs(&raw, options, &samples, atlas, &mut report)?;
    report.crs = system.crs.to_string();
    reference_system::check_numbers(&system, &samples, atlas)?;
    // A broken definition fails here once and not for every feature.
    let to = ToCgcs2000::new(&system.crs)?;
    let placed: Vec<Coord> = samples.iter().filter_map(|&s| to.position(s).ok()).collect();
    if placed.is_empty() && !samples.is_empty() {
        let s = samples[0];
        return Err(refuse(
            "out_of_range",
            format!("坐标 {}, {} 超出坐标系 {} 的范围", s.x, s.y, system.crs),
            format!("Coordinate {}, {} is out of range for {}", s.x, s.y, system.crs),
        ));
    }
    reference_system::check_in_china(&placed)?;

    let map = FieldMap::find(&layer.name, &raw.fields, options, &mut report)?;
    let features = convert(raw.features, &system.crs, &map, &mut report, progress)?;
    let features = match &options.area {
        Some(code) => within_area(features, code, atlas, &mut report)?,
        None => features,
    };
    check_city(&features, layer, atlas, &mut report)?;
    let mut draft =
        Draft { layer: layer.clone(), area: options.area.clone(), report, features: Vec::new() };
    draft.features = name_all(features, &mut draft.report);
    Ok(draft)
}

fn decide_crs(
    raw: &RawLayer,
    options: &ReadOptions,
    samples: &[Coord],
    atlas: &Atlas,
    report: &mut Report,
) -> Result<SourceCrs> {
    if let Some(named) = &options.crs {
        let system = reference_system::from_user(named, report)?;
        if let Ok(Some(declared)) = &raw.crs
            && declared.crs != system.crs
        {
            report.warn(
                "crs_differs",
                format!(
                    "文件声明坐标系为 {}，按指定使用 {}",
                    short(&declared.crs),
                    short(&system.crs)
                ),
                format!(
                    "The file says {}; {} was used as told",
                    short(&declared.crs),
                    short(&system.crs)
                ),
            );
        }
        return Ok(system);
    }
    match &raw.crs {
        Ok(Some(system)) => {
            if system.datum_assumed {
                report.warn(
                    "datum_assumed",
                    "坐标系没有写明基准面，按椭球参数视为 CGCS2000",
                    "The CRS does not name its datum; taken for CGCS2000 by its ellipsoid",
                );
            }
            Ok(system.clone())
        }
        Ok(None) => Err(reference_system::ask(samples.first().copied(), atlas)),
        Err(fault) if fault.code == "crs_unknown" => {
            let asked = reference_system::ask(samples.first().copied(), atlas);
            Err(Fault {
                zh: format!("{}；{}", fault.zh, asked.zh),
                en: format!("{}. {}", fault.en, asked.en),
                ..asked
            })
        }
        Err(fault) => Err(fault.clone()),
    }
}

fn short(crs: &Crs) -> String {
    crs.to_string().chars().take(60).collect()
}

/// A feature in its place, its code not yet made.
struct Placed {
    feature: DraftFeature,
    has_code: bool,
    contradicts_parent: bool,
}

enum Outcome {
    Taken { placed: Box<Placed>, repairs: Vec<Repair> },
    Rejected { code: &'static str, reason: String },
}

fn convert(
    raw: Vec<RawFeature>,
    crs: &Crs,
    map: &FieldMap,
    report: &mut Report,
    progress: &dyn Fn(f32),
) -> Result<Vec<Placed>> {
    const CHUNK: usize = 2_048;
    let total = raw.len();
    let mut placed = Vec::with_capacity(total);
    let mut contradicting = Vec::new();
    let mut raw = raw.into_iter();
    for done in (0..total).step_by(CHUNK) {
        let chunk: Vec<RawFeature> = raw.by_ref().take(CHUNK).collect();
        let outcomes: Vec<(u32, Outcome)> = chunk
            .into_par_iter()
            .map(|feature| (feature.record, place(feature, crs, map)))
            .collect();
        for (record, outcome) in outcomes {
            match outcome {
                Outcome::Taken { placed: one, repairs } => {
                    report.totals.repaired += usize::from(!repairs.is_empty());
                    for repair in repairs {
                        if report.repaired.len() < MAX_LISTED.max(10_000) {
                            report.repaired.push(Repaired {
                                record,
                                code: repair.code().into(),
                                what: repair.what(),
                            });
                        }
                    }
                    if one.contradicts_parent {
                        contradicting.push(record);
                    }
                    placed.push(*one);
                }
                Outcome::Rejected { code, reason } => {
                    if report.rejected.len() >= MAX_REJECTED {
                        return Err(refuse(
                            "too_many_rejected",
                            format!("超过 {MAX_REJECTED} 条记录无法读取，例如：{reason}"),
                            format!(
                                "More than {MAX_REJECTED} records cannot be read, e.g. {reason}"
                            ),
                        ));
                    }
                    report.rejected.push(Rejected { record, code: code.into(), reason });
                }
            }
        }
        progress(done as f32 / total as f32);
    }
    report.warn_records(
        "parent_differs",
        "代码前缀与所属上级代码不一致",
        "The code does not begin with its parent's code",
        &contradicting,
    );
    Ok(placed)
}

fn place(raw: RawFeature, crs: &Crs, map: &FieldMap) -> Outcome {
    let rejected = |code, reason: String| Outcome::Rejected { code, reason };
    let (polygons, written) = match raw.shape {
        Shape::Missing => return rejected("no_geometry", "没有图形 / it has no geometry".into()),
        Shape::Wrong(name) => {
            return rejected(
                "wrong_geometry_type",
                format!("图形不是面，而是 {name} / its geometry is a {name}"),
            );
        }
        Shape::Polygons { polygons, written } => (polygons, written),
    };
    let mapped = match map.map(&raw.values) {
        Ok(mapped) => mapped,
        Err((code, reason)) => return rejected(code, reason),
    };
    let projected = match project(&polygons, crs) {
        Ok(projected) => projected,
        Err(c) => {
            let reason = format!(
                "坐标 {}, {} 无效或超出范围 / coordinate {}, {} is invalid or out of range",
                c.x, c.y, c.x, c.y
            );
            return rejected("out_of_range", reason);
        }
    };
    let (projected, orphan_holes) = drop_orphan_holes(projected, written.holes_run_the_other_way);
    let (geometry, mut repairs) = match repair::repair(projected) {
        Ok(repaired) => repaired,
        Err(refusal) => return rejected(refusal.code(), refusal.what()),
    };
    if written.open {
        repairs.push(Repair::Closed);
    }
    if written.from_collection {
        repairs.push(Repair::FromCollection);
    }
    if orphan_holes > 0 {
        repairs.push(Repair::OrphanHoles(orphan_holes));
    }
    let Mapped {
        code,
        name,
        class_code,
        class_name,
        parent_code,
        surveyed_area_m2,
        attributes,
        contradicts_parent,
    } = mapped;
    let has_code = code.is_some();
    let feature = DraftFeature {
        record: raw.record,
        code: code.unwrap_or_default(),
        name,
        class_code,
        class_name,
        parent_code,
        area_m2: geodesic::area_m2(&geometry),
        surveyed_area_m2,
        attributes,
        content_hash: 0,
        geometry,
    };
    Outcome::Taken { placed: Box::new(Placed { feature, has_code, contradicts_parent }), repairs }
}

/// In a shapefile a hole runs the other way round than a shell. One that lies in no shell GDAL makes
/// a polygon of its own, which it is not.
fn drop_orphan_holes(polygons: MultiPolygon, holes_run_the_other_way: bool) -> (MultiPolygon, u32) {
    let clockwise = |p: &Polygon| p.exterior().winding_order() == Some(WindingOrder::Clockwise);
    let shells = polygons.iter().filter(|p| clockwise(p)).count();
    if !holes_run_the_other_way || shells == 0 || shells == polygons.0.len() {
        return (polygons, 0);
    }
    let before = polygons.0.len();
    let kept: Vec<Polygon> = polygons
        .into_iter()
        .filter(|p| p.exterior().winding_order() != Some(WindingOrder::CounterClockwise))
        .collect();
    let dropped = (before - kept.len()) as u32;
    (MultiPolygon::new(kept), dropped)
}

/// Every vertex to CGCS2000 degrees on the grid; the first that has no place there otherwise.
fn project(polygons: &MultiPolygon, crs: &Crs) -> Result<MultiPolygon, Coord> {
    let bad = polygons.0.first().and_then(|p| p.exterior().0.first()).copied().unwrap_or_default();
    let to = ToCgcs2000::cached(crs).map_err(|_| bad)?;
    let ring = |ring: &LineString| -> Result<LineString, Coord> {
        ring.0
            .iter()
            .map(|&c| to.position(c).map(snap).map_err(|_| c))
            .collect::<Result<Vec<_>, _>>()
            .map(LineString)
    };
    let polygon = |polygon: &Polygon| -> Result<Polygon, Coord> {
        let interiors = polygon.interiors().iter().map(ring).collect::<Result<Vec<_>, _>>()?;
        Ok(Polygon::new(ring(polygon.exterior())?, interiors))
    };
    polygons.iter().map(polygon).collect::<Result<Vec<_>, _>>().map(MultiPolygon::new)
}

/// Keeps what lies within the area of this code.
fn within_area(
    features: Vec<Placed>,
    code: &str,
    atlas: &Atlas,
    report: &mut Report,
) -> Result<Vec<Placed>> {
    let within = AreaTest::new(code, atlas)?;
    let kept: Vec<Placed> =
        features.into_iter().filter(|p| within.holds(&p.feature.geometry)).collect();
    // Of records elsewhere, rejected ones too, the import says nothing; without a geometry nobody
    // knows where they are, so those stay.
    if kept.is_empty() && report.rejected.is_empty() {
        return Err(refuse(
            "empty",
            format!("文件中没有位于 {code} 范围内的图形"),
            format!("The file has nothing within {code}"),
        ));
    }
    let records: std::collections::HashSet<u32> = kept.iter().map(|p| p.feature.record).collect();
    report.repaired.retain(|r| records.contains(&r.record));
    report.totals.repaired =
        report.repaired.iter().map(|r| r.record).collect::<std::collections::HashSet<_>>().len();
    Ok(kept)
}

/// Whether a boundary lies within an area: by a position on it, so that the answer is the same for
/// a draft and for what it replaces.
pub struct AreaTest<'a> {
    layer: &'a crate::atlas::layer::Layer,
    index: u32,
}

impl<'a> AreaTest<'a> {
    /// Finds the area in force with this code.
    pub fn new(code: &str, atlas: &'a Atlas) -> Result<Self> {
        let levels = [
            layers::CITY,
            layers::DISTRICT,
            layers::TOWN,
            layers::VILLAGE,
            layers::FUNCTIONAL_AREA,
            layers::CELL,
        ];
        levels
            .iter()
            .find_map(|level| {
                let layer = atlas.layer(level)?;
                Some(Self { layer, index: layer.index_of(code)? })
            })
            .ok_or_else(|| {
                let code: String = code.chars().take(40).collect();
                refuse(
                    "area_unknown",
                    format!("没有代码为 {code} 的区域"),
                    format!("There is no area {code}"),
                )
            })
    }

    pub fn holds(&self, geometry: &MultiPolygon) -> bool {
        representative_point(geometry).is_some_and(|p| self.layer.feature_contains(self.index, p))
    }
}

/// Refuses a file that mostly lies outside the published city; remarks what of it does.
fn check_city(
    features: &[Placed],
    layer: &LayerInfo,
    atlas: &Atlas,
    report: &mut Report,
) -> Result<()> {
    let Some(city) = atlas.layer(layers::CITY).filter(|c| !c.features().is_empty()) else {
        return Ok(());
    };
    if layer.name == layers::CITY {
        return Ok(());
    }
    let outside: Vec<&Placed> = features
        .par_iter()
        .filter(|placed| {
            let geometry = &placed.feature.geometry;
            let vertex = geometry.0.first().and_then(|p| p.exterior().0.first()).copied();
            let points = [representative_point(geometry), vertex];
            let inside = points.iter().flatten().any(|&p| city.owner_at(p).is_some());
            !inside && points[0].is_none_or(|p| city.nearest(p, NEAR_CITY_M).is_none())
        })
        .collect();
    let Some(first) = outside.first() else { return Ok(()) };
    if 2 * outside.len() > features.len() {
        let at = representative_point(&first.feature.geometry).unwrap_or_default();
        return Err(refuse(
            "outside_area",
            format!("图形位于本市之外（例如 {:.4}, {:.4}），请核对坐标系", at.x, at.y),
            format!(
                "The file lies outside the city (e.g. at {:.4}, {:.4}); check its CRS",
                at.x, at.y
            ),
        ));
    }
    let records: Vec<u32> = outside.iter().map(|p| p.feature.record).collect();
    report.warn_records(
        "outside_area",
        "有图形位于本市之外",
        "Some boundaries lie outside the city",
        &records,
    );
    Ok(())
}

/// Makes codes where there are none: from the geometry, so the same parcel gets the same code again.
fn name_all(placed: Vec<Placed>, report: &mut Report) -> Vec<DraftFeature> {
    let mut made = Vec::new();
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut features = Vec::with_capacity(placed.len());
    for Placed { mut feature, has_code, .. } in placed {
        if !has_code {
            let code = format!("g{:016x}", first_8(&geometry_digest(&feature.geometry)));
            let times = seen.entry(code.clone()).or_default();
            *times += 1;
            feature.code = if *times == 1 { code } else { format!("{code}-{times}") };
            made.push(feature.record);
        }
        features.push(feature);
    }
    features.par_iter_mut().for_each(DraftFeature::seal);
    debug_assert!(made.is_empty() || !needs_code(&report.layer));
    report.warn_records(
        "codes_made",
        "没有编码，已按图形生成",
        "There are no codes; they were made from the geometry",
        &made,
    );
    features
}

#[cfg(test)]
mod tests;
