//! From GDAL's geometries to ours: polygons in two dimensions, in the file's coordinates.

use gdal_sys::{OGRGeometryH, OGRwkbGeometryType as Kind};
use geo::{Coord, LineString, MultiPolygon, Polygon};
use std::ffi::c_void;
use std::ptr;

/// Collections within collections beyond this many levels are no boundary.
const MAX_DEPTH: usize = 8;

/// What a feature's geometry is.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// None, or one without any point.
    Missing,
    /// The rings as they are in the file; Z and M are dropped.
    Polygons {
        polygons: MultiPolygon,
        /// What is known only here of how they were written.
        written: Written,
    },
    /// Points, lines, or a mixture.
    Wrong(&'static str),
}

/// How polygons were written, where it is not how they should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Taken out of a collection of polygons.
    pub from_collection: bool,
    /// A ring did not end where it began.
    pub open: bool,
    /// The format tells holes from shells by their direction.
    pub holes_run_the_other_way: bool,
}

impl Shape {
    pub fn vertices(&self) -> usize {
        match self {
            Self::Polygons { polygons, .. } => polygons
                .iter()
                .map(|p| {
                    p.exterior().0.len() + p.interiors().iter().map(|r| r.0.len()).sum::<usize>()
                })
                .sum(),
            _ => 0,
        }
    }

    /// The first vertex with finite coordinates.
    pub fn sample(&self) -> Option<Coord> {
        let Self::Polygons { polygons, .. } = self else { return None };
        let finite =
            |c: &&Coord| c.x.is_finite() && c.y.is_finite() && c.x.abs() < 1e12 && c.y.abs() < 1e12;
        polygons.iter().flat_map(|p| &p.exterior().0).find(finite).copied()
    }
}

/// Takes over a geometry of a living feature; null is none.
pub fn of(geometry: OGRGeometryH) -> Shape {
    if geometry.is_null() {
        return Shape::Missing;
    }
    // SAFETY: the handle is a living geometry; what `GetLinearGeometry` makes is ours to destroy.
    unsafe {
        if gdal_sys::OGR_G_HasCurveGeometry(geometry, 0) != 0 {
            let linear = gdal_sys::OGR_G_GetLinearGeometry(geometry, 0.0, ptr::null_mut());
            if linear.is_null() {
                return Shape::Wrong("Curve");
            }
            let shape = collect(linear);
            gdal_sys::OGR_G_DestroyGeometry(linear);
            shape
        } else {
            collect(geometry)
        }
    }
}

/// # Safety
/// `geometry` is a living geometry without curves.
unsafe fn collect(geometry: OGRGeometryH) -> Shape {
    let mut polygons = Vec::new();
    let mut written = Written::default();
    let wrong = unsafe { add(geometry, &mut polygons, &mut written, 0) };
    match wrong {
        Some(name) => Shape::Wrong(name),
        None if polygons.is_empty() => Shape::Missing,
        None => Shape::Polygons { polygons: MultiPolygon::new(polygons), written },
    }
}

/// Adds the polygons of a geometry; gives the name of what is none.
///
/// # Safety
/// As [`collect`].
unsafe fn add(
    geometry: OGRGeometryH,
    polygons: &mut Vec<Polygon>,
    written: &mut Written,
    depth: usize,
) -> Option<&'static str> {
    unsafe {
        if gdal_sys::OGR_G_IsEmpty(geometry) != 0 {
            return None;
        }
        match gdal_sys::OGR_GT_Flatten(gdal_sys::OGR_G_GetGeometryType(geometry)) {
            Kind::wkbPolygon | Kind::wkbTriangle => {
                polygons.extend(polygon(geometry, written));
                None
            }
            kind @ (Kind::wkbMultiPolygon | Kind::wkbGeometryCollection) => {
                if depth >= MAX_DEPTH {
                    return Some("GeometryCollection");
                }
                written.from_collection |= kind == Kind::wkbGeometryCollection;
                (0..gdal_sys::OGR_G_GetGeometryCount(geometry)).find_map(|i| {
                    add(gdal_sys::OGR_G_GetGeometryRef(geometry, i), polygons, written, depth + 1)
                })
            }
            Kind::wkbPoint => Some("Point"),
            Kind::wkbMultiPoint => Some("MultiPoint"),
            Kind::wkbLineString => Some("LineString"),
            Kind::wkbMultiLineString => Some("MultiLineString"),
            Kind::wkbPolyhedralSurface | Kind::wkbTIN => Some("PolyhedralSurface"),
            _ => Some("Unknown"),
        }
    }
}

/// # Safety
/// `geometry` is a living polygon.
unsafe fn polygon(geometry: OGRGeometryH, written: &mut Written) -> Option<Polygon> {
    let count = unsafe { gdal_sys::OGR_G_GetGeometryCount(geometry) };
    let mut rings =
        (0..count).map(|i| unsafe { ring(gdal_sys::OGR_G_GetGeometryRef(geometry, i)) });
    let exterior = rings.next()?;
    let interiors: Vec<LineString> = rings.filter(|r| !r.0.is_empty()).collect();
    // `Polygon::new` closes them.
    written.open |= std::iter::once(&exterior).chain(&interiors).any(|r| r.0.first() != r.0.last());
    Some(Polygon::new(exterior, interiors))
}

/// # Safety
/// `geometry` is a living ring.
unsafe fn ring(geometry: OGRGeometryH) -> LineString {
    let count = unsafe { gdal_sys::OGR_G_GetPointCount(geometry) };
    let mut coords = vec![Coord::<f64>::zero(); usize::try_from(count).unwrap_or(0)];
    if !coords.is_empty() {
        let stride = std::mem::size_of::<Coord>() as i32;
        // SAFETY: the buffer holds `count` pairs of doubles; `Coord` is two `f64` in order, and the
        // strides keep both writes within it.
        unsafe {
            let x = ptr::addr_of_mut!((*coords.as_mut_ptr()).x).cast::<c_void>();
            let y = ptr::addr_of_mut!((*coords.as_mut_ptr()).y).cast::<c_void>();
            gdal_sys::OGR_G_GetPoints(geometry, x, stride, y, stride, ptr::null_mut(), 0);
        }
    }
    LineString(coords)
}
