//! Hotspots: as a table with the villages to look at first, and as tiles.

use super::case_params::{self, CaseParams, Others};
use super::problem::Problem;
use super::reports::{chosen, language, period};
use super::session::Account;
use super::state::{AppState, blocking};
use crate::atlas::feature::layers;
use crate::enforcement::permissions::Action;
use crate::error::{Fault, Language, Result};
use crate::statistics::getis_ord::ALPHA;
use crate::statistics::hotspots::{self, By, Class, Hotspots, Measure, Spot, Universe};
use crate::statistics::land::{LandBy, LandLevel, Subject};
use crate::statistics::period::{Period, day_of};
use crate::store::world::World;
use crate::tiles::address::TileAddress;
use crate::tiles::cases::CaseFilter;
use crate::tiles::encode::Value;
use crate::tiles::outlines::{self, Outline};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, NaiveDate, Utc};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// What the units are, and how many are shown.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // for the API's description; read by name
struct HotspotParams {
    /// `village` (default), `cell` or `h3`
    by: Option<String>,
    /// Of H3 hexagons: 7, 8 (default) or 9
    resolution: Option<u8>,
    /// `count` (default) or `area`: what gathers
    measure: Option<String>,
    /// How many of the hottest units are listed, 50 by default, at most 1000
    limit: Option<usize>,
    /// `zh` or `en`; the account's by default
    lang: Option<String>,
}

const OTHERS: [&str; 5] = ["by", "resolution", "measure", "limit", "lang"];

/// A unit: cell, village or hexagon.
#[derive(Serialize, utoipa::ToSchema)]
struct HotspotRow {
    code: String,
    name: Option<String>,
    /// Cases in the period, and in the same period a year before.
    count: u64,
    before: u64,
    area_m2: f64,
    basic_farmland_m2: f64,
    /// Cases per km² of cultivated land; null where there is less than a hectare of it.
    per_km2: Option<f64>,
    /// Getis-Ord Gi*: z, two-sided p, and whether significant after correction for all units.
    z: f64,
    p: f64,
    fdr: bool,
    z_before: f64,
    class: Class,
    /// Why to look here.
    reason: String,
    /// The list behind the count.
    query: String,
    /// West, south, east, north; degrees.
    bbox: Option<[f64; 4]>,
}

/// Where cases gather.
#[derive(Serialize, utoipa::ToSchema)]
struct HotspotTable {
    as_of: DateTime<Utc>,
    generation: u64,
    by: &'static str,
    from: NaiveDate,
    to: NaiveDate,
    before: Option<Period2>,
    /// Units of the field, and how many of them are hot (p ≤ 0.05).
    units: usize,
    hot: usize,
    /// Cases that lie in none of the units.
    elsewhere: u64,
    rows: Vec<HotspotRow>,
    /// The ten villages to look at first, and why.
    first: Vec<HotspotRow>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Period2 {
    from: NaiveDate,
    to: NaiveDate,
}

/// What is asked for; all that the result depends on beside the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    by: By,
    measure: Measure,
    period: Period,
    filter: CaseFilter,
}

fn parse(
    state: &AppState,
    account: &Account,
    query: &str,
    fixed: Option<By>,
) -> Result<(Asked, Others)> {
    let (params, others) = case_params::split(query, &OTHERS)?;
    let resolution = chosen(&others, "resolution", "7, 8 or 9", |text| {
        text.parse().ok().filter(|r| (7..=9u8).contains(r))
    })?
    .unwrap_or(8);
    let by = chosen(&others, "by", "village, cell or h3", |text| match text {
        "village" => Some(By::Village),
        "cell" => Some(By::Cell),
        "h3" => Some(By::H3(resolution)),
        _ => None,
    })?;
    let fixed = fixed.map(|by| if matches!(by, By::H3(_)) { By::H3(resolution) } else { by });
    let measure = chosen(&others, "measure", "count or area", |text| match text {
        "count" => Some(Measure::Count),
        "area" => Some(Measure::Area),
        _ => None,
    })?;
    let now = state.clock.now();
    let today = day_of(now.timestamp()).unwrap_or_default();
    let period = period(&params, today)?.unwrap_or(Period::year_to(today));
    let rest = CaseParams { from: None, to: None, ..params };
    let filter = rest.filter(&state.world, account, now)?;
    let by = fixed.or(by).unwrap_or(By::Village);
    Ok((Asked { by, measure: measure.unwrap_or(Measure::Count), period, filter }, others))
}

/// Universes of the boundary versions in use, and results of the cases in memory.
static UNIVERSES: LazyLock<Cache<(By, u64), Arc<Universe>>> =
    LazyLock::new(|| Cache::builder().max_capacity(12).build());
type ResultKey = (Asked, u64, u64, usize);
static RESULTS: LazyLock<Cache<ResultKey, Arc<Hotspots>>> =
    LazyLock::new(|| Cache::builder().max_capacity(64).build());

fn universe(world: &World, by: By) -> Result<Arc<Universe>> {
    let atlas = world.atlas.load_full();
    // Several stores may be served by one process in tests: the layer's own address tells them
    // apart as long as its universe is kept.
    let layer = |name: &str| {
        atlas.layer(name).cloned().ok_or_else(|| {
            Fault::not_found(format!("没有图层 {name}"), format!("No layer {name:?}"))
        })
    };
    let layer = match by {
        By::Cell => layer(layers::CELL)?,
        By::Village => layer(layers::VILLAGE)?,
        By::H3(_) => layer(layers::CITY)?,
    };
    let key = (by, Arc::as_ptr(&layer) as u64 ^ layer.generation());
    if let Some(found) = UNIVERSES.get(&key) {
        return Ok(found);
    }
    let made = Arc::new(match by {
        By::H3(resolution) => Universe::of_hexagons(resolution, &layer)?,
        _ => Universe::of_layer(by, &layer),
    });
    UNIVERSES.insert(key, Arc::clone(&made));
    Ok(made)
}

fn filters(asked: &Asked) -> (CaseFilter, Option<CaseFilter>) {
    let of = |period: Period| {
        let (from, until) = period.seconds();
        CaseFilter { from: Some(from), until: Some(until), ..asked.filter.clone() }
    };
    (of(asked.period), asked.period.year_before().map(of))
}

fn result(state: &AppState, asked: &Asked) -> Result<Arc<Hotspots>> {
    let world = &state.world;
    let whole = TileAddress::new(0, 0, 0).ok_or_else(|| Fault::internal("no tile 0"))?;
    // Before the snapshot: what is computed is never older than what it is filed under.
    let revision = world.cases.revision(whole);
    let universe = universe(world, asked.by)?;
    let key =
        (asked.clone(), revision, world.atlas.load().generation(), Arc::as_ptr(&universe) as usize);
    if let Some(found) = RESULTS.get(&key) {
        return Ok(found);
    }
    let atlas = world.atlas.load_full();
    let tree = world.land.tree(&atlas);
    // The field is what the viewer and the filter's area hold.
    let holders: Vec<_> = [&asked.filter.area, &asked.filter.scope]
        .into_iter()
        .flatten()
        .map(|code| tree.find(code))
        .collect();
    let level = match asked.by {
        By::Cell => Some(LandLevel::Cell),
        By::Village => Some(LandLevel::Village),
        By::H3(_) => None,
    };
    let counts = |unit: u32| match level {
        Some(_) => {
            let own = tree.find(&universe.code(unit));
            holders.iter().all(|holder| {
                own.zip(*holder).is_some_and(|(own, holder)| tree.is_within(own, holder))
            })
        }
        None => {
            use geo::Centroid;
            let Some(middle) = universe.outline(unit).centroid() else { return false };
            holders.iter().all(|holder| {
                let Some(holder) = *holder else { return false };
                let layer = atlas.layer(holder.level.layer());
                holder.level == crate::atlas::areas::AreaLevel::City
                    || layer.is_some_and(|l| l.feature_contains(holder.index, middle.0))
            })
        }
    };
    let view = world.frames.view(world.cases.snapshot())?;
    let (now, before) = filters(asked);
    let found = hotspots::hotspots(&view, &universe, counts, asked.measure, &now, before.as_ref())?;
    let found = Arc::new(found);
    RESULTS.insert(key, Arc::clone(&found));
    Ok(found)
}

/// Cultivated land by code, m².
fn cultivated(world: &World, by: By) -> Result<HashMap<String, f64>> {
    let level = match by {
        By::Cell => LandLevel::Cell,
        By::Village => LandLevel::Village,
        By::H3(_) => return Ok(HashMap::new()),
    };
    let atlas = world.atlas.load_full();
    let Some(city) = atlas.layer(layers::CITY).and_then(|l| l.features().first()) else {
        return Ok(HashMap::new());
    };
    let table =
        world.land.table(&atlas, Subject::Area(&city.code), Some(level), LandBy::Category)?;
    Ok(table.rows.into_iter().filter_map(|row| Some((row.code?, row.cultivated))).collect())
}

/// A hectare: rates on less say nothing.
const LEAST_CULTIVATED_M2: f64 = 10_000.0;

fn rows(
    state: &AppState,
    found: &Hotspots,
    asked: &Asked,
    spots: &[&Spot],
    language: Language,
) -> Result<Vec<HotspotRow>> {
    let world = &state.world;
    let known = cultivated(world, asked.by)?;
    let (now, _) = filters(asked);
    let atlas = world.atlas.load_full();
    let mut rows = Vec::new();
    for spot in spots {
        let code = found.universe.code(spot.unit);
        let land = match asked.by {
            By::H3(_) => {
                let outline = found.universe.outline(spot.unit);
                let table =
                    world.land.table(&atlas, Subject::Polygon(&outline), None, LandBy::Category)?;
                Some(table.total.cultivated)
            }
            _ => known.get(&code).copied(),
        };
        let per_km2 = land
            .filter(|m2| *m2 >= LEAST_CULTIVATED_M2)
            .map(|m2| spot.now.count as f64 / (m2 / 1e6));
        let (zh, en) = spot.reason(per_km2);
        let bounds = found.universe.bounds(spot.unit);
        let bbox = bounds.map(|b| [b.min().x, b.min().y, b.max().x, b.max().y]);
        let own = match asked.by {
            // A hexagon is no filter; its box holds its cases and some beside it.
            By::H3(_) => CaseFilter { bbox: bbox.map(|b| b.map(f64::to_bits)), ..now.clone() },
            _ => {
                let within = now.area.clone().filter(|area| **area != *code);
                CaseFilter { area: Some(code.as_str().into()), within, ..now.clone() }
            }
        };
        rows.push(HotspotRow {
            name: found.universe.name(spot.unit).map(String::from),
            code,
            count: spot.now.count,
            before: spot.before.count,
            area_m2: spot.now.area_m2,
            basic_farmland_m2: spot.now.basic_farmland_m2,
            per_km2,
            z: spot.gi.z,
            p: spot.gi.p,
            fdr: spot.gi.fdr,
            z_before: spot.gi_before.z,
            class: spot.class,
            reason: language.pick(&zh, &en).to_string(),
            query: own.to_query(),
            bbox,
        });
    }
    Ok(rows)
}

/// The order in which villages are looked at: the class first, then how far above chance.
fn first(found: &Hotspots) -> Vec<&Spot> {
    let urgency = |class: Class| match class {
        Class::New | Class::Intensifying => 0,
        Class::Persistent => 1,
        Class::Emerging => 2,
        Class::Diminishing => 3,
        Class::Fading | Class::None | Class::Cold => 4,
    };
    let mut spots: Vec<&Spot> = found.spots.iter().filter(|spot| spot.now.count > 0).collect();
    // Stable: within a class the hottest stay first.
    spots.sort_by_key(|spot| urgency(spot.class));
    spots.truncate(10);
    spots
}

/// Where cases gather, against the same period a year before: grid cells, villages or H3 hexagons
/// by Getis-Ord Gi* (queen contiguity, the unit itself included), hottest first; and the ten
/// villages to look at first, with the reason.
#[utoipa::path(tag = "statistics", params(CaseParams, HotspotParams),
    responses((status = 200, body = HotspotTable), (status = 400, body = Problem)))]
#[get("/stats/hotspots")]
async fn show(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let (asked, others) = parse(&state, &account, request.query_string(), None)?;
    let limit = chosen(&others, "limit", "1 to 1000", |text| {
        text.parse().ok().filter(|n| (1..=1000usize).contains(n))
    })?
    .unwrap_or(50);
    let language = language(&others, &account)?;
    let now = state.clock.now();
    let table = blocking(move || {
        state.world.refresh(&state.store)?;
        let found = result(&state, &asked)?;
        let listed: Vec<&Spot> =
            found.spots.iter().filter(|s| s.now.count + s.before.count > 0).take(limit).collect();
        let villages_asked = Asked { by: By::Village, ..asked.clone() };
        let villages = result(&state, &villages_asked)?;
        let hot = found.spots.iter().filter(|s| s.gi.z > 0.0 && s.gi.p <= ALPHA).count();
        Ok(HotspotTable {
            as_of: now,
            generation: state.world.atlas.load().generation(),
            by: asked.by.as_str(),
            from: asked.period.from,
            to: asked.period.to,
            before: asked.period.year_before().map(|p| Period2 { from: p.from, to: p.to }),
            units: found.spots.len(),
            hot,
            elsewhere: found.elsewhere,
            rows: rows(&state, &found, &asked, &listed, language)?,
            first: rows(&state, &villages, &villages_asked, &first(&villages), language)?,
        })
    })
    .await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "private, no-cache")).json(table))
}

/// The units of a tile layer `hotspots_cell` or `hotspots_h3`.
pub fn tile_layer(name: &str) -> Option<By> {
    match name {
        "hotspots_cell" => Some(By::Cell),
        "hotspots_village" => Some(By::Village),
        "hotspots_h3" => Some(By::H3(8)),
        _ => None,
    }
}

/// The fields of its features.
pub fn tile_fields() -> serde_json::Value {
    serde_json::json!({
        "code": "String", "name": "String", "count": "Number", "before": "Number",
        "area_m2": "Number", "z": "Number", "p": "Number", "fdr": "Boolean",
        "class": "String: new, intensifying, persistent, diminishing, fading, emerging, cold, none",
    })
}

/// Checks the query of a tile.
pub fn check(state: &AppState, account: &Account, query: &str, by: By) -> Result<Asked> {
    Ok(parse(state, account, query, Some(by))?.0)
}

/// At most so many polygons in a tile, the farthest from chance first.
const MOST_OUTLINES: usize = 3_000;

/// The bytes of a tile; empty where nothing gathers.
pub fn tile(state: &AppState, layer: &str, asked: &Asked, address: TileAddress) -> Result<Vec<u8>> {
    let found = result(state, asked)?;
    let bounds = address.bounds(0.02);
    let touches = |spot: &&Spot| {
        found.universe.bounds(spot.unit).is_some_and(|own| {
            own.min().x <= bounds.max().x
                && own.max().x >= bounds.min().x
                && own.min().y <= bounds.max().y
                && own.max().y >= bounds.min().y
        })
    };
    let shown = |spot: &&Spot| spot.now.count > 0 || spot.class != Class::None;
    let mut spots: Vec<&Spot> = found.spots.iter().filter(shown).filter(touches).collect();
    if spots.len() > MOST_OUTLINES {
        spots.sort_by(|a, b| b.gi.z.abs().total_cmp(&a.gi.z.abs()));
        spots.truncate(MOST_OUTLINES);
    }
    spots.sort_by_key(|spot| spot.unit);
    let codes: Vec<String> = spots.iter().map(|spot| found.universe.code(spot.unit)).collect();
    let outlines = spots.iter().zip(&codes).map(|(spot, code)| {
        let mut properties = vec![
            ("code", Value::Text(code)),
            ("count", Value::Count(spot.now.count)),
            ("before", Value::Count(spot.before.count)),
            ("area_m2", Value::Number(spot.now.area_m2.round())),
            ("z", Value::Number((spot.gi.z * 1000.0).round() / 1000.0)),
            ("p", Value::Number((spot.gi.p * 1e6).round() / 1e6)),
            ("fdr", Value::Flag(spot.gi.fdr)),
            ("class", Value::Text(spot.class.as_str())),
        ];
        if let Some(name) = found.universe.name(spot.unit) {
            properties.push(("name", Value::Text(name)));
        }
        Outline { geometry: found.universe.outline(spot.unit), properties }
    });
    Ok(outlines::tile(layer, address, outlines))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(show);
}
