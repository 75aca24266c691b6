//! The case list as a file of any length: read in pages, within one snapshot of the store.

use super::Store;
use super::case_query::{CaseQuery, list};
use super::cases::CaseRow;
use crate::error::{Fault, Language, Result};
use crate::statistics::sheet_csv::{BOM, harmless};
use crate::tiles::cases::CaseFilter;
use chrono::{DateTime, Utc};
use chrono_tz::Asia::Shanghai;
use diesel::PgConnection;
use rust_xlsxwriter::{Format, FormatBorder, Workbook, XlsxError};
use std::collections::HashMap;
use std::io::{Seek, Write};
use std::path::Path;
use uuid::Uuid;

/// Cases read at once.
const PAGE: i64 = 2_000;
/// A sheet of Excel has 1,048,576 rows.
const ROWS_OF_A_SHEET: u32 = 1_000_000;

/// One cell.
enum Cell {
    Text(String),
    Number(Option<f64>),
}

/// The columns: Chinese and English title.
const TITLES: [(&str, &str); 27] = [
    ("案件编号", "Number"),
    ("状态", "Status"),
    ("违法性质", "Nature"),
    ("来源", "Source"),
    ("上报时间", "Reported at"),
    ("县区（管委会）", "District or functional area"),
    ("乡镇（街道）", "Town"),
    ("村（社区）", "Village"),
    ("网格", "Cell"),
    ("点位地类", "Category at the point"),
    ("当事人", "Party"),
    ("党员干部", "Cadre"),
    ("用途", "Use"),
    ("新增/存量", "New or existing"),
    ("上报面积（平方米）", "Reported m²"),
    ("基本农田（平方米）", "Basic farmland m²"),
    ("耕地（平方米）", "Other cultivated m²"),
    ("非耕地（平方米）", "Other land m²"),
    ("宅基地（平方米）", "Homestead m²"),
    ("矿山（平方米）", "Mine m²"),
    ("拆除面积（平方米）", "Demolished m²"),
    ("拆除时间", "Demolished at"),
    ("结案时间", "Closed at"),
    ("当前期限", "Due at"),
    ("责任人", "Responsible"),
    ("经度", "Longitude"),
    ("纬度", "Latitude"),
];

fn time(at: Option<DateTime<Utc>>) -> String {
    let local = at.map(|at| at.with_timezone(&Shanghai).format("%Y-%m-%d %H:%M:%S").to_string());
    local.unwrap_or_default()
}

fn word(value: &str, language: Language) -> String {
    let zh = match value {
        "dispatched" => "已派单",
        "on_site" => "已到场",
        "stopped" => "已制止",
        "demolishing" => "拆除中",
        "close_applied" => "申请结案",
        "closed" => "已结案",
        "rejected" => "不属违法",
        "duplicate" => "重复",
        "transferred" => "已移送",
        "illegal_land_use" => "违法占地",
        "illegal_construction" => "违法建设",
        "both" => "违法占地和违法建设",
        "patrol" => "巡查",
        "public" => "群众举报",
        "satellite" => "卫片",
        "assigned" => "交办",
        "basic_farmland" => "基本农田",
        "farmland" => "耕地",
        "non_farmland" => "非耕地",
        "homestead" => "宅基地",
        "mine" => "矿山",
        other => other,
    };
    language.pick(zh, value).to_string()
}

fn cells(row: &CaseRow, people: &HashMap<Uuid, String>, language: Language) -> [Cell; 27] {
    let text = |text: Option<&str>| Cell::Text(harmless(text.unwrap_or_default()));
    let named = |value: &str| Cell::Text(word(value, language));
    let place = |level: &str| row.place[level]["name"].as_str().map(String::from);
    let functional = row.place["functional_areas"][0]["name"].as_str().map(String::from);
    let top = functional.or_else(|| place("district"));
    let yes =
        |flag: bool| language.pick(if flag { "是" } else { "否" }, if flag { "yes" } else { "no" });
    let new_build = match row.new_build {
        Some(true) => language.pick("新增", "new"),
        Some(false) => language.pick("存量", "existing"),
        None => "",
    };
    let m2 = |m2: f64| Cell::Number(Some(m2));
    let assignee = row.assignee_id.and_then(|id| people.get(&id));
    let category = row.category.as_deref().filter(|_| row.placed != "none");
    [
        Cell::Text(row.number.clone()),
        named(&row.status),
        named(&row.nature),
        named(&row.source),
        Cell::Text(time(Some(row.reported_at))),
        text(top.as_deref()),
        text(place("town").as_deref()),
        text(place("village").as_deref()),
        text(row.cell_code.as_deref()),
        named(category.unwrap_or_default()),
        text(row.party_name.as_deref()),
        Cell::Text(yes(row.party_is_cadre).to_string()),
        text(row.use_.as_deref()),
        Cell::Text(new_build.to_string()),
        Cell::Number(row.area_m2),
        m2(row.basic_farmland_m2),
        m2(row.farmland_m2),
        m2(row.non_farmland_m2),
        m2(row.homestead_m2),
        m2(row.mine_m2),
        Cell::Number(row.demolished_m2),
        Cell::Text(time(row.demolished_at)),
        Cell::Text(time(row.closed_at)),
        Cell::Text(time(row.due_at)),
        text(assignee.map(String::as_str)),
        Cell::Number(Some(row.lon)),
        Cell::Number(Some(row.lat)),
    ]
}

/// Calls `each` with every case of a filter, newest first; all as of one moment.
fn every(
    store: &Store,
    filter: &CaseFilter,
    mut each: impl FnMut(&CaseRow) -> Result<()>,
) -> Result<()> {
    let mut conn = store.conn()?;
    let conn: &mut PgConnection = &mut conn;
    conn.build_transaction().repeatable_read().read_only().run(|conn| {
        let mut query = CaseQuery { filter: filter.clone(), after: None, limit: PAGE };
        loop {
            let rows = list(conn, &query)?;
            for row in &rows {
                each(row)?;
            }
            match rows.last() {
                Some(last) if rows.len() as i64 == PAGE => {
                    query.after = Some((last.reported_at, last.id));
                }
                _ => return Ok(()),
            }
        }
    })
}

/// Writes the cases as CSV, page by page.
pub fn csv(
    store: &Store,
    filter: &CaseFilter,
    people: &HashMap<Uuid, String>,
    language: Language,
    mut out: impl Write,
) -> Result<()> {
    out.write_all(BOM).map_err(Fault::internal)?;
    let mut writer = csv::Writer::from_writer(out);
    let titles = TITLES.iter().map(|(zh, en)| language.pick(zh, en));
    writer.write_record(titles).map_err(Fault::internal)?;
    every(store, filter, |row| {
        let record = cells(row, people, language).map(|cell| match cell {
            Cell::Text(text) => text,
            Cell::Number(number) => number.map(|n| n.to_string()).unwrap_or_default(),
        });
        writer.write_record(&record).map_err(Fault::internal)
    })?;
    writer.flush().map_err(Fault::internal)
}

/// Writes the cases as a workbook: rows go to disk as they come, the file is put together there.
pub fn xlsx(
    store: &Store,
    filter: &CaseFilter,
    people: &HashMap<Uuid, String>,
    language: Language,
    folder: &Path,
    mut out: impl Write,
) -> Result<()> {
    let failed = |error: XlsxError| Fault::internal(error);
    let header = Format::new().set_bold().set_border(FormatBorder::Thin);
    let mut workbook = Workbook::new();
    workbook.set_tempdir(folder).map_err(failed)?;
    let mut at = 0;
    let begin = |workbook: &mut Workbook| -> std::result::Result<(), XlsxError> {
        let sheet = workbook.add_worksheet_with_constant_memory()?;
        for (column, (zh, en)) in TITLES.iter().enumerate() {
            sheet.set_column_width(column as u16, 14)?;
            sheet.write_with_format(0, column as u16, language.pick(zh, en), &header)?;
        }
        sheet.set_freeze_panes(1, 1)?;
        Ok(())
    };
    begin(&mut workbook).map_err(failed)?;
    let mut sheets = 0;
    every(store, filter, |row| {
        if at == ROWS_OF_A_SHEET {
            begin(&mut workbook).map_err(failed)?;
            (at, sheets) = (0, sheets + 1);
        }
        at += 1;
        let sheet = workbook.worksheet_from_index(sheets).map_err(failed)?;
        for (column, cell) in cells(row, people, language).into_iter().enumerate() {
            let column = column as u16;
            match cell {
                Cell::Text(text) => sheet.write(at, column, text).map_err(failed)?,
                Cell::Number(Some(number)) => sheet.write(at, column, number).map_err(failed)?,
                Cell::Number(None) => continue,
            };
        }
        Ok(())
    })?;
    let mut file = tempfile::tempfile_in(folder).map_err(Fault::internal)?;
    workbook.save_to_writer(&mut file).map_err(failed)?;
    file.rewind().map_err(Fault::internal)?;
    std::io::copy(&mut file, &mut out).map_err(Fault::internal)?;
    Ok(())
}

/// Names and phones of everybody, for the column of who answers.
pub fn people(conn: &mut PgConnection) -> Result<HashMap<Uuid, String>> {
    use super::schema::people::dsl;
    use diesel::prelude::*;
    let rows: Vec<(Uuid, String, String)> =
        dsl::people.select((dsl::id, dsl::name, dsl::phone)).load(conn)?;
    Ok(rows.into_iter().map(|(id, name, phone)| (id, format!("{name} {phone}"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_chinese_where_asked_for() {
        assert_eq!(word("closed", Language::Chinese), "已结案");
        assert_eq!(word("closed", Language::English), "closed");
    }
}
