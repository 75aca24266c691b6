//! A layer in force, written as a file that other programs read.
//!
//! Coordinates are CGCS2000 (EPSG:4490) longitude/latitude in degrees, as stored. What a format
//! cannot hold is left out: a shapefile's names are cut to ten letters by the driver.

use crate::atlas::feature::Feature;
use crate::atlas::layer::Layer;
use crate::error::{Fault, Result};
use gdal::DriverManager;
use gdal::spatial_ref::{AxisMappingStrategy, SpatialRef};
use gdal::vector::{
    Feature as Row, FieldDefn, LayerAccess, LayerOptions, OGRFieldType, OGRwkbGeometryType, ToGdal,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// What a layer can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    GeoJson,
    GeoPackage,
    /// Its several files in one archive.
    Shapefile,
    FlatGeobuf,
}

impl Format {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "geojson" => Some(Self::GeoJson),
            "gpkg" => Some(Self::GeoPackage),
            "shp" => Some(Self::Shapefile),
            "fgb" => Some(Self::FlatGeobuf),
            _ => None,
        }
    }

    /// The file's ending.
    pub fn extension(self) -> &'static str {
        match self {
            Self::GeoJson => "geojson",
            Self::GeoPackage => "gpkg",
            Self::Shapefile => "zip",
            Self::FlatGeobuf => "fgb",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::GeoJson => "application/geo+json",
            Self::GeoPackage => "application/geopackage+sqlite3",
            Self::Shapefile => "application/zip",
            Self::FlatGeobuf => "application/vnd.flatgeobuf",
        }
    }
}

/// The attributes beside our own columns that some feature has a value for; a file of hundreds of
/// columns helps nobody.
const MOST_ATTRIBUTES: usize = 60;
const TEXTS: [&str; 5] = ["code", "name", "class_code", "class_name", "parent"];
const NUMBERS: [&str; 2] = ["area_m2", "survey_m2"];

/// Writes a layer into `folder`; returns the one file to hand out.
pub fn write(layer: &Layer, format: Format, folder: &Path) -> Result<PathBuf> {
    // The layer's name was checked when it was made, and yet stays out of paths.
    let path = folder.join(format!("layer.{}", format.extension()));
    match format {
        Format::GeoJson => write_geojson(layer, &path)?,
        Format::GeoPackage => write_gdal(layer, "GPKG", &path, &[])?,
        Format::FlatGeobuf => write_gdal(layer, "FlatGeobuf", &path, &[])?,
        Format::Shapefile => {
            let name = &layer.info().name;
            let inner = tempfile::tempdir_in(folder).map_err(Fault::internal)?;
            write_gdal(
                layer,
                "ESRI Shapefile",
                &inner.path().join("layer.shp"),
                &["ENCODING=UTF-8"],
            )?;
            zip_folder(inner.path(), name, &path)?;
        }
    }
    Ok(path)
}

fn attribute_names(layer: &Layer) -> Vec<String> {
    let taken: BTreeSet<&str> = TEXTS.into_iter().chain(NUMBERS).collect();
    let mut names = BTreeSet::new();
    for feature in layer.features() {
        let Some(fields) = feature.attributes.as_object() else { continue };
        for (name, value) in fields {
            let usable = !value.is_null() && !taken.contains(name.to_lowercase().as_str());
            if usable && names.len() < MOST_ATTRIBUTES && !name.contains('\0') {
                names.insert(name.clone());
            }
        }
    }
    names.into_iter().collect()
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn texts_of(feature: &Feature) -> [Option<&str>; 5] {
    [
        Some(feature.code.as_str()),
        feature.name.as_deref(),
        feature.class_code.as_deref(),
        feature.class_name.as_deref(),
        feature.parent_code.as_deref(),
    ]
}

fn write_geojson(layer: &Layer, path: &Path) -> Result<()> {
    let file = std::fs::File::create(path).map_err(Fault::internal)?;
    let mut out = BufWriter::new(file);
    let mut put = |text: &str| out.write_all(text.as_bytes()).map_err(Fault::internal);
    put("{\"type\":\"FeatureCollection\",\"features\":[\n")?;
    let names = attribute_names(layer);
    for (index, feature) in layer.features().iter().enumerate() {
        let mut properties = serde_json::Map::new();
        for (name, text) in TEXTS.into_iter().zip(texts_of(feature)) {
            properties.insert(name.into(), text.into());
        }
        properties.insert("area_m2".into(), feature.area_m2.into());
        properties.insert("survey_m2".into(), feature.surveyed_area_m2.into());
        for name in &names {
            if let Some(value) = feature.attributes.get(name) {
                properties.insert(name.clone(), value.clone());
            }
        }
        let row = geojson::Feature {
            geometry: Some(geojson::Geometry::from(&feature.geometry)),
            properties: Some(properties),
            ..geojson::Feature::default()
        };
        if index > 0 {
            put(",\n")?;
        }
        put(&row.to_string())?;
    }
    put("\n]}\n")?;
    out.flush().map_err(Fault::internal)
}

fn write_gdal(layer: &Layer, driver: &str, path: &Path, options: &[&str]) -> Result<()> {
    let fault = |error: gdal::errors::GdalError| Fault::internal(error);
    let mut srs = SpatialRef::from_epsg(4490).map_err(fault)?;
    srs.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
    let driver = DriverManager::get_driver_by_name(driver).map_err(fault)?;
    let mut dataset = driver.create_vector_only(path).map_err(fault)?;
    let names = attribute_names(layer);
    let target = dataset
        .create_layer(LayerOptions {
            name: &layer.info().name,
            srs: Some(&srs),
            ty: OGRwkbGeometryType::wkbMultiPolygon,
            options: (!options.is_empty()).then_some(options),
        })
        .map_err(fault)?;
    let texts = TEXTS.into_iter().map(|name| (name, OGRFieldType::OFTString, 120));
    let numbers = NUMBERS.into_iter().map(|name| (name, OGRFieldType::OFTReal, 0));
    let further = names.iter().map(|name| (name.as_str(), OGRFieldType::OFTString, 254));
    for (name, kind, width) in texts.chain(numbers).chain(further) {
        let field = FieldDefn::new(name, kind).map_err(fault)?;
        if width > 0 {
            field.set_width(width);
        } else {
            // Without them a shapefile keeps no digits behind the point.
            field.set_width(24);
            field.set_precision(4);
        }
        field.add_to_layer(&target).map_err(fault)?;
    }
    for feature in layer.features() {
        let mut row = Row::new(target.defn()).map_err(fault)?;
        row.set_geometry(feature.geometry.to_gdal().map_err(fault)?).map_err(fault)?;
        let put = |row: &mut Row, index: usize, text: &str| {
            row.set_field_string(index, &text.replace('\0', "")).map_err(fault)
        };
        for (index, text) in texts_of(feature).into_iter().enumerate() {
            if let Some(text) = text {
                put(&mut row, index, text)?;
            }
        }
        row.set_field_double(TEXTS.len(), feature.area_m2).map_err(fault)?;
        if let Some(area) = feature.surveyed_area_m2 {
            row.set_field_double(TEXTS.len() + 1, area).map_err(fault)?;
        }
        for (index, name) in names.iter().enumerate() {
            if let Some(text) = feature.attributes.get(name).and_then(text_of) {
                put(&mut row, TEXTS.len() + NUMBERS.len() + index, &text)?;
            }
        }
        row.create(&target).map_err(fault)?;
    }
    // Closing writes what is still in memory, and tells when the disk is full.
    dataset.close().map_err(fault)
}

fn zip_folder(folder: &Path, name: &str, path: &Path) -> Result<()> {
    let file = std::fs::File::create(path).map_err(Fault::internal)?;
    let mut archive = zip::ZipWriter::new(BufWriter::new(file));
    let options = zip::write::SimpleFileOptions::default();
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(Fault::internal)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    for entry in entries {
        let ending = entry.extension().map(|e| e.to_string_lossy().to_string()).unwrap_or_default();
        archive.start_file(format!("{name}.{ending}"), options).map_err(Fault::internal)?;
        let mut source = std::fs::File::open(&entry).map_err(Fault::internal)?;
        std::io::copy(&mut source, &mut archive).map_err(Fault::internal)?;
    }
    archive.finish().map_err(Fault::internal)?.flush().map_err(Fault::internal)
}
