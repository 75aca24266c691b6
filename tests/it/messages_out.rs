//! Messages that leave the house: signed webhook, Web Push, and what settings say about both.

use crate::messages::{FIELD, case, inbox, report, responsible, told};
use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, count, text};
use crate::support::events::Events;
use crate::support::receiver::{Receiver, Request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;
use diesel::sql_query;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

const SECRET: &str = "a secret of the gateway";

fn put(caller: &Caller, key: &str, value: &Value) -> Answer {
    let request = caller.request(Method::PUT, &format!("/settings/{key}"));
    Answer::of(request.json(&json!({"value": value})))
}

fn admin(city: &City) -> Caller {
    let phone = text(
        &mut city.conn(),
        "SELECT min(phone) AS value FROM people WHERE role = 'admin' AND area_code = '350300'",
    );
    city.caller(&phone)
}

fn do_sql(city: &City, query: &str) -> usize {
    sql_query(query).execute(&mut city.conn()).unwrap_or_else(|e| panic!("{query}: {e}"))
}

fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The signature as the gateway's programmer reads the documentation.
fn signature_of(request: &Request) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(request.header("x-xuncha-timestamp").as_bytes());
    mac.update(b".");
    mac.update(&request.body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[test]
fn the_gateway_gets_each_message_signed_again_after_failures_and_kills() {
    let mut city = City::start();
    // Fails first, then keeps silent until the service is killed, then takes what comes.
    let gateway = Receiver::start(|n, _| match n {
        0 => 500,
        1 => 0,
        _ => 200,
    });
    let hook = json!({"url": format!("{}/sms?key=1", gateway.origin), "secret": SECRET,
        "kinds": ["dispatched"], "channels": ["sms"]});
    put(&admin(&city), "webhook", &hook).with(200);
    let answer = report(&city, &case(FIELD));
    let first = gateway.wait_for(1)[0].clone();
    assert_eq!(first.path, "/sms?key=1");
    assert_eq!(first.header("x-xuncha-signature"), signature_of(&first));
    let sent_at: i64 = first.header("x-xuncha-timestamp").parse().expect("Unix seconds");
    assert!((chrono::Utc::now().timestamp() - sent_at).abs() < 60);
    let message = inbox(&city.caller(&responsible(&answer)), &answer)[0].clone();
    let body: Value = serde_json::from_slice(&first.body).expect("JSON");
    assert_eq!(
        (&body["message_id"], &body["text"], &body["kind"], &body["channel"], &body["case_id"]),
        (&message["id"], &message["text"], &json!("dispatched"), &json!("sms"), &answer["id"])
    );
    assert_eq!(body["to"]["phone"].as_str(), Some(&*responsible(&answer)));

    // The second attempt hangs in the gateway when the service is killed. The lease would run out
    // by itself; put back here so that the test needs not wait for it.
    gateway.wait_for(2);
    city.service.kill_and_start_again();
    do_sql(
        &city,
        "UPDATE deliveries SET leased_until = now() - interval '1 s' WHERE state = 'pending'",
    );
    let came = gateway.wait_for(3);
    for request in &came {
        assert_eq!(request.header("idempotency-key"), first.header("idempotency-key"));
        assert_eq!(request.body, first.body);
        assert_eq!(request.header("x-xuncha-signature"), signature_of(request));
    }
    eventually("the delivery is done", || {
        let done = "SELECT count(*) AS value FROM deliveries WHERE state = 'sent' AND attempts = 3";
        count(&mut city.conn(), done) == 1
    });
    // Leaders were told in the app only: their kind was not chosen.
    assert_eq!(count(&mut city.conn(), "SELECT count(*) AS value FROM deliveries"), 1);
    assert_eq!(gateway.wait_for(3).len(), 3);
}

#[test]
fn what_cannot_be_delivered_is_given_up_shown_and_taken_up_again() {
    let city = City::start();
    let status = Arc::new(AtomicU16::new(503));
    let now = Arc::clone(&status);
    let gateway = Receiver::start(move |_, _| now.load(Ordering::SeqCst));
    let hook = json!({"url": gateway.origin, "secret": SECRET, "kinds": ["dispatched"],
        "channels": ["sms", "email"]});
    let admin = admin(&city);
    put(&admin, "webhook", &hook).with(200);
    report(&city, &case(FIELD));
    gateway.wait_for(2);
    let list = |state: &str| {
        let page = admin.get(&format!("/deliveries?state={state}")).with(200);
        page["items"].as_array().expect("a list").clone()
    };
    eventually("both attempts are noted", || {
        list("pending").iter().filter(|d| d["last_error"].is_string()).count() == 2
    });
    do_sql(&city, "UPDATE deliveries SET attempts = 13, next_at = now()");
    eventually("both are given up", || list("dead").len() == 2);
    let dead = list("dead");
    assert!(dead[0]["last_error"].as_str().is_some_and(|e| e.contains("503")), "{dead:?}");
    let channels: Vec<_> = dead.iter().map(|d| d["channel"].as_str().expect("text")).collect();
    assert!(channels.contains(&"sms") && channels.contains(&"email"));

    status.store(200, Ordering::SeqCst);
    let id = dead[0]["id"].as_i64().expect("a number");
    admin.post(&format!("/deliveries/{id}/retry"), &json!({})).with(204);
    eventually("it has arrived", || list("sent").len() == 1);
    assert_eq!(list("sent")[0]["id"], id);
    admin.post(&format!("/deliveries/{id}/retry"), &json!({})).refused(404, "not_found");
    admin.get("/deliveries?state=x").refused(400, "invalid");
}

#[test]
fn several_processes_share_the_work_without_doubling_it() {
    let city = City::start();
    let gateway = Receiver::start(|_, _| 200);
    let hook = json!({"url": gateway.origin, "secret": SECRET, "channels": ["sms"]});
    put(&admin(&city), "webhook", &hook).with(200);
    let other = crate::support::service::Service::start(&city.database.config);
    for n in 0..12 {
        report(&city, &case((119.0 + f64::from(n) * 0.01, 25.4)));
    }
    let messages = count(&mut city.conn(), "SELECT count(*) AS value FROM messages");
    assert!(messages > 50, "{messages}");
    eventually("all are sent", || {
        let open = "SELECT count(*) AS value FROM deliveries WHERE state <> 'sent'";
        count(&mut city.conn(), open) == 0
    });
    let came = gateway.wait_for(usize::try_from(messages).expect("a count"));
    let keys: std::collections::BTreeSet<_> =
        came.iter().map(|request| request.header("idempotency-key").to_string()).collect();
    assert_eq!((came.len() as i64, keys.len() as i64), (messages, messages));
    drop(other);
}

/// A browser that subscribes: its keys, and the subscription as it gives it.
fn browser(endpoint: &str) -> (ece::EcKeyComponents, Vec<u8>, Value) {
    let (keys, auth) = ece::generate_keypair_and_auth_secret().expect("keys");
    let subscription = json!({"endpoint": endpoint, "expirationTime": null, "keys": {
        "p256dh": URL_SAFE_NO_PAD.encode(keys.pub_as_raw().expect("a key")),
        "auth": URL_SAFE_NO_PAD.encode(auth)}});
    (keys.raw_components().expect("components"), auth.to_vec(), subscription)
}

/// The claims of a push's signature, after checking it against the key that browsers are given.
fn claims_of(request: &Request, key: &str) -> Value {
    let header = request.header("authorization");
    let parameters = header.strip_prefix("vapid ").expect("VAPID");
    let value = |name: &str| {
        let mut parts = parameters.split(',').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name)).expect("a parameter").to_string()
    };
    let (token, signed_with) = (value("t="), value("k="));
    assert_eq!(signed_with, key);
    let point = URL_SAFE_NO_PAD.decode(key).expect("base64url");
    let verifier = VerifyingKey::from_sec1_bytes(&point).expect("a point");
    let (said, signature) = token.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let signature = Signature::from_slice(&signature).expect("a signature");
    verifier.verify(said.as_bytes(), &signature).expect("signed by the service");
    let claims = said.split_once('.').expect("two parts").1;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON")
}

#[test]
fn a_closed_browser_is_woken_by_an_encrypted_signed_push() {
    let gone = Arc::new(AtomicU16::new(201));
    let now = Arc::clone(&gone);
    let service = Receiver::start(move |_, _| now.load(Ordering::SeqCst));
    let city = City::start_with(&[
        ("XUNCHA_PUSH_ORIGIN_INSIDE", &service.origin),
        ("XUNCHA_PUSH_CONTACT", "mailto:desk@example.com"),
    ]);
    let phone = responsible(&report(&city, &case(FIELD)));
    let caller = city.caller(&phone);
    // Nobody may have the service knock inside the house.
    for inside in [
        "http://127.0.0.1:9/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.0.0.1/x",
        "https://[::1]/",
        "https://169.254.169.254/latest",
        "file:///etc/passwd",
        "ftp://x.example/",
    ] {
        caller.post("/push/subscriptions", &browser(inside).2).refused(400, "invalid");
    }
    let endpoint = format!("{}/push/one", service.origin);
    let (keys, auth, subscription) = browser(&endpoint);
    let mut wrong = subscription.clone();
    wrong["keys"]["p256dh"] = json!(URL_SAFE_NO_PAD.encode([4u8; 65]));
    caller.post("/push/subscriptions", &wrong).refused(400, "invalid");
    let first = caller.post("/push/subscriptions", &subscription).with(201);
    let again = caller.post("/push/subscriptions", &subscription).with(201);
    assert_eq!(first["id"], again["id"]);
    let key = caller.get("/push/key").with(200)["key"].as_str().expect("a key").to_string();

    let answer = report(&city, &case(FIELD));
    let push = service.wait_for(1)[0].clone();
    assert_eq!(push.path, "/push/one");
    assert_eq!(push.header("content-encoding"), "aes128gcm");
    assert!(push.header("ttl").parse::<u32>().expect("seconds") > 3600);
    let claims = claims_of(&push, &key);
    assert_eq!(
        (&claims["aud"], &claims["sub"]),
        (&json!(service.origin), &json!("mailto:desk@example.com"))
    );
    let expires = claims["exp"].as_i64().expect("a time") - chrono::Utc::now().timestamp();
    assert!((3600..=24 * 3600).contains(&expires), "{expires}");
    let shown = ece::decrypt(&keys, &auth, &push.body).expect("readable for the browser alone");
    let shown: Value = serde_json::from_slice(&shown).expect("JSON");
    let message = inbox(&caller, &answer)[0].clone();
    assert_eq!(
        (&shown["id"], &shown["text"], &shown["kind"], &shown["case_id"]),
        (&message["id"], &message["text"], &json!("dispatched"), &answer["id"])
    );
    let plain = String::from_utf8_lossy(&push.body).contains("王五");
    assert!(!plain, "nobody on the way reads it");

    // Who has the app open sees it there first.
    let stream = Events::open(&caller);
    let person = format!("(SELECT id FROM people WHERE phone = '{phone}')");
    eventually("the open stream is known to all processes", || {
        let known = format!("SELECT count(*) AS value FROM streams WHERE person_id = {person}");
        count(&mut city.conn(), &known) == 1
    });
    let answer = report(&city, &case(FIELD));
    stream.next("message");
    let id = inbox(&caller, &answer)[0]["id"].as_str().expect("an id").to_string();
    let waiting = |more: &str| {
        let query = format!(
            "SELECT count(*) AS value FROM deliveries WHERE message_id = '{id}' AND {more}"
        );
        count(&mut city.conn(), &query) == 1
    };
    eventually("the push is held back", || {
        waiting("state = 'pending' AND attempts = 1 AND next_at > now() + interval '10 s'")
    });
    caller.post(&format!("/messages/{id}/read"), &json!({})).with(200);
    do_sql(&city, "UPDATE deliveries SET next_at = now() WHERE state = 'pending'");
    eventually("it is not pushed any more", || waiting("state = 'skipped'"));
    assert_eq!(service.wait_for(1).len(), 1);
    drop(stream);

    // A browser that has withdrawn is forgotten; what comes later is not tried.
    do_sql(&city, "DELETE FROM streams");
    eventually("nobody listens", || do_sql(&city, "DELETE FROM streams") == 0);
    gone.store(410, Ordering::SeqCst);
    report(&city, &case(FIELD));
    service.wait_for(2);
    eventually("the subscription is gone", || {
        count(&mut city.conn(), "SELECT count(*) AS value FROM push_subscriptions") == 0
    });
    let id = first["id"].as_str().expect("an id");
    Answer::of(caller.request(Method::DELETE, &format!("/push/subscriptions/{id}"))).with(204);
}

#[test]
fn settings_say_what_messages_read_and_who_else_is_told() {
    let city = City::start();
    let admin = admin(&city);
    for (template, field) in [
        (json!({"closed": {"zh": "{nobody}", "en": "x"}}), "message_templates.closed.zh"),
        (json!({"closed": {"zh": "x", "en": "{number"}}), "message_templates.closed.en"),
        (json!({"unknown": {"zh": "x", "en": "x"}}), "message_templates.unknown"),
    ] {
        let problem = put(&admin, "message_templates", &template).refused(400, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let template =
        json!({"dispatched": {"zh": "新案 {number} 请 {name} 处理", "en": "New {number}"}});
    put(&admin, "message_templates", &template).with(200);
    let station = text(
        &mut city.conn(),
        "SELECT min(department) AS value FROM people WHERE role = 'squad_leader' AND area_code = '350303107'",
    );
    let other = city.phone_of("reviewer", "350304");
    let other_id = city.caller(&other).get("/me").with(200)["id"].clone();
    let standing = json!([
        {"kind": "dispatched", "area": "350302", "person": other_id},
        {"kind": "dispatched", "area": "350303107", "department": station},
        {"kind": "closed", "area": "350300", "person": admin.get("/me").with(200)["id"]}]);
    put(&admin, "standing_recipients", &standing).with(200);

    let answer = report(&city, &case(FIELD));
    let own = inbox(&city.caller(&responsible(&answer)), &answer)[0]["text"].clone();
    let (number, name) = (&answer["number"], &answer["responsible"]["primary"]["name"]);
    let said = format!("新案 {} 请 {} 处理", number.as_str().unwrap(), name.as_str().unwrap());
    assert_eq!(own, said);
    let about = told(&city, &answer);
    assert!(about.contains(&(other.clone(), "dispatched".into())), "{about:?}");
    let admins = told(&city, &answer).into_iter().filter(|(_, kind)| kind == "closed").count();
    assert_eq!(admins, 0);
    // The team of another town is not told of this one.
    let team = format!(
        "SELECT count(*) AS value FROM messages m JOIN people p ON p.id = m.recipient_id
         WHERE p.department = '{station}' AND m.case_id = '{}' AND m.kind = 'dispatched'",
        answer["id"].as_str().expect("an id")
    );
    assert_eq!(count(&mut city.conn(), &team), 0);
}
