//! The API document that the web app's types are made from is the server's own.

use std::path::Path;

#[test]
fn the_web_apps_document_is_the_servers() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("map-ui/openapi.json");
    let kept: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(kept).unwrap()).unwrap();
    let own = serde_json::to_value(xuncha::web::openapi()).unwrap();
    assert!(
        kept == own,
        "map-ui/openapi.json is not what `xuncha openapi` prints: \
         run `cargo run -- openapi > map-ui/openapi.json`"
    );
}

#[test]
fn every_resource_of_the_contract_is_described() {
    let document = serde_json::to_value(xuncha::web::openapi()).unwrap();
    for path in [
        "/api/v1/session",
        "/api/v1/me",
        "/api/v1/lookup",
        "/api/v1/lookup/batch",
        "/api/v1/cases",
        "/api/v1/cases/{id}",
        "/api/v1/cases/{id}/history",
        "/api/v1/cases/{id}/attachments",
        "/api/v1/attachments/{id}",
        "/api/v1/events",
        "/api/v1/areas",
        "/api/v1/areas/{code}",
        "/api/v1/stats/land",
        "/api/v1/imports",
        "/api/v1/imports/{id}",
        "/api/v1/imports/{id}/publish",
        "/api/v1/imports/{id}/discard",
        "/tiles/{layer}.json",
        "/tiles/{layer}/{z}/{x}/{y}",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        assert!(!document["paths"][path].is_null(), "{path} is missing");
    }
}
