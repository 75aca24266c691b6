//! What messages say: a text for each kind in each language, with placeholders in braces. An
//! administrator may put others in their place (setting `message_templates`).

use super::facts::Facts;
use super::kind::Kind;
use crate::enforcement::settings::MessageTemplate;
use crate::error::{Fault, Language, Result};
use std::collections::BTreeMap;

/// Texts that stand in for built-in ones, by the name of their kind.
pub type Overrides = BTreeMap<String, MessageTemplate>;

/// A longer text is no message.
const MOST_CHARACTERS: usize = 1000;

/// What stands for a fact that nobody knows.
const UNKNOWN: &str = "—";

const CASE: [&str; 14] = [
    "name",
    "number",
    "place",
    "nature",
    "party",
    "area",
    "responsible",
    "actor",
    "reason",
    "text",
    "deadline",
    "step",
    "to",
    "alarm",
];
const TASK: [&str; 7] = ["name", "actor", "title", "text", "deadline", "number", "place"];

/// The placeholders that a kind of message knows.
pub fn placeholders(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::TaskGiven | Kind::TaskReported | Kind::TaskClosed => &TASK,
        Kind::Reply => &["name", "actor", "text", "number"],
        Kind::PublicReport => &["name", "place", "text"],
        Kind::ReportReady => &["name", "title"],
        _ => &CASE,
    }
}

/// The built-in text.
pub fn built_in(kind: Kind, language: Language) -> &'static str {
    let (zh, en) = match kind {
        Kind::Dispatched => (
            "{name}，您好：{place}发现{nature}（案件 {number}）。当事人：{party}；面积：{area}。请尽快处理。",
            "Hello {name}: {nature} was found in {place} (case {number}). Party: {party}; area: {area}. Please handle it soon.",
        ),
        Kind::DispatchedLeaders => (
            "{name}，您好：{place}发现{nature}（案件 {number}）。当事人：{party}；面积：{area}。包干责任人：{responsible}。请组织处理。",
            "Hello {name}: {nature} was found in {place} (case {number}). Party: {party}; area: {area}. Responsible: {responsible}. Please organise its handling.",
        ),
        Kind::Reassigned => (
            "{name}，您好：{place}的{nature}案件 {number} 已由{actor}改派给{to}。当事人：{party}；面积：{area}。原因：{reason}。",
            "Hello {name}: {actor} has given case {number} ({nature}, {place}) to {to}. Party: {party}; area: {area}. Reason: {reason}.",
        ),
        Kind::Transferred => (
            "{name}，您好：{place}的案件 {number} 已移送{to}。原因：{reason}。",
            "Hello {name}: case {number} in {place} was transferred to {to}. Reason: {reason}.",
        ),
        Kind::SentBack => (
            "{name}，您好：{place}的案件 {number} 被{actor}退回。原因：{reason}。请补正后重新提交。",
            "Hello {name}: {actor} has sent back case {number} in {place}. Reason: {reason}. Please put it right and hand it in again.",
        ),
        Kind::ReviewDue => (
            "{name}，您好：{place}的案件 {number}（{nature}，{area}）待您审核。",
            "Hello {name}: case {number} in {place} ({nature}, {area}) waits for your review.",
        ),
        Kind::Urged => (
            "{name}，您好：{actor}催办{place}的案件 {number}。{text}",
            "Hello {name}: {actor} urges case {number} in {place}. {text}",
        ),
        Kind::Supervised => (
            "{name}，您好：{actor}督办{place}的案件 {number}。{text}",
            "Hello {name}: {actor} supervises case {number} in {place}. {text}",
        ),
        Kind::DeadlineNear => (
            "{name}，您好：{place}的案件 {number} 须在 {deadline} 前完成{step}，期限将至。",
            "Hello {name}: the deadline of case {number} in {place} is near: {step} by {deadline}.",
        ),
        Kind::Overdue => (
            "{name}，您好：{place}的案件 {number} 未在 {deadline} 前完成{step}，已超期。请立即处理。",
            "Hello {name}: case {number} in {place} is overdue: {step} by {deadline}. Please handle it at once.",
        ),
        Kind::Escalated => (
            "{name}，您好：{place}的案件 {number} 未在 {deadline} 前完成{step}，现报您督促。责任人：{responsible}。",
            "Hello {name}: case {number} in {place} missed {step} by {deadline} and comes to you. Responsible: {responsible}.",
        ),
        Kind::Closed => (
            "{name}，您好：{place}的案件 {number} 已结案。",
            "Hello {name}: case {number} in {place} is closed.",
        ),
        Kind::Reopened => (
            "{name}，您好：{place}的案件 {number} 已重新立案。原因：{reason}。请继续处理。",
            "Hello {name}: case {number} in {place} is open again. Reason: {reason}. Please go on with it.",
        ),
        Kind::Alarm => (
            "{name}，您好：{place}的案件 {number} 触发警示：{alarm}。当事人：{party}；面积：{area}。",
            "Hello {name}: alarm about case {number} in {place}: {alarm}. Party: {party}; area: {area}.",
        ),
        Kind::DutyGap => (
            "{name}，您好：{place}没有指定包干责任人，案件 {number} 由上级接手。请补充职责。",
            "Hello {name}: nobody is named for {place}; case {number} went to the level above. Please name somebody.",
        ),
        Kind::TaskGiven => (
            "{name}，您好：{actor}交办任务“{title}”，请于 {deadline} 前完成。{text}",
            "Hello {name}: {actor} gives you the task “{title}”, due by {deadline}. {text}",
        ),
        Kind::TaskReported => (
            "{name}，您好：{actor}就任务“{title}”回报：{text}",
            "Hello {name}: {actor} reports on the task “{title}”: {text}",
        ),
        Kind::TaskClosed => (
            "{name}，您好：{actor}已办结任务“{title}”。{text}",
            "Hello {name}: {actor} has closed the task “{title}”. {text}",
        ),
        Kind::Reply => ("{actor}回复：{text}", "{actor} replies: {text}"),
        Kind::PublicReport => (
            "{name}，您好：{place}有一条新的群众举报，请受理：{text}",
            "Hello {name}: a citizen reports from {place}: {text}. Please take it in hand.",
        ),
        Kind::ReportReady => {
            ("{name}，您好：报表“{title}”已生成。", "Hello {name}: the report “{title}” is ready.")
        }
        Kind::Comment => (
            "{name}，您好：{actor}在案件 {number} 中留言：{text}",
            "Hello {name}: {actor} comments on case {number}: {text}",
        ),
    };
    language.pick(zh, en)
}

/// A template's parts: plain text, and placeholders by name.
enum Part<'a> {
    Plain(&'a str),
    Fact(&'a str),
}

/// What is wrong with a template.
#[derive(Debug, PartialEq)]
enum Flaw<'a> {
    Braces,
    Unknown(&'a str),
}

fn parts<'a>(kind: Kind, template: &'a str) -> Result<Vec<Part<'a>>, Flaw<'a>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(brace) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(brace);
        parts.push(Part::Plain(before));
        let inner = after.strip_prefix('{').ok_or(Flaw::Braces)?;
        let (name, after) = inner.split_once('}').ok_or(Flaw::Braces)?;
        if !placeholders(kind).contains(&name) {
            return Err(if name.contains('{') { Flaw::Braces } else { Flaw::Unknown(name) });
        }
        parts.push(Part::Fact(name));
        rest = after;
    }
    parts.push(Part::Plain(rest));
    Ok(parts)
}

/// Says what is wrong with a template that could not be filled in.
pub fn check(kind: Kind, template: &str) -> Result<(), String> {
    if template.trim().is_empty() || template.chars().count() > MOST_CHARACTERS {
        return Err(format!("1 to {MOST_CHARACTERS} characters"));
    }
    if template.contains(|c: char| c.is_control() && c != '\n') {
        return Err("holds control characters".into());
    }
    match parts(kind, template) {
        Ok(_) => Ok(()),
        Err(Flaw::Braces) => Err("braces do not pair".into()),
        Err(Flaw::Unknown(name)) => {
            let known = placeholders(kind).join(", ");
            Err(format!("unknown placeholder {name:?}; known: {known}"))
        }
    }
}

/// Checks the built-in texts: a program that cannot tell of things does not start.
pub fn check_built_in() -> Result<()> {
    for kind in Kind::ALL {
        for language in [Language::Chinese, Language::English] {
            check(kind, built_in(kind, language))
                .map_err(|wrong| Fault::internal(format!("text of {}: {wrong}", kind.as_str())))?;
        }
    }
    Ok(())
}

/// The text of a message. Facts go in as they are, once: braces in a party's name stay braces.
pub fn render(kind: Kind, overrides: &Overrides, facts: &Facts, language: Language) -> String {
    let own = overrides.get(kind.as_str());
    let text = own.and_then(|own| fill(kind, language.pick(&own.zh, &own.en), facts, language));
    let text = text.or_else(|| fill(kind, built_in(kind, language), facts, language));
    text.unwrap_or_default().trim_end().to_string()
}

fn fill(kind: Kind, template: &str, facts: &Facts, language: Language) -> Option<String> {
    let mut text = String::new();
    for part in parts(kind, template).ok()? {
        match part {
            Part::Plain(plain) => text.push_str(plain),
            // A remark is there or not; anything else that is missing is shown to be so.
            Part::Fact("text") => text.push_str(&facts.value("text", language).unwrap_or_default()),
            Part::Fact(name) => {
                text.push_str(facts.value(name, language).as_deref().unwrap_or(UNKNOWN));
            }
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::facts::CaseFacts;
    use super::*;
    use crate::enforcement::place::{AreaName, NamedPlace};

    fn facts() -> Facts {
        let area = |code: &str, name: &str| Some(AreaName { code: code.into(), name: name.into() });
        Facts {
            case: Some(CaseFacts {
                number: "350302-2026-000123".into(),
                place: NamedPlace {
                    district: area("350302", "城厢区"),
                    town: area("350302002", "凤凰山街道"),
                    village: area("350302002005", "南门社区"),
                    ..NamedPlace::default()
                },
                position: (119.0, 25.4),
                nature: "illegal_construction".into(),
                party: Some("{number}<b>王五</b>".into()),
                area_m2: Some(1000.0),
                responsible: None,
            }),
            name: "李四".into(),
            ..Facts::default()
        }
    }

    #[test]
    fn the_built_in_texts_can_be_filled_in() {
        check_built_in().unwrap();
    }

    #[test]
    fn the_responsible_person_reads_place_find_party_and_area() {
        let none = Overrides::new();
        let zh = render(Kind::Dispatched, &none, &facts(), Language::Chinese);
        assert_eq!(
            zh,
            "李四，您好：城厢区凤凰山街道南门社区发现违法建设（案件 350302-2026-000123）。\
             当事人：{number}<b>王五</b>；面积：1000.0 平方米（1.50 亩）。请尽快处理。"
        );
        let en = render(Kind::DispatchedLeaders, &none, &facts(), Language::English);
        assert!(
            en.contains("illegal construction was found in 城厢区 凤凰山街道 南门社区"),
            "{en}"
        );
        assert!(en.contains("Responsible: —."), "{en}");
    }

    #[test]
    fn facts_of_the_notice_go_before_those_of_the_case() {
        let mut facts = facts();
        let given = [
            ("deadline", "2026-11-23T01:00:00Z"),
            ("step", "stop"),
            ("alarm_zh", "红线"),
            ("alarm_en", "red line"),
            ("text", "a\n\u{2028} b"),
        ];
        facts.given = given.map(|(k, v)| (k.to_string(), v.to_string())).into();
        let none = Overrides::new();
        let near = render(Kind::DeadlineNear, &none, &facts, Language::Chinese);
        assert!(near.contains("须在 2026-11-23 09:00 前完成制止"), "{near}");
        let alarm = render(Kind::Alarm, &none, &facts, Language::English);
        assert!(alarm.contains("red line"), "{alarm}");
        assert!(render(Kind::Urged, &none, &facts, Language::English).ends_with(". a b"));
    }

    #[test]
    fn an_override_is_checked_and_used() {
        for bad in ["{nobody}", "{", "}", "{name", "{na{name}", "", "{title}", "a\u{7}"] {
            assert!(check(Kind::Closed, bad).is_err(), "{bad}");
        }
        check(Kind::Closed, "完结 {number}").unwrap();
        let over = |zh: &str| {
            let template = MessageTemplate { zh: zh.into(), en: "Done {number}".into() };
            Overrides::from([("closed".to_string(), template)])
        };
        let good = over("完结 {number}");
        let zh = render(Kind::Closed, &good, &facts(), Language::Chinese);
        assert_eq!(zh, "完结 350302-2026-000123");
        let en = render(Kind::Closed, &good, &facts(), Language::English);
        assert_eq!(en, "Done 350302-2026-000123");
        // One that got past the check, from an older version say, is no reason to say nothing.
        let zh = render(Kind::Closed, &over("{gone}"), &facts(), Language::Chinese);
        assert!(zh.ends_with("已结案。"), "{zh}");
    }
}
