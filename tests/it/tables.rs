//! People and duties from tables: row by row, harmless to repeat.

use crate::support::database::{self, TestDatabase};
use diesel::connection::SimpleConnection;
use std::io::{Cursor, Write};
use xuncha::store::sheet::{RowReport, Sheet};
use xuncha::store::world::load_roster;
use xuncha::store::{duties, people};

const ROSTER: &str = "\
name,phone,role,area_code,department
林明永,10005947741,city_leader,350300,莆田市人民政府
郑轩荣,10005945590,patroller,350302001001,
陈一,10005945591,patroller,350302001001,城管
";

const DUTIES: &str = "\
code,phone,nature,rank
350302001001,10005945590,*,primary
350302001001,10005945591,*,backup
350302001001001,10005945591,illegal_land_use,primary
";

fn sheet(text: &str) -> Sheet {
    Sheet::parse(text.as_bytes()).expect("a table")
}

/// Read, accepted, updated, unchanged, removed, rejected.
fn figures(report: &RowReport) -> [usize; 6] {
    assert_eq!(report.read, report.accepted + report.rejected.len());
    let RowReport { read, accepted, updated, unchanged, removed, rejected, .. } = report;
    [*read, *accepted, *updated, *unchanged, *removed, rejected.len()]
}

fn remarks(report: &RowReport) -> Vec<(u64, &str)> {
    report.rejected.iter().map(|remark| (remark.row, remark.code)).collect()
}

fn with_people() -> TestDatabase {
    let database = database::empty();
    let report = people::import(&database.store, &sheet(ROSTER), false).expect("imported");
    assert_eq!(figures(&report), [3, 3, 0, 0, 0, 0]);
    database
}

#[test]
fn people_read_again_are_unchanged_and_corrected_rows_update_them() {
    let database = with_people();
    let store = &database.store;
    let roster = || load_roster(&mut store.conn().expect("a connection")).expect("a roster");
    let before = roster().people().to_vec();
    let again = people::import(store, &sheet(ROSTER), false).expect("imported");
    assert_eq!(figures(&again), [3, 3, 0, 3, 0, 0]);
    assert_eq!(roster().people(), before);

    let corrected = ROSTER.replace("陈一", "陈二").replace(",城管", ",");
    let report = people::import(store, &sheet(&corrected), false).expect("imported");
    assert_eq!(figures(&report), [3, 3, 1, 2, 0, 0]);
    let after = roster();
    let person = after.people().iter().find(|p| p.phone == "10005945591").expect("still there");
    assert_eq!((person.name.as_str(), &person.department), ("陈二", &None));
    assert!(before.iter().any(|p| p.id == person.id), "the same person as before");
}

#[test]
fn bad_rows_of_people_are_reported_with_their_row_and_the_others_taken() {
    let database = database::empty();
    let table = "\
role,手机号,name,area_code
patroller,10001,好,350302001001
patroller,手机,好,350302001001
king,10003,好,350302001001
patroller,10004,,350302001001
patroller,10005,好,3503
patroller,10001,又,350302001001
巡查员,10007,好,350302001001
";
    let report = people::import(&database.store, &sheet(table), false).expect("imported");
    assert_eq!(figures(&report), [7, 2, 0, 0, 0, 5]);
    let expected = [
        (3, "bad_phone"),
        (4, "unknown_role"),
        (5, "bad_name"),
        (6, "unknown_area"),
        (7, "duplicate_phone"),
    ];
    assert_eq!(remarks(&report), expected);

    let hopeless =
        people::import(&database.store, &sheet("name,phone,role,area_code\na,1,b,c\n"), false);
    assert_eq!(hopeless.expect_err("refused").code, "nothing_accepted");
}

#[test]
fn areas_are_checked_against_the_boundaries_in_force() {
    let database = database::empty();
    database
        .store
        .owner_conn()
        .expect("a connection")
        .batch_execute(
            "INSERT INTO imports (id, layer, file_name) VALUES ('00000000-0000-0000-0000-000000000001', 'village', 'f');
             INSERT INTO generations (generation, layer, import_id, added, removed, moved)
             VALUES (1, 'village', '00000000-0000-0000-0000-000000000001', 1, 0, 0);
             INSERT INTO features (layer, import_id, record, code, area_m2, content_hash, geom, valid_from)
             VALUES ('village', '00000000-0000-0000-0000-000000000001', 1, '350302001001', 1, 1,
                     ST_GeomFromText('MULTIPOLYGON(((119 25,120 25,120 26,119 25)))', 4490), 1);",
        )
        .expect("a village in force");
    let roster = ROSTER.replace(
        "陈一,10005945591,patroller,350302001001",
        "陈一,10005945591,patroller,350302001002",
    );
    let report = people::import(&database.store, &sheet(&roster), false).expect("imported");
    assert_eq!(
        remarks(&report),
        [(4, "unknown_area")],
        "the city has no boundaries to check against"
    );

    let table = "code,phone,nature,rank\n350302001002,10005945590,*,primary\n350302001001,10005945590,*,primary\n350302001001001,10005945590,*,primary\n";
    let report = duties::import(&database.store, &sheet(table), false).expect("imported");
    assert_eq!(figures(&report), [3, 3, 0, 0, 0, 0]);
    let warned: Vec<_> = report.warnings.iter().map(|w| (w.row, w.code)).collect();
    assert_eq!(warned, [(2, "unknown_code")]);
}

#[test]
fn duties_read_again_are_unchanged_and_a_table_replaces_the_holders_it_names() {
    let database = with_people();
    let import =
        |text: &str| duties::import(&database.store, &sheet(text), false).expect("imported");
    assert_eq!(figures(&import(DUTIES)), [3, 3, 0, 0, 0, 0]);
    assert_eq!(figures(&import(DUTIES)), [3, 3, 0, 3, 0, 0]);

    // The primary of the village changes hands; the backup and the cell are not mentioned.
    let handed_over = "rank,nature,phone,code\nprimary,*,10005947741,350302001001\n";
    assert_eq!(figures(&import(handed_over)), [1, 1, 0, 0, 1, 0]);
    let place = xuncha::enforcement::dispatch::PlaceCodes {
        village: Some("350302001001".into()),
        ..Default::default()
    };
    let roster = load_roster(&mut database.store.conn().expect("a connection")).expect("a roster");
    let found = roster.responsible(&place, None).expect("somebody").assignment;
    assert_eq!(found.primary.phone, "10005947741");
    assert_eq!(found.backup.iter().map(|b| b.phone.as_str()).collect::<Vec<_>>(), ["10005945591"]);
    assert!(roster.has_duty("350302001001001"));
}

#[test]
fn bad_rows_of_duties_are_reported_with_their_row() {
    let database = with_people();
    let table = "\
code,phone,nature,rank
350302001001,10005945590,*,primary
350302001001,999999,*,primary
350302001001,10005945590,theft,primary
350302001001,10005945590,*,third
'; DROP TABLE duties,10005945590,*,primary
";
    let report = duties::import(&database.store, &sheet(table), false).expect("imported");
    assert_eq!(figures(&report), [5, 1, 0, 0, 0, 4]);
    let expected =
        [(3, "unknown_phone"), (4, "unknown_nature"), (5, "unknown_rank"), (6, "bad_code")];
    assert_eq!(remarks(&report), expected);
}

#[test]
fn a_dry_run_reports_the_same_and_writes_nothing() {
    let database = database::empty();
    let store = &database.store;
    let dry = people::import(store, &sheet(ROSTER), true).expect("checked");
    let wet = people::import(store, &sheet(ROSTER), false).expect("imported");
    assert_eq!(RowReport { dry_run: false, ..dry }, wet);
    let dry = duties::import(store, &sheet(DUTIES), true).expect("checked");
    assert_eq!(figures(&dry), [3, 3, 0, 0, 0, 0]);
    let wet = duties::import(store, &sheet(DUTIES), false).expect("imported");
    assert_eq!(figures(&wet), [3, 3, 0, 0, 0, 0]);
}

#[test]
fn importing_at_the_same_time_makes_each_person_once() {
    let database = database::empty();
    let reports = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| people::import(&database.store, &sheet(ROSTER), false)))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("no panic").expect("imported"))
            .collect::<Vec<_>>()
    });
    assert_eq!(reports.iter().map(|r| r.unchanged).sum::<usize>(), 6);
}

/// A workbook as a spreadsheet program writes it: phones and codes are numbers.
fn workbook() -> Vec<u8> {
    let parts = [
        (
            "[Content_Types].xml",
            r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#,
        ),
        (
            "_rels/.rels",
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
        ),
        (
            "xl/workbook.xml",
            r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="人员" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
        ),
        (
            "xl/_rels/workbook.xml.rels",
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#,
        ),
        (
            "xl/worksheets/sheet1.xml",
            r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="2"><c r="B2" t="inlineStr"><is><t>姓名</t></is></c><c r="C2" t="inlineStr"><is><t>手机号</t></is></c><c r="D2" t="inlineStr"><is><t>角色</t></is></c><c r="E2" t="inlineStr"><is><t>区划代码</t></is></c></row><row r="3"><c r="B3" t="inlineStr"><is><t>郑轩荣</t></is></c><c r="C3"><v>10005945590</v></c><c r="D3" t="inlineStr"><is><t>巡查员</t></is></c><c r="E3"><v>350302001001</v></c></row><row r="4"><c r="B4" t="inlineStr"><is><t>无名</t></is></c><c r="C4"><v>1.5</v></c><c r="D4" t="inlineStr"><is><t>巡查员</t></is></c><c r="E4"><v>350302001001</v></c></row></sheetData></worksheet>"#,
        ),
    ];
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).expect("a part");
        archive.write_all(text.as_bytes()).expect("a part");
    }
    archive.finish().expect("an archive").into_inner()
}

#[test]
fn a_workbook_with_numbers_for_phones_and_codes_is_read() {
    let database = database::empty();
    let sheet = Sheet::parse(&workbook()).expect("a workbook");
    let report = people::import(&database.store, &sheet, false).expect("imported");
    assert_eq!(figures(&report), [2, 1, 0, 0, 0, 1]);
    assert_eq!(remarks(&report), [(4, "bad_phone")]);
    let roster = load_roster(&mut database.store.conn().expect("a connection")).expect("a roster");
    assert_eq!(roster.people()[0].phone, "10005945590");
    assert_eq!(roster.people()[0].area_code, "350302001001");
}
