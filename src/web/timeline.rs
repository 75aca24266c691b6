//! The time line of cases: all frames in one answer.

use super::case_params::{self, CaseParams};
use super::params::wrong;
use super::problem::Problem;
use super::reports::{chosen, period};
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::permissions::Action;
use crate::error::Result;
use crate::statistics::period::{Period, day_of};
use crate::statistics::timeline::{self, Frame, Step};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// How the time line is cut.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // for the API's description; read by name
struct TimelineParams {
    /// `day`, `week` (from Monday) or `month` (default)
    step: Option<String>,
    /// `true`: also where the cases lie, for the map's time slider
    squares: Option<String>,
}

/// Cases by day, week or month.
#[derive(Serialize, utoipa::ToSchema)]
struct Timeline {
    as_of: DateTime<Utc>,
    step: Step,
    from: NaiveDate,
    to: NaiveDate,
    frames: Vec<Frame>,
}

/// Counts and areas of the cases a filter admits, by day, week or month: all frames at once, empty
/// ones too. Found cases count by report, closed ones by closing, demolished m² by demolition;
/// without `from` and `to` since January the first of last year.
#[utoipa::path(tag = "statistics", params(CaseParams, TimelineParams),
    responses((status = 200, body = Timeline), (status = 400, body = Problem)))]
#[get("/stats/timeline")]
async fn show(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let (params, others) = case_params::split(request.query_string(), &["step", "squares"])?;
    let step = chosen(&others, "step", "day, week or month", Step::parse)?.unwrap_or(Step::Month);
    let squares = match others.get("squares").map(String::as_str) {
        None | Some("" | "false") => false,
        Some("true") => true,
        Some(_) => return Err(wrong("squares", "true or false")),
    };
    let now = state.clock.now();
    let today = day_of(now.timestamp()).unwrap_or_default();
    let period = match period(&params, today)? {
        Some(period) => period,
        None => {
            let year = Period::year_to(today);
            Period::new(year.year_before().map_or(year.from, |y| y.from), today)?
        }
    };
    let rest = CaseParams { from: None, to: None, ..params };
    let filter = rest.filter(&state.world, &account, now)?;
    let answer = blocking(move || {
        state.world.refresh(&state.store)?;
        let view = state.world.frames.view(state.world.cases.snapshot())?;
        let frames = timeline::timeline(&view, &filter, period, step, squares)?;
        Ok(Timeline { as_of: now, step, from: period.from, to: period.to, frames })
    })
    .await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "private, no-cache")).json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(show);
}
