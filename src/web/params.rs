//! Reading query parameters: unknown ones are refused, lists are split, days are Shanghai's.

use crate::error::{Fault, Result};
use actix_web::HttpRequest;
use chrono::{DateTime, Datelike, Days, Duration, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Asia::Shanghai;
use uuid::Uuid;

/// At most this many values in one list parameter.
const MAX_LIST: usize = 50;

/// A comma-separated list of words, each known.
pub fn words(
    parameter: &str,
    value: Option<&str>,
    is_known: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for word in value.unwrap_or_default().split(',').map(str::trim).filter(|w| !w.is_empty()) {
        if !is_known(word) {
            return Err(wrong(parameter, &format!("unknown value {word:?}")));
        }
        if !found.iter().any(|w| w == word) {
            found.push(word.to_string());
        }
        if found.len() > MAX_LIST {
            return Err(wrong(parameter, "too many values"));
        }
    }
    Ok(found)
}

/// 400 for one parameter.
pub fn wrong(parameter: &str, detail: &str) -> Fault {
    Fault::invalid(
        format!("参数 {parameter} 有误"),
        format!("Parameter {parameter} is wrong: {detail}"),
    )
    .field(parameter, detail)
}

/// A day (`2026-11-23`) or an RFC 3339 time, as the first moment that counts.
pub fn period_start(parameter: &str, value: Option<&str>) -> Result<Option<DateTime<Utc>>> {
    moment(parameter, value, 0)
}

/// A day, included, or an RFC 3339 time, as the first moment that does not count any more.
pub fn period_end(parameter: &str, value: Option<&str>) -> Result<Option<DateTime<Utc>>> {
    moment(parameter, value, 1)
}

fn moment(parameter: &str, value: Option<&str>, days: u64) -> Result<Option<DateTime<Utc>>> {
    let Some(text) = value.map(str::trim).filter(|t| !t.is_empty()) else { return Ok(None) };
    // The store cannot hold every year that can be written.
    let is_usual = |year: i32| (1900..=9998).contains(&year);
    if let Ok(time) = DateTime::parse_from_rfc3339(text)
        && is_usual(time.year())
    {
        return Ok(Some(time.with_timezone(&Utc)));
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|day| is_usual(day.year()))
        .and_then(|day| day.checked_add_days(Days::new(days)))
        .and_then(|day| Shanghai.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest())
        .map(|time| Some(time.with_timezone(&Utc)))
        .ok_or_else(|| wrong(parameter, "a day such as 2026-11-23 or an RFC 3339 time"))
}

/// `west,south,east,north` in degrees.
pub fn bbox(value: Option<&str>) -> Result<Option<[f64; 4]>> {
    let Some(text) = value else { return Ok(None) };
    let numbers: Vec<f64> = text.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    match numbers[..] {
        [west, south, east, north]
            if numbers.iter().all(|n| n.is_finite()) && west <= east && south <= north =>
        {
            Ok(Some([west, south, east, north]))
        }
        _ => Err(wrong("bbox", "west,south,east,north in degrees")),
    }
}

/// A finite number within a range, or none.
pub fn finite(
    value: Option<f64>,
    field: &str,
    range: std::ops::RangeInclusive<f64>,
) -> Result<Option<f64>> {
    match value {
        Some(v) if !v.is_finite() || !range.contains(&v) => {
            Err(Fault::invalid(format!("{field} 超出允许范围"), format!("{field} is out of range"))
                .field(field, format!("{} … {}", range.start(), range.end())))
        }
        other => Ok(other),
    }
}

/// The longest text of a request, characters.
pub const MAX_TEXT: usize = 4_000;

/// A text without the blanks around it; none where nothing is left.
pub fn text(value: Option<String>, field: &str) -> Result<Option<String>> {
    let value = value.map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
    match &value {
        Some(text) if text.chars().count() > MAX_TEXT => Err(Fault::invalid(
            format!("{field} 不能超过 {MAX_TEXT} 字"),
            format!("{field} is longer than {MAX_TEXT} characters"),
        )
        .field(field, "too long")),
        Some(text) if text.chars().any(|c| c == '\0') => Err(Fault::invalid(
            format!("{field} 含有非法字符"),
            format!("{field} holds a NUL character"),
        )
        .field(field, "NUL")),
        _ => Ok(value),
    }
}

/// The key under which a retry finds the first answer: the client's id, or the header
/// `Idempotency-Key`; none of them makes every request a new one.
pub fn retry_key(id: Option<Uuid>, request: &HttpRequest) -> Result<String> {
    let header = request.headers().get("idempotency-key").and_then(|v| v.to_str().ok());
    match (id, header) {
        (Some(id), _) => Ok(id.to_string()),
        (None, Some(key)) if key.len() <= 200 => Ok(key.to_string()),
        (None, Some(_)) => Err(wrong("Idempotency-Key", "at most 200 characters")),
        (None, None) => Ok(Uuid::new_v4().to_string()),
    }
}

/// A device's time. Its clock may be wrong by a day; a year is no clock.
pub fn device_time(time: DateTime<Utc>, now: DateTime<Utc>, field: &str) -> Result<DateTime<Utc>> {
    let earliest = Utc.with_ymd_and_hms(2000, 1, 1, 0, 0, 0).single().unwrap_or(now);
    if time < earliest || time > now + Duration::days(400) {
        return Err(wrong(field, "a time since 2000 and not in the far future"));
    }
    Ok(time)
}

/// The page size: default 50, at most 1000.
pub fn limit(value: Option<i64>) -> Result<i64> {
    match value.unwrap_or(50) {
        limit @ 1..=1000 => Ok(limit),
        _ => Err(wrong("limit", "1 to 1000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_shanghais_and_ends_are_included() {
        let start = period_start("from", Some("2026-11-01")).unwrap().unwrap();
        let end = period_end("to", Some("2026-11-01")).unwrap().unwrap();
        assert_eq!(start.to_rfc3339(), "2026-10-31T16:00:00+00:00");
        assert_eq!((end - start).num_hours(), 24);
        let odd = ["-262000-01-01", "9999-12-31", "0000-01-01T00:00:00Z"];
        for bad in ["2026-13-01", "yesterday", "2026-11-01T00:00"].into_iter().chain(odd) {
            assert!(period_start("from", Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_and_boxes_are_checked() {
        assert_eq!(words("status", Some("a,b,,a"), |w| w != "c").unwrap(), ["a", "b"]);
        assert!(words("status", Some("a,c"), |w| w != "c").is_err());
        assert!(bbox(Some("119,25,120,26")).unwrap().is_some());
        for bad in ["", "1,2,3", "NaN,1,2,3", "2,1,1,2", "1,2,3,4,5"] {
            assert!(bbox(Some(bad)).is_err(), "{bad}");
        }
    }
}
