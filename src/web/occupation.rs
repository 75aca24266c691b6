//! The ratio of illegally taken cultivated land.

use super::params::wrong;
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use super::stats::codes_of;
use crate::enforcement::permissions::{Action, Scope};
use crate::error::Result;
use crate::store::occupation::{self, RatioRow};
use actix_web::{HttpResponse, get, web};
use chrono::Datelike;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RatioQuery {
    /// This year without it
    year: Option<i32>,
}

/// The areas of a year whose denominator is known.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Ratios {
    year: i32,
    /// From this ratio on the leader is answerable.
    answerable_from: f64,
    items: Vec<RatioRow>,
}

/// Illegally taken cultivated land ÷ cultivated land that construction took, of the own areas
/// whose denominator is set (`occupation_ratio`).
#[utoipa::path(tag = "statistics", params(RatioQuery),
    responses((status = 200, body = Ratios), (status = 400, body = Problem)))]
#[get("/stats/occupation")]
async fn ratios(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<RatioQuery>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let year = query.year.unwrap_or_else(|| state.clock.today().year());
    if !(1990..=2200).contains(&year) {
        return Err(wrong("year", "1990 to 2200"));
    }
    let answer = blocking(move || {
        let settings = state.world.settings.load_full();
        let atlas = state.world.atlas.load_full();
        let tree = state.world.land.tree(&atlas);
        let scope_of = |code: &str| {
            let codes = codes_of(&tree, tree.find(code)?);
            let is_functional = |c: &str| codes.functional_areas.iter().any(|f| f == c);
            account.scope.holds(&codes).then(|| Scope::of_area(code, is_functional))
        };
        let setting = &settings.occupation_ratio;
        let items = occupation::ratios(&mut *state.store.conn()?, setting, year, scope_of)?;
        Ok(Ratios { year, answerable_from: setting.answerable_from, items })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(ratios);
}
