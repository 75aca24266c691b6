//! Imports of boundary files: upload, check report, publish or discard.

use super::params;
use super::people::by_of;
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::boundaries::publish::{self, PublishOptions};
use crate::boundaries::{ReadOptions, import_file};
use crate::enforcement::permissions::Action;
use crate::error::{Fault, Result};
use crate::geometry::crs::Crs;
use crate::store::features;
use actix_multipart::form::MultipartForm;
use actix_multipart::form::tempfile::TempFile;
use actix_multipart::form::text::Text;
use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The parts of an import's form.
#[derive(MultipartForm, utoipa::ToSchema)]
#[multipart(deny_unknown_fields)]
pub struct ImportForm {
    /// `city` … `basic_farmland`, or the name of a further overlay layer
    #[schema(value_type = String)]
    layer: Text<String>,
    #[schema(value_type = Option<String>)]
    source_layer: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    crs: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    encoding: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    code_field: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    name_field: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    class_field: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    parent_field: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    area: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    #[multipart(rename = "where")]
    filter: Option<Text<String>>,
    /// One file, or the several files of one shapefile
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<TempFile>,
}

pub(super) fn given(text: Option<Text<String>>) -> Option<String> {
    text.map(|text| text.trim().to_string()).filter(|text| !text.is_empty())
}

/// A folder of uploaded files, removed when the import is read.
pub(super) struct Upload {
    pub(super) folder: tempfile::TempDir,
    pub(super) main: PathBuf,
    pub(super) name: String,
}

/// Puts the files of an upload side by side under one stem; their own names stay out of paths.
pub(super) fn keep(files: Vec<TempFile>, uploads: &Path) -> Result<Upload> {
    let folder = tempfile::tempdir_in(uploads).map_err(Fault::internal)?;
    let mut kept: Vec<(PathBuf, String, String)> = Vec::new();
    for file in files {
        let name = file.file_name.unwrap_or_default();
        let extension: String = Path::new(&name)
            .extension()
            .map(|e| e.to_string_lossy().to_lowercase())
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(10)
            .collect();
        if kept.iter().any(|(_, known, _)| *known == extension) {
            return Err(Fault::invalid(
                "一次只能上传一个文件，或同一个 shapefile 的各个文件",
                "Upload one file, or the several files of one shapefile",
            )
            .field("file", "two files of one kind"));
        }
        let path = folder.path().join(format!("upload.{extension}"));
        file.file.persist(&path).map_err(Fault::internal)?;
        kept.push((path, extension, name));
    }
    let main = match kept.len() {
        1 => kept.first(),
        _ => kept.iter().find(|(_, extension, _)| extension == "shp"),
    };
    let (main, _, name) = main.cloned().ok_or_else(|| {
        Fault::invalid("请上传边界文件", "Upload a boundary file").field("file", "missing")
    })?;
    Ok(Upload { folder, main, name: name.chars().take(200).collect() })
}

/// Upload a boundary file: it is read and checked in the background; follow `import` events or ask
/// for the import.
#[utoipa::path(tag = "imports",
    request_body(content = inline(ImportForm), content_type = "multipart/form-data"),
    responses((status = 202), (status = 400, body = Problem), (status = 413, body = Problem)))]
#[post("/imports")]
async fn upload(
    state: web::Data<AppState>,
    account: Account,
    form: MultipartForm<ImportForm>,
) -> Result<HttpResponse> {
    account.require(Action::ManageBoundaries)?;
    let form = form.into_inner();
    let options = ReadOptions {
        source_layer: given(form.source_layer),
        crs: given(form.crs).map(|crs| crs.parse::<Crs>()).transpose()?,
        encoding: given(form.encoding),
        code_field: given(form.code_field),
        name_field: given(form.name_field),
        class_field: given(form.class_field),
        parent_field: given(form.parent_field),
        filter: given(form.filter),
        area: given(form.area),
    };
    let (layer, files, person) = (form.layer.trim().to_string(), form.file, account.person.id);
    let id = blocking(move || {
        let upload = keep(files, &state.upload_folder())?;
        let job = import_file::begin(&state.store, &layer, &upload.name, options, Some(person))?;
        let id = job.id();
        // Reading may take minutes; the answer does not wait for it.
        std::thread::spawn(move || {
            if let Err(fault) = job.run(&upload.main, &|_| ()) {
                tracing::info!(%id, "import refused: {fault}");
            }
            drop(upload.folder);
        });
        Ok(id)
    })
    .await?;
    Ok(HttpResponse::Accepted().json(json!({"import_id": id, "state": "reading", "progress": 0.0})))
}

/// An import: its state, progress and check report.
#[utoipa::path(tag = "imports", params(("id" = Uuid, Path)),
    responses((status = 200), (status = 404, body = Problem)))]
#[get("/imports/{id}")]
async fn show(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::ManageBoundaries)?;
    let shown = blocking(move || publish::show(&mut *state.store.conn()?, *id)).await?;
    Ok(HttpResponse::Ok().json(shown))
}

/// The newest imports.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ImportList {
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
    next: Option<String>,
}

/// How many imports to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    limit: Option<i64>,
}

/// Imports, newest first.
#[utoipa::path(tag = "imports", params(ImportQuery), responses((status = 200, body = ImportList)))]
#[get("/imports")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<ImportQuery>,
) -> Result<HttpResponse> {
    account.require(Action::ManageBoundaries)?;
    let limit = params::limit(query.limit)?;
    let items = blocking(move || publish::list(&mut *state.store.conn()?, limit)).await?;
    Ok(HttpResponse::Ok().json(ImportList { items, next: None }))
}

/// What to accept.
#[derive(Deserialize, Default, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Publication {
    /// Leave out what was rejected.
    accept_rejected: bool,
}

/// Put a draft into force: one transaction, while everyone works on.
#[utoipa::path(tag = "imports", params(("id" = Uuid, Path)), request_body = Option<Publication>,
    responses((status = 200), (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 422, body = Problem)))]
#[post("/imports/{id}/publish")]
async fn publish_draft(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
    body: Option<web::Json<Publication>>,
) -> Result<HttpResponse> {
    account.require(Action::ManageBoundaries)?;
    let options = PublishOptions {
        accept_rejected: body.map(|b| b.accept_rejected).unwrap_or_default(),
        published_by: Some(account.person.id),
        from: account.from,
    };
    let shown = blocking(move || {
        let (_, generation) = import_file::publish(&state.store, *id, options)?;
        // In force for the caller's next request, whatever the follower's pace.
        state.world.refresh(&state.store)?;
        state.world.warm();
        let mut shown = publish::show(&mut *state.store.conn()?, *id)?;
        shown["generation"] = json!(generation);
        Ok(shown)
    })
    .await?;
    Ok(HttpResponse::Ok().json(shown))
}

/// Throw a draft away.
#[utoipa::path(tag = "imports", params(("id" = Uuid, Path)),
    responses((status = 200), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/imports/{id}/discard")]
async fn discard(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::ManageBoundaries)?;
    let shown = blocking(move || {
        publish::discard(&state.store, *id, &by_of(&state, &account))?;
        publish::show(&mut *state.store.conn()?, *id)
    })
    .await?;
    Ok(HttpResponse::Ok().json(shown))
}

/// At most this many draft features are drawn; a report is read by a person.
const MAX_DRAWN: usize = 5_000;

/// The draft's features with the check report's findings, as GeoJSON; property `kind` is `draft`,
/// `repaired`, `gap` or `overlap`.
#[utoipa::path(tag = "imports", params(("id" = Uuid, Path)),
    responses((status = 200, content_type = "application/geo+json"), (status = 404, body = Problem)))]
#[get("/imports/{id}/geometry")]
async fn geometry(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::ManageBoundaries)?;
    let body = blocking(move || {
        let mut conn = state.store.conn()?;
        let report = publish::show(&mut conn, *id)?;
        let listed = |name: &str| report[name].as_array().cloned().unwrap_or_default();
        let repaired: std::collections::HashSet<String> = listed("repaired")
            .iter()
            .filter_map(|r| r["code"].as_str().map(String::from))
            .collect();
        let mut drawn: Vec<Value> = Vec::new();
        for (kind, findings) in [("gap", "gaps"), ("overlap", "overlaps")] {
            drawn.extend(listed(findings).into_iter().map(|mut finding| {
                let geometry = finding["geometry"].take();
                finding["kind"] = json!(kind);
                json!({"type": "Feature", "geometry": geometry, "properties": finding})
            }));
        }
        let features = features::of_import(&mut conn, *id)?;
        drawn.extend(features.iter().take(MAX_DRAWN).map(|feature| {
            let kind = if repaired.contains(&feature.code) { "repaired" } else { "draft" };
            json!({
                "type": "Feature",
                "geometry": geojson::Geometry::from(&feature.geometry),
                "properties": {"kind": kind, "code": feature.code, "name": feature.name,
                    "class_code": feature.class_code, "area_m2": feature.area_m2},
            })
        }));
        let collection = json!({"type": "FeatureCollection", "features": drawn,
            "truncated": features.len() > MAX_DRAWN});
        serde_json::to_string(&collection).map_err(Fault::internal)
    })
    .await?;
    Ok(HttpResponse::Ok().content_type("application/geo+json").body(body))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config
        .service(upload)
        .service(list)
        .service(show)
        .service(publish_draft)
        .service(discard)
        .service(geometry);
}
