//! Boundary files over HTTP: upload, check report, publish, and who sees it when.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, DISPATCHER, PLANNER, count, position, text};
use crate::support::import::{begin, draft, form, path, publish, wait};
use diesel::PgConnection;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Cursor, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use xuncha::tiles::address::{TileAddress, project};

fn generation(caller: &Caller) -> i64 {
    caller.get("/readyz").with(200)["generation"].as_i64().expect("a generation")
}

/// The server-sent events of a caller, as name and data, from now on.
fn events(caller: &Caller) -> Receiver<(String, Value)> {
    let mut lines = BufReader::new(caller.listen("/events")).lines();
    // The first word says that everything from here on will come.
    let hello = lines.next().expect("a line").expect("a line");
    assert!(hello.starts_with(':'), "{hello}");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut name = String::new();
        for line in lines.map_while(Result::ok) {
            if let Some(event) = line.strip_prefix("event:") {
                name = event.trim().to_string();
            } else if let Some(data) = line.strip_prefix("data:") {
                let data = serde_json::from_str(data).unwrap_or_default();
                if sender.send((name.clone(), data)).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

/// Waits for an event, passing over others.
fn wait_for(events: &Receiver<(String, Value)>, what: impl Fn(&str, &Value) -> bool) -> Value {
    loop {
        let (name, data) = events.recv_timeout(Duration::from_secs(60)).expect("the event comes");
        if what(&name, &data) {
            return data;
        }
    }
}

/// Features in force as GeoJSON with the columns the importer knows.
fn geojson(conn: &mut PgConnection, features: &str, columns: &str) -> String {
    text(
        conn,
        &format!(
            "SELECT json_build_object('type', 'FeatureCollection', 'features', json_agg(json_build_object(
                 'type', 'Feature', 'properties', json_build_object({columns}),
                 'geometry', ST_AsGeoJSON(geom, 9)::json)))::text AS value
             FROM ({features}) f"
        ),
    )
}

fn tile(caller: &Caller, layer: &str, (x, y): (f64, f64)) -> Answer {
    let tile = TileAddress::at(11, project(geo::Coord { x, y }));
    caller.get(&format!("/tiles/{layer}/11/{}/{}", tile.x(), tile.y()))
}

fn functional_areas_at(caller: &Caller, (x, y): (f64, f64)) -> Vec<String> {
    let found = caller.get(&format!("/lookup?lon={x}&lat={y}")).with(200);
    let areas = found["functional_areas"].as_array().expect("a list");
    areas.iter().map(|a| a["code"].as_str().expect("a code").to_string()).collect()
}

#[test]
fn a_publish_is_seen_at_once_and_changes_nothing_else() {
    let city = City::start();
    let (planner, dispatcher) = (city.caller(PLANNER), city.caller(DISPATCHER));
    let mut conn = city.conn();
    let island = position(
        &mut conn,
        "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM features_in_force_view, ST_PointOnSurface(geom) AS p
         WHERE layer = 'functional_area' AND code = '350305902'",
    );
    let heard = events(&dispatcher);
    let before = generation(&dispatcher);
    assert_eq!(functional_areas_at(&dispatcher, island), ["350305902"]);
    let old_tiles = ["functional_area", "town"].map(|layer| tile(&dispatcher, layer, island));
    assert!(old_tiles.iter().all(|t| t.status == 200 && !t.bytes.is_empty()));

    // Without the island.
    let one = geojson(
        &mut conn,
        "SELECT * FROM features_in_force_view WHERE layer = 'functional_area' AND code = '350305901'",
        "'GNQDM', code, 'GNQMC', name",
    );
    let report = draft(&planner, form("functional_area", one, "一个.geojson"));
    assert_eq!((&report["read"], &report["accepted"]), (&json!(1), &json!(1)));
    assert_eq!(report["changes"]["removed"], 1);
    assert_eq!(report["published"], false);
    assert_eq!(report["file_name"], "一个.geojson");
    wait_for(&heard, |name, data| {
        name == "import" && data["id"] == report["import_id"] && data["state"] == "ready"
    });
    // A draft is nobody's boundary.
    assert_eq!(functional_areas_at(&dispatcher, island), ["350305902"]);
    let drawn = planner.get(&path(&report, "geometry"));
    assert_eq!(drawn.header("content-type"), "application/geo+json");
    let drawn = drawn.with(200);
    assert_eq!(drawn["features"][0]["properties"]["code"], "350305901");

    let published = publish(&planner, &report);
    assert_eq!(published["state"], "published");
    assert_eq!(published["generation"], before + 1);
    assert_eq!(generation(&dispatcher), before + 1);
    assert_eq!(functional_areas_at(&dispatcher, island), Vec::<String>::new());
    let event = wait_for(&heard, |name, _| name == "boundaries");
    assert_eq!(
        (&event["layer"], &event["generation"]),
        (&json!("functional_area"), &json!(before + 1))
    );
    planner.post(&path(&report, "publish"), &json!({})).refused(409, "wrong_state");
    planner.post(&path(&report, "discard"), &json!({})).refused(409, "wrong_state");

    // The file of the demo city brings the island back.
    let zip = std::fs::read(xuncha::boundaries::demo::folder().join("functional-areas.zip"));
    let zip = zip.expect("a demo file");
    let again = draft(&planner, form("functional_area", zip.clone(), "functional-areas.zip"));
    assert_eq!(again["changes"]["added"], 1, "{again}");
    assert_eq!((&again["crs"], &again["encoding"]), (&json!("EPSG:4549"), &json!("GBK")));
    assert_eq!(publish(&planner, &again)["generation"], before + 2);
    assert_eq!(functional_areas_at(&dispatcher, island), ["350305902"]);
    let new_tiles = ["functional_area", "town"].map(|layer| tile(&dispatcher, layer, island));
    assert_eq!(old_tiles[1].header("etag"), new_tiles[1].header("etag"), "towns did not change");
    let (x, y) = island;
    let address = TileAddress::at(11, project(geo::Coord { x, y }));
    let known = dispatcher
        .request(Method::GET, &format!("/tiles/town/11/{}/{}", address.x(), address.y()))
        .header("if-none-match", old_tiles[1].header("etag"));
    assert_eq!(Answer::of(known).status, 304);

    let unwanted = draft(&planner, form("functional_area", zip, "functional-areas.zip"));
    let gone = planner.post(&path(&unwanted, "discard"), &json!({})).with(200);
    assert_eq!(gone["state"], "discarded");
    planner.post(&path(&unwanted, "publish"), &json!({})).refused(409, "wrong_state");
    planner.post(&path(&unwanted, "discard"), &json!({})).refused(409, "wrong_state");
    assert_eq!(generation(&dispatcher), before + 2);
    let drafts = "SELECT count(*) AS value FROM features WHERE valid_from IS NULL";
    assert_eq!(count(&mut conn, drafts), 0, "a discarded draft leaves no rows");
    let list = planner.get("/imports?limit=3").with(200);
    let states: Vec<_> =
        list["items"].as_array().expect("a list").iter().map(|i| &i["state"]).collect();
    assert_eq!(states, ["discarded", "published", "published"]);
}

#[test]
fn two_publishes_at_once_never_make_half_a_generation() {
    let city = City::start();
    let planner = city.caller(PLANNER);
    let mut conn = city.conn();
    let before = generation(&planner);
    let zip = std::fs::read(xuncha::boundaries::demo::folder().join("functional-areas.zip"));
    let zip = zip.expect("a demo file");
    let drafts: Vec<Value> = (0..3)
        .map(|n| draft(&planner, form("functional_area", zip.clone(), &format!("{n}.zip"))))
        .collect();
    // Each draft twice, all at the same time.
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = drafts
            .iter()
            .chain(&drafts)
            .map(|draft| scope.spawn(|| planner.post(&path(draft, "publish"), &json!({}))))
            .collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    let mut done = 0;
    for answer in answers {
        match answer.status {
            200 => done += 1,
            _ => {
                let code = answer.json()["code"].as_str().expect("a code").to_string();
                assert!(matches!(&*code, "publish_running" | "wrong_state"), "{code}");
                answer.refused(409, &code);
            }
        }
    }
    assert!((1..=3).contains(&done), "{done}");
    assert_eq!(generation(&planner), before + done);
    let query = "SELECT count(*) AS value FROM imports i JOIN generations g ON g.import_id = i.id
                 WHERE i.state = 'published' AND i.file_name ~ '^[0-2].zip$'";
    assert_eq!(count(&mut conn, query), done);
    // Whoever came in vain publishes later.
    for draft in &drafts {
        let answer = planner.post(&path(draft, "publish"), &json!({}));
        assert!(matches!(answer.status, 200 | 409));
    }
    assert_eq!(generation(&planner), before + 3);
    let in_force =
        "SELECT count(*) AS value FROM features_in_force_view WHERE layer = 'functional_area'";
    assert_eq!(count(&mut conn, in_force), 2);
}

/// A zip whose one member unpacks to 1 GiB of zeros.
fn zip_bomb() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("a.shp", options).expect("a member");
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..1024 {
        archive.write_all(&zeros).expect("a member");
    }
    archive.finish().expect("an archive").into_inner()
}

#[test]
fn files_that_are_no_boundaries_are_refused_and_leave_what_is_in_force() {
    let city = City::start();
    let planner = city.caller(PLANNER);
    let mut conn = city.conn();
    let mut features = || count(&mut conn, "SELECT count(*) AS value FROM features");
    let (before, rows) = (generation(&planner), features());
    let twice = r#"{"type":"FeatureCollection","features":[
        {"type":"Feature","properties":{"WGBM":"350302001001001"},"geometry":{"type":"Polygon","coordinates":[[[119,25.4],[119.01,25.4],[119.01,25.41],[119,25.4]]]}},
        {"type":"Feature","properties":{"WGBM":"350302001001001"},"geometry":{"type":"Polygon","coordinates":[[[119.1,25.4],[119.11,25.4],[119.11,25.41],[119.1,25.4]]]}}]}"#;
    for (bytes, name, code) in [
        (zip_bomb(), "bomb.zip", "too_large"),
        (b"hello, this is no map".to_vec(), "letter.zip", "not_a_map"),
        (b"%PDF-1.4".to_vec(), "map.geojson", "not_a_map"),
        (b"".to_vec(), "empty.gpkg", "not_a_map"),
        (
            std::fs::read(xuncha::boundaries::demo::folder().join("admin.zip")).expect("a file"),
            "admin.zip",
            "several_layers",
        ),
    ] {
        let report = wait(&planner, &begin(&planner, form("cell", bytes, name)));
        assert_eq!(report["state"], "failed", "{name}: {report}");
        assert_eq!(report["error"]["code"], code, "{name}: {report}");
        assert!(report["error"]["detail"].as_str().is_some_and(|d| d.contains(" / ")), "{report}");
        planner.post(&path(&report, "publish"), &json!({})).refused(409, "wrong_state");
    }
    // Read and reported, but not to be put into force.
    let report = draft(&planner, form("cell", twice, "twice.geojson").text("crs", "cgcs2000"));
    assert_eq!(report["duplicate_codes"][0]["code"], "350302001001001");
    let answer = planner.post(&path(&report, "publish"), &json!({}));
    answer.refused(422, "duplicate_codes");
    planner.post(&path(&report, "discard"), &json!({})).with(200);
    assert_eq!((generation(&planner), features()), (before, rows));
}

#[test]
fn open_cases_change_hands_when_a_border_moves() {
    let city = City::start();
    let (planner, dispatcher) = (city.caller(PLANNER), city.caller(DISPATCHER));
    let mut conn = city.conn();
    // A cell of the demo city, a neighbour in the same town whose people are others, and a position
    // in the first, 20 m from the neighbour.
    let pair = "
        SELECT a.code AS a, b.code AS b, a.geom AS a_geom, b.geom AS b_geom, p.p
        FROM features_in_force_view a
        JOIN features_in_force_view b ON b.layer = 'cell' AND left(b.code, 9) = left(a.code, 9)
             AND b.code <> a.code AND ST_Intersects(a.geom, b.geom)
        JOIN duties da ON da.code = a.code AND da.rank = 'primary' AND da.nature = '*'
        JOIN duties db ON db.code = b.code AND db.rank = 'primary' AND db.nature = '*' AND db.person_id <> da.person_id
        CROSS JOIN LATERAL (SELECT ST_LineInterpolatePoint(ST_GeometryN(l, 1), 0.5) AS on_border
             FROM ST_LineMerge(ST_CollectionExtract(ST_Intersection(a.geom, b.geom), 2)) l
             WHERE ST_Length(l) > 0.003) m
        CROSS JOIN LATERAL (SELECT ST_ClosestPoint(ST_Boundary(ST_Buffer(on_border, 0.0002)),
             ST_PointOnSurface(a.geom)) AS p) p
        WHERE a.layer = 'cell' AND left(a.code, 9) = '350302100' AND ST_Covers(a.geom, p.p)
        ORDER BY a.code, b.code LIMIT 1";
    let (from, to) = (
        text(&mut conn, &format!("SELECT a AS value FROM ({pair}) pair")),
        text(&mut conn, &format!("SELECT b AS value FROM ({pair}) pair")),
    );
    let (x, y) =
        position(&mut conn, &format!("SELECT ST_X(p) AS x, ST_Y(p) AS y FROM ({pair}) pair"));
    // Written down before anything moves: the tables change below.
    let grid = geojson(
        &mut conn,
        &format!(
            "SELECT f.code, f.name, f.parent_code,
                 CASE f.code WHEN pair.a THEN ST_Difference(f.geom, reach) WHEN pair.b
                 THEN ST_Union(f.geom, ST_Intersection(pair.a_geom, reach)) ELSE f.geom END AS geom
             FROM features_in_force_view f, ({pair}) pair, ST_Buffer(pair.p, 0.0004) AS reach
             WHERE f.layer = 'cell' AND left(f.code, 9) = '350302100'"
        ),
        "'WGBM', code, 'WGMC', name, 'SSCDM', parent_code",
    );
    let report = |nature: &str| {
        let body = json!({"id": uuid::Uuid::new_v4(), "lon": x, "lat": y, "nature": nature});
        dispatcher.post("/cases", &body).with(201)
    };
    let case = report("illegal_land_use");
    assert_eq!(case["place"]["cell"]["code"], from);
    let case_path = format!("/cases/{}", case["id"].as_str().expect("an id"));
    let heard = events(&dispatcher);

    let form = form("cell", grid, "grid.geojson").text("crs", "cgcs2000").text("area", "350302100");
    let checked = draft(&planner, form);
    assert_eq!(checked["rejected"], json!([]), "{checked}");
    // Past cases of the demo city are closed; what is still open near there may move, too.
    let in_reach = format!(
        "SELECT count(*) AS value FROM cases, (SELECT a_geom, ST_Buffer(p, 0.0004) AS reach FROM ({pair}) pair) r
         WHERE closed_at IS NULL AND status NOT IN ('closed', 'rejected', 'duplicate', 'transferred')
           AND cell_code = '{from}' AND ST_Covers(r.reach, ST_SetSRID(ST_MakePoint(lon, lat), 4490))"
    );
    let moving = count(&mut conn, &in_reach);
    assert!(moving >= 1);
    assert_eq!(checked["changes"]["cases_reassigned"], moving, "the draft says what would happen");
    assert_eq!(dispatcher.get(&case_path).with(200)["version"], 1, "and nothing has happened");

    // One that comes between the check and the publish moves as well.
    let late = report("illegal_construction");
    let published = publish(&planner, &checked);
    assert_eq!(published["changes"]["cases_reassigned"], moving + 1);
    assert_eq!(published["changes"]["moved"], 2, "{published}");
    for case in [case, late] {
        let id = case["id"].as_str().expect("an id");
        let after = dispatcher.get(&format!("/cases/{id}")).with(200);
        assert_eq!(after["place"]["cell"]["code"], to);
        assert_ne!(after["assignee_id"], case["assignee_id"]);
        assert_eq!((&after["version"], &after["number"]), (&json!(2), &case["number"]));
        let history = dispatcher.get(&format!("/cases/{id}/history")).with(200);
        let last = history["items"].as_array().and_then(|i| i.last()).cloned().expect("events");
        assert_eq!((&last["seq"], &last["action"]), (&json!(3), &json!("dispatch")));
        assert_eq!(last["data"]["because"], "boundaries");
        assert_eq!(last["data"]["from"], case["assignee_id"]);
        assert_eq!(last["data"]["to"], after["assignee_id"]);
        wait_for(&heard, |name, data| name == "case" && data["id"] == id && data["version"] == 2);
    }
    let looked_up = dispatcher.get(&format!("/lookup?lon={x}&lat={y}")).with(200);
    assert_eq!(looked_up["cell"]["code"], to);
    // The version before is kept with its period.
    let old = format!(
        "SELECT count(*) AS value FROM features WHERE layer = 'cell' AND code IN ('{from}', '{to}') AND valid_to IS NOT NULL"
    );
    assert_eq!(count(&mut conn, &old), 2);
}

#[test]
fn reports_during_publishes_are_all_answered() {
    let city = City::start();
    let (planner, dispatcher) = (city.caller(PLANNER), city.caller(DISPATCHER));
    let zip = std::fs::read(xuncha::boundaries::demo::folder().join("functional-areas.zip"));
    let zip = zip.expect("a demo file");
    let drafts: Vec<Value> = (0..2)
        .map(|_| draft(&planner, form("functional_area", zip.clone(), "functional-areas.zip")))
        .collect();
    std::thread::scope(|scope| {
        // More at a time than the store has connections.
        for n in 0..24 {
            let dispatcher = &dispatcher;
            scope.spawn(move || {
                for _ in 0..4 {
                    let lon = 119.0 + f64::from(n) / 1000.0;
                    let body = json!({"id": uuid::Uuid::new_v4(), "lon": lon, "lat": 25.45, "nature": "both"});
                    dispatcher.post("/cases", &body).with(201);
                }
            });
        }
        for draft in &drafts {
            publish(&planner, draft);
        }
    });
}
