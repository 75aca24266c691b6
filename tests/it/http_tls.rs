//! HTTPS with a certificate of one's own. Through curl: a client with its own TLS.

use crate::support::database;
use crate::support::folder;
use crate::support::service::{PROGRAM, Service};
use diesel::connection::SimpleConnection;
use std::process::{Command, Output, Stdio};
use xuncha::store::accounts::activate;

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the program runs")
}

#[test]
fn https_answers_and_its_cookie_is_secure() {
    let folder = folder::fresh();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let made = run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-out"])
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let database = database::empty();
    let mut conn = database.store.owner_conn().expect("a connection");
    conn.batch_execute(
        "INSERT INTO people (id, phone, name, role, area_code)
         VALUES (gen_random_uuid(), '10005940001', 'p', 'admin', '350300')",
    )
    .expect("a person");
    activate(&mut conn, "10005940001", "correct horse", false).expect("activated");
    let service = Service::start_tls(&database.config, &certificate, &key);

    let curl = |more: &[&str], path: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--include", "--cacert"]).arg(&certificate);
        let output = run(command.args(more).arg(service.url(path)));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let log_in = r#"{"phone":"10005940001","password":"correct horse"}"#;
    for version in ["--http1.1", "--http2"] {
        let answer = curl(
            &[version, "--header", "content-type: application/json", "--data", log_in],
            "/api/v1/session",
        );
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.contains(" 200"), "{answer}");
        let cookie = answer.lines().find(|l| l.to_lowercase().starts_with("set-cookie"));
        assert!(cookie.is_some_and(|c| c.contains("Secure")), "{answer}");
    }
    assert!(curl(&["--tlsv1.2", "--tls-max", "1.2"], "/healthz").contains("200"));
    // Whoever speaks plain HTTP to it gets nothing.
    let plain = format!("http://{}/healthz", service.address);
    assert!(
        !run(Command::new("curl").args(["--silent", "--max-time", "20", &plain])).status.success()
    );
}

#[test]
fn a_certificate_that_is_none_is_refused_with_a_reason() {
    let folder = folder::fresh();
    let file = folder.join("not-a-certificate.pem");
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n???\n").expect("a file");
    let database = database::empty();
    let mut command = Command::new(PROGRAM);
    command.arg("--data-dir").arg(&database.config.data_dir).env("DATABASE_URL", database.url());
    command.args(["serve", "--bind", "127.0.0.1:0", "--tls-cert"]).arg(&file);
    let output = run(command.arg("--tls-key").arg(&file));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("not-a-certificate.pem"), "{said}");
}
