//! What an administrator can set without a restart: typed, with defaults, checked before it counts.

use super::alarms::CriminalThresholds;
use super::calendar::Holidays;
use super::clock::day_of;
use super::deadlines::Deadlines;
use super::dispatch::FoundBy;
use super::messages;
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, NaiveDate, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// Declares the settings: field, key and type of each.
macro_rules! settings {
    ($($(#[$doc:meta])* $key:ident: $kind:ty,)+) => {
        /// Every setting, as in force.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings { $($(#[$doc])* pub $key: $kind,)+ }

        /// The keys, as the API and the store name them.
        pub const KEYS: &[&str] = &[$(stringify!($key)),+];

        impl Settings {
            /// The value of a key as JSON; none for an unknown key.
            pub fn value(&self, key: &str) -> Option<Value> {
                match key {
                    $(stringify!($key) => serde_json::to_value(&self.$key).ok(),)+
                    _ => None,
                }
            }

            /// Puts a value in the place of another, if it is well-formed and makes sense.
            pub fn set(&mut self, key: &str, value: &Value) -> Result<()> {
                match key {
                    $(stringify!($key) => {
                        let value: $kind = read(key, value)?;
                        value.check().map_err(|wrong| wrong.of(key))?;
                        self.$key = value;
                    })+
                    _ => return Err(unknown_key()),
                }
                Ok(())
            }
        }
    };
}

settings! {
    /// By when each step is due, reminders, escalation.
    deadlines: Deadlines,
    /// The holiday table behind working days.
    holidays: Holidays,
    /// When an open case may be the same find.
    duplicates: DuplicateRule,
    /// From which areas a taking is criminal, with validity dates.
    criminal_thresholds: Vec<DatedThresholds>,
    /// The yearly target of demolition by area, m².
    demolition_targets: Vec<DemolitionTarget>,
    /// Lists that people choose from.
    dictionaries: BTreeMap<String, Vec<DictionaryEntry>>,
    /// How far outside the cells a position may lie and still get a place, metres.
    nearest_within_m: f64,
    /// Texts of messages by their kind; where none is set, the built-in one holds.
    message_templates: BTreeMap<String, MessageTemplate>,
    /// Who is told besides those whom an event concerns.
    standing_recipients: Vec<StandingRecipient>,
    /// Where SMS and e-mail go out.
    webhook: Webhook,
    /// Illegally taken cultivated land against what construction took.
    occupation_ratio: OccupationRatio,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadlines: Deadlines::default(),
            holidays: Holidays::default(),
            duplicates: DuplicateRule::default(),
            criminal_thresholds: vec![DatedThresholds::default()],
            demolition_targets: Vec::new(),
            dictionaries: default_dictionaries(),
            nearest_within_m: 2_000.0,
            message_templates: BTreeMap::new(),
            standing_recipients: Vec::new(),
            webhook: Webhook::default(),
            occupation_ratio: OccupationRatio::default(),
        }
    }
}

impl Settings {
    /// The criminal thresholds in force at a time.
    pub fn thresholds_at(&self, time: DateTime<Utc>) -> CriminalThresholds {
        let day = day_of(time);
        self.criminal_thresholds
            .iter()
            .filter(|t| t.from <= day && t.to.is_none_or(|to| day <= to))
            .max_by_key(|t| t.from)
            .map(|t| CriminalThresholds {
                basic_farmland_m2: t.basic_farmland_m2,
                cultivated_m2: t.cultivated_m2,
            })
            .unwrap_or_default()
    }
}

/// When an open case may be the same find as a new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DuplicateRule {
    /// Metres.
    pub within_m: f64,
    /// Reported at most so many days before.
    pub within_days: u32,
    /// Only of the same nature (`both` is the same as either).
    pub same_nature: bool,
}

impl Default for DuplicateRule {
    fn default() -> Self {
        Self { within_m: 50.0, within_days: 30, same_nature: true }
    }
}

/// Criminal thresholds with the days on which they hold, both ends included; the latest that has
/// begun counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatedThresholds {
    pub from: NaiveDate,
    #[serde(default)]
    pub to: Option<NaiveDate>,
    pub basic_farmland_m2: f64,
    pub cultivated_m2: f64,
}

impl Default for DatedThresholds {
    fn default() -> Self {
        let CriminalThresholds { basic_farmland_m2, cultivated_m2 } = CriminalThresholds::default();
        // 法释〔2000〕14号 holds since 22 June 2000; past cases before it are counted alike.
        let from = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default();
        Self { from, to: None, basic_farmland_m2, cultivated_m2 }
    }
}

/// What an area is to demolish in a year.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DemolitionTarget {
    pub area: String,
    pub year: i32,
    pub target_m2: f64,
}

/// One choice of a dictionary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DictionaryEntry {
    pub code: String,
    pub zh: String,
    pub en: String,
    /// Shown in old cases, but no longer offered.
    #[serde(default)]
    pub retired: bool,
}

/// A message's text in both languages, with placeholders in braces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageTemplate {
    pub zh: String,
    pub en: String,
}

/// Somebody who is told of every event of a kind in an area: a person or a department.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StandingRecipient {
    /// The kind of message.
    pub kind: String,
    /// Code of the area whose events these are.
    pub area: String,
    #[serde(default)]
    pub person: Option<Uuid>,
    #[serde(default)]
    pub department: Option<String>,
}

/// Where SMS and e-mail go out: none without an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Webhook {
    pub url: Option<String>,
    /// Signs what is sent (HMAC-SHA256). Written only: answers show [`Webhook::KEPT`] instead, and
    /// sending that back keeps the secret.
    pub secret: Option<String>,
    /// The kinds of messages that go out; all where empty.
    pub kinds: Vec<String>,
    /// As what they go out.
    pub channels: Vec<Channel>,
}

impl Default for Webhook {
    fn default() -> Self {
        Self { url: None, secret: None, kinds: Vec::new(), channels: vec![Channel::Sms] }
    }
}

/// A way out of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Sms,
    Email,
}

impl Channel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
        }
    }
}

impl Webhook {
    /// Stands for a secret that is not shown.
    pub const KEPT: &str = "********";
}

/// From which ratio the leader of an area is answerable, and what is needed to know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OccupationRatio {
    /// 0.15 by 15号令 (监察部、人力资源和社会保障部、国土资源部令第15号) art. 3.
    pub answerable_from: f64,
    /// Cultivated land that new construction took, by area and year.
    pub taken_by_construction: Vec<TakenByConstruction>,
}

impl Default for OccupationRatio {
    fn default() -> Self {
        Self { answerable_from: 0.15, taken_by_construction: Vec::new() }
    }
}

/// Cultivated land that new construction took in an area in a year, m².
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakenByConstruction {
    pub area: String,
    pub year: i32,
    pub cultivated_m2: f64,
}

fn default_dictionaries() -> BTreeMap<String, Vec<DictionaryEntry>> {
    let list = |entries: &[(&str, &str, &str)]| {
        entries
            .iter()
            .map(|(code, zh, en)| DictionaryEntry {
                code: code.to_string(),
                zh: zh.to_string(),
                en: en.to_string(),
                retired: false,
            })
            .collect::<Vec<_>>()
    };
    BTreeMap::from([
        (
            "use".to_string(),
            list(&[
                ("homestead", "住宅", "homestead"),
                ("factory", "厂房", "factory"),
                ("mine", "采矿", "mine"),
                ("farm_shed", "农业设施", "farm shed"),
                ("storage_yard", "堆场", "storage yard"),
                ("graves", "坟墓", "graves"),
                ("roof_storey", "屋顶加层", "roof storey"),
                ("other", "其他", "other"),
            ]),
        ),
        (
            "authority".to_string(),
            list(&[
                ("natural_resources", "自然资源局", "natural resources bureau"),
                ("urban_management", "城市管理局", "urban management bureau"),
                ("agriculture", "农业农村局", "agriculture bureau"),
                ("forestry", "林业局", "forestry bureau"),
                ("water", "水利局", "water bureau"),
                ("transport", "交通运输局", "transport bureau"),
                ("public_security", "公安局", "public security bureau"),
            ]),
        ),
    ])
}

fn unknown_key() -> Fault {
    Fault::not_found("没有这个设置项", "There is no such setting")
}

fn read<T: DeserializeOwned>(key: &str, value: &Value) -> Result<T> {
    T::deserialize(value).map_err(|error| Wrong::new("", error.to_string()).of(key))
}

/// What is wrong with a value: the field (dotted) and why, in English as all field details are.
struct Wrong {
    field: String,
    detail: String,
}

impl Wrong {
    fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into() }
    }

    fn of(self, key: &str) -> Fault {
        let field =
            if self.field.is_empty() { key.into() } else { format!("{key}.{}", self.field) };
        Fault::new(
            FaultKind::Invalid,
            "invalid",
            format!("设置项有误：{field}"),
            format!("The setting is wrong: {field}: {}", self.detail),
        )
        .field(field, self.detail)
    }
}

/// Refuses what is well-formed but makes no sense.
trait Check {
    fn check(&self) -> Result<(), Wrong>;
}

/// No list of settings is longer.
const MOST_ENTRIES: usize = 10_000;
const MOST_TEXT: usize = 2_000;

fn text(field: &str, value: &str) -> Result<(), Wrong> {
    if value.trim().is_empty() || value.chars().count() > MOST_TEXT || value.contains('\0') {
        return Err(Wrong::new(field, format!("1 to {MOST_TEXT} characters")));
    }
    Ok(())
}

fn message_kind(field: &str, value: &str) -> Result<messages::Kind, Wrong> {
    messages::Kind::parse(value).ok_or_else(|| Wrong::new(field, "a kind of message"))
}

fn code(field: &str, value: &str) -> Result<(), Wrong> {
    if !(4..=20).contains(&value.len()) || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Wrong::new(field, "the code of an area"));
    }
    Ok(())
}

fn number(field: &str, value: f64, range: std::ops::RangeInclusive<f64>) -> Result<(), Wrong> {
    if !value.is_finite() || !range.contains(&value) {
        return Err(Wrong::new(field, format!("{} to {}", range.start(), range.end())));
    }
    Ok(())
}

fn year(field: &str, value: i32) -> Result<(), Wrong> {
    number(field, value.into(), 1990.0..=2200.0)
}

fn length(field: &str, entries: usize) -> Result<(), Wrong> {
    if entries > MOST_ENTRIES {
        return Err(Wrong::new(field, format!("at most {MOST_ENTRIES} entries")));
    }
    Ok(())
}

fn each<T>(
    list: &[T],
    field: &str,
    check: impl Fn(&T, &dyn Fn(&str) -> String) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    length(field, list.len())?;
    for (index, entry) in list.iter().enumerate() {
        check(entry, &|name| format!("{field}[{index}].{name}"))?;
    }
    Ok(())
}

fn unique<K: std::hash::Hash + Eq>(
    keys: impl Iterator<Item = K>,
    field: &str,
) -> Result<(), Wrong> {
    let mut seen = HashSet::new();
    for (index, key) in keys.enumerate() {
        if !seen.insert(key) {
            return Err(Wrong::new(format!("{field}[{index}]"), "given twice"));
        }
    }
    Ok(())
}

impl Check for Deadlines {
    fn check(&self) -> Result<(), Wrong> {
        each(&self.rules, "rules", |rule, at| {
            if let Some(area) = &rule.area {
                code(&at("area"), area)?;
            }
            let lengths = [rule.hours, rule.days.map(|d| d.saturating_mul(24)), rule.working_days];
            let mut given = lengths.into_iter().flatten();
            match (given.next(), given.next()) {
                (Some(length), None) => number(&at("length"), length.into(), 1.0..=87_600.0),
                _ => Err(Wrong::new(at("length"), "one of hours, days, working_days")),
            }
        })?;
        unique(self.rules.iter().map(|r| (r.step, &r.area, r.nature)), "rules")?;
        number("remind_before_hours", self.remind_before_hours.into(), 0.0..=720.0)?;
        each(&self.escalations, "escalations", |escalation, at| {
            if escalation.level == FoundBy::Cell {
                return Err(Wrong::new(at("level"), "village or above"));
            }
            number(&at("after_hours"), escalation.after_hours.into(), 0.0..=87_600.0)
        })?;
        if self.escalations.len() > 10 {
            return Err(Wrong::new("escalations", "at most 10"));
        }
        if !self.escalations.is_sorted_by_key(|e| e.after_hours) {
            return Err(Wrong::new("escalations", "in the order of after_hours"));
        }
        Ok(())
    }
}

impl Check for Holidays {
    fn check(&self) -> Result<(), Wrong> {
        each(&self.off, "off", |holiday, at| {
            text(&at("name"), &holiday.name)?;
            let days = (holiday.to - holiday.from).num_days();
            if !(0..=366).contains(&days) {
                return Err(Wrong::new(at("to"), "not before from, and at most a year"));
            }
            Ok(())
        })?;
        length("worked", self.worked.len())?;
        unique(self.worked.iter(), "worked")
    }
}

impl Check for DuplicateRule {
    fn check(&self) -> Result<(), Wrong> {
        number("within_m", self.within_m, 0.0..=2_000.0)?;
        number("within_days", self.within_days.into(), 0.0..=3_660.0)
    }
}

impl Check for Vec<DatedThresholds> {
    fn check(&self) -> Result<(), Wrong> {
        if self.is_empty() {
            return Err(Wrong::new("", "at least one entry"));
        }
        each(self, "", |one, at| {
            number(&at("basic_farmland_m2"), one.basic_farmland_m2, 1.0..=1e9)?;
            number(&at("cultivated_m2"), one.cultivated_m2, 1.0..=1e9)?;
            if one.to.is_some_and(|to| to < one.from) {
                return Err(Wrong::new(at("to"), "not before from"));
            }
            Ok(())
        })?;
        unique(self.iter().map(|one| one.from), "")
    }
}

impl Check for Vec<DemolitionTarget> {
    fn check(&self) -> Result<(), Wrong> {
        each(self, "", |target, at| {
            code(&at("area"), &target.area)?;
            year(&at("year"), target.year)?;
            number(&at("target_m2"), target.target_m2, 0.0..=1e12)
        })?;
        unique(self.iter().map(|t| (&t.area, t.year)), "")
    }
}

impl Check for BTreeMap<String, Vec<DictionaryEntry>> {
    fn check(&self) -> Result<(), Wrong> {
        length("", self.len())?;
        for (name, entries) in self {
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let usable = |name: &str| (1..=40).contains(&name.len()) && name.chars().all(is_name);
            if !usable(name) {
                return Err(Wrong::new(name.clone(), "a-z, 0-9 and _, at most 40"));
            }
            each(entries, name, |entry, at| {
                if !usable(&entry.code) {
                    return Err(Wrong::new(at("code"), "a-z, 0-9 and _, at most 40"));
                }
                text(&at("zh"), &entry.zh)?;
                text(&at("en"), &entry.en)
            })?;
            unique(entries.iter().map(|e| &e.code), name)?;
        }
        Ok(())
    }
}

impl Check for f64 {
    fn check(&self) -> Result<(), Wrong> {
        number("", *self, 0.0..=20_000.0)
    }
}

impl Check for BTreeMap<String, MessageTemplate> {
    fn check(&self) -> Result<(), Wrong> {
        for (kind, template) in self {
            let known = message_kind(kind, kind)?;
            for (language, template) in [("zh", &template.zh), ("en", &template.en)] {
                messages::check(known, template)
                    .map_err(|wrong| Wrong::new(format!("{kind}.{language}"), wrong))?;
            }
        }
        length("", self.len())
    }
}

impl Check for Vec<StandingRecipient> {
    fn check(&self) -> Result<(), Wrong> {
        each(self, "", |one, at| {
            message_kind(&at("kind"), &one.kind)?;
            code(&at("area"), &one.area)?;
            match (&one.person, &one.department) {
                (Some(_), None) => Ok(()),
                (None, Some(department)) => text(&at("department"), department),
                _ => Err(Wrong::new(at("person"), "a person or a department")),
            }
        })
    }
}

impl Check for Webhook {
    fn check(&self) -> Result<(), Wrong> {
        if let Some(url) = &self.url {
            text("url", url)?;
            if !(url.starts_with("https://") || url.starts_with("http://")) {
                return Err(Wrong::new("url", "http:// or https://"));
            }
            if self.secret.as_deref().is_none_or(|secret| secret.len() < 8) {
                return Err(Wrong::new("secret", "at least 8 characters"));
            }
        }
        if let Some(secret) = &self.secret {
            text("secret", secret)?;
        }
        each(&self.kinds, "kinds", |kind, at| message_kind(&at("kind"), kind).map(|_| ()))?;
        unique(self.channels.iter(), "channels")
    }
}

impl Check for OccupationRatio {
    fn check(&self) -> Result<(), Wrong> {
        number("answerable_from", self.answerable_from, 0.001..=1.0)?;
        let field = "taken_by_construction";
        each(&self.taken_by_construction, field, |one, at| {
            code(&at("area"), &one.area)?;
            year(&at("year"), one.year)?;
            number(&at("cultivated_m2"), one.cultivated_m2, 0.0..=1e12)
        })?;
        unique(self.taken_by_construction.iter().map(|one| (&one.area, one.year)), field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_default_is_a_value_that_could_be_set() {
        let defaults = Settings::default();
        let mut settings = Settings::default();
        for key in KEYS {
            let value = defaults.value(key).unwrap();
            settings.set(key, &value).unwrap_or_else(|fault| panic!("{key}: {fault}"));
        }
        assert_eq!(settings, defaults);
        assert_eq!(settings.value("password"), None);
        assert!(settings.set("password", &json!(1)).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field() {
        let rule = |more: Value| {
            let mut rule = json!({"step": "stop"});
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"rules": [rule], "remind_before_hours": 6, "escalations": []})
        };
        for (key, value, field) in [
            ("deadlines", rule(json!({})), "deadlines.rules[0].length"),
            ("deadlines", rule(json!({"hours": 1, "days": 1})), "deadlines.rules[0].length"),
            ("deadlines", rule(json!({"hours": 0})), "deadlines.rules[0].length"),
            ("deadlines", rule(json!({"hours": 1, "area": "x"})), "deadlines.rules[0].area"),
            ("deadlines", rule(json!({"hours": 1, "unknown": 1})), "deadlines"),
            (
                "holidays",
                json!({"off": [{"from": "2026-01-03", "to": "2026-01-01", "name": "x"}]}),
                "holidays.off[0].to",
            ),
            (
                "duplicates",
                json!({"within_m": -1, "within_days": 30, "same_nature": true}),
                "duplicates.within_m",
            ),
            ("criminal_thresholds", json!([]), "criminal_thresholds"),
            (
                "demolition_targets",
                json!([{"area": "350300", "year": 26, "target_m2": 1}]),
                "demolition_targets.[0].year",
            ),
            ("dictionaries", json!({"Use": []}), "dictionaries.Use"),
            ("nearest_within_m", json!(1e9), "nearest_within_m"),
            ("nearest_within_m", json!("2000"), "nearest_within_m"),
            (
                "message_templates",
                json!({"closed": {"zh": "", "en": "x"}}),
                "message_templates.closed.zh",
            ),
            (
                "standing_recipients",
                json!([{"kind": "closed", "area": "350300"}]),
                "standing_recipients.[0].person",
            ),
            ("webhook", json!({"url": "file:///etc/passwd", "secret": "12345678"}), "webhook.url"),
            ("webhook", json!({"url": "https://sms.example/", "secret": "1"}), "webhook.secret"),
            (
                "occupation_ratio",
                json!({"answerable_from": 0, "taken_by_construction": []}),
                "occupation_ratio.answerable_from",
            ),
        ] {
            let fault = Settings::default().set(key, &value).expect_err(key);
            assert_eq!(fault.fields[0].field, field, "{fault}");
        }
    }

    #[test]
    fn the_thresholds_that_began_last_count() {
        let mut settings = Settings::default();
        let dated = json!([
            {"from": "2000-01-01", "basic_farmland_m2": 3333.0, "cultivated_m2": 6667.0},
            {"from": "2026-07-01", "to": "2026-12-31", "basic_farmland_m2": 2000.0, "cultivated_m2": 4000.0}]);
        settings.set("criminal_thresholds", &dated).unwrap();
        let at = |text: &str| {
            let time = DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc);
            settings.thresholds_at(time).basic_farmland_m2
        };
        assert_eq!(at("2026-06-30T23:59:59+08:00"), 3333.0);
        assert_eq!(at("2026-07-01T00:00:00+08:00"), 2000.0);
        assert_eq!(at("2026-12-31T23:00:00+08:00"), 2000.0);
        assert_eq!(at("2027-01-01T00:00:00+08:00"), 3333.0);
    }
}
