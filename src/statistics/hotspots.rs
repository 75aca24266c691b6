//! Where cases gather: on grid cells, villages, or H3 hexagons, by Getis-Ord Gi*, against the same
//! period a year before.

use super::case_frame::{CaseView, column};
use super::getis_ord::{ALPHA, Gi, gi_star};
use crate::atlas::category::Category;
use crate::atlas::layer::Layer;
use crate::error::{Fault, Result};
use crate::tiles::cases::{CaseFilter, CasePlace};
use geo::{Coord, LineString, MultiPolygon, Polygon, Rect};
use h3o::{CellIndex, LatLng, Resolution};
use polars::prelude::*;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// What the units are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    Cell,
    Village,
    /// Hexagons of a resolution, 7 to 9.
    H3(u8),
}

impl By {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cell => "cell",
            Self::Village => "village",
            Self::H3(_) => "h3",
        }
    }
}

/// What is gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Cases.
    Count,
    /// m² taken.
    Area,
}

/// What a unit is, now against a year before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Hot now, not a year before.
    New,
    /// Hot both times, and at least a fifth more now.
    Intensifying,
    /// Hot both times.
    Persistent,
    /// Hot both times, and at least a fifth less now.
    Diminishing,
    /// Hot a year before, not now.
    Fading,
    /// Not hot yet: at least 3 cases, half as many again as a year before, and above chance (z ≥ 1).
    Emerging,
    /// Significantly little.
    Cold,
    #[default]
    None,
}

impl Class {
    /// The word of the API and of tiles.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Intensifying => "intensifying",
            Self::Persistent => "persistent",
            Self::Diminishing => "diminishing",
            Self::Fading => "fading",
            Self::Emerging => "emerging",
            Self::Cold => "cold",
            Self::None => "none",
        }
    }

    /// What people call it: Chinese, English.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::New => ("新增热点", "a new hotspot"),
            Self::Intensifying => ("加剧热点", "an intensifying hotspot"),
            Self::Persistent => ("持续热点", "a persistent hotspot"),
            Self::Diminishing => ("减弱热点", "a diminishing hotspot"),
            Self::Fading => ("消退热点", "a hotspot that faded"),
            Self::Emerging => ("苗头", "emerging"),
            Self::Cold => ("冷点", "a cold spot"),
            Self::None => ("无显著聚集", "no significant gathering"),
        }
    }

    fn of(now: &Sum, before: &Sum, gi: Gi, gi_before: Gi) -> Self {
        let hot = |gi: Gi| gi.z > 0.0 && gi.p <= ALPHA;
        let (count, was) = (now.count as f64, before.count as f64);
        match (hot(gi), hot(gi_before)) {
            (true, false) => Self::New,
            (true, true) if count >= was * 1.2 => Self::Intensifying,
            (true, true) if count <= was * 0.8 => Self::Diminishing,
            (true, true) => Self::Persistent,
            (false, true) => Self::Fading,
            _ if now.count >= 3 && count >= was * 1.5 && gi.z >= 1.0 => Self::Emerging,
            _ if gi.z < 0.0 && gi.p <= ALPHA => Self::Cold,
            _ => Self::None,
        }
    }
}

/// The units of a boundary version, with who lies beside whom.
#[derive(Debug)]
pub struct Universe {
    by: By,
    /// The layer, where the units are areas.
    layer: Option<Arc<Layer>>,
    /// Hexagons, where they are those.
    hexagons: Vec<CellIndex>,
    positions: HashMap<Box<str>, u32>,
    neighbours: Vec<Vec<u32>>,
}

impl Universe {
    /// The areas of a layer; neighbours share a vertex.
    pub fn of_layer(by: By, layer: &Arc<Layer>) -> Self {
        let mut owners: HashMap<[u64; 2], Vec<u32>> = HashMap::new();
        for (feature, index) in layer.features().iter().zip(0u32..) {
            let rings = feature
                .geometry
                .iter()
                .flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
            for at in rings.flat_map(|ring| &ring.0) {
                // +0 and -0 are one position.
                let own = owners.entry([at.x, at.y].map(|v| (v + 0.0).to_bits())).or_default();
                if own.last() != Some(&index) {
                    own.push(index);
                }
            }
        }
        let mut neighbours: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); layer.features().len()];
        for own in owners.values().filter(|own| own.len() > 1) {
            for a in own {
                neighbours[*a as usize].extend(own.iter().filter(|b| *b != a));
            }
        }
        let codes = layer.features().iter().map(|f| Box::from(f.code.as_str()));
        Self {
            by,
            layer: Some(Arc::clone(layer)),
            hexagons: Vec::new(),
            positions: codes.zip(0..).collect(),
            neighbours: neighbours.into_iter().map(|own| own.into_iter().collect()).collect(),
        }
    }

    /// The hexagons whose middle lies in an area of a layer, the city's; neighbours share an edge.
    pub fn of_hexagons(resolution: u8, city: &Layer) -> Result<Self> {
        let by = By::H3(resolution);
        let resolution = Resolution::try_from(resolution).map_err(Fault::internal)?;
        let mut found: BTreeSet<CellIndex> = BTreeSet::new();
        if let Some(bounds) = city.bounds() {
            let inside = |cell: &CellIndex| {
                let middle = middle_of(*cell);
                bounds.min().x <= middle.x
                    && middle.x <= bounds.max().x
                    && bounds.min().y <= middle.y
                    && middle.y <= bounds.max().y
            };
            let mut seen: HashSet<CellIndex> = HashSet::new();
            let mut queue: VecDeque<CellIndex> = VecDeque::new();
            queue.extend(cell_at(bounds.center(), resolution));
            seen.extend(queue.iter().copied());
            while let Some(cell) = queue.pop_front() {
                if !inside(&cell) {
                    continue;
                }
                if city.owner_at(middle_of(cell)).is_some() {
                    found.insert(cell);
                }
                for next in cell.grid_disk::<Vec<_>>(1) {
                    if seen.insert(next) {
                        queue.push_back(next);
                    }
                }
            }
        }
        let hexagons: Vec<CellIndex> = found.into_iter().collect();
        let positions: HashMap<Box<str>, u32> =
            hexagons.iter().map(|cell| cell.to_string().into()).zip(0..).collect();
        let by_cell: HashMap<CellIndex, u32> = hexagons.iter().copied().zip(0..).collect();
        let neighbours = hexagons
            .par_iter()
            .map(|cell| {
                let disk = cell.grid_disk::<Vec<_>>(1);
                disk.iter().filter(|c| *c != cell).filter_map(|c| by_cell.get(c).copied()).collect()
            })
            .collect();
        Ok(Self { by, layer: None, hexagons, positions, neighbours })
    }

    /// How many units there are.
    pub fn len(&self) -> usize {
        self.neighbours.len()
    }

    pub fn is_empty(&self) -> bool {
        self.neighbours.is_empty()
    }

    /// The code of a unit: of the area, or the index of the hexagon.
    pub fn code(&self, unit: u32) -> String {
        match &self.layer {
            Some(layer) => layer.feature(unit).code.clone(),
            None => self.hexagons.get(unit as usize).map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// The name of an area.
    pub fn name(&self, unit: u32) -> Option<&str> {
        self.layer.as_ref()?.feature(unit).name.as_deref()
    }

    /// The outline of a unit, degrees.
    pub fn outline(&self, unit: u32) -> MultiPolygon {
        if let Some(layer) = &self.layer {
            return layer.feature(unit).geometry.clone();
        }
        let Some(cell) = self.hexagons.get(unit as usize) else { return MultiPolygon::new(vec![]) };
        let boundary = cell.boundary();
        let corner = |at: &LatLng| Coord { x: at.lng(), y: at.lat() };
        let mut ring: Vec<Coord> = boundary.iter().map(corner).collect();
        ring.extend(ring.first().copied());
        MultiPolygon::new(vec![Polygon::new(LineString(ring), vec![])])
    }

    /// The box around a unit, degrees.
    pub fn bounds(&self, unit: u32) -> Option<Rect> {
        use geo::BoundingRect;
        match &self.layer {
            Some(layer) => Some(layer.bounds_of(unit)),
            None => self.outline(unit).bounding_rect(),
        }
    }

    fn code_in<'a>(&self, place: &'a CasePlace) -> Option<&'a str> {
        match self.by {
            By::Cell => place.cell.as_deref(),
            By::Village => place.village.as_deref(),
            By::H3(_) => None,
        }
    }
}

fn cell_at(at: Coord, resolution: Resolution) -> Option<CellIndex> {
    Some(LatLng::new(at.y, at.x).ok()?.to_cell(resolution))
}

fn middle_of(cell: CellIndex) -> Coord {
    let middle = LatLng::from(cell);
    Coord { x: middle.lng(), y: middle.lat() }
}

/// What lies in a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    pub count: u64,
    /// m² taken, and of it basic farmland and cultivated land in all.
    pub area_m2: f64,
    pub basic_farmland_m2: f64,
    pub cultivated_m2: f64,
}

/// One unit of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    pub unit: u32,
    pub now: Sum,
    /// The same period a year before.
    pub before: Sum,
    pub gi: Gi,
    pub gi_before: Gi,
    pub class: Class,
}

/// All units that count, hottest first.
#[derive(Debug)]
pub struct Hotspots {
    pub universe: Arc<Universe>,
    pub spots: Vec<Spot>,
    /// Cases that lie in none of the units.
    pub elsewhere: u64,
}

/// Works out the hotspots among the units that `counts` admits, of the cases of two filters: now
/// and a year before.
pub fn hotspots(
    view: &CaseView,
    universe: &Arc<Universe>,
    counts: impl Fn(u32) -> bool,
    measure: Measure,
    now: &CaseFilter,
    before: Option<&CaseFilter>,
) -> Result<Hotspots> {
    // Units that do not count are left out of the field, not zeros in it.
    let chosen: Vec<u32> = (0..universe.len() as u32).filter(|unit| counts(*unit)).collect();
    let own: HashMap<u32, u32> = chosen.iter().copied().zip(0..).collect();
    let neighbours: Vec<Vec<u32>> = chosen
        .iter()
        .map(|unit| {
            let beside = universe.neighbours[*unit as usize].iter();
            beside.filter_map(|other| own.get(other).copied()).collect()
        })
        .collect();
    let mut elsewhere = 0;
    let mut field = |filter: &CaseFilter| -> Result<Vec<Sum>> {
        let sums = sums(view, universe, filter)?;
        let counted: u64 = sums.values().map(|sum| sum.count).sum();
        let field: Vec<Sum> =
            chosen.iter().map(|unit| sums.get(unit).copied().unwrap_or_default()).collect();
        elsewhere = total(view, filter)?.saturating_sub(counted);
        Ok(field)
    };
    let was = match before {
        Some(before) => field(before)?,
        None => vec![Sum::default(); chosen.len()],
    };
    let is = field(now)?;
    let value = |sum: &Sum| match measure {
        Measure::Count => sum.count as f64,
        Measure::Area => sum.area_m2,
    };
    let gi = gi_star(&is.iter().map(value).collect::<Vec<_>>(), &neighbours);
    let gi_before = gi_star(&was.iter().map(value).collect::<Vec<_>>(), &neighbours);
    let mut spots: Vec<Spot> = chosen
        .iter()
        .enumerate()
        .map(|(i, unit)| Spot {
            unit: *unit,
            now: is[i],
            before: was[i],
            gi: gi[i],
            gi_before: gi_before[i],
            class: Class::of(&is[i], &was[i], gi[i], gi_before[i]),
        })
        .collect();
    spots.sort_by(|a, b| {
        b.gi.z.total_cmp(&a.gi.z).then(b.now.count.cmp(&a.now.count)).then(a.unit.cmp(&b.unit))
    });
    Ok(Hotspots { universe: Arc::clone(universe), spots, elsewhere })
}

fn total(view: &CaseView, filter: &CaseFilter) -> Result<u64> {
    Ok(view.frame(filter, &[column::PLACE])?.height() as u64)
}

/// What lies in each unit.
fn sums(view: &CaseView, universe: &Universe, filter: &CaseFilter) -> Result<HashMap<u32, Sum>> {
    if let By::H3(resolution) = universe.by {
        return sums_in_hexagons(view, universe, filter, resolution);
    }
    let mut needed = vec![column::PLACE];
    needed.extend(Category::ALL.map(Category::as_str));
    let frame = view.frame(filter, &needed)?;
    let total = Category::ALL.iter().map(|c| col(c.as_str())).reduce(|a, b| a + b);
    let total = total.unwrap_or_else(|| lit(0.0));
    let read = || -> PolarsResult<Vec<(u32, Sum)>> {
        let sums = frame
            .lazy()
            .group_by([col(column::PLACE)])
            .agg([
                len().cast(DataType::UInt64).alias("n"),
                total.sum().alias("total"),
                col("basic_farmland").sum(),
                (col("basic_farmland") + col("farmland")).sum().alias("cultivated"),
            ])
            .collect()?;
        let places = sums.column(column::PLACE)?.u32()?.clone();
        let counts = sums.column("n")?.u64()?.clone();
        let number = |name: &str| sums.column(name)?.f64().cloned();
        let (total, basic) = (number("total")?, number("basic_farmland")?);
        let cultivated = number("cultivated")?;
        let row = |i: usize| Sum {
            count: counts.get(i).unwrap_or(0),
            area_m2: total.get(i).unwrap_or(0.0),
            basic_farmland_m2: basic.get(i).unwrap_or(0.0),
            cultivated_m2: cultivated.get(i).unwrap_or(0.0),
        };
        Ok(places.iter().enumerate().filter_map(|(i, place)| Some((place?, row(i)))).collect())
    };
    let mut found: HashMap<u32, Sum> = HashMap::new();
    for (place, sum) in read().map_err(|error: PolarsError| Fault::internal(error))? {
        let code = view.snapshot.place(place).and_then(|place| universe.code_in(place));
        if let Some(unit) = code.and_then(|code| universe.positions.get(code)) {
            found.entry(*unit).or_default().add(&sum);
        }
    }
    Ok(found)
}

fn sums_in_hexagons(
    view: &CaseView,
    universe: &Universe,
    filter: &CaseFilter,
    resolution: u8,
) -> Result<HashMap<u32, Sum>> {
    let resolution = Resolution::try_from(resolution).map_err(Fault::internal)?;
    let by_cell: HashMap<CellIndex, u32> = universe.hexagons.iter().copied().zip(0..).collect();
    let mut found: HashMap<u32, Sum> = HashMap::new();
    view.snapshot.visit_all(filter, |case| {
        let cell = cell_at(Coord { x: case.lon, y: case.lat }, resolution);
        if let Some(unit) = cell.and_then(|cell| by_cell.get(&cell)) {
            let areas = &case.figures.areas;
            found.entry(*unit).or_default().add(&Sum {
                count: 1,
                area_m2: areas.total(),
                basic_farmland_m2: areas.basic_farmland,
                cultivated_m2: areas.basic_farmland + areas.farmland,
            });
        }
    });
    Ok(found)
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.area_m2 += other.area_m2;
        self.basic_farmland_m2 += other.basic_farmland_m2;
        self.cultivated_m2 += other.cultivated_m2;
    }
}

impl Spot {
    /// Why to look here: Chinese and English. `per_km2` is the rate per km² of cultivated land.
    pub fn reason(&self, per_km2: Option<f64>) -> (String, String) {
        let (now, was) = (self.now.count, self.before.count);
        let (zh_class, en_class) = self.class.names();
        let mut zh =
            format!("{zh_class}（z={:.2}，p={:.4}）；本期发现 {now} 宗", self.gi.z, self.gi.p);
        let mut en = format!("{en_class} (z={:.2}, p={:.4}); {now} cases", self.gi.z, self.gi.p);
        let change = now as i64 - was as i64;
        match change {
            0 => {
                zh += "，与上年同期持平";
                en += ", as many as a year before";
            }
            _ => {
                let (zh_word, en_word) =
                    if change > 0 { ("增加", "more") } else { ("减少", "fewer") };
                let by = change.unsigned_abs();
                zh += &format!("，比上年同期{zh_word} {by} 宗");
                en += &format!(", {by} {en_word} than a year before");
            }
        }
        zh += &format!("；占地 {:.0} 平方米", self.now.area_m2);
        en += &format!("; {:.0} m² taken", self.now.area_m2);
        if self.now.basic_farmland_m2 > 0.0 {
            zh += &format!("，其中基本农田 {:.0} 平方米", self.now.basic_farmland_m2);
            en += &format!(", {:.0} m² of it basic farmland", self.now.basic_farmland_m2);
        }
        if let Some(rate) = per_km2 {
            zh += &format!("；每平方公里耕地 {rate:.2} 宗");
            en += &format!("; {rate:.2} cases per km² of cultivated land");
        }
        (zh, en)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_both_periods() {
        let sum = |count| Sum { count, ..Sum::default() };
        let (hot, cool) = (Gi { z: 3.0, p: 0.003, fdr: true }, Gi { z: 0.5, p: 0.6, fdr: false });
        let warm = Gi { z: 1.2, p: 0.23, fdr: false };
        let cold = Gi { z: -2.5, p: 0.01, fdr: false };
        for (now, before, gi, gi_before, class) in [
            (9, 1, hot, cool, Class::New),
            (12, 10, hot, hot, Class::Intensifying),
            (10, 10, hot, hot, Class::Persistent),
            (8, 10, hot, hot, Class::Diminishing),
            (1, 10, cool, hot, Class::Fading),
            (3, 2, warm, cool, Class::Emerging),
            (3, 3, warm, cool, Class::None),
            (0, 0, cold, cool, Class::Cold),
        ] {
            assert_eq!(Class::of(&sum(now), &sum(before), gi, gi_before), class);
        }
    }
}
