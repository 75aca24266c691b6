//! Coordinate reference systems: what a coordinate's numbers mean, and the way to CGCS2000.
//!
//! All input is x = longitude or easting, y = latitude or northing, whatever axis order EPSG
//! states. All output is CGCS2000 longitude/latitude in degrees (EPSG:4490).

use super::gcj02;
use geo::Coord;
use proj::{Proj, ProjBuilder};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::str::FromStr;
use std::sync::{Once, OnceLock};

/// A coordinate reference system, as named by a user or read from a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Crs {
    /// EPSG:4490, the system of record.
    Cgcs2000,
    /// EPSG:4326; equal to CGCS2000 within a metre, used as equal.
    Wgs84,
    /// GCJ-02 ("Mars coordinates"), degrees.
    Gcj02,
    /// BD-09, degrees.
    Bd09,
    /// An EPSG code.
    Epsg(u32),
    /// A WKT, PROJJSON or PROJ definition.
    Definition(String),
}

/// Why a coordinate could not be brought to CGCS2000.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum CrsError {
    /// The name or definition means nothing to PROJ or to us.
    #[error("unknown coordinate reference system {0:?}")]
    Unknown(String),
    /// A coordinate is NaN, infinite, or outside what the system can express.
    #[error("coordinate {0}, {1} is out of range for {2}")]
    OutOfRange(f64, f64, String),
    /// A coordinate in degrees, given as one of a system that counts in metres.
    #[error("coordinate {0}, {1} is in degrees, {2} counts in metres")]
    Degrees(f64, f64, String),
}

/// A datum whose shift to CGCS2000 PROJ does not know and would silently take as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownShift {
    /// Xian 1980 西安80.
    Xian1980,
    /// Beijing 1954 北京54.
    Beijing1954,
}

impl fmt::Display for UnknownShift {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Xian1980 => "Xian 1980",
            Self::Beijing1954 => "Beijing 1954",
        })
    }
}

impl Crs {
    /// The datum shift to CGCS2000 that nobody but the owner of the data knows, if there is one.
    /// A definition that brings its own `+towgs84` parameters has none.
    pub fn unknown_shift(&self) -> Option<UnknownShift> {
        match self {
            Self::Epsg(code) => match code {
                4610 | 2327..=2390 | 4603 => Some(UnknownShift::Xian1980),
                4214 | 2401..=2442 | 21413..=21463 | 21473..=21483 => {
                    Some(UnknownShift::Beijing1954)
                }
                _ => None,
            },
            Self::Definition(text) => {
                let text = text.to_ascii_lowercase();
                if text.contains("towgs84") {
                    return None;
                }
                let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
                if ["xian1980", "xian80", "xian_1980"].iter().any(|n| plain.contains(n)) {
                    Some(UnknownShift::Xian1980)
                } else if plain.contains("beijing1954") || plain.contains("beijing54") {
                    Some(UnknownShift::Beijing1954)
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    fn proj_definition(&self) -> String {
        match self {
            Self::Epsg(code) => format!("EPSG:{code}"),
            Self::Definition(text) => text.clone(),
            Self::Cgcs2000 | Self::Wgs84 | Self::Gcj02 | Self::Bd09 => "EPSG:4490".into(),
        }
    }
}

impl fmt::Display for Crs {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cgcs2000 => f.write_str("cgcs2000"),
            Self::Wgs84 => f.write_str("wgs84"),
            Self::Gcj02 => f.write_str("gcj02"),
            Self::Bd09 => f.write_str("bd09"),
            Self::Epsg(code) => write!(f, "EPSG:{code}"),
            Self::Definition(text) => f.write_str(text),
        }
    }
}

impl FromStr for Crs {
    type Err = CrsError;

    /// `EPSG:n`, `wgs84`, `cgcs2000`, `gcj02`, `bd09` (any case), or a WKT/PROJ string. A
    /// definition is checked when the transformation is made.
    fn from_str(text: &str) -> Result<Self, CrsError> {
        let text = text.trim();
        let unknown = || CrsError::Unknown(text.chars().take(80).collect());
        let name: String =
            text.to_ascii_lowercase().chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect();
        match name.as_str() {
            "cgcs2000" | "epsg:4490" => return Ok(Self::Cgcs2000),
            "wgs84" | "epsg:4326" | "ogc:crs84" => return Ok(Self::Wgs84),
            "gcj02" => return Ok(Self::Gcj02),
            "bd09" | "bd09ll" => return Ok(Self::Bd09),
            _ => {}
        }
        if let Some(code) = name.strip_prefix("epsg:") {
            return code.parse().map(Self::Epsg).map_err(|_| unknown());
        }
        let is_definition = text.starts_with('+')
            || text.starts_with('{')
            || (text.contains('[') && text.ends_with(']'));
        // PROJ would also read a file name or a URN here: only texts that define a CRS pass.
        if is_definition
            && text.len() <= 20_000
            && !text.contains("+init")
            && !text.contains("grids")
        {
            Ok(Self::Definition(text.to_string()))
        } else {
            Err(unknown())
        }
    }
}

static PROJ_DATA: OnceLock<PathBuf> = OnceLock::new();

/// Names the folder that holds the `proj.db` of this build's PROJ; the first call wins. Set per
/// PROJ context and not through `PROJ_DATA`, which GDAL's own older PROJ would read too.
pub fn set_proj_data_dir(dir: &Path) {
    let _ = PROJ_DATA.set(dir.to_path_buf());
}

/// PROJ writes to stderr what it also returns; our errors say it once. New contexts take this
/// from the default one.
fn silence_proj() {
    static ONCE: Once = Once::new();
    // SAFETY: a null context names the default one, which lives as long as the process; the call
    // is made once, before any context of ours.
    ONCE.call_once(|| unsafe {
        proj_sys::proj_log_level(std::ptr::null_mut(), proj_sys::PJ_LOG_LEVEL_PJ_LOG_NONE);
    });
}

enum Way {
    Same,
    Gcj02,
    Bd09,
    Proj(Rc<Proj>),
}

/// The transformation from one CRS to CGCS2000. Holds a PROJ context: make one per thread
/// ([`ToCgcs2000::cached`]).
pub struct ToCgcs2000 {
    crs: Crs,
    way: Way,
}

thread_local! {
    static CACHE: RefCell<HashMap<Crs, Rc<ToCgcs2000>>> = RefCell::default();
}

/// A caller can name any number of systems; beyond this many a thread starts anew.
const CACHED_PER_THREAD: usize = 32;

impl ToCgcs2000 {
    /// Builds the transformation.
    pub fn new(crs: &Crs) -> Result<Self, CrsError> {
        let way = match crs {
            Crs::Cgcs2000 | Crs::Wgs84 => Way::Same,
            Crs::Gcj02 => Way::Gcj02,
            Crs::Bd09 => Way::Bd09,
            Crs::Epsg(_) | Crs::Definition(_) => {
                let unknown = || CrsError::Unknown(crs.to_string().chars().take(80).collect());
                silence_proj();
                let mut builder = ProjBuilder::new();
                if let Some(dir) = PROJ_DATA.get() {
                    builder.set_search_paths(dir).map_err(|_| unknown())?;
                }
                let proj = builder
                    .proj_known_crs(&crs.proj_definition(), "EPSG:4490", None)
                    .map_err(|_| unknown())?;
                Way::Proj(Rc::new(proj))
            }
        };
        Ok(Self { crs: crs.clone(), way })
    }

    /// The transformation, from this thread's cache.
    pub fn cached(crs: &Crs) -> Result<Rc<Self>, CrsError> {
        if let Some(found) = CACHE.with_borrow(|cache| cache.get(crs).cloned()) {
            return Ok(found);
        }
        let made = Rc::new(Self::new(crs)?);
        CACHE.with_borrow_mut(|cache| {
            if cache.len() >= CACHED_PER_THREAD {
                cache.clear();
            }
            cache.insert(crs.clone(), Rc::clone(&made));
        });
        Ok(made)
    }

    /// One coordinate to CGCS2000 degrees. The same input gives the same bits, on every path.
    pub fn position(&self, from: Coord) -> Result<Coord, CrsError> {
        let out_of_range = || CrsError::OutOfRange(from.x, from.y, self.crs.to_string());
        if !from.x.is_finite() || !from.y.is_finite() {
            return Err(out_of_range());
        }
        let to = match &self.way {
            Way::Same => from,
            Way::Gcj02 | Way::Bd09 if !gcj02::in_valid_extent(from) => return Err(out_of_range()),
            Way::Gcj02 => gcj02::from_gcj02(from),
            Way::Bd09 => gcj02::from_bd09(from),
            Way::Proj(proj) => {
                let (x, y) = proj.convert((from.x, from.y)).map_err(|_| out_of_range())?;
                Coord { x, y }
            }
        };
        // Metres so small lie on the equator, far west of a registered zone. A local grid may have
        // its origin in the city.
        let looks_like_degrees =
            matches!(self.crs, Crs::Epsg(_)) && from.x.abs() <= 180.0 && from.y.abs() <= 90.0;
        if looks_like_degrees && (to.x - from.x).abs().max((to.y - from.y).abs()) > 1.0 {
            return Err(CrsError::Degrees(from.x, from.y, self.crs.to_string()));
        }
        let on_earth = (-180.0..=180.0).contains(&to.x) && (-90.0..=90.0).contains(&to.y);
        if on_earth { Ok(to) } else { Err(out_of_range()) }
    }
}

/// Places a coordinate of stored geometry on the grid of 1e-9° (0.1 mm). A border that reaches us
/// through two projections differs in the last bits; on the grid it is one border again.
pub fn snap(position: Coord) -> Coord {
    // Division, not multiplication by 1e-9: the quotient is the double nearest to the decimal.
    Coord { x: (position.x * 1e9).round() / 1e9, y: (position.y * 1e9).round() / 1e9 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::geodesic::distance_m;

    fn to_cgcs2000(crs: &str, x: f64, y: f64) -> Result<Coord, CrsError> {
        ToCgcs2000::new(&crs.parse()?)?.position(Coord { x, y })
    }

    #[test]
    fn putian_check_value() {
        let expected = Coord { x: 119.0, y: 25.43 };
        for (crs, x) in [("EPSG:4549", 399_400.84), ("epsg:4528", 40_399_400.84)] {
            let got = to_cgcs2000(crs, x, 2_814_064.89).unwrap();
            assert!(distance_m(got, expected) < 0.01, "{crs}: {got:?}");
        }
        let local = "+proj=tmerc +lat_0=0 +lon_0=119 +k=1 +x_0=500000 +y_0=0 +ellps=GRS80 +units=m +no_defs +type=crs";
        let got = to_cgcs2000(local, 500_000.0, 2_813_000.0).unwrap();
        assert!((got.x - 119.0).abs() < 1e-9);
    }

    #[test]
    fn nonsense_is_refused() {
        for crs in ["EPSG:x", "EPSG:999999", "mars", "+proj=nonsense", "/etc/passwd", "file.prj"] {
            assert!(to_cgcs2000(crs, 1.0, 1.0).is_err(), "{crs}");
        }
        for (x, y) in [(f64::NAN, 1.0), (1.0, f64::INFINITY), (181.0, 0.0), (0.0, 90.1)] {
            assert!(to_cgcs2000("wgs84", x, y).is_err());
        }
        assert!(to_cgcs2000("gcj02", 10.0, 50.0).is_err());
        assert!(to_cgcs2000("EPSG:4549", 1e300, 1e300).is_err());
        assert!(matches!(to_cgcs2000("EPSG:4549", 119.0078, 25.454), Err(CrsError::Degrees(..))));
    }

    #[test]
    fn old_datums_are_known_by_code_and_name() {
        let crs = |text: &str| text.parse::<Crs>().unwrap().unknown_shift();
        assert_eq!(crs("EPSG:2384"), Some(UnknownShift::Xian1980));
        assert_eq!(crs("EPSG:4214"), Some(UnknownShift::Beijing1954));
        assert_eq!(crs("EPSG:4549"), None);
        assert_eq!(
            crs(
                r#"GEOGCS["GCS_Xian_1980",DATUM["D_Xian_1980",SPHEROID["Xian_1980",6378140,298.257]]]"#
            ),
            Some(UnknownShift::Xian1980)
        );
    }
}
