//! Search for a place by name or code.

use super::areas::{LEVELS, find_area};
use super::params::wrong;
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::atlas::feature::Feature;
use crate::atlas::lookup::Atlas;
use crate::enforcement::permissions::Action;
use crate::error::{Fault, Result};
use crate::geometry::representative::representative_point;
use actix_web::{HttpResponse, get, web};
use geo::BoundingRect;
use serde::{Deserialize, Serialize};

/// Longer than any name; what is longer is no name.
const MAX_QUERY: usize = 100;
const MOST: usize = 50;

/// What to look for.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PlaceQuery {
    /// Part of a name, or the beginning of a code
    q: String,
    /// At most 50, default 12
    limit: Option<usize>,
}

/// A place that fits.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Place {
    /// The level: `city` … `cell`
    kind: &'static str,
    code: String,
    name: String,
    /// Names of the areas around it, from large to small.
    path: Vec<String>,
    /// A position inside, CGCS2000 degrees.
    lon: f64,
    lat: f64,
    /// West, south, east, north.
    bbox: Option<[f64; 4]>,
}

/// The places that fit best, best first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PlaceList {
    items: Vec<Place>,
    next: Option<String>,
}

/// Words people put behind a name or leave out.
const ENDINGS: [&str; 12] = [
    "街道办事处",
    "居民委员会",
    "村民委员会",
    "居委会",
    "村委会",
    "街道",
    "社区",
    "镇",
    "乡",
    "村",
    "区",
    "县",
];

fn stem(name: &str) -> &str {
    ENDINGS.iter().find_map(|end| name.strip_suffix(end)).filter(|s| !s.is_empty()).unwrap_or(name)
}

/// How well a feature fits; smaller is better.
fn rank(feature: &Feature, wanted: &str, wanted_stem: &str) -> Option<u8> {
    if feature.code == wanted {
        return Some(0);
    }
    let name = feature.name.as_deref().unwrap_or_default().to_lowercase();
    if name == wanted {
        Some(1)
    } else if !name.is_empty() && stem(&name) == wanted_stem {
        Some(2)
    } else if name.starts_with(wanted) {
        Some(3)
    } else if name.contains(wanted) {
        Some(4)
    } else if wanted.len() >= 4
        && wanted.bytes().all(|b| b.is_ascii_digit())
        && feature.code.starts_with(wanted)
    {
        Some(5)
    } else {
        None
    }
}

fn path_of(atlas: &Atlas, feature: &Feature) -> Vec<String> {
    let mut names = Vec::new();
    let mut next = feature.parent_code.clone();
    // A code that names itself as parent must not keep us here.
    while let Some(code) = next.filter(|_| names.len() < LEVELS.len()) {
        let Some((_, parent)) = find_area(atlas, &code) else { break };
        names.push(parent.name.clone().unwrap_or_else(|| parent.code.clone()));
        next = parent.parent_code.clone();
    }
    names.reverse();
    names
}

/// The best places for a text; of equal ones the larger area first, then by code.
fn search(atlas: &Atlas, text: &str, limit: usize) -> Vec<Place> {
    let wanted = text.to_lowercase();
    let wanted_stem = stem(&wanted);
    let mut found: Vec<(u8, usize, &'static str, &Feature)> = Vec::new();
    for (order, level) in LEVELS.into_iter().enumerate() {
        let Some(layer) = atlas.layer(level) else { continue };
        found.extend(layer.features().iter().filter_map(|feature| {
            Some((rank(feature, &wanted, wanted_stem)?, order, level, feature))
        }));
    }
    found.sort_by(|a, b| (a.0, a.1, &a.3.code).cmp(&(b.0, b.1, &b.3.code)));
    found
        .into_iter()
        .filter_map(|(_, _, kind, feature)| {
            let at = representative_point(&feature.geometry)?;
            let bbox = feature.geometry.bounding_rect();
            Some(Place {
                kind,
                code: feature.code.clone(),
                name: feature.name.clone().unwrap_or_default(),
                path: path_of(atlas, feature),
                lon: at.x,
                lat: at.y,
                bbox: bbox.map(|r| [r.min().x, r.min().y, r.max().x, r.max().y]),
            })
        })
        .take(limit)
        .collect()
}

/// Places by name or code: areas of every level and grid cells.
#[utoipa::path(tag = "areas", params(PlaceQuery),
    responses((status = 200, body = PlaceList), (status = 400, body = Problem)))]
#[get("/places")]
async fn places(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<PlaceQuery>,
) -> Result<HttpResponse> {
    account.require(Action::LookUp)?;
    let PlaceQuery { q, limit } = query.into_inner();
    let text = q.trim().to_string();
    if text.is_empty() || text.chars().count() > MAX_QUERY {
        return Err(wrong("q", "1 to 100 characters"));
    }
    let limit = match limit.unwrap_or(12) {
        limit @ 1..=MOST => limit,
        _ => return Err(wrong("limit", "1 to 50")),
    };
    let items = blocking(move || {
        let atlas = state.world.atlas.load_full();
        Ok::<_, Fault>(search(&atlas, &text, limit))
    })
    .await?;
    Ok(HttpResponse::Ok().json(PlaceList { items, next: None }))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(places);
}
