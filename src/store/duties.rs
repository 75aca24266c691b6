//! Who answers for which cell or village, in bulk, from a table.
//!
//! A table has the last word on every (code, nature, rank) it names: those who held it before and
//! are not named go. What it does not name stays, so tables may come village by village.

use super::audit::{self, Entry};
use super::people::{By, KnownAreas, PHONE};
use super::schema::{duties, people};
use super::sheet::{Row, RowRemark, RowReport, Sheet};
use super::{Store, notify};
use crate::enforcement::people::{DutyNature, Rank};
use crate::error::Result;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

const CHUNK: usize = 1000;

/// Code, nature, rank.
pub(super) type Post = (String, &'static str, &'static str);

#[derive(Insertable)]
#[diesel(table_name = duties)]
struct NewDuty<'a> {
    code: &'a str,
    person_id: Uuid,
    nature: &'a str,
    rank: &'a str,
}

/// [`import_by`] the machine's own administrator.
pub fn import(store: &Store, sheet: &Sheet, dry_run: bool) -> Result<RowReport> {
    import_by(store, sheet, dry_run, &By::command())
}

/// Puts the duties of a table into the store, in one transaction; a dry run only reports. Rows
/// about areas or people out of reach are rejected.
pub fn import_by(store: &Store, sheet: &Sheet, dry_run: bool, by: &By) -> Result<RowReport> {
    let columns = Columns::of(sheet)?;
    let outcome = store.transaction(|conn| {
        conn.batch_execute("LOCK TABLE duties IN SHARE ROW EXCLUSIVE MODE")?;
        let areas = KnownAreas::load(conn)?;
        let phones: HashMap<String, (Uuid, String)> = people::table
            .select((people::phone, (people::id, people::area_code)))
            .load(conn)?
            .into_iter()
            .collect();
        let held = load_held(conn)?;

        let mut report = RowReport { read: sheet.rows().len(), dry_run, ..RowReport::default() };
        // Ordered, so that two imports of one table write in the same order.
        let mut wanted = Wanted::new();
        for row in sheet.rows() {
            let (post, (person, home)) = match columns.duty(row, &phones) {
                Ok(duty) => duty,
                Err(remark) => {
                    report.rejected.push(remark);
                    continue;
                }
            };
            if !by.reach.holds(&post.0) || !by.reach.holds(home) {
                report.rejected.push(RowRemark::new(
                    row.number,
                    "other_area",
                    "不在您的辖区内",
                    "outside your area",
                ));
                continue;
            }
            if areas.can_tell(&post.0) && !areas.contains(&post.0) {
                report.warnings.push(RowRemark::new(
                    row.number,
                    "unknown_code",
                    format!("没有代码为 {} 的单元网格或村", post.0),
                    format!("no cell or village has the code {}", post.0),
                ));
            }
            report.accepted += 1;
            let is_held = held.get(&post).is_some_and(|holders| holders.contains_key(&person));
            let is_new = wanted.entry(post).or_default().insert(person);
            report.unchanged += usize::from(is_held || !is_new);
        }

        let change = Change::between(&wanted, &held);
        report.removed = change.gone.len();
        if !dry_run {
            change.write(conn, "duties.import", by)?;
        }
        Ok(report)
    });
    outcome?.usable()
}

/// Who shall hold each post that is named.
pub(super) type Wanted = BTreeMap<Post, HashSet<Uuid>>;

/// What has to be written for the posts named to be held as wanted.
pub(super) struct Change<'a> {
    /// Rows, each with what it said.
    pub gone: Vec<(i64, Post, Uuid)>,
    pub new: Vec<(&'a Post, Uuid)>,
}

impl<'a> Change<'a> {
    pub(super) fn between(wanted: &'a Wanted, held: &HashMap<Post, HashMap<Uuid, i64>>) -> Self {
        let mut change = Self { gone: Vec::new(), new: Vec::new() };
        for (post, holders) in wanted {
            let before = held.get(post);
            change.gone.extend(
                before
                    .into_iter()
                    .flatten()
                    .filter(|(person, _)| !holders.contains(person))
                    .map(|(person, id)| (*id, post.clone(), *person)),
            );
            let mut added: Vec<Uuid> = holders
                .iter()
                .filter(|&person| before.is_none_or(|before| !before.contains_key(person)))
                .copied()
                .collect();
            added.sort_unstable();
            change.new.extend(added.into_iter().map(|person| (post, person)));
        }
        change
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty()
    }

    /// Writes it, with one row of audit.
    pub(super) fn write(
        &self,
        conn: &mut PgConnection,
        action: &'static str,
        by: &By,
    ) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = self.gone.iter().map(|(id, ..)| *id).collect();
        for chunk in ids.chunks(CHUNK) {
            diesel::delete(duties::table.filter(duties::id.eq_any(chunk))).execute(conn)?;
        }
        let rows: Vec<_> = self
            .new
            .iter()
            .map(|((code, nature, rank), person_id)| NewDuty {
                code,
                person_id: *person_id,
                nature,
                rank,
            })
            .collect();
        for chunk in rows.chunks(CHUNK) {
            diesel::insert_into(duties::table).values(chunk).execute(conn)?;
        }
        let shown = |(code, nature, rank): &Post, person: Uuid| json!({"code": code, "nature": nature, "rank": rank, "person_id": person});
        let before: Value =
            self.gone.iter().map(|(_, post, person)| shown(post, *person)).collect();
        let after: Value = self.new.iter().map(|(post, person)| shown(post, *person)).collect();
        let entry = Entry {
            before: Some(before),
            after: Some(after),
            ..by.entry(action, "duties:".into())
        };
        audit::record(conn, &entry)?;
        notify::notify(conn, "people")
    }
}

/// Who holds what: post → person → row.
pub(super) fn load_held(conn: &mut PgConnection) -> Result<HashMap<Post, HashMap<Uuid, i64>>> {
    let rows: Vec<(i64, String, Uuid, String, String)> = duties::table
        .select((duties::id, duties::code, duties::person_id, duties::nature, duties::rank))
        .load(conn)?;
    let mut held: HashMap<Post, HashMap<Uuid, i64>> = HashMap::new();
    for (id, code, person, nature, rank) in rows {
        let (Some(nature), Some(rank)) = (DutyNature::parse(&nature), Rank::parse(&rank)) else {
            continue;
        };
        held.entry((code, nature.as_str(), rank.as_str())).or_default().insert(person, id);
    }
    Ok(held)
}

struct Columns {
    code: usize,
    phone: usize,
    nature: usize,
    rank: usize,
}

impl Columns {
    fn of(sheet: &Sheet) -> Result<Self> {
        Ok(Self {
            code: sheet.required(&["code", "代码", "编码", "网格代码"])?,
            phone: sheet.required(PHONE)?,
            nature: sheet.required(&["nature", "性质", "违法性质"])?,
            rank: sheet.required(&["rank", "级别", "主备"])?,
        })
    }

    fn duty<'a>(
        &self,
        row: &Row,
        phones: &'a HashMap<String, (Uuid, String)>,
    ) -> Result<(Post, (Uuid, &'a str)), RowRemark> {
        let refuse = |code, zh: &str, en: &str, text: &str| {
            RowRemark::new(row.number, code, format!("{zh} {text:?}"), format!("{en} {text:?}"))
        };
        let code = row.get(self.code);
        if !may_be_code(code) {
            return Err(refuse("bad_code", "代码不可用", "the code is unusable", code));
        }
        let text = row.get(self.nature);
        let nature = parse_nature(text)
            .ok_or_else(|| refuse("unknown_nature", "未知违法性质", "unknown nature", text))?;
        let text = row.get(self.rank);
        let rank = parse_rank(text)
            .ok_or_else(|| refuse("unknown_rank", "未知级别", "unknown rank", text))?;
        let phone = row.get(self.phone);
        let (person, home) = phones.get(phone).ok_or_else(|| {
            refuse("unknown_phone", "没有此手机号的人员", "nobody has the phone", phone)
        })?;
        Ok(((code.to_owned(), nature.as_str(), rank.as_str()), (*person, home.as_str())))
    }
}

/// Cells have 15 digits as a rule, but other lengths and letters occur.
pub(super) fn may_be_code(code: &str) -> bool {
    (6..=40).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn parse_nature(text: &str) -> Option<DutyNature> {
    DutyNature::parse(text).or(match text {
        "不限" | "全部" => Some(DutyNature::Any),
        "违法占地" => Some(DutyNature::IllegalLandUse),
        "违法建设" => Some(DutyNature::IllegalConstruction),
        _ => None,
    })
}

fn parse_rank(text: &str) -> Option<Rank> {
    Rank::parse(text).or(match text {
        "主" | "主责" => Some(Rank::Primary),
        "备" | "备岗" => Some(Rank::Backup),
        _ => None,
    })
}
