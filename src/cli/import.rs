//! `xuncha import`: a boundary file into a draft of a layer, and into force.

use crate::boundaries::publish::{self, PublishOptions};
use crate::boundaries::{ReadOptions, Report, import_file, report::refusal};
use crate::error::{Fault, Result};
use crate::geometry::crs::Crs;
use crate::store::Store;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::PathBuf;

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

/// Runs the command.
pub fn run(args: &ImportArgs, store: &Store) -> Result<()> {
    let result = import(args, store);
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
pub fn import(args: &ImportArgs, store: &Store) -> Result<Report> {
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
    let bar = progress_bar();
    let progress = |share: f32| show(&bar, share);
    let report = if args.dry_run {
        import_file::dry_run(store, &args.file, &args.layer, &options, &progress)
    } else {
        keep(args, store, options, &progress)
    };
    bar.finish_and_clear();
    report
}

fn keep(
    args: &ImportArgs,
    store: &Store,
    options: ReadOptions,
    progress: &dyn Fn(f32),
) -> Result<Report> {
    publish::clear_interrupted(store)?;
    let file_name = args.file.file_name().unwrap_or_default().to_string_lossy();
    let job = import_file::begin(store, &args.layer, &file_name, options, None)?;
    let id = job.id();
    let report = job.run(&args.file, progress)?;
    if !args.publish {
        return Ok(report);
    }
    let options =
        PublishOptions { accept_rejected: args.accept_rejected, ..PublishOptions::default() };
    Ok(import_file::publish(store, id, options)?.0)
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
