//! What a message may name, in the reader's words.

use crate::enforcement::place::NamedPlace;
use crate::error::Language;
use crate::geometry::geodesic::MU_M2;
use chrono::DateTime;
use chrono_tz::Asia::Shanghai;
use std::collections::BTreeMap;

/// What a case says about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaseFacts {
    pub number: String,
    pub place: NamedPlace,
    /// CGCS2000 degrees.
    pub position: (f64, f64),
    pub nature: String,
    pub party: Option<String>,
    /// m²
    pub area_m2: Option<f64>,
    pub responsible: Option<String>,
}

/// Everything known for one message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    pub case: Option<CaseFacts>,
    /// The recipient's name.
    pub name: String,
    /// Who caused it.
    pub actor: Option<String>,
    /// As the notice gives them. `x_zh` and `x_en` say the fact `x` in one language each.
    pub given: BTreeMap<String, String>,
}

/// A single value longer than this is cut: a message is to be read at a glance.
const MOST_CHARACTERS: usize = 500;

impl Facts {
    /// The value of a placeholder, one line; none where it is unknown.
    pub fn value(&self, placeholder: &str, language: Language) -> Option<String> {
        let of_language = format!("{placeholder}_{}", language.pick("zh", "en"));
        let given = self.given.get(&of_language).or_else(|| self.given.get(placeholder));
        let value = match (given, placeholder) {
            (Some(value), "deadline") => moment(value),
            (Some(value), "area") => area(value.parse().ok()?, language),
            (Some(value), "nature") => nature(value, language),
            (Some(value), "step") => step(value, language),
            (Some(value), _) => value.clone(),
            (None, "name") => self.name.clone(),
            (None, "actor") => self.actor.clone()?,
            (None, _) => self.case.as_ref()?.value(placeholder, language)?,
        };
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(match value.char_indices().nth(MOST_CHARACTERS) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value,
        })
        .filter(|value| !value.is_empty())
    }
}

impl CaseFacts {
    fn value(&self, placeholder: &str, language: Language) -> Option<String> {
        Some(match placeholder {
            "number" => self.number.clone(),
            "place" => place(&self.place, self.position, language),
            "nature" => nature(&self.nature, language),
            "party" => {
                self.party.clone().unwrap_or_else(|| language.pick("不明", "not known").to_string())
            }
            "area" => match self.area_m2 {
                Some(area_m2) => area(area_m2, language),
                None => language.pick("未测", "not measured").to_string(),
            },
            "responsible" => self.responsible.clone()?,
            _ => return None,
        })
    }
}

/// 功能区 or district, town, village; the position where there is no place.
pub fn place(place: &NamedPlace, (lon, lat): (f64, f64), language: Language) -> String {
    let upper = place.functional_areas.first().or(place.district.as_ref());
    let levels = [upper, place.town.as_ref(), place.village.as_ref()];
    let names: Vec<&str> = levels.into_iter().flatten().map(|area| area.name.as_str()).collect();
    if names.is_empty() {
        return match language {
            Language::Chinese => format!("未定位地点（{lon:.5}, {lat:.5}）"),
            Language::English => format!("a place not located ({lon:.5}, {lat:.5})"),
        };
    }
    names.join(language.pick("", " "))
}

fn area(area_m2: f64, language: Language) -> String {
    let mu = area_m2 / MU_M2;
    match language {
        Language::Chinese => format!("{area_m2:.1} 平方米（{mu:.2} 亩）"),
        Language::English => format!("{area_m2:.1} m² ({mu:.2} mu)"),
    }
}

fn nature(nature: &str, language: Language) -> String {
    let (zh, en) = match nature {
        "illegal_land_use" => ("违法占地", "illegal land use"),
        "illegal_construction" => ("违法建设", "illegal construction"),
        "both" => ("违法占地和违法建设", "illegal land use and construction"),
        other => (other, other),
    };
    language.pick(zh, en).to_string()
}

/// A step of the way of a case, as deadlines name it.
fn step(step: &str, language: Language) -> String {
    let (zh, en) = match step {
        "first_visit" => ("到场核查", "first visit"),
        "stop" => ("制止", "stopping the work"),
        "application" | "apply_close" => ("申请结案", "application to close"),
        "review" => ("结案审核", "review"),
        other => (other, other),
    };
    language.pick(zh, en).to_string()
}

/// An RFC 3339 time as the wall clock shows it; anything else as it is.
fn moment(text: &str) -> String {
    DateTime::parse_from_rfc3339(text).map_or_else(
        |_| text.to_string(),
        |time| time.with_timezone(&Shanghai).format("%Y-%m-%d %H:%M").to_string(),
    )
}
