//! Evidence of a case: upload and download.

use super::cases::visible_case;
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::error::{Fault, Result};
use crate::store::attachments::{self, Attachment, MAX_BYTES};
use actix_multipart::form::MultipartForm;
use actix_multipart::form::tempfile::TempFile;
use actix_multipart::form::text::Text;
use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use chrono::Utc;
use std::io::{Read, Seek};
use uuid::Uuid;

/// The parts of an upload.
#[derive(MultipartForm, utoipa::ToSchema)]
pub struct Upload {
    /// Made by the client: a retry is harmless.
    #[schema(value_type = Option<Uuid>)]
    id: Option<Text<Uuid>>,
    #[multipart(limit = "200MB")]
    #[schema(value_type = String, format = Binary)]
    file: TempFile,
}

/// Add a photo, paper or video to a case.
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path)),
    request_body(content = inline(Upload), content_type = "multipart/form-data"),
    responses((status = 201), (status = 404, body = Problem), (status = 413, body = Problem),
              (status = 415, body = Problem)))]
#[post("/cases/{id}/attachments")]
async fn upload(
    state: web::Data<AppState>,
    account: Account,
    case: web::Path<Uuid>,
    form: MultipartForm<Upload>,
) -> Result<HttpResponse> {
    let Upload { id, file } = form.into_inner();
    let kept = blocking(move || {
        let case = visible_case(&state.store, &account, *case)?;
        let mut bytes = file.file.into_file();
        bytes.rewind().map_err(Fault::internal)?;
        let (sha256, size, media_type) =
            attachments::keep(&state.data_dir, bytes.take(MAX_BYTES + 1))?;
        let attachment = Attachment {
            id: id.map_or_else(Uuid::new_v4, |id| id.into_inner()),
            case_id: case.id,
            sha256,
            media_type: media_type.into(),
            bytes: size,
            file_name: safe_name(file.file_name.as_deref()),
            uploaded_by: Some(account.person.id),
            uploaded_at: Utc::now(),
        };
        attachments::record(&mut *state.store.conn()?, &attachment)
    })
    .await?;
    Ok(HttpResponse::Created().json(kept))
}

/// The last part of a name, without anything that means something to a file system or a page.
fn safe_name(name: Option<&str>) -> String {
    let last = name.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*'))
        .take(120)
        .collect();
    let kept = kept.trim_matches(['.', ' ']);
    if kept.is_empty() { "attachment".into() } else { kept.into() }
}

/// The original bytes, as they were uploaded.
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path)),
    responses((status = 200), (status = 404, body = Problem)))]
#[get("/attachments/{id}")]
async fn download(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    let (attachment, bytes) = blocking(move || {
        let nothing = || Fault::not_found("没有这个附件", "There is no such attachment");
        let attachment = attachments::find(&mut *state.store.conn()?, *id)?.ok_or_else(nothing)?;
        // Access follows the case.
        visible_case(&state.store, &account, attachment.case_id).map_err(|_| nothing())?;
        let mut bytes = Vec::new();
        attachments::open(&state.data_dir, &attachment)?
            .read_to_end(&mut bytes)
            .map_err(Fault::internal)?;
        Ok((attachment, bytes))
    })
    .await?;
    Ok(HttpResponse::Ok()
        .content_type(attachment.media_type)
        .insert_header((header::CACHE_CONTROL, "private, max-age=31536000, immutable"))
        .insert_header((header::CONTENT_DISPOSITION, "inline"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .body(bytes))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(upload).service(download);
}

#[cfg(test)]
mod tests {
    use super::safe_name;

    #[test]
    fn names_lose_paths_and_scripts() {
        assert_eq!(safe_name(Some("../../etc/passwd")), "passwd");
        assert_eq!(safe_name(Some("C:\\a\\照片 1.jpg")), "照片 1.jpg");
        assert_eq!(safe_name(Some("<img onerror=x>.png")), "img onerror=x.png");
        assert_eq!(safe_name(Some("...")), "attachment");
        assert_eq!(safe_name(None), "attachment");
    }
}
