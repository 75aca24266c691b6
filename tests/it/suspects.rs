//! Suspected plots: every polygon of a satellite layer becomes a case, once.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, PLANNER, count};
use crate::support::service::PROGRAM;
use diesel::prelude::*;
use diesel::sql_types::{Double, Text};
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use std::process::Command;
use uuid::Uuid;

fn demo_file() -> Vec<u8> {
    std::fs::read(xuncha::boundaries::demo::folder().join("suspected.zip")).expect("the demo file")
}

fn send(caller: &Caller, bytes: impl Into<Vec<u8>>, name: &str, fields: &[(&str, &str)]) -> Answer {
    let file = Part::bytes(bytes.into()).file_name(name.to_string());
    let mut form = Form::new().part("file", file);
    for (key, value) in fields {
        form = form.text(key.to_string(), value.to_string());
    }
    caller.upload("/suspects", form)
}

#[derive(QueryableByName)]
struct Difference {
    #[diesel(sql_type = Text)]
    number: String,
    #[diesel(sql_type = Double)]
    area: f64,
    #[diesel(sql_type = Double)]
    by_postgis: f64,
}

#[test]
fn the_demo_layer_becomes_three_hundred_cases_once() {
    let city = City::start();
    let planner = city.caller(PLANNER);
    let mut conn = city.conn();
    let mut cases = |condition: &str| {
        count(&mut conn, &format!("SELECT count(*) AS value FROM cases WHERE {condition}"))
    };
    let before = cases("true");
    let trial = send(&planner, demo_file(), "suspected.zip", &[("dry_run", "true")]).with(201);
    assert_eq!((&trial["created"], &trial["dry_run"]), (&json!(300), &json!(true)));
    assert_eq!(cases("true"), before);

    let id = Uuid::new_v4().to_string();
    let started = std::time::Instant::now();
    let report = send(&planner, demo_file(), "suspected.zip", &[("id", &id)]).with(201);
    println!("300 plots in {:.2} s", started.elapsed().as_secs_f64());
    let counts = |report: &Value| {
        ["read", "created", "existing", "rejected"]
            .map(|key| report[key].as_u64().expect("a count"))
    };
    assert_eq!(counts(&report), [300, 300, 0, 0]);
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(300));
    assert_eq!(
        cases("source = 'satellite' AND footprint IS NOT NULL"),
        300 + {
            count(
                &mut city.conn(),
                "SELECT count(*) AS value FROM cases WHERE source = 'satellite' AND imported AND footprint IS NOT NULL",
            )
        }
    );
    let mine = "id IN (SELECT case_id FROM suspects)";
    assert_eq!(
        cases(&format!("{mine} AND assignee_id IS NOT NULL AND cell_code IS NOT NULL")),
        300
    );
    assert_eq!(cases(&format!("{mine} AND due_at IS NOT NULL AND status = 'dispatched'")), 300);
    // Numbers without gaps or doubles, and two events each.
    let mut conn = city.conn();
    let odd = "SELECT count(*) AS value FROM cases c WHERE id IN (SELECT case_id FROM suspects) AND
        (SELECT array_agg(action ORDER BY seq) FROM case_events e WHERE e.case_id = c.id)
        IS DISTINCT FROM ARRAY['report', 'dispatch']";
    assert_eq!(count(&mut conn, odd), 0);
    // Whoever answers for a plot has been told of it, once.
    let untold =
        "SELECT count(*) AS value FROM cases c WHERE id IN (SELECT case_id FROM suspects) AND
        (SELECT count(*) FROM messages m WHERE m.case_id = c.id AND m.recipient_id = c.assignee_id
         AND m.kind = 'dispatched') <> 1";
    assert_eq!(count(&mut conn, untold), 0);
    // Where PostGIS finds the plot, there it is; and the five areas add up to the plot's.
    let misplaced = "SELECT count(*) AS value FROM cases c JOIN features_in_force_view f
        ON f.layer = 'cell' AND f.code = c.cell_code
        WHERE c.id IN (SELECT case_id FROM suspects)
          AND NOT ST_Intersects(f.geom, c.footprint)";
    assert_eq!(count(&mut conn, misplaced), 0);
    let areas: Vec<Difference> = diesel::sql_query(
        "SELECT number, basic_farmland_m2 + farmland_m2 + non_farmland_m2 + homestead_m2 + mine_m2 AS area,
                ST_Area(footprint::geography) AS by_postgis
         FROM cases WHERE id IN (SELECT case_id FROM suspects)",
    )
    .load(&mut conn)
    .expect("areas");
    for Difference { number, area, by_postgis } in areas {
        assert!(
            (area - by_postgis).abs() < 1e-3 * by_postgis + 0.01,
            "{number}: {area} {by_postgis}"
        );
    }
    let row = &report["rows"][0];
    assert!(row["plot_number"].as_str().is_some_and(|n| !n.is_empty()), "{row}");
    let case = planner.get(&format!("/cases/{}", row["case_id"].as_str().unwrap())).with(200);
    assert_eq!((&case["number"], &case["source"]), (&row["case_number"], &json!("satellite")));
    assert_eq!(case["footprint"]["type"], "MultiPolygon");
    assert!(case["responsible"]["primary"]["phone"].is_string(), "{case}");
    let history =
        planner.get(&format!("/cases/{}/history", row["case_id"].as_str().unwrap())).with(200);
    assert_eq!(history["items"][0]["data"]["plot"]["JCBH"], row["plot_number"]);

    // A retry gets the first report; the file again, and from the command line, makes no case.
    let retry = send(&planner, demo_file(), "suspected.zip", &[("id", &id)]).with(201);
    assert_eq!(retry, report);
    let again = send(&planner, demo_file(), "again.zip", &[]).with(201);
    assert_eq!(counts(&again), [300, 0, 300, 0]);
    assert_eq!(again["rows"][0]["case_number"], row["case_number"]);
    let mut command = Command::new(PROGRAM);
    command.arg("--data-dir").arg(&city.database.config.data_dir);
    command.env("DATABASE_URL", city.database.config.database_url.as_deref().expect("a URL"));
    command.args(["suspects", "import", "--json"]);
    command.arg(xuncha::boundaries::demo::folder().join("suspected.zip"));
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(counts(&printed), [300, 0, 300, 0]);
    assert_eq!(cases(mine), 300);
}

/// A square of about 100 m.
fn square(lon: f64, lat: f64) -> Value {
    let d = 0.0005;
    let ring = [[lon, lat], [lon + d, lat], [lon + d, lat + d], [lon, lat + d], [lon, lat]];
    json!({"type": "Polygon", "coordinates": [ring]})
}

fn layer(features: &[(Option<&str>, Value)]) -> Vec<u8> {
    let features: Vec<Value> = features
        .iter()
        .map(|(number, geometry)| {
            json!({"type": "Feature", "geometry": geometry,
                "properties": {"jcbh": number, "HSX": "2024-06-01"}})
        })
        .collect();
    json!({"type": "FeatureCollection", "features": features}).to_string().into_bytes()
}

#[test]
fn a_plot_is_known_by_number_or_outline_and_bad_rows_are_told() {
    let city = City::start();
    let planner = city.caller(PLANNER);
    let (lon, lat) = (119.0078, 25.4540);
    let bow_tie = json!({"type": "LineString", "coordinates": [[lon, lat], [lon, lat + 1e-3]]});
    let first = layer(&[
        (Some("A1"), square(lon, lat)),
        (None, square(lon + 0.002, lat)),
        (Some("A3"), bow_tie),
        (Some("A1"), square(lon + 0.004, lat)),
    ]);
    let report = send(&planner, first, "a.geojson", &[]).with(201);
    let outcomes = |report: &Value| -> Vec<String> {
        let rows = report["rows"].as_array().expect("rows");
        rows.iter().map(|row| row["outcome"].as_str().expect("one").to_string()).collect()
    };
    assert_eq!(outcomes(&report), ["created", "created", "rejected", "rejected"]);
    let case_id = report["rows"][0]["case_id"].as_str().unwrap();
    let case = planner.get(&format!("/cases/{case_id}")).with(200);
    assert_eq!(case["observed_at"], "2024-05-31T16:00:00Z", "the day of the later image");
    // The same number elsewhere, the same outline under another number, and a new plot.
    let second = layer(&[
        (Some("A1"), square(lon + 0.006, lat)),
        (Some("B2"), square(lon + 0.002, lat)),
        (Some("B3"), square(lon + 0.008, lat)),
    ]);
    let report = send(&planner, second, "b.geojson", &[("nature", "both")]).with(201);
    assert_eq!(outcomes(&report), ["existing", "existing", "created"]);
    assert_eq!(report["rows"][0]["case_id"], case_id);
    assert!(report["rows"][0]["remark"].is_string() && report["rows"][1]["remark"].is_string());

    let reviewer = city.caller(&city.phone_of("reviewer", "350302"));
    send(&reviewer, demo_file(), "suspected.zip", &[]).refused(403, "role_forbidden");
    send(&planner, b"nonsense".to_vec(), "a.zip", &[]).refused(422, "not_a_map");
    send(&planner, demo_file(), "suspected.zip", &[("nature", "theft")]).refused(400, "invalid");
    let nowhere = send(&planner, demo_file(), "a.zip", &[("number_field", "NO")]);
    nowhere.refused(422, "field_unknown");
}
