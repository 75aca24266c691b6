//! Reading features through GDAL.

use super::encoding::{self, Sample, TextEncoding, refuse_named};
use super::filter;
use super::reference_system::{self, SourceCrs};
use super::report::Report;
use super::shape::{self, Shape, Written};
use super::shapefile::{self, ShapeKind};
use super::sources::{Format, Source, several_layers, unknown_layer};
use super::table::{ShapeTable, Value};
use super::{ReadOptions, refuse, too_large};
use crate::error::{Fault, Result};
use gdal::vector::{Layer, LayerAccess, OGRFieldType};
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};
use std::collections::HashSet;
use std::ffi::CStr;
use std::path::Path;
use std::sync::Once;

/// Vertices of one file; as many fill some gigabytes.
const MAX_VERTICES: usize = 100_000_000;

/// A feature as it is in the file.
#[derive(Debug)]
pub struct RawFeature {
    /// 1-based in the source.
    pub record: u32,
    pub shape: Shape,
    /// In the order of [`RawLayer::fields`].
    pub values: Vec<Value>,
}

/// A layer as it is in the file.
#[derive(Debug)]
pub struct RawLayer {
    pub name: String,
    pub fields: Vec<String>,
    pub features: Vec<RawFeature>,
    /// What the file says of its CRS: nothing, something, or something unusable.
    pub crs: Result<Option<SourceCrs>>,
    pub encoding: TextEncoding,
}

/// Sets GDAL up, once: no network, no side files, errors to our log.
pub fn set_up_gdal() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (key, value) in [
            ("GDAL_PAM_ENABLED", "NO"),
            ("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR"),
            ("SHAPE_RESTORE_SHX", "NO"),
            ("OGR_GEOJSON_MAX_OBJ_SIZE", "200"),
            ("GDAL_HTTP_TIMEOUT", "1"),
            ("OSR_DEFAULT_AXIS_MAPPING_STRATEGY", "TRADITIONAL_GIS_ORDER"),
        ] {
            if let Err(error) = gdal::config::set_config_option(key, value) {
                tracing::warn!(%error, key, "GDAL option not set");
            }
        }
        gdal::config::set_error_handler(|_, number, message| {
            tracing::debug!(number, message, "GDAL")
        });
    });
}

fn open(path: &Path, format: Format) -> Result<Dataset> {
    let (driver, options): (&str, &[&str]) = match format {
        Format::Shapefile => ("ESRI Shapefile", &["ADJUST_TYPE=NO", "AUTO_REPACK=NO"]),
        Format::GeoPackage => ("GPKG", &["LIST_ALL_TABLES=NO"]),
        Format::GeoJson => (
            "GeoJSON",
            &["FLATTEN_NESTED_ATTRIBUTES=NO", "ARRAY_AS_STRING=YES", "DATE_AS_STRING=YES"],
        ),
        Format::FlatGeobuf => ("FlatGeobuf", &["VERIFY_BUFFERS=YES"]),
    };
    // GDAL 3.6 warns of an option it does not know and goes on.
    let options: Vec<&str> =
        options.iter().copied().filter(|o| *o != "DATE_AS_STRING=YES").collect();
    let dataset_options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_READONLY | GdalOpenFlags::GDAL_OF_VECTOR,
        allowed_drivers: Some(&[driver]),
        open_options: Some(&options),
        sibling_files: None,
    };
    Dataset::open_ex(path, dataset_options).map_err(|error| {
        let mut fault = refuse(
            "not_a_map",
            format!("文件不是有效的 {driver} 数据"),
            format!("The file is not valid {driver} data"),
        );
        fault.cause = Some(error.to_string());
        fault
    })
}

/// Reads the layer that is asked for.
pub fn read(
    source: &Source,
    work: &Path,
    options: &ReadOptions,
    report: &mut Report,
    progress: &dyn Fn(f32),
) -> Result<RawLayer> {
    set_up_gdal();
    report.warnings.extend(source.warnings.iter().cloned());
    match source.format {
        Format::Shapefile => read_shapefile(source, work, options, report, progress),
        _ => read_other(source, options, report, progress),
    }
}

fn read_shapefile(
    source: &Source,
    work: &Path,
    options: &ReadOptions,
    report: &mut Report,
    progress: &dyn Fn(f32),
) -> Result<RawLayer> {
    let shapes = shapefile::check_and_index(&source.path, &work.join("layer.shx"))?;
    refuse_other_kinds(&shapes.kinds)?;
    if shapes.rebuilt_index {
        report.warn(
            "index_rebuilt",
            ".shx 索引缺失或有误，已扫描 .shp 重建",
            "The .shx was missing or wrong; the .shp was scanned instead",
        );
    }
    let table = ShapeTable::open(source, shapes.kinds.len(), options, report)?;
    let wanted = match &options.filter {
        Some(filter) => Some(filter_shapefile(filter, source, work, &table)?),
        None => None,
    };
    let crs = match &source.prj {
        Some(prj) => reference_system::from_prj(prj),
        None => Ok(None),
    };

    let dataset = open(&source.path, Format::Shapefile)?;
    let mut layer = dataset.layer(0).map_err(Fault::internal)?;
    let total = shapes.kinds.len().max(1);
    let mut features = Vec::with_capacity(shapes.kinds.len());
    let mut vertices = 0;
    for feature in layer.features() {
        let row = usize::try_from(feature.fid().unwrap_or(0)).unwrap_or(0);
        if table.is_deleted(row) || wanted.as_ref().is_some_and(|w| !w.contains(&(row as i64))) {
            continue;
        }
        let kind = shapes.kinds.get(row).copied().unwrap_or(ShapeKind::Null);
        let shape = match kind {
            ShapeKind::Polygon => match shape_of(&feature) {
                Shape::Polygons { polygons, written } => Shape::Polygons {
                    polygons,
                    written: Written { holes_run_the_other_way: true, ..written },
                },
                other => other,
            },
            ShapeKind::Null => Shape::Missing,
            ShapeKind::Other(_) => Shape::Wrong(kind.name()),
        };
        vertices += shape.vertices();
        refuse_many(vertices)?;
        features.push(RawFeature { record: record_number(row)?, shape, values: table.values(row) });
        if row % 1024 == 0 {
            progress(row as f32 / total as f32);
        }
    }
    table.report(report);
    Ok(RawLayer {
        name: source.name.clone(),
        fields: table.fields.clone(),
        features,
        crs,
        encoding: table.encoding,
    })
}

fn refuse_other_kinds(kinds: &[ShapeKind]) -> Result<()> {
    let other = kinds.iter().find(|k| matches!(k, ShapeKind::Other(_)));
    let polygons = kinds.contains(&ShapeKind::Polygon);
    match other {
        Some(other) if !polygons => Err(wrong_type(other.name())),
        _ => Ok(()),
    }
}

fn wrong_type(name: &str) -> Fault {
    refuse(
        "wrong_geometry_type",
        format!("图层应为面，文件中是 {name}"),
        format!("The layer must hold polygons; the file holds {name}"),
    )
}

fn record_number(index: usize) -> Result<u32> {
    u32::try_from(index + 1).map_err(|_| too_large("记录数过多", "Too many records"))
}

fn refuse_many(vertices: usize) -> Result<()> {
    if vertices > MAX_VERTICES {
        return Err(too_large(
            format!("图层超过 {MAX_VERTICES} 个顶点"),
            format!("The layer has more than {MAX_VERTICES} vertices"),
        ));
    }
    Ok(())
}

fn shape_of(feature: &gdal::vector::Feature) -> Shape {
    // SAFETY: the feature is alive; a null geometry is looked at before use.
    let geometry = unsafe { gdal_sys::OGR_F_GetGeometryRef(feature.c_feature()) };
    shape::of(geometry)
}

/// The rows of a shapefile that a `--where` holds for. GDAL evaluates it on a copy whose table it
/// can decode.
fn filter_shapefile(
    filter: &str,
    source: &Source,
    work: &Path,
    table: &ShapeTable,
) -> Result<HashSet<i64>> {
    let folder = work.join("where");
    std::fs::create_dir(&folder).map_err(Fault::internal)?;
    let place = |from: &Path, name: &str| {
        std::fs::hard_link(from, folder.join(name)).map_err(Fault::internal)
    };
    place(&source.path, "layer.shp")?;
    place(&work.join("layer.shx"), "layer.shx")?;
    if let Some(dbf) = &source.dbf {
        place(dbf, "layer.dbf")?;
        let page = match table.encoding {
            TextEncoding::Ascii => "UTF-8".to_string(),
            TextEncoding::Gbk => "GB18030".to_string(),
            other => other.to_string(),
        };
        std::fs::write(folder.join("layer.cpg"), page).map_err(Fault::internal)?;
    }
    let dataset = open(&folder.join("layer.shp"), Format::Shapefile)?;
    let mut layer = dataset.layer(0).map_err(Fault::internal)?;
    filter::matching(&mut layer, filter)
}

fn read_other(
    source: &Source,
    options: &ReadOptions,
    report: &mut Report,
    progress: &dyn Fn(f32),
) -> Result<RawLayer> {
    let dataset = open(&source.path, source.format)?;
    let index = choose_layer(&dataset, source, options.source_layer.as_deref())?;
    let wanted = match &options.filter {
        Some(text) => {
            let mut layer = dataset.layer(index).map_err(Fault::internal)?;
            Some(filter::matching(&mut layer, text)?)
        }
        None => None,
    };
    let mut layer = dataset.layer(index).map_err(Fault::internal)?;
    let name = if source.format == Format::GeoPackage { layer.name() } else { source.name.clone() };
    let crs = match (&source.geojson, layer.spatial_ref()) {
        (Some(said), _) => reference_system::from_name(&said.crs),
        (None, Some(found)) => reference_system::identify(&found).map(Some),
        (None, None) => Ok(None),
    };
    let fields: Vec<(String, OGRFieldType::Type)> =
        layer.defn().fields().map(|f| (f.name(), f.field_type())).collect();
    let total = layer.try_feature_count().unwrap_or(0).max(1);

    let mut raw = Vec::new();
    let mut features = Vec::new();
    let mut vertices = 0;
    // SAFETY: only clears this thread's last error.
    unsafe { gdal_sys::CPLErrorReset() };
    for (index, feature) in layer.features().enumerate() {
        // SAFETY: the feature is alive.
        let fid = unsafe { gdal_sys::OGR_F_GetFID(feature.c_feature()) };
        if wanted.as_ref().is_some_and(|w| !w.contains(&fid)) {
            continue;
        }
        let shape = shape_of(&feature);
        vertices += shape.vertices();
        refuse_many(vertices)?;
        let values: Vec<FieldBytes> =
            (0..).zip(&fields).map(|(at, (_, kind))| field_bytes(&feature, at, *kind)).collect();
        features.push(RawFeature { record: record_number(index)?, shape, values: Vec::new() });
        raw.push(values);
        if index % 1024 == 0 {
            progress(index as f32 / total as f32);
        }
    }
    // GDAL ends the features of a file that breaks off as if it were whole.
    if let Some(message) = failure() {
        return Err(refuse(
            "damaged",
            format!("文件损坏，读到第 {} 条记录之后出错", features.len()),
            format!("The file is damaged after record {}: {message}", features.len()),
        ));
    }
    refuse_wrong_types(&features)?;
    let encoding = decode_values(source, options, &raw)?;
    for (feature, values) in features.iter_mut().zip(raw) {
        feature.values = values.into_iter().map(|value| value.decode(encoding)).collect();
    }
    warn_other(source, report);
    let fields = fields.into_iter().map(|(name, _)| name).collect();
    Ok(RawLayer { name, fields, features, crs, encoding })
}

fn warn_other(source: &Source, report: &mut Report) {
    let Some(said) = source.geojson.as_ref().filter(|s| s.encoding != TextEncoding::Utf8) else {
        return;
    };
    report.warn(
        "encoding_differs",
        format!("GeoJSON 按 {} 编码读取，标准要求 UTF-8", said.encoding),
        format!("GeoJSON read in {}; the standard asks for UTF-8", said.encoding),
    );
}

/// Refuses a layer none of whose geometries is a polygon.
fn refuse_wrong_types(features: &[RawFeature]) -> Result<()> {
    let any = features.iter().any(|f| matches!(f.shape, Shape::Polygons { .. }));
    let wrong = features.iter().find_map(|f| match f.shape {
        Shape::Wrong(name) => Some(name),
        _ => None,
    });
    match wrong {
        Some(name) if !any => Err(wrong_type(name)),
        _ => Ok(()),
    }
}

fn failure() -> Option<String> {
    // SAFETY: both read this thread's last error; the message lives until the next one.
    unsafe {
        if gdal_sys::CPLGetLastErrorType() < gdal_sys::CPLErr::CE_Failure {
            return None;
        }
        let message = CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()).to_string_lossy();
        Some(message.chars().filter(|c| !c.is_control()).take(200).collect())
    }
}

enum FieldBytes {
    Text(Vec<u8>),
    Value(Value),
}

impl FieldBytes {
    fn decode(self, encoding: TextEncoding) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Text(bytes) => encoding.decode(&bytes).map_or(Value::Null, Value::text),
        }
    }
}

fn field_bytes(feature: &gdal::vector::Feature, at: i32, kind: OGRFieldType::Type) -> FieldBytes {
    // SAFETY: the feature is alive and `at` is one of its fields.
    unsafe {
        let feature = feature.c_feature();
        if gdal_sys::OGR_F_IsFieldSetAndNotNull(feature, at) == 0 {
            return FieldBytes::Value(Value::Null);
        }
        match kind {
            OGRFieldType::OFTInteger | OGRFieldType::OFTInteger64 => {
                FieldBytes::Value(Value::Integer(gdal_sys::OGR_F_GetFieldAsInteger64(feature, at)))
            }
            OGRFieldType::OFTReal => {
                FieldBytes::Value(Value::number(gdal_sys::OGR_F_GetFieldAsDouble(feature, at)))
            }
            // Pictures and the like have no place in a boundary.
            OGRFieldType::OFTBinary => FieldBytes::Value(Value::Null),
            _ => {
                let text = gdal_sys::OGR_F_GetFieldAsString(feature, at);
                if text.is_null() {
                    return FieldBytes::Value(Value::Null);
                }
                FieldBytes::Text(CStr::from_ptr(text).to_bytes().to_vec())
            }
        }
    }
}

/// These formats are UTF-8; one that is not is read only in an encoding that the user names.
fn decode_values(
    source: &Source,
    options: &ReadOptions,
    rows: &[Vec<FieldBytes>],
) -> Result<TextEncoding> {
    let texts = rows.iter().flatten().filter_map(|value| match value {
        FieldBytes::Text(bytes) => Some(Sample { bytes, full: false }),
        FieldBytes::Value(_) => None,
    });
    let named = options.text_encoding()?;
    let encoding = match named {
        Some(named) if source.format != Format::GeoJson => named,
        _ => TextEncoding::Utf8,
    };
    for sample in texts {
        if encoding.decode(sample.bytes).is_none() {
            return Err(match named {
                Some(named) => refuse_named(named),
                None => encoding::unknown(Some(TextEncoding::Utf8)),
            });
        }
    }
    Ok(source.geojson.as_ref().map_or(encoding, |said| said.encoding))
}

/// The layer that is meant: a real table, not a view over others.
fn choose_layer(dataset: &Dataset, source: &Source, wanted: Option<&str>) -> Result<usize> {
    let tables = match source.format {
        Format::GeoPackage => Some(gpkg_tables(dataset)),
        _ => None,
    };
    let real = |layer: &Layer| {
        let has_geometry = layer.defn().geom_fields().next().is_some();
        has_geometry && tables.as_ref().is_none_or(|tables| tables.contains(&layer.name()))
    };
    let layers: Vec<(usize, String)> =
        dataset.layers().enumerate().filter(|(_, l)| real(l)).map(|(i, l)| (i, l.name())).collect();
    let names: Vec<String> = match source.format {
        Format::GeoPackage => layers.iter().map(|(_, name)| name.clone()).collect(),
        _ => vec![source.name.clone()],
    };
    match (wanted, layers.as_slice()) {
        (_, []) => Err(refuse("not_a_map", "文件中没有地图图层", "The file has no map layer")),
        (None, [(index, _)]) => Ok(*index),
        (None, _) => Err(several_layers(&names)),
        (Some(wanted), layers) => layers
            .iter()
            .find(|(_, name)| name == wanted || (layers.len() == 1 && source.name == wanted))
            .map(|(index, _)| *index)
            .ok_or_else(|| unknown_layer(wanted, &names)),
    }
}

fn gpkg_tables(dataset: &Dataset) -> HashSet<String> {
    let query = "SELECT m.name FROM sqlite_master m JOIN gpkg_contents c ON lower(c.table_name) = lower(m.name) \
                 WHERE m.type = 'table' AND c.data_type = 'features'";
    let result = dataset.execute_sql(query, None, gdal::vector::sql::Dialect::DEFAULT);
    let Ok(Some(mut rows)) = result else { return HashSet::new() };
    rows.features().filter_map(|row| row.field_as_string(0).ok().flatten()).collect()
}
