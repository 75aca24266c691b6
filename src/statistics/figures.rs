//! What every report is made of: columns, rows with sub-totals and a total, and for each figure
//! the list behind it. JSON, CSV, workbook and printed page are made of this one table.

use super::period::Period;
use crate::error::Language;
use crate::geometry::geodesic::MU_M2;
use crate::tiles::cases::CaseFilter;
use chrono::{DateTime, Utc};
use chrono_tz::Asia::Shanghai;
use serde_json::{Map, Value, json};

/// A text in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    pub zh: String,
    pub en: String,
}

impl Words {
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }

    pub fn pick(&self, language: Language) -> &str {
        language.pick(&self.zh, &self.en)
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// How many; adds up.
    Count,
    /// m²; adds up.
    Area,
    /// One column divided by another; none where that is 0.
    Rate { of: &'static str, out_of: &'static str },
    /// The sum of other columns, m².
    Sum(&'static [&'static str]),
    /// A share that cannot be worked out from this table.
    Share,
    /// One column less another: a rate's in percentage points.
    Change { of: &'static str, before: &'static str, share: bool },
}

impl Kind {
    /// Whether sub-totals are sums of the rows.
    pub fn adds_up(self) -> bool {
        matches!(self, Self::Count | Self::Area)
    }

    /// Whether it is m², which may be shown in mu.
    pub fn is_area(self) -> bool {
        matches!(self, Self::Area | Self::Sum(_))
    }
}

/// A column of figures.
#[derive(Debug, Clone)]
pub struct Column {
    /// The name in JSON and CSV.
    pub key: &'static str,
    pub title: Words,
    pub kind: Kind,
    /// The rows cannot give it, so totals are told apart and not summed.
    pub distinct: bool,
}

impl Column {
    pub fn new(key: &'static str, kind: Kind, zh: &str, en: &str) -> Self {
        Self { key, title: Words::new(zh, en), kind, distinct: false }
    }
}

/// What lies behind a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum List {
    /// So many cases of this filter.
    Cases(Box<CaseFilter>, u64),
    /// So many entries of another list: path and query.
    Other(String, u64),
}

impl List {
    fn json(&self) -> Value {
        match self {
            Self::Cases(filter, count) => json!({
                "path": "/api/v1/cases", "query": filter.to_query(), "count": count
            }),
            Self::Other(link, count) => {
                let (path, query) = link.split_once('?').unwrap_or((link, ""));
                json!({ "path": path, "query": query, "count": count })
            }
        }
    }
}

/// What a row is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RowKind {
    #[default]
    Unit,
    /// The sum of the units of a parent; the number tells how deep it groups, 0 the widest.
    Subtotal(usize),
    Total,
}

/// A row: who it is about, and its figures in the order of the columns.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub kind: RowKind,
    pub code: Option<String>,
    pub name: Option<String>,
    pub parent_code: Option<String>,
    /// Names of what holds it, widest first: one for each group column.
    pub groups: Vec<String>,
    /// The codes of the groups and its own.
    pub path: Vec<Option<String>>,
    /// Further texts, in the order of [`Report::texts`].
    pub texts: Vec<String>,
    /// NaN where there is none.
    pub values: Vec<f64>,
    /// How many entries are behind each figure.
    pub behind: Vec<u64>,
    pub lists: Vec<Option<List>>,
    /// Place in a ranking, where one was asked for.
    pub rank: Option<usize>,
}

/// The area a report is about.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    pub code: String,
    pub name: String,
    pub level: String,
}

/// What stands above and below the table.
#[derive(Debug, Clone)]
pub struct Head {
    pub title: Words,
    pub as_of: DateTime<Utc>,
    /// The boundary version.
    pub generation: u64,
    pub area: Subject,
    pub level: &'static str,
    pub period: Period,
    /// Filters beside area, level and period, as a query string.
    pub filter: String,
    /// The formulas and what else a reader must know.
    pub foot: Vec<Words>,
}

/// A report.
#[derive(Debug, Clone)]
pub struct Report {
    pub head: Head,
    /// Titles of the group columns, of the name column, and of further texts with their keys.
    pub groups: Vec<Words>,
    pub name: Words,
    pub texts: Vec<(&'static str, Words)>,
    pub columns: Vec<Column>,
    /// In the order in which they are printed, sub-totals behind their units.
    pub rows: Vec<Row>,
    pub total: Row,
    /// The period compared with.
    pub before: Option<Period>,
}

impl Report {
    /// Position of a column.
    pub fn column(&self, key: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.key == key)
    }

    /// Puts sub-totals behind the units of each parent and the total below, and works out what
    /// follows from other columns. The rows are units in order, with all their groups.
    pub fn finish(&mut self) {
        let depth = self.groups.len();
        let units = std::mem::take(&mut self.rows);

        let mut rows: Vec<Row> = Vec::with_capacity(units.len() + units.len() / 8);
        let mut open: Vec<Option<Row>> = vec![None; depth];
        let mut total = Row { kind: RowKind::Total, ..self.empty_row() };
        for unit in units {
            let mut changed = false;
            for level in 0..depth {
                let same = open[level].as_ref().is_some_and(|sub| {
                    let path = unit.path.iter().take(level + 1);
                    sub.groups[..=level] == unit.groups[..=level] && sub.path.iter().eq(path)
                });
                if changed || !same {
                    changed = true;
                }
                if changed && open[level].is_some() {
                    // The deeper ones first.
                    for closing in (level..depth).rev() {
                        rows.extend(open[closing].take());
                    }
                }
            }
            for (level, slot) in open.iter_mut().enumerate() {
                let sub = slot.get_or_insert_with(|| Row {
                    kind: RowKind::Subtotal(level),
                    code: unit.path.get(level).cloned().flatten(),
                    name: unit.groups.get(level).cloned(),
                    parent_code: level.checked_sub(1).and_then(|up| unit.path.get(up).cloned()?),
                    groups: unit.groups[..=level].to_vec(),
                    path: unit.path.iter().take(level + 1).cloned().collect(),
                    ..empty_row(self.columns.len())
                });
                add(&self.columns, sub, &unit);
            }
            add(&self.columns, &mut total, &unit);
            rows.push(unit);
        }
        for closing in (0..depth).rev() {
            rows.extend(open[closing].take());
        }
        for row in rows.iter_mut().chain([&mut total]) {
            derive(&self.columns, row);
        }
        self.rows = rows;
        self.total = total;
    }

    /// Gives each figure of every row its list; none where nothing is behind it.
    pub fn link(&mut self, list: impl Fn(&Row, &Column, u64) -> Option<List>) {
        for row in self.rows.iter_mut().chain([&mut self.total]) {
            let lists = self.columns.iter().zip(&row.behind);
            row.lists = lists.map(|(column, behind)| list(row, column, *behind)).collect();
        }
    }

    /// A row of zeros.
    pub fn empty_row(&self) -> Row {
        empty_row(self.columns.len())
    }

    /// The units, without sub-totals.
    pub fn units(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.kind == RowKind::Unit)
    }

    /// Adds to chosen columns what they were in another period, and the change.
    pub fn compare(
        &mut self,
        before: &Report,
        keys: &[(&'static str, &'static str, &'static str)],
    ) {
        for &(key, before_key, change_key) in keys {
            let (Some(own), Some(other)) = (self.column(key), before.column(key)) else { continue };
            let column = self.columns[own].clone();
            let share = matches!(column.kind, Kind::Rate { .. } | Kind::Share);
            let kind = match column.kind {
                Kind::Rate { .. } => Kind::Share,
                Kind::Sum(_) => Kind::Area,
                kind => kind,
            };
            let title = |zh: &str, en: &str| {
                Words::new(format!("{zh}{}", column.title.zh), format!("{} {en}", column.title.en))
            };
            let change = Kind::Change { of: key, before: before_key, share };
            self.columns.push(Column {
                key: before_key,
                title: title("上期", "before"),
                kind,
                distinct: false,
            });
            self.columns.push(Column {
                key: change_key,
                title: title("增减：", "change"),
                kind: change,
                distinct: false,
            });
            let rows = before.rows.iter().chain([&before.total]);
            let known: std::collections::HashMap<_, f64> =
                rows.map(|row| (identity(row), row.values[other])).collect();
            for row in self.rows.iter_mut().chain([&mut self.total]) {
                let nothing = if share { f64::NAN } else { 0.0 };
                let was = known.get(&identity(row)).copied().unwrap_or(nothing);
                let now = row.values[own];
                row.values.extend([was, now - was]);
                row.lists.extend([None, None]);
                row.behind.extend([0, 0]);
            }
        }
        self.before = Some(before.head.period);
    }

    /// Sorts the units by a column, the largest first, and numbers them; equals share a place.
    pub fn rank(&mut self, key: &str) {
        let Some(column) = self.column(key) else { return };
        self.rows.retain(|row| row.kind == RowKind::Unit);
        let value = |row: &Row| if row.values[column].is_nan() { -1.0 } else { row.values[column] };
        self.rows.sort_by(|a, b| value(b).total_cmp(&value(a)));
        let mut last = (0, f64::NAN);
        for (index, row) in self.rows.iter_mut().enumerate() {
            let own = value(row);
            if own != last.1 {
                last = (index + 1, own);
            }
            row.rank = Some(last.0);
        }
    }

    /// The JSON of the contract.
    pub fn json(&self, language: Language) -> Value {
        let head = &self.head;
        let (units, subtotals): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().partition(|row| row.kind == RowKind::Unit);
        let columns: Vec<Value> = self
            .columns
            .iter()
            .map(|column| {
                json!({
                    "key": column.key,
                    "title": column.title.pick(language),
                    "kind": match column.kind {
                        Kind::Count => "count",
                        Kind::Area | Kind::Sum(_) => "area",
                        Kind::Rate { .. } | Kind::Share => "rate",
                        Kind::Change { .. } => "change",
                    },
                })
            })
            .collect();
        json!({
            "title": head.title.pick(language),
            "as_of": head.as_of,
            "generation": head.generation,
            "area": {"code": head.area.code, "name": head.area.name, "level": head.area.level},
            "level": head.level,
            "from": head.period.from,
            "to": head.period.to,
            "before": self.before,
            "filter": head.filter,
            "columns": columns,
            "rows": units.into_iter().map(|row| self.row_json(row)).collect::<Vec<_>>(),
            "subtotals": subtotals.into_iter().map(|row| self.row_json(row)).collect::<Vec<_>>(),
            "total": self.row_json(&self.total),
            "foot": head.foot.iter().map(|words| words.pick(language)).collect::<Vec<_>>(),
        })
    }

    fn row_json(&self, row: &Row) -> Value {
        let mut object = Map::new();
        object.insert("code".into(), json!(row.code));
        object.insert("name".into(), json!(row.name));
        object.insert("parent_code".into(), json!(row.parent_code));
        if !row.groups.is_empty() {
            object.insert("groups".into(), json!(row.groups));
        }
        if let Some(rank) = row.rank {
            object.insert("rank".into(), json!(rank));
        }
        for ((key, _), text) in self.texts.iter().zip(&row.texts) {
            object.insert((*key).into(), json!(text));
        }
        let (mut mu, mut lists) = (Map::new(), Map::new());
        for ((column, value), list) in self.columns.iter().zip(&row.values).zip(&row.lists) {
            object.insert(column.key.into(), number(column.kind, *value));
            if column.kind.is_area() {
                mu.insert(column.key.into(), json!(value / MU_M2));
            }
            if let Some(list) = list {
                lists.insert(column.key.into(), list.json());
            }
        }
        if !mu.is_empty() {
            object.insert("mu".into(), mu.into());
        }
        object.insert("lists".into(), lists.into());
        object.into()
    }
}

impl Head {
    /// The moment of the figures in local time.
    pub fn as_of_text(&self) -> String {
        self.as_of.with_timezone(&Shanghai).format("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The line under the title: area, period.
    pub fn period_line(&self, language: Language) -> String {
        let (zh, en) = self.period.words();
        language
            .pick(
                &format!("统计范围：{}　统计期间：{zh}", self.area.name),
                &format!("Area: {} · Period: {en}", self.area.name),
            )
            .to_string()
    }

    /// As of which moment and which boundary version.
    pub fn as_of_line(&self, language: Language) -> String {
        language
            .pick(
                &format!(
                    "数据截至：{}（北京时间）　边界版本：{}",
                    self.as_of_text(),
                    self.generation
                ),
                &format!(
                    "As of {} (+08:00) · boundary version {}",
                    self.as_of_text(),
                    self.generation
                ),
            )
            .to_string()
    }
}

fn number(kind: Kind, value: f64) -> Value {
    match kind {
        Kind::Count => json!(value as i64),
        Kind::Change { share: false, .. } if value.fract() == 0.0 => json!(value as i64),
        _ if value.is_nan() => Value::Null,
        _ => json!(value),
    }
}

fn identity(row: &Row) -> (u8, Option<String>, Option<String>, Vec<String>, Vec<String>) {
    let kind = match row.kind {
        RowKind::Unit => 0,
        RowKind::Subtotal(_) => 1,
        RowKind::Total => 2,
    };
    let names = if row.code.is_none() { row.texts.clone() } else { Vec::new() };
    (kind, row.code.clone(), row.parent_code.clone(), row.groups.clone(), names)
}

fn empty_row(columns: usize) -> Row {
    Row {
        values: vec![0.0; columns],
        behind: vec![0; columns],
        lists: vec![None; columns],
        ..Row::default()
    }
}

fn add(columns: &[Column], sum: &mut Row, row: &Row) {
    for (index, column) in columns.iter().enumerate() {
        if column.kind.adds_up() {
            sum.values[index] += row.values[index];
        }
        sum.behind[index] += row.behind[index];
    }
}

/// Works out the columns that follow from others.
pub(super) fn derive(columns: &[Column], row: &mut Row) {
    let find = |key: &str| columns.iter().position(|column| column.key == key);
    for (index, column) in columns.iter().enumerate() {
        match column.kind {
            Kind::Rate { of, out_of } => {
                let value = |key| find(key).map_or(f64::NAN, |i| row.values[i]);
                let (of, out_of) = (value(of), value(out_of));
                row.values[index] = if out_of > 0.0 { of / out_of } else { f64::NAN };
            }
            Kind::Sum(keys) => {
                let parts = keys.iter().filter_map(|key| find(key));
                row.values[index] = parts.map(|i| row.values[i]).sum();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(units: &[(&str, &str, &str, f64, f64)]) -> Report {
        let day = "2026-01-01".parse().unwrap();
        let columns = vec![
            Column::new("closed", Kind::Count, "结案", "closed"),
            Column::new("due", Kind::Count, "应结案", "due"),
            Column::new("rate", Kind::Rate { of: "closed", out_of: "due" }, "结案率", "rate"),
        ];
        let mut report = Report {
            head: Head {
                title: Words::default(),
                as_of: Utc::now(),
                generation: 1,
                area: Subject::default(),
                level: "village",
                period: Period::new(day, day).unwrap(),
                filter: String::new(),
                foot: vec![],
            },
            groups: vec![Words::default(), Words::default()],
            name: Words::default(),
            texts: vec![],
            columns,
            rows: vec![],
            total: Row::default(),
            before: None,
        };
        report.rows = units
            .iter()
            .map(|(district, town, village, closed, due)| Row {
                code: Some((*village).into()),
                groups: vec![(*district).into(), (*town).into()],
                values: vec![*closed, *due, 0.0],
                behind: vec![0; 3],
                lists: vec![None; 3],
                ..Row::default()
            })
            .collect();
        report.finish();
        report
    }

    #[test]
    fn sub_totals_follow_their_units_and_rates_follow_the_sums() {
        let report = report(&[
            ("a", "a1", "1", 1.0, 2.0),
            ("a", "a1", "2", 1.0, 1.0),
            ("a", "a2", "3", 0.0, 0.0),
            ("b", "b1", "4", 3.0, 4.0),
        ]);
        let kinds: Vec<_> = report.rows.iter().map(|row| row.kind).collect();
        use RowKind::{Subtotal, Unit};
        assert_eq!(
            kinds,
            [
                Unit,
                Unit,
                Subtotal(1),
                Unit,
                Subtotal(1),
                Subtotal(0),
                Unit,
                Subtotal(1),
                Subtotal(0)
            ]
        );
        assert_eq!(report.rows[5].values, [2.0, 3.0, 2.0 / 3.0]);
        assert!(report.rows[3].values[2].is_nan());
        assert_eq!(report.total.values, [5.0, 7.0, 5.0 / 7.0]);
        assert_eq!(report.json(Language::English)["rows"][2]["rate"], Value::Null);
    }

    #[test]
    fn a_comparison_finds_the_row_it_belongs_to() {
        let mut now = report(&[("a", "a1", "1", 5.0, 5.0), ("a", "a1", "2", 1.0, 1.0)]);
        let before = report(&[("a", "a1", "2", 4.0, 8.0)]);
        now.compare(
            &before,
            &[("closed", "closed_before", "closed_change"), ("rate", "rate_before", "rate_change")],
        );
        assert_eq!(now.rows[1].values, [1.0, 1.0, 1.0, 4.0, -3.0, 0.5, 0.5]);
        assert_eq!(now.rows[0].values[3..5], [0.0, 5.0]);
        assert_eq!(now.total.values[3..5], [4.0, 2.0]);
    }

    #[test]
    fn ranks_share_a_place_and_drop_sub_totals() {
        let mut report = report(&[
            ("a", "a1", "1", 1.0, 1.0),
            ("a", "a1", "2", 3.0, 3.0),
            ("b", "b1", "3", 3.0, 3.0),
        ]);
        report.rank("closed");
        let ranks: Vec<_> = report.rows.iter().map(|r| (r.rank, r.code.clone())).collect();
        assert_eq!(ranks[0].0, Some(1));
        assert_eq!(ranks[1].0, Some(1));
        assert_eq!(ranks[2], (Some(3), Some("1".into())));
    }
}
