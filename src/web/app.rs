//! The web application, embedded in the binary: no file beside it, nothing from outside.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/map-ui/dist"]
struct Dist;

const NOT_BUILT: &str = "The web app was not built into this binary: run `npm ci && npm run build` in map-ui/, then build again.\n网页程序未编入本程序。";

/// Any path that is no API: a file of the app, or its page, whose router knows the path.
pub async fn serve(request: HttpRequest) -> HttpResponse {
    let path = request.path().trim_start_matches('/');
    let (path, file) = match Dist::get(path) {
        Some(file) if !path.is_empty() => (path, file),
        // A missing asset is missing; only page addresses fall back to the page.
        _ if path.starts_with("assets/") => return HttpResponse::NotFound().finish(),
        _ => match Dist::get("index.html") {
            Some(page) => ("index.html", page),
            None => {
                return HttpResponse::NotFound()
                    .content_type("text/plain; charset=utf-8")
                    .body(NOT_BUILT);
            }
        },
    };
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let known = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains(&etag));
    // Vite names assets by content; everything else is asked for again.
    let caching = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, etag));
    response.insert_header((header::CACHE_CONTROL, caching));
    if known {
        return response.finish();
    }
    response
        .content_type(mime_guess::from_path(path).first_or_octet_stream().to_string())
        .body(file.data.into_owned())
}
