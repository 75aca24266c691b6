//! Which cases an account sees: lists page by page, filters, the area it answers for.

use crate::support::caller::Caller;
use crate::support::demo_city::{City, DISPATCHER, count, position, text};
use diesel::connection::SimpleConnection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Every case of a filter, page by page.
fn walk(caller: &Caller, filter: &str, limit: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = caller.get(&format!("/cases?{filter}&limit={limit}{cursor}")).with(200);
        let items = page["items"].as_array().expect("a list");
        assert!(items.len() <= limit);
        found.extend(items.iter().cloned());
        match page["next"].as_str() {
            Some(next) => {
                assert_eq!(items.len(), limit, "only the last page is short");
                cursor = format!("&cursor={next}");
            }
            None => {
                assert_eq!(page["total"], json!(found.len()));
                return found;
            }
        }
    }
}

fn ids(cases: &[Value]) -> BTreeSet<String> {
    cases.iter().map(|case| case["id"].as_str().expect("an id").to_string()).collect()
}

/// Past cases only: other tests add new ones.
const PAST: &str = "from=2024-01-01&to=2024-12-31";
const PAST_SQL: &str =
    "imported AND reported_at >= '2024-01-01 00:00+08' AND reported_at < '2025-01-01 00:00+08'";

#[test]
fn a_list_shows_every_case_exactly_once_newest_first() {
    let caller = City::shared().caller(DISPATCHER);
    let found = walk(&caller, PAST, 97);
    let mut conn = City::shared().conn();
    let query = format!("SELECT count(*) AS value FROM cases WHERE {PAST_SQL}");
    assert_eq!(found.len() as i64, count(&mut conn, &query));
    assert_eq!(ids(&found).len(), found.len(), "no case twice");
    let times: Vec<_> = found.iter().map(|c| c["reported_at"].as_str().expect("a time")).collect();
    assert!(times.is_sorted_by(|a, b| a >= b));
    assert_eq!(caller.get("/cases").with(200)["items"].as_array().expect("a list").len(), 50);
    assert_eq!(walk(&caller, PAST, 1000), found);
}

#[test]
fn filters_agree_with_sql() {
    let caller = City::shared().caller(DISPATCHER);
    let mut conn = City::shared().conn();
    let assignee = text(
        &mut conn,
        &format!(
            "SELECT assignee_id::text AS value FROM cases WHERE {PAST_SQL} AND assignee_id IS NOT NULL LIMIT 1"
        ),
    );
    let number = text(
        &mut conn,
        &format!("SELECT number AS value FROM cases WHERE {PAST_SQL} ORDER BY id LIMIT 1"),
    );
    let assigned = (format!("assignee={assignee}"), format!("assignee_id = '{assignee}'"));
    let by_number = (format!("q={number}"), format!("number = '{number}'"));
    let fixed = [
        ("area=350302", "district_code = '350302'"),
        ("area=350302002", "town_code = '350302002'"),
        ("area=350302002005", "village_code = '350302002005'"),
        ("area=350305", "district_code = '350305' AND functional_area_code IS NULL"),
        ("area=350305901", "functional_area_code = '350305901'"),
        ("bbox=119,25.4,119.1,25.5", "lon BETWEEN 119 AND 119.1 AND lat BETWEEN 25.4 AND 25.5"),
        ("status=closed", "status = 'closed'"),
        (
            "status=closed,rejected&nature=both,illegal_construction",
            "status IN ('closed', 'rejected') AND nature IN ('both', 'illegal_construction')",
        ),
        ("category=basic_farmland", "category = 'basic_farmland'"),
        ("source=satellite", "source = 'satellite'"),
        ("q=%25", "number LIKE '%\\%%' OR party_name LIKE '%\\%%' OR description LIKE '%\\%%'"),
    ];
    let fixed = fixed.map(|(filter, sql)| (filter.to_string(), sql.to_string()));
    for (filter, sql) in fixed.into_iter().chain([assigned, by_number]) {
        let found = walk(&caller, &format!("{PAST}&{filter}"), 500);
        let query = format!("SELECT count(*) AS value FROM cases WHERE {PAST_SQL} AND ({sql})");
        assert_eq!(found.len() as i64, count(&mut conn, &query), "{filter}");
        println!("{filter}: {}", found.len());
    }
    let day = walk(&caller, "from=2024-01-01&to=2024-01-01", 500);
    let query = "SELECT count(*) AS value FROM cases WHERE imported AND (reported_at AT TIME ZONE 'Asia/Shanghai')::date = '2024-01-01'";
    assert_eq!(day.len() as i64, count(&mut conn, query));
}

/// A position inside a town of the functional area 350305901, and one in another town of the
/// district around it.
fn positions() -> [(f64, f64); 2] {
    ["350305102", "350305100"].map(|town| {
        let query = format!(
            "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM features_in_force_view, ST_PointOnSurface(geom) AS p
             WHERE layer = 'town' AND code = '{town}'"
        );
        position(&mut City::shared().conn(), &query)
    })
}

#[test]
fn an_account_sees_the_cases_of_its_own_area_only() {
    let city = City::shared();
    city.conn()
        .batch_execute(
            "INSERT INTO people (id, phone, name, role, area_code, must_change_password)
             VALUES (gen_random_uuid(), '10005909001', '主任', 'district_leader', '350305901', false)",
        )
        .expect("a leader of the functional area");
    let dispatcher = city.caller(DISPATCHER);
    let [inside, outside] = positions().map(|(lon, lat)| {
        let body =
            json!({"id": Uuid::new_v4(), "lon": lon, "lat": lat, "nature": "illegal_construction"});
        dispatcher.post("/cases", &body).with(201)
    });
    assert_eq!(inside["place"]["functional_areas"][0]["code"], "350305901");
    assert_eq!(outside["place"]["functional_areas"], json!([]));
    assert_eq!(outside["place"]["district"]["code"], "350305");

    let leader = |role, area| city.caller(&city.phone_of(role, area));
    // The towns of a functional area leave the district around them.
    let who = [
        ("city", leader("city_leader", "350300"), true, true),
        ("district", leader("district_leader", "350305"), false, true),
        ("functional area", city.caller("10005909001"), true, false),
        ("town inside", leader("town_leader", "350305102"), true, false),
        ("town outside", leader("town_leader", "350305100"), false, true),
        ("another district", leader("district_leader", "350302"), false, false),
        ("another town", leader("town_leader", "350302002"), false, false),
    ];
    for (name, caller, sees_inside, sees_outside) in who {
        for (case, sees) in [(&inside, sees_inside), (&outside, sees_outside)] {
            let id = case["id"].as_str().expect("an id");
            let number = case["number"].as_str().expect("a number");
            let listed = caller.get(&format!("/cases?q={number}")).with(200);
            assert_eq!(listed["total"], json!(u8::from(sees)), "{name}: {listed}");
            let paths = [format!("/cases/{id}"), format!("/cases/{id}/history")];
            for answer in paths.map(|path| caller.get(&path)) {
                match sees {
                    true => drop(answer.with(200)),
                    // As if it did not exist: the same as for an id that does not.
                    false => drop(answer.refused(404, "not_found")),
                }
            }
        }
        caller.get(&format!("/cases/{}", Uuid::new_v4())).refused(404, "not_found");
    }
}

#[test]
fn a_leaders_list_holds_the_own_town_whatever_is_asked_for() {
    let city = City::shared();
    let leader = city.caller(&city.phone_of("town_leader", "350302002"));
    let mut conn = city.conn();
    let query =
        format!("SELECT count(*) AS value FROM cases WHERE {PAST_SQL} AND town_code = '350302002'");
    let own = count(&mut conn, &query);
    assert!(own > 0);
    let found = walk(&leader, PAST, 50);
    assert_eq!(found.len() as i64, own);
    assert!(found.iter().all(|case| case["place"]["town"]["code"] == "350302002"));
    assert_eq!(walk(&leader, &format!("{PAST}&area=350300"), 500).len() as i64, own);
    assert_eq!(walk(&leader, &format!("{PAST}&area=350303"), 500).len(), 0);
    // A cursor of somebody who sees more opens nothing.
    let all = city.caller(DISPATCHER).get(&format!("/cases?{PAST}&limit=1")).with(200);
    let next = all["next"].as_str().expect("a cursor");
    let page = leader.get(&format!("/cases?{PAST}&limit=1000&cursor={next}")).with(200);
    let items = page["items"].as_array().expect("a list");
    assert!(items.iter().all(|case| case["place"]["town"]["code"] == "350302002"));
}
