//! `xuncha suspects import`: suspected plots from satellite images become cases.

use crate::enforcement::clock::Clock;
use crate::enforcement::nature::Nature;
use crate::error::{Fault, Result};
use crate::geometry::crs::Crs;
use crate::store::Store;
use crate::store::suspects::{self, SuspectOptions, SuspectReport};
use crate::store::world::World;
use std::io::Write;
use std::path::PathBuf;
use uuid::Uuid;

/// What to do with suspected plots.
#[derive(Debug, clap::Subcommand)]
pub enum SuspectsCommand {
    /// Import a layer of polygons: every plot that is new becomes a case, dispatched at once
    Import {
        /// A .shp, a .zip of shapefiles, a .gpkg, .geojson or .fgb
        file: PathBuf,
        /// illegal_land_use, illegal_construction or both
        #[arg(long, default_value = "illegal_land_use")]
        nature: String,
        /// Which layer of the file, where it has several
        #[arg(long, value_name = "NAME")]
        source_layer: Option<String>,
        /// EPSG:n, a WKT or PROJ string …, where the file does not say it
        #[arg(long)]
        crs: Option<String>,
        /// GBK, UTF-8 …, where the file's text cannot be recognised
        #[arg(long, value_name = "ENC")]
        encoding: Option<String>,
        /// The column with the number of a plot; JCBH, TBBH or BSM by default
        #[arg(long, value_name = "F")]
        number_field: Option<String>,
        /// Only records for which this holds
        #[arg(long = "where", value_name = "EXPR")]
        filter: Option<String>,
        /// Only check, change nothing
        #[arg(long)]
        dry_run: bool,
        /// Print the row-by-row report as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Rows printed for a reader; JSON has all.
const SHOWN: usize = 50;

pub fn run(command: SuspectsCommand, store: &Store) -> Result<()> {
    let SuspectsCommand::Import {
        file,
        nature,
        source_layer,
        crs,
        encoding,
        number_field,
        filter,
        dry_run,
        json,
    } = command;
    let options = SuspectOptions {
        id: Uuid::new_v4(),
        file_name: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        source_layer,
        crs: crs.as_deref().map(str::parse::<Crs>).transpose()?,
        encoding,
        number_field,
        filter,
        nature: Nature::parse(&nature).ok_or_else(|| {
            Fault::invalid(format!("未知的性质：{nature}"), format!("Unknown nature: {nature}"))
        })?,
        by: None,
        dry_run,
    };
    let world = World::load(store)?;
    let report = suspects::import(store, &world, &file, &options, Clock::system().now())?;
    print(&report, json)
}

fn print(report: &SuspectReport, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let text = serde_json::to_string(report).map_err(Fault::internal)?;
        return writeln!(out, "{text}").map_err(Fault::internal);
    }
    let SuspectReport { read, created, existing, rejected, .. } = report;
    let mut text = format!(
        "{read} plots read: {created} new cases, {existing} known, {rejected} rejected{}\n",
        if report.dry_run { " (dry run: nothing was written)" } else { "" },
    );
    let remarks = || report.rows.iter().filter_map(|row| Some((row, row.remark.as_ref()?)));
    for (row, remark) in remarks().take(SHOWN) {
        text.push_str(&format!("  record {}: {}: {remark}\n", row.record, row.outcome));
    }
    if remarks().count() > SHOWN {
        text.push_str(&format!("  … and {} more (--json shows all)\n", remarks().count() - SHOWN));
    }
    out.write_all(text.as_bytes()).map_err(Fault::internal)
}
