//! Suspected plots from satellite images.

use super::imports::{given, keep};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::nature::Nature;
use crate::enforcement::permissions::Action;
use crate::error::Result;
use crate::geometry::crs::Crs;
use crate::store::audit::{self, Entry};
use crate::store::suspects::{self, SuspectOptions, SuspectReport};
use actix_multipart::form::MultipartForm;
use actix_multipart::form::tempfile::TempFile;
use actix_multipart::form::text::Text;
use actix_web::{HttpResponse, post, web};
use serde_json::json;
use uuid::Uuid;

/// The parts of an import of suspected plots.
#[derive(MultipartForm, utoipa::ToSchema)]
#[multipart(deny_unknown_fields)]
pub struct SuspectForm {
    /// Made by the client: a retry gets the first report.
    #[schema(value_type = Option<Uuid>)]
    id: Option<Text<Uuid>>,
    /// `illegal_land_use` (default), `illegal_construction` or `both`
    #[schema(value_type = Option<String>)]
    nature: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    source_layer: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    crs: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    encoding: Option<Text<String>>,
    /// The column with the number of a plot; JCBH, TBBH or BSM where it is left out
    #[schema(value_type = Option<String>)]
    number_field: Option<Text<String>>,
    #[schema(value_type = Option<String>)]
    #[multipart(rename = "where")]
    filter: Option<Text<String>>,
    /// Only report, change nothing
    #[schema(value_type = Option<bool>)]
    dry_run: Option<Text<bool>>,
    /// One file, or the several files of one shapefile
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<TempFile>,
}

/// Import a layer of suspected plots: every polygon that is new becomes a case with footprint,
/// place, land categories and responsible person. The answer tells what became of each row.
#[utoipa::path(tag = "cases",
    request_body(content = inline(SuspectForm), content_type = "multipart/form-data"),
    responses((status = 201, body = SuspectReport), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem)))]
#[post("/suspects")]
async fn import(
    state: web::Data<AppState>,
    account: Account,
    form: MultipartForm<SuspectForm>,
) -> Result<HttpResponse> {
    account.require(Action::ImportSuspects)?;
    let form = form.into_inner();
    let nature = match given(form.nature) {
        None => Nature::IllegalLandUse,
        Some(name) => Nature::parse(&name).ok_or_else(|| {
            super::params::wrong("nature", "illegal_land_use, illegal_construction, both")
        })?,
    };
    let mut options = SuspectOptions {
        id: form.id.map_or_else(Uuid::new_v4, Text::into_inner),
        file_name: String::new(),
        source_layer: given(form.source_layer),
        crs: given(form.crs).map(|crs| crs.parse::<Crs>()).transpose()?,
        encoding: given(form.encoding),
        number_field: given(form.number_field),
        filter: given(form.filter),
        nature,
        by: Some(account.person.id),
        dry_run: form.dry_run.is_some_and(Text::into_inner),
    };
    let files = form.file;
    let report = blocking(move || {
        let upload = keep(files, &state.upload_folder())?;
        options.file_name = upload.name;
        let now = state.clock.now();
        let report = suspects::import(&state.store, &state.world, &upload.main, &options, now)?;
        drop(upload.folder);
        if !report.dry_run {
            let entry = Entry {
                actor: Some(account.person.id),
                from: account.from,
                action: "suspects.import",
                subject: format!("suspect_import:{}", report.import_id),
                before: None,
                after: Some(json!({"file": options.file_name, "created": report.created,
                    "existing": report.existing, "rejected": report.rejected})),
            };
            audit::record(&mut *state.store.conn()?, &entry)?;
        }
        state.world.refresh(&state.store)?;
        Ok(report)
    })
    .await?;
    Ok(HttpResponse::Created().json(report))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(import);
}
