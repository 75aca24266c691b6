//! `xuncha check`, `backup` and `restore`, as commands, on the demo city.

use crate::support::caller::Caller;
use crate::support::database;
use crate::support::demo_city::{self, City, DISPATCHER, count};
use crate::support::folder;
use crate::support::service::PROGRAM;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use uuid::Uuid;

fn xuncha(data_dir: &Path, url: &str, arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .arg("--data-dir")
        .arg(data_dir)
        .args(arguments)
        .env("DATABASE_URL", url)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

#[track_caller]
fn done(output: Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The classes of faults that a check finds.
#[track_caller]
fn faults(data_dir: &Path, url: &str, further: &[&str]) -> Vec<String> {
    let output = xuncha(data_dir, url, &[&["check", "--json"], further].concat());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let codes: Vec<String> = report["faults"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|fault| fault["code"].as_str().expect("a code").to_string())
        .collect();
    assert_eq!(output.status.code(), Some(i32::from(!codes.is_empty())), "{report}");
    codes
}

fn photo(n: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    let image = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([x as u8, y as u8, n as u8]));
    bytes.clear();
    image
        .write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png)
        .expect("a picture");
    bytes
}

/// Reports a case with a photo.
fn report(caller: &Caller, n: u32) -> Value {
    let body = json!({"id": Uuid::new_v4(), "lon": 119.0078 + f64::from(n % 100) * 1e-4,
        "lat": 25.454, "nature": "illegal_land_use"});
    let case = caller.post("/cases", &body).with(201);
    let part = Part::bytes(photo(n)).file_name("a.png");
    let path = format!("/cases/{}/attachments", case["id"].as_str().expect("an id"));
    caller.upload(&path, Form::new().part("file", part)).with(201);
    case
}

#[test]
fn each_alteration_is_found_under_its_name() {
    let city = City::start();
    let caller = city.caller(DISPATCHER);
    let case = report(&caller, 1);
    let (data_dir, url) = (city.service.data_dir.clone(), city.database.url().to_string());
    let id = case["id"].as_str().expect("an id");
    assert_eq!(faults(&data_dir, &url, &[]), [""; 0], "clean at first");
    let noted = done(xuncha(&data_dir, &url, &["check", "--json"]))["audit_head"].clone();
    let noted = noted.as_str().expect("a head").to_string();

    // What somebody with the keys of the database could do, and undo.
    let as_owner = |statement: &str| {
        let mut conn = city.conn();
        conn.batch_execute("SET session_replication_role = replica").expect("as owner");
        conn.batch_execute(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
    };
    let spoiled: [(&str, String, &[&str]); 7] = [
        ("case_without_owner", format!("UPDATE cases SET assignee_id = NULL WHERE id = '{id}'"), &[]),
        ("history_broken", format!("DELETE FROM case_events WHERE case_id = '{id}' AND seq = 1"), &[]),
        ("history_missing", format!("DELETE FROM case_events WHERE case_id = '{id}'"), &[]),
        ("version_differs", format!("UPDATE cases SET version = 9 WHERE id = '{id}'"), &[]),
        ("reference_broken", format!("UPDATE attachments SET case_id = gen_random_uuid() WHERE case_id = '{id}'"), &[]),
        ("audit_altered", "UPDATE audit SET subject = subject || 'x' WHERE id = (SELECT min(audit_id) FROM audit_chain)".into(), &[]),
        ("audit_removed", "DELETE FROM audit WHERE id = (SELECT max(audit_id) FROM audit_chain)".into(), &["reference_broken"]),
    ];
    for (code, statement, besides) in spoiled {
        let before = "CREATE TABLE kept_cases AS SELECT * FROM cases; CREATE TABLE kept_events AS SELECT * FROM case_events;
            CREATE TABLE kept_attachments AS SELECT * FROM attachments; CREATE TABLE kept_audit AS SELECT * FROM audit";
        as_owner(before);
        as_owner(&statement);
        let mut expected: Vec<&str> = [&[code], besides].concat();
        expected.sort_unstable();
        assert_eq!(faults(&data_dir, &url, &[]), expected, "{statement}");
        as_owner(
            "DELETE FROM case_events; DELETE FROM attachments; DELETE FROM cases; DELETE FROM audit;
             INSERT INTO cases SELECT * FROM kept_cases; INSERT INTO case_events SELECT * FROM kept_events;
             INSERT INTO attachments SELECT * FROM kept_attachments;
             INSERT INTO audit OVERRIDING SYSTEM VALUE SELECT * FROM kept_audit;
             DROP TABLE kept_cases, kept_events, kept_attachments, kept_audit",
        );
    }
    assert_eq!(faults(&data_dir, &url, &["--audit-head", &noted]), [""; 0]);

    // The end of the chain cut off with its rows: only a head that was noted shows it.
    caller.get("/me").with(200);
    let last = "SELECT max(seq) FROM audit_chain";
    as_owner(&format!(
        "CREATE TEMP TABLE gone AS SELECT audit_id FROM audit_chain WHERE seq = ({last});
         DELETE FROM audit_chain WHERE seq = ({last}); DELETE FROM audit WHERE id IN (SELECT audit_id FROM gone)"
    ));
    assert_eq!(faults(&data_dir, &url, &[]), [""; 0]);
    assert_eq!(faults(&data_dir, &url, &["--audit-head", &noted]), ["audit_head_missing"]);

    as_owner(
        "ALTER TABLE case_events DISABLE TRIGGER case_events_append_only; GRANT UPDATE ON case_events TO xuncha_app",
    );
    assert_eq!(faults(&data_dir, &url, &[]), ["protection_off", "protection_open"]);
    as_owner(
        "ALTER TABLE case_events ENABLE TRIGGER case_events_append_only; REVOKE UPDATE ON case_events FROM xuncha_app",
    );

    let hash = hex::encode(Sha256::digest(photo(1)));
    let file = data_dir.join("attachments").join(&hash[..2]).join(&hash);
    let bytes = std::fs::read(&file).expect("the photo");
    std::fs::write(&file, [&bytes[..bytes.len() - 1], b"x"].concat()).expect("altered");
    assert_eq!(faults(&data_dir, &url, &[]), ["evidence_altered"]);
    let plain = xuncha(&data_dir, &url, &["check"]);
    let text = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert_eq!(text.matches(" × ").count(), 1, "one line for the class: {text}");
    assert!(text.contains("1 × evidence_altered:"), "{text}");
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(faults(&data_dir, &url, &[]), ["evidence_missing"]);
}

#[test]
fn a_backup_taken_while_cases_come_in_is_one_moment_and_goes_into_an_empty_store() {
    let city = City::start();
    let caller = city.caller(DISPATCHER);
    let (data_dir, url) = (city.service.data_dir.clone(), city.database.url().to_string());
    let file = folder::fresh().join("备份.tar.zst");
    let path = file.to_str().expect("UTF-8");
    let (stop, reported) = (AtomicBool::new(false), AtomicUsize::new(0));
    let manifest = std::thread::scope(|scope| {
        for part in 0..3 {
            let (caller, stop, reported) = (caller.clone(), &stop, &reported);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    report(&caller, part * 1000 + n);
                    reported.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while reported.load(Ordering::Relaxed) < 10 {
            std::thread::yield_now();
        }
        let before = reported.load(Ordering::Relaxed);
        let manifest = done(xuncha(&data_dir, &url, &["backup", path, "--json"]));
        assert!(reported.load(Ordering::Relaxed) > before, "cases came in meanwhile");
        stop.store(true, Ordering::Relaxed);
        manifest
    });
    println!("{manifest}");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o077, 0, "only its owner may read it");

    // Not into a store that holds anything.
    let refused = xuncha(&data_dir, &url, &["restore", path]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("store_not_empty"), "{said}");

    let (empty_url, empty_dir) = (database::bare(), folder::fresh());
    // What is cut short or altered leaves nothing behind.
    let whole = std::fs::read(&file).expect("the backup");
    let spoiled = empty_dir.join("spoiled");
    for damage in [0, 1] {
        let mut bytes = whole.clone();
        match damage {
            0 => bytes.truncate(whole.len() * 2 / 3),
            _ => bytes[whole.len() / 2] ^= 1,
        }
        std::fs::write(&spoiled, bytes).expect("written");
        let refused =
            xuncha(&empty_dir, &empty_url, &["restore", spoiled.to_str().expect("UTF-8")]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(1) && said.contains("backup_damaged"), "{said}");
        let mut conn = PgConnection::establish(&empty_url).expect("a connection");
        assert_eq!(count(&mut conn, "SELECT count(*) AS value FROM people"), 0);
    }

    let restored = done(xuncha(&empty_dir, &empty_url, &["restore", path, "--json"]));
    assert_eq!(restored, manifest);
    assert_eq!(faults(&empty_dir, &empty_url, &[]), [""; 0]);
    let mut conn = PgConnection::establish(&empty_url).expect("a connection");
    let mut source = city.conn();
    for table in ["cases", "case_events", "attachments", "people", "duties", "features", "audit"] {
        let query = format!("SELECT count(*) AS value FROM {table}");
        assert_eq!(json!(count(&mut conn, &query)), manifest["rows"][table], "{table}");
    }
    // One moment: exactly the cases reported up to the newest one that is there.
    let newest = demo_city::text(&mut conn, "SELECT max(reported_at)::text AS value FROM cases");
    let lost = format!(
        "SELECT count(*) AS value FROM cases WHERE reported_at < '{newest}'::timestamptz - interval '2 seconds'"
    );
    assert_eq!(count(&mut conn, &lost), count(&mut source, &lost), "no case is missing in between");
    let evidence = "SELECT count(*) AS value FROM attachments a WHERE NOT EXISTS (SELECT FROM cases c WHERE c.id = a.case_id)";
    assert_eq!(count(&mut conn, evidence), 0);

    // It serves, and what is written goes on where it was: numbers, chain, sequences.
    let config = xuncha::config::StoreConfig {
        data_dir: empty_dir.clone(),
        database_url: Some(empty_url.clone()),
        ..Default::default()
    };
    let service = crate::support::service::Service::start(&config);
    let token = xuncha::store::accounts::create_api_token(&mut conn, DISPATCHER, "after", 1)
        .expect("a token");
    let caller = Caller::with_token(service.url(""), token);
    report(&caller, 7);
    drop(service);
    assert_eq!(faults(&empty_dir, &empty_url, &[]), [""; 0]);
    // A backup of what was restored is as good.
    let second = empty_dir.join("again");
    let again = done(xuncha(
        &empty_dir,
        &empty_url,
        &["backup", second.to_str().expect("UTF-8"), "--json"],
    ));
    let (third_url, third_dir) = (database::bare(), folder::fresh());
    let third = done(xuncha(
        &third_dir,
        &third_url,
        &["restore", second.to_str().expect("UTF-8"), "--json"],
    ));
    assert_eq!(third, again);
    assert_eq!(faults(&third_dir, &third_url, &[]), [""; 0]);
}

#[test]
fn a_hostile_archive_writes_nothing_outside() {
    let (url, data_dir) = (database::bare(), folder::fresh());
    let hash = "ab".repeat(32);
    let names = [
        "../../evil".to_string(),
        "/tmp/evil".into(),
        format!("attachments/../{hash}"),
        "database/../../evil".into(),
    ];
    for (number, name) in names.iter().enumerate() {
        let file = data_dir.join(format!("hostile-{number}"));
        let packer =
            zstd::Encoder::new(std::fs::File::create(&file).expect("a file"), 1).expect("zstd");
        let mut archive = tar::Builder::new(packer);
        let manifest = json!({"format": 1, "program": "x", "made_at": "2026-11-23T00:00:00Z",
            "schema": "0", "audit_head": "", "rows": {}, "attachments": 0, "attachment_bytes": 0});
        let mut add = |name: &str, bytes: &[u8], kind: tar::EntryType| {
            let mut header = tar::Header::new_gnu();
            // Past the library's own care.
            let field = &mut header.as_gnu_mut().expect("gnu").name;
            field[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_entry_type(kind);
            header.set_cksum();
            archive.append(&header, bytes).expect("appended");
        };
        add("manifest.json", manifest.to_string().as_bytes(), tar::EntryType::Regular);
        add(name, b"evil", tar::EntryType::Regular);
        archive.into_inner().expect("tar").finish().expect("zstd");
        let refused = xuncha(&data_dir, &url, &["restore", file.to_str().expect("UTF-8")]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(
            refused.status.code() == Some(1) && said.contains("backup_damaged"),
            "{name}: {said}"
        );
    }
    let link = data_dir.join("link");
    let packer =
        zstd::Encoder::new(std::fs::File::create(&link).expect("a file"), 1).expect("zstd");
    let mut archive = tar::Builder::new(packer);
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Symlink);
    archive.append_link(&mut header, "manifest.json", "/etc/passwd").expect("a link");
    archive.into_inner().expect("tar").finish().expect("zstd");
    for odd in [link.to_str().expect("UTF-8"), "/etc/passwd", "/nowhere"] {
        assert_eq!(xuncha(&data_dir, &url, &["restore", odd]).status.code(), Some(1), "{odd}");
    }
    assert!(!Path::new("/tmp/evil").exists());
}
