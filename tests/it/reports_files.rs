//! Reports as files: CSV, workbook (opened by LibreOffice), page; the command line; frozen months.

use crate::support::demo_city::{City, DISPATCHER, count};
use crate::support::folder;
use crate::support::service::PROGRAM;
use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
use diesel::connection::SimpleConnection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Stdio};
use uuid::Uuid;
use xuncha::store::frozen;
use xuncha::store::world::World;

const QUERY: &str = "area=350300&level=town&from=2025-01-01&to=2025-12-31";

/// The text of a workbook as LibreOffice prints it.
fn printed(bytes: &[u8]) -> (String, std::path::PathBuf) {
    let folder = folder::fresh();
    let file = folder.join("report.xlsx");
    std::fs::write(&file, bytes).expect("written");
    let profile = format!("-env:UserInstallation=file://{}", folder.join("profile").display());
    let output = Command::new("soffice")
        .args([profile.as_str(), "--headless", "--convert-to", "pdf", "--outdir"])
        .arg(&folder)
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .expect("LibreOffice runs");
    let log = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(output.status.success(), "{log}");
    let pdf = folder.join("report.pdf");
    let text = Command::new("pdftotext")
        .args(["-layout"])
        .arg(&pdf)
        .arg("-")
        .output()
        .expect("pdftotext runs");
    assert!(text.status.success());
    (String::from_utf8(text.stdout).expect("text"), pdf)
}

fn pages(pdf: &Path) -> usize {
    let output = Command::new("pdfinfo").arg(pdf).output().expect("pdfinfo runs");
    let text = String::from_utf8_lossy(&output.stdout).to_string();
    let line = text.lines().find(|line| line.starts_with("Pages:")).expect("a number of pages");
    line["Pages:".len()..].trim().parse().expect("a number")
}

fn grouped(value: f64) -> String {
    let text = format!("{value:.2}");
    let (whole, fraction) = text.split_once('.').expect("a fraction");
    let digits: Vec<char> = whole.chars().collect();
    let mut grouped = String::new();
    for (index, digit) in digits.iter().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(*digit);
    }
    format!("{grouped}.{fraction}")
}

#[test]
fn the_workbook_prints_the_same_figures_and_its_formulas_agree() {
    let caller = City::shared().caller(DISPATCHER);
    let report = caller.get(&format!("/reports/cases?{QUERY}")).with(200);
    let file = caller.get(&format!("/reports/cases?{QUERY}&format=xlsx&lang=zh"));
    assert_eq!(file.status, 200);
    assert!(file.header("content-disposition").contains("cases-350300.xlsx"));
    let (text, pdf) = printed(&file.bytes);
    assert!(pages(&pdf) >= 2, "the header repeats on several pages");
    let total = &report["total"];
    for key in ["basic_farmland", "total", "demolished"] {
        let shown = grouped(total[key].as_f64().expect("a figure"));
        assert!(text.contains(&shown), "{key} {shown}");
    }
    for words in
        ["“两违”案件统计表", "单位：平方米、宗", "城厢区", "合计", "2025年1月1日至2025年12月31日"]
    {
        assert!(text.contains(words), "{words} in {text}");
    }
    // It sets spaces of its own between Chinese and digits.
    let dense: String = text.split_whitespace().collect();
    assert!(dense.contains(&format!("第1页共{}页", pages(&pdf))));
    // LibreOffice has worked the formulas out by itself: rows, sub-totals and total as in JSON.
    for row in report["subtotals"].as_array().expect("sub-totals") {
        let shown = grouped(row["total"].as_f64().expect("a figure"));
        assert!(text.contains(&shown), "{shown}");
    }
    assert!(!text.contains("#REF") && !text.contains("#VALUE") && !text.contains("Err:"));

    // The values kept beside the formulas are those of the report.
    let mut workbook: Xlsx<_> = open_workbook_from_rs(Cursor::new(file.bytes)).expect("a workbook");
    assert_eq!(workbook.sheet_names(), ["平方米", "亩"]);
    let sheet = workbook.worksheet_range("平方米").expect("a sheet");
    let rows: Vec<&[Data]> = sheet.rows().collect();
    let is_total = |row: &&&[Data]| row.iter().any(|cell| cell == &Data::String("合计".into()));
    let last = rows.iter().find(is_total).expect("a totals row");
    let numbers: Vec<f64> = last
        .iter()
        .filter_map(|cell| match cell {
            Data::Float(value) => Some(*value),
            Data::Int(value) => Some(*value as f64),
            Data::String(text) => text.parse().ok(),
            _ => None,
        })
        .collect();
    let keys = ["basic_farmland", "farmland", "non_farmland", "homestead", "mine", "total"];
    for (key, number) in keys.iter().zip(&numbers) {
        let value = total[*key].as_f64().expect("a figure");
        assert!((value - number).abs() < 0.005, "{key}: {value} {number}");
    }
}

#[test]
fn csv_has_a_byte_order_mark_and_the_same_rows() {
    let caller = City::shared().caller(DISPATCHER);
    let report = caller.get(&format!("/reports/cases?{QUERY}")).with(200);
    let file = caller.get(&format!("/reports/cases?{QUERY}&format=csv&lang=en"));
    assert!(file.bytes.starts_with(b"\xEF\xBB\xBF"));
    let mut reader = csv::Reader::from_reader(&file.bytes[3..]);
    let headers = reader.headers().expect("a header").clone();
    let column = headers.iter().position(|h| h == "Found").expect("a column");
    let area = headers.iter().position(|h| h == "Total occupied (m²)").expect("a column");
    let records: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
    let units: Vec<_> = records.iter().filter(|r| &r[0] == "row").collect();
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(units.len(), rows.len());
    for (record, row) in units.iter().zip(rows) {
        assert_eq!(record[1], *row["code"].as_str().unwrap_or_default());
        assert_eq!(record[column], row["found"].to_string());
        let value: f64 = record[area].parse().expect("a number");
        assert!((value - row["total"].as_f64().expect("a figure")).abs() <= 0.005);
    }
    assert_eq!(&records.last().expect("a total")[0], "total");
}

#[test]
fn the_printed_page_holds_every_row_and_no_script() {
    let caller = City::shared().caller(DISPATCHER);
    let report = caller.get(&format!("/reports/cases?{QUERY}")).with(200);
    let page = caller.get(&format!("/reports/cases?{QUERY}&format=html&lang=zh&unit=mu"));
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let text = String::from_utf8(page.bytes).expect("text");
    for row in report["rows"].as_array().expect("rows") {
        assert!(text.contains(row["name"].as_str().expect("a name")));
    }
    assert!(text.contains("单位：亩、宗") && text.contains("A4 landscape"));
    assert!(!text.contains("<script"));
    let english = caller.get(&format!("/reports/cases?{QUERY}&format=html&lang=en"));
    assert!(String::from_utf8(english.bytes).expect("text").contains("Unit: m²"));
}

fn program(city: &City, arguments: &[&str]) -> std::process::Output {
    let config = &city.database.config;
    let mut command = Command::new(PROGRAM);
    command.arg("--data-dir").arg(&config.data_dir).args(arguments).stdin(Stdio::null());
    command.env("DATABASE_URL", config.database_url.as_deref().expect("a URL"));
    command.output().expect("the program runs")
}

#[test]
fn the_command_writes_what_the_service_answers() {
    let city = City::shared();
    let caller = city.caller(DISPATCHER);
    let folder = folder::fresh();
    let path = |name: &str| folder.join(name).display().to_string();
    let period = ["--from", "2025-01-01", "--to", "2025-12-31"];
    let arguments = |out: &str, area: &str| {
        let mut all = vec!["report", "cases", "--area", area, "--level", "town", "--out", out]
            .into_iter()
            .map(String::from)
            .collect::<Vec<_>>();
        all.extend(period.map(String::from));
        all
    };
    let run = |out: &str, area: &str| {
        let all = arguments(out, area);
        program(city, &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for name in ["a.json", "a.csv", "a.xlsx"] {
        let output = run(&path(name), "350300");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let file = std::fs::read(path("a.json")).expect("a file");
    let own: Value = serde_json::from_slice(&file).expect("JSON");
    let served = caller.get(&format!("/reports/cases?{QUERY}")).with(200);
    assert_eq!(own["rows"].as_array().map(Vec::len), served["rows"].as_array().map(Vec::len));
    for key in ["found", "closed", "without_area"] {
        assert_eq!(own["total"][key], served["total"][key]);
    }
    let (a, b) = (own["total"]["total"].as_f64(), served["total"]["total"].as_f64());
    assert!((a.expect("m²") - b.expect("m²")).abs() < 0.005);

    for (out, area, status) in [("b.pdf", "350300", 1), ("b.xlsx", "999999", 1)] {
        let output = run(&path(out), area);
        assert_eq!(output.status.code(), Some(status));
        assert_eq!(String::from_utf8_lossy(&output.stderr).trim().lines().count(), 1);
    }
    let wrong = program(city, &["report", "cases", "--area", "350300", "--from", "soon"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_frozen_month_stays_and_later_corrections_show() {
    let city = City::start();
    let leader = city.caller(&city.phone_of("city_leader", "350300"));
    let id = Uuid::new_v4();
    let body = json!({"id": id, "kind": "cases", "area": "350300", "level": "district", "month": "2025-03"});
    let first = leader.post("/reports/frozen", &body).with(201);
    let file = leader.get(&format!("/reports/frozen/{id}/file"));
    assert_eq!(file.status, 200);
    assert_eq!(first["sha256"], hex::encode(Sha256::digest(&file.bytes)));
    assert_eq!(file.header("x-sha256"), first["sha256"].as_str().expect("a hash"));
    let whole = leader.get(&format!("/reports/frozen/{id}")).with(200);
    assert_eq!(whole["differences"], json!([]));

    let mut conn = city.conn();
    conn.batch_execute(
        "UPDATE cases SET mine_m2 = mine_m2 + 12.5, version = version + 1 WHERE id = (
            SELECT id FROM cases WHERE district_code = '350302' AND functional_area_code IS NULL
              AND reported_at >= '2025-03-05' AND reported_at < '2025-03-25' ORDER BY id LIMIT 1)",
    )
    .expect("corrected");
    // Again: the first one's.
    let again = json!({"id": Uuid::new_v4(), "kind": "cases", "area": "350300", "level": "district", "month": "2025-03"});
    assert_eq!(leader.post("/reports/frozen", &again).with(201)["id"], json!(id));
    let file_again = leader.get(&format!("/reports/frozen/{id}/file"));
    assert_eq!(file_again.bytes, file.bytes);
    let whole = leader.get(&format!("/reports/frozen/{id}")).with(200);
    let differences = whole["differences"].as_array().expect("differences");
    let mine: Vec<_> = differences.iter().filter(|d| d["key"] == "mine").collect();
    assert_eq!(mine.len(), 2, "{differences:?}");
    assert_eq!(mine[0]["code"], "350302");
    let change = mine[0]["now"].as_f64().expect("now") - mine[0]["frozen"].as_f64().expect("then");
    assert!((change - 12.5).abs() < 0.005);

    for sql in ["UPDATE frozen_reports SET kind = 'x'", "DELETE FROM frozen_reports"] {
        assert!(conn.batch_execute(sql).is_err(), "{sql}");
    }
    let patroller = city.caller(&city.phone_of("town_leader", "350302002"));
    patroller.get(&format!("/reports/frozen/{id}")).refused(404, "not_found");
    leader
        .post(
            "/reports/frozen",
            &json!({"kind": "cases", "area": "350300", "level": "town", "month": "2099-01"}),
        )
        .refused(409, "month_not_over");

    // A month later the files of the month that is over go to the leaders of every district, once
    // however many processes do it.
    let areas = 1 + 5 + 2;
    let store = &city.database.store;
    let later = chrono::Utc::now() + chrono::Duration::days(40);
    assert_eq!(count(&mut conn, "SELECT count(*) AS value FROM monthly_reports"), 0);
    let served: usize = std::thread::scope(|scope| {
        let turn = || {
            let world = World::load(store).expect("a world");
            frozen::monthly(store, &world, later).expect("monthly reports")
        };
        let turns: Vec<_> = (0..2).map(|_| scope.spawn(turn)).collect();
        turns.into_iter().map(|t| t.join().expect("no panic")).sum()
    });
    assert_eq!(served, areas);
    let told = "SELECT count(*) AS value FROM messages WHERE kind = 'report_ready'";
    let leaders = "SELECT count(*) AS value FROM people WHERE active AND (role = 'city_leader' AND area_code = '350300'
        OR role = 'district_leader' AND area_code IN (SELECT area_code FROM monthly_reports))";
    assert_eq!(count(&mut conn, told), count(&mut conn, leaders));
    assert!(count(&mut conn, told) > 0);
}
