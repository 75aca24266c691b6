//! Tiles over HTTP: packing, tags, rights, refusals; a new case shows in the next tile.

use crate::support::caller::client;
use crate::support::database;
use crate::toy_city;
use geo::Coord;
use mvt_reader::Reader;
use mvt_reader::feature::Value as Property;
use reqwest::blocking::RequestBuilder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use uuid::Uuid;
use xuncha::enforcement::permissions::Scope;
use xuncha::store::blobs::Blobs;
use xuncha::store::world::World;
use xuncha::tiles::address::{TileAddress, project};
use xuncha::tiles::cases::{CaseFigures, CaseNature, CasePlace, CaseRecord, CaseStatus};
use xuncha::web::session::Account;
use xuncha::web::state::AppState;
use xuncha::web::{self, ServeOptions};

const HERE: Coord = Coord { x: 119.01, y: 25.01 };

fn case(n: u128, version: u32) -> CaseRecord {
    CaseRecord {
        id: Uuid::from_u128(n),
        number: format!("350302-2026-{n:06}").into(),
        lon: HERE.x,
        lat: HERE.y,
        reported_at: 1_704_038_400,
        status: CaseStatus::Dispatched,
        nature: CaseNature::Both,
        source: None,
        category: None,
        area_m2: Some(100.0),
        assignee: None,
        place: CasePlace {
            city: Some("350300".into()),
            district: Some(toy_city::district(0).into()),
            ..CasePlace::default()
        }
        .into(),
        figures: CaseFigures::default(),
        version,
    }
}

/// Serves the toy city to one who sees all of it and to one of its second district.
fn serve() -> (String, Arc<World>) {
    let database = database::empty();
    let world = Arc::new(World::load(&database.store).expect("an empty world"));
    world.atlas.store(Arc::new(toy_city::atlas()));
    let (store, folder) = (database.store.clone(), database.config.data_dir.clone());
    let state = AppState::new(
        store,
        Arc::clone(&world),
        Blobs::in_folder(&folder).expect("a folder"),
        folder,
        false,
    );
    for (token, scope) in
        [("city", Scope::City("350300".into())), ("other", Scope::District(toy_city::district(1)))]
    {
        let account = Account {
            person: toy_city::person(1),
            scope,
            must_change_password: false,
            language: "zh".into(),
            from: None,
            via: Default::default(),
        };
        state.accounts.insert(Sha256::digest(token).into(), Arc::new(account));
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let _database = database;
        let options = ServeOptions { bind: SocketAddr::from(([127, 0, 0, 1], 0)), tls: None };
        let ready = move |address| sender.send(address).expect("the test waits");
        actix_web::rt::System::new()
            .block_on(web::serve(state, options, ready))
            .expect("the service runs");
    });
    (format!("http://{}/tiles", receiver.recv().expect("the service listens")), world)
}

/// The cases that a heat tile counts.
fn counted(request: RequestBuilder) -> u64 {
    let response = request.send().expect("an answer");
    if response.status().as_u16() == 204 {
        return 0;
    }
    assert_eq!(response.status().as_u16(), 200);
    let bytes = response.bytes().expect("a body").to_vec();
    let features = Reader::new(bytes).expect("a tile").get_features(0).expect("features");
    let count =
        |f: &mvt_reader::feature::Feature| match f.properties.as_ref().and_then(|p| p.get("count"))
        {
            Some(Property::UInt(count)) => *count,
            other => panic!("a count, not {other:?}"),
        };
    features.iter().map(count).sum()
}

#[test]
fn tiles_are_packed_tagged_and_limited_to_ones_area() {
    let (url, world) = serve();
    let client = client();
    let get = |token: &str, path: &str| client.get(format!("{url}/{path}")).bearer_auth(token);
    let tile = TileAddress::at(12, project(HERE));
    let at = |layer: &str| format!("{layer}/{}/{}/{}", tile.z(), tile.x(), tile.y());

    let plain = get("city", &at("district")).send().expect("an answer");
    assert_eq!(plain.status().as_u16(), 200);
    assert_eq!(plain.headers()["content-type"], "application/vnd.mapbox-vector-tile");
    assert_eq!(plain.headers()["cache-control"], "private, no-cache");
    let plain_tag = plain.headers()["etag"].clone();
    let plain = plain.bytes().expect("a body");
    let path = format!("{}.pbf", at("district"));
    let packed = get("city", &path).header("accept-encoding", "zstd").send().expect("an answer");
    assert_eq!(packed.headers()["content-encoding"], "zstd");
    let tag = packed.headers()["etag"].clone();
    assert_ne!(tag, plain_tag);
    let packed = packed.bytes().expect("a body");
    assert_eq!(zstd::decode_all(&packed[..]).expect("one packing, not two"), plain);
    let again =
        get("city", &at("district")).header("accept-encoding", "zstd").header("if-none-match", tag);
    assert_eq!(again.send().expect("an answer").status().as_u16(), 304);

    assert_eq!(counted(get("city", &at("heat"))), 0);
    world.cases.apply([case(1, 1), case(2, 1)]);
    assert_eq!(counted(get("city", &at("heat"))), 2);
    assert_eq!(counted(get("city", &at("cases"))), 2);
    assert_eq!(counted(get("other", &at("heat"))), 0);
    assert_eq!(counted(get("city", &format!("{}?from=2024-01-01&to=2024-01-01", at("heat")))), 2);
    assert_eq!(counted(get("city", &format!("{}?to=2023-12-31", at("heat")))), 0);
    assert_eq!(counted(get("city", &format!("{}?nature=both&status=closed", at("heat")))), 0);
    world.cases.apply([CaseRecord { status: CaseStatus::Closed, ..case(1, 2) }]);
    assert_eq!(counted(get("city", &format!("{}?nature=both&status=closed", at("heat")))), 1);

    let document: Value =
        get("city", "heat.json?status=closed").send().expect("an answer").json().expect("JSON");
    assert_eq!(document["tilejson"], "3.0.0");
    assert_eq!(document["vector_layers"][0]["id"], "heat");
    assert!(
        document["tiles"][0]
            .as_str()
            .is_some_and(|t| t.ends_with("/tiles/heat/{z}/{x}/{y}?status=closed"))
    );

    for (path, status) in [
        ("nowhere/0/0/0", 404),
        ("nowhere.json", 404),
        ("city/19/0/0", 400),
        ("city/2/4/0", 400),
        ("city/x/0/0", 400),
        ("city/0/0/0?status=closed", 400),
        ("heat/0/0/0?colour=red", 400),
        ("heat/0/0/0?status=red", 400),
        ("heat/0/0/0?from=2026-02-30", 400),
        ("heat/0/0/0?from=2026-02-03&to=2026-02-01", 400),
        ("heat/0/0/0?area=999999", 400),
        ("heat/0/0/0?status=closed&status=stopped", 400),
    ] {
        let answer = get("city", path).send().expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
    }
    let anonymous = client.get(format!("{url}/{}", at("city"))).send().expect("an answer");
    assert_eq!(anonymous.status().as_u16(), 401);
}
