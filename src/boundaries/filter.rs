//! `--where`: an attribute filter that OGR evaluates.
//!
//! GeoPackage hands the text to SQLite, so only comparisons pass: no function, no sub-query, no
//! comment, no second statement.

use super::refuse;
use crate::error::{Fault, Result};
use gdal::vector::{Layer, LayerAccess};
use std::collections::HashSet;

const MAX_LENGTH: usize = 4_000;
const WORDS: [&str; 12] =
    ["AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "IS", "NULL", "BETWEEN", "ESCAPE", "TRUE", "FALSE"];
const FORBIDDEN: [&str; 12] = [
    "SELECT", "WITH", "UNION", "FROM", "PRAGMA", "ATTACH", "CASE", "EXISTS", "CAST", "GLOB",
    "MATCH", "REGEXP",
];

fn wrong(detail: &str) -> Fault {
    refuse(
        "filter_invalid",
        format!("--where 条件无法识别：{detail}"),
        format!("The --where expression is not understood: {detail}"),
    )
}

/// The ids of the features that the filter holds for; the layer is left without a filter.
pub fn matching(layer: &mut Layer, filter: &str) -> Result<HashSet<i64>> {
    check(filter)?;
    layer.set_attribute_filter(filter).map_err(|_| wrong(&last_message()))?;
    // SAFETY: only clears this thread's last error; each feature is alive while asked for its id.
    unsafe { gdal_sys::CPLErrorReset() };
    let ids = layer
        .features()
        .map(|feature| unsafe { gdal_sys::OGR_F_GetFID(feature.c_feature()) })
        .collect();
    // SQLite finds an unknown column only now.
    let failed = unsafe { gdal_sys::CPLGetLastErrorType() } >= gdal_sys::CPLErr::CE_Failure;
    layer.clear_attribute_filter();
    if failed { Err(wrong(&last_message())) } else { Ok(ids) }
}

fn last_message() -> String {
    // SAFETY: reads this thread's last message, which lives until the next one.
    let message = unsafe { std::ffi::CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()) };
    message.to_string_lossy().chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Lets through comparisons of fields with values, and nothing else.
fn check(filter: &str) -> Result<()> {
    if filter.len() > MAX_LENGTH {
        return Err(wrong("too long"));
    }
    let mut chars = filter.chars().peekable();
    let mut last_word: Option<String> = None;
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                loop {
                    match chars.next() {
                        Some(end) if end == c => break,
                        Some('\0') | None => return Err(wrong("a quote is not closed")),
                        Some(_) => {}
                    }
                }
                last_word = None;
            }
            '(' => {
                if let Some(word) = last_word.take().filter(|w| !WORDS.contains(&w.as_str())) {
                    return Err(wrong(&format!("functions are not allowed: {word}")));
                }
            }
            '-' if chars.peek() == Some(&'-') => return Err(wrong("comments are not allowed")),
            '/' if chars.peek() == Some(&'*') => return Err(wrong("comments are not allowed")),
            ')' | ',' | '=' | '<' | '>' | '!' | '+' | '-' | '*' | '/' | '.' => last_word = None,
            c if c.is_whitespace() => {}
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = c.to_string();
                while let Some(next) = chars.next_if(|n| n.is_alphanumeric() || *n == '_') {
                    word.push(next);
                }
                let word = word.to_uppercase();
                if FORBIDDEN.contains(&word.as_str()) {
                    return Err(wrong(&format!("not allowed: {word}")));
                }
                last_word = Some(word);
            }
            other => return Err(wrong(&format!("not allowed: {other:?}"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_comparisons_pass() {
        for good in [
            "DLBM = '0101'",
            "\"DLBM\" IN ('0101','0102') AND TBMJ > 5.5",
            "NOT (A IS NULL)",
            "名称 LIKE '水%'",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "1=1; DROP TABLE x",
            "a = (SELECT 1)",
            "load_extension('x')",
            "load_extension ('x')",
            "a = 1 -- b",
            "a = 1 /* b",
            "a = 'open",
            "a = x'00' | 1",
            "\"f\" = 1 UNION ALL",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
