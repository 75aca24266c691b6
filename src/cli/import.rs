//! `xuncha import`: a boundary file into a draft of a layer, and into force.

use crate::atlas::feature::{LayerInfo, LayerKind};
use crate::atlas::lookup::Atlas;
use crate::boundaries::publish::{self, PublishOptions, Reassign};
use crate::boundaries::{ReadOptions, Report, check, read, report::refusal};
use crate::error::{Fault, Result};
use crate::geometry::crs::Crs;
use crate::store::{Store, features};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Reads a boundary file into a draft of a layer and prints the check report.
///
/// FILE is a .shp, a .zip of shapefiles, a .gpkg, .geojson or .fgb. LAYER is city, district, town,
/// village, functional_area, cell, parcel, basic_farmland, or the name of a further overlay layer.
/// Nothing is guessed: where the file does not say its coordinate system, --crs must.
///
/// Examples:
///   xuncha import admin.zip --layer town --source-layer XZQ_town --publish
///   xuncha import DLTB.shp --layer parcel --crs EPSG:4549 --dry-run
///   xuncha import parcels.gpkg --layer parcel --area 350302 --where "DLBM = '0101'" --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct ImportArgs {
    /// The boundary file
    file: PathBuf,
    /// The layer it becomes
    #[arg(long)]
    layer: String,
    /// Which layer of the file, where it has several
    #[arg(long, value_name = "NAME")]
    source_layer: Option<String>,
    /// EPSG:n, a WKT or PROJ string, wgs84, cgcs2000, gcj02 or bd09, where the file does not say it
    #[arg(long)]
    crs: Option<String>,
    /// GBK, GB18030, Big5, UTF-8 …, where the file's text cannot be recognised
    #[arg(long, value_name = "ENC")]
    encoding: Option<String>,
    /// The column with the code
    #[arg(long, value_name = "F")]
    code_field: Option<String>,
    /// The column with the name
    #[arg(long, value_name = "F")]
    name_field: Option<String>,
    /// The column with the land class
    #[arg(long, value_name = "F")]
    class_field: Option<String>,
    /// The column with the code of the area one level up
    #[arg(long, value_name = "F")]
    parent_field: Option<String>,
    /// Read and replace only what lies within the area of this code
    #[arg(long, value_name = "CODE")]
    area: Option<String>,
    /// Only records for which this holds, e.g. "DLBM = '0101' AND TBMJ > 100"
    #[arg(long = "where", value_name = "EXPR")]
    filter: Option<String>,
    /// Check only; keep no draft
    #[arg(long, conflicts_with = "publish")]
    dry_run: bool,
    /// Put it into force
    #[arg(long)]
    publish: bool,
    /// Publish although records were rejected, without them
    #[arg(long, requires = "publish")]
    accept_rejected: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command; `reassign` moves open cases when a publish changes who answers.
pub fn run(args: &ImportArgs, store: &Store, reassign: Reassign) -> Result<()> {
    let result = import(args, store, reassign);
    match (&result, args.json) {
        (Ok(report), true) => print_json(&serde_json::to_value(report).map_err(Fault::internal)?)?,
        (Ok(report), false) => print!("{}", in_words(report)),
        (Err(fault), true) => print_json(&refusal(fault))?,
        (Err(_), false) => {}
    }
    result.map(|_| ())
}

fn print_json(value: &serde_json::Value) -> Result<()> {
    println!("{}", serde_json::to_string(value).map_err(Fault::internal)?);
    Ok(())
}

/// Reads, checks, keeps and, if asked, publishes.
pub fn import(args: &ImportArgs, store: &Store, reassign: Reassign) -> Result<Report> {
    let options = ReadOptions {
        source_layer: args.source_layer.clone(),
        crs: args.crs.as_deref().map(str::parse::<Crs>).transpose()?,
        encoding: args.encoding.clone(),
        code_field: args.code_field.clone(),
        name_field: args.name_field.clone(),
        class_field: args.class_field.clone(),
        parent_field: args.parent_field.clone(),
        filter: args.filter.clone(),
        area: args.area.clone(),
    };
    publish::clear_interrupted(store)?;
    let bar = progress_bar();
    let mut conn = store.conn()?;
    let atlas: Atlas = features::load_atlas(&mut conn)?;
    if args.dry_run {
        // Of a layer that is not there yet, a dry run leaves no trace.
        let known =
            features::layer_infos(&mut conn)?.into_iter().find(|info| info.name == args.layer);
        let info = known.unwrap_or_else(|| LayerInfo {
            name: args.layer.clone(),
            kind: LayerKind::Overlay,
            title_zh: args.layer.clone(),
            title_en: args.layer.clone(),
        });
        drop(conn);
        let mut draft = read(&args.file, &info, &options, &atlas, &|share| show(&bar, share))?;
        check::check(&mut draft, &atlas);
        bar.finish_and_clear();
        return Ok(draft.report);
    }
    let file_name =
        args.file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let info = features::layer_or_new_overlay(&mut conn, &args.layer)?;
    drop(conn);
    let reading = publish::begin(store, &args.layer, &file_name, &options, None)?;
    let told = Cell::new(Instant::now());
    let progress = |share: f32| {
        show(&bar, share);
        // Followers need no more than a few steps a second.
        if told.get().elapsed() > Duration::from_millis(300) {
            told.set(Instant::now());
            if let Err(fault) = reading.progress(share * 0.9) {
                tracing::debug!(%fault, "progress not told");
            }
        }
    };
    let mut draft = match read(&args.file, &info, &options, &atlas, &progress) {
        Ok(draft) => draft,
        Err(fault) => {
            bar.finish_and_clear();
            reading.fail(&fault)?;
            return Err(fault);
        }
    };
    check::check(&mut draft, &atlas);
    let id = reading.id;
    reading.finish(&mut draft, atlas.generation())?;
    let report = if args.publish {
        let options = PublishOptions { accept_rejected: args.accept_rejected, published_by: None };
        publish::publish(store, id, options, reassign)?.0
    } else {
        draft.report
    };
    bar.finish_and_clear();
    Ok(report)
}

/// On standard error, and only where that is a terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}% {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, share: f32) {
    bar.set_position((share.clamp(0.0, 1.0) * 1000.0) as u64);
}

/// The report for people.
fn in_words(report: &Report) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut line = |zh: &str, en: &str, value: String| {
        let _ = writeln!(text, "{zh} {en}: {value}");
    };
    if let Some(id) = report.import_id {
        line("导入编号", "import", id.to_string());
    }
    line("图层", "layer", format!("{} ← {}", report.layer, report.source_layer));
    line("坐标系", "CRS", report.crs.clone());
    line("编码", "encoding", report.encoding.clone());
    line("读取", "read", report.read.to_string());
    line("接受", "accepted", report.accepted.to_string());
    line("修复", "repaired", report.totals.repaired.to_string());
    line("拒绝", "rejected", report.rejected.len().to_string());
    for rejected in report.rejected.iter().take(20) {
        line(
            "  记录",
            "record",
            format!("{} {} {}", rejected.record, rejected.code, rejected.reason),
        );
    }
    for warning in &report.warnings {
        line("警告", "warning", format!("{} {}", warning.code, warning.detail));
    }
    line("代码重复", "duplicate codes", report.totals.duplicate_codes.to_string());
    line("重叠", "overlaps", report.totals.overlaps.to_string());
    line("空隙", "gaps", report.totals.gaps.to_string());
    line("无上级", "orphans", report.totals.orphans.to_string());
    let changes = &report.changes;
    line(
        "变化",
        "changes",
        format!(
            "+{} −{} ~{} ({:+.1} m²)",
            changes.added, changes.removed, changes.moved, changes.area_m2
        ),
    );
    line("案件改派", "cases reassigned", changes.cases_reassigned.to_string());
    line("已发布", "published", report.published.to_string());
    text
}
