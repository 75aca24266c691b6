//! Which columns hold the code, the name, the class and the parent, and what codes must look like.

use super::ReadOptions;
use super::refuse;
use super::report::Report;
use super::table::Value;
use crate::atlas::feature::layers;
use crate::error::Result;
use serde_json::{Map, Value as Json};

/// Bytes of all attributes of one feature, kept beyond the ones that have a place of their own.
const MAX_ATTRIBUTES: usize = 64 << 10;
/// Characters of a name or code.
const MAX_TEXT: usize = 200;

/// The usual columns of a layer.
struct Usual {
    code: Option<&'static str>,
    name: Option<&'static str>,
    class: Option<&'static str>,
    parent: Option<&'static str>,
}

fn usual(layer: &str) -> Usual {
    let (code, name, class, parent) = match layer {
        layers::CITY | layers::DISTRICT | layers::TOWN => {
            (Some("XZQDM"), Some("XZQMC"), None, None)
        }
        layers::VILLAGE => (Some("ZLDWDM"), Some("ZLDWMC"), None, None),
        layers::CELL => (Some("WGBM"), Some("WGMC"), None, Some("SSCDM")),
        layers::FUNCTIONAL_AREA => (Some("GNQDM"), Some("GNQMC"), None, None),
        layers::PARCEL | layers::BASIC_FARMLAND => {
            (Some("BSM"), None, Some("DLBM"), Some("ZLDWDM"))
        }
        _ => (None, None, None, None),
    };
    Usual { code, name, class, parent }
}

/// Digits of a code of this layer, where they are fixed.
fn code_digits(layer: &str) -> Option<usize> {
    match layer {
        layers::CITY | layers::DISTRICT => Some(6),
        layers::TOWN => Some(9),
        layers::VILLAGE => Some(12),
        _ => None,
    }
}

/// Areas and cells are known by their codes; parcels and overlays may go without.
pub fn needs_code(layer: &str) -> bool {
    matches!(
        layer,
        layers::CITY
            | layers::DISTRICT
            | layers::TOWN
            | layers::VILLAGE
            | layers::FUNCTIONAL_AREA
            | layers::CELL
    )
}

/// The columns to read a layer by.
#[derive(Debug)]
pub struct FieldMap {
    layer: String,
    code: Option<usize>,
    name: Option<usize>,
    class: Option<usize>,
    class_name: Option<usize>,
    parent: Option<usize>,
    surveyed: Vec<usize>,
    names: Vec<String>,
}

/// A feature's attributes, sorted into their places.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// None where one has to be made.
    pub code: Option<String>,
    pub name: Option<String>,
    pub class_code: Option<String>,
    pub class_name: Option<String>,
    pub parent_code: Option<String>,
    pub surveyed_area_m2: Option<f64>,
    pub attributes: Json,
    /// The code does not begin with its parent's.
    pub contradicts_parent: bool,
}

/// Why a record is not taken: code and reason.
pub type Reason = (&'static str, String);

impl FieldMap {
    /// Finds the columns, by the user's names or the usual ones.
    pub fn find(
        layer: &str,
        fields: &[String],
        options: &ReadOptions,
        report: &mut Report,
    ) -> Result<Self> {
        let position =
            |name: &str| fields.iter().position(|f| f.to_lowercase() == name.to_lowercase());
        let usual = usual(layer);
        let mut missing = Vec::new();
        let mut find =
            |named: &Option<String>, usual: Option<&'static str>| -> Result<Option<usize>> {
                match (named, usual) {
                    (Some(name), _) => position(name).map(Some).ok_or_else(|| {
                        let list: Vec<&str> = fields.iter().take(40).map(String::as_str).collect();
                        let list = list.join(", ");
                        refuse(
                            "field_unknown",
                            format!("文件中没有字段 {name}，只有：{list}"),
                            format!("The file has no field {name}, only: {list}"),
                        )
                    }),
                    (None, Some(usual)) => {
                        let found = position(usual);
                        if found.is_none() {
                            missing.push(usual);
                        }
                        Ok(found)
                    }
                    (None, None) => Ok(None),
                }
            };
        let code = find(&options.code_field, usual.code)?;
        let name = find(&options.name_field, usual.name)?;
        let class = find(&options.class_field, usual.class)?;
        let parent = find(&options.parent_field, usual.parent)?;
        if code.is_none() && needs_code(layer) {
            let field = usual.code.unwrap_or_default();
            return Err(refuse(
                "code_field_missing",
                format!("没有代码字段 {field}，请用 --code-field 指定"),
                format!("There is no code field {field}; name it with --code-field"),
            ));
        }
        for field in missing {
            report.warn(
                "field_missing",
                format!("没有字段 {field}"),
                format!("There is no field {field}"),
            );
        }
        // The survey's own area: the parcel's less field ridges where the file has it.
        let surveyed =
            ["TBDLMJ", "TBMJ", "YJJBNTMJ", "JCMJ"].into_iter().filter_map(position).collect();
        Ok(Self {
            layer: layer.to_string(),
            code,
            name,
            class,
            class_name: position("DLMC"),
            parent,
            surveyed,
            names: fields.to_vec(),
        })
    }

    /// Sorts a feature's values.
    pub fn map(&self, values: &[Value]) -> Result<Mapped, Reason> {
        let at = |column: Option<usize>| column.and_then(|c| values.get(c));
        let text = |column: Option<usize>| at(column).and_then(Value::as_code).map(|t| bounded(&t));
        let given = text(self.code);
        let code = match given {
            Some(code) => Some(self.check_code(&code)?),
            None if needs_code(&self.layer) => {
                return Err(("code_missing", "没有代码 / it has no code".to_string()));
            }
            None => None,
        };
        let given_parent = text(self.parent).map(|p| village_of(&self.layer, &p));
        let parent_code = given_parent.or_else(|| self.parent_by_code(code.as_deref()?));
        let contradicts_parent = matches!(
            self.layer.as_str(),
            layers::CELL | layers::DISTRICT | layers::TOWN | layers::VILLAGE
        ) && matches!((&code, &parent_code), (Some(code), Some(parent)) if !code.starts_with(parent_prefix(&self.layer, parent)));
        let class_code = text(self.class);
        let class_name = text(self.class_name);
        let surveyed_area_m2 = self
            .surveyed
            .iter()
            .find_map(|&c| values.get(c)?.as_number())
            .filter(|area| *area > 0.0);
        Ok(Mapped {
            code,
            name: text(self.name),
            class_code,
            class_name,
            parent_code,
            surveyed_area_m2,
            attributes: self.attributes(values),
            contradicts_parent,
        })
    }

    fn check_code(&self, code: &str) -> Result<String, Reason> {
        let wrong = |expected: &str| {
            Err((
                "code_invalid",
                format!("代码 {code} 不合规则（{expected}）/ code {code} is not {expected}"),
            ))
        };
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if let Some(expected) = code_digits(&self.layer) {
            // Longer codes of the standards end in zeros: 12 digits and 7 zeros for a village.
            let (head, tail) = code.split_at_checked(expected).unwrap_or((code, ""));
            let padded =
                tail.bytes().all(|b| b == b'0') || (self.layer == layers::VILLAGE && digits(tail));
            if head.len() != expected || !digits(code) || !padded {
                return wrong(&format!("{expected} 位数字 / {expected} digits"));
            }
            return Ok(head.to_string());
        }
        if self.layer == layers::CELL {
            let village = code.get(..12).filter(|head| digits(head));
            if village.is_none() || code.chars().any(char::is_whitespace) {
                return wrong("12 位村代码开头 / a village code of 12 digits and more");
            }
        }
        Ok(code.to_string())
    }

    fn parent_by_code(&self, code: &str) -> Option<String> {
        match self.layer.as_str() {
            layers::DISTRICT => code.get(..4).map(|head| format!("{head}00")),
            layers::TOWN => code.get(..6).map(str::to_string),
            layers::VILLAGE => code.get(..9).map(str::to_string),
            layers::CELL => code.get(..12).map(str::to_string),
            _ => None,
        }
    }

    /// What has no place of its own.
    fn attributes(&self, values: &[Value]) -> Json {
        let taken = [self.code, self.name, self.class, self.class_name, self.parent];
        let mut attributes = Map::new();
        let mut size = 0;
        for (index, (name, value)) in self.names.iter().zip(values).enumerate() {
            if taken.contains(&Some(index)) || *value == Value::Null || name.is_empty() {
                continue;
            }
            size += name.len() + if let Value::Text(text) = value { text.len() } else { 8 };
            if size > MAX_ATTRIBUTES {
                break;
            }
            attributes.insert(name.clone(), value.to_json());
        }
        Json::Object(attributes)
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// ZLDWDM is a village's 12 digits and 7 more.
fn village_of(layer: &str, code: &str) -> String {
    let long = code.len() > 12 && code.bytes().all(|b| b.is_ascii_digit());
    let parcels = matches!(layer, layers::PARCEL | layers::BASIC_FARMLAND | layers::CELL);
    if long && parcels { code[..12].to_string() } else { code.to_string() }
}

/// A city's code ends in 00, its districts' do not.
fn parent_prefix<'a>(layer: &str, parent: &'a str) -> &'a str {
    match layer {
        layers::DISTRICT => parent.get(..4).unwrap_or(parent),
        _ => parent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(layer: &str, fields: &[(&str, Value)]) -> Result<Mapped, Reason> {
        let names: Vec<String> = fields.iter().map(|(n, _)| n.to_string()).collect();
        let values: Vec<Value> = fields.iter().map(|(_, v)| v.clone()).collect();
        let mut report = Report::default();
        FieldMap::find(layer, &names, &ReadOptions::default(), &mut report).unwrap().map(&values)
    }

    fn text(value: &str) -> Value {
        Value::Text(value.into())
    }

    #[test]
    fn codes_and_parents_by_level() {
        let village =
            map("village", &[("zldwdm", text("3503020010010000000")), ("ZLDWMC", text("太平"))])
                .unwrap();
        assert_eq!(village.code.as_deref(), Some("350302001001"));
        assert_eq!(village.parent_code.as_deref(), Some("350302001"));
        let district = map("district", &[("XZQDM", Value::Number(350_302.0))]).unwrap();
        assert_eq!(district.code.as_deref(), Some("350302"));
        assert_eq!(district.parent_code.as_deref(), Some("350300"));
        for (layer, code) in [
            ("town", "35030210"),
            ("town", "350302100001"),
            ("village", "35030200100x"),
            ("city", "3503"),
        ] {
            let field = if layer == "village" { "ZLDWDM" } else { "XZQDM" };
            assert_eq!(map(layer, &[(field, text(code))]).unwrap_err().0, "code_invalid", "{code}");
        }
        assert_eq!(map("city", &[("XZQDM", Value::Null)]).unwrap_err().0, "code_missing");
        let cell =
            map("cell", &[("WGBM", text("350302001001004A")), ("SSCDM", text("350302001002"))])
                .unwrap();
        assert!(cell.contradicts_parent);
    }

    #[test]
    fn parcels_keep_what_the_survey_says() {
        let parcel = map(
            "parcel",
            &[
                ("BSM", text("1")),
                ("DLBM", text("0101")),
                ("DLMC", text("水田")),
                ("TBMJ", Value::Number(10.0)),
                ("TBDLMJ", Value::Number(9.5)),
                ("ZLDWDM", text("3503020010010000000")),
            ],
        )
        .unwrap();
        assert_eq!(parcel.surveyed_area_m2, Some(9.5));
        assert_eq!(parcel.parent_code.as_deref(), Some("350302001001"));
        assert_eq!(parcel.class_name.as_deref(), Some("水田"));
        assert_eq!(parcel.attributes["TBMJ"], serde_json::json!(10));
    }

    #[test]
    fn a_layer_of_areas_without_codes_is_refused() {
        let mut report = Report::default();
        let fields = vec!["MC".to_string()];
        let fault =
            FieldMap::find("town", &fields, &ReadOptions::default(), &mut report).unwrap_err();
        assert_eq!(fault.code, "code_field_missing");
        FieldMap::find("parcel", &fields, &ReadOptions::default(), &mut report).unwrap();
        assert!(report.warnings.iter().any(|w| w.code == "field_missing"));
    }
}
