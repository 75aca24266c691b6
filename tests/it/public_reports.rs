//! Reports of the public over HTTP: without log-in, by a secret link, dealt with at a desk.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, DISPATCHER, count, text};
use reqwest::Method;
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use uuid::Uuid;

const FIELD: (f64, f64) = (119.0078, 25.4540);
const FIELD_TOWN: &str = "350302002";

/// Behind a proxy, so that each citizen can have an address of their own.
fn city() -> &'static City {
    static CITY: OnceLock<City> = OnceLock::new();
    CITY.get_or_init(|| City::start_with(&[("XUNCHA_TRUST_FORWARDED_FOR", "true")]))
}

/// A photo of its own for each number.
fn photo(n: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([n, 80, 160]));
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("encoded");
    bytes.into_inner()
}

fn form(id: Uuid, text: &str) -> Form {
    Form::new()
        .text("id", id.to_string())
        .text("lon", FIELD.0.to_string())
        .text("lat", FIELD.1.to_string())
        .text("text", text.to_string())
}

fn with_photo(form: Form, bytes: Vec<u8>, name: &str) -> Form {
    form.part("photo", Part::bytes(bytes).file_name(name.to_string()))
}

fn next_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("203.0.{}.{}", n / 250, n % 250 + 1)
}

fn send(form: Form) -> Answer {
    send_from(&next_address(), form)
}

fn send_from(address: &str, form: Form) -> Answer {
    let request = city().stranger().request(Method::POST, "/public/reports");
    Answer::of(request.header("x-forwarded-for", address).multipart(form))
}

fn follow(secret: &str) -> Answer {
    let request = city().stranger().request(Method::GET, &format!("/public/reports/{secret}"));
    Answer::of(request.header("x-forwarded-for", next_address()))
}

fn secret(answer: &Value) -> String {
    answer["secret"].as_str().expect("a secret").to_string()
}

fn squad_leader(area: &str) -> Caller {
    city().caller(&city().phone_of("squad_leader", area))
}

fn listed(desk: &Caller, text: &str) -> Option<Value> {
    let page = desk.get("/public-reports?limit=1000").with(200);
    page["items"].as_array().expect("a list").iter().find(|r| r["text"] == text).cloned()
}

#[test]
fn a_citizen_reports_the_desk_accepts_and_the_citizen_follows() {
    let said = "河边有人挖地 <script>alert(1)</script>";
    let (id, picture) = (Uuid::new_v4(), photo(1));
    let make = || {
        with_photo(form(id, said).text("phone", "+86 138-0000-0000"), picture.clone(), "../x.png")
    };
    let received = send(make()).with(201);
    assert_eq!(send(make()).with(201), received, "a retry gets the first answer");
    send(with_photo(form(id, "something else"), picture.clone(), "x")).refused(409, "id_taken");
    assert_eq!(received["state"], "new");
    let link = secret(&received);
    assert_eq!(link.len(), 22, "128 bits");
    let kept = "SELECT count(*) AS value FROM public_reports r WHERE r::text LIKE '%";
    assert_eq!(count(&mut city().conn(), &format!("{kept}{link}%'")), 0, "the store opens no link");
    assert_eq!(count(&mut city().conn(), &format!("{kept}{id}%'")), 0);

    let followed = follow(&link).with(200);
    assert_eq!((&followed["state"], &followed["text"]), (&json!("new"), &json!(said)));
    assert_eq!((&followed["case"], &followed["photos"]), (&Value::Null, &json!(1)));
    assert!(!followed.to_string().contains("138"), "{followed}");

    let desk = squad_leader(FIELD_TOWN);
    let message = desk.get("/messages?kind=public_report&limit=1000").with(200);
    assert!(message.to_string().contains("河边有人挖地"), "{message}");
    let report = listed(&desk, said).expect("in the desk's list");
    assert_eq!(report["reporter_phone"], "+86 138-0000-0000");
    let url = report["photos"][0]["url"].as_str().expect("an address");
    let shown = desk.get(url.strip_prefix("/api/v1").expect("ours"));
    assert_eq!((shown.status, shown.header("content-type")), (200, "image/png"));
    assert_eq!(shown.bytes, picture);

    let path = format!("/public-reports/{}/accept", report["id"].as_str().expect("an id"));
    desk.post(&path, &json!({"nature": "nonsense"})).refused(400, "invalid");
    let body = json!({"id": Uuid::new_v4(), "nature": "illegal_land_use", "area_m2": 50.0});
    let accepted = desk.post(&path, &body).with(200);
    assert_eq!(desk.post(&path, &body).with(200), accepted, "a retry gets the first answer");
    let again = json!({"id": Uuid::new_v4(), "nature": "illegal_land_use"});
    desk.post(&path, &again).refused(409, "wrong_state");
    let case = &accepted["case"];
    assert_eq!((&case["source"], &case["description"]), (&json!("public"), &json!(said)));
    assert_eq!(case["place"]["town"]["code"], FIELD_TOWN);
    assert_eq!(case["id"], body["id"]);
    assert!(case["responsible"]["primary"]["id"].is_string());
    // The ordinary way of a case: history, messages, and the photo among its evidence.
    let id = case["id"].as_str().expect("an id");
    let stored = desk.get(&format!("/cases/{id}")).with(200);
    let attachment = stored["attachments"][0]["id"].as_str().expect("an attachment").to_string();
    assert_eq!(desk.get(&format!("/attachments/{attachment}")).bytes, picture);
    let told = format!(
        "SELECT count(*) AS value FROM messages WHERE case_id = '{id}' AND kind = 'dispatched'"
    );
    assert_eq!(count(&mut city().conn(), &told), 1);
    let followed = follow(&link).with(200);
    assert_eq!(followed["state"], "accepted");
    assert_eq!(followed["case"], json!({"number": case["number"], "status": "dispatched"}));
}

#[test]
fn a_declined_report_says_why() {
    let received = send(form(Uuid::new_v4(), "邻居太吵")).with(201);
    let desk = squad_leader(FIELD_TOWN);
    let report = listed(&desk, "邻居太吵").expect("in the list");
    let path = format!("/public-reports/{}/decline", report["id"].as_str().expect("an id"));
    desk.post(&path, &json!({"reason": " "})).refused(422, "missing_evidence");
    let declined = desk.post(&path, &json!({"reason": "不属于两违"})).with(200);
    assert_eq!(declined["state"], "declined");
    assert!(declined["decided_by"].is_string());
    desk.post(&path, &json!({"reason": "again"})).refused(409, "wrong_state");
    let followed = follow(&secret(&received)).with(200);
    assert_eq!(
        (&followed["state"], &followed["reason"]),
        (&json!("declined"), &json!("不属于两违"))
    );
    assert!(!followed.to_string().contains(declined["decided_by"].as_str().expect("a name")));
}

#[test]
fn reports_show_themselves_to_their_own_area_and_link_only() {
    let received = send(form(Uuid::new_v4(), "只给本辖区看")).with(201);
    let report = listed(&squad_leader(FIELD_TOWN), "只给本辖区看").expect("in the list");
    assert!(listed(&city().caller(DISPATCHER), "只给本辖区看").is_some());
    let id = report["id"].as_str().expect("an id");
    let other = squad_leader("350303107");
    assert!(listed(&other, "只给本辖区看").is_none());
    other
        .post(&format!("/public-reports/{id}/accept"), &json!({"nature": "both"}))
        .refused(404, "not_found");
    other
        .post(&format!("/public-reports/{id}/decline"), &json!({"reason": "x"}))
        .refused(404, "not_found");
    other.get(&format!("/public-reports/{id}/photos/0")).refused(404, "not_found");
    let patroller = text(
        &mut city().conn(),
        &format!(
            "SELECT min(phone) AS value FROM people WHERE role = 'patroller' AND area_code LIKE '{FIELD_TOWN}%'"
        ),
    );
    city().caller(&patroller).get("/public-reports").refused(403, "role_forbidden");
    city().stranger().get("/public-reports").refused(401, "not_logged_in");
    // Neither the list nor the row's id opens the door that the secret opens.
    for wrong in [id, "x", "AAAAAAAAAAAAAAAAAAAAAA", "%27%20OR%201=1"] {
        follow(wrong).refused(404, "not_found");
    }
    let upper = secret(&received).to_uppercase();
    assert!(upper == secret(&received) || follow(&upper).status == 404);
}

#[test]
fn what_is_no_report_is_refused() {
    let id = Uuid::new_v4;
    let field = |name: &'static str, value: &str| form(id(), "ok").text(name, value.to_string());
    send(form(id(), " ")).refused(400, "invalid");
    send(form(id(), &"长".repeat(2001))).refused(400, "invalid");
    send(form(Uuid::nil(), "guessable")).refused(400, "invalid");
    send(field("phone", "DROP TABLE")).refused(400, "invalid");
    send(field("crs", "epsg")).refused(400, "crs_unknown");
    send(field("accuracy_m", "-1")).refused(400, "invalid");
    let nowhere = Form::new().text("lon", "1e9").text("lat", "0").text("text", "x");
    send(nowhere).refused(400, "out_of_range");
    send(Form::new().text("text", "no position")).refused(400, "invalid");
    send(with_photo(form(id(), "x"), b"<html><script>".to_vec(), "x.png"))
        .refused(415, "wrong_type");
    let mut pdf = b"%PDF-1.7".to_vec();
    pdf.resize(100, 0);
    send(with_photo(form(id(), "x"), pdf, "x.png")).refused(415, "wrong_type");
    let four = (0..4).fold(form(id(), "x"), |form, n| with_photo(form, photo(n), "x.png"));
    send(four).refused(400, "invalid");
    let mut large = photo(0);
    large.resize((10 << 20) + 1, 0);
    let answer = send(with_photo(form(id(), "x"), large, "x.png"));
    assert!(matches!(answer.status, 413), "{answer:?}");
    let kept = "SELECT count(*) AS value FROM public_reports WHERE text IN ('ok', 'x')";
    assert_eq!(count(&mut city().conn(), kept), 0);
}

#[test]
fn too_many_from_one_address_have_to_wait() {
    let address = next_address();
    let answers: Vec<u16> =
        (0..12).map(|_| send_from(&address, form(Uuid::new_v4(), "快")).status).collect();
    assert_eq!(answers[..10], [201; 10]);
    assert_eq!(answers[10..], [429; 2]);
    send_from(&address, form(Uuid::new_v4(), "快")).refused(429, "too_many");
    // Others are not held up; and what stands before our own proxy's word is anybody's.
    send(form(Uuid::new_v4(), "别人")).with(201);
    let forged = format!("198.51.100.9, {address}");
    send_from(&forged, form(Uuid::new_v4(), "快")).refused(429, "too_many");
    // Without a proxy of ours the header says nothing.
    let direct = City::shared();
    let statuses: Vec<u16> = (0..11)
        .map(|n| {
            let request = direct.stranger().request(Method::POST, "/public/reports");
            let request = request.header("x-forwarded-for", format!("198.51.100.{n}"));
            Answer::of(request.multipart(form(Uuid::new_v4(), "快"))).status
        })
        .collect();
    assert_eq!(statuses[..10], [201; 10]);
    assert_eq!(statuses[10], 429);
}
