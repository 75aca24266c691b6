//! People in bulk, from a table.
//!
//! A person is known by phone: a table read again changes nothing, one with changed rows updates
//! those people. Nobody gets a password here; activation gives one.

use super::schema::{features, people};
use super::sheet::{Row, RowRemark, RowReport, Sheet};
use super::{Store, notify};
use crate::atlas::feature::layers;
use crate::enforcement::people::Role;
use crate::error::{Fault, Result};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Rows per statement; a statement binds at most 65,535 values.
const CHUNK: usize = 1000;

#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = people, treat_none_as_null = true)]
struct PersonRow {
    phone: String,
    name: String,
    role: String,
    area_code: String,
    department: Option<String>,
}

/// Puts the people of a table into the store, in one transaction; a dry run only reports.
pub fn import(store: &Store, sheet: &Sheet, dry_run: bool) -> Result<RowReport> {
    let columns = Columns::of(sheet)?;
    let outcome = store.transaction(|conn| {
        // Two imports at once would both find a person missing.
        conn.batch_execute("LOCK TABLE people IN SHARE ROW EXCLUSIVE MODE")?;
        let areas = KnownAreas::load(conn)?;
        let mut known: HashMap<String, PersonRow> = people::table
            .select(PersonRow::as_select())
            .load(conn)?
            .into_iter()
            .map(|person: PersonRow| (person.phone.clone(), person))
            .collect();

        let mut report = RowReport { read: sheet.rows().len(), dry_run, ..RowReport::default() };
        let mut seen: HashMap<String, u64> = HashMap::new();
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for row in sheet.rows() {
            let person = match columns.person(row, &areas) {
                Ok(person) => person,
                Err(remark) => {
                    report.rejected.push(remark);
                    continue;
                }
            };
            if let Some(first) = seen.insert(person.phone.clone(), row.number) {
                report.rejected.push(RowRemark::new(
                    row.number,
                    "duplicate_phone",
                    format!("手机号 {} 已在第 {first} 行出现", person.phone),
                    format!("phone {} is in row {first} already", person.phone),
                ));
                seen.insert(person.phone, first);
                continue;
            }
            report.accepted += 1;
            match known.remove(&person.phone) {
                None => new.push(person),
                Some(old) if old == person => report.unchanged += 1,
                Some(_) => changed.push(person),
            }
        }
        report.updated = changed.len();
        if dry_run || (new.is_empty() && changed.is_empty()) {
            return Ok(report);
        }
        for chunk in new.chunks(CHUNK) {
            let rows: Vec<_> = chunk.iter().map(|p| (people::id.eq(Uuid::now_v7()), p)).collect();
            diesel::insert_into(people::table).values(rows).execute(conn)?;
        }
        for person in &changed {
            diesel::update(people::table.filter(people::phone.eq(&person.phone)))
                .set(person)
                .execute(conn)?;
        }
        notify::notify(conn, "people")?;
        Ok(report)
    });
    outcome?.usable()
}

struct Columns {
    name: usize,
    phone: usize,
    role: usize,
    area_code: usize,
    department: Option<usize>,
}

impl Columns {
    fn of(sheet: &Sheet) -> Result<Self> {
        Ok(Self {
            name: sheet.required(&["name", "姓名"])?,
            phone: sheet.required(PHONE)?,
            role: sheet.required(&["role", "角色"])?,
            area_code: sheet.required(&["area_code", "区划代码", "辖区代码"])?,
            department: sheet.column(&["department", "部门", "单位"]),
        })
    }

    fn person(&self, row: &Row, areas: &KnownAreas) -> Result<PersonRow, RowRemark> {
        let text = |column| row.get(column).to_owned();
        let (name, phone, area_code) = (text(self.name), text(self.phone), text(self.area_code));
        if name.is_empty() || name.chars().count() > 100 || name.contains(char::is_control) {
            return Err(RowRemark::new(
                row.number,
                "bad_name",
                "姓名为空或不可用",
                "the name is empty or unusable",
            ));
        }
        if !is_phone(&phone) {
            return Err(RowRemark::new(
                row.number,
                "bad_phone",
                format!("手机号 {phone:?} 不是 5–20 位数字"),
                format!("phone {phone:?} is not 5 to 20 digits"),
            ));
        }
        let role = parse_role(row.get(self.role)).ok_or_else(|| {
            let role = row.get(self.role);
            RowRemark::new(
                row.number,
                "unknown_role",
                format!("未知角色 {role:?}"),
                format!("unknown role {role:?}"),
            )
        })?;
        if !areas.may_be(&area_code) {
            return Err(RowRemark::new(
                row.number,
                "unknown_area",
                format!("未知区划代码 {area_code:?}"),
                format!("unknown area {area_code:?}"),
            ));
        }
        let department = self.department.map(text).filter(|department| !department.is_empty());
        if department
            .as_ref()
            .is_some_and(|d| d.chars().count() > 200 || d.contains(char::is_control))
        {
            return Err(RowRemark::new(
                row.number,
                "bad_department",
                "部门不可用",
                "the department is unusable",
            ));
        }
        Ok(PersonRow { phone, name, role: role.as_str().into(), area_code, department })
    }
}

/// How tables call the column of the phone.
pub(super) const PHONE: &[&str] = &["phone", "手机号", "手机号码", "手机", "电话"];

/// What the store takes for a phone. No prefix: demo numbers have none that exists.
pub(super) fn is_phone(text: &str) -> bool {
    (5..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'+')
}

/// The name of the API, or what the Chinese tables say.
fn parse_role(text: &str) -> Option<Role> {
    Role::parse(text).or_else(|| {
        Some(match text {
            "巡查员" => Role::Patroller,
            "中队长" => Role::SquadLeader,
            "审核员" => Role::Reviewer,
            "村领导" => Role::VillageLeader,
            "镇领导" | "乡镇领导" => Role::TownLeader,
            "区领导" | "区县领导" => Role::DistrictLeader,
            "市领导" => Role::CityLeader,
            "调度员" => Role::Dispatcher,
            "规划员" => Role::Planner,
            "系统管理员" | "管理员" => Role::Admin,
            _ => return None,
        })
    })
}

/// The codes in force that a person or a duty may name.
#[derive(Debug, Default)]
pub(super) struct KnownAreas {
    codes: HashSet<String>,
    /// Lengths of code (6, 9, 12, 15 …) of which the store knows any.
    lengths: HashSet<usize>,
}

impl KnownAreas {
    pub(super) fn load(conn: &mut PgConnection) -> Result<Self> {
        let levels = [
            layers::CITY,
            layers::DISTRICT,
            layers::TOWN,
            layers::VILLAGE,
            layers::FUNCTIONAL_AREA,
            layers::CELL,
        ];
        let codes: Vec<String> = features::table
            .filter(features::layer.eq_any(levels))
            .filter(features::valid_from.is_not_null())
            .filter(features::valid_to.is_null())
            .select(features::code)
            .load(conn)
            .map_err(Fault::from)?;
        Ok(Self {
            lengths: codes.iter().map(String::len).collect(),
            codes: codes.into_iter().collect(),
        })
    }

    pub(super) fn contains(&self, code: &str) -> bool {
        self.codes.contains(code)
    }

    /// Digits of a usual length, and in force as far as the store has boundaries of that level.
    fn may_be(&self, code: &str) -> bool {
        matches!(code.len(), 6 | 9 | 12)
            && code.bytes().all(|b| b.is_ascii_digit())
            && (self.contains(code) || !self.lengths.contains(&code.len()))
    }

    /// Whether the store has boundaries to check a code of this length against.
    pub(super) fn can_tell(&self, code: &str) -> bool {
        self.lengths.contains(&code.len())
    }
}
