//! Vector tiles and their TileJSON.

use super::case_params::{self, CaseParams};
use super::hotspots;
use super::problem::Problem;
use super::session::Account;
use super::state::AppState;
use crate::atlas::feature::layers;
use crate::atlas::layer::Layer;
use crate::enforcement::gaps::Gaps;
use crate::enforcement::permissions::{Action, Scope};
use crate::error::{Fault, Result};
use crate::store::world::World;
use crate::tiles::address::{MAX_LATITUDE, MAX_ZOOM, TileAddress};
use crate::tiles::cases::CaseFilter;
use crate::tiles::gaps;
use crate::tiles::heat::CaseLayer;
use crate::tiles::service::{PackedTile, Packing, Subject, packed};
use actix_web::http::header;
use actix_web::http::header::{AcceptEncoding, ContentEncoding, Encoding, Header, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::Utc;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa_actix_web::service_config::ServiceConfig;

/// TileJSON 3.0 of a layer: any published one, `cases`, `heat`, `hotspots_cell`, `hotspots_village`
/// or `hotspots_h3`
#[utoipa::path(tag = "tiles", params(("layer" = String, Path), CaseParams),
    responses((status = 200, description = "TileJSON"), (status = 400, body = Problem),
        (status = 404, body = Problem)))]
#[get("/{layer}.json")]
async fn layer_json(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    layer: web::Path<String>,
) -> Result<HttpResponse> {
    if let Some(by) = hotspots::tile_layer(&layer) {
        hotspots::check(&state, &account, request.query_string(), by)?;
        let atlas = state.world.atlas.load();
        let city = atlas.layer(layers::CITY).and_then(|city| city.bounds());
        return Ok(tile_json(&request, &layer, hotspots::tile_fields(), city, layer.to_string()));
    }
    describe(&request, &state.world, &account, &layer)
}

/// Vector tile (MVT 2.1, XYZ, extent 4096); y may end in `.mvt` or `.pbf`
#[utoipa::path(tag = "tiles",
    params(("layer" = String, Path), ("z" = String, Path), ("x" = String, Path), ("y" = String, Path), CaseParams),
    responses((status = 200, content_type = "application/vnd.mapbox-vector-tile", description = "The tile"),
        (status = 204, description = "Nothing lies there"), (status = 304, description = "As known"),
        (status = 400, body = Problem), (status = 404, body = Problem)))]
#[get("/{layer}/{z}/{x}/{y}")]
async fn layer_tile(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    path: web::Path<(String, String, String, String)>,
) -> Result<HttpResponse> {
    let (layer, z, x, y) = path.into_inner();
    let packing = packing_of(&request);
    let tile = address(&z, &x, &y)?;
    if let Some(by) = hotspots::tile_layer(&layer) {
        let asked = hotspots::check(&state, &account, request.query_string(), by)?;
        let work = move || {
            let bytes = hotspots::tile(&state, &layer, &asked, tile)?;
            Ok::<_, Fault>(Arc::new(packed(bytes, packing)))
        };
        let found = web::block(work).await.map_err(Fault::internal)??;
        return Ok(answer(&request, found));
    }
    let asked = Asked::new(&layer, request.query_string(), &state.world, &account)?;
    let found = match state.tiles.cached(asked.subject(&state.world), tile, packing) {
        Some(found) => found,
        None => {
            let work = move || state.tiles.get(asked.subject(&state.world), tile, packing);
            web::block(work).await.map_err(Fault::internal)?
        }
    };
    Ok(answer(&request, found))
}

/// The tile resources, below `/tiles`.
pub fn configure(config: &mut ServiceConfig) {
    config.service(layer_json).service(layer_tile);
}

/// What a request is about, owned.
enum Asked {
    Boundary(Arc<Layer>),
    Cases(CaseLayer, Box<CaseFilter>),
    Gaps(Arc<Gaps>, Scope),
}

impl Asked {
    fn new(layer: &str, query: &str, world: &World, account: &Account) -> Result<Self> {
        if let Some(layer) = CaseLayer::parse(layer) {
            return Ok(Self::Cases(layer, Box::new(filter(query, world, account)?)));
        }
        if layer == gaps::LAYER {
            account.require(Action::SeePeople)?;
            if !query.is_empty() {
                return Err(no_parameters());
            }
            return Ok(Self::Gaps(world.gaps(), account.scope.clone()));
        }
        let atlas = world.atlas.load();
        let found = atlas.layer(layer).ok_or_else(|| no_layer(layer))?;
        if query.is_empty() { Ok(Self::Boundary(Arc::clone(found))) } else { Err(no_parameters()) }
    }

    fn subject<'a>(&'a self, world: &'a World) -> Subject<'a> {
        match self {
            Self::Boundary(layer) => Subject::Boundary(layer),
            Self::Gaps(gaps, scope) => Subject::Gaps { gaps, scope },
            Self::Cases(layer, filter) => {
                Subject::Cases { layer: *layer, index: &world.cases, filter }
            }
        }
    }
}

fn answer(request: &HttpRequest, tile: Arc<PackedTile>) -> HttpResponse {
    let known = IfNoneMatch::parse(request).is_ok_and(|known| match known {
        IfNoneMatch::Any => !tile.bytes.is_empty(),
        IfNoneMatch::Items(tags) => {
            tags.iter().any(|tag| format!("\"{}\"", tag.tag()) == tile.etag)
        }
    });
    let mut response = match (known, tile.bytes.is_empty()) {
        (true, _) => HttpResponse::NotModified(),
        (false, true) => HttpResponse::NoContent(),
        (false, false) => HttpResponse::Ok(),
    };
    response.insert_header((header::ETAG, tile.etag.as_str()));
    // What a viewer may see depends on who it is, and a publish shows at once.
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    response.insert_header((header::VARY, "Accept-Encoding, Authorization, Cookie"));
    if known || tile.bytes.is_empty() {
        return response.finish();
    }
    response.content_type("application/vnd.mapbox-vector-tile");
    // Says, too, that no middleware shall compress it again.
    response.insert_header(match tile.packing {
        Packing::Plain => ContentEncoding::Identity,
        Packing::Gzip => ContentEncoding::Gzip,
        Packing::Brotli => ContentEncoding::Brotli,
        Packing::Zstd => ContentEncoding::Zstd,
    });
    response.body(web::Bytes::from_owner(SharedTile(tile)))
}

/// Lets the response borrow the cached bytes.
struct SharedTile(Arc<PackedTile>);

impl AsRef<[u8]> for SharedTile {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// The packing the client likes best; of equals, the shortest.
fn packing_of(request: &HttpRequest) -> Packing {
    let offered = [Encoding::zstd(), Encoding::brotli(), Encoding::gzip(), Encoding::identity()];
    let chosen =
        AcceptEncoding::parse(request).ok().and_then(|accepted| accepted.negotiate(offered.iter()));
    match chosen {
        Some(Encoding::Known(ContentEncoding::Zstd)) => Packing::Zstd,
        Some(Encoding::Known(ContentEncoding::Brotli)) => Packing::Brotli,
        Some(Encoding::Known(ContentEncoding::Gzip)) => Packing::Gzip,
        _ => Packing::Plain,
    }
}

fn address(z: &str, x: &str, y: &str) -> Result<TileAddress> {
    let y = y.strip_suffix(".mvt").or(y.strip_suffix(".pbf")).unwrap_or(y);
    let number = |text: &str| text.parse::<u32>().ok();
    number(z)
        .and_then(|z| TileAddress::new(u8::try_from(z).ok()?, number(x)?, number(y)?))
        .ok_or_else(|| {
            Fault::invalid("瓦片编号超出范围", "No such tile: z is 0 to 18, x and y 0 to 2^z − 1")
        })
}

fn no_layer(name: &str) -> Fault {
    let name: String = name.chars().take(60).collect();
    Fault::not_found(format!("没有图层 {name}"), format!("No layer {name:?}"))
}

fn no_parameters() -> Fault {
    Fault::invalid("该图层没有查询参数", "This layer takes no query parameters")
}

/// The filter of a query string, within what the viewer may see.
fn filter(query: &str, world: &World, account: &Account) -> Result<CaseFilter> {
    let (params, _) = case_params::split(query, &[])?;
    params.filter(world, account, Utc::now())
}

fn describe(
    request: &HttpRequest,
    world: &World,
    account: &Account,
    layer: &str,
) -> Result<HttpResponse> {
    let query = request.query_string();
    let (fields, bounds, title) = match Asked::new(layer, query, world, account)? {
        Asked::Cases(kind, _) => {
            let atlas = world.atlas.load();
            let city = atlas.layer(layers::CITY).and_then(|city| city.bounds());
            (case_fields(kind), city, layer.to_string())
        }
        Asked::Gaps(gaps, _) => {
            let fields = json!({
                "code": "String", "name": "String",
                "land_use": "String: nothing, fallback or nobody",
                "construction": "String: nothing, fallback or nobody",
            });
            (fields, gaps.cells.as_ref().and_then(|cells| cells.bounds()), layer.to_string())
        }
        Asked::Boundary(found) => {
            let info = found.info();
            let title = format!("{} {}", info.title_zh, info.title_en);
            (boundary_fields(layer), found.bounds(), title)
        }
    };
    Ok(tile_json(request, layer, fields, bounds, title))
}

fn tile_json(
    request: &HttpRequest,
    layer: &str,
    fields: Value,
    bounds: Option<geo::Rect>,
    title: String,
) -> HttpResponse {
    let query = request.query_string();
    let bounds = match bounds {
        Some(b) => [b.min().x, b.min().y, b.max().x, b.max().y],
        None => [-180.0, -MAX_LATITUDE, 180.0, MAX_LATITUDE],
    };
    let connection = request.connection_info();
    let base = format!("{}://{}/tiles/{layer}", connection.scheme(), connection.host());
    let filter = if query.is_empty() { String::new() } else { format!("?{query}") };
    let body = json!({
        "tilejson": "3.0.0",
        "name": title,
        "scheme": "xyz",
        "tiles": [format!("{base}/{{z}}/{{x}}/{{y}}{filter}")],
        "minzoom": 0,
        "maxzoom": MAX_ZOOM,
        "bounds": bounds,
        "vector_layers": [{ "id": layer, "fields": fields, "minzoom": 0, "maxzoom": MAX_ZOOM }],
    });
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "private, no-cache")).json(body)
}

fn boundary_fields(layer: &str) -> Value {
    match layer {
        layers::PARCEL | layers::BASIC_FARMLAND => json!({
            "code": "String", "name": "String", "class_code": "String", "class_name": "String",
            "category": "String", "area_m2": "Number",
            "aggregate": "Boolean: blocks of one category, at zooms too low for single polygons",
        }),
        _ => json!({
            "code": "String", "name": "String",
            "aggregate": "Boolean: areas melted together, at zooms too low for single ones",
        }),
    }
}

fn case_fields(layer: CaseLayer) -> Value {
    match layer {
        CaseLayer::Heat => json!({ "count": "Number", "area_m2": "Number" }),
        CaseLayer::Cases => json!({
            "id": "String", "number": "String", "status": "String", "nature": "String",
            "category": "String", "area_m2": "Number", "at": "String",
            "count": "Number: 1, or the cases of a grid square where there are too many",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn addresses_take_suffixes_and_nothing_else() {
        assert_eq!(address("3", "5", "6.mvt").unwrap(), TileAddress::new(3, 5, 6).unwrap());
        assert_eq!(address("3", "5", "6.pbf").unwrap(), address("3", "5", "6").unwrap());
        for (z, x, y) in [
            ("19", "0", "0"),
            ("3", "8", "0"),
            ("3", "-1", "0"),
            ("a", "0", "0"),
            ("0", "0", "0.png"),
        ] {
            assert!(address(z, x, y).is_err());
        }
    }

    #[test]
    fn packing_follows_the_client() {
        let packing = |accepted: &str| {
            packing_of(
                &TestRequest::default()
                    .insert_header((header::ACCEPT_ENCODING, accepted))
                    .to_http_request(),
            )
        };
        assert_eq!(packing("gzip, deflate, br, zstd"), Packing::Brotli);
        assert_eq!(packing("gzip, zstd"), Packing::Zstd);
        assert_eq!(packing("gzip, deflate, br"), Packing::Brotli);
        assert_eq!(packing("br;q=0.5, gzip"), Packing::Gzip);
        assert_eq!(packing("gzip;q=0, identity"), Packing::Plain);
        assert_eq!(packing("identity"), Packing::Plain);
        assert_eq!(packing_of(&TestRequest::default().to_http_request()), Packing::Plain);
    }

    #[test]
    fn a_known_tile_is_not_sent_again() {
        let tile = Arc::new(PackedTile {
            bytes: vec![1, 2],
            etag: "\"a-gzip\"".into(),
            packing: Packing::Gzip,
        });
        let ask = |tag: &str| {
            let request = TestRequest::default()
                .insert_header((header::IF_NONE_MATCH, tag))
                .to_http_request();
            answer(&request, Arc::clone(&tile))
        };
        assert_eq!(ask("\"a-gzip\"").status(), 304);
        assert_eq!(ask("\"b\", W/\"a-gzip\"").status(), 304);
        let sent = ask("\"a-br\"");
        assert_eq!(sent.status(), 200);
        assert_eq!(sent.headers().get(header::CONTENT_ENCODING).unwrap(), "gzip");
        assert_eq!(sent.headers().get(header::ETAG).unwrap(), "\"a-gzip\"");
        let nothing =
            PackedTile { bytes: Vec::new(), etag: "\"e\"".into(), packing: Packing::Plain };
        assert_eq!(
            answer(&TestRequest::default().to_http_request(), Arc::new(nothing)).status(),
            204
        );
    }
}
