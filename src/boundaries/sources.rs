//! From a file that somebody gives to one layer of it in our work folder.
//!
//! GDAL never sees a path or name that came from outside: what it opens is a copy under a fixed
//! name, of a kind told by its first bytes.

use super::archive::{Archive, Member};
use super::encoding::TextEncoding;
use super::report::Warning;
use super::{geojson, refuse, too_large};
use crate::error::{Fault, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of one file. A .shp can hold no more.
const MAX_FILE: u64 = 4 << 30;

/// The formats we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Shapefile,
    GeoPackage,
    GeoJson,
    FlatGeobuf,
}

/// A file in the work folder, ready for GDAL.
#[derive(Debug)]
pub struct Source {
    pub format: Format,
    /// What GDAL opens.
    pub path: PathBuf,
    /// The layer's name where the format gives it none: the file's.
    pub name: String,
    /// Companions of a .shp.
    pub dbf: Option<PathBuf>,
    pub prj: Option<Vec<u8>>,
    pub cpg: Option<Vec<u8>>,
    /// What a GeoJSON says; the other formats say it elsewhere.
    pub geojson: Option<geojson::Said>,
    pub warnings: Vec<Warning>,
}

enum Kind {
    Zip,
    Map(Format),
}

/// Copies or unpacks the wanted layer of `path` into `work`.
pub fn fetch(
    path: &Path,
    work: &Path,
    source_layer: Option<&str>,
    encoding: Option<TextEncoding>,
) -> Result<Source> {
    let metadata = std::fs::metadata(path).map_err(|_| {
        Fault::new(
            crate::error::FaultKind::NotFound,
            "file_missing",
            "文件不存在或无法读取",
            "The file does not exist or cannot be read",
        )
    })?;
    if !metadata.is_file() {
        return Err(refuse("not_a_map", "不是普通文件", "Not a regular file"));
    }
    match sniff(path)? {
        Kind::Zip => from_archive(path, work, source_layer, encoding),
        Kind::Map(format) => {
            let (folder, stem) = (path.parent(), stem_of(path));
            let mut source = Source::empty(format, work, stem);
            match format {
                Format::Shapefile => {
                    copy(path, &source.path)?;
                    for (extension, companion) in companions(path, folder)? {
                        source.take_companion(&extension, work, |to| copy(&companion, to))?;
                    }
                }
                _ => copy(path, &source.path)?,
            }
            source.finish(work, encoding)
        }
    }
}

fn stem_of(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

fn sniff(path: &Path) -> Result<Kind> {
    let extension =
        path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let mut head = Vec::with_capacity(512);
    File::open(path)
        .map_err(Fault::internal)?
        .take(512)
        .read_to_end(&mut head)
        .map_err(Fault::internal)?;
    let kind = match head.as_slice() {
        [] => {
            return Err(refuse("not_a_map", "文件是空的（0 字节）", "The file is empty (0 bytes)"));
        }
        [b'P', b'K', 3 | 5 | 7, 4 | 6 | 8, ..] => Kind::Zip,
        [b'f', b'g', b'b', ..] => Kind::Map(Format::FlatGeobuf),
        [0, 0, 0x27, 0x0a, ..] => Kind::Map(Format::Shapefile),
        h if h.starts_with(b"SQLite format 3\0") => Kind::Map(Format::GeoPackage),
        h if looks_like_json(h) => Kind::Map(Format::GeoJson),
        // So that the reason names what is wrong with it.
        _ if extension == "shp" => Kind::Map(Format::Shapefile),
        _ if matches!(extension.as_str(), "geojson" | "json") => Kind::Map(Format::GeoJson),
        _ if matches!(extension.as_str(), "dbf" | "shx" | "prj" | "cpg") => {
            return Err(refuse("not_a_map", "请选择 .shp 文件本身", "Choose the .shp file itself"));
        }
        _ => {
            return Err(refuse(
                "not_a_map",
                "不是可识别的地图文件（支持 shp、zip、gpkg、geojson、fgb）",
                "Not a map file that we know (shp, zip, gpkg, geojson, fgb)",
            ));
        }
    };
    Ok(kind)
}

fn looks_like_json(head: &[u8]) -> bool {
    let utf16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let first = text.iter().find(|b| !b.is_ascii_whitespace() && **b != 0x1e);
    utf16 || first == Some(&b'{')
}

/// Files beside a .shp that share its name, in any case.
fn companions(shp: &Path, folder: Option<&Path>) -> Result<Vec<(String, PathBuf)>> {
    let folder = folder.filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem = stem_of(shp);
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Fault::internal)?.flatten() {
        let path = entry.path();
        let extension =
            path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let own = stem_of(&path);
        if !matches!(extension.as_str(), "shx" | "dbf" | "prj" | "cpg")
            || !own.eq_ignore_ascii_case(&stem)
        {
            continue;
        }
        // The one of the very same name wins over one that differs in case.
        if own == stem || !found.contains_key(&extension) {
            found.insert(extension, path);
        }
    }
    Ok(found.into_iter().collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let length = std::fs::metadata(from).map_err(Fault::internal)?.len();
    if length > MAX_FILE {
        return Err(too_large("文件超过 4 GB", "The file is larger than 4 GB"));
    }
    let mut source = File::open(from).map_err(Fault::internal)?;
    let mut target = File::create(to).map_err(Fault::internal)?;
    std::io::copy(&mut source, &mut target).map_err(Fault::internal)?;
    Ok(())
}

impl Source {
    fn empty(format: Format, work: &Path, name: String) -> Self {
        let file = match format {
            Format::Shapefile => "layer.shp",
            Format::GeoPackage => "layer.gpkg",
            Format::GeoJson => "given.geojson",
            Format::FlatGeobuf => "layer.fgb",
        };
        Self {
            format,
            path: work.join(file),
            name,
            dbf: None,
            prj: None,
            cpg: None,
            geojson: None,
            warnings: Vec::new(),
        }
    }

    /// Brings a companion over; `bring` writes it to the path it is given.
    fn take_companion(
        &mut self,
        extension: &str,
        work: &Path,
        bring: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        // The table lies apart, so that GDAL opens the shapes alone.
        let to = match extension {
            "shx" => work.join("layer.shx"),
            "dbf" => work.join("table.dbf"),
            "prj" => work.join("given-prj"),
            "cpg" => work.join("given-cpg"),
            _ => return Ok(()),
        };
        bring(&to)?;
        match extension {
            "dbf" => self.dbf = Some(to),
            "prj" => self.prj = Some(read_small(&to)?),
            "cpg" => self.cpg = Some(read_small(&to)?),
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self, work: &Path, encoding: Option<TextEncoding>) -> Result<Self> {
        if self.format == Format::GeoJson {
            let prepared = work.join("layer.geojson");
            self.geojson = Some(geojson::prepare(&self.path, &prepared, encoding)?);
            self.path = prepared;
        }
        Ok(self)
    }
}

/// The first bytes of a file that should be small.
fn read_small(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(Fault::internal)?
        .take(1 << 16)
        .read_to_end(&mut bytes)
        .map_err(Fault::internal)?;
    Ok(bytes)
}

/// What an archive offers: a .shp with its companions, or one file of another format.
struct Offer {
    format: Format,
    label: String,
    folder: String,
    members: Vec<Member>,
}

fn from_archive(
    path: &Path,
    work: &Path,
    source_layer: Option<&str>,
    encoding: Option<TextEncoding>,
) -> Result<Source> {
    let mut archive = Archive::open(path)?;
    let offers = offers(&archive.members);
    let offer = choose(offers, source_layer)?;
    let mut source = Source::empty(offer.format, work, offer.label);
    for member in &offer.members {
        let main = matches!(
            member.extension.as_str(),
            "shp" | "gpkg" | "geojson" | "json" | "geojsonl" | "ndjson" | "fgb"
        );
        if main {
            archive.unpack(member, &source.path)?;
        } else {
            source.take_companion(&member.extension, work, |to| archive.unpack(member, to))?;
        }
    }
    source.warnings = std::mem::take(&mut archive.warnings);
    source.finish(work, encoding)
}

fn offers(members: &[Member]) -> Vec<Offer> {
    let mut offers = Vec::new();
    let has_shapefile = members.iter().any(|m| m.extension == "shp");
    for member in members {
        let format = match member.extension.as_str() {
            "shp" => Format::Shapefile,
            "gpkg" => Format::GeoPackage,
            "fgb" => Format::FlatGeobuf,
            "geojson" | "geojsonl" | "ndjson" => Format::GeoJson,
            // Beside a shapefile a .json is its metadata.
            "json" if !has_shapefile => Format::GeoJson,
            _ => continue,
        };
        let mut own = vec![member.clone()];
        if format == Format::Shapefile {
            let same = |m: &&Member| {
                m.folder == member.folder && m.stem.to_lowercase() == member.stem.to_lowercase()
            };
            let companion =
                |m: &&Member| matches!(m.extension.as_str(), "shx" | "dbf" | "prj" | "cpg");
            own.extend(members.iter().filter(same).filter(companion).cloned());
        }
        offers.push(Offer {
            format,
            label: member.stem.clone(),
            folder: member.folder.clone(),
            members: own,
        });
    }
    offers
}

fn choose(mut offers: Vec<Offer>, wanted: Option<&str>) -> Result<Offer> {
    if offers.is_empty() {
        return Err(refuse("not_a_map", "压缩包内没有地图文件", "The archive holds no map file"));
    }
    let names: Vec<String> = offers.iter().map(|o| o.label.clone()).collect();
    // A GeoPackage has layers of its own, among which the name may be.
    let only_container = offers.len() == 1 && offers[0].format == Format::GeoPackage;
    if let Some(wanted) = wanted.filter(|_| !only_container) {
        let full = |o: &Offer| format!("{}/{}", o.folder, o.label);
        let exact = |o: &Offer| o.label == wanted || full(o) == wanted;
        let loose = |o: &Offer| o.label.to_lowercase() == wanted.to_lowercase();
        let any_exact = offers.iter().any(exact);
        offers.retain(|o| if any_exact { exact(o) } else { loose(o) });
    }
    match offers.len() {
        0 => Err(unknown_layer(wanted.unwrap_or_default(), &names)),
        1 => Ok(offers.remove(0)),
        _ => Err(several_layers(&names)),
    }
}

fn list(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
    shown.join(", ") + if names.len() > 20 { " …" } else { "" }
}

/// Asks which layer is meant.
pub fn several_layers(names: &[String]) -> Fault {
    let names = list(names);
    refuse(
        "several_layers",
        format!("文件中有多个图层，请用 --source-layer 指定：{names}"),
        format!("The file holds several layers; name one with --source-layer: {names}"),
    )
}

/// The layer that was named is not there.
pub fn unknown_layer(wanted: &str, names: &[String]) -> Fault {
    let names = list(names);
    refuse(
        "source_layer_unknown",
        format!("文件中没有图层 {wanted:?}，只有：{names}"),
        format!("The file has no layer {wanted:?}, only: {names}"),
    )
}
