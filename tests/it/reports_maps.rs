//! Time line and hotspots of the demo city, against SQL.

use crate::support::demo_city::{City, DISPATCHER, count};
use mvt_reader::Reader;
use serde_json::Value;

#[test]
fn the_time_line_adds_up_and_agrees_with_sql() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    let mut conn = city.conn();
    let period = "from=2025-01-01&to=2025-12-31";
    let found = "SELECT count(*) AS value FROM cases WHERE reported_at >= '2025-01-01 00:00+08' AND reported_at < '2026-01-01 00:00+08'";
    for (step, frames) in [("day", 365), ("week", 53), ("month", 12)] {
        let line =
            caller.get(&format!("/stats/timeline?step={step}&{period}&squares=true")).with(200);
        let list = line["frames"].as_array().expect("frames");
        assert_eq!(list.len(), frames, "{step}");
        let sum = |key: &str| list.iter().filter_map(|f| f[key].as_i64()).sum::<i64>();
        assert_eq!(sum("found"), count(&mut conn, found));
        let squares: i64 = list
            .iter()
            .flat_map(|f| f["squares"].as_array().into_iter().flatten())
            .filter_map(|s| s[2].as_i64())
            .sum();
        assert_eq!(squares, sum("found"));
        let closed = found.replace("reported_at", "closed_at");
        assert_eq!(sum("closed"), count(&mut conn, &closed));
        // Frames follow each other without a gap.
        for pair in list.windows(2) {
            let day = |v: &Value| v.as_str().and_then(|t| t.parse::<chrono::NaiveDate>().ok());
            assert_eq!(day(&pair[0]["to"]).and_then(|d| d.succ_opt()), day(&pair[1]["from"]));
        }
    }
    let march = caller.get(&format!("/stats/timeline?step=month&{period}&area=350302")).with(200);
    let own = "SELECT count(*) AS value FROM cases WHERE district_code = '350302' AND functional_area_code IS NULL
        AND (reported_at AT TIME ZONE 'Asia/Shanghai')::date BETWEEN '2025-03-01' AND '2025-03-31'";
    assert_eq!(march["frames"][2]["found"], count(&mut conn, own));
    caller.get("/stats/timeline?step=hour").refused(400, "invalid");
    caller.get("/stats/timeline?step=day&from=1990-01-01&to=2026-01-01").refused(400, "invalid");
}

#[test]
fn hotspots_count_what_sql_counts_and_name_villages_with_a_reason() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    let mut conn = city.conn();
    let period = "from=2025-01-01&to=2025-12-31";
    let table =
        caller.get(&format!("/stats/hotspots?by=village&limit=1000&{period}&lang=zh")).with(200);
    assert_eq!(table["units"], 976);
    let rows = table["rows"].as_array().expect("rows");
    assert!(rows.is_sorted_by(|a, b| a["z"].as_f64() >= b["z"].as_f64()));
    for row in rows.iter().step_by(37) {
        let code = row["code"].as_str().expect("a code");
        let of = |year: i32| {
            format!(
                "SELECT count(*) AS value FROM cases WHERE village_code = '{code}'
             AND reported_at >= '{year}-01-01 00:00+08' AND reported_at < '{}-01-01 00:00+08'",
                year + 1
            )
        };
        assert_eq!(row["count"], count(&mut conn, &of(2025)), "{code}");
        assert_eq!(row["before"], count(&mut conn, &of(2024)), "{code}");
        let query = row["query"].as_str().expect("a query");
        assert_eq!(caller.get(&format!("/cases/count?{query}")).with(200)["count"], row["count"]);
    }
    let first = table["first"].as_array().expect("villages");
    assert_eq!(first.len(), 10);
    for village in first {
        let reason = village["reason"].as_str().expect("a reason");
        assert!(reason.contains("本期发现") && reason.contains("z="), "{reason}");
        println!("{} {reason}", village["name"]);
    }
    let english = caller.get(&format!("/stats/hotspots?by=cell&{period}&lang=en")).with(200);
    assert_eq!(english["units"], 5010);
    assert!(english["first"][0]["reason"].as_str().expect("a reason").contains("cases"));
    for resolution in [7, 8, 9] {
        let hexagons = caller
            .get(&format!("/stats/hotspots?by=h3&resolution={resolution}&limit=20&{period}"))
            .with(200);
        let units = hexagons["units"].as_u64().expect("units") as f64;
        // 4,003 km² of city, in hexagons of 5.16, 0.737 and 0.105 km² on average.
        let expected = 4003.0 / [5.161, 0.7373, 0.10533][resolution - 7];
        assert!((0.8..1.25).contains(&(units / expected)), "{resolution}: {units} {expected}");
    }
    let leader = city.caller(&city.phone_of("town_leader", "350302002"));
    let own = leader.get(&format!("/stats/hotspots?by=village&{period}")).with(200);
    let codes = own["rows"].as_array().expect("rows").iter().filter_map(|r| r["code"].as_str());
    assert!(codes.clone().count() > 0);
    for code in codes {
        assert!(code.starts_with("350302002"), "{code}");
    }
}

#[test]
fn hotspot_tiles_hold_the_same_counts() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    let query = "from=2025-01-01&to=2025-12-31";
    for layer in ["hotspots_cell", "hotspots_h3", "hotspots_village"] {
        let described = caller.get(&format!("/tiles/{layer}.json?{query}")).with(200);
        assert_eq!(described["vector_layers"][0]["id"], layer);
        let tile = caller.get(&format!("/tiles/{layer}/8/212/109?{query}"));
        assert_eq!(tile.status, 200, "{layer}");
        assert!(tile.bytes.len() < 500_000, "{layer}: {}", tile.bytes.len());
        let known = caller
            .request(reqwest::Method::GET, &format!("/tiles/{layer}/8/212/109?{query}"))
            .header("if-none-match", tile.header("etag"))
            .send()
            .expect("an answer");
        assert_eq!(known.status(), 304);
        let reader = Reader::new(tile.bytes).expect("a vector tile");
        let features = reader.get_features(0).expect("features");
        assert!(features.len() > 100, "{layer}: {}", features.len());
        caller.get(&format!("/tiles/{layer}/8/212/109?colour=red")).refused(400, "invalid");
    }
    assert_eq!(caller.get(&format!("/tiles/hotspots_cell/8/0/0?{query}")).status, 204);
}
