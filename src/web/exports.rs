//! The case list as a file: streamed, in bounded memory, however long.

use super::batch_stream::{AnswerStream, AnswerWriter};
use super::case_params::{self, CaseParams};
use super::people::by_of;
use super::problem::Problem;
use super::reports::{ReportFormat, chosen, language};
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::permissions::Action;
use crate::error::{Fault, Result};
use crate::store::audit::{self, Entry};
use crate::store::{case_export, cases};
use actix_web::http::header::{self, ContentEncoding};
use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Deserialize;
use std::io::{BufWriter, Write};

/// How the list is written.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // for the API's description; read by name
struct ExportParams {
    /// `csv` (default) or `xlsx`
    format: Option<String>,
    /// `zh` or `en`; the account's by default
    lang: Option<String>,
}

/// Bytes that are sent at once.
const BLOCK: usize = 64 << 10;

/// The cases a filter admits as CSV or workbook, newest first, as of one moment. `X-Total-Count`
/// tells beforehand how many they are; an answer that breaks off is incomplete.
#[utoipa::path(tag = "cases", params(CaseParams, ExportParams),
    responses((status = 200, description = "The file"), (status = 400, body = Problem)))]
#[get("/cases/export")]
async fn export(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let (params, others) = case_params::split(request.query_string(), &["format", "lang"])?;
    let format = chosen(&others, "format", "csv or xlsx", |text| {
        ReportFormat::parse(text).filter(|f| matches!(f, ReportFormat::Csv | ReportFormat::Xlsx))
    })?
    .unwrap_or(ReportFormat::Csv);
    let language = language(&others, &account)?;
    let filter = params.filter(&state.world, &account, state.clock.now())?;
    let shared = state.clone();
    let counted = filter.clone();
    let (by, asked) = (by_of(&state, &account), request.query_string().to_string());
    let (total, people) = blocking(move || {
        let mut conn = shared.store.conn()?;
        let total = cases::count(&mut conn, &counted)?;
        let entry = Entry {
            after: Some(serde_json::json!({"filter": asked, "rows": total})),
            ..by.entry("cases.export", "cases:".into())
        };
        audit::record(&mut conn, &entry)?;
        Ok((total, case_export::people(&mut conn)?))
    })
    .await?;
    let (writer, body) = AnswerStream::pair();
    tokio::task::spawn_blocking(move || {
        let write = |writer: &AnswerWriter| -> Result<()> {
            let mut out = BufWriter::with_capacity(BLOCK, writer.clone());
            match format {
                ReportFormat::Xlsx => {
                    let folder = state.upload_folder();
                    case_export::xlsx(&state.store, &filter, &people, language, &folder, &mut out)?;
                }
                _ => case_export::csv(&state.store, &filter, &people, language, &mut out)?,
            }
            out.flush().map_err(Fault::internal)
        };
        match write(&writer) {
            Ok(()) => writer.finish(),
            Err(fault) => writer.fail(&fault),
        }
    });
    let name = format!("attachment; filename=\"cases.{}\"", format.extension());
    Ok(HttpResponse::Ok()
        .content_type(format.media_type())
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::CONTENT_DISPOSITION, name))
        .insert_header(("x-total-count", total.to_string()))
        .insert_header(ContentEncoding::Identity)
        .streaming(body))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(export);
}
