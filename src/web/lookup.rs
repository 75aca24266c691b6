//! Look-up of one position and of a batch of them.

use super::batch_stream::{AnswerStream, spool};
use super::params::wrong;
use super::problem::{Problem, language_of};
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::lookup::answer::{LookupAnswer, Question};
use crate::enforcement::lookup::batch::{
    BatchCounts, BatchFormat, BatchOptions, count_batch, lookup_batch,
};
use crate::enforcement::nature::Nature;
use crate::enforcement::permissions::Action;
use crate::error::{Fault, FaultKind, Result};
use crate::geometry::crs::Crs;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::Deserialize;
use tokio::sync::Semaphore;

/// Points in one batch, at most; larger sets go through `xuncha lookup --batch`.
pub const MAX_BATCH_POINTS: u64 = 10_000_000;
/// Bytes in one batch, at most.
pub const MAX_BATCH_BYTES: u64 = 2 << 30;
/// Batches answered at the same time; each uses every core. Others wait, spooled to disk.
static BATCHES: Semaphore = Semaphore::const_new(2);

/// A coordinate and what is asked about it.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LookupQuery {
    /// Longitude, degrees; or easting, where `crs` is projected.
    #[param(value_type = f64, required = true)]
    lon: Option<String>,
    /// Latitude, degrees; or northing.
    #[param(value_type = f64, required = true)]
    lat: Option<String>,
    /// `EPSG:n`, a WKT or PROJ string, `wgs84` (default), `cgcs2000`, `gcj02`, `bd09`
    crs: Option<String>,
    /// `illegal_land_use`, `illegal_construction` or `both`
    nature: Option<String>,
    /// Radius in metres of the circle in which the true position lies.
    #[param(value_type = Option<f64>)]
    accuracy: Option<String>,
}

/// What is asked about a batch.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct BatchQuery {
    /// The column or member with longitude or easting, where it has no usual name.
    lon: Option<String>,
    /// The same for latitude or northing.
    lat: Option<String>,
    /// `EPSG:n`, a WKT or PROJ string, `wgs84` (default), `cgcs2000`, `gcj02`, `bd09`
    crs: Option<String>,
    /// `illegal_land_use`, `illegal_construction` or `both`
    nature: Option<String>,
}

fn number(parameter: &str, value: Option<&str>) -> Result<Option<f64>> {
    let parse = |text: &str| text.trim().parse().map_err(|_| wrong(parameter, "a number"));
    value.map(parse).transpose()
}

fn needed(parameter: &str, value: Option<&str>) -> Result<f64> {
    number(parameter, value)?.ok_or_else(|| wrong(parameter, "it is needed"))
}

fn crs(name: Option<&str>) -> Result<Crs> {
    match name {
        None => Ok(Crs::Wgs84),
        Some(name) => name.parse().map_err(|e| Fault::from(e).field("crs", "unknown")),
    }
}

fn nature(name: Option<&str>) -> Result<Option<Nature>> {
    let known = "illegal_land_use, illegal_construction or both";
    name.map(|name| Nature::parse(name).ok_or_else(|| wrong("nature", known))).transpose()
}

/// What stands at a position, and who answers for it.
#[utoipa::path(tag = "lookup", params(LookupQuery),
    responses((status = 200, body = LookupAnswer), (status = 400, body = Problem)))]
#[get("/lookup")]
async fn lookup(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<LookupQuery>,
) -> Result<HttpResponse> {
    account.require(Action::LookUp)?;
    let question = Question {
        x: needed("lon", query.lon.as_deref())?,
        y: needed("lat", query.lat.as_deref())?,
        crs: crs(query.crs.as_deref())?,
        nature: nature(query.nature.as_deref())?,
        accuracy_m: number("accuracy", query.accuracy.as_deref())?,
    };
    // A new CRS opens PROJ's database, and the nearest cell may be far: not on the event loop.
    let answer = blocking(move || {
        let (atlas, roster) = (state.world.atlas.load_full(), state.world.roster.load_full());
        question.answer(&atlas, &roster)
    });
    let answer = answer.await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "private, no-cache")).json(answer))
}

/// The format of a body, and the type its answer is sent as.
fn format_of(request: &HttpRequest) -> Result<(BatchFormat, &'static str)> {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let encoded = request.headers().contains_key(header::CONTENT_ENCODING);
    match essence.to_ascii_lowercase().as_str() {
        _ if encoded => Err(Fault::new(
            FaultKind::WrongType,
            "wrong_type",
            "不支持压缩的请求内容",
            "the body must not be compressed",
        )),
        // The answer keeps the encoding of the body, so it names none.
        "text/csv" => Ok((BatchFormat::Csv, "text/csv")),
        "application/x-ndjson" | "application/ndjson" => {
            Ok((BatchFormat::Ndjson, "application/x-ndjson"))
        }
        "application/geo+json" => Ok((BatchFormat::GeoJson, "application/geo+json")),
        "application/json" => Ok((BatchFormat::GeoJson, "application/json")),
        _ => Err(Fault::new(
            FaultKind::WrongType,
            "wrong_type",
            "批量查询须为 text/csv、application/x-ndjson 或 application/geo+json",
            "a batch must be text/csv, application/x-ndjson or application/geo+json",
        )),
    }
}

/// Look up many positions: CSV, NDJSON or a GeoJSON FeatureCollection in, the same out with
/// `inside, city, district, town, village, cell, category, responsible_phone, error` added to
/// every record. The body is read and counted before the first byte of the answer.
#[utoipa::path(tag = "lookup", params(BatchQuery),
    request_body(content(("text/csv"), ("application/x-ndjson"), ("application/geo+json"))),
    responses(
        (status = 200, description = "The records with their answers, in order",
            content(("text/csv"), ("application/x-ndjson"), ("application/geo+json"))),
        (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem)))]
#[post("/lookup/batch")]
async fn lookup_many(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    query: web::Query<BatchQuery>,
    body: web::Payload,
) -> Result<HttpResponse> {
    account.require(Action::LookUp)?;
    let (format, media_type) = format_of(&request)?;
    let BatchQuery { lon, lat, crs: crs_name, nature: nature_name } = query.into_inner();
    let options = BatchOptions {
        lon,
        lat,
        crs: crs(crs_name.as_deref())?,
        nature: nature(nature_name.as_deref())?,
        language: language_of(request.headers()),
        ..BatchOptions::default()
    };
    let spooled = spool(&state.data_dir, body, MAX_BATCH_BYTES).await?;
    let permit = BATCHES.acquire().await.map_err(Fault::internal)?;
    let (options, spooled) = blocking(move || {
        count_batch(spooled.reader()?, format, &options, MAX_BATCH_POINTS)?;
        Ok((options, spooled))
    })
    .await?;
    let (writer, stream) = AnswerStream::pair();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        // One snapshot for the whole batch, whatever is published meanwhile.
        let (atlas, roster) = (state.world.atlas.load_full(), state.world.roster.load_full());
        let counts = BatchCounts::default();
        let done = spooled.reader().and_then(|reader| {
            lookup_batch(&atlas, &roster, reader, writer.clone(), format, &options, &counts)
        });
        match done {
            Ok(summary) => {
                tracing::info!(points = summary.points, errors = summary.errors, "batch look-up");
                writer.finish();
            }
            // The status is sent already: a cut connection tells the caller.
            Err(fault) => writer.fail(&fault),
        }
    });
    Ok(HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .streaming(stream))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(lookup).service(lookup_many);
}
