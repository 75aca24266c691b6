//! Uploads that are cut and go on, as a tus client makes them.

use crate::support::caller::{Answer, Caller};
use crate::support::database::TestDatabase;
use crate::support::demo_city::{City, DISPATCHER, PLANNER, count, database};
use crate::support::photo::photo;
use crate::support::service::Service;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{Duration, Utc};
use image::ImageFormat;
use reqwest::Method;
use reqwest::blocking::RequestBuilder;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::net::TcpStream;
use uuid::Uuid;
use xuncha::store::uploads;

fn case(caller: &Caller) -> String {
    let case = json!({"id": Uuid::new_v4(), "lon": 119.0078, "lat": 25.454, "nature": "both"});
    caller.post("/cases", &case).with(201)["id"].as_str().expect("an id").to_string()
}

fn tus(caller: &Caller, method: Method, path: &str) -> RequestBuilder {
    caller.request(method, path).header("Tus-Resumable", "1.0.0")
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    let pair = |(key, value): &(&str, &str)| format!("{key} {}", STANDARD.encode(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join(",")
}

fn create(caller: &Caller, length: usize, pairs: &[(&str, &str)]) -> Answer {
    let request = tus(caller, Method::POST, "/uploads")
        .header("Upload-Length", length.to_string())
        .header("Upload-Metadata", metadata(pairs));
    Answer::of(request)
}

fn patch(caller: &Caller, path: &str, offset: usize, bytes: &[u8]) -> Answer {
    let request = tus(caller, Method::PATCH, path)
        .header("Upload-Offset", offset.to_string())
        .header("Content-Type", "application/offset+octet-stream")
        .body(bytes.to_vec());
    Answer::of(request)
}

fn head(caller: &Caller, path: &str) -> Answer {
    Answer::of(tus(caller, Method::HEAD, path))
}

/// Where an upload was made, as a path below `/api/v1`.
fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.bytes));
    let location = answer.header("location");
    location.strip_prefix("/api/v1").expect("one of ours").to_string()
}

fn attachment(caller: &Caller, id: &str) -> Answer {
    caller.get(&format!("/attachments/{id}"))
}

#[test]
fn an_upload_in_pieces_becomes_an_attachment() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    let case = case(&caller);
    let options = Answer::of(caller.request(Method::OPTIONS, "/uploads"));
    assert_eq!((options.status, options.header("tus-version")), (204, "1.0.0"));
    for extension in ["creation", "termination", "expiration"] {
        assert!(options.header("tus-extension").contains(extension));
    }
    let bytes = photo(900, 700, ImageFormat::Png);
    let id = Uuid::new_v4().to_string();
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let pairs = [
        ("case_id", case.as_str()),
        ("filename", "现场 照片.png"),
        ("filetype", "image/png"),
        ("id", id.as_str()),
        ("sha256", sha256.as_str()),
        ("lon", "119.0078"),
        ("lat", "25.454"),
        ("accuracy_m", "6"),
        ("bearing", "90"),
        ("observed_at", "2024-06-01T09:12:00+08:00"),
    ];
    let path = location(&create(&caller, bytes.len(), &pairs));
    // Begun again after a lost answer it is the same upload.
    assert_eq!(location(&create(&caller, bytes.len(), &pairs)), path);
    create(&caller, bytes.len() + 1, &pairs).refused(409, "id_taken");
    let mut offset = 0;
    while offset < bytes.len() {
        let begun = head(&caller, &path);
        assert_eq!((begun.status, begun.header("cache-control")), (200, "no-store"));
        assert_eq!(begun.header("upload-offset"), offset.to_string());
        assert_eq!(begun.header("upload-length"), bytes.len().to_string());
        let end = (offset + 100_000).min(bytes.len());
        let answer = patch(&caller, &path, offset, &bytes[offset..end]);
        assert_eq!((answer.status, answer.header("tus-resumable")), (204, "1.0.0"));
        assert_eq!(answer.header("upload-offset"), end.to_string());
        offset = end;
    }
    assert_eq!(attachment(&caller, &id).bytes, bytes);
    let listed = caller.get(&format!("/cases/{case}/attachments")).with(200);
    let kept = &listed["items"][0];
    assert_eq!((&kept["file_name"], &kept["bearing"]), (&json!("现场 照片.png"), &json!(90.0)));
    assert_eq!(kept["sha256"], sha256.as_str());
    // Asked again, or sent again, nothing more comes of it.
    assert_eq!(head(&caller, &path).header("upload-offset"), bytes.len().to_string());
    assert_eq!(patch(&caller, &path, bytes.len(), b"").status, 204);
    assert_eq!(location(&create(&caller, bytes.len(), &pairs)), path);
    let again = caller.get(&format!("/cases/{case}/attachments")).with(200);
    assert_eq!(again["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_cut_connection_costs_only_what_was_on_the_way() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    let case = case(&caller);
    let bytes = photo(1400, 1000, ImageFormat::Png);
    assert!(bytes.len() > 1 << 20, "{}", bytes.len());
    let made = create(&caller, bytes.len(), &[("case_id", &case), ("filename", "a.png")]);
    let path = location(&made);
    // Announces everything, sends a part and hangs up.
    let mut stream = TcpStream::connect(&city.service.address).expect("a connection");
    write!(
        stream,
        "PATCH /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {}\r\n\r\n",
        city.token(DISPATCHER),
        bytes.len()
    )
    .expect("written");
    stream.write_all(&bytes[..bytes.len() / 2]).expect("written");
    stream.flush().expect("sent");
    // What the service has taken so far grows until it has taken all whole blocks.
    let took = |at_least: usize| {
        let start = std::time::Instant::now();
        loop {
            let offset: usize =
                head(&caller, &path).header("upload-offset").parse().expect("a number");
            if offset >= at_least {
                return offset;
            }
            assert!(start.elapsed().as_secs() < 60, "stuck at {offset}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    took(256 << 10);
    drop(stream);
    let mut offset = took(256 << 10);
    // Two senders: the one at the wrong place is told where the upload stands.
    patch(&caller, &path, 0, &bytes[..10]).refused(409, "offset_conflict");
    loop {
        let answer = patch(&caller, &path, offset, &bytes[offset..]);
        if answer.status == 204 {
            break;
        }
        // The cut sender's last block came in between.
        answer.refused(409, "offset_conflict");
        offset = head(&caller, &path).header("upload-offset").parse().expect("a number");
    }
    let id = path.rsplit('/').next().expect("an id");
    assert_eq!(attachment(&caller, id).bytes, bytes);
}

#[test]
fn a_killed_service_goes_on_where_it_was() {
    let database: TestDatabase = database();
    let mut service = Service::start(&database.config);
    let mut conn = database.store.owner_conn().expect("a connection");
    let token = xuncha::store::accounts::create_api_token(&mut conn, DISPATCHER, "t", 1);
    let caller = Caller::with_token(service.url(""), token.expect("a token"));
    diesel::RunQueryDsl::execute(
        diesel::sql_query("UPDATE people SET must_change_password = false"),
        &mut conn,
    )
    .expect("updated");
    let case = case(&caller);
    let bytes = photo(800, 600, ImageFormat::Png);
    let path =
        location(&create(&caller, bytes.len(), &[("case_id", &case), ("filename", "a.png")]));
    let half = bytes.len() / 2;
    assert_eq!(patch(&caller, &path, 0, &bytes[..half]).status, 204);
    service.kill_and_start_again();
    assert_eq!(head(&caller, &path).header("upload-offset"), half.to_string());
    // All bytes have come, but the service died before it used them.
    let id: Uuid = path.rsplit('/').next().expect("an id").parse().expect("an id");
    let part = service.data_dir.join("resumable").join(format!("{}.part", id.simple()));
    let mut file = std::fs::OpenOptions::new().append(true).open(part).expect("the part");
    file.write_all(&bytes[half..]).expect("written");
    assert_eq!(attachment(&caller, &id.to_string()).status, 404);
    service.kill_and_start_again();
    assert_eq!(head(&caller, &path).header("upload-offset"), bytes.len().to_string());
    assert_eq!(attachment(&caller, &id.to_string()).bytes, bytes);
}

#[test]
fn what_cannot_be_is_refused() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    let case = case(&caller);
    let about = [("case_id", case.as_str()), ("filename", "a.png")];
    let request = caller.request(Method::POST, "/uploads").header("Upload-Length", "5");
    Answer::of(request).refused(412, "tus_version");
    create(&caller, 201 << 20, &about).refused(413, "too_large");
    create(&caller, 0, &about).refused(400, "invalid");
    create(&caller, 5, &[("filename", "a.png")]).refused(400, "invalid");
    let nowhere = Uuid::new_v4().to_string();
    create(&caller, 5, &[("case_id", &nowhere)]).refused(404, "not_found");
    create(&caller, 5, &[("case_id", &case), ("lon", "x"), ("lat", "1")]).refused(400, "invalid");
    create(&caller, 5, &[("case_id", &case), ("sha256", "abc")]).refused(400, "invalid");
    let unreadable = tus(&caller, Method::POST, "/uploads")
        .header("Upload-Length", "5")
        .header("Upload-Metadata", "case_id not-base64!");
    Answer::of(unreadable).refused(400, "invalid");

    let path = location(&create(&caller, 10, &about));
    patch(&caller, &path, 0, b"more than ten bytes").refused(413, "too_large");
    assert_eq!(head(&caller, &path).header("upload-offset"), "0");
    let plain = tus(&caller, Method::PATCH, &path).header("Upload-Offset", "0").body("x");
    Answer::of(plain).refused(415, "wrong_type");
    // Nobody else's.
    let other = city.caller(PLANNER);
    assert_eq!(head(&other, &path).status, 404);
    patch(&other, &path, 0, b"x").refused(404, "not_found");
    assert_eq!(Answer::of(tus(&other, Method::DELETE, &path)).status, 404);
    // What is no evidence is refused with its last byte and thrown away.
    patch(&caller, &path, 0, b"<html>1234").refused(415, "wrong_type");
    assert_eq!(head(&caller, &path).status, 404);
    // Bytes that are not those announced.
    let bytes = photo(16, 16, ImageFormat::Png);
    let wrong = "0".repeat(64);
    let sum = [("case_id", case.as_str()), ("filename", "a.png"), ("sha256", wrong.as_str())];
    let path = location(&create(&caller, bytes.len(), &sum));
    patch(&caller, &path, 0, &bytes).refused(422, "checksum_mismatch");
    // Given up.
    let path = location(&create(&caller, bytes.len(), &about));
    assert_eq!(Answer::of(tus(&caller, Method::DELETE, &path)).status, 204);
    assert_eq!(head(&caller, &path).status, 404);
    patch(&caller, &path, 0, &bytes).refused(404, "not_found");
    let mut conn = city.conn();
    let query = format!("SELECT count(*) AS value FROM attachments WHERE case_id = '{case}'");
    assert_eq!(count(&mut conn, &query), 0);
}

#[test]
fn what_nobody_finishes_is_thrown_away() {
    let database = database();
    let service = Service::start(&database.config);
    let mut conn = database.store.owner_conn().expect("a connection");
    diesel::RunQueryDsl::execute(
        diesel::sql_query("UPDATE people SET must_change_password = false"),
        &mut conn,
    )
    .expect("updated");
    let token = xuncha::store::accounts::create_api_token(&mut conn, DISPATCHER, "t", 1);
    let caller = Caller::with_token(service.url(""), token.expect("a token"));
    let case = case(&caller);
    let path = location(&create(&caller, 1000, &[("case_id", &case), ("filename", "a.png")]));
    assert_eq!(patch(&caller, &path, 0, &[1; 100]).status, 204);
    let folder = service.data_dir.join("resumable");
    let files = || std::fs::read_dir(&folder).expect("the folder").count();
    let sweep = |days: i64| {
        let now = Utc::now() + Duration::days(days);
        uploads::sweep(&database.store, &service.data_dir, now).expect("swept")
    };
    assert_eq!((sweep(6), files()), (0, 1));
    assert_eq!((sweep(8), files()), (1, 0));
    assert_eq!(head(&caller, &path).status, 404);
    patch(&caller, &path, 100, &[1; 10]).refused(404, "not_found");
}
