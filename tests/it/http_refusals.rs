//! Bad input over HTTP: each gets a clear answer in Chinese and English, and leaves the store as it
//! was.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, DISPATCHER, PLANNER, count};
use diesel::PgConnection;
use reqwest::Method;
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use uuid::Uuid;

/// Somebody whose traces in the store can be told from those of other tests.
struct Somebody {
    caller: Caller,
    phone: String,
    conn: PgConnection,
}

impl Somebody {
    fn new(role: &str, area: &str) -> Self {
        let city = City::shared();
        let phone = city.phone_of(role, area);
        Self { caller: city.caller(&phone), phone, conn: city.conn() }
    }

    /// Cases, events, attachments and first answers that this person has made.
    fn traces(&mut self) -> i64 {
        let phone = &self.phone;
        count(
            &mut self.conn,
            &format!(
                "WITH me AS (SELECT id FROM people WHERE phone = '{phone}')
                 SELECT (SELECT count(*) FROM cases, me WHERE reporter_id = me.id)
                      + (SELECT count(*) FROM case_events, me WHERE actor_id = me.id)
                      + (SELECT count(*) FROM attachments, me WHERE uploaded_by = me.id)
                      + (SELECT count(*) FROM first_answers, me WHERE person_id = me.id) AS value"
            ),
        )
    }
}

fn case() -> Value {
    json!({"id": Uuid::new_v4(), "lon": 119.0078, "lat": 25.454, "nature": "illegal_land_use"})
}

fn raw(caller: &Caller, body: impl Into<reqwest::blocking::Body>) -> Answer {
    let request = caller.request(Method::POST, "/cases").header("content-type", "application/json");
    Answer::of(request.body(body))
}

#[test]
fn a_report_that_is_wrong_leaves_no_trace() {
    let mut somebody = Somebody::new("reviewer", "350302");
    let before = somebody.traces();
    let caller = &somebody.caller;
    for (field, value, code) in [
        ("lon", json!(190), "out_of_range"),
        ("lat", json!(-91), "out_of_range"),
        ("lon", json!(1e300), "out_of_range"),
        ("lon", json!("119"), "invalid"),
        ("lon", Value::Null, "invalid"),
        ("crs", json!("mars"), "crs_unknown"),
        ("crs", json!("EPSG:999999"), "crs_unknown"),
        ("nature", json!("theft"), "invalid"),
        ("source", json!("rumour"), "invalid"),
        ("patrol_kind", json!("never"), "invalid"),
        ("accuracy_m", json!(-1), "invalid"),
        ("accuracy_m", json!(1e300), "invalid"),
        ("area_m2", json!(-0.1), "invalid"),
        ("area_m2", json!(1e12), "invalid"),
        ("storeys", json!(100_000), "invalid"),
        ("storeys", json!(1.5), "invalid"),
        ("observed_at", json!("yesterday"), "invalid"),
        ("observed_at", json!("1970-01-01T00:00:00Z"), "invalid"),
        ("observed_at", json!("9999-01-01T00:00:00Z"), "invalid"),
        ("description", json!("a\0b"), "invalid"),
        ("description", json!("长".repeat(4001)), "invalid"),
        ("use", json!("\0"), "invalid"),
        ("id", json!("not-a-uuid"), "invalid"),
        ("party", json!({"name": "a", "age": 3}), "invalid"),
        ("party", json!({"id_number": "1\0"}), "invalid"),
        ("colour", json!("red"), "invalid"),
        ("version", json!(1), "invalid"),
    ] {
        let mut body = case();
        body[field] = value;
        let problem = caller.post("/cases", &body).refused(400, code);
        println!("{field}: {}", problem["detail"]);
    }
    for footprint in [
        json!({"type": "Point", "coordinates": [119, 25]}),
        json!({"type": "Polygon", "coordinates": [[[119, 25], [119.1, 25], [119, 25]]]}),
        json!({"type": "Polygon", "coordinates": [[[119, 25], [119.1, 25.1], [119.1, 25], [119, 25.1], [119, 25]]]}),
        json!({"type": "Polygon", "coordinates": []}),
        json!("POLYGON EMPTY"),
        json!([1, 2]),
    ] {
        let mut body = case();
        body["footprint"] = footprint;
        let answer = caller.post("/cases", &body);
        assert_eq!(answer.status, 422, "{body}");
        let code = answer.json()["code"].as_str().expect("a code").to_string();
        answer.refused(422, &code);
    }
    for body in
        ["", "{", "[]", "null", "{\"lon\":NaN}", "{\"lon\":1e999}", "\u{feff}{}", "%PDF-1.4"]
    {
        raw(caller, body).refused(400, "invalid");
    }
    raw(caller, vec![0xff, 0xfe, 0x00]).refused(400, "invalid");
    raw(caller, "[".repeat(100_000)).refused(400, "invalid");
    raw(caller, vec![b' '; 10 << 20]).refused(413, "too_large");
    let text = caller.request(Method::POST, "/cases").header("content-type", "text/plain");
    Answer::of(text.body("{}")).refused(415, "wrong_type");
    assert_eq!(somebody.traces(), before);
}

#[test]
fn text_that_looks_like_code_is_kept_as_text() {
    let caller = City::shared().caller(DISPATCHER);
    let hostile =
        "<script>alert('x')</script>'; DROP TABLE cases; -- %00 ${jndi:ldap://x} \u{202e}\t\n𠮷";
    let mut body = case();
    body["description"] = json!(hostile);
    body["party"] = json!({"name": hostile, "id_number": "' OR ''='"});
    let made = caller.post("/cases", &body).with(201);
    assert_eq!(made["description"], hostile);
    let path = format!("/cases/{}", made["id"].as_str().expect("an id"));
    let answer = caller.get(&path);
    assert!(answer.header("content-type").starts_with("application/json"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.with(200)["party"]["name"], hostile);
    let search = Answer::of(caller.request(Method::GET, "/cases").query(&[("q", hostile)]));
    assert!(search.with(200)["total"].as_i64().is_some_and(|total| total >= 1));
    for nothing in ["' OR 1=1 --", "\\", "%' OR '1'='1", "_______-____-______"] {
        let search = Answer::of(caller.request(Method::GET, "/cases").query(&[("q", nothing)]));
        assert_eq!(search.with(200)["total"], 0, "{nothing}");
    }
}

#[test]
fn queries_and_addresses_that_are_wrong_are_refused() {
    let caller = City::shared().caller(DISPATCHER);
    for query in [
        "colour=red",
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=many",
        "limit=1&limit=2",
        "cursor=x",
        "cursor=fHw",
        "bbox=1,2,3",
        "bbox=NaN,2,3,4",
        "bbox=120,25,119,26",
        "status=gone",
        "nature=theft",
        "category=water",
        "source=rumour",
        "area=359999",
        "area=%00",
        "from=yesterday",
        "from=-262000-01-01",
        "to=9999-12-31",
        "from=2024-02-30",
        "from=2024-02-02&to=2024-02-01",
        "assignee=nobody",
        "q=%00",
    ] {
        caller.get(&format!("/cases?{query}")).refused(400, "invalid");
    }
    for path in ["/cases/1", "/cases/%00", "/nothing", "/cases/../../etc/passwd", "/imports/x"] {
        caller.get(path).refused(404, "not_found");
    }
    for (path, method) in [("/cases", Method::DELETE), ("/me", Method::POST)] {
        let answer = Answer::of(caller.request(method, path));
        assert!(matches!(answer.status, 404 | 405), "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    for path in ["/areas?level=street", "/areas?colour=red", "/lookup?lon=119&lat=25&x=1"] {
        caller.get(path).refused(400, "invalid");
    }
}

#[test]
fn refusals_are_in_chinese_unless_english_is_asked_for() {
    let caller = City::shared().caller(DISPATCHER);
    let asked = |language: Option<&str>| {
        let mut request = caller.request(Method::POST, "/cases");
        if let Some(language) = language {
            request = request.header("accept-language", language);
        }
        let mut body = case();
        body["lat"] = json!(100);
        let answer = Answer::of(request.json(&body));
        let told = answer.header("content-language").to_string();
        let problem = answer.refused(400, "out_of_range");
        (told, problem["title"].to_string(), problem["detail"].to_string())
    };
    for language in [None, Some("zh-CN,en;q=0.5"), Some("fr"), Some("*"), Some("fr, zh-TW")] {
        let (told, title, detail) = asked(language);
        assert_eq!(told, "zh", "{language:?}");
        assert!(title.contains("请求") && detail.contains("超出"), "{title} {detail}");
    }
    for language in ["en", "en-GB,zh;q=0.5", "fr, EN;q=0.1"] {
        let (told, title, detail) = asked(Some(language));
        assert_eq!(told, "en", "{language}");
        assert!(title.is_ascii() && detail.contains("out of range"), "{title} {detail}");
    }
}

/// A photo as small as they get.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";

fn file(bytes: impl Into<Vec<u8>>, name: &str) -> Form {
    Form::new().part("file", Part::bytes(bytes.into()).file_name(name.to_string()))
}

#[test]
fn attachments_are_judged_by_their_bytes_and_keep_no_path() {
    let mut somebody = Somebody::new("reviewer", "350303");
    let caller = somebody.caller.clone();
    let made = caller.post("/cases", &case()).with(201);
    let case_id = made["id"].as_str().expect("an id");
    let path = format!("/cases/{case_id}/attachments");
    let before = somebody.traces();
    for (bytes, name) in [
        (b"<script>alert(1)</script>".to_vec(), "photo.png"),
        (b"MZ\x90\0\x03\0\0\0".to_vec(), "photo.jpg"),
        (b"PK\x03\x04\x14\0\0\0".to_vec(), "plan.pdf"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "a.svg"),
        (Vec::new(), "empty.png"),
    ] {
        caller.upload(&path, file(bytes, name)).refused(415, "wrong_type");
    }
    caller.upload(&path, Form::new().text("note", "no file")).refused(400, "invalid");
    let bad_id = file(PNG, "a.png").text("id", "x");
    caller.upload(&path, bad_id).refused(400, "invalid");
    let nowhere = format!("/cases/{}/attachments", Uuid::new_v4());
    caller.upload(&nowhere, file(PNG, "a.png")).refused(404, "not_found");
    caller.post(&path, &json!({})).refused(415, "wrong_type");
    assert_eq!(somebody.traces(), before);

    let id = Uuid::new_v4().to_string();
    let upload =
        |name: &str| caller.upload(&path, file(PNG, name).text("id", id.clone())).with(201);
    let kept = upload("../../../../etc/cron.d/照片<b>.png");
    assert_eq!(kept["file_name"], "照片b.png");
    assert_eq!(kept["media_type"], "image/png");
    assert_eq!(upload("../../../../etc/cron.d/照片<b>.png"), kept, "a retry is harmless");
    assert_eq!(somebody.traces(), before + 1);
    let other = file(b"%PDF-1.4\n%\xe2\xe3".to_vec(), "a.pdf").text("id", id.clone());
    caller.upload(&path, other).refused(409, "id_taken");

    let answer = caller.get(&format!("/attachments/{id}"));
    assert_eq!((answer.status, answer.bytes.as_slice()), (200, PNG));
    assert_eq!(answer.header("content-type"), "image/png");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    // Only who sees the case sees its evidence.
    let stranger = City::shared().caller(&City::shared().phone_of("town_leader", "350322100"));
    stranger.get(&format!("/attachments/{id}")).refused(404, "not_found");
    stranger.upload(&path, file(PNG, "a.png")).refused(404, "not_found");
    caller.get(&format!("/attachments/{}", Uuid::new_v4())).refused(404, "not_found");
}

#[test]
fn an_import_that_is_none_leaves_no_trace() {
    let city = City::shared();
    let planner = city.caller(PLANNER);
    let mut conn = city.conn();
    let mut imports = || count(&mut conn, "SELECT count(*) AS value FROM imports");
    let before = imports();
    let zip = || {
        file(
            std::fs::read(xuncha::boundaries::demo::folder().join("functional-areas.zip"))
                .expect("a file"),
            "功能区.zip",
        )
    };
    let layer = |name: &str| zip().text("layer", name.to_string());
    for form in [
        zip(),
        layer("../../etc"),
        layer("Cell"),
        layer("cell").text("colour", "red"),
        layer("cell").text("crs", "mars"),
        layer("cell").text("code_field", "a\0b"),
        Form::new().text("layer", "cell"),
        layer("cell").part("file", Part::bytes(vec![1]).file_name("b.zip")),
    ] {
        let answer = planner.upload("/imports", form);
        assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(&answer.bytes));
        let code = answer.json()["code"].as_str().expect("a code").to_string();
        answer.refused(400, &code);
    }
    let leader = city.caller(&city.phone_of("city_leader", "350300"));
    leader.upload("/imports", layer("cell")).refused(403, "role_forbidden");
    let id = Uuid::new_v4();
    for action in ["", "/geometry"] {
        planner.get(&format!("/imports/{id}{action}")).refused(404, "not_found");
        leader.get(&format!("/imports/{id}{action}")).refused(403, "role_forbidden");
    }
    for action in ["publish", "discard"] {
        let path = format!("/imports/{id}/{action}");
        planner.post(&path, &json!({})).refused(404, "not_found");
        leader.post(&path, &json!({})).refused(403, "role_forbidden");
        city.stranger().post(&path, &json!({})).refused(401, "not_logged_in");
    }
    assert_eq!(imports(), before);
}
