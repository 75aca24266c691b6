//! People in bulk, from a table.
//!
//! A person is known by phone: a table read again changes nothing, one with changed rows updates
//! those people. Nobody gets a password here; activation gives one.

use super::audit::{self, Entry};
use super::schema::{features, people};
use super::sheet::{Row, RowRemark, RowReport, Sheet};
use super::{Store, notify};
use crate::atlas::feature::layers;
use crate::enforcement::people::Role;
use crate::enforcement::reach::Reach;
use crate::error::{Fault, Result};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde::Serialize;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use uuid::Uuid;

/// Rows per statement; a statement binds at most 65,535 values.
const CHUNK: usize = 1000;

#[derive(Debug, Clone, PartialEq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = people, treat_none_as_null = true)]
pub(super) struct PersonRow {
    pub phone: String,
    pub name: String,
    pub role: String,
    pub area_code: String,
    pub department: Option<String>,
}

/// Who changes people or duties, from where, and whose.
#[derive(Debug, Clone)]
pub struct By {
    /// None for commands on the machine itself.
    pub actor: Option<Uuid>,
    pub from: Option<IpAddr>,
    pub reach: Reach,
}

impl By {
    /// The machine's own administrator.
    pub fn command() -> Self {
        Self { actor: None, from: None, reach: Reach::everything() }
    }

    /// A row of the audit trail.
    pub fn entry(&self, action: &'static str, subject: String) -> Entry {
        let Self { actor, from, .. } = *self;
        Entry { actor, from, action, subject, before: None, after: None }
    }
}

/// [`import_by`] the machine's own administrator.
pub fn import(store: &Store, sheet: &Sheet, dry_run: bool) -> Result<RowReport> {
    import_by(store, sheet, dry_run, &By::command())
}

/// Puts the people of a table into the store, in one transaction; a dry run only reports. Rows
/// about people or areas out of reach are rejected.
pub fn import_by(store: &Store, sheet: &Sheet, dry_run: bool, by: &By) -> Result<RowReport> {
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
        let (mut new, mut changed, mut before) = (Vec::new(), Vec::new(), Vec::new());
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
            let old = known.remove(&person.phone);
            let out_of_reach = |p: &PersonRow| !by.reach.holds(&p.area_code);
            if out_of_reach(&person) || old.as_ref().is_some_and(out_of_reach) {
                report.rejected.push(RowRemark::new(
                    row.number,
                    "other_area",
                    "不在您的辖区内",
                    "outside your area",
                ));
                continue;
            }
            report.accepted += 1;
            match old {
                None => new.push(person),
                Some(old) if old == person => report.unchanged += 1,
                Some(old) => {
                    before.push(old);
                    changed.push(person);
                }
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
        let entry = Entry {
            before: Some(json!(before)),
            after: Some(json!({"new": new, "changed": changed})),
            ..by.entry("people.import", "people:".into())
        };
        audit::record(conn, &entry)?;
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
        let person = PersonRow {
            name: text(self.name),
            phone: text(self.phone),
            role: text(self.role),
            area_code: text(self.area_code),
            department: self.department.map(text),
        };
        person.checked(areas).map_err(|e| RowRemark::new(row.number, e.code, e.zh, e.en))
    }
}

/// What is wrong with the data of a person.
#[derive(Debug)]
pub(super) struct Objection {
    pub code: &'static str,
    pub field: &'static str,
    pub zh: String,
    pub en: String,
}

impl PersonRow {
    /// The same, tidied, or what is wrong with it.
    pub(super) fn checked(mut self, areas: &KnownAreas) -> Result<Self, Objection> {
        let refuse = |code, field, zh: String, en: String| Err(Objection { code, field, zh, en });
        let unusable =
            |text: &str, most| text.chars().count() > most || text.contains(char::is_control);
        if self.name.is_empty() || unusable(&self.name, 100) {
            let (zh, en) = ("姓名为空或不可用", "the name is empty or unusable");
            return refuse("bad_name", "name", zh.into(), en.into());
        }
        let phone = &self.phone;
        if !is_phone(phone) {
            return refuse(
                "bad_phone",
                "phone",
                format!("手机号 {phone:?} 不是 5–20 位数字"),
                format!("phone {phone:?} is not 5 to 20 digits"),
            );
        }
        let Some(role) = parse_role(&self.role) else {
            let role = &self.role;
            let (zh, en) = (format!("未知角色 {role:?}"), format!("unknown role {role:?}"));
            return refuse("unknown_role", "role", zh, en);
        };
        let area = &self.area_code;
        if !areas.may_be(area) {
            let (zh, en) = (format!("未知区划代码 {area:?}"), format!("unknown area {area:?}"));
            return refuse("unknown_area", "area_code", zh, en);
        }
        self.department = self.department.filter(|department| !department.is_empty());
        if self.department.as_ref().is_some_and(|department| unusable(department, 200)) {
            let (zh, en) = ("部门不可用", "the department is unusable");
            return refuse("bad_department", "department", zh.into(), en.into());
        }
        self.role = role.as_str().into();
        Ok(self)
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
