//! Evidence over HTTP: original bytes, circumstances, flags, copies, access, bad files.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, DISPATCHER, count, text};
use crate::support::photo::{photo, png_that_says, taken};
use chrono::{Duration, Utc};
use chrono_tz::Asia::Shanghai;
use image::ImageFormat;
use reqwest::Method;
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use uuid::Uuid;

const FIELD: (f64, f64) = (119.0078, 25.4540);

fn case(caller: &Caller) -> Value {
    let case = json!({"id": Uuid::new_v4(), "lon": FIELD.0, "lat": FIELD.1, "nature": "both"});
    caller.post("/cases", &case).with(201)
}

fn path(case: &Value) -> String {
    format!("/cases/{}/attachments", case["id"].as_str().expect("an id"))
}

fn form(bytes: impl Into<Vec<u8>>, name: &str) -> Form {
    Form::new().part("file", Part::bytes(bytes.into()).file_name(name.to_string()))
}

fn local_now(days_ago: i64) -> String {
    let time = (Utc::now() - Duration::days(days_ago)).with_timezone(&Shanghai);
    time.format("%Y:%m:%d %H:%M:%S").to_string()
}

fn with_header(caller: &Caller, path: &str, name: &'static str, value: &str) -> Answer {
    Answer::of(caller.request(Method::GET, path).header(name, value))
}

fn dispatcher() -> Caller {
    City::shared().caller(DISPATCHER)
}

#[test]
fn a_photo_keeps_its_bytes_and_its_circumstances() {
    let caller = dispatcher();
    let case = case(&caller);
    let bytes = taken(FIELD.0, FIELD.1, &local_now(0));
    let id = Uuid::new_v4().to_string();
    let send = || {
        let form = form(bytes.clone(), "照片 1.jpg")
            .text("id", id.clone())
            .text("observed_at", "2024-06-01T09:12:00+08:00")
            .text("lon", FIELD.0.to_string())
            .text("lat", FIELD.1.to_string())
            .text("accuracy_m", "8.5")
            .text("bearing", "271.5")
            .text("mocked", "false");
        caller.upload(&path(&case), form).with(201)
    };
    let kept = send();
    assert_eq!(kept["sha256"], hex::encode(Sha256::digest(&bytes)));
    assert_eq!(kept["observed_at"], "2024-06-01T01:12:00Z");
    assert_eq!(
        (&kept["accuracy_m"], &kept["bearing"], &kept["mocked"]),
        (&json!(8.5), &json!(271.5), &json!(false))
    );
    assert_eq!((&kept["width_px"], &kept["height_px"]), (&json!(640), &json!(480)));
    let off = (kept["exif"]["lon"].as_f64().expect("a longitude") - FIELD.0).abs();
    assert!(off < 1e-6, "{kept}");
    assert_eq!(kept["flags"], json!([]), "taken here and now");
    assert_eq!(send(), kept, "a retry is harmless");

    let listed = caller.get(&path(&case)).with(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    assert!(listed["items"][0]["uploader"].as_str().is_some_and(|n| !n.is_empty()));
    let shown = caller.get(&format!("/cases/{}", case["id"].as_str().unwrap())).with(200);
    assert_eq!(shown["attachments"][0]["sha256"], kept["sha256"]);

    let original = caller.get(&format!("/attachments/{id}"));
    assert_eq!((original.status, &original.bytes), (200, &bytes));
    assert_eq!(original.header("content-type"), "image/jpeg");
    assert_eq!(original.header("x-content-type-options"), "nosniff");
    assert!(original.header("content-security-policy").contains("sandbox"));
    assert!(original.header("cache-control").contains("private"));
    let disposition = original.header("content-disposition");
    assert!(disposition.contains("filename*=UTF-8''%E7%85%A7%E7%89%87%201.jpg"), "{disposition}");
}

#[test]
fn what_does_not_fit_the_case_is_flagged_and_not_refused() {
    let caller = dispatcher();
    let case = case(&caller);
    let send = |form: Form| caller.upload(&path(&case), form).with(201)["flags"].clone();
    // 0.03° of longitude is 3.0 km there.
    let far = taken(FIELD.0 + 0.03, FIELD.1, &local_now(0));
    assert_eq!(send(form(far.clone(), "a.jpg")), json!(["exif_far"]));
    let old = taken(FIELD.0, FIELD.1, &local_now(365));
    assert_eq!(send(form(old, "a.jpg")), json!(["exif_old"]));
    let mocked = form(photo(64, 64, ImageFormat::Png), "a.png")
        .text("lon", (FIELD.0 - 0.03).to_string())
        .text("lat", FIELD.1.to_string())
        .text("mocked", "true");
    assert_eq!(send(mocked), json!(["device_far", "mocked"]));
    // GCJ-02 of a place at the case is at the case.
    let gcj02 = form(photo(64, 64, ImageFormat::Png), "a.png")
        .text("lon", (FIELD.0 + 0.0049).to_string())
        .text("lat", (FIELD.1 - 0.0028).to_string())
        .text("crs", "gcj02");
    assert_eq!(send(gcj02), json!([]));
    // The same bytes for another case.
    let other = self::case(&caller);
    let again = caller.upload(&path(&other), form(far, "b.jpg")).with(201);
    assert_eq!(again["flags"], json!(["exif_far", "in_other_case"]));
}

#[test]
fn equal_bytes_are_kept_once_and_nothing_is_changed() {
    let city = City::shared();
    let caller = dispatcher();
    let case = case(&caller);
    let bytes = photo(80, 60, ImageFormat::WebP);
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let ids: Vec<Value> = (0..3)
        .map(|_| caller.upload(&path(&case), form(bytes.clone(), "a.webp")).with(201)["id"].clone())
        .collect();
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 3);
    let folder = city.service.data_dir.join("attachments").join(&sha256[..2]);
    let files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder")
        .filter(|f| f.as_ref().is_ok_and(|f| f.file_name().to_string_lossy().contains(&sha256)))
        .collect();
    assert_eq!(files.len(), 1);
    let mut conn = city.conn();
    for statement in ["UPDATE attachments SET file_name = 'x'", "DELETE FROM attachments"] {
        use diesel::RunQueryDsl;
        let error = diesel::sql_query(statement).execute(&mut conn).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
}

#[test]
fn ranges_and_known_copies_are_answered_as_the_standard_says() {
    let caller = dispatcher();
    let case = case(&caller);
    let mut bytes = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec();
    bytes.extend((0..300_000u32).map(|n| (n % 251) as u8));
    let kept = caller.upload(&path(&case), form(bytes.clone(), "v.mp4")).with(201);
    assert_eq!(kept["media_type"], "video/mp4");
    assert_eq!(kept["has_preview"], false);
    let path = format!("/attachments/{}", kept["id"].as_str().unwrap());
    let whole = caller.get(&path);
    assert_eq!((whole.status, &whole.bytes), (200, &bytes));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let part = with_header(&caller, &path, "range", "bytes=1000-1999");
    assert_eq!((part.status, &part.bytes[..]), (206, &bytes[1000..2000]));
    assert_eq!(part.header("content-range"), format!("bytes 1000-1999/{}", bytes.len()));
    let end = with_header(&caller, &path, "range", "bytes=-10");
    assert_eq!((end.status, &end.bytes[..]), (206, &bytes[bytes.len() - 10..]));
    assert_eq!(with_header(&caller, &path, "range", "bytes=9999999-").status, 416);
    let known = with_header(&caller, &path, "if-none-match", whole.header("etag"));
    assert_eq!((known.status, known.bytes.len()), (304, 0));
    caller.get(&format!("{path}?size=thumb")).refused(404, "no_preview");
    caller.get(&format!("{path}?size=huge")).refused(400, "invalid");
}

#[test]
fn copies_are_small_upright_stamped_and_made_once() {
    let city = City::shared();
    let caller = dispatcher();
    let case = case(&caller);
    let plain = photo(2400, 1200, ImageFormat::Jpeg);
    let kept = caller
        .upload(
            &path(&case),
            form(plain, "a.jpg")
                .text("lon", FIELD.0.to_string())
                .text("lat", FIELD.1.to_string())
                .text("accuracy_m", "5"),
        )
        .with(201);
    let id = kept["id"].as_str().unwrap();
    let copy = |size: &str| {
        let answer = caller.get(&format!("/attachments/{id}?size={size}"));
        assert_eq!((answer.status, answer.header("content-type")), (200, "image/jpeg"));
        image::load_from_memory(&answer.bytes).expect("a JPEG").to_luma8()
    };
    let (thumb, preview) = (copy("thumb"), copy("preview"));
    assert_eq!((thumb.dimensions(), preview.dimensions()), ((320, 160), (1600, 800)));
    // The stamp is a darker band with white letters along the lower edge, and nowhere else.
    let mean = |from: u32, to: u32| {
        let rows = (from..to).flat_map(|y| (0..1600).map(move |x| (x, y)));
        let pixels: Vec<u64> = rows.map(|(x, y)| u64::from(preview.get_pixel(x, y).0[0])).collect();
        pixels.iter().sum::<u64>() / pixels.len() as u64
    };
    let white = preview.enumerate_pixels().filter(|(_, y, p)| *y > 700 && p.0[0] > 235).count();
    assert!(white > 500, "{white} white pixels");
    assert!(mean(700, 800) < mean(500, 700), "{} {}", mean(700, 800), mean(500, 700));
    // Made once: the second time it comes from the folder, also when that was changed.
    let cached = city
        .service
        .data_dir
        .join("previews")
        .join(&id.replace('-', "")[..2])
        .join(format!("{}-1.jpg", id.replace('-', "")));
    std::fs::OpenOptions::new()
        .append(true)
        .open(&cached)
        .and_then(|mut file| file.write_all(b"kept"))
        .expect("a cached copy");
    let again = caller.get(&format!("/attachments/{id}?size=preview"));
    assert!(again.bytes.ends_with(b"kept"));
    // The original has no stamp.
    let original = caller.get(&format!("/attachments/{id}"));
    assert_eq!(hex::encode(Sha256::digest(&original.bytes)), kept["sha256"].as_str().unwrap());
}

#[test]
fn bad_files_are_refused_and_leave_nothing() {
    let city = City::shared();
    let caller = dispatcher();
    let case = case(&caller);
    let case_id = case["id"].as_str().unwrap();
    let bomb = png_that_says(25_000, 20_000);
    caller.upload(&path(&case), form(bomb, "a.png")).refused(413, "image_too_large");
    let mut cut = photo(64, 64, ImageFormat::Jpeg);
    cut.truncate(20);
    caller.upload(&path(&case), form(cut, "a.jpg")).refused(415, "wrong_type");
    // A paper that calls itself a photo, and a film that calls itself a paper.
    let pdf = b"%PDF-1.4\n%\xe2\xe3\n".to_vec();
    caller.upload(&path(&case), form(pdf, "a.jpg")).refused(415, "wrong_type");
    let gif = b"GIF89a\x01\0\x01\0\x80\0\0<script>alert(1)</script>".to_vec();
    caller.upload(&path(&case), form(gif, "a.jpg")).refused(415, "wrong_type");
    let png = || photo(8, 8, ImageFormat::Png);
    for (field, value) in [
        ("lon", "190"),
        ("lat", "abc"),
        ("bearing", "361"),
        ("accuracy_m", "-1"),
        ("observed_at", "yesterday"),
        ("observed_at", "1990-01-01T00:00:00Z"),
        ("crs", "mars"),
    ] {
        let mut form = form(png(), "a.png").text(field, value);
        for (other, usual) in [("lon", "119"), ("lat", "25.4")] {
            if other != field {
                form = form.text(other, usual);
            }
        }
        let answer = caller.upload(&path(&case), form);
        assert_eq!(answer.status, 400, "{field}={value}: {}", answer.json());
    }
    let mut conn = city.conn();
    let query = format!("SELECT count(*) AS value FROM attachments WHERE case_id = '{case_id}'");
    assert_eq!(count(&mut conn, &query), 0);

    // A photo with a page behind its end is a photo; it is served as one, and nothing else.
    let mut polyglot = photo(8, 8, ImageFormat::Jpeg);
    polyglot.extend(b"<html><script>alert(1)</script></html>");
    let name = "<script>x</script>.html";
    let kept = caller.upload(&path(&case), form(polyglot.clone(), name)).with(201);
    let answer = caller.get(&format!("/attachments/{}", kept["id"].as_str().unwrap()));
    assert_eq!((answer.header("content-type"), &answer.bytes), ("image/jpeg", &polyglot));
    assert!(answer.header("content-disposition").contains("script.html.jpg"));
    let stored = text(
        &mut conn,
        &format!("SELECT file_name AS value FROM attachments WHERE case_id = '{case_id}'"),
    );
    assert!(!stored.contains(['<', '>', '/']), "{stored}");
}

#[test]
fn evidence_is_seen_by_those_who_see_the_case() {
    let city = City::shared();
    let caller = dispatcher();
    let case = case(&caller);
    let kept =
        caller.upload(&path(&case), form(photo(64, 64, ImageFormat::Png), "a.png")).with(201);
    let id = kept["id"].as_str().unwrap();
    let near = city.caller(&city.phone_of("district_leader", "350302"));
    let far = city.caller(&city.phone_of("district_leader", "350303"));
    for suffix in ["", "?size=thumb", "?size=preview"] {
        let path = format!("/attachments/{id}{suffix}");
        assert_eq!(near.get(&path).status, 200);
        far.get(&path).refused(404, "not_found");
        city.stranger().get(&path).refused(401, "not_logged_in");
    }
    assert_eq!(near.get(&path(&case)).status, 200);
    far.get(&path(&case)).refused(404, "not_found");
}
