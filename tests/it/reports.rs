//! Reports of the demo city: every figure recomputed by SQL, every figure's list over HTTP.

use crate::support::caller::Caller;
use crate::support::demo_city::{City, DISPATCHER};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text};
use serde_json::Value;
use std::collections::BTreeMap;

/// Past cases only, whatever other tests add: they are reported now.
pub const PERIOD: &str = "from=2025-01-01&to=2025-12-31";

fn in_period(column: &str) -> String {
    format!("{column} >= '2025-01-01 00:00+08' AND {column} < '2026-01-01 00:00+08'")
}

#[derive(QueryableByName, Debug, Clone, Default)]
pub struct Expected {
    #[diesel(sql_type = Nullable<Text>)]
    pub code: Option<String>,
    #[diesel(sql_type = Double)]
    pub basic_farmland: f64,
    #[diesel(sql_type = Double)]
    pub farmland: f64,
    #[diesel(sql_type = Double)]
    pub non_farmland: f64,
    #[diesel(sql_type = Double)]
    pub homestead: f64,
    #[diesel(sql_type = Double)]
    pub mine: f64,
    #[diesel(sql_type = Double)]
    pub demolished: f64,
    #[diesel(sql_type = BigInt)]
    pub found: i64,
    #[diesel(sql_type = BigInt)]
    pub closed: i64,
    #[diesel(sql_type = BigInt)]
    pub open: i64,
    #[diesel(sql_type = BigInt)]
    pub overdue: i64,
    #[diesel(sql_type = BigInt)]
    pub without_area: i64,
}

/// The case report in one statement; `unit` gives the code of a case's row.
pub fn case_report_sql(unit: &str, filter: &str) -> String {
    let (found, torn) = (in_period("reported_at"), in_period("demolished_at"));
    let open = "status IN ('dispatched', 'on_site', 'stopped', 'demolishing', 'close_applied')";
    let sum = |category: &str| {
        format!("coalesce(sum({category}_m2) FILTER (WHERE found), 0) AS {category}")
    };
    let count =
        |test: &str, name: &str| format!("count(*) FILTER (WHERE found AND {test}) AS {name}");
    format!(
        "SELECT {unit} AS code, {}, {}, {}, {}, {},
            coalesce(sum(demolished_m2) FILTER (WHERE torn), 0) AS demolished, {}, {}, {}, {}, {}
         FROM (SELECT *, {found} AS found, coalesce({torn}, false) AS torn FROM cases) c
         WHERE (found OR torn) AND {filter} GROUP BY 1 ORDER BY 1",
        sum("basic_farmland"),
        sum("farmland"),
        sum("non_farmland"),
        sum("homestead"),
        sum("mine"),
        count("true", "found"),
        count("status = 'closed'", "closed"),
        count(open, "open"),
        count(&format!("{open} AND due_at < now()"), "overdue"),
        count(
            "basic_farmland_m2 + farmland_m2 + non_farmland_m2 + homestead_m2 + mine_m2 = 0",
            "without_area"
        ),
    )
}

pub const UNITS: [(&str, &str); 3] = [
    ("district", "coalesce(functional_area_code, district_code)"),
    ("town", "town_code"),
    ("village", "village_code"),
];

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// A row of the report against what SQL says.
#[track_caller]
fn same(row: &Value, expected: &Expected) {
    for (key, value) in [
        ("basic_farmland", expected.basic_farmland),
        ("farmland", expected.farmland),
        ("non_farmland", expected.non_farmland),
        ("homestead", expected.homestead),
        ("mine", expected.mine),
        ("demolished", expected.demolished),
    ] {
        assert!((number(row, key) - value).abs() < 0.005, "{key}: {value} and {row}");
        assert!((number(&row["mu"], key) * 2000.0 / 3.0 - value).abs() < 0.005, "{key} in mu");
    }
    let total = expected.basic_farmland
        + expected.farmland
        + expected.non_farmland
        + expected.homestead
        + expected.mine;
    assert!((number(row, "total") - total).abs() < 0.005);
    for (key, value) in [
        ("found", expected.found),
        ("closed", expected.closed),
        ("open", expected.open),
        ("overdue", expected.overdue),
        ("without_area", expected.without_area),
    ] {
        assert_eq!(row[key], value, "{key} of {row}");
    }
}

fn rows(report: &Value) -> &Vec<Value> {
    report["rows"].as_array().expect("rows")
}

#[test]
fn the_case_report_is_what_sql_says_to_the_last_square_metre() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    for (level, unit) in UNITS {
        for (filter, sql) in [
            ("", "true"),
            (
                "&nature=illegal_land_use&new_build=true",
                "nature = 'illegal_land_use' AND new_build",
            ),
            ("&source=satellite,public", "source IN ('satellite', 'public')"),
            ("&cadre=true", "party_is_cadre"),
        ] {
            let path = format!("/reports/cases?area=350300&level={level}&{PERIOD}{filter}");
            let report = caller.get(&path).with(200);
            let query = case_report_sql(unit, sql);
            let expected: Vec<Expected> =
                diesel::sql_query(&query).load(&mut city.conn()).expect("PostGIS answers");
            let by_code: BTreeMap<Option<String>, &Expected> =
                expected.iter().map(|e| (e.code.clone(), e)).collect();
            let mut seen = 0;
            for row in rows(&report) {
                let code = row["code"].as_str().map(String::from);
                if code.is_none() {
                    assert_eq!(row["name"], "未定位");
                }
                match by_code.get(&code) {
                    Some(expected) => {
                        same(row, expected);
                        seen += 1;
                    }
                    // An area where nothing was found has its row of zeros.
                    None => same(row, &Expected::default()),
                }
            }
            assert_eq!(seen, expected.len(), "{path}: no case is dropped");
            let all = case_report_sql("NULL::text", sql);
            let all: Vec<Expected> =
                diesel::sql_query(&all).load(&mut city.conn()).expect("PostGIS answers");
            same(&report["total"], all.first().unwrap_or(&Expected::default()));
            println!("{path}: {} rows, {} of them with cases", rows(&report).len(), seen);
        }
    }
}

#[test]
fn sub_totals_take_a_functional_areas_towns_out_of_the_district() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    let path = format!("/reports/cases?area=350300&level=town&{PERIOD}");
    let by_town = caller.get(&path).with(200);
    let path = format!("/reports/cases?area=350300&level=district&{PERIOD}");
    let by_district = caller.get(&path).with(200);
    assert_eq!(rows(&by_district).len(), 7 + usize::from(by_district["rows"][7].is_object()));
    let subtotals = by_town["subtotals"].as_array().expect("sub-totals");
    for row in rows(&by_district).iter().filter(|row| row["code"].is_string()) {
        let own = subtotals.iter().find(|sub| sub["code"] == row["code"]).expect("its sub-total");
        for key in ["total", "demolished", "found", "closed", "open", "overdue"] {
            assert!((number(own, key) - number(row, key)).abs() < 0.005, "{key} of {own}");
        }
    }
    let functional = rows(&by_town).iter().filter(|row| row["parent_code"] == "350305901").count();
    assert_eq!(functional, 3);
}

/// Every figure of a row opens a list with as many cases.
fn lists_agree(caller: &Caller, row: &Value) -> usize {
    let lists = row["lists"].as_object().expect("lists");
    for (key, list) in lists {
        assert_eq!(list["path"], "/api/v1/cases");
        let query = list["query"].as_str().expect("a query");
        let counted = caller.get(&format!("/cases/count?{query}")).with(200);
        assert_eq!(counted["count"], list["count"], "{key}: {query}");
        if row[key].is_i64() {
            assert_eq!(row[key], list["count"], "{key}: {query}");
        }
    }
    lists.len()
}

#[test]
fn every_figure_opens_a_list_of_as_many_cases() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    let mut figures = 0;
    for kind in ["cases", "success", "demolition", "land", "departments"] {
        for (area, level, step) in [
            ("350300", "district", 1),
            ("350300", "town", 4),
            ("350300", "village", 61),
            ("350305", "town", 2),
        ] {
            let path = format!(
                "/reports/{kind}?area={area}&level={level}&{PERIOD}&nature=illegal_construction,both"
            );
            let report = caller.get(&path).with(200);
            let subtotals = report["subtotals"].as_array().expect("sub-totals");
            let chosen = rows(&report).iter().step_by(step).chain(rows(&report).last());
            for row in chosen.chain(subtotals.iter().step_by(step)).chain([&report["total"]]) {
                figures += lists_agree(&caller, row);
            }
        }
    }
    assert!(figures > 1000);
    println!("{figures} figures");
}

#[test]
fn a_viewer_sees_the_own_area_and_unknown_ones_are_told_apart() {
    let city = City::shared();
    let leader = city.caller(&city.phone_of("town_leader", "350302002"));
    let own = leader.get(&format!("/reports/cases?{PERIOD}")).with(200);
    assert_eq!((&own["area"]["code"], &own["level"]), (&"350302002".into(), &"village".into()));
    leader.get("/reports/cases?area=350300").refused(403, "area_forbidden");
    leader.get("/reports/cases?area=350303").refused(403, "area_forbidden");
    let caller = city.caller(DISPATCHER);
    caller.get("/reports/cases?area=999999").refused(404, "area_unknown");
    caller.get("/reports/weather").refused(404, "not_found");
    caller.get("/reports/cases?area=350302002&level=district").refused(400, "level_above_area");
    for bad in [
        "from=2026-02-01&to=2026-01-01",
        "level=county",
        "format=pdf",
        "from=yesterday",
        "from=2026-01-01T00:00:00Z&to=2026-02-01",
        "status=closed",
        "nature=odd",
        "colour=red",
        "rank=beauty",
        "compare=nothing",
        "cadre=perhaps",
    ] {
        caller.get(&format!("/reports/cases?area=350300&{bad}")).refused(400, "invalid");
    }
    caller.get("/reports/patrollers?area=350300&rank=found").refused(400, "invalid");
    city.stranger().get("/reports/cases").refused(401, "not_logged_in");
}

#[test]
fn a_year_with_no_data_is_a_table_of_zeros() {
    let caller = City::shared().caller(DISPATCHER);
    for kind in ["cases", "success", "demolition", "land", "patrollers"] {
        let path = format!("/reports/{kind}?area=350300&level=town&from=1999-01-01&to=1999-12-31");
        let report = caller.get(&path).with(200);
        assert!(rows(&report).len() >= 54, "{kind}");
        for (key, value) in report["total"].as_object().expect("a total") {
            let standing = ["survey_basic_farmland", "survey_cultivated", "cadre_open"];
            if let Some(number) = value.as_f64().filter(|_| !standing.contains(&key.as_str())) {
                assert_eq!(number, 0.0, "{kind} {key}");
            }
        }
        for format in ["csv", "xlsx", "html"] {
            let answer = caller.get(&format!("{path}&format={format}"));
            assert_eq!(answer.status, 200, "{kind} {format}");
        }
    }
}

#[test]
fn attendance_follows_the_patrol_plans() {
    use diesel::connection::SimpleConnection;
    let city = City::start();
    let mut conn = city.conn();
    // A visit a week to each cell of a village: four weeks, from Monday to Sunday.
    conn.batch_execute(
        "INSERT INTO patrol_plans (id, title, area_code, per, times, season_months, valid_from)
         VALUES (gen_random_uuid(), '每周一巡', '350302001001', 'week', 1, '{1,2,3,4,5,6,7,8,9,10,11,12}', '2025-01-06');
         INSERT INTO patrol_visits (person_id, cell_code, day, source, at, city_code, district_code, town_code, village_code)
         SELECT (SELECT min(id::text)::uuid FROM people), '350302001001001', day, 'record', day, '350300', '350302', '350302001', '350302001001'
         FROM unnest(ARRAY['2025-03-04', '2025-03-05', '2025-03-12']::date[]) AS day",
    )
    .expect("a plan and visits");
    let cells = crate::support::demo_city::count(
        &mut conn,
        "SELECT count(*) AS value FROM features_in_force_view WHERE layer = 'cell' AND code LIKE '350302001001%'",
    );
    let caller = city.caller(DISPATCHER);
    for (area, level) in [("350300", "village"), ("350302", "town"), ("350302001001", "village")] {
        let path =
            format!("/reports/attendance?area={area}&level={level}&from=2025-03-03&to=2025-03-30");
        let report = caller.get(&path).with(200);
        let total = &report["total"];
        assert_eq!((&total["cells"], &total["due"]), (&cells.into(), &(cells * 4).into()));
        // Two days of one week are one visit.
        assert_eq!((&total["made"], &total["unvisited"]), (&2.into(), &(cells - 1).into()));
        let rate = number(total, "attendance_rate");
        assert!((rate - 2.0 / (cells as f64 * 4.0)).abs() < 1e-12);
        let list = &total["lists"]["due"];
        let link = format!("/patrol/due?{}", list["query"].as_str().expect("a query"));
        let due = caller.get(&link).with(200);
        assert_eq!(due["items"].as_array().map(Vec::len), Some(cells as usize), "{due}");
    }
}
