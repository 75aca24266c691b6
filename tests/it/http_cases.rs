//! Reporting cases over HTTP in the demo city: place, land, person, alarms; safe to retry.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, DISPATCHER, count, position};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Double, Text};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A place in a paddy field that is basic farmland, 184 m from its cell's border.
const FIELD: (f64, f64) = (119.0078, 25.4540);
const FIELD_CELL: &str = "350302002005005";
/// In the sea, 226 m off an island; and far out.
const OFF_SHORE: (f64, f64) = (119.48, 25.19);
const FAR_OUT: (f64, f64) = (120.5, 24.5);

fn dispatcher() -> Caller {
    City::shared().caller(DISPATCHER)
}

fn case((lon, lat): (f64, f64)) -> Value {
    json!({"id": Uuid::new_v4(), "lon": lon, "lat": lat, "nature": "illegal_land_use"})
}

fn with(mut case: Value, more: Value) -> Value {
    let fields = case.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    case
}

fn report(body: &Value) -> Value {
    dispatcher().post("/cases", body).with(201)
}

#[test]
fn a_report_is_answered_with_place_land_and_person() {
    let asked = json!({"id": Uuid::new_v4(), "lon": FIELD.0, "lat": FIELD.1, "crs": "wgs84",
        "accuracy_m": 8.5, "mocked": false, "observed_at": "2026-11-23T09:12:00+08:00",
        "source": "patrol", "patrol_kind": "regular", "nature": "illegal_construction",
        "use": "homestead", "party": {"name": "王五", "id_number": null, "is_cadre": false},
        "area_m2": 1000.0, "storeys": 2, "new_build": true, "description": "砖墙已起", "footprint": null});
    let answer = report(&asked);
    assert_eq!(answer["id"], asked["id"]);
    assert_eq!((&answer["version"], &answer["status"]), (&json!(1), &json!("dispatched")));
    assert!(answer["number"].as_str().is_some_and(|n| n.starts_with("350302-")), "{answer}");
    for (level, code) in [
        ("city", "350300"),
        ("district", "350302"),
        ("town", "350302002"),
        ("village", "350302002005"),
        ("cell", FIELD_CELL),
    ] {
        assert_eq!(answer["place"][level]["code"], code);
        assert!(answer["place"][level]["name"].as_str().is_some_and(|n| !n.is_empty()));
    }
    assert_eq!(answer["category"], "basic_farmland");
    // Without a footprint the reported area is of the category at the position.
    assert_eq!(
        answer["area_by_category"],
        json!({"basic_farmland": 1000.0, "farmland": 0.0, "non_farmland": 0.0, "homestead": 0.0, "mine": 0.0})
    );
    // Who the duties name for that cell, and the same as the look-up says.
    let looked_up = dispatcher()
        .get(&format!("/lookup?lon={}&lat={}&nature=illegal_construction", FIELD.0, FIELD.1))
        .with(200);
    assert_eq!(answer["responsible"]["primary"], looked_up["responsible"]["primary"]);
    assert_eq!(answer["responsible"]["found_by"], "cell");
    let duties = include_str!("../../boundaries/duties.csv");
    let phone = answer["responsible"]["primary"]["phone"].as_str().expect("a phone");
    assert!(duties.lines().any(|l| l == format!("{FIELD_CELL},{phone},*,primary")), "{phone}");
    assert!(!answer["responsible"]["backup"].as_array().expect("a list").is_empty());
    for list in ["alarms", "possible_duplicates", "candidates"] {
        assert!(answer[list].is_array(), "{list}");
    }
    for field in ["accuracy_m", "use", "party", "storeys", "new_build", "description", "source"] {
        assert_eq!(answer[field], asked[field], "{field}");
    }
    let id = asked["id"].as_str().expect("an id");
    let shown = dispatcher().get(&format!("/cases/{id}")).with(200);
    for field in ["number", "place", "responsible", "observed_at", "reported_at", "alarms"] {
        assert_eq!(shown[field], answer[field], "{field}");
    }
}

#[test]
fn the_same_report_again_is_the_same_case() {
    let caller = dispatcher();
    let body = with(case(FIELD), json!({"description": "twice"}));
    let id = body["id"].as_str().expect("an id");
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..20).map(|_| scope.spawn(|| caller.post("/cases", &body))).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    let first = caller.post("/cases", &body).with(201);
    for answer in answers {
        assert_eq!(answer.with(201), first);
    }
    let mut conn = City::shared().conn();
    let rows = |table: &str, id_column: &str| {
        format!("SELECT count(*) AS value FROM {table} WHERE {id_column} = '{id}'")
    };
    assert_eq!(count(&mut conn, &rows("cases", "id")), 1);
    assert_eq!(count(&mut conn, &rows("case_events", "case_id")), 2);

    let other = with(body.clone(), json!({"area_m2": 7.0}));
    caller.post("/cases", &other).refused(409, "id_taken");
    // Somebody else's retry is no retry.
    let admin = City::shared().caller(&City::shared().phone_of("city_leader", "350300"));
    admin.post("/cases", &body).refused(409, "id_taken");
    // The key may come in the header, too.
    let mut keyed = body;
    keyed.as_object_mut().expect("an object").remove("id");
    let send = || {
        let request = caller.request(Method::POST, "/cases").header("idempotency-key", "a key");
        Answer::of(request.json(&keyed)).with(201)
    };
    assert_eq!(send(), send());
}

#[test]
fn coordinates_of_every_datum_name_one_place() {
    // GCJ-02 and BD-09 by an implementation of its own, the projected ones by PostGIS.
    let mut conn = City::shared().conn();
    let mut projected = |epsg: u32| {
        position(
            &mut conn,
            &format!(
                "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM ST_Transform(ST_SetSRID(ST_MakePoint({}, {}), 4490), {epsg}) AS p",
                FIELD.0, FIELD.1
            ),
        )
    };
    let inputs = [
        ("wgs84", FIELD),
        ("cgcs2000", FIELD),
        ("EPSG:4490", FIELD),
        ("gcj02", (119.012_534_671_288, 25.451_218_180_749)),
        ("bd09", (119.019_035_406_329, 25.457_267_743_921)),
        ("EPSG:4549", projected(4549)),
        ("EPSG:4528", projected(4528)),
    ];
    for (crs, position) in inputs {
        let answer = report(&with(case(position), json!({"crs": crs})));
        assert_eq!(answer["place"]["cell"]["code"], FIELD_CELL, "{crs}");
        assert_eq!(answer["category"], "basic_farmland", "{crs}");
        // A centimetre is 1e-7 degrees.
        for (axis, wanted) in [("lon", FIELD.0), ("lat", FIELD.1)] {
            let found = answer[axis].as_f64().expect("a number");
            assert!((found - wanted).abs() < 1e-7, "{crs} {axis}: {found}");
        }
        // What the device said stays as it was.
        let kept = answer["input"]["x"].as_f64().expect("a number");
        assert!((kept / position.0 - 1.0).abs() < 1e-15, "{crs}: {kept}");
    }
}

#[test]
fn a_position_off_shore_belongs_to_the_nearest_cell_and_one_far_out_to_nobody() {
    let near = report(&case(OFF_SHORE));
    assert_eq!(near["placed"], "nearest");
    #[derive(QueryableByName)]
    struct Nearest {
        #[diesel(sql_type = Text)]
        code: String,
        #[diesel(sql_type = Double)]
        distance_m: f64,
    }
    let nearest: Nearest = sql_query(
        "SELECT code, ST_Distance(geom::geography, p.p::geography) AS distance_m
         FROM features_in_force_view, (SELECT ST_SetSRID(ST_MakePoint($1, $2), 4490) AS p) p
         WHERE layer = 'cell' AND ST_DWithin(geom, p.p, 0.05) ORDER BY distance_m LIMIT 1",
    )
    .bind::<Double, _>(OFF_SHORE.0)
    .bind::<Double, _>(OFF_SHORE.1)
    .get_result(&mut City::shared().conn())
    .expect("PostGIS answers");
    assert_eq!(near["place"]["cell"]["code"], nearest.code);
    let distance = near["nearest_m"].as_f64().expect("a distance");
    assert!((distance - nearest.distance_m).abs() < 0.5, "{distance}, {}", nearest.distance_m);
    assert!(near["responsible"]["primary"]["phone"].is_string());
    assert!(near["place"]["district"]["code"].is_string());

    let far = report(&case(FAR_OUT));
    assert_eq!(far["placed"], "none");
    assert_eq!(far["nearest_m"], Value::Null);
    for level in ["city", "district", "town", "village", "cell"] {
        assert_eq!(far["place"][level], Value::Null, "{level}");
    }
    assert_eq!(far["responsible"]["found_by"], "city");
    assert_eq!(far["responsible"]["primary"]["role"], "city_leader");
    assert!(far["number"].as_str().is_some_and(|n| n.starts_with("350300-")));
    assert_eq!(far["category"], "non_farmland");
}

#[test]
fn a_wide_accuracy_circle_names_the_other_cells() {
    let narrow = report(&with(case(FIELD), json!({"accuracy_m": 100.0})));
    assert_eq!(narrow["candidates"], json!([]));
    let wide = report(&with(case(FIELD), json!({"accuracy_m": 400.0})));
    let found: Vec<&str> = wide["candidates"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|c| c["cell"]["code"].as_str().expect("a code"))
        .collect();
    let distances: Vec<f64> = wide["candidates"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|c| c["distance_m"].as_f64().expect("a distance"))
        .collect();
    assert!(distances.is_sorted() && distances[0] == 0.0, "{distances:?}");
    assert_eq!(found[0], FIELD_CELL);
    assert!(wide["candidates"].as_array().expect("a list").iter().all(|c| {
        c["village"]["code"].is_string() && c["responsible"]["primary"]["phone"].is_string()
    }));
    #[derive(QueryableByName)]
    struct Code {
        #[diesel(sql_type = Text)]
        code: String,
    }
    let expected: Vec<Code> = sql_query(
        "SELECT code FROM features_in_force_view, (SELECT ST_SetSRID(ST_MakePoint($1, $2), 4490) AS p) p
         WHERE layer = 'cell' AND ST_DWithin(geom, p.p, 0.01)
           AND ST_DWithin(geom::geography, p.p::geography, 400)",
    )
    .bind::<Double, _>(FIELD.0)
    .bind::<Double, _>(FIELD.1)
    .load(&mut City::shared().conn())
    .expect("PostGIS answers");
    let expected: BTreeSet<&str> = expected.iter().map(|row| row.code.as_str()).collect();
    assert!(expected.len() > 1, "{expected:?}");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn a_footprint_is_measured_by_category_as_postgis_does() {
    let (x, y) = FIELD;
    // 2 km by 1.5 km over fields, houses and roads, with a hole.
    let ring = |w: f64, h: f64| {
        json!([
            [x - w, y - h],
            [x + w, y - h * 0.8],
            [x + w * 0.9, y + h],
            [x - w, y + h],
            [x - w, y - h]
        ])
    };
    let footprint =
        json!({"type": "Polygon", "coordinates": [ring(0.01, 0.007), ring(0.002, 0.001)]});
    let body = with(case(FIELD), json!({"footprint": footprint, "area_m2": 5.0}));
    let answer = report(&body);
    let areas = &answer["area_by_category"];
    #[derive(QueryableByName)]
    struct Expected {
        #[diesel(sql_type = Text)]
        category: String,
        #[diesel(sql_type = Double)]
        area: f64,
    }
    let rows: Vec<Expected> = sql_query(
        "WITH ground AS (SELECT ST_SetSRID(ST_GeomFromGeoJSON($1), 4490) AS geom),
         farmland AS (
             SELECT ST_Intersection(f.geom, ground.geom) AS geom FROM features_in_force_view f, ground
             WHERE layer = 'basic_farmland' AND ST_Intersects(f.geom, ground.geom)),
         basic AS (SELECT coalesce(ST_Union(geom), ST_GeomFromText('POLYGON EMPTY', 4490)) AS geom FROM farmland),
         rest AS (
             SELECT class_code, ST_Area(ST_Difference(ST_Intersection(f.geom, ground.geom), basic.geom)::geography) AS area
             FROM features_in_force_view f, ground, basic
             WHERE layer = 'parcel' AND ST_Intersects(f.geom, ground.geom))
         SELECT 'basic_farmland' AS category, ST_Area(geom::geography) AS area FROM basic
         UNION ALL SELECT 'farmland', coalesce(sum(area) FILTER (WHERE class_code LIKE '01%'), 0) FROM rest
         UNION ALL SELECT 'homestead', coalesce(sum(area) FILTER (WHERE class_code LIKE '0702%'), 0) FROM rest
         UNION ALL SELECT 'mine', coalesce(sum(area) FILTER (WHERE class_code LIKE '0602%'), 0) FROM rest
         UNION ALL SELECT 'total', ST_Area(geom::geography) FROM ground",
    )
    .bind::<Text, _>(footprint.to_string())
    .load(&mut City::shared().conn())
    .expect("PostGIS answers");
    let total = rows.iter().find(|r| r.category == "total").expect("the total").area;
    let mut rest = total;
    let tolerance = 1e-6 * total;
    let area = |category: &str| areas[category].as_f64().expect("an area");
    for row in rows.iter().filter(|row| row.category != "total") {
        rest -= row.area;
        let found = area(&row.category);
        assert!((found - row.area).abs() < tolerance, "{}: {found}, {}", row.category, row.area);
    }
    assert!((area("non_farmland") - rest).abs() < tolerance, "{areas}, {rest}");
    let sum: f64 =
        areas.as_object().expect("areas").values().map(|a| a.as_f64().expect("an area")).sum();
    assert!((sum - total).abs() < tolerance, "{sum}, {total}");
    // The reported area stays beside the measured one.
    assert_eq!(answer["area_m2"], 5.0);
    assert_eq!(answer["footprint"]["type"], "MultiPolygon");
}

#[test]
fn takings_of_one_party_cumulate_to_an_alarm() {
    let party = |id: &str| json!({"party": {"name": "李四", "id_number": id}, "area_m2": 2000.0});
    let id = format!("35030219900101{:03}x", rand::random_range(0..1000));
    let first = report(&with(case(FIELD), party(&id)));
    assert_eq!(first["alarms"], json!([]), "2,000 m² are three mu");
    // Written with a small letter or a large one, it is one party.
    let second = report(&with(case(FIELD), party(&id.to_uppercase())));
    let alarm = &second["alarms"][0];
    assert_eq!(alarm["kind"], "criminal_basic_farmland");
    assert_eq!((&alarm["cumulative_m2"], &alarm["earlier_cases"]), (&json!(4000.0), &json!(1)));
    // A namesake without a number is only a suggestion.
    let mut namesake = party("");
    namesake["party"]["id_number"] = Value::Null;
    assert_eq!(report(&with(case(FIELD), namesake))["alarms"], json!([]));
}

#[test]
fn an_open_find_close_by_may_be_the_same() {
    // Away from the places of the other tests here.
    let (x, y) = (118.7511, 25.4511);
    let first = report(&with(case((x, y)), json!({"nature": "illegal_construction"})));
    assert_eq!(first["possible_duplicates"], json!([]));
    let near = with(case((x + 0.0001, y)), json!({"nature": "illegal_construction"}));
    let second = report(&near);
    let duplicates = second["possible_duplicates"].as_array().expect("a list");
    assert_eq!(duplicates.len(), 1, "{duplicates:?}");
    assert_eq!(duplicates[0]["id"], first["id"]);
    let distance = duplicates[0]["distance_m"].as_f64().expect("a distance");
    assert!((distance - 10.06).abs() < 0.1, "{distance}");
    // Of another nature, or farther than 50 m, it is another find.
    assert_eq!(report(&case((x, y)))["possible_duplicates"], json!([]));
    let far = with(case((x + 0.001, y)), json!({"nature": "illegal_construction"}));
    assert_eq!(report(&far)["possible_duplicates"], json!([]));
}

#[test]
fn the_history_begins_with_report_and_dispatch_and_nothing_rewrites_it() {
    let caller = dispatcher();
    let body = with(
        case(FIELD),
        json!({"observed_at": "2026-11-20T09:00:00+08:00", "accuracy_m": 5.0, "mocked": true, "description": "看到"}),
    );
    let answer = report(&body);
    let path = format!("/cases/{}", body["id"].as_str().expect("an id"));
    let history = caller.get(&format!("{path}/history")).with(200);
    let events = history["items"].as_array().expect("events");
    let actions: Vec<_> = events.iter().map(|e| (&e["seq"], &e["action"])).collect();
    assert_eq!(actions, [(&json!(1), &json!("report")), (&json!(2), &json!("dispatch"))]);
    assert_eq!(events[0]["actor"]["name"], "林调度");
    assert_eq!(events[0]["observed_at"], "2026-11-20T01:00:00Z");
    assert_eq!((&events[0]["mocked"], &events[0]["text"]), (&json!(true), &json!("看到")));
    assert_eq!(events[1]["actor"], Value::Null, "the platform dispatches");
    assert_eq!(events[1]["data"]["to"], answer["assignee_id"]);

    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        for path in [path.clone(), format!("{path}/history"), "/cases".into()] {
            let answer = Answer::of(caller.request(method.clone(), &path).json(&json!({"seq": 1})));
            assert!(matches!(answer.status, 404 | 405), "{method} {path}: {}", answer.status);
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
    assert_eq!(caller.get(&format!("{path}/history")).with(200), history);
}
