//! Reports of the public: sent without log-in, followed by a secret link, dealt with at a desk.

use super::cases::{NewCase, parse as parse_case};
use super::messages::{cursor_of, read_cursor};
use super::params::{self, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::intake;
use crate::enforcement::nature::Nature;
use crate::enforcement::permissions::Action;
use crate::enforcement::place::{AreaName, NamedPlace};
use crate::error::{Fault, FaultKind, Result};
use crate::geometry::crs::{Crs, ToCgcs2000};
use crate::store::public_reports::{self as kept, Photo, PublicReport};
use crate::store::reporting::Retry;
use crate::store::{attachments, messages};
use actix_multipart::form::tempfile::TempFile;
use actix_multipart::form::text::Text;
use actix_multipart::form::{MultipartForm, MultipartFormConfig};
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, HttpResponse, dev, get, post, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound, Utc};
use diesel::PgConnection;
use geo::Coord;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::future::{Ready, ready};
use std::io::{Read, Seek};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use uuid::Uuid;

/// Holds off who sends or asks too much without log-in: per address, and all together.
pub struct Gate {
    reports_by_address: DefaultKeyedRateLimiter<IpAddr>,
    reports: DefaultDirectRateLimiter,
    questions_by_address: DefaultKeyedRateLimiter<IpAddr>,
}

const fn some(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

/// Reports from one address at once; then one every two minutes. Many phones share an address.
const REPORTS_AT_ONCE: NonZeroU32 = some(10);
const REPORTS_PER_HOUR: NonZeroU32 = some(30);
/// All reports together, per second, and at once.
const ALL_PER_SECOND: NonZeroU32 = some(5);
const ALL_AT_ONCE: NonZeroU32 = some(200);
/// Looks at a report from one address.
const QUESTIONS_PER_MINUTE: NonZeroU32 = some(60);
/// Addresses remembered before those that have been quiet are forgotten.
const MOST_ADDRESSES: usize = 10_000;

impl Default for Gate {
    fn default() -> Self {
        let reports = Quota::per_hour(REPORTS_PER_HOUR).allow_burst(REPORTS_AT_ONCE);
        let all = Quota::per_second(ALL_PER_SECOND).allow_burst(ALL_AT_ONCE);
        Self {
            reports_by_address: RateLimiter::keyed(reports),
            reports: RateLimiter::direct(all),
            questions_by_address: RateLimiter::keyed(Quota::per_minute(QUESTIONS_PER_MINUTE)),
        }
    }
}

impl Gate {
    fn admit(&self, address: IpAddr, reports: bool) -> Result<()> {
        let by_address =
            if reports { &self.reports_by_address } else { &self.questions_by_address };
        if by_address.len() > MOST_ADDRESSES {
            by_address.retain_recent();
        }
        let address = network(address);
        if by_address.check_key(&address).is_ok() && (!reports || self.reports.check().is_ok()) {
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::TooMany,
            "too_many",
            "提交过于频繁，请稍后再试；紧急情况请直接拨打举报电话",
            "Too many at once; please try again later",
        ))
    }
}

/// Of IPv6 a subscriber has a whole network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// The address a request comes from; what our own proxy says, where it is to be believed.
pub fn address_of(request: &HttpRequest, trust_forwarded_for: bool) -> IpAddr {
    // The last one is what our proxy saw; those before it anybody may have written.
    let forwarded = || {
        let header = request.headers().get_all("x-forwarded-for").last()?.to_str().ok()?;
        header.rsplit(',').next()?.trim().parse().ok()
    };
    let peer = request.peer_addr().map(|peer| peer.ip());
    let told = if trust_forwarded_for { forwarded() } else { None };
    told.or(peer).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

/// Somebody unknown whose report is let in. Decided before the body is read.
pub struct AdmittedReport;

/// Somebody unknown whose question is let in.
pub struct AdmittedQuestion;

fn admitted(request: &HttpRequest, reports: bool) -> Result<()> {
    let state = request
        .app_data::<web::Data<AppState>>()
        .ok_or_else(|| Fault::internal("no application state"))?;
    let address = address_of(request, state.outside.trust_forwarded_for);
    state.public_gate.admit(address, reports)
}

impl FromRequest for AdmittedReport {
    type Error = Fault;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(admitted(request, true).map(|()| Self))
    }
}

impl FromRequest for AdmittedQuestion {
    type Error = Fault;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(admitted(request, false).map(|()| Self))
    }
}

/// What a citizen sends.
#[derive(MultipartForm, utoipa::ToSchema)]
pub struct NewPublicReport {
    /// Random, made by the client: a retry with it gets the first answer.
    #[schema(value_type = Option<Uuid>)]
    id: Option<Text<Uuid>>,
    #[schema(value_type = f64)]
    lon: Text<f64>,
    #[schema(value_type = f64)]
    lat: Text<f64>,
    /// `wgs84` by default
    #[schema(value_type = Option<String>)]
    crs: Option<Text<String>>,
    #[schema(value_type = Option<f64>)]
    accuracy_m: Option<Text<f64>>,
    #[schema(value_type = String)]
    text: Text<String>,
    #[schema(value_type = Option<String>)]
    phone: Option<Text<String>>,
    /// At most three, of 10 MB each
    #[multipart(limit = "10MB")]
    #[schema(value_type = Vec<String>, format = Binary)]
    photo: Vec<TempFile>,
}

const MOST_PHOTOS: usize = 3;
const MOST_PHOTO_BYTES: usize = 10 << 20;
const MOST_TEXT: usize = 2_000;

/// What the reporter gets: the link's secret, shown this once.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Received {
    secret: String,
    state: String,
    received_at: DateTime<Utc>,
}

/// The link's secret, 128 bits out of the client's own random id, which is not kept: so a retry
/// gets the same link, and a copy of the store opens none.
fn secret_of(id: Uuid) -> String {
    let mut hash = Sha256::new_with_prefix(b"xuncha public report ");
    hash.update(id.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..16])
}

fn hash_of(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

fn keep_photos(state: &AppState, files: Vec<TempFile>) -> Result<Vec<Photo>> {
    if files.len() > MOST_PHOTOS {
        return Err(wrong("photo", &format!("at most {MOST_PHOTOS}")));
    }
    let mut photos = Vec::new();
    for file in files.into_iter().filter(|file| file.size > 0) {
        let mut bytes = file.file.into_file();
        let mut head = Vec::new();
        bytes.rewind().map_err(Fault::internal)?;
        (&bytes).take(8192).read_to_end(&mut head).map_err(Fault::internal)?;
        if !infer::is_image(&head) {
            return Err(Fault::new(
                FaultKind::WrongType,
                "wrong_type",
                "请上传照片（JPEG、PNG、WebP、HEIC）",
                "Please send photos (JPEG, PNG, WebP, HEIC)",
            ));
        }
        let (sha256, size, media_type) = attachments::keep(&state.blobs, &mut bytes, "")?;
        let id = Uuid::new_v4();
        photos.push(Photo { id, sha256, media_type: media_type.into(), bytes: size });
    }
    Ok(photos)
}

fn take_in(state: &AppState, form: NewPublicReport) -> Result<Received> {
    let id = form.id.as_ref().map_or_else(Uuid::new_v4, |id| id.0);
    // Anything but a random id would let others guess the link.
    if id.get_version_num() != 4 {
        return Err(wrong("id", "a random UUID (version 4)"));
    }
    let text = form.text.0.trim().to_string();
    if text.is_empty() || text.chars().count() > MOST_TEXT || text.contains('\0') {
        return Err(wrong("text", &format!("1 to {MOST_TEXT} characters")));
    }
    let phone = form.phone.map(|p| p.0.trim().to_string()).filter(|p| !p.is_empty());
    let is_phone = |p: &String| {
        (5..=20).contains(&p.len()) && p.chars().all(|c| c.is_ascii_digit() || "+- ".contains(c))
    };
    if phone.as_ref().is_some_and(|phone| !is_phone(phone)) {
        return Err(wrong("phone", "5 to 20 digits"));
    }
    let crs: Crs = form.crs.as_ref().map_or("wgs84", |crs| crs.0.as_str()).parse()?;
    let input = Coord { x: form.lon.0, y: form.lat.0 };
    let position = ToCgcs2000::cached(&crs)?.position(input)?;
    let accuracy_m = params::finite(form.accuracy_m.map(|a| a.0), "accuracy_m", 0.0..=1e6)?;
    let photos = keep_photos(state, form.photo)?;

    let mut request = Sha256::new();
    let contents: Vec<String> = photos.iter().map(|p| hex::encode(&p.sha256)).collect();
    let said = json!([input.x, input.y, crs.to_string(), accuracy_m, text, phone, contents]);
    request.update(said.to_string());

    let atlas = state.world.atlas.load();
    let roster = state.world.roster.load();
    let within_m = state.world.settings.load().nearest_within_m;
    let siting = intake::site(&atlas, &roster, position, accuracy_m, Nature::Both, within_m);
    let codes = siting.place.codes();
    let secret = secret_of(id);
    let new = PublicReport {
        id: Uuid::now_v7(),
        secret_hash: hash_of(&secret),
        request: request.finalize().to_vec(),
        received_at: Utc::now().trunc_subsecs(6),
        lon: position.x,
        lat: position.y,
        input_x: input.x,
        input_y: input.y,
        input_crs: crs.to_string(),
        accuracy_m,
        text,
        phone,
        photos: serde_json::to_value(&photos).map_err(Fault::internal)?,
        place: serde_json::to_value(&siting.place).map_err(Fault::internal)?,
        city_code: codes.city,
        district_code: codes.district,
        functional_area_code: codes.functional_areas.into_iter().next(),
        town_code: codes.town,
        village_code: codes.village,
        state: "new".into(),
        case_id: None,
        reason: None,
        decided_by: None,
        decided_at: None,
    };
    let kept = kept::take_in(&state.store, &new)?;
    Ok(Received { secret, state: kept.state, received_at: kept.received_at })
}

/// Report something, without log-in. Keep the secret: the report is followed by it alone.
#[utoipa::path(tag = "public reports",
    request_body(content = inline(NewPublicReport), content_type = "multipart/form-data"),
    responses((status = 201, body = Received), (status = 400, body = Problem),
              (status = 409, body = Problem), (status = 413, body = Problem),
              (status = 415, body = Problem), (status = 429, body = Problem)))]
#[post("/reports")]
async fn send(
    _admitted: AdmittedReport,
    state: web::Data<AppState>,
    form: MultipartForm<NewPublicReport>,
) -> Result<HttpResponse> {
    let form = form.into_inner();
    let received = blocking(move || take_in(&state, form)).await?;
    metrics::counter!("xuncha_public_reports").increment(1);
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(received))
}

/// A case as its reporter may know it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct FollowedCase {
    number: String,
    status: String,
}

/// A report as its reporter follows it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Followed {
    /// `new`, `accepted` or `declined`
    state: String,
    received_at: DateTime<Utc>,
    text: String,
    photos: usize,
    district: Option<AreaName>,
    town: Option<AreaName>,
    village: Option<AreaName>,
    decided_at: Option<DateTime<Utc>>,
    /// Why it was declined
    reason: Option<String>,
    case: Option<FollowedCase>,
}

/// Follow a report by its secret.
#[utoipa::path(tag = "public reports", params(("secret" = String, Path)),
    responses((status = 200, body = Followed), (status = 404, body = Problem),
              (status = 429, body = Problem)))]
#[get("/reports/{secret}")]
async fn follow(
    _admitted: AdmittedQuestion,
    state: web::Data<AppState>,
    secret: web::Path<String>,
) -> Result<HttpResponse> {
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        let found = kept::by_secret(&mut conn, &hash_of(&secret))?;
        let found = found.ok_or_else(|| {
            Fault::not_found("没有这条举报，请核对链接", "There is no such report; check the link")
        })?;
        let case = match found.case_id {
            Some(id) => kept::case_of(&mut conn, id)?,
            None => None,
        };
        let place: NamedPlace = serde_json::from_value(found.place.clone()).unwrap_or_default();
        Ok(Followed {
            photos: found.photos().len(),
            state: found.state,
            received_at: found.received_at,
            text: found.text,
            district: place.district,
            town: place.town,
            village: place.village,
            decided_at: found.decided_at,
            reason: found.reason,
            case: case.map(|(number, status)| FollowedCase { number, status }),
        })
    })
    .await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer))
}

/// A photo of a report, and where its bytes are.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PhotoView {
    /// The attachment it becomes when the report is accepted
    id: Uuid,
    media_type: String,
    bytes: i64,
    url: String,
}

/// A report as a desk sees it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeskReport {
    id: Uuid,
    /// `new`, `accepted` or `declined`
    state: String,
    created_at: DateTime<Utc>,
    lon: f64,
    lat: f64,
    accuracy_m: Option<f64>,
    text: String,
    reporter_phone: Option<String>,
    photos: Vec<PhotoView>,
    place: NamedPlace,
    case_id: Option<Uuid>,
    case_number: Option<String>,
    reason: Option<String>,
    decided_by: Option<String>,
    decided_at: Option<DateTime<Utc>>,
}

fn desk_view(conn: &mut PgConnection, report: &PublicReport) -> Result<DeskReport> {
    let case = match report.case_id {
        Some(id) => kept::case_of(conn, id)?,
        None => None,
    };
    let photos = report.photos().into_iter().enumerate().map(|(n, photo)| PhotoView {
        id: photo.id,
        media_type: photo.media_type,
        bytes: photo.bytes,
        url: format!("/api/v1/public-reports/{}/photos/{n}", report.id),
    });
    let decided_by = messages::names(conn, report.decided_by.into_iter())?;
    Ok(DeskReport {
        id: report.id,
        state: report.state.clone(),
        created_at: report.received_at,
        lon: report.lon,
        lat: report.lat,
        accuracy_m: report.accuracy_m,
        text: report.text.clone(),
        reporter_phone: report.phone.clone(),
        photos: photos.collect(),
        place: serde_json::from_value(report.place.clone()).unwrap_or_default(),
        case_id: report.case_id,
        case_number: case.map(|(number, _)| number),
        reason: report.reason.clone(),
        decided_by: decided_by.into_values().next(),
        decided_at: report.decided_at,
    })
}

/// Which reports to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DeskQuery {
    /// Comma-separated: new, accepted, declined
    state: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A page of reports, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeskList {
    items: Vec<DeskReport>,
    next: Option<String>,
}

const STATES: [&str; 3] = ["new", "accepted", "declined"];

/// Reports of the public in one's area.
#[utoipa::path(tag = "public reports", params(DeskQuery),
    responses((status = 200, body = DeskList), (status = 403, body = Problem)))]
#[get("/public-reports")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<DeskQuery>,
) -> Result<HttpResponse> {
    account.require(Action::HandlePublicReports)?;
    let limit = params::limit(query.limit)?;
    let states = params::words("state", query.state.as_deref(), |w| STATES.contains(&w))?;
    let after = read_cursor(query.cursor.as_deref())?;
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        let mut found = kept::list(&mut conn, &account.scope, &states, after, limit + 1)?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|r| cursor_of(r.received_at, r.id));
        let items = found.iter().map(|report| desk_view(&mut conn, report));
        Ok(DeskList { items: items.collect::<Result<_>>()?, next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// A photo of a report, as it was sent.
#[utoipa::path(tag = "public reports", params(("id" = Uuid, Path), ("n" = usize, Path)),
    responses((status = 200), (status = 404, body = Problem)))]
#[get("/public-reports/{id}/photos/{n}")]
async fn show_photo(
    state: web::Data<AppState>,
    account: Account,
    path: web::Path<(Uuid, usize)>,
) -> Result<HttpResponse> {
    account.require(Action::HandlePublicReports)?;
    let (id, n) = path.into_inner();
    let (photo, bytes) = blocking(move || {
        let report = kept::find(&mut *state.store.conn()?, &account.scope, id)?;
        let photo = report.photos().into_iter().nth(n);
        let photo = photo.ok_or_else(|| Fault::not_found("没有这张照片", "No such photo"))?;
        let bytes = state.blobs.read(&photo.sha256)?;
        Ok((photo, bytes))
    })
    .await?;
    Ok(HttpResponse::Ok()
        .content_type(photo.media_type)
        .insert_header((header::CACHE_CONTROL, "private, max-age=31536000, immutable"))
        .insert_header((header::CONTENT_DISPOSITION, "inline"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .body(bytes))
}

/// The case made of a report, and the report.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Accepted {
    report: DeskReport,
    #[schema(value_type = Object)]
    case: Value,
}

fn retry_of(account: &Account, id: Uuid, what: &str, key: Uuid, body: &Value) -> Retry {
    let mut request = Sha256::new_with_prefix(id.as_bytes());
    request.update(body.to_string());
    let key = format!("public-report:{what}:{key}");
    Retry { person: account.person.id, key, request: request.finalize().into() }
}

/// Make a case of a report. The body is that of a new case; position, time and description are
/// the report's where it names none.
#[utoipa::path(tag = "public reports", params(("id" = Uuid, Path)), request_body = Object,
    responses((status = 200, body = Accepted), (status = 400, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/public-reports/{id}/accept")]
async fn accept(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
    body: web::Json<Value>,
) -> Result<HttpResponse> {
    account.require(Action::HandlePublicReports)?;
    let answer = blocking(move || {
        let report = kept::find(&mut *state.store.conn()?, &account.scope, *id)?;
        let body = body.into_inner();
        let key = body.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        let key = key.unwrap_or_else(Uuid::new_v4);
        let retry = retry_of(&account, *id, "accept", key, &body);
        let mut case = body;
        let fields = case.as_object_mut().ok_or_else(|| wrong("body", "an object"))?;
        fields.insert("id".into(), json!(key));
        fields.insert("source".into(), json!("public"));
        if !fields.contains_key("lon") && !fields.contains_key("lat") {
            fields.insert("lon".into(), json!(report.input_x));
            fields.insert("lat".into(), json!(report.input_y));
            fields.insert("crs".into(), json!(report.input_crs));
            fields.insert("accuracy_m".into(), json!(report.accuracy_m));
        }
        fields.entry("description").or_insert_with(|| json!(report.text));
        fields.entry("observed_at").or_insert_with(|| json!(report.received_at));
        let case: NewCase = serde_json::from_value(case)
            .map_err(|e| Fault::invalid(format!("请求内容有误：{e}"), e.to_string()))?;
        let case = parse_case(case, account.person.id)?;
        let answer = kept::accept(
            &state.store,
            &state.world,
            &account.scope,
            *id,
            &case,
            &retry,
            |conn, report, case| {
                let report = desk_view(conn, report)?;
                serde_json::to_value(Accepted { report, case }).map_err(Fault::internal)
            },
        )?;
        state.world.refresh(&state.store)?;
        Ok(answer)
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Why a report is declined.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decline {
    /// Made by the client: a retry gets the first answer.
    id: Option<Uuid>,
    /// The reporter reads it.
    reason: String,
}

/// Decline a report, with a reason that its reporter reads.
#[utoipa::path(tag = "public reports", params(("id" = Uuid, Path)), request_body = Decline,
    responses((status = 200, body = DeskReport), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/public-reports/{id}/decline")]
async fn decline(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
    body: web::Json<Decline>,
) -> Result<HttpResponse> {
    account.require(Action::HandlePublicReports)?;
    let body = body.into_inner();
    let reason = body.reason.trim().to_string();
    if reason.is_empty() {
        return Err(Fault::new(
            FaultKind::Unprocessable,
            "missing_evidence",
            "请填写不予受理的原因",
            "Please say why it is declined",
        )
        .field("reason", "required"));
    }
    if reason.chars().count() > MOST_TEXT || reason.contains('\0') {
        return Err(wrong("reason", &format!("at most {MOST_TEXT} characters")));
    }
    let said = serde_json::to_value(&body).map_err(Fault::internal)?;
    let key = body.id.unwrap_or_else(Uuid::new_v4);
    let retry = retry_of(&account, *id, "decline", key, &said);
    let answer = blocking(move || {
        kept::decline(&state.store, &account.scope, *id, &reason, &retry, |conn, report| {
            serde_json::to_value(desk_view(conn, report)?).map_err(Fault::internal)
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Room for the photos and the words, and no more: anybody may send here.
const MOST_FORM_BYTES: usize = MOST_PHOTOS * MOST_PHOTO_BYTES + (1 << 20);

fn unknown(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(send).service(follow);
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    let form = MultipartFormConfig::default()
        .total_limit(MOST_FORM_BYTES)
        .memory_limit(1 << 20)
        .error_handler(|error, _| super::refuse_form(&error).into());
    config
        .service(list)
        .service(show_photo)
        .service(accept)
        .service(decline)
        .service(utoipa_actix_web::scope("/public").app_data(form).configure(unknown));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_counts_addresses_and_their_networks() {
        let gate = Gate::default();
        let one: IpAddr = "203.0.113.1".parse().unwrap();
        for _ in 0..REPORTS_AT_ONCE.get() {
            gate.admit(one, true).unwrap();
        }
        assert_eq!(gate.admit(one, true).unwrap_err().code, "too_many");
        gate.admit("203.0.113.2".parse().unwrap(), true).unwrap();
        gate.admit(one, false).unwrap();
        for n in 0..REPORTS_AT_ONCE.get() {
            gate.admit(format!("2001:db8:1:2::{n}").parse().unwrap(), true).unwrap();
        }
        assert!(gate.admit("2001:db8:1:2:ffff::1".parse().unwrap(), true).is_err());
        gate.admit("2001:db8:1:3::1".parse().unwrap(), true).unwrap();
    }

    #[test]
    fn all_together_are_limited_too() {
        let gate = Gate::default();
        let address = |n: u32| IpAddr::from([198, 51, (n >> 8) as u8, n as u8]);
        let let_in = (0..ALL_AT_ONCE.get() + 100).filter(|n| gate.admit(address(*n), true).is_ok());
        let let_in = let_in.count() as u32;
        assert!((ALL_AT_ONCE.get()..ALL_AT_ONCE.get() + 50).contains(&let_in), "{let_in}");
    }

    #[test]
    fn a_secret_follows_from_the_clients_id_and_from_nothing_kept() {
        let id = Uuid::new_v4();
        assert_eq!(secret_of(id), secret_of(id));
        assert_ne!(secret_of(id), secret_of(Uuid::new_v4()));
        assert_eq!(secret_of(id).len(), 22);
    }
}
