//! Patrol: plans, tracks, visits, and what is due.

mod plans;
mod tracks;
mod visits;

use super::areas::find_area;
use super::params::wrong;
use super::session::Account;
use super::state::AppState;
use crate::atlas::feature::layers;
use crate::enforcement::clock::day_of;
use crate::enforcement::dispatch::PlaceCodes;
use crate::enforcement::people::Person;
use crate::enforcement::permissions::{Action, Scope};
use crate::enforcement::place::codes_of;
use crate::error::{Fault, FaultKind, Result};
use chrono::{Days, NaiveDate};

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    plans::configure(config);
    tracks::configure(config);
    visits::configure(config);
}

/// Where an area lies, by its code; none where there is no such area.
fn place_of(state: &AppState, code: &str) -> Option<PlaceCodes> {
    let atlas = state.world.atlas.load_full();
    let tree = state.world.land.tree(&atlas);
    tree.find(code).map(|area| codes_of(&tree, area))
}

/// The area parameter of a list as a filter.
fn area_filter(state: &AppState, code: Option<&str>) -> Result<Option<Scope>> {
    let Some(code) = code.map(str::trim).filter(|code| !code.is_empty()) else { return Ok(None) };
    match find_area(&state.world.atlas.load(), code) {
        Some((level, _)) if level != layers::CELL => {
            Ok(Some(Scope::of_area(code, |_| level == layers::FUNCTIONAL_AREA)))
        }
        _ => Err(wrong("area", "no such area")),
    }
}

fn day(parameter: &str, value: Option<&str>) -> Result<Option<NaiveDate>> {
    let start = super::params::period_start(parameter, value)?;
    Ok(start.map(day_of))
}

/// From one day to another, both included; the last `usual` days where it is not said.
fn period(
    state: &AppState,
    from: Option<&str>,
    to: Option<&str>,
    usual: u64,
    most: i64,
) -> Result<(NaiveDate, NaiveDate)> {
    let to = day("to", to)?.unwrap_or_else(|| state.clock.today());
    let from = day("from", from)?
        .or_else(|| to.checked_sub_days(Days::new(usual.saturating_sub(1))))
        .unwrap_or(to);
    if from > to {
        return Err(wrong("from", "from must not be after to"));
    }
    if (to - from).num_days() >= most {
        return Err(wrong("from", &format!("at most {most} days")));
    }
    Ok((from, to))
}

/// Whether the account may see where this person was: itself, or somebody of its area whom it
/// leads. A person outside is as unknown as one who does not exist.
fn may_follow(state: &AppState, account: &Account, person: &Person) -> Result<()> {
    if person.id == account.person.id {
        return Ok(());
    }
    account.require(Action::SeeTracks)?;
    let place = place_of(state, &person.area_code);
    match place {
        Some(place) if account.scope.holds(&place) => Ok(()),
        _ => Err(no_such_person()),
    }
}

fn no_such_person() -> Fault {
    Fault::not_found("没有这个人员，或不在您的辖区内", "There is no such person in your area")
}

fn outside() -> Fault {
    Fault::new(
        FaultKind::Forbidden,
        "outside_area",
        "该区域不在您的辖区内",
        "This area is not yours",
    )
}
