//! For operators: alive, ready, metrics.

use super::state::{AppState, blocking};
use crate::error::{Fault, Result};
use actix_web::{HttpResponse, get, web};
use diesel::connection::SimpleConnection;
use metrics_exporter_prometheus::PrometheusHandle;

/// The process lives.
#[utoipa::path(tag = "operation", responses((status = 200)))]
#[get("/healthz")]
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// The store answers and the boundaries are loaded.
#[utoipa::path(tag = "operation", responses((status = 200), (status = 503)))]
#[get("/readyz")]
async fn readyz(state: web::Data<AppState>) -> Result<HttpResponse> {
    let shared = state.clone();
    blocking(move || shared.store.conn()?.batch_execute("SELECT 1").map_err(Fault::unavailable))
        .await?;
    let generation = state.world.atlas.load().generation();
    Ok(HttpResponse::Ok().json(serde_json::json!({"ready": true, "generation": generation})))
}

/// Prometheus metrics.
#[utoipa::path(tag = "operation", responses((status = 200, content_type = "text/plain")))]
#[get("/metrics")]
async fn metrics(
    state: web::Data<AppState>,
    prometheus: web::Data<PrometheusHandle>,
) -> HttpResponse {
    ::metrics::gauge!("xuncha_generation").set(state.world.atlas.load().generation() as f64);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(prometheus.render())
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(healthz).service(readyz).service(metrics);
}
