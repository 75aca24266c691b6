//! A report as a page to print: the same table as the workbook's.

use super::figures::{Column, Kind, Report, Row, RowKind};
use super::sheet_csv::{subtotal_words, total_word};
use super::workbook::AreaUnit;
use crate::error::Language;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style: A4 landscape, the header on every page, no row torn apart. It is in the page, for a
/// saved page must print like the one on the screen.
const STYLE: &str = r#"
@page { size: A4 landscape; margin: 12mm 10mm 14mm;
  @bottom-center { content: counter(page) " / " counter(pages); font-size: 9pt; } }
* { box-sizing: border-box; }
body { font-family: "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", SimSun, sans-serif;
  color: #111; margin: 1.5rem auto; max-width: 300mm; font-size: 10pt; }
h1 { text-align: center; font-size: 18pt; margin: 0 0 .4rem; }
.line { display: flex; justify-content: space-between; gap: 2rem; margin: .2rem 0; }
table { border-collapse: collapse; width: 100%; margin-top: .4rem; font-size: 8.5pt; }
tbody td { white-space: nowrap; }
th, td { border: .5pt solid #444; padding: .18rem .35rem; }
th { background: #e8eef4; font-weight: 600; text-align: center; vertical-align: middle; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.g { vertical-align: middle; text-align: center; background: #fff; }
tr.sub td, tr.total td { background: #f4f6f8; font-weight: 600; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
a { color: inherit; text-decoration: none; }
ol { margin: .6rem 0 0; padding-left: 1.4rem; font-size: 8.5pt; color: #333; }
.sign { display: grid; grid-template-columns: repeat(4, 1fr); margin-top: 1.2rem; break-inside: avoid; }
@media screen { a { text-decoration: underline dotted #888; } }
@media print { body { margin: 0; max-width: none; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"#;

/// The whole page.
pub fn page(report: &Report, language: Language, unit: AreaUnit) -> String {
    let head = &report.head;
    let lang = language.pick("zh-CN", "en");
    let signs = language.pick(
        "单位负责人：|审核人：|填表人：|填表日期：",
        "Responsible:|Checked by:|Made by:|Date:",
    );
    let markup = html! {
        (DOCTYPE)
        html lang=(lang) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (head.title.pick(language)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (head.title.pick(language)) }
                div.line { span { (head.period_line(language)) } }
                div.line { span { (head.as_of_line(language)) } span { (unit.line(language)) } }
                (table(report, language, unit))
                ol { @for words in &head.foot { li { (words.pick(language)) } } }
                div.sign { @for sign in signs.split('|') { span { (sign) } } }
            }
        }
    };
    markup.into_string()
}

fn table(report: &Report, language: Language, unit: AreaUnit) -> Markup {
    let ranked = report.rows.iter().any(|row| row.rank.is_some());
    html! {
        table {
            thead {
                tr {
                    @if ranked { th scope="col" { (language.pick("名次", "Rank")) } }
                    @for group in &report.groups { th scope="col" { (group.pick(language)) } }
                    th scope="col" { (report.name.pick(language)) }
                    @for (_, text) in &report.texts { th scope="col" { (text.pick(language)) } }
                    @for column in &report.columns { th scope="col" { (column.title.pick(language)) } }
                }
            }
            tbody {
                @for (index, row) in report.rows.iter().enumerate() {
                    (table_row(report, Some(index), row, language, unit, ranked))
                }
                (table_row(report, None, &report.total, language, unit, ranked))
            }
        }
    }
}

/// How many rows the cell of a group spans that begins at this row: its units and the sub-totals
/// inside it; none where an earlier row's cell reaches this one.
fn span(report: &Report, index: usize, level: usize) -> Option<usize> {
    let rows = &report.rows;
    let own = &rows[index].groups;
    if rows[index].rank.is_some() {
        return Some(1);
    }
    let begins = index == 0 || matches!(rows[index - 1].kind, RowKind::Subtotal(at) if at <= level);
    if !begins || own.len() <= level {
        return None;
    }
    let rest = rows[index..].iter();
    Some(rest.take_while(|row| row.kind != RowKind::Subtotal(level)).count())
}

fn table_row(
    report: &Report,
    index: Option<usize>,
    row: &Row,
    language: Language,
    unit: AreaUnit,
    ranked: bool,
) -> Markup {
    let depth = report.groups.len();
    let own = row.name.clone().unwrap_or_default();
    let (class, name, covered) = match row.kind {
        RowKind::Unit => ("", own, 0),
        RowKind::Subtotal(level) => ("sub", subtotal_words(&own, language), depth - level),
        RowKind::Total => ("total", total_word(language).to_string(), depth),
    };
    html! {
        tr class=(class) {
            @if ranked { td.n { @if let Some(rank) = row.rank { (rank) } } }
            @if row.kind == RowKind::Unit {
                @for level in 0..depth {
                    @if let Some(rows) = index.and_then(|index| span(report, index, level)) {
                        td.g rowspan=(rows) { (row.groups[level]) }
                    }
                }
            }
            td colspan=(covered + 1) { (name) }
            @for text in 0..report.texts.len() { td { (row.texts.get(text).map_or("", String::as_str)) } }
            @for (column, value) in report.columns.iter().zip(&row.values) {
                td.n { (figure(report, column, *value, unit)) }
            }
        }
    }
}

/// A figure as people read it.
fn figure(report: &Report, column: &Column, value: f64, unit: AreaUnit) -> String {
    let digits = if unit == AreaUnit::Mu { 4 } else { 2 };
    match column.kind {
        Kind::Count => grouped(value, 0),
        kind if kind.is_area() => grouped(unit.of(value), digits),
        Kind::Rate { .. } | Kind::Share => {
            if value.is_nan() {
                "—".into()
            } else {
                format!("{:.2}%", value * 100.0)
            }
        }
        Kind::Change { share: true, .. } => {
            if value.is_nan() {
                "—".into()
            } else {
                format!("{:+.2}%", value * 100.0)
            }
        }
        Kind::Change { of, .. } => {
            let area = report.column(of).is_some_and(|i| report.columns[i].kind.is_area());
            let text = if area { grouped(unit.of(value), digits) } else { grouped(value, 0) };
            if value > 0.0 { format!("+{text}") } else { text }
        }
        _ => grouped(value, digits),
    }
}

/// With thousands set apart.
fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let zero = text.chars().all(|c| matches!(c, '0' | '.'));
    let sign = if value < 0.0 && !zero { "-" } else { "" };
    if fraction.is_empty() {
        format!("{sign}{grouped}")
    } else {
        format!("{sign}{grouped}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(1_234_567.891, 2), "1,234,567.89");
        assert_eq!(grouped(999.0, 0), "999");
        assert_eq!(grouped(-1000.5, 1), "-1,000.5");
        assert_eq!(grouped(-0.001, 2), "0.00");
    }
}
