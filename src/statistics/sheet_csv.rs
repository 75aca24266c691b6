//! A report as CSV: UTF-8 with a byte order mark, so that spreadsheets see the Chinese; one header
//! row; m², and mu beside it.

use super::figures::{Kind, Report, Row, RowKind};
use crate::error::{Fault, Language, Result};
use crate::geometry::geodesic::MU_M2;

/// What spreadsheets look for.
pub const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A text that a spreadsheet takes as text: one that begins like a formula gets an apostrophe.
pub fn harmless(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_string(),
    }
}

/// The words for a sub-total of a group.
pub fn subtotal_words(name: &str, language: Language) -> String {
    language.pick(&format!("{name} 小计"), &format!("{name} sub-total")).to_string()
}

/// The word for the total.
pub fn total_word(language: Language) -> &'static str {
    language.pick("合计", "Total")
}

/// The whole report as one table.
pub fn csv(report: &Report, language: Language) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(BOM.to_vec());
    let mut header = vec!["row".to_string(), "code".into(), "parent_code".into()];
    header.extend(report.groups.iter().map(|words| words.pick(language).to_string()));
    header.push(report.name.pick(language).to_string());
    header.extend(report.texts.iter().map(|(_, words)| words.pick(language).to_string()));
    let unit = |title: &str, unit_zh: &str, unit_en: &str| {
        format!("{title}{}", language.pick(&format!("（{unit_zh}）"), &format!(" ({unit_en})")))
    };
    for column in &report.columns {
        let title = column.title.pick(language);
        if column.kind.is_area() {
            header.push(unit(title, "平方米", "m²"));
            header.push(unit(title, "亩", "mu"));
        } else {
            header.push(title.to_string());
        }
    }
    writer.write_record(&header).map_err(Fault::internal)?;
    for row in report.rows.iter().chain([&report.total]) {
        writer.write_record(record(report, row, language)).map_err(Fault::internal)?;
    }
    writer.into_inner().map_err(Fault::internal)
}

fn record(report: &Report, row: &Row, language: Language) -> Vec<String> {
    let kind = match row.kind {
        RowKind::Unit => "row",
        RowKind::Subtotal(_) => "subtotal",
        RowKind::Total => "total",
    };
    let mut record = vec![
        kind.to_string(),
        row.code.clone().unwrap_or_default(),
        row.parent_code.clone().unwrap_or_default(),
    ];
    for level in 0..report.groups.len() {
        record.push(row.groups.get(level).map(|name| harmless(name)).unwrap_or_default());
    }
    record.push(match row.kind {
        RowKind::Unit => harmless(row.name.as_deref().unwrap_or_default()),
        RowKind::Subtotal(_) => subtotal_words(row.name.as_deref().unwrap_or_default(), language),
        RowKind::Total => total_word(language).into(),
    });
    for index in 0..report.texts.len() {
        record.push(row.texts.get(index).map(|text| harmless(text)).unwrap_or_default());
    }
    for (column, value) in report.columns.iter().zip(&row.values) {
        match column.kind {
            Kind::Count => record.push(format!("{value:.0}")),
            kind if kind.is_area() => {
                record.push(format!("{value:.2}"));
                record.push(format!("{:.4}", value / MU_M2));
            }
            Kind::Change { share: false, .. } => record.push(format!("{value:.2}")),
            _ if value.is_nan() => record.push(String::new()),
            _ => record.push(format!("{value:.6}")),
        }
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_formula() {
        assert_eq!(harmless("=1+1"), "'=1+1");
        assert_eq!(harmless("城厢区"), "城厢区");
    }
}
