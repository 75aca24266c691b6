//! Uploads that go on after a cut connection: tus 1.0 with creation, creation-with-upload,
//! expiration and termination. A finished upload is an attachment, judged as any other.
//!
//! `Upload-Metadata` holds `case_id` and `filename`, and may hold `id` (of the attachment, made by
//! the client), `sha256` (hex, checked at the end), `observed_at`, `lon`, `lat`, `crs`,
//! `accuracy_m`, `bearing` and `mocked`.

use super::cases::visible_case;
use super::params::wrong;
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::permissions::Action;
use crate::error::{Fault, FaultKind, Result};
use crate::store::attachments::{self, Arrival, Circumstances, MAX_BYTES};
use crate::store::uploads::{self, EXPIRY_DAYS, Upload};
use actix_web::http::header::{self, HeaderName};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder, delete, head, options, patch, post, web,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Duration;
use futures_util::StreamExt;
use std::collections::HashMap;
use std::str::FromStr;
use uuid::Uuid;

const VERSION: &str = "1.0.0";
const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const OFFSET_STREAM: &str = "application/offset+octet-stream";

/// Bytes gathered before they are written: what a kill can cost.
const BLOCK_BYTES: usize = 256 << 10;
/// The longest metadata, bytes.
const MAX_METADATA: usize = 8 << 10;

fn text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn check_version(request: &HttpRequest) -> Result<()> {
    if text(request, "tus-resumable") == Some(VERSION) {
        return Ok(());
    }
    Err(Fault::new(
        FaultKind::Precondition,
        "tus_version",
        format!("上传协议须为 tus {VERSION}（Tus-Resumable）"),
        format!("Uploads speak tus {VERSION}: Tus-Resumable"),
    ))
}

fn number(request: &HttpRequest, name: &str) -> Result<u64> {
    text(request, name)
        .and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| wrong(name, "a number of bytes"))
}

/// `key base64,key base64,key`
fn metadata(request: &HttpRequest) -> Result<HashMap<String, String>> {
    let unreadable = || wrong("Upload-Metadata", "pairs of a key and a base64 value");
    let header = text(request, "upload-metadata").unwrap_or_default();
    if header.len() > MAX_METADATA {
        return Err(wrong("Upload-Metadata", "too long"));
    }
    let mut found = HashMap::new();
    for pair in header.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let bytes = STANDARD.decode(value.trim()).map_err(|_| unreadable())?;
        let value = String::from_utf8(bytes).map_err(|_| unreadable())?;
        found.insert(key.to_string(), value);
    }
    Ok(found)
}

fn parsed<T: FromStr>(metadata: &HashMap<String, String>, key: &str) -> Result<Option<T>> {
    metadata
        .get(key)
        .filter(|value| !value.is_empty() && *value != "null")
        .map(|value| {
            value.parse().map_err(|_| wrong(&format!("Upload-Metadata {key}"), "unreadable"))
        })
        .transpose()
}

fn circumstances(metadata: &HashMap<String, String>) -> Result<Circumstances> {
    Ok(Circumstances {
        observed_at: parsed(metadata, "observed_at")?,
        lon: parsed(metadata, "lon")?,
        lat: parsed(metadata, "lat")?,
        crs: parsed(metadata, "crs")?,
        accuracy_m: parsed(metadata, "accuracy_m")?,
        bearing: parsed(metadata, "bearing")?,
        mocked: parsed(metadata, "mocked")?,
    })
}

fn sha256(metadata: &HashMap<String, String>) -> Result<Option<Vec<u8>>> {
    let Some(text) = parsed::<String>(metadata, "sha256")? else { return Ok(None) };
    match hex::decode(&text) {
        Ok(bytes) if bytes.len() == 32 => Ok(Some(bytes)),
        _ => Err(wrong("Upload-Metadata sha256", "64 hexadecimal digits")),
    }
}

/// The headers every answer about an upload has.
fn about<'a>(
    response: &'a mut HttpResponseBuilder,
    upload: &Upload,
    offset: u64,
) -> &'a mut HttpResponseBuilder {
    let expires = upload.expires_at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    response
        .insert_header((TUS_RESUMABLE, VERSION))
        .insert_header((UPLOAD_OFFSET, offset.to_string()))
        .insert_header((UPLOAD_EXPIRES, expires))
        .insert_header((header::CACHE_CONTROL, "no-store"))
}

/// What this service speaks.
#[utoipa::path(tag = "cases", responses((status = 204)))]
#[options("/uploads")]
async fn capabilities() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((TUS_RESUMABLE, VERSION))
        .insert_header(("Tus-Version", VERSION))
        .insert_header(("Tus-Extension", "creation,creation-with-upload,expiration,termination"))
        .insert_header(("Tus-Max-Size", MAX_BYTES.to_string()))
        .finish()
}

/// Begin an upload for a case (tus 1.0 creation); the answer's `Location` is where its bytes go.
#[utoipa::path(tag = "cases",
    params(("Tus-Resumable" = String, Header), ("Upload-Length" = u64, Header),
           ("Upload-Metadata" = String, Header, description = "case_id, filename; id, sha256, observed_at, lon, lat, crs, accuracy_m, bearing, mocked")),
    responses((status = 201), (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 412, body = Problem), (status = 413, body = Problem)))]
#[post("/uploads")]
async fn begin(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse> {
    account.require(Action::AddEvidence)?;
    check_version(&request)?;
    let length = number(&request, "upload-length")?;
    if length > MAX_BYTES {
        return Err(Fault::new(
            FaultKind::TooLarge,
            "too_large",
            format!("附件不能超过 {} MB", MAX_BYTES >> 20),
            format!("An attachment may have at most {} MB", MAX_BYTES >> 20),
        ));
    }
    if length == 0 {
        return Err(wrong("Upload-Length", "an attachment has bytes"));
    }
    let metadata = metadata(&request)?;
    let case_id: Uuid =
        parsed(&metadata, "case_id")?.ok_or_else(|| wrong("Upload-Metadata case_id", "missing"))?;
    let id: Option<Uuid> = parsed(&metadata, "id")?;
    let circumstances = circumstances(&metadata)?;
    let now = state.clock.now();
    circumstances.check(now)?;
    let file_name = metadata.get("filename").or_else(|| metadata.get("name"));
    let new = Upload {
        id: id.unwrap_or_else(Uuid::new_v4),
        person_id: account.person.id,
        case_id,
        length: i64::try_from(length).unwrap_or(i64::MAX),
        file_name: file_name.map(|name| name.chars().take(300).collect()).unwrap_or_default(),
        circumstances: serde_json::to_value(&circumstances).map_err(Fault::internal)?,
        sha256: sha256(&metadata)?,
        created_at: now,
        expires_at: now + Duration::days(EXPIRY_DAYS),
        finished_at: None,
    };
    let (shared, asking) = (state.clone(), account.clone());
    let (upload, mut offset) = blocking(move || {
        visible_case(&shared.store, &asking, new.case_id)?;
        let upload = uploads::begin(&shared.store, &shared.data_dir, &new)?;
        let offset = uploads::offset(&shared.data_dir, &upload)?;
        Ok((upload, offset))
    })
    .await?;
    if text(&request, "content-type") == Some(OFFSET_STREAM) && offset == 0 {
        offset = take(&state, &account, &upload, 0, body).await?;
    }
    let mut response = HttpResponse::Created();
    about(&mut response, &upload, offset);
    Ok(response
        .insert_header((header::LOCATION, format!("/api/v1/uploads/{}", upload.id)))
        .finish())
}

/// How far an upload has come.
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path)),
    responses((status = 200), (status = 404), (status = 412)))]
#[head("/uploads/{id}")]
async fn progress(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    check_version(&request)?;
    let (upload, offset) = blocking(move || {
        let now = state.clock.now();
        let upload = uploads::find(&mut *state.store.conn()?, *id, account.person.id, now)?;
        let offset = uploads::offset(&state.data_dir, &upload)?;
        // All bytes are here, but whoever took the last of them did not live to use them.
        if offset == upload.length() && upload.finished_at.is_none() {
            become_attachment(&state, &account, &upload)?;
        }
        Ok((upload, offset))
    })
    .await?;
    let mut response = HttpResponse::Ok();
    about(&mut response, &upload, offset);
    Ok(response.insert_header((UPLOAD_LENGTH, upload.length().to_string())).finish())
}

/// Go on with an upload; with its last byte it becomes an attachment.
#[utoipa::path(tag = "cases",
    params(("id" = Uuid, Path), ("Tus-Resumable" = String, Header), ("Upload-Offset" = u64, Header)),
    request_body(content = String, content_type = "application/offset+octet-stream"),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 412, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem)))]
#[patch("/uploads/{id}")]
async fn go_on(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    id: web::Path<Uuid>,
    body: web::Payload,
) -> Result<HttpResponse> {
    account.require(Action::AddEvidence)?;
    check_version(&request)?;
    if text(&request, "content-type") != Some(OFFSET_STREAM) {
        return Err(Fault::new(
            FaultKind::WrongType,
            "wrong_type",
            format!("请求内容须为 {OFFSET_STREAM}"),
            format!("The request must be {OFFSET_STREAM}"),
        ));
    }
    let at = number(&request, "upload-offset")?;
    let (shared, person) = (state.clone(), account.person.id);
    let upload = blocking(move || {
        uploads::find(&mut *shared.store.conn()?, *id, person, shared.clock.now())
    })
    .await?;
    let offset = take(&state, &account, &upload, at, body).await?;
    let mut response = HttpResponse::NoContent();
    Ok(about(&mut response, &upload, offset).finish())
}

/// Writes a body to an upload, block by block; what came before a cut is kept.
async fn take(
    state: &web::Data<AppState>,
    account: &Account,
    upload: &Upload,
    at: u64,
    mut body: web::Payload,
) -> Result<u64> {
    let mut offset = at;
    let mut waiting = Vec::new();
    let mut cut = None;
    loop {
        let part = body.next().await;
        let is_last = !matches!(part, Some(Ok(_)));
        match part {
            Some(Ok(part)) => waiting.extend_from_slice(&part),
            Some(Err(error)) => cut = Some(error),
            None => {}
        }
        if waiting.len() >= BLOCK_BYTES || is_last {
            let block = std::mem::take(&mut waiting);
            let (shared, upload) = (state.clone(), upload.clone());
            offset = blocking(move || {
                if upload.finished_at.is_some() && block.is_empty() {
                    return uploads::offset(&shared.data_dir, &upload);
                }
                uploads::append(&shared.data_dir, &upload, offset, &block)
            })
            .await?;
        }
        if is_last {
            break;
        }
    }
    if let Some(error) = cut {
        let en = format!("the body did not arrive whole: {error}");
        return Err(Fault::invalid(format!("请求内容未完整送达：{error}"), en));
    }
    if offset == upload.length() && upload.finished_at.is_none() {
        let (shared, account, upload) = (state.clone(), account.clone(), upload.clone());
        blocking(move || become_attachment(&shared, &account, &upload)).await?;
    }
    Ok(offset)
}

/// Harmless when done twice. What is refused for good is thrown away.
fn become_attachment(state: &AppState, account: &Account, upload: &Upload) -> Result<()> {
    let now = state.clock.now();
    let mut file = match uploads::open(&state.data_dir, upload) {
        Ok(file) => file,
        // Somebody else was faster.
        Err(fault) => {
            let mut conn = state.store.conn()?;
            return match attachments::find(&mut conn, upload.id)? {
                Some(_) => Ok(()),
                None => Err(fault),
            };
        }
    };
    let admitted = visible_case(&state.store, account, upload.case_id).and_then(|case| {
        let arrival = Arrival {
            id: upload.id,
            case: &case,
            person: &account.person,
            file_name: Some(&upload.file_name),
            circumstances: &upload.circumstances(),
            sha256: upload.sha256.as_deref(),
        };
        attachments::admit(&state.store, &state.world, &state.blobs, now, &mut file, &arrival)
    });
    let mut conn = state.store.conn()?;
    match admitted {
        Ok(_) => uploads::finish(&mut conn, &state.data_dir, upload, now),
        Err(fault) => {
            if !matches!(fault.kind, FaultKind::Internal | FaultKind::Unavailable) {
                uploads::remove(&mut conn, &state.data_dir, upload)?;
            }
            Err(fault)
        }
    }
}

/// Give an upload up.
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 412, body = Problem)))]
#[delete("/uploads/{id}")]
async fn give_up(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    check_version(&request)?;
    blocking(move || {
        let mut conn = state.store.conn()?;
        let upload = uploads::find(&mut conn, *id, account.person.id, state.clock.now())?;
        uploads::remove(&mut conn, &state.data_dir, &upload)
    })
    .await?;
    Ok(HttpResponse::NoContent().insert_header((TUS_RESUMABLE, VERSION)).finish())
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(capabilities).service(begin).service(progress).service(go_on).service(give_up);
}
