//! The hostile files of `tests/torture`, and others like them made here: each ends as expected.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use xuncha::atlas::feature::layers;
use xuncha::atlas::lookup::Atlas;
use xuncha::boundaries::demo::{self, DEMO_IMPORTS};
use xuncha::boundaries::{Draft, ReadOptions, check, read};
use xuncha::error::Fault;
use xuncha::geometry::geodesic::distance_m;
use zip::write::SimpleFileOptions;

/// The demo city is published; the files are read as parcels.
static CITY: LazyLock<Atlas> = LazyLock::new(|| {
    let city = demo::read(DEMO_IMPORTS[0], &Atlas::default()).expect("the demo city");
    Atlas::new(1, [Arc::new(city.to_layer(1))])
});

fn import_with(path: &Path, options: &ReadOptions) -> Result<Draft, Fault> {
    let mut draft = read(path, &demo::info(layers::PARCEL), options, &CITY, &|_| ())?;
    check::check(&mut draft, &CITY);
    let report = &draft.report;
    assert_eq!(report.read as usize, report.accepted as usize + report.rejected.len());
    assert!(!serde_json::to_string(report).unwrap().contains('\u{fffd}'));
    for feature in &draft.features {
        let mut vertices = feature.geometry.iter().flat_map(|p| &p.exterior().0);
        assert!(vertices.all(|c| c.x.is_finite() && c.y.is_finite()));
        assert!(!format!("{feature:?}").contains('\u{fffd}'));
    }
    Ok(draft)
}

fn import(path: &Path) -> Result<Draft, Fault> {
    import_with(path, &ReadOptions::default())
}

fn torture(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture")).join(file)
}

/// What came of a file: `ok 12`, what was remarked, or the code of the refusal.
fn summary(result: &Result<Draft, Fault>) -> String {
    let draft = match result {
        Ok(draft) => draft,
        Err(fault) => return format!("error {}", fault.code),
    };
    let report = &draft.report;
    let mut parts = vec![format!("ok {}", report.accepted)];
    let mut count = |what: &str, n: usize| {
        if n > 0 {
            parts.push(format!("{what} {n}"));
        }
    };
    count("repaired", report.totals.repaired);
    count("rejected", report.rejected.len());
    count("overlaps", report.totals.overlaps);
    count("duplicates", report.totals.duplicate_codes);
    let mut warnings: Vec<&str> = report.warnings.iter().map(|w| w.code.as_str()).collect();
    // Files without the columns of a land survey say so every time.
    warnings.retain(|code| !matches!(*code, "field_missing" | "codes_made"));
    warnings.dedup();
    parts.extend(warnings.into_iter().map(|w| format!("!{w}")));
    parts.join(" ")
}

/// File of each case and how it ends; the manifest beside the files says what is allowed.
const EXPECTED: [(&str, &str); 60] = [
    ("S01/gbk_ldid4d_nocpg.shp", "ok 12"),
    ("S02/gbk_noldid_nocpg.shp", "ok 12"),
    ("S04/gbk_cpg_says_utf8.shp", "ok 12 !encoding_differs"),
    ("S05/utf8_cpg_says_936.shp", "ok 12 !encoding_differs"),
    ("S07/gbk_cpg_gb18030.shp", "ok 12"),
    ("S08/big5_ldid78.shp", "ok 12"),
    ("S10/cpg_bom_crlf.shp", "ok 12"),
    ("S11/fieldname_cut.shp", "ok 12"),
    ("S20/cgcs2000_zone40.shp", "ok 12"),
    ("S22/xian80_zone40.shp", "error datum_shift_unknown"),
    ("S23/beijing54_cm120.shp", "error datum_shift_unknown"),
    ("S25/wrong_zone.shp", "error outside_area"),
    ("S26/degrees_prj_metres.shp", "error out_of_range"),
    ("S28/gcj02_undeclared.shp", "ok 12"),
    ("S29/prj_garbage.shp", "error crs_unknown"),
    ("S31/prj_crlf_upper.SHP", "ok 12"),
    ("S40/ccw_shells.shp", "ok 12"),
    ("S41/hole_before_shell.shp", "ok 12"),
    ("S43/hole_outside.shp", "ok 12 repaired 1"),
    ("S44/bowtie.shp", "ok 12 repaired 12"),
    ("S46/degenerate.shp", "ok 9 rejected 3"),
    ("S47/nan_inf.shp", "ok 9 rejected 3"),
    ("S49/overlaps.shp", "ok 12 overlaps 6"),
    ("S50/polygonz_nodata_m.shp", "ok 12"),
    ("S61/shx_lies.shp", "ok 12 !index_rebuilt"),
    ("S62/shp_cut.shp", "error truncated"),
    ("S64/huge_numpoints.shp", "error damaged"),
    ("S65/neg_numparts.shp", "error damaged"),
    ("S67/dbf_long.shp", "ok 12 !row_count_differs"),
    ("S68/dbf_deleted.shp", "ok 10"),
    ("S70/dbf_nullnums.shp", "ok 12 !bad_value"),
    ("S71/dbf_254cols.shp", "ok 12"),
    ("S73/points.shp", "error wrong_geometry_type"),
    ("S74/zero_bytes.shp", "error not_a_map"),
    ("S80/gbk_names.zip", "ok 12"),
    ("S82/macos.zip", "ok 12"),
    ("S83/traversal.zip", "ok 12 !unsafe_member"),
    ("S86/deep_dirs.zip", "ok 12"),
    ("S88/backslash_dirs.zip", "ok 12"),
    ("S89/dup_members.zip", "error duplicate_members"),
    ("S91/no_dbf_no_prj.zip", "error crs_unknown"),
    ("S92/empty.zip", "error not_a_map"),
    ("S94/encrypted.zip", "error encrypted"),
    ("S95/symlink.zip", "error crs_unknown"),
    ("S100/ok.geojson", "ok 12"),
    ("S101/bom.geojson", "ok 12"),
    ("S103/utf16.geojson", "error encoding_unknown"),
    ("S104/crs4549.geojson", "ok 12"),
    ("S106/swapped.geojson", "error out_of_range"),
    ("S107/cw.geojson", "ok 12"),
    ("S109/deep_geomcoll.geojson", "error too_deep"),
    ("S110/ndjson.geojson", "ok 12"),
    ("S112/nulls.geojson", "ok 6 rejected 4"),
    ("S113/strings.geojson", "error damaged"),
    ("S115/dup_ids.geojson", "ok 12"),
    ("S116/3d.geojson", "ok 12"),
    ("S121/zone40.gpkg", "ok 12"),
    ("S122/sqlname.gpkg", "ok 12"),
    ("S124/plain_sqlite.gpkg", "error not_a_map"),
    ("S125/view.gpkg", "ok 12"),
];

#[test]
fn each_file_ends_as_its_manifest_says() {
    let manifest = fs::read_to_string(torture("manifest.csv")).unwrap();
    let mut wrong = Vec::new();
    println!("| case | expected | got |");
    for (file, expected) in EXPECTED {
        assert!(manifest.contains(file), "{file} is not in the manifest");
        let got = summary(&import(&torture(file)));
        println!("| {file} | {expected} | {got} |");
        if got != expected {
            wrong.push(format!("{file}: expected {expected}, got {got}"));
        }
    }
    // One more of the manifest, S85, is made below: it is too large to keep.
    assert_eq!(manifest.lines().count(), EXPECTED.len() + 2);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_encodings_and_places_are_right() {
    let first = |file: &str| import(&torture(file)).unwrap();
    let s01 = first("S01/gbk_ldid4d_nocpg.shp");
    assert_eq!(s01.features[0].class_name.as_deref(), Some("水田"));
    assert_eq!(first("S02/gbk_noldid_nocpg.shp").report.encoding, "GBK");
    for file in ["S04/gbk_cpg_says_utf8.shp", "S05/utf8_cpg_says_936.shp"] {
        assert_eq!(first(file).features[0].class_name.as_deref(), Some("水田"), "{file}");
    }
    let s07 = first("S07/gbk_cpg_gb18030.shp");
    assert_eq!(
        (s07.report.encoding.as_str(), &s07.features[0].attributes["MC"]),
        ("GB18030", &"㐀𠀀镇".into())
    );
    assert!(format!("{:?}", first("S08/big5_ldid78.shp").features[0]).contains("國有土地"));
    let s11 = &first("S11/fieldname_cut.shp").features[0];
    assert_eq!(s11.attributes["权属单"], "中华人");
    assert_eq!(first("S80/gbk_names.zip").report.source_layer, "城厢区地块");
    let s62 = import(&torture("S62/shp_cut.shp")).unwrap_err();
    assert!(s62.en.contains("record 8"), "{}", s62.en);
    let s68 = first("S68/dbf_deleted.shp");
    let records: Vec<u32> = s68.features.iter().map(|f| f.record).collect();
    assert_eq!(records, [1, 2, 4, 5, 7, 8, 9, 10, 11, 12]);
    for feature in &s68.features {
        let original = s01.features.iter().find(|f| f.record == feature.record).unwrap();
        assert_eq!(feature.attributes, original.attributes);
    }
    let s41 = first("S41/hole_before_shell.shp");
    assert!(
        s41.features
            .iter()
            .all(|f| f.geometry.0.len() == 1 && f.geometry.0[0].interiors().len() == 1)
    );
    assert!(first("S44/bowtie.shp").features.iter().all(|f| f.geometry.0.len() == 2));
    let rejected: Vec<u32> =
        first("S47/nan_inf.shp").report.rejected.iter().map(|r| r.record).collect();
    assert_eq!(rejected.len(), 3);

    // The same parcels by four other ways lie within a centimetre.
    let here = |draft: &Draft, i: usize| draft.features[i].geometry.0[0].exterior().0.clone();
    for file in
        ["S20/cgcs2000_zone40.shp", "S104/crs4549.geojson", "S121/zone40.gpkg", "S107/cw.geojson"]
    {
        let other = first(file);
        for i in 0..12 {
            let near = |c: &geo::Coord| here(&s01, i).iter().any(|d| distance_m(*c, *d) < 0.01);
            assert!(here(&other, i).iter().all(near), "{file} {i}");
        }
        assert!((other.features[0].area_m2 / s01.features[0].area_m2 - 1.0).abs() < 1e-6);
    }
    // The file was moved by a rounded offset: metres, not the 560 it would be off untold.
    let mars = ReadOptions { crs: Some("gcj02".parse().unwrap()), ..ReadOptions::default() };
    let s28 = import_with(&torture("S28/gcj02_undeclared.shp"), &mars).unwrap();
    assert!(here(&s28, 0).iter().all(|c| here(&s01, 0).iter().any(|d| distance_m(*c, *d) < 10.0)));
}

#[test]
fn old_datums_come_in_by_consent_and_options_say_what_the_file_does_not() {
    let options =
        |crs: &str| ReadOptions { crs: Some(crs.parse().unwrap()), ..ReadOptions::default() };
    let s22 = import_with(&torture("S22/xian80_zone40.shp"), &options("EPSG:2364")).unwrap();
    assert!(s22.report.warnings.iter().any(|w| w.code == "datum_shift_unknown"));
    let s91 = import_with(&torture("S91/no_dbf_no_prj.zip"), &options("cgcs2000")).unwrap();
    assert_eq!(s91.report.accepted, 12);
    let mut named = ReadOptions { encoding: Some("GB18030".into()), ..ReadOptions::default() };
    let s01 = import_with(&torture("S01/gbk_ldid4d_nocpg.shp"), &named).unwrap();
    assert_eq!(s01.report.encoding, "GB18030");
    named.encoding = Some("UTF-8".into());
    let fault = import_with(&torture("S01/gbk_ldid4d_nocpg.shp"), &named).unwrap_err();
    assert_eq!(fault.code, "encoding_unknown");
    let filtered = |filter: &str, file: &str| {
        let options = ReadOptions { filter: Some(filter.into()), ..ReadOptions::default() };
        summary(&import_with(&torture(file), &options))
    };
    assert_eq!(filtered("DLMC = '水田'", "S01/gbk_ldid4d_nocpg.shp"), "ok 2");
    assert_eq!(filtered("TBMJ < 90002", "S04/gbk_cpg_says_utf8.shp"), "ok 2 !encoding_differs");
    assert_eq!(filtered("dlmc = '水田' OR dlmc = '旱地'", "S100/ok.geojson"), "ok 4");
    assert_eq!(filtered("1 = (SELECT 1)", "S121/zone40.gpkg"), "error filter_invalid");
    assert_eq!(filtered("no_such_field = 1", "S121/zone40.gpkg"), "error filter_invalid");
    assert_eq!(filtered("no_such_field = 1", "S01/gbk_ldid4d_nocpg.shp"), "error filter_invalid");
}

fn zip_of(folder: &Path, name: &str, members: &[(&str, &[u8])]) -> PathBuf {
    let path = folder.join(name);
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    path
}

fn parts(stem: &str) -> [Vec<u8>; 4] {
    ["shp", "shx", "dbf", "prj"].map(|e| fs::read(torture(&format!("{stem}.{e}"))).unwrap())
}

#[test]
fn hostile_archives() {
    let folder = tempfile::tempdir().unwrap();
    let [shp, shx, dbf, prj] = parts("S01/gbk_ldid4d_nocpg");
    let set: [(&str, &[u8]); 4] =
        [("p.shp", &shp), ("p.shx", &shx), ("p.dbf", &dbf), ("p.prj", &prj)];

    // S85: as many members as the manifest's file has.
    let path = folder.path().join("many.zip");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for n in 0..60_000 {
        zip.start_file(format!("junk/{n}.txt"), SimpleFileOptions::default()).unwrap();
    }
    for (name, bytes) in set {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    assert_eq!(summary(&import(&path)), "ok 12");

    // A bomb of 1 GiB of zeros.
    for member in ["p.dbf", "zeros.bin"] {
        let bomb = folder.path().join("bomb.zip");
        let mut zip = zip::ZipWriter::new(fs::File::create(&bomb).unwrap());
        zip.start_file(member, SimpleFileOptions::default()).unwrap();
        let zeros = vec![0u8; 1 << 20];
        for _ in 0..1024 {
            zip.write_all(&zeros).unwrap();
        }
        zip.start_file("p.shp", SimpleFileOptions::default()).unwrap();
        zip.write_all(&shp).unwrap();
        zip.finish().unwrap();
        let before = peak_memory_kb();
        assert_eq!(summary(&import(&bomb)), "error too_large");
        assert!(peak_memory_kb() - before < 100_000);
    }

    let inner = fs::read(zip_of(folder.path(), "inner.zip", &set)).unwrap();
    let nested = zip_of(folder.path(), "nested.zip", &[("inner.zip", &inner)]);
    assert_eq!(summary(&import(&nested)), "error nested_archive");
    let several: Vec<(&str, &[u8])> =
        vec![("a/p.shp", &shp), ("b/q.shp", &shp), ("b/q.prj", &prj), ("b/q.dbf", &dbf)];
    let several = zip_of(folder.path(), "several.zip", &several);
    assert_eq!(summary(&import(&several)), "error several_layers");
    let named =
        |name: &str| ReadOptions { source_layer: Some(name.into()), ..ReadOptions::default() };
    assert_eq!(summary(&import_with(&several, &named("q"))), "ok 12 !index_rebuilt");
    assert_eq!(summary(&import_with(&several, &named("b/q"))), "ok 12 !index_rebuilt");
    assert_eq!(summary(&import_with(&several, &named("x"))), "error source_layer_unknown");
    let truncated = fs::read(zip_of(folder.path(), "whole.zip", &set)).unwrap();
    let cut = folder.path().join("cut.zip");
    fs::write(&cut, &truncated[..truncated.len() / 2]).unwrap();
    assert_eq!(summary(&import(&cut)), "error not_a_map");
    let json = fs::read(torture("S100/ok.geojson")).unwrap();
    assert_eq!(summary(&import(&zip_of(folder.path(), "json.zip", &[("x.json", &json)]))), "ok 12");
}

fn peak_memory_kb() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The shapefile S01 under other circumstances: what `change` makes of its parts.
fn changed(change: impl FnOnce(&mut [Vec<u8>; 4])) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = parts("S01/gbk_ldid4d_nocpg");
    change(&mut parts);
    for (extension, bytes) in ["shp", "shx", "dbf", "prj"].iter().zip(&parts) {
        if !bytes.is_empty() {
            fs::write(folder.path().join(format!("p.{extension}")), bytes).unwrap();
        }
    }
    summary(&import(&folder.path().join("p.shp")))
}

#[test]
fn shapefiles_that_lie() {
    let (shp, shx, dbf, prj) = (0, 1, 2, 3);
    assert_eq!(changed(|p| p[shx].clear()), "ok 12 !index_rebuilt");
    assert_eq!(changed(|p| p[dbf].clear()), "ok 12 !no_attributes");
    assert_eq!(changed(|p| p[prj].clear()), "error crs_unknown");
    // The header says another length than the file has.
    assert_eq!(changed(|p| p[shp][24..28].copy_from_slice(&[0, 0, 0, 60])), "ok 12");
    // Counts of the attribute table that are too high, too low, and absurd.
    assert_eq!(changed(|p| p[dbf][4] = 13), "ok 12 !row_count_differs");
    assert_eq!(changed(|p| p[dbf][4] = 5), "ok 12 !row_count_differs");
    assert_eq!(changed(|p| p[dbf][4..8].fill(0xff)), "ok 12 !row_count_differs");
    // The last of a record's length.
    assert_eq!(changed(|p| p[dbf][10..12].fill(0)), "ok 12");
    let cut = |p: &mut [Vec<u8>; 4]| p[dbf].truncate(800);
    assert_eq!(changed(cut), "error truncated");
    assert_eq!(changed(|p| p[dbf].truncate(20)), "error truncated");
    assert_eq!(changed(|p| p[shp].truncate(60)), "error truncated");
    assert_eq!(changed(|p| p[shp][0] = 1), "error not_a_map");
    // A record of a type that there is not; a null shape; a line among polygons.
    assert_eq!(changed(|p| p[shp][108] = 99), "error damaged");
    assert_eq!(changed(|p| p[shp][108] = 0), "ok 11 rejected 1");
    assert_eq!(changed(|p| p[shp][108] = 3), "ok 11 rejected 1");
    assert_eq!(changed(|p| p[prj] = b"\xef\xbb\xbf \r\n".to_vec()), "error crs_unknown");
}

#[test]
fn any_damage_ends_in_a_report_or_a_refusal() {
    // Each byte of the shapes, table and index struck in turn, by a seeded pattern.
    let originals = parts("S01/gbk_ldid4d_nocpg");
    let mut state = 0x9e37_79b9_u64;
    for _ in 0..600 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = (state >> 33) as usize % 3;
        let at = (state >> 17) as usize % originals[part].len();
        let value = (state >> 50) as u8;
        changed(|p| p[part][at] = value);
    }
    for file in ["S121/zone40.gpkg", "S100/ok.geojson"] {
        let original = fs::read(torture(file)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for n in 0..60 {
            let mut bytes = original.clone();
            for k in 0..20 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n + k);
                let at = (state >> 20) as usize % bytes.len();
                bytes[at] = (state >> 50) as u8;
            }
            fs::write(&path, bytes).unwrap();
            let _ = import(&path);
        }
    }
}

#[test]
fn geojson_that_is_not_quite() {
    let folder = tempfile::tempdir().unwrap();
    let run = |text: &str| {
        let path = folder.path().join("x.geojson");
        fs::write(&path, text).unwrap();
        summary(&import(&path))
    };
    let ring = "[[[119.0,25.43],[119.01,25.43],[119.01,25.44],[119.0,25.43]]]";
    let feature = |geometry: &str| {
        format!(r#"{{"type":"Feature","properties":{{"a":1}},"geometry":{geometry}}}"#)
    };
    let polygon = |coordinates: &str| {
        feature(&format!(r#"{{"type":"Polygon","coordinates":{coordinates}}}"#))
    };
    let collection = |features: &[String]| {
        format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","))
    };
    let good = polygon(ring);
    assert_eq!(run(&collection(&[])), "error empty");
    assert_eq!(run(&good), "ok 1");
    assert_eq!(run(&format!(r#"{{"type":"Polygon","coordinates":{ring}}}"#)), "ok 1");
    let line = feature(r#"{"type":"LineString","coordinates":[[119.0,25.43],[119.01,25.43]]}"#);
    assert_eq!(run(&collection(std::slice::from_ref(&line))), "error wrong_geometry_type");
    assert_eq!(run(&collection(&[good.clone(), line])), "ok 1 rejected 1");
    let nested = feature(&format!(
        r#"{{"type":"GeometryCollection","geometries":[{{"type":"Polygon","coordinates":{ring}}}]}}"#
    ));
    assert_eq!(run(&collection(&[nested])), "ok 1 repaired 1");
    let open = polygon("[[[119.0,25.43],[119.01,25.43],[119.01,25.44]]]");
    assert_eq!(run(&collection(&[open])), "ok 1 repaired 1");
    assert_eq!(
        run(&collection(&[good.clone(), polygon("[[[1e300,25],[119,25],[119,26],[1e300,25]]]")])),
        "ok 1 rejected 1"
    );
    assert_eq!(run(&good[..good.len() - 20]), "error truncated");
    let crs =
        |crs: &str| format!(r#"{{"type":"FeatureCollection","crs":{crs},"features":[{good}]}}"#);
    assert_eq!(
        run(&crs(r#"{"type":"link","properties":{"href":"http://127.0.0.1:9/x"}}"#)),
        "error crs_unknown"
    );
    assert_eq!(
        run(&crs(r#"{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::4490"}}"#)),
        "ok 1"
    );
    // GDAL would read these as WGS 84.
    let unknown = crs(r#"{"type":"name","properties":{"name":"EPSG:999999"}}"#);
    assert_eq!(run(&unknown), "error crs_unknown");
    assert_eq!(run(&crs("null")), "error crs_unknown");
    let antimeridian = polygon("[[[179,25],[-179,25],[-179,26],[179,25]]]");
    assert_eq!(run(&collection(&[antimeridian])), "error outside_area");
    assert_eq!(run("\u{1}\u{2}binary"), "error not_a_map");
}

#[test]
fn nothing_is_left_behind() {
    let left = || {
        fs::read_dir(std::env::temp_dir())
            .unwrap()
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with("xuncha-import-"))
            .count()
    };
    // Other tests of this process may be importing: theirs go away, ours must too.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("traversal.zip");
    fs::copy(torture("S83/traversal.zip"), &copy).unwrap();
    import(&copy).unwrap();
    assert!(!Path::new("/tmp/evil.shp").exists() && !Path::new("/etc/evil.dbf").exists());
    let files: Vec<_> =
        fs::read_dir(folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(files, ["traversal.zip"]);
    assert!(left() < 20);
}
