//! Reports: the figures of an area and period, as JSON, CSV, workbook and page to print.

use super::case_params::{self, CaseParams, Others};
use super::cases;
use super::params::{self, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use super::stats::may_see;
use crate::enforcement::permissions::Action;
use crate::error::{Fault, Language, Result};
use crate::statistics::period::{Period, day_of};
use crate::statistics::units::ReportLevel;
use crate::statistics::workbook::{self, AreaUnit};
use crate::statistics::{figures, print, sheet_csv};
use crate::store::report_facts;
use crate::store::reports::{self, Ask, Comparison, ReportKind};
use crate::tiles::cases::CaseFilter;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a report is of, beside the filter of cases.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // for the API's description; read by name
pub struct ReportParams {
    /// `district` (functional areas among them), `town` or `village`; one below the area by default
    level: Option<String>,
    /// `json` (default), `csv`, `xlsx` or `html`
    format: Option<String>,
    /// `previous`: against the month, quarter or year before; `year_before`: a year before
    compare: Option<String>,
    /// Key of a column: sorts areas or departments by it. Persons are not ranked.
    rank: Option<String>,
    /// Of areas on a printed page: `m2` (default) or `mu`
    unit: Option<String>,
    /// `zh` or `en`; the account's by default
    lang: Option<String>,
}

pub const REPORT_PARAMS: [&str; 6] = ["level", "format", "compare", "rank", "unit", "lang"];

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    Json,
    Csv,
    Xlsx,
    Html,
}

/// Media type of workbooks.
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

impl ReportFormat {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "xlsx" => Some(Self::Xlsx),
            "html" => Some(Self::Html),
            _ => None,
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => XLSX,
            Self::Html => "text/html; charset=utf-8",
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Html => "html",
        }
    }

    /// The report in this format.
    pub fn write(
        self,
        report: &figures::Report,
        language: Language,
        unit: AreaUnit,
    ) -> Result<Vec<u8>> {
        match self {
            Self::Json => serde_json::to_vec(&report.json(language)).map_err(Fault::internal),
            Self::Csv => sheet_csv::csv(report, language),
            Self::Xlsx => workbook::xlsx(report, language),
            Self::Html => Ok(print::page(report, language, unit).into_bytes()),
        }
    }
}

/// A named choice among some.
pub fn chosen<T>(
    others: &Others,
    name: &str,
    known: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    match others.get(name).map(|text| text.trim()).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => parse(text).map(Some).ok_or_else(|| wrong(name, known)),
    }
}

/// The language asked for, else the account's.
pub fn language(others: &Others, account: &Account) -> Result<Language> {
    let asked = chosen(others, "lang", "zh or en", |text| match text {
        "zh" => Some(Language::Chinese),
        "en" => Some(Language::English),
        _ => None,
    })?;
    let own = if account.language == "en" { Language::English } else { Language::Chinese };
    Ok(asked.unwrap_or(own))
}

/// Filters that the figures of a report set themselves.
fn refuse_own(params: &CaseParams) -> Result<()> {
    for (name, value) in [
        ("within", &params.within),
        ("status", &params.status),
        ("takes", &params.takes),
        ("open", &params.open),
        ("overdue", &params.overdue),
        ("as_of", &params.as_of),
        ("without_area", &params.without_area),
        ("unplaced", &params.unplaced),
        ("closed_from", &params.closed_from),
        ("closed_to", &params.closed_to),
        ("demolished_from", &params.demolished_from),
        ("demolished_to", &params.demolished_to),
        ("close_due_from", &params.close_due_from),
        ("close_due_to", &params.close_due_to),
        ("closed_in_time", &params.closed_in_time),
        ("stopped_in_time", &params.stopped_in_time),
        ("visited_within", &params.visited_within),
        ("applied", &params.applied),
        ("returned", &params.returned),
        ("extended", &params.extended),
        ("imported", &params.imported),
        ("reporter", &params.reporter),
    ] {
        if value.is_some() {
            return Err(wrong(name, "not a filter of reports, which tell it apart themselves"));
        }
    }
    Ok(())
}

/// The period of a report: whole days.
pub fn period(params: &CaseParams, today: NaiveDate) -> Result<Option<Period>> {
    let day = |name: &str, text: &Option<String>| -> Result<Option<NaiveDate>> {
        // Also checks the range of years.
        let time = params::period_start(name, text.as_deref())?;
        let is_day = |text: &str| text.trim().parse::<NaiveDate>().is_ok();
        if text.as_deref().is_some_and(|t| !t.trim().is_empty() && !is_day(t)) {
            return Err(wrong(name, "a day such as 2026-11-23"));
        }
        Ok(time.and_then(|time| day_of(time.timestamp())))
    };
    match (day("from", &params.from)?, day("to", &params.to)?) {
        (None, None) => Ok(None),
        (Some(from), Some(to)) => Period::new(from, to).map(Some),
        (Some(from), None) => Period::new(from, today.max(from)).map(Some),
        (None, Some(to)) => Ok(Some(Period::year_to(to))),
    }
}

/// What a query string asks of a report.
pub fn ask_of(
    state: &AppState,
    account: &Account,
    kind: ReportKind,
    query: &str,
) -> Result<(Ask, Others)> {
    let (params, others) = case_params::split(query, &REPORT_PARAMS)?;
    refuse_own(&params)?;
    let now = state.clock.now();
    let today = day_of(now.timestamp()).unwrap_or_default();
    let period = period(&params, today)?;
    let own = account.scope.code();
    let area = params.area.as_deref().map(str::trim).filter(|code| !code.is_empty());
    let area = area.unwrap_or(own).to_string();
    // An unknown area is 404, as for land; the filter checks the rest.
    let rest = CaseParams { area: None, from: None, to: None, ..params };
    let filter: CaseFilter = rest.filter(&state.world, account, now)?;
    let ask = Ask {
        kind,
        area,
        level: chosen(&others, "level", "district, town or village", ReportLevel::parse)?,
        period,
        filter,
        comparison: chosen(&others, "compare", "previous or year_before", |text| match text {
            "previous" => Some(Comparison::Previous),
            "year_before" => Some(Comparison::YearBefore),
            _ => None,
        })?,
        rank: others.get("rank").filter(|key| !key.is_empty()).cloned(),
    };
    Ok((ask, others))
}

/// A report: `cases`, `patrollers`, `success`, `attendance`, `demolition`, `departments` or `land`.
///
/// `rows` are the areas, persons or departments, `subtotals` the sums of what holds them, `total`
/// the sum of all. `lists` of a row names, for each figure, the list behind it: path, query and
/// how many entries it has. Areas are m², in `mu` mu (亩). Rates are null where nothing is due.
#[utoipa::path(tag = "reports", params(("kind" = String, Path), CaseParams, ReportParams),
    responses((status = 200, body = Object, description = "The report; CSV, workbook or page as asked"),
        (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/reports/{kind}")]
async fn of_kind(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    kind: web::Path<String>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let kind = ReportKind::parse(&kind)
        .ok_or_else(|| Fault::not_found("没有这种报表", "There is no such report"))?;
    let (ask, others) = ask_of(&state, &account, kind, request.query_string())?;
    let format = chosen(&others, "format", "json, csv, xlsx or html", ReportFormat::parse)?
        .unwrap_or(ReportFormat::Json);
    let unit = chosen(&others, "unit", "m2 or mu", |text| match text {
        "m2" => Some(AreaUnit::SquareMetre),
        "mu" => Some(AreaUnit::Mu),
        _ => None,
    })?
    .unwrap_or(AreaUnit::SquareMetre);
    let language = language(&others, &account)?;
    let name = {
        let (kind, area) = (kind.as_str(), &ask.area);
        format!("{kind}-{area}.{}", format.extension())
    };
    let bytes = blocking(move || {
        may_see(&state, &account, &ask.area)?;
        let now = state.clock.now();
        let report = reports::report(&state.store, &state.world, &ask, now)?;
        format.write(&report, language, unit)
    })
    .await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(format.media_type());
    answer.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if matches!(format, ReportFormat::Csv | ReportFormat::Xlsx) {
        let disposition = format!("attachment; filename=\"{name}\"");
        answer.insert_header((header::CONTENT_DISPOSITION, disposition));
    }
    Ok(answer.body(bytes))
}

/// Whose records, where and when.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct RecordQuery {
    person: Uuid,
    area: String,
    from: NaiveDate,
    /// Included
    to: NaiveDate,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A patrol record.
#[derive(Serialize, utoipa::ToSchema)]
struct Record {
    id: Uuid,
    case_id: Uuid,
    number: String,
    at: DateTime<Utc>,
    text: Option<String>,
}

/// A page of patrol records.
#[derive(Serialize, utoipa::ToSchema)]
struct RecordList {
    items: Vec<Record>,
    next: Option<String>,
}

/// The patrol records behind a figure of the patrollers' report, newest first.
#[utoipa::path(tag = "reports", params(RecordQuery),
    responses((status = 200, body = RecordList), (status = 400, body = Problem),
        (status = 403, body = Problem)))]
#[get("/reports/records")]
async fn records(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<RecordQuery>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let query = query.into_inner();
    let period = Period::new(query.from, query.to)?;
    let limit = params::limit(query.limit)?;
    let after = match query.cursor.as_deref().filter(|c| !c.is_empty()) {
        Some(cursor) => {
            Some(cases::read_cursor(cursor).ok_or_else(|| wrong("cursor", "not one of ours"))?)
        }
        None => None,
    };
    let answer = blocking(move || {
        may_see(&state, &account, &query.area)?;
        let mut conn = state.store.conn()?;
        let (person, area) = (query.person, &query.area);
        let mut rows = report_facts::records(&mut conn, person, area, period, after, limit + 1)?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|row| cases::cursor(row.at, row.event_id));
        let items = rows.into_iter().map(|row| Record {
            id: row.event_id,
            case_id: row.case_id,
            number: row.number,
            at: row.at,
            text: row.text,
        });
        Ok(RecordList { items: items.collect(), next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(records).service(of_kind);
}
