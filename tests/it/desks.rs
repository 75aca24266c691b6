//! What the desks need beside cases: place search, saved filters, layer styles, export, versions.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, DISPATCHER, PLANNER, count, position, text};
use crate::support::import::{draft, form, path, publish, wait};
use gdal::vector::LayerAccess;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

fn places(caller: &Caller, text: &str) -> Vec<Value> {
    let answer = Answer::of(caller.request(Method::GET, "/places").query(&[("q", text)])).with(200);
    answer["items"].as_array().expect("a list").clone()
}

#[test]
fn places_are_found_by_name_and_code() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    let mut conn = city.conn();
    let town = |column: &str| {
        format!(
            "SELECT {column} AS value FROM features_in_force_view WHERE layer = 'town' ORDER BY code LIMIT 1"
        )
    };
    let (code, name) = (text(&mut conn, &town("code")), text(&mut conn, &town("name")));

    let by_name = places(&caller, &name);
    let first = &by_name[0];
    assert_eq!((&first["name"], &first["kind"]), (&json!(name), &json!("town")), "{by_name:?}");
    let by_code = places(&caller, &code);
    assert_eq!(by_code[0]["code"], json!(code));
    // The path leads down to it, and the position lies inside: PostGIS says so.
    assert!(by_code[0]["path"].as_array().is_some_and(|path| !path.is_empty()), "{by_code:?}");
    let (lon, lat) = (&by_code[0]["lon"], &by_code[0]["lat"]);
    let inside = count(
        &mut conn,
        &format!(
            "SELECT count(*) AS value FROM features_in_force_view WHERE layer = 'town' AND code = '{code}'
             AND ST_Contains(geom, ST_SetSRID(ST_MakePoint({lon}, {lat}), 4490))"
        ),
    );
    assert_eq!(inside, 1);

    assert_eq!(places(&caller, "没有这样的地方"), Vec::<Value>::new());
    for hostile in ["%", "'; DROP TABLE cases; --", "\u{0}", "(", "\\"] {
        places(&caller, hostile);
    }
    caller.get("/places?q=").refused(400, "invalid");
    caller.get("/places?q=x&limit=0").refused(400, "invalid");
    city.stranger().get("/places?q=x").refused(401, "not_logged_in");
}

#[test]
fn filters_are_ones_own() {
    let city = City::shared();
    let (caller, other) = (city.caller(DISPATCHER), city.caller(PLANNER));
    let id = Uuid::new_v4();
    let filter = json!({"id": id, "desk": "cases", "name": "逾期", "query": {"overdue": "true"}});
    let kept = caller.post("/filters", &filter).with(201);
    assert_eq!(kept["query"], filter["query"]);
    assert_eq!(caller.post("/filters", &filter).with(201), kept, "a retry keeps one");
    let of = |caller: &Caller| {
        let list = caller.get("/filters?desk=cases").with(200);
        let ids = list["items"].as_array().expect("a list").iter().map(|f| f["id"].clone());
        ids.collect::<Vec<_>>()
    };
    assert!(of(&caller).contains(&json!(id)));
    assert!(!of(&other).contains(&json!(id)));
    other.post("/filters", &filter).refused(409, "id_taken");
    let forget =
        |caller: &Caller| Answer::of(caller.request(Method::DELETE, &format!("/filters/{id}")));
    forget(&other).refused(404, "not_found");
    assert_eq!(forget(&caller).status, 204);
    assert!(!of(&caller).contains(&json!(id)));

    let bad = |change: Value| {
        let mut body = filter.clone();
        body.as_object_mut().expect("fields").extend(change.as_object().expect("fields").clone());
        caller.post("/filters", &body).refused(400, "invalid");
    };
    bad(json!({"name": "  "}));
    bad(json!({"name": "长".repeat(81)}));
    bad(json!({"desk": ""}));
    bad(json!({"query": {"q": "x".repeat(501)}}));
    bad(json!({"unknown": 1}));
}

#[test]
fn a_layer_is_drawn_as_its_planner_wants() {
    let city = City::start();
    let (planner, dispatcher) = (city.caller(PLANNER), city.caller(DISPATCHER));
    let put = |caller: &Caller, layer: &str, style: Value| {
        Answer::of(caller.request(Method::PUT, &format!("/layers/{layer}/style")).json(&style))
    };
    let style =
        json!({"fill": "#2f8a5b", "fill_opacity": 0.4, "line": "#111111", "dash": [3.0, 2.0]});
    assert_eq!(put(&planner, "town", style.clone()).with(200), style);
    assert_eq!(dispatcher.get("/layers/styles").with(200), json!({"town": style}));
    assert_eq!(dispatcher.get("/layers/town/style").with(200), style);
    assert_eq!(dispatcher.get("/layers/village/style").with(200), json!({}));
    put(&dispatcher, "town", style.clone()).refused(403, "role_forbidden");
    put(&planner, "nowhere", style.clone()).refused(404, "not_found");
    for wrong in [
        json!({"fill": "red"}),
        json!({"fill": "#12345"}),
        json!({"fill_opacity": 1.5}),
        json!({"line_width": -1}),
        json!({"dash": [1, 1, 1, 1, 1, 1, 1, 1, 1]}),
        json!({"url": "http://example.org"}),
    ] {
        put(&planner, "town", wrong).refused(400, "invalid");
    }
    assert_eq!(put(&planner, "town", json!({})).with(200), json!({}));
    assert_eq!(dispatcher.get("/layers/styles").with(200), json!({}));
    let logged = "SELECT count(*) AS value FROM audit WHERE action = 'layer.style'";
    assert_eq!(count(&mut city.conn(), logged), 2);
}

/// Reads a file with GDAL: count, first code, authority code of the CRS.
fn read(bytes: &[u8], name: &str) -> (u64, String, i32) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    let address = match name.ends_with(".zip") {
        true => format!("/vsizip/{}", path.display()),
        false => path.display().to_string(),
    };
    let dataset = gdal::Dataset::open(address).expect("GDAL reads it");
    let mut layer = dataset.layer(0).expect("a layer");
    let code = layer.spatial_ref().and_then(|srs| srs.auth_code().ok()).unwrap_or(0);
    let count = layer.feature_count();
    let first = layer.features().next().expect("a feature");
    let index = first.field_index("code").expect("a code");
    (count, first.field_as_string(index).expect("text").unwrap_or_default(), code)
}

#[test]
fn a_layer_comes_out_as_it_went_in() {
    let city = City::start();
    let (planner, dispatcher) = (city.caller(PLANNER), city.caller(DISPATCHER));
    let mut conn = city.conn();
    let there = count(
        &mut conn,
        "SELECT count(*) AS value FROM features_in_force_view WHERE layer = 'town'",
    );
    for (format, name) in
        [("gpkg", "t.gpkg"), ("fgb", "t.fgb"), ("shp", "t.zip"), ("geojson", "t.geojson")]
    {
        let answer = planner.get(&format!("/layers/town/export?format={format}"));
        assert_eq!(answer.status, 200, "{format}");
        assert!(answer.header("content-disposition").contains("attachment"), "{format}");
        let (count, code, srs) = read(&answer.bytes, name);
        assert_eq!(count as i64, there, "{format}");
        assert_eq!(code.len(), 9, "{format}: {code}");
        // GeoJSON has no other system than WGS 84 to state.
        assert!(srs == 4490 || (format == "geojson" && srs == 4326), "{format}: {srs}");
        // Taken in again, not a single border has moved.
        let again =
            form("town", answer.bytes, name).text("code_field", "code").text("name_field", "name");
        let again = if format == "geojson" { again.text("crs", "EPSG:4490") } else { again };
        let report = draft(&planner, again.text("parent_field", "parent"));
        let changes = &report["changes"];
        assert_eq!(
            (&changes["added"], &changes["removed"], &changes["moved"]),
            (&json!(0), &json!(0), &json!(0)),
            "{format}: {report}"
        );
        planner.post(&path(&report, "discard"), &json!({}));
    }
    dispatcher.get("/layers/town/export").refused(403, "role_forbidden");
    planner.get("/layers/nowhere/export").refused(404, "not_found");
    planner.get("/layers/town/export?format=exe").refused(400, "invalid");
    let logged = "SELECT count(*) AS value FROM audit WHERE action = 'layer.export'";
    assert_eq!(count(&mut conn, logged), 4);
}

#[test]
fn an_earlier_version_comes_back_through_a_draft() {
    let city = City::start();
    let (planner, dispatcher) = (city.caller(PLANNER), city.caller(DISPATCHER));
    let mut conn = city.conn();
    let island = position(
        &mut conn,
        "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM features_in_force_view, ST_PointOnSurface(geom) AS p
         WHERE layer = 'functional_area' AND code = '350305902'",
    );
    let on_island = |caller: &Caller| {
        let found = caller.get(&format!("/lookup?lon={}&lat={}", island.0, island.1)).with(200);
        found["functional_areas"].as_array().is_some_and(|areas| !areas.is_empty())
    };
    let versions = |caller: &Caller| {
        let list = caller.get("/generations?layer=functional_area").with(200);
        list["items"].as_array().expect("a list").clone()
    };
    let first = versions(&planner);
    assert_eq!((first.len(), &first[0]["current"]), (1, &json!(true)), "{first:?}");
    assert_eq!(first[0]["features"], 2);
    let rollback = |generation: &Value| {
        planner.post(&format!("/generations/{generation}/rollback"), &json!({}))
    };
    rollback(&first[0]["generation"]).refused(409, "wrong_state");
    rollback(&json!(99_999)).refused(404, "not_found");

    // Without the island.
    let one = text(
        &mut conn,
        "SELECT json_build_object('type', 'FeatureCollection', 'features', json_agg(json_build_object(
             'type', 'Feature', 'properties', json_build_object('GNQDM', code, 'GNQMC', name),
             'geometry', ST_AsGeoJSON(geom, 9)::json)))::text AS value
         FROM features_in_force_view WHERE layer = 'functional_area' AND code = '350305901'",
    );
    publish(&planner, &draft(&planner, form("functional_area", one, "one.geojson")));
    assert!(!on_island(&dispatcher));
    let second = versions(&planner);
    assert_eq!(second.len(), 2);
    assert_eq!((&second[0]["current"], &second[0]["can_roll_back"]), (&json!(true), &json!(false)));
    assert_eq!((&second[1]["current"], &second[1]["can_roll_back"]), (&json!(false), &json!(true)));
    assert_eq!((&second[0]["features"], &second[1]["features"]), (&json!(1), &json!(2)));
    dispatcher.get("/generations").refused(403, "role_forbidden");

    let begun = rollback(&second[1]["generation"]).with(202);
    let report = wait(&planner, begun["import_id"].as_str().expect("an id"));
    assert_eq!((&report["state"], &report["read"]), (&json!("ready"), &json!(2)), "{report}");
    assert_eq!(report["changes"]["added"], 1);
    assert!(!on_island(&dispatcher), "a draft changes nothing");
    publish(&planner, &report);
    assert!(on_island(&dispatcher));
    let third = versions(&planner);
    assert_eq!((third.len(), &third[0]["features"]), (3, &json!(2)), "the history only grows");
    // What comes back is the same to the last bit: content hashes and borders agree.
    let same = count(
        &mut conn,
        "SELECT count(*) AS value FROM features a JOIN features b USING (layer, code)
         WHERE a.layer = 'functional_area' AND a.code = '350305902' AND a.id < b.id
           AND a.content_hash = b.content_hash AND ST_OrderingEquals(a.geom, b.geom)",
    );
    assert_eq!(same, 1);
}
