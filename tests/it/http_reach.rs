//! Nobody sees, counts, draws, hears or fetches what lies beyond the own area: every way to a case,
//! for a town leader and for a village's patroller.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, DISPATCHER, count, position, text};
use mvt_reader::Reader;
use mvt_reader::feature::Value as Property;
use reqwest::Method;
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::time::Duration;
use uuid::Uuid;

const TOWN: &str = "350302002";
const VILLAGE: &str = "350302002005";
const ELSEWHERE: &str = "350303";

/// A tile's features, each with its properties.
fn tile(caller: &Caller, path: &str) -> Vec<std::collections::HashMap<String, Property>> {
    let request = caller.request(Method::GET, path).header("accept-encoding", "identity");
    let answer = Answer::of(request);
    if answer.status == 204 {
        return Vec::new();
    }
    assert_eq!(answer.status, 200);
    let reader = Reader::new(answer.bytes).expect("a tile");
    let features = reader.get_features(0).expect("features");
    features.into_iter().filter_map(|feature| feature.properties).collect()
}

fn counted(features: &[std::collections::HashMap<String, Property>]) -> i64 {
    features
        .iter()
        .map(|properties| match properties.get("count") {
            Some(Property::UInt(n)) => *n as i64,
            Some(Property::Int(n) | Property::SInt(n)) => *n,
            other => panic!("{other:?}"),
        })
        .sum()
}

fn inside(city: &City, layer: &str, code: &str) -> (f64, f64) {
    let query = format!(
        "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM features_in_force_view, ST_PointOnSurface(geom) AS p
         WHERE layer = '{layer}' AND code = '{code}'"
    );
    position(&mut city.conn(), &query)
}

#[test]
fn nothing_of_another_area_reaches_a_leader_or_a_patroller() {
    let city = City::start();
    let mut conn = city.conn();
    let dispatcher = city.caller(DISPATCHER);
    let report = |layer: &str, code: &str| -> Value {
        let (lon, lat) = inside(&city, layer, code);
        let body = json!({"id": Uuid::new_v4(), "lon": lon, "lat": lat, "nature": "both"});
        dispatcher.post("/cases", &body).with(201)
    };
    let png = {
        let mut bytes = Vec::new();
        image::RgbImage::new(8, 8)
            .write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png)
            .expect("a picture");
        bytes
    };
    let foreign = report("district", ELSEWHERE);
    let foreign_id = foreign["id"].as_str().expect("an id").to_string();
    let form = Form::new().part("file", Part::bytes(png).file_name("a.png"));
    let photo = dispatcher.upload(&format!("/cases/{foreign_id}/attachments"), form).with(201);
    let photo_id = photo["id"].as_str().expect("an id").to_string();

    // A patroller whose own cases are all in the village: what one reported or answers for elsewhere
    // is seen, too, by rule.
    let patroller = text(
        &mut conn,
        &format!(
            "SELECT min(phone) AS value FROM people p WHERE role = 'patroller' AND area_code = '{VILLAGE}'
             AND NOT EXISTS (SELECT FROM cases c WHERE c.village_code IS DISTINCT FROM '{VILLAGE}'
                 AND p.id IN (c.reporter_id, c.assignee_id))"
        ),
    );
    for (phone, column, code) in [
        (city.phone_of("town_leader", TOWN), "town_code", TOWN),
        (patroller, "village_code", VILLAGE),
    ] {
        let caller = city.caller(&phone);
        let own = count(
            &mut conn,
            &format!("SELECT count(*) AS value FROM cases WHERE {column} = '{code}'"),
        );
        assert!(own > 0);
        // Lists and counts.
        assert_eq!(caller.get("/cases?limit=1").with(200)["total"], json!(own));
        for filter in ["area=350300", "area=350303", "bbox=117,24,121,27", "status=dispatched"] {
            let found = caller.get(&format!("/cases?{filter}&limit=1000")).with(200);
            for case in found["items"].as_array().expect("a list") {
                let level = if code.len() == 9 { "town" } else { "village" };
                assert_eq!(case["place"][level]["code"], code, "{filter}");
            }
        }
        let number = foreign["number"].as_str().expect("a number");
        assert_eq!(caller.get(&format!("/cases?q={number}")).with(200)["total"], 0);
        // The case, its history, steps, evidence.
        for path in [
            format!("/cases/{foreign_id}"),
            format!("/cases/{foreign_id}/history"),
            format!("/cases/{foreign_id}/actions"),
            format!("/attachments/{photo_id}"),
        ] {
            caller.get(&path).refused(404, "not_found");
        }
        let step = json!({"id": Uuid::new_v4(), "action": "comment", "text": "x"});
        caller.post(&format!("/cases/{foreign_id}/actions"), &step).refused(404, "not_found");
        let form = Form::new().part("file", Part::bytes(b"x".to_vec()).file_name("a.png"));
        caller.upload(&format!("/cases/{foreign_id}/attachments"), form).refused(404, "not_found");
        // Tiles: the whole world in one counts what the list counts.
        for layer in ["heat", "cases"] {
            assert_eq!(counted(&tile(&caller, &format!("/tiles/{layer}/0/0/0"))), own, "{layer}");
            let asked = format!("/tiles/{layer}/0/0/0?area={ELSEWHERE}");
            assert_eq!(counted(&tile(&caller, &asked)), 0, "{layer}");
        }
    }

    // Events: of three cases, the leader hears of the one in the own town only.
    let leader = city.caller(&city.phone_of("town_leader", TOWN));
    let stream = leader.listen("/events");
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(data) = line.strip_prefix("data: ") {
                let _ = sender.send(data.to_string());
            }
        }
    });
    let before = report("district", ELSEWHERE);
    let own = report("town", TOWN);
    let mut ids = BTreeSet::new();
    // In order of commit, so the foreign one would have come first.
    while !ids.contains(own["id"].as_str().expect("an id")) {
        let data = heard.recv_timeout(Duration::from_secs(60)).expect("an event");
        let data: Value = serde_json::from_str(&data).expect("JSON");
        ids.extend(data["id"].as_str().map(String::from));
    }
    assert!(!ids.contains(before["id"].as_str().expect("an id")), "{ids:?}");
}
