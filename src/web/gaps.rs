//! Where nobody is named: cells, and people without any duty.

use super::params;
use super::people::{area_reach, by_of};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::gaps::Lack;
use crate::enforcement::people::Role;
use crate::enforcement::permissions::Action;
use crate::enforcement::place::AreaName;
use crate::error::Result;
use crate::store::persons::{self, PeopleQuery, PersonRecord};
use actix_web::{HttpResponse, get, web};
use serde::{Deserialize, Serialize};

/// Which gaps to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct GapQuery {
    /// Code of an area
    area: Option<String>,
    limit: Option<i64>,
    /// Code of the last cell of the page before
    cursor: Option<String>,
}

/// A cell where somebody is missing.
#[derive(Serialize, utoipa::ToSchema)]
pub struct GapShown {
    cell: AreaName,
    village: Option<AreaName>,
    town_code: Option<String>,
    district_code: Option<String>,
    functional_area_code: Option<String>,
    illegal_land_use: Lack,
    illegal_construction: Lack,
}

/// A page of cells by code, and who could be named.
#[derive(Serialize, utoipa::ToSchema)]
pub struct GapList {
    items: Vec<GapShown>,
    next: Option<String>,
    /// Cells with a gap, on every page.
    total: usize,
    /// Of these, cells where nobody at all answers for some nature.
    nobody: usize,
    /// Patrollers and squad leaders of the area without any duty, the first 200 by phone.
    people_without_duty: Vec<PersonRecord>,
    people_without_duty_total: i64,
}

/// Where nobody is named for a cell or its village, and people with no duty.
#[utoipa::path(tag = "people", params(GapQuery),
    responses((status = 200, body = GapList), (status = 400, body = Problem), (status = 403, body = Problem)))]
#[get("/gaps")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<GapQuery>,
) -> Result<HttpResponse> {
    account.require(Action::SeePeople)?;
    let query = query.into_inner();
    let area = area_reach(&state, query.area.as_deref())?;
    let limit = params::limit(query.limit)? as usize;
    let answer = blocking(move || {
        let gaps = state.world.gaps();
        let atlas = state.world.atlas.load();
        let name = |layer: &str, code: &Option<String>| {
            atlas.layer(layer)?.by_code(code.as_deref()?).map(AreaName::from)
        };
        let Some(cells) = gaps.cells.clone() else {
            return Ok(GapList {
                items: Vec::new(),
                next: None,
                total: 0,
                nobody: 0,
                people_without_duty: Vec::new(),
                people_without_duty_total: 0,
            });
        };
        let code = |cell| cells.feature(cell).code.as_str();
        // In the order of the layer, which is by code.
        let found: Vec<_> = gaps
            .within(&account.scope)
            .filter(|gap| area.as_ref().is_none_or(|area| area.holds(code(gap.cell))))
            .collect();
        let lacks_all = |lack| lack == Lack::Nobody;
        let nobody = found.iter().filter(|g| lacks_all(g.land_use) || lacks_all(g.construction));
        let after = query.cursor.as_deref().unwrap_or_default();
        let mut rest = found.iter().filter(|gap| code(gap.cell) > after).peekable();
        let items: Vec<GapShown> = rest
            .by_ref()
            .take(limit)
            .map(|gap| GapShown {
                cell: cells.feature(gap.cell).into(),
                village: name(crate::atlas::feature::layers::VILLAGE, &gap.place.village),
                town_code: gap.place.town.clone(),
                district_code: gap.place.district.clone(),
                functional_area_code: gap.place.functional_areas.first().cloned(),
                illegal_land_use: gap.land_use,
                illegal_construction: gap.construction,
            })
            .collect();
        let next = items.last().map(|gap| gap.cell.code.clone()).filter(|_| rest.peek().is_some());
        let idle = PeopleQuery {
            reach: by_of(&state, &account).reach,
            area: area.clone(),
            roles: vec![Role::Patroller, Role::SquadLeader],
            text: None,
            active: Some(true),
            idle: true,
            after: None,
            limit: 200,
        };
        let mut conn = state.store.conn()?;
        Ok(GapList {
            items,
            next,
            total: found.len(),
            nobody: nobody.count(),
            people_without_duty: persons::list(&mut conn, &idle)?,
            people_without_duty_total: persons::count(&mut conn, &idle)?,
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(list);
}
