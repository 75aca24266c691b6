//! Log-in over HTTP: sessions, cookies, lock-out, first passwords, tokens.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, text};
use diesel::connection::SimpleConnection;
use reqwest::Method;
use serde_json::json;
use xuncha::store::accounts::{activate, create_api_token};

/// A patroller of their own for each test, with a password: others must not lock them out.
fn person(n: usize, must_change: bool) -> String {
    let mut conn = City::shared().conn();
    let query = format!(
        "SELECT phone AS value FROM people WHERE role = 'patroller' ORDER BY phone OFFSET {n} LIMIT 1"
    );
    let phone = text(&mut conn, &query);
    activate(&mut conn, &phone, "correct horse", must_change).expect("activated");
    phone
}

fn log_in(caller: &Caller, phone: &str, password: &str) -> Answer {
    caller.post("/session", &json!({"phone": phone, "password": password}))
}

#[test]
fn a_session_lasts_from_log_in_to_log_out() {
    let phone = person(0, false);
    let caller = City::shared().stranger();
    caller.get("/me").refused(401, "not_logged_in");
    let answer = log_in(&caller, &phone, "correct horse");
    let cookie = answer.header("set-cookie").to_string();
    for flag in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "not behind TLS: {cookie}");
    let me = answer.with(200);
    assert_eq!((me["phone"].as_str(), me["role"].as_str()), (Some(&*phone), Some("patroller")));
    assert!(me.get("password_hash").is_none());
    assert_eq!(caller.get("/me").with(200), me);

    Answer::of(caller.request(Method::DELETE, "/session")).with(204);
    caller.get("/me").refused(401, "not_logged_in");
    // The cookie itself is worth nothing any more, not only forgotten by the client.
    let stale = City::shared().stranger();
    let token = cookie.split(';').next().expect("a cookie").to_string();
    let request = stale.request(Method::GET, "/me").header("cookie", token);
    Answer::of(request).refused(401, "not_logged_in");
}

#[test]
fn wrong_passwords_are_refused_and_the_sixth_has_to_wait() {
    let phone = person(1, false);
    let caller = City::shared().stranger();
    log_in(&caller, "10000000000", "correct horse").refused(401, "wrong_credentials");
    for _ in 0..4 {
        log_in(&caller, &phone, "wrong").refused(401, "wrong_credentials");
    }
    // A right one in between starts the count anew.
    log_in(&caller, &phone, "correct horse").with(200);
    for _ in 0..5 {
        log_in(&caller, &phone, "wrong").refused(401, "wrong_credentials");
    }
    log_in(&caller, &phone, "correct horse").refused(429, "locked_out");
    // Only that account waits.
    log_in(&caller, &person(2, false), "correct horse").with(200);
}

#[test]
fn guesses_at_the_same_time_are_all_counted() {
    let phone = person(3, false);
    let caller = City::shared().stranger();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            // Wrong, or locked out by guesses that came before.
            scope.spawn(|| {
                let answer = log_in(&caller, &phone, "wrong");
                assert!(matches!(answer.status, 401 | 429), "{answer:?}");
            });
        }
    });
    log_in(&caller, &phone, "correct horse").refused(429, "locked_out");
}

#[test]
fn a_body_that_is_no_log_in_is_refused() {
    let caller = City::shared().stranger();
    caller.post("/session", &json!({"phone": "1"})).refused(400, "invalid");
    let extra = json!({"phone": "1", "password": "x", "role": "admin"});
    caller.post("/session", &extra).refused(400, "invalid");
    log_in(&caller, "1", &"x".repeat(5000)).refused(400, "invalid");
    log_in(&caller, "1\0", "x").refused(400, "invalid");
    log_in(&caller, "' OR 1=1 --", "x").refused(401, "wrong_credentials");
}

#[test]
fn writes_from_another_site_are_refused() {
    let phone = person(4, false);
    let city = City::shared();
    let caller = city.stranger();
    log_in(&caller, &phone, "correct horse").with(200);
    let attempt = |header: &str, value: &str| {
        let request = caller.request(Method::POST, "/session/password").header(header, value);
        Answer::of(request.json(&json!({"old_password": "wrong", "new_password": "x"})))
    };
    for (header, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        attempt(header, value).refused(403, "cross_site");
    }
    // Our own pages come further: to a password that is too short.
    attempt("origin", &city.service.url("")).refused(400, "invalid");
    attempt("sec-fetch-site", "same-origin").refused(400, "invalid");
    // Reading is no harm; a browser does not show the answer to the other site.
    let request = caller.request(Method::GET, "/me").header("sec-fetch-site", "cross-site");
    Answer::of(request).with(200);
}

#[test]
fn a_first_password_must_be_changed_before_anything_else() {
    let phone = person(5, true);
    let city = City::shared();
    let (caller, elsewhere) = (city.stranger(), city.stranger());
    log_in(&elsewhere, &phone, "correct horse").with(200);
    let me = log_in(&caller, &phone, "correct horse").with(200);
    assert_eq!(me["must_change_password"], true);
    assert_eq!(caller.get("/me").with(200)["must_change_password"], true);
    caller.get("/cases").refused(403, "password_change_required");
    caller.get("/lookup?lon=119&lat=25.4").refused(403, "password_change_required");
    let change = |old: &str, new: &str| {
        caller.post("/session/password", &json!({"old_password": old, "new_password": new}))
    };
    change("wrong", "battery staple").refused(401, "wrong_credentials");
    for bad in ["short", "correct horse"] {
        change("correct horse", bad).refused(400, "invalid");
    }
    change("correct horse", "battery staple").with(204);
    assert_eq!(caller.get("/me").with(200)["must_change_password"], false);
    caller.get("/cases?limit=1").with(200);
    elsewhere.get("/me").refused(401, "not_logged_in");
    log_in(&elsewhere, &phone, "correct horse").refused(401, "wrong_credentials");
    log_in(&elsewhere, &phone, "battery staple").with(200);
}

#[test]
fn api_tokens_work_as_bearer_and_basic_until_they_expire() {
    let phone = person(6, false);
    let other = person(7, false);
    let city = City::shared();
    let token = city.token(&phone);
    let nobody = city.stranger();
    let with =
        |set: &dyn Fn(reqwest::blocking::RequestBuilder) -> reqwest::blocking::RequestBuilder| {
            Answer::of(set(nobody.request(Method::GET, "/me")))
        };
    assert_eq!(with(&|r| r.bearer_auth(&token)).with(200)["phone"], phone);
    assert_eq!(with(&|r| r.basic_auth(&phone, Some(&token))).with(200)["phone"], phone);
    with(&|r| r.basic_auth(&other, Some(&token))).refused(401, "not_logged_in");
    with(&|r| r.basic_auth(&phone, Some("wrong"))).refused(401, "not_logged_in");
    // A password is no token: GIS clients write it into project files.
    with(&|r| r.basic_auth(&phone, Some("correct horse"))).refused(401, "not_logged_in");
    let refused = with(&|r| r.bearer_auth("wrong"));
    let offers: Vec<_> = refused.headers.get_all("www-authenticate").iter().collect();
    assert!(offers.iter().any(|o| o.to_str().is_ok_and(|o| o.starts_with("Basic"))), "{offers:?}");
    refused.refused(401, "not_logged_in");
    for odd in ["Basic !!!", "Basic ", "Digest x", "Bearer"] {
        with(&|r| r.header("authorization", odd)).refused(401, "wrong_credentials");
    }
    // A token counts in writes from anywhere: no browser sends it by itself.
    let request = nobody.request(Method::POST, "/session/password").bearer_auth(&token);
    let request = request.header("origin", "https://map.example");
    Answer::of(request.json(&json!({"old_password": "a", "new_password": "b"})))
        .refused(400, "invalid");

    let mut conn = city.conn();
    let expired = create_api_token(&mut conn, &phone, "expired", -1).expect("a token");
    with(&|r| r.bearer_auth(&expired)).refused(401, "not_logged_in");
    let revoked = create_api_token(&mut conn, &phone, "revoked", 1).expect("a token");
    conn.batch_execute("UPDATE api_tokens SET revoked_at = now() WHERE name = 'revoked'")
        .expect("revoked");
    with(&|r| r.bearer_auth(&revoked)).refused(401, "not_logged_in");
}
