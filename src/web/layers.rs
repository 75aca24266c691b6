//! What planners do with layers beside importing: styles, export, earlier versions.

use super::batch_stream::AnswerStream;
use super::params::{self, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::boundaries::export::{self, Format};
use crate::boundaries::rollback;
use crate::enforcement::permissions::Action;
use crate::error::{Fault, Result};
use crate::store::audit::{self, Entry};
use crate::store::generations::{self, Generation};
use crate::store::layer_styles;
use actix_web::http::header;
use actix_web::{HttpResponse, get, post, put, web};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How a layer is drawn; what is missing is drawn as usual.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LayerStyle {
    /// `#rrggbb`
    #[serde(skip_serializing_if = "Option::is_none")]
    fill: Option<String>,
    /// 0 to 1
    #[serde(skip_serializing_if = "Option::is_none")]
    fill_opacity: Option<f64>,
    /// `#rrggbb`
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    /// Pixels, 0 to 20
    #[serde(skip_serializing_if = "Option::is_none")]
    line_width: Option<f64>,
    /// Lengths of dashes and gaps, in line widths
    #[serde(skip_serializing_if = "Option::is_none")]
    dash: Option<Vec<f64>>,
    /// Drawn from this zoom on, 0 to 22
    #[serde(skip_serializing_if = "Option::is_none")]
    min_zoom: Option<f64>,
}

impl LayerStyle {
    fn check(&self) -> Result<()> {
        let is_colour = |text: &String| {
            text.len() == 7
                && text.starts_with('#')
                && text.bytes().skip(1).all(|b| b.is_ascii_hexdigit())
        };
        for (field, colour) in [("fill", &self.fill), ("line", &self.line)] {
            if !colour.as_ref().is_none_or(is_colour) {
                return Err(wrong(field, "#rrggbb"));
            }
        }
        params::finite(self.fill_opacity, "fill_opacity", 0.0..=1.0)?;
        params::finite(self.line_width, "line_width", 0.0..=20.0)?;
        params::finite(self.min_zoom, "min_zoom", 0.0..=22.0)?;
        let dashes = self.dash.as_deref().unwrap_or_default();
        if dashes.len() > 8 || dashes.iter().any(|d| !(0.0..=100.0).contains(d)) {
            return Err(wrong("dash", "at most 8 lengths of 0 to 100"));
        }
        Ok(())
    }
}

/// The styles by layer; those without are drawn as usual.
#[utoipa::path(tag = "layers",
    responses((status = 200, body = Object, description = "Styles by layer")))]
#[get("/layers/styles")]
async fn all_styles(state: web::Data<AppState>, account: Account) -> Result<HttpResponse> {
    account.require(Action::LookUp)?;
    let styles = blocking(move || layer_styles::all(&mut *state.store.conn()?)).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "private, no-cache")).json(styles))
}

/// The style of one layer.
#[utoipa::path(tag = "layers", params(("name" = String, Path)),
    responses((status = 200, body = LayerStyle)))]
#[get("/layers/{name}/style")]
async fn one_style(
    state: web::Data<AppState>,
    account: Account,
    name: web::Path<String>,
) -> Result<HttpResponse> {
    account.require(Action::LookUp)?;
    let mut styles = blocking(move || layer_styles::all(&mut *state.store.conn()?)).await?;
    Ok(HttpResponse::Ok().json(styles.remove(name.as_str()).unwrap_or_else(|| json!({}))))
}

/// Set how a layer is drawn, for everybody; an empty style draws it as usual again.
#[utoipa::path(tag = "layers", params(("name" = String, Path)), request_body = LayerStyle,
    responses((status = 200, body = LayerStyle), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem)))]
#[put("/layers/{name}/style")]
async fn set_style(
    state: web::Data<AppState>,
    account: Account,
    name: web::Path<String>,
    body: web::Json<LayerStyle>,
) -> Result<HttpResponse> {
    account.require(Action::ManageBoundaries)?;
    let (name, style) = (name.into_inner(), body.into_inner());
    style.check()?;
    let value = serde_json::to_value(&style).map_err(Fault::internal)?;
    let answer = value.clone();
    blocking(move || {
        state.store.transaction(|conn| {
            let kept = (style != LayerStyle::default()).then_some(&value);
            let before = layer_styles::set(conn, &name, kept, account.person.id)?;
            audit::record(
                conn,
                &Entry {
                    actor: Some(account.person.id),
                    from: account.from,
                    action: "layer.style",
                    subject: format!("layer:{name}"),
                    before,
                    after: kept.cloned(),
                },
            )
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// As what to write the layer.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// `geojson` (default), `gpkg`, `shp` (zipped) or `fgb`
    format: Option<String>,
}

/// Download the version of a layer in force; the download is logged.
#[utoipa::path(tag = "layers", params(("name" = String, Path), ExportQuery),
    responses((status = 200, description = "The file"), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/layers/{name}/export")]
async fn export_layer(
    state: web::Data<AppState>,
    account: Account,
    name: web::Path<String>,
    query: web::Query<ExportQuery>,
) -> Result<HttpResponse> {
    account.require(Action::ManageBoundaries)?;
    let format = Format::parse(query.format.as_deref().unwrap_or("geojson"))
        .ok_or_else(|| wrong("format", "geojson, gpkg, shp or fgb"))?;
    let (file_name, folder, path) = blocking(move || {
        let atlas = state.world.atlas.load_full();
        let layer = atlas
            .layer(&name)
            .ok_or_else(|| Fault::not_found("没有这个图层", "There is no such layer"))?;
        let folder = tempfile::tempdir_in(state.upload_folder()).map_err(Fault::internal)?;
        let path = export::write(layer, format, folder.path())?;
        let generation = layer.generation();
        state.store.transaction(|conn| {
            audit::record(
                conn,
                &Entry {
                    actor: Some(account.person.id),
                    from: account.from,
                    action: "layer.export",
                    subject: format!("layer:{name}"),
                    before: None,
                    after: Some(json!({"format": format.extension(), "generation": generation,
                        "features": layer.features().len()})),
                },
            )
        })?;
        let file_name = format!("{name}-{generation}.{}", format.extension());
        Ok((file_name, folder, path))
    })
    .await?;
    let (mut writer, stream) = AnswerStream::pair();
    tokio::task::spawn_blocking(move || {
        let sent = std::fs::File::open(&path)
            .and_then(|mut file| std::io::copy(&mut file, &mut writer))
            .map_err(Fault::internal);
        match sent {
            Ok(_) => writer.finish(),
            Err(fault) => writer.fail(&fault),
        }
        drop(folder);
    });
    Ok(HttpResponse::Ok()
        .content_type(format.media_type())
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{file_name}\""),
        ))
        .streaming(stream))
}

/// Which versions.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct GenerationQuery {
    layer: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Versions, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct GenerationList {
    items: Vec<Generation>,
    next: Option<String>,
}

/// The versions of the boundaries that were put into force.
#[utoipa::path(tag = "layers", params(GenerationQuery),
    responses((status = 200, body = GenerationList), (status = 403, body = Problem)))]
#[get("/generations")]
async fn list_generations(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<GenerationQuery>,
) -> Result<HttpResponse> {
    account.require(Action::ManageBoundaries)?;
    let GenerationQuery { layer, limit, cursor } = query.into_inner();
    let layer = layer.filter(|layer| !layer.is_empty());
    let limit = params::limit(limit)?;
    let before = match cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
        Some(cursor) => Some(cursor.parse().map_err(|_| wrong("cursor", "not one of ours"))?),
        None => None,
    };
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        let mut items = generations::list(&mut conn, layer.as_deref(), before, limit + 1)?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| last.generation.to_string());
        Ok(GenerationList { items, next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Bring an earlier version back as a draft: checked, compared and published like any import.
#[utoipa::path(tag = "layers", params(("generation" = i64, Path)),
    responses((status = 202), (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem)))]
#[post("/generations/{generation}/rollback")]
async fn roll_back(
    state: web::Data<AppState>,
    account: Account,
    generation: web::Path<i64>,
) -> Result<HttpResponse> {
    account.require(Action::ManageBoundaries)?;
    let generation = *generation;
    let id = blocking(move || {
        let job = rollback::begin(&state.store, generation, Some(account.person.id))?;
        let id = job.id();
        state.store.transaction(|conn| {
            audit::record(
                conn,
                &Entry {
                    actor: Some(account.person.id),
                    from: account.from,
                    action: "boundaries.rollback",
                    subject: format!("generation:{generation}"),
                    before: None,
                    after: Some(json!({"import_id": id})),
                },
            )
        })?;
        // As with an upload, the answer does not wait for the check.
        std::thread::spawn(move || {
            if let Err(fault) = job.run() {
                tracing::info!(%id, "roll-back refused: {fault}");
            }
        });
        Ok(id)
    })
    .await?;
    Ok(HttpResponse::Accepted().json(json!({"import_id": id, "state": "reading", "progress": 0.0})))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config
        .service(all_styles)
        .service(one_style)
        .service(set_style)
        .service(export_layer)
        .service(list_generations)
        .service(roll_back);
}
