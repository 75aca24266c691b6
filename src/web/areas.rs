//! Areas (city, district, functional area, town, village, cell) and the published layers.

use super::params::wrong;
use super::problem::Problem;
use super::session::Account;
use super::state::AppState;
use crate::atlas::feature::{Feature, layers};
use crate::atlas::lookup::Atlas;
use crate::enforcement::place::AreaName;
use crate::error::{Fault, Result};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::{Deserialize, Serialize};

/// The layers whose features are areas, from above.
pub const LEVELS: [&str; 6] = [
    layers::CITY,
    layers::DISTRICT,
    layers::FUNCTIONAL_AREA,
    layers::TOWN,
    layers::VILLAGE,
    layers::CELL,
];

/// The area with a code, and its level.
pub fn find_area<'a>(atlas: &'a Atlas, code: &str) -> Option<(&'static str, &'a Feature)> {
    LEVELS.into_iter().find_map(|level| Some((level, atlas.layer(level)?.by_code(code)?)))
}

/// An area of the list.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Area {
    code: String,
    name: String,
    level: &'static str,
    parent_code: Option<String>,
    /// Geodesic, m².
    area_m2: f64,
    /// West, south, east, north; degrees.
    bbox: Option<[f64; 4]>,
}

fn area_of(level: &'static str, feature: &Feature) -> Area {
    use geo::BoundingRect;
    let AreaName { code, name } = feature.into();
    let bbox =
        feature.geometry.bounding_rect().map(|r| [r.min().x, r.min().y, r.max().x, r.max().y]);
    Area {
        code,
        name,
        level,
        parent_code: feature.parent_code.clone(),
        area_m2: feature.area_m2,
        bbox,
    }
}

/// Which areas to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AreaQuery {
    /// `city`, `district`, `functional_area`, `town`, `village` or `cell`
    level: Option<String>,
    /// Code of the area above; for functional areas the city.
    parent: Option<String>,
}

/// All areas that match.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AreaList {
    items: Vec<Area>,
    next: Option<String>,
}

/// Areas by level and parent; without either the city, its districts and functional areas. With
/// `Accept: application/geo+json` a FeatureCollection of them with geometry, for phones that keep
/// their patch; then a `parent` is required.
#[utoipa::path(tag = "areas", params(AreaQuery),
    responses((status = 200, body = AreaList), (status = 400, body = Problem)))]
#[get("/areas")]
async fn list_areas(
    state: web::Data<AppState>,
    _account: Account,
    request: HttpRequest,
    query: web::Query<AreaQuery>,
) -> Result<HttpResponse> {
    let geometry = wants_geometry(&request);
    let atlas = state.world.atlas.load();
    let levels: Vec<&'static str> = match query.level.as_deref() {
        Some(level) => vec![LEVELS.into_iter().find(|known| *known == level).ok_or_else(|| {
            wrong("level", "city, district, functional_area, town, village or cell")
        })?],
        None if query.parent.is_some() => LEVELS.into(),
        None => vec![layers::CITY, layers::DISTRICT, layers::FUNCTIONAL_AREA],
    };
    let parent = query.parent.as_deref();
    if parent.is_some_and(|code| find_area(&atlas, code).is_none()) {
        return Err(Fault::not_found("没有这个区域", "There is no such area"));
    }
    if geometry && parent.is_none() {
        return Err(wrong("parent", "required with geometry"));
    }
    let mut items = Vec::new();
    let mut features = Vec::new();
    for level in levels {
        let Some(layer) = atlas.layer(level) else { continue };
        let children = layer
            .features()
            .iter()
            .filter(|feature| parent.is_none_or(|parent| is_child(&atlas, level, feature, parent)));
        for child in children {
            if geometry {
                features.push(geojson_of(level, child)?);
            } else {
                items.push(area_of(level, child));
            }
        }
    }
    let mut response = HttpResponse::Ok();
    response.insert_header((header::VARY, "Accept"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if geometry {
        let collection = geojson::FeatureCollection { bbox: None, features, foreign_members: None };
        return Ok(response.content_type("application/geo+json").body(collection.to_string()));
    }
    Ok(response.json(AreaList { items, next: None }))
}

fn wants_geometry(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok());
    accept.is_some_and(|accept| accept.contains("geo+json"))
}

/// RFC 7946, CGCS2000 degrees.
fn geojson_of(level: &'static str, feature: &Feature) -> Result<geojson::Feature> {
    let properties = serde_json::to_value(area_of(level, feature)).map_err(Fault::internal)?;
    Ok(geojson::Feature {
        geometry: Some(geojson::Geometry::from(&feature.geometry)),
        properties: properties.as_object().cloned(),
        ..geojson::Feature::default()
    })
}

fn is_child(atlas: &Atlas, level: &str, feature: &Feature, parent: &str) -> bool {
    if feature.parent_code.as_deref() == Some(parent) {
        return true;
    }
    let of_functional_area = || {
        let functional = atlas.layer(layers::FUNCTIONAL_AREA)?.by_code(parent)?;
        let towns = functional.attributes.get("XZQDMS")?.as_str()?;
        Some(towns.split(',').any(|town| town.trim() == feature.code))
    };
    match level {
        // A functional area stands beside the districts, under the city.
        layers::FUNCTIONAL_AREA => {
            atlas.layer(layers::CITY).is_some_and(|l| l.by_code(parent).is_some())
        }
        layers::TOWN => of_functional_area().unwrap_or(false),
        _ => false,
    }
}

/// One area; with `Accept: application/geo+json` its geometry (RFC 7946, CGCS2000 degrees).
#[utoipa::path(tag = "areas", params(("code" = String, Path)),
    responses((status = 200, body = Area), (status = 404, body = Problem)))]
#[get("/areas/{code}")]
async fn show_area(
    state: web::Data<AppState>,
    _account: Account,
    request: HttpRequest,
    code: web::Path<String>,
) -> Result<HttpResponse> {
    let atlas = state.world.atlas.load();
    let (level, feature) = find_area(&atlas, &code)
        .ok_or_else(|| Fault::not_found("没有这个区域", "There is no such area"))?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::VARY, "Accept"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if !wants_geometry(&request) {
        return Ok(response.json(area_of(level, feature)));
    }
    let feature = geojson_of(level, feature)?;
    Ok(response.content_type("application/geo+json").body(feature.to_string()))
}

/// A published layer.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PublishedLayer {
    name: String,
    /// `partition` or `overlay`
    kind: &'static str,
    title_zh: String,
    title_en: String,
    /// The publish that last changed it.
    generation: u64,
    features: usize,
    bbox: Option<[f64; 4]>,
}

/// All published layers.
#[derive(Serialize, utoipa::ToSchema)]
pub struct LayerList {
    items: Vec<PublishedLayer>,
    next: Option<String>,
}

/// The published boundary layers.
#[utoipa::path(tag = "areas", responses((status = 200, body = LayerList)))]
#[get("/layers")]
async fn published_layers(state: web::Data<AppState>, _account: Account) -> Result<HttpResponse> {
    let atlas = state.world.atlas.load();
    let items = atlas
        .layers()
        .map(|layer| PublishedLayer {
            name: layer.info().name.clone(),
            kind: if layer.is_partition() { "partition" } else { "overlay" },
            title_zh: layer.info().title_zh.clone(),
            title_en: layer.info().title_en.clone(),
            generation: layer.generation(),
            features: layer.features().len(),
            bbox: layer.bounds().map(|r| [r.min().x, r.min().y, r.max().x, r.max().y]),
        })
        .collect();
    Ok(HttpResponse::Ok().json(LayerList { items, next: None }))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(list_areas).service(show_area).service(published_layers);
}
