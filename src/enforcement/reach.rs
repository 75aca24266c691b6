//! Which people and duties an account may see and manage: those of the areas inside its own.

use super::permissions::Scope;
use crate::atlas::feature::layers;
use crate::atlas::lookup::Atlas;

/// The codes of areas and cells inside a scope. A functional area takes its towns out of the
/// surrounding district, as it does in [`Scope`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// What every code begins with; none where nothing is in reach.
    pub begins: Option<String>,
    /// Only these towns, where given, and the area itself.
    pub only: Option<Vec<String>>,
    /// But not these towns and functional areas.
    pub except: Vec<String>,
}

impl Reach {
    /// Everything: for commands on the machine itself.
    pub fn everything() -> Self {
        Self { begins: Some(String::new()), only: None, except: Vec::new() }
    }

    pub fn of(scope: &Scope, atlas: &Atlas) -> Self {
        let begins =
            |code: &str| Self { begins: Some(code.to_string()), only: None, except: Vec::new() };
        match scope {
            Scope::Nothing => Self { begins: None, only: None, except: Vec::new() },
            // 350300 holds 3503….
            Scope::City(code) => begins(code.get(..4).unwrap_or(code)),
            Scope::District(code) => Self {
                except: functional_areas(atlas)
                    .into_iter()
                    .flat_map(|(area, towns)| std::iter::once(area).chain(towns))
                    .filter(|taken| taken.starts_with(code.as_str()))
                    .collect(),
                ..begins(code)
            },
            Scope::FunctionalArea(code) => {
                let towns = functional_areas(atlas).into_iter().find(|(area, _)| area == code);
                let mut only = vec![code.clone()];
                only.extend(towns.into_iter().flat_map(|(_, towns)| towns));
                Self { only: Some(only), ..Self::everything() }
            }
            Scope::Town(code) | Scope::Village(code) => begins(code),
        }
    }

    /// Whether an area or cell with this code is inside.
    pub fn holds(&self, code: &str) -> bool {
        let under = |towns: &[String]| towns.iter().any(|town| code.starts_with(town.as_str()));
        self.begins.as_ref().is_some_and(|begins| code.starts_with(begins.as_str()))
            && self.only.as_ref().is_none_or(|only| under(only))
            && !under(&self.except)
    }
}

/// The functional areas with the towns they have taken.
fn functional_areas(atlas: &Atlas) -> Vec<(String, Vec<String>)> {
    let Some(layer) = atlas.layer(layers::FUNCTIONAL_AREA) else { return Vec::new() };
    let towns = |text: &str| {
        text.split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|town| !town.is_empty())
            .map(String::from)
            .collect()
    };
    layer
        .features()
        .iter()
        .map(|area| {
            let listed = area.attributes.get("XZQDMS").and_then(|value| value.as_str());
            (area.code.clone(), listed.map(towns).unwrap_or_default())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atlas::feature::{Feature, LayerInfo, LayerKind};
    use crate::atlas::layer::Layer;
    use geo::{MultiPolygon, Rect};
    use std::sync::Arc;

    fn atlas() -> Atlas {
        let info = LayerInfo {
            name: layers::FUNCTIONAL_AREA.into(),
            kind: LayerKind::Overlay,
            title_zh: String::new(),
            title_en: String::new(),
        };
        let area = Feature {
            id: 1,
            code: "350305901".into(),
            name: None,
            class_code: None,
            class_name: None,
            parent_code: None,
            area_m2: 1.0,
            surveyed_area_m2: None,
            attributes: serde_json::json!({"XZQDMS": "350305102, 350305103"}),
            geometry: MultiPolygon::new(vec![Rect::new((0.0, 0.0), (1.0, 1.0)).to_polygon()]),
        };
        Atlas::new(1, [Arc::new(Layer::new(info, 1, vec![area]))])
    }

    #[test]
    fn reach_follows_the_scope() {
        let atlas = atlas();
        let codes = [
            "350300",
            "350305",
            "350305901",
            "350305102",
            "350305102001",
            "350305102001003",
            "350305100",
            "350302001001",
            "350500",
        ];
        let held = |scope: Scope| {
            let reach = Reach::of(&scope, &atlas);
            codes.into_iter().filter(|code| reach.holds(code)).collect::<Vec<_>>()
        };
        assert_eq!(held(Scope::City("350300".into())), codes[..8]);
        assert_eq!(held(Scope::District("350305".into())), ["350305", "350305100"]);
        assert_eq!(
            held(Scope::FunctionalArea("350305901".into())),
            ["350305901", "350305102", "350305102001", "350305102001003"]
        );
        assert_eq!(
            held(Scope::Town("350305102".into())),
            ["350305102", "350305102001", "350305102001003"]
        );
        assert_eq!(held(Scope::Village("350302001001".into())), ["350302001001"]);
        assert!(held(Scope::Nothing).is_empty());
    }
}
