//! Which coordinate reference system a file is in, and whether its coordinates agree.
//!
//! A file says it by ESRI WKT, an EPSG code or a definition; GDAL reads these, PROJ transforms. A
//! system that cannot be known is asked for, with the candidates that the numbers allow.

use super::refuse;
use super::report::Report;
use crate::atlas::feature::layers;
use crate::atlas::lookup::Atlas;
use crate::error::{Fault, Result};
use crate::geometry::crs::{Crs, ToCgcs2000};
use gdal::spatial_ref::SpatialRef;
use geo::Coord;

/// The rectangle of China, degrees (west, south, east, north).
const CHINA: [f64; 4] = [72.0, 2.0, 137.0, 55.0];

/// What the importer needs to know of a system beside its definition.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceCrs {
    pub crs: Crs,
    /// Longitudes and latitudes in degrees.
    pub geographic: bool,
    /// Of a transverse Mercator in metres.
    pub false_easting: Option<f64>,
    /// The datum was not named and was taken for CGCS2000 by its ellipsoid.
    pub datum_assumed: bool,
}

/// The system from the text of a .prj; `None` where it is empty.
pub fn from_prj(bytes: &[u8]) -> Result<Option<SourceCrs>> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Names may be in GBK: what counts is ASCII.
    let text: String = text
        .iter()
        .filter(|b| **b != 0)
        .map(|&b| if b.is_ascii() { char::from(b) } else { '_' })
        .collect();
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let unreadable = |_| {
        refuse(
            "crs_unknown",
            ".prj 文件不是可识别的坐标系定义，请用 --crs 指定坐标系",
            "The .prj is not a CRS definition; give the CRS with --crs",
        )
    };
    // Some programs write WKT 2 into it.
    let found = SpatialRef::from_esri(text).or_else(|_| SpatialRef::from_wkt(text));
    identify(&found.map_err(unreadable)?).map(Some)
}

/// The system that the user named.
pub fn from_user(crs: &Crs, report: &mut Report) -> Result<SourceCrs> {
    // What PROJ does not know is refused here, before anything is read.
    ToCgcs2000::new(crs)?;
    if let Some(shift) = crs.unknown_shift() {
        report.warn(
            "datum_shift_unknown",
            format!("按指定使用 {shift}：到 CGCS2000 的平移参数未知，按零处理，可能偏差数十至上百米"),
            format!("{shift} used as told: its shift to CGCS2000 is unknown and taken as zero; positions may be off by tens of metres or more"),
        );
    }
    let degrees = |crs: &Crs| SourceCrs {
        crs: crs.clone(),
        geographic: true,
        false_easting: None,
        datum_assumed: false,
    };
    let definition = match crs {
        Crs::Epsg(code) => SpatialRef::from_epsg(*code).ok(),
        Crs::Definition(text) if text.starts_with('+') => SpatialRef::from_proj4(text).ok(),
        Crs::Definition(text) if text.contains('[') => SpatialRef::from_wkt(text).ok(),
        Crs::Definition(_) => None,
        _ => return Ok(degrees(crs)),
    };
    Ok(match definition {
        Some(found) => SourceCrs {
            crs: crs.clone(),
            geographic: found.is_geographic(),
            false_easting: false_easting(&found),
            datum_assumed: false,
        },
        None => SourceCrs {
            crs: crs.clone(),
            geographic: false,
            false_easting: None,
            datum_assumed: false,
        },
    })
}

/// The system that a GeoJSON names.
pub fn from_name(said: &Result<Option<Crs>, String>) -> Result<Option<SourceCrs>> {
    match said {
        Ok(None) => Ok(None),
        Ok(Some(Crs::Epsg(code))) => match SpatialRef::from_epsg(*code) {
            Ok(found) => identify(&found).map(Some),
            Err(_) => Err(unknown_name(&format!("EPSG:{code}"))),
        },
        Ok(Some(crs)) => Ok(Some(SourceCrs {
            crs: crs.clone(),
            geographic: true,
            false_easting: None,
            datum_assumed: false,
        })),
        Err(name) => Err(unknown_name(name)),
    }
}

fn unknown_name(name: &str) -> Fault {
    crs_unknown_here(
        &format!("文件的坐标系 {name:?} 无法识别"),
        &format!("The file's CRS {name:?} is not known"),
    )
}

#[derive(PartialEq)]
enum Datum {
    Cgcs2000,
    Wgs84,
    Xian1980,
    Beijing1954,
    Unnamed,
    Other,
}

/// What system a definition read by GDAL is.
pub fn identify(found: &SpatialRef) -> Result<SourceCrs> {
    let wkt = found.to_wkt().unwrap_or_default();
    let geographic = found.is_geographic();
    // GeoPackage has codes for systems that nobody defined.
    let undefined = found.name().is_some_and(|name| name.to_lowercase().starts_with("undefined"));
    if undefined || (!geographic && !found.is_projected()) {
        return Err(crs_unknown_here("文件中的坐标系未定义", "The file's CRS is undefined"));
    }
    let datum = datum(found);
    let parameters = has_shift_parameters(&wkt);
    let unshifted = |name: &str| {
        refuse(
            "datum_shift_unknown",
            format!(
                "文件为 {name} 坐标系，到 CGCS2000 的平移参数未知，不能直接换算；如接受数十至上百米偏差，请用 --crs 明确指定，或给出带 +towgs84 参数的定义"
            ),
            format!(
                "The file is in {name}, whose shift to CGCS2000 is unknown. Name the CRS with --crs to accept errors of tens of metres or more, or give a definition with +towgs84 parameters"
            ),
        )
    };
    match datum {
        Datum::Xian1980 if !parameters => return Err(unshifted("Xian 1980")),
        Datum::Beijing1954 if !parameters => return Err(unshifted("Beijing 1954")),
        _ => {}
    }
    let datum_assumed = datum == Datum::Unnamed;
    let own_datum = matches!(datum, Datum::Cgcs2000 | Datum::Wgs84 | Datum::Unnamed) && !parameters;
    let false_easting = false_easting(found);
    let crs = if own_datum && geographic && is_plain_degrees(found) {
        if datum == Datum::Wgs84 { Crs::Wgs84 } else { Crs::Cgcs2000 }
    } else if let Some(code) = cgcs2000_zone(found).filter(|_| own_datum && datum != Datum::Wgs84) {
        Crs::Epsg(code)
    } else {
        Crs::Definition(wkt)
    };
    ToCgcs2000::new(&crs)?;
    Ok(SourceCrs { crs, geographic, false_easting, datum_assumed })
}

fn crs_unknown_here(zh: &str, en: &str) -> Fault {
    refuse(
        "crs_unknown",
        format!("{zh}，请用 --crs 指定坐标系"),
        format!("{en}; give the CRS with --crs"),
    )
}

fn attribute(found: &SpatialRef, node: &str, child: usize) -> Option<String> {
    found.get_attr_value(node, i32::try_from(child).unwrap_or(0) as usize).ok().flatten()
}

fn datum(found: &SpatialRef) -> Datum {
    let plain = |text: String| -> String {
        text.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect()
    };
    let names: Vec<String> = ["DATUM", "GEOGCS", "PROJCS"]
        .iter()
        .filter_map(|node| attribute(found, node, 0))
        .map(plain)
        .collect();
    let says =
        |words: &[&str]| names.iter().any(|name| words.iter().any(|word| name.contains(word)));
    let (a, b) = (found.semi_major().unwrap_or(0.0), found.semi_minor().unwrap_or(0.0));
    let flattening = if a > b { a / (a - b) } else { 0.0 };
    let ellipsoid =
        |axis: f64, inverse: f64| (a - axis).abs() < 0.5 && (flattening - inverse).abs() < 0.01;
    if says(&["xian1980", "xian80"]) || ellipsoid(6_378_140.0, 298.257) {
        Datum::Xian1980
    } else if says(&["beijing1954", "beijing54", "newbeijing"]) || ellipsoid(6_378_245.0, 298.3) {
        Datum::Beijing1954
    } else if says(&["china2000", "cgcs2000", "chinageodetic", "chinesegeodetic"]) {
        Datum::Cgcs2000
    } else if names.first().is_some_and(|n| n.contains("wgs1984") || n.contains("wgs84")) {
        Datum::Wgs84
    } else if ellipsoid(6_378_137.0, 298.257)
        && (names.is_empty()
            || says(&["unknown", "notspecified", "undefined", "custom", "usrdefined", "unnamed"]))
    {
        Datum::Unnamed
    } else {
        Datum::Other
    }
}

/// Whether the definition brings shift parameters of its own; seven zeros are none.
fn has_shift_parameters(wkt: &str) -> bool {
    let Some((_, rest)) = wkt.split_once("TOWGS84[") else { return false };
    let values = rest.split(']').next().unwrap_or_default();
    values.split(',').any(|v| v.trim().parse::<f64>().is_ok_and(|v| v != 0.0))
}

fn is_plain_degrees(found: &SpatialRef) -> bool {
    let degree = (found.angular_units() - std::f64::consts::PI / 180.0).abs() < 1e-9;
    let meridian = attribute(found, "PRIMEM", 1).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
    degree && meridian == 0.0
}

fn parameter(found: &SpatialRef, name: &str) -> Option<f64> {
    found.get_proj_param(name).ok().flatten()
}

fn false_easting(found: &SpatialRef) -> Option<f64> {
    let mercator = attribute(found, "PROJECTION", 0)
        .is_some_and(|p| p.eq_ignore_ascii_case("Transverse_Mercator"));
    (mercator && found.is_projected()).then(|| parameter(found, "false_easting")).flatten()
}

/// The EPSG code of a CGCS2000 Gauss-Krüger zone, from its parameters.
fn cgcs2000_zone(found: &SpatialRef) -> Option<u32> {
    let false_easting = false_easting(found)?;
    let is =
        |name: &str, value: f64| parameter(found, name).is_none_or(|v| (v - value).abs() < 1e-9);
    let plain =
        is("latitude_of_origin", 0.0) && is("scale_factor", 1.0) && is("false_northing", 0.0);
    if !plain || found.linear_units() != 1.0 {
        return None;
    }
    let meridian = parameter(found, "central_meridian")?;
    let zone = (false_easting - 500_000.0) / 1e6;
    if meridian.fract() != 0.0 || zone.fract() != 0.0 {
        return None;
    }
    let (meridian, zone) = (meridian as i64, zone as i64);
    let code = match zone {
        0 if meridian % 3 == 0 && (75..=135).contains(&meridian) => 4534 + (meridian - 75) / 3,
        25..=45 if meridian == 3 * zone => 4513 + zone - 25,
        13..=23 if meridian == 6 * zone - 3 => 4491 + zone - 13,
        _ => return None,
    };
    u32::try_from(code).ok()
}

/// The zone number before the easting, where there is one.
fn zone_prefix(easting: f64) -> Option<i64> {
    ((13e6..46e6).contains(&easting)).then_some((easting / 1e6) as i64)
}

fn in_china(c: Coord) -> bool {
    let [w, s, e, n] = CHINA;
    (w..=e).contains(&c.x) && (s..=n).contains(&c.y)
}

fn swapped(c: Coord) -> Coord {
    Coord { x: c.y, y: c.x }
}

/// The systems that coordinates like this one may be in, likeliest first; those that put it into
/// the published city before others.
pub fn candidates(sample: Coord, atlas: &Atlas) -> Vec<String> {
    if in_china(sample) {
        return ["cgcs2000", "wgs84", "gcj02", "bd09"].map(String::from).to_vec();
    }
    if !(1.5e6..6.5e6).contains(&sample.y) {
        return Vec::new();
    }
    match zone_prefix(sample.x) {
        Some(zone @ 25..=45) => vec![format!("EPSG:{}", 4513 + zone - 25)],
        Some(zone @ 13..=23) => vec![format!("EPSG:{}", 4491 + zone - 13)],
        Some(_) => Vec::new(),
        None if (0.0..1e6).contains(&sample.x) => {
            let all: Vec<u32> = (4534..=4554).collect();
            let city = atlas.layer(layers::CITY).and_then(|layer| layer.bounds());
            let inside = |code: &&u32| {
                let place = ToCgcs2000::new(&Crs::Epsg(**code))
                    .ok()
                    .and_then(|to| to.position(sample).ok());
                match (place, city) {
                    (Some(p), Some(city)) => {
                        p.x >= city.min().x - 0.2
                            && p.x <= city.max().x + 0.2
                            && p.y >= city.min().y - 0.2
                            && p.y <= city.max().y + 0.2
                    }
                    _ => false,
                }
            };
            let near: Vec<&u32> = all.iter().filter(inside).collect();
            let chosen = if near.is_empty() { all.iter().collect() } else { near };
            chosen.into_iter().map(|code| format!("EPSG:{code}")).collect()
        }
        None => Vec::new(),
    }
}

/// The file names no system: asks for it.
pub fn ask(sample: Option<Coord>, atlas: &Atlas) -> Fault {
    let candidates = sample.map(|s| candidates(s, atlas)).unwrap_or_default();
    let (zh, en) = hint(&candidates);
    refuse(
        "crs_unknown",
        format!("文件没有说明坐标系，请用 --crs 指定{zh}"),
        format!("The file does not say its CRS; give it with --crs{en}"),
    )
}

fn hint(candidates: &[String]) -> (String, String) {
    if candidates.is_empty() {
        return (String::new(), String::new());
    }
    let list = candidates.join(", ");
    (format!("（按坐标数值可能是：{list}）"), format!(" (by its numbers it may be: {list})"))
}

/// Refuses coordinates that contradict the system they are said to be in. `samples` holds one raw
/// position of each feature; what only a few features have wrong is their own rejection.
pub fn check_numbers(system: &SourceCrs, samples: &[Coord], atlas: &Atlas) -> Result<()> {
    let most = |wrong: &dyn Fn(&Coord) -> bool| {
        2 * samples.iter().filter(|c| wrong(c)).count() > samples.len()
    };
    let Some(&first) = samples.first() else { return Ok(()) };
    let say = |c: &Coord| format!("{}, {}", c.x, c.y);
    if system.geographic {
        let off_earth = |c: &Coord| c.x.abs() > 180.0 || c.y.abs() > 90.0;
        if most(&off_earth) {
            let example = samples.iter().find(|c| off_earth(c)).copied().unwrap_or(first);
            if in_china(swapped(example)) {
                return Err(lat_lon_swapped(example));
            }
            let (zh, en) = hint(&candidates(example, atlas));
            return Err(refuse(
                "out_of_range",
                format!("坐标 {} 超出经纬度范围，坐标系 {} 不对{zh}", say(&example), system.crs),
                format!("Coordinate {} is out of range for {}{en}", say(&example), system.crs),
            ));
        }
        return Ok(());
    }
    let Some(false_easting) = system.false_easting else { return Ok(()) };
    // Without a prefix, eastings stay within a zone's reach.
    let zone = |easting: f64| match zone_prefix(easting) {
        None if !(-5e5..1.5e6).contains(&easting) => Some(-1),
        zone => zone,
    };
    let expected = zone(false_easting);
    let contradicts = |c: &Coord| zone(c.x) != expected;
    if !most(&contradicts) {
        return Ok(());
    }
    let example = samples.iter().find(|c| contradicts(c)).copied().unwrap_or(first);
    if zone(example.y) == expected && (1.5e6..6.5e6).contains(&example.x) {
        return Err(refuse(
            "out_of_range",
            format!("坐标 {} 的东、北坐标似乎颠倒", say(&example)),
            format!("Easting and northing of {} look swapped", say(&example)),
        ));
    }
    let (zh, en) = hint(&candidates(example, atlas));
    let prefixed = zone_prefix(example.x).is_some() || (0.0..1e6).contains(&example.x);
    let code = if prefixed { "crs_ambiguous" } else { "out_of_range" };
    Err(refuse(
        code,
        format!("坐标 {} 与坐标系 {} 的带号不符，请用 --crs 指定{zh}", say(&example), system.crs),
        format!(
            "Coordinate {} contradicts the zone of {}; give the CRS with --crs{en}",
            say(&example),
            system.crs
        ),
    ))
}

fn lat_lon_swapped(example: Coord) -> Fault {
    refuse(
        "out_of_range",
        format!("坐标 {}, {} 的经度、纬度似乎颠倒（应先经度后纬度）", example.x, example.y),
        format!(
            "Latitude and longitude of {}, {} look swapped (longitude comes first)",
            example.x, example.y
        ),
    )
}

/// Refuses a file that lies outside China: `positions` holds one position of each feature, degrees.
pub fn check_in_china(positions: &[Coord]) -> Result<()> {
    let outside: Vec<&Coord> = positions.iter().filter(|c| !in_china(**c)).collect();
    if 2 * outside.len() <= positions.len() {
        return Ok(());
    }
    match outside.first() {
        Some(&&example) if in_china(swapped(example)) => Err(lat_lon_swapped(example)),
        Some(example) => Err(refuse(
            "outside_area",
            format!("换算后的位置（{:.4}, {:.4}）不在中国，坐标系可能不对", example.x, example.y),
            format!(
                "The file lies outside China (at {:.4}, {:.4}); its CRS may be wrong",
                example.x, example.y
            ),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wkt(name: &str, datum: &str, false_easting: f64, meridian: f64) -> String {
        format!(
            r#"PROJCS["{name}",GEOGCS["GCS",DATUM["{datum}",SPHEROID["CGCS2000",6378137.0,298.257222101]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Gauss_Kruger"],PARAMETER["False_Easting",{false_easting:.1}],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",{meridian:.1}],PARAMETER["Scale_Factor",1.0],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]"#
        )
    }

    #[test]
    fn zones_are_known_by_their_parameters() {
        for (false_easting, meridian, expected) in [
            (500_000.0, 120.0, 4549),
            (40_500_000.0, 120.0, 4528),
            (39_500_000.0, 117.0, 4527),
            (20_500_000.0, 117.0, 4498),
        ] {
            let prj = wkt("whatever", "D_China_2000", false_easting, meridian);
            let found = from_prj(prj.as_bytes()).unwrap().unwrap();
            assert_eq!(found.crs, Crs::Epsg(expected));
        }
        let local = from_prj(wkt("Putian_local", "D_China_2000", 500_000.0, 119.0).as_bytes())
            .unwrap()
            .unwrap();
        assert!(matches!(local.crs, Crs::Definition(_)));
        let there = ToCgcs2000::new(&local.crs)
            .unwrap()
            .position(Coord { x: 500_000.0, y: 2_813_000.0 })
            .unwrap();
        assert!((there.x - 119.0).abs() < 1e-9, "{there:?}");
    }

    #[test]
    fn definitions_in_other_dialects_are_understood() {
        let web = r#"PROJCS["WGS_1984_Web_Mercator_Auxiliary_Sphere",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Mercator_Auxiliary_Sphere"],PARAMETER["False_Easting",0.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",0.0],PARAMETER["Standard_Parallel_1",0.0],PARAMETER["Auxiliary_Sphere_Type",0.0],UNIT["Meter",1.0]]"#;
        let utm = r#"PROJCS["WGS_1984_UTM_Zone_50N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",117.0],PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]"#;
        // PROJ's own answers for EPSG:3857 and EPSG:32650.
        for (prj, code, x, y) in
            [(web, 3857, 13_247_019.4, 2_939_000.0), (utm, 32650, 701_000.0, 2_814_000.0)]
        {
            let found = from_prj(prj.as_bytes()).unwrap().unwrap();
            let place = |crs: &Crs| ToCgcs2000::new(crs).unwrap().position(Coord { x, y }).unwrap();
            let (got, expected) = (place(&found.crs), place(&Crs::Epsg(code)));
            assert!(
                (got.x - expected.x).abs() < 1e-8 && (got.y - expected.y).abs() < 1e-8,
                "{got:?} {expected:?}"
            );
        }
        let wkt2 = r#"GEOGCRS["China Geodetic Coordinate System 2000",DATUM["China 2000",ELLIPSOID["CGCS2000",6378137,298.257222101]],CS[ellipsoidal,2],AXIS["latitude",north],AXIS["longitude",east],UNIT["degree",0.0174532925199433]]"#;
        assert_eq!(from_prj(wkt2.as_bytes()).unwrap().unwrap().crs, Crs::Cgcs2000);
    }

    #[test]
    fn old_datums_are_refused_unless_they_bring_parameters() {
        let old = wkt("x", "D_Xian_1980", 500_000.0, 120.0);
        assert_eq!(from_prj(old.as_bytes()).unwrap_err().code, "datum_shift_unknown");
        assert_eq!(from_prj(b"not a prj(").unwrap_err().code, "crs_unknown");
        assert_eq!(from_prj(b" \r\n").unwrap(), None);
    }

    #[test]
    fn numbers_that_contradict_are_refused() {
        let atlas = Atlas::default();
        let mut report = Report::default();
        let mut check = |crs: &str, x: f64, y: f64| {
            let system = from_user(&crs.parse().unwrap(), &mut report).unwrap();
            check_numbers(&system, &[Coord { x, y }], &atlas).map_or_else(|f| f.code, |()| "ok")
        };
        assert_eq!(check("EPSG:4549", 399_400.0, 2_814_064.0), "ok");
        assert_eq!(check("EPSG:4549", 40_399_400.0, 2_814_064.0), "crs_ambiguous");
        assert_eq!(check("EPSG:4528", 399_400.0, 2_814_064.0), "crs_ambiguous");
        assert_eq!(check("EPSG:4527", 40_399_400.0, 2_814_064.0), "crs_ambiguous");
        assert_eq!(check("EPSG:4549", 2_814_064.0, 399_400.0), "out_of_range");
        assert_eq!(check("cgcs2000", 25.4, 119.0), "out_of_range");
        assert_eq!(check("cgcs2000", 399_400.0, 2_814_064.0), "out_of_range");
        assert_eq!(candidates(Coord { x: 40_399_400.0, y: 2_814_064.0 }, &atlas), ["EPSG:4528"]);
        assert_eq!(candidates(Coord { x: 20_699_400.0, y: 2_814_064.0 }, &atlas), ["EPSG:4498"]);
        assert_eq!(candidates(Coord { x: 399_400.0, y: 2_814_064.0 }, &atlas).len(), 21);
    }
}
