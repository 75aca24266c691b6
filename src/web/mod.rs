//! HTTP: one file per resource.

pub mod absences;
pub mod actions;
pub mod app;
pub mod areas;
pub mod attachments;
pub mod audit;
mod batch_stream;
pub mod case_params;
pub mod cases;
pub mod delivery;
pub mod devices;
pub mod duties;
pub mod events;
pub mod exports;
pub mod filters;
pub mod frozen;
pub mod gaps;
pub mod health;
pub mod hotspots;
pub mod imports;
pub mod layers;
pub mod lookup;
pub mod messages;
pub mod occupation;
pub mod params;
pub mod patrol;
pub mod people;
pub mod places;
pub mod problem;
pub mod public_reports;
pub mod push;
pub mod redispatch;
pub mod reports;
pub mod session;
pub mod settings;
pub mod state;
pub mod stats;
pub mod suspects;
pub mod tasks;
pub mod tiles;
pub mod timeline;
pub mod uploads;

use crate::error::{Fault, FaultKind, Result};
use actix_multipart::MultipartError;
use actix_multipart::form::MultipartFormConfig;
use actix_multipart::form::tempfile::TempFileConfig;
use actix_web::error::PayloadError;
use actix_web::http::{StatusCode, header};
use actix_web::middleware::{Compress, DefaultHeaders, from_fn};
use actix_web::{App, HttpResponse, HttpServer, web};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use state::AppState;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use utoipa::OpenApi;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

/// What the service needs to start listening.
pub struct ServeOptions {
    pub bind: SocketAddr,
    /// Certificate chain and key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// The largest JSON body, bytes.
const MAX_JSON: usize = 2 << 20;

#[derive(OpenApi)]
#[openapi(info(
    title = "xuncha 巡查",
    description = "Finds, assigns and stops illegal land use and illegal construction. Geometry is CGCS2000 longitude/latitude in degrees, areas are geodesic m², errors are RFC 9457 problems."
))]
struct ApiDoc;

fn api(config: &mut ServiceConfig) {
    session::configure(config);
    devices::configure(config);
    people::configure(config);
    duties::configure(config);
    gaps::configure(config);
    audit::configure(config);
    areas::configure(config);
    lookup::configure(config);
    exports::configure(config);
    cases::configure(config);
    actions::configure(config);
    attachments::configure(config);
    uploads::configure(config);
    patrol::configure(config);
    suspects::configure(config);
    imports::configure(config);
    stats::configure(config);
    frozen::configure(config);
    reports::configure(config);
    hotspots::configure(config);
    timeline::configure(config);
    settings::configure(config);
    absences::configure(config);
    redispatch::configure(config);
    occupation::configure(config);
    events::configure(config);
    places::configure(config);
    filters::configure(config);
    layers::configure(config);
    messages::configure(config);
    push::configure(config);
    tasks::configure(config);
    public_reports::configure(config);
}

/// The OpenAPI document of everything below `/api`, `/tiles` and for operators.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(ApiDoc::openapi())
        .service(utoipa_actix_web::scope("/api/v1").configure(api))
        .service(utoipa_actix_web::scope("/tiles").configure(tiles::configure))
        .configure(health::configure)
        .split_for_parts();
    document.info.version = env!("CARGO_PKG_VERSION").into();
    document
}

fn unreadable(error: impl std::fmt::Display) -> Fault {
    Fault::invalid(format!("请求内容有误：{error}"), format!("The request cannot be read: {error}"))
}

/// The largest upload, bytes: a city's parcels.
const MAX_UPLOAD: usize = 2 << 30;

/// What is said to a form that is too large or cannot be read.
fn refuse_form(error: &MultipartError) -> Fault {
    let limit = match error {
        MultipartError::Payload(PayloadError::Overflow) => true,
        MultipartError::Field { source, .. } => {
            source.as_response_error().status_code() == StatusCode::PAYLOAD_TOO_LARGE
        }
        _ => false,
    };
    if !limit {
        return unreadable(error);
    }
    Fault::new(FaultKind::TooLarge, "too_large", "上传的文件过大", "The uploaded file is too large")
}

/// Uploads go to disk, beside the place where they stay.
fn uploads(config: &mut web::ServiceConfig, folder: &Path) {
    let form = MultipartFormConfig::default()
        .total_limit(MAX_UPLOAD)
        .memory_limit(MAX_JSON)
        .error_handler(|error, _| refuse_form(&error).into());
    config.app_data(form).app_data(TempFileConfig::default().directory(folder));
}

/// Extractors answer with our problems, in both languages.
fn extractors(config: &mut web::ServiceConfig) {
    use actix_web::error::{JsonPayloadError, UrlencodedError};
    let json = web::JsonConfig::default().limit(MAX_JSON).error_handler(|error, _| {
        let fault = match &error {
            JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => {
                Fault::new(
                    FaultKind::TooLarge,
                    "too_large",
                    format!("请求内容不能超过 {} MB", MAX_JSON >> 20),
                    format!("The request may have at most {} MB", MAX_JSON >> 20),
                )
            }
            JsonPayloadError::ContentType => Fault::new(
                FaultKind::WrongType,
                "wrong_type",
                "请求内容须为 application/json",
                "The request must be application/json",
            ),
            _ => unreadable(&error),
        };
        fault.into()
    });
    let path = web::PathConfig::default().error_handler(|_, _| {
        Fault::not_found("地址有误", "There is nothing at this address").into()
    });
    let form = web::FormConfig::default()
        .error_handler(|error: UrlencodedError, _| unreadable(error).into());
    config
        .app_data(json)
        .app_data(path)
        .app_data(form)
        .app_data(web::QueryConfig::default().error_handler(|error, _| unreadable(error).into()));
}

async fn no_such_resource() -> Result<HttpResponse> {
    Err(Fault::not_found("接口不存在", "There is no such resource"))
}

/// What a browser may do with our pages: nothing from outside, no framing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; \
    style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; connect-src 'self'; \
    object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

/// Serves until told to stop; calls `ready` with the address once it listens.
pub async fn serve(
    state: AppState,
    options: ServeOptions,
    ready: impl FnOnce(SocketAddr),
) -> Result<()> {
    let in_use = |error: std::io::Error| {
        Fault::new(
            FaultKind::Unavailable,
            "cannot_listen",
            format!("无法监听 {}：{error}", options.bind),
            format!("Cannot listen on {}: {error}", options.bind),
        )
    };
    let listener = TcpListener::bind(options.bind).map_err(in_use)?;
    let address = listener.local_addr().map_err(Fault::internal)?;
    let upload_folder = state.upload_folder();
    std::fs::create_dir_all(&upload_folder).map_err(Fault::internal)?;
    let state = web::Data::new(state);
    state::keep_tiles_prepared(&state);
    actix_web::rt::spawn(delivery::run(state.clone()));
    state::keep_tidy(&state);
    let prometheus = web::Data::new(recorder()?);
    let document = openapi().to_json().map_err(Fault::internal)?;

    let server = HttpServer::new(move || {
        let document = document.clone();
        App::new()
            .wrap(from_fn(problem::localise))
            .wrap(Compress::default())
            .wrap(
                DefaultHeaders::new()
                    .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                    .add((header::REFERRER_POLICY, "same-origin"))
                    .add((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)),
            )
            .wrap(tracing_actix_web::TracingLogger::default())
            .app_data(state.clone())
            .app_data(prometheus.clone())
            .configure(extractors)
            .configure(|config| uploads(config, &upload_folder))
            .into_utoipa_app()
            .service(
                utoipa_actix_web::scope("/api/v1")
                    .configure(api)
                    .default_service(web::to(no_such_resource)),
            )
            .service(
                utoipa_actix_web::scope("/tiles")
                    .configure(tiles::configure)
                    .default_service(web::to(no_such_resource)),
            )
            .configure(health::configure)
            .into_app()
            .route(
                "/api/openapi.json",
                web::get().to(move || {
                    let document = document.clone();
                    async { HttpResponse::Ok().content_type("application/json").body(document) }
                }),
            )
            .service(web::scope("/api").default_service(web::to(no_such_resource)))
            .default_service(web::get().to(app::serve))
    })
    .shutdown_timeout(10);
    let server = match &options.tls {
        Some((certificate, key)) => {
            server.listen_rustls_0_23(listener, tls(certificate, key)?).map_err(in_use)?
        }
        None => server.listen(listener).map_err(in_use)?,
    };
    ready(address);
    server.run().await.map_err(Fault::internal)
}

fn recorder() -> Result<PrometheusHandle> {
    use std::sync::OnceLock;
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new().install_recorder().map_err(Fault::internal)?;
    Ok(HANDLE.get_or_init(|| handle).clone())
}

fn tls(certificate: &Path, key: &Path) -> Result<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let unusable = |path: &Path, error: &dyn std::fmt::Display| {
        Fault::invalid(
            format!("无法使用证书文件 {}：{error}", path.display()),
            format!("Cannot use {}: {error}", path.display()),
        )
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| unusable(certificate, &e))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| unusable(key, &e))?;
    rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(Fault::internal)?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|e| unusable(certificate, &e))
}
