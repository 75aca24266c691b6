//! Evidence of a case: upload, list, download, small copies.

use super::cases::visible_case;
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::permissions::Action;
use crate::error::{Fault, FaultKind, Result};
use crate::evidence::media;
use crate::evidence::preview::Size;
use crate::store::attachments::{self, Arrival, Attachment, Circumstances};
use crate::store::cases::CaseRow;
use crate::store::previews;
use actix_multipart::form::MultipartForm;
use actix_multipart::form::tempfile::TempFile;
use actix_multipart::form::text::Text;
use actix_web::http::header::{
    self, Charset, ContentDisposition, DispositionParam, DispositionType, ExtendedValue,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::Range;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// The parts of an upload.
#[derive(MultipartForm, utoipa::ToSchema)]
pub struct AttachmentForm {
    /// Made by the client: a retry is harmless.
    #[schema(value_type = Option<Uuid>)]
    id: Option<Text<Uuid>>,
    /// The device's time.
    #[schema(value_type = Option<DateTime<Utc>>)]
    observed_at: Option<Text<DateTime<Utc>>>,
    /// Longitude or easting of the device
    #[schema(value_type = Option<f64>)]
    lon: Option<Text<f64>>,
    /// Latitude or northing
    #[schema(value_type = Option<f64>)]
    lat: Option<Text<f64>>,
    /// `wgs84` (default), `cgcs2000`, `gcj02`, `bd09`, `EPSG:n` …
    #[schema(value_type = Option<String>)]
    crs: Option<Text<String>>,
    #[schema(value_type = Option<f64>)]
    accuracy_m: Option<Text<f64>>,
    /// Degrees clockwise from north
    #[schema(value_type = Option<f64>)]
    bearing: Option<Text<f64>>,
    /// The device says that its position is made up.
    #[schema(value_type = Option<bool>)]
    mocked: Option<Text<bool>>,
    #[multipart(limit = "200MB")]
    #[schema(value_type = String, format = Binary)]
    file: TempFile,
}

/// Add a photo, paper or video to a case.
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path)),
    request_body(content = inline(AttachmentForm), content_type = "multipart/form-data"),
    responses((status = 201), (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem)))]
#[post("/cases/{id}/attachments")]
async fn upload(
    state: web::Data<AppState>,
    account: Account,
    case: web::Path<Uuid>,
    form: MultipartForm<AttachmentForm>,
) -> Result<HttpResponse> {
    account.require(Action::AddEvidence)?;
    let form = form.into_inner();
    let kept = blocking(move || {
        let case = visible_case(&state.store, &account, *case)?;
        let circumstances = Circumstances {
            observed_at: form.observed_at.map(Text::into_inner),
            lon: form.lon.map(Text::into_inner),
            lat: form.lat.map(Text::into_inner),
            crs: form.crs.map(Text::into_inner),
            accuracy_m: form.accuracy_m.map(Text::into_inner),
            bearing: form.bearing.map(Text::into_inner),
            mocked: form.mocked.map(Text::into_inner),
        };
        let arrival = Arrival {
            id: form.id.map_or_else(Uuid::new_v4, Text::into_inner),
            case: &case,
            person: &account.person,
            file_name: form.file.file_name.as_deref(),
            circumstances: &circumstances,
            sha256: None,
        };
        let (now, mut file) = (state.clock.now(), form.file.file.into_file());
        attachments::admit(&state.store, &state.world, &state.blobs, now, &mut file, &arrival)
    })
    .await?;
    Ok(HttpResponse::Created().json(kept.json()))
}

/// The evidence of a case, in the order it came.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AttachmentList {
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
    next: Option<String>,
}

/// The evidence of a case: who, when, where, what the file itself says, and what does not fit.
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path)),
    responses((status = 200, body = AttachmentList), (status = 404, body = Problem)))]
#[get("/cases/{id}/attachments")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    case: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let items = blocking(move || {
        let case = visible_case(&state.store, &account, *case)?;
        let found = attachments::of_case(&mut *state.store.conn()?, case.id)?;
        let roster = state.world.roster.load();
        let name = |id: Uuid| roster.person(id).map(|person| person.name.clone());
        Ok(found
            .iter()
            .map(|attachment| {
                let mut shown = attachment.json();
                shown["uploader"] = json!(attachment.uploaded_by.and_then(name));
                shown
            })
            .collect())
    })
    .await?;
    Ok(HttpResponse::Ok().json(AttachmentList { items, next: None }))
}

/// Which form of an attachment.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DownloadQuery {
    /// `thumb` (320 px) or `preview` (1600 px, stamped): JPEG copies of photos; the original
    /// bytes without it
    size: Option<String>,
}

/// Copies that are made at once: each may take memory for a whole photo.
static MAKING: Semaphore = Semaphore::const_new(2);

/// The original bytes as they were uploaded, whole or a range of them; or a small copy.
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path), DownloadQuery),
    responses((status = 200), (status = 206), (status = 304), (status = 404, body = Problem), (status = 416)))]
#[get("/attachments/{id}")]
async fn download(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    id: web::Path<Uuid>,
    query: web::Query<DownloadQuery>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let size = match query.size.as_deref() {
        None => None,
        Some(name) => Some(
            Size::parse(name).ok_or_else(|| super::params::wrong("size", "thumb or preview"))?,
        ),
    };
    let shared = state.clone();
    let (attachment, case) = blocking(move || {
        let nothing = || Fault::not_found("没有这个附件", "There is no such attachment");
        let attachment = attachments::find(&mut *shared.store.conn()?, *id)?.ok_or_else(nothing)?;
        // Access follows the case.
        let case =
            visible_case(&shared.store, &account, attachment.case_id).map_err(|_| nothing())?;
        Ok((attachment, case))
    })
    .await?;
    match size {
        Some(size) => copy(state, request, attachment, case, size).await,
        None => original(&state, &request, &attachment).await,
    }
}

/// What every answer with evidence says: whose it is, and that a browser must not run it.
fn guarded(response: &mut HttpResponseBuilder, etag: &str, media_type: &str, name: &str) {
    let encoded = ExtendedValue {
        charset: Charset::Ext("UTF-8".into()),
        language_tag: None,
        value: name.as_bytes().to_vec(),
    };
    let ascii: String =
        name.chars().map(|c| if c.is_ascii_graphic() && c != '%' { c } else { '_' }).collect();
    let disposition = ContentDisposition {
        disposition: DispositionType::Inline,
        parameters: vec![DispositionParam::Filename(ascii), DispositionParam::FilenameExt(encoded)],
    };
    response
        .content_type(media_type)
        .insert_header((header::ETAG, format!("\"{etag}\"")))
        .insert_header((header::CACHE_CONTROL, "private, max-age=31536000, immutable"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(disposition);
}

fn has_it(request: &HttpRequest, etag: &str) -> bool {
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    known.is_some_and(|known| {
        known.split(',').any(|tag| tag.trim().trim_start_matches("W/").trim_matches('"') == etag)
    })
}

async fn original(
    state: &AppState,
    request: &HttpRequest,
    attachment: &Attachment,
) -> Result<HttpResponse> {
    let etag = hex::encode(&attachment.sha256);
    let media = media::by_mime(&attachment.media_type);
    let name =
        media.map_or_else(|| attachment.file_name.clone(), |m| m.name(&attachment.file_name));
    if has_it(request, &etag) {
        let mut response = HttpResponse::NotModified();
        guarded(&mut response, &etag, &attachment.media_type, &name);
        return Ok(response.finish());
    }
    let bytes = u64::try_from(attachment.bytes).unwrap_or(0);
    let text = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
    let stale = text(header::IF_RANGE).is_some_and(|tag| tag.trim().trim_matches('"') != etag);
    let asked = text(header::RANGE).filter(|_| !stale).map_or(Asked::Whole, |r| range(r, bytes));
    let (mut response, part) = match asked {
        Asked::Whole => (HttpResponse::Ok(), 0..bytes),
        Asked::Part(part) => {
            let mut response = HttpResponse::PartialContent();
            let said = format!("bytes {}-{}/{bytes}", part.start, part.end - 1);
            response.insert_header((header::CONTENT_RANGE, said));
            (response, part)
        }
        Asked::Outside => {
            return Ok(HttpResponse::RangeNotSatisfiable()
                .insert_header((header::CONTENT_RANGE, format!("bytes */{bytes}")))
                .finish());
        }
    };
    guarded(&mut response, &etag, &attachment.media_type, &name);
    let length = part.end - part.start;
    let stream = state.blobs.stream(&attachment.sha256, part).await?;
    Ok(response
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .no_chunking(length)
        .streaming(stream))
}

#[derive(Debug, PartialEq)]
enum Asked {
    Whole,
    Part(Range<u64>),
    Outside,
}

/// One range of bytes (RFC 9110); what asks for several gets the whole.
fn range(header: &str, bytes: u64) -> Asked {
    let Some((first, last)) = header
        .trim()
        .strip_prefix("bytes=")
        .filter(|ranges| !ranges.contains(','))
        .and_then(|range| range.split_once('-'))
    else {
        return Asked::Whole;
    };
    let part = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(bytes),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..bytes,
        (Err(_), Ok(count)) if first.trim().is_empty() => bytes.saturating_sub(count)..bytes,
        _ => return Asked::Whole,
    };
    if part.start < part.end { Asked::Part(part) } else { Asked::Outside }
}

async fn copy(
    state: web::Data<AppState>,
    request: HttpRequest,
    attachment: Attachment,
    case: CaseRow,
    size: Size,
) -> Result<HttpResponse> {
    let kind = if size == Size::Thumb { "thumb" } else { "preview" };
    let etag = format!("{}-{kind}", attachment.id.simple());
    let stem = attachment.file_name.rsplit_once('.').map_or(&*attachment.file_name, |(s, _)| s);
    let name = format!("{stem}-{kind}.jpg");
    if has_it(&request, &etag) {
        let mut response = HttpResponse::NotModified();
        guarded(&mut response, &etag, "image/jpeg", &name);
        return Ok(response.finish());
    }
    let _turn = MAKING.acquire().await.map_err(Fault::internal)?;
    let made = blocking(move || {
        let roster = state.world.roster.load();
        let person = attachment.uploaded_by.and_then(|id| roster.person(id));
        let person = person.map(|person| person.name.as_str()).unwrap_or_default();
        previews::make(&state.data_dir, &state.blobs, &attachment, size, &case.number, person)
    })
    .await?;
    let bytes = made.ok_or_else(|| {
        Fault::new(
            FaultKind::NotFound,
            "no_preview",
            "该附件没有缩略图，请查看原件",
            "There is no small copy of this attachment; see the original",
        )
    })?;
    let mut response = HttpResponse::Ok();
    guarded(&mut response, &etag, "image/jpeg", &name);
    Ok(response.body(bytes))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(upload).service(list).service(download);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (header, expected) in [
            ("bytes=0-9", Asked::Part(0..10)),
            ("bytes=90-", Asked::Part(90..100)),
            ("bytes=90-500", Asked::Part(90..100)),
            ("bytes=-10", Asked::Part(90..100)),
            ("bytes=-500", Asked::Part(0..100)),
            ("bytes=100-", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=100-200", Asked::Outside),
            ("bytes=5-2", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=0-18446744073709551615", Asked::Part(0..100)),
        ] {
            assert_eq!(range(header, 100), expected, "{header}");
        }
    }
}
