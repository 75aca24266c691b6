//! Land statistics: of an area, of the areas inside it, of a drawn polygon.

use super::params::wrong;
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::permissions::Action;
pub(super) use crate::enforcement::place::codes_of;
use crate::error::{Fault, FaultKind, Result};
use crate::geometry::drawn;
use crate::statistics::land::{LandBy, LandLevel, LandTable, Subject};
use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use serde::Deserialize;
use utoipa_actix_web::service_config::ServiceConfig;

/// Which land, and how it is listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LandQuery {
    /// Code of the area.
    area: String,
    /// `city`, `district` (functional areas among them), `town`, `village` or `cell`: one row for
    /// each inside the area. Without it, the area itself.
    level: Option<String>,
    /// `category` (default) or `class`
    by: Option<String>,
}

/// How the land of a polygon is listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PolygonQuery {
    /// Also split by the areas of this level.
    level: Option<String>,
    /// `category` (default) or `class`
    by: Option<String>,
}

fn level_of(text: Option<&str>) -> Result<Option<LandLevel>> {
    text.map(|text| {
        LandLevel::parse(text)
            .ok_or_else(|| wrong("level", "city, district, town, village or cell"))
    })
    .transpose()
}

fn by_of(text: Option<&str>) -> Result<LandBy> {
    match text {
        None | Some("category") => Ok(LandBy::Category),
        Some("class") => Ok(LandBy::Class),
        Some(_) => Err(wrong("by", "category or class")),
    }
}

/// Refuses the figures of an area that is not the account's; an unknown one passes, to be refused
/// as such.
pub fn may_see(state: &AppState, account: &Account, area: &str) -> Result<()> {
    let atlas = state.world.atlas.load_full();
    let tree = state.world.land.tree(&atlas);
    match tree.find(area) {
        Some(found) if !account.scope.holds(&codes_of(&tree, found)) => Err(Fault::new(
            FaultKind::Forbidden,
            "area_forbidden",
            "该区域不在您的管辖范围内",
            "This area is not within yours",
        )),
        _ => Ok(()),
    }
}

/// Land of an area by category or class, m² and mu.
#[utoipa::path(tag = "statistics", params(LandQuery), responses(
    (status = 200, body = LandTable), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/stats/land")]
async fn land_of_area(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<LandQuery>,
) -> Result<HttpResponse> {
    account.require(Action::LookUp)?;
    let LandQuery { area, level, by } = query.into_inner();
    let (level, by) = (level_of(level.as_deref())?, by_of(by.as_deref())?);
    let table = blocking(move || {
        may_see(&state, &account, &area)?;
        let atlas = state.world.atlas.load_full();
        state.world.land.table(&atlas, Subject::Area(&area), level, by)
    })
    .await?;
    Ok(answer(&table))
}

/// Land under a drawn polygon by category or class: GeoJSON (RFC 7946) Polygon or MultiPolygon, or
/// a Feature of one, at most 10,000 vertices. A polygon that crosses itself is refused: it has no
/// one area.
#[utoipa::path(tag = "statistics", params(PolygonQuery),
    request_body(content = Object, description = "GeoJSON polygon", content_type = "application/geo+json"),
    responses((status = 200, body = LandTable), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem)))]
#[post("/stats/land")]
async fn land_of_polygon(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<PolygonQuery>,
    body: web::Json<serde_json::Value>,
) -> Result<HttpResponse> {
    account.require(Action::LookUp)?;
    let (level, by) = (level_of(query.level.as_deref())?, by_of(query.by.as_deref())?);
    let table = blocking(move || {
        let polygon = drawn::from_geojson(&body, drawn::MOST_VERTICES)?;
        let atlas = state.world.atlas.load_full();
        state.world.land.table(&atlas, Subject::Polygon(&polygon), level, by)
    })
    .await?;
    Ok(answer(&table))
}

fn answer(table: &LandTable) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "private, no-cache")).json(table)
}

pub fn configure(config: &mut ServiceConfig) {
    config.service(land_of_area).service(land_of_polygon);
}
