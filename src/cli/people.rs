//! `xuncha people import` and what every import of a table prints.

use crate::error::{Fault, Result};
use crate::store::sheet::{RowReport, Sheet};
use crate::store::{Store, people};
use std::io::Write;
use std::path::PathBuf;

/// Reads people from a CSV or workbook into the store.
///
/// Columns, in any order: name, phone, role, area_code, department. A person is known by phone, so
/// the same table may be read again. Nobody gets a password: activate accounts afterwards.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// CSV (UTF-8 or GBK) or .xlsx
    pub file: PathBuf,
    /// Check and report only
    #[arg(long)]
    pub dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Imports people and prints the report.
pub fn run(args: &ImportArgs, store: &Store) -> Result<()> {
    let report = people::import(store, &Sheet::read(&args.file)?, args.dry_run)?;
    print_report(&report, args.json)
}

/// Remarks printed for a reader; JSON has all.
const SHOWN: usize = 50;

/// Prints a report on stdout, as JSON or for a reader.
pub fn print_report(report: &RowReport, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let text = serde_json::to_string(report).map_err(Fault::internal)?;
        return writeln!(out, "{text}").map_err(Fault::internal);
    }
    let new = report.accepted - report.updated - report.unchanged;
    let mut text = format!(
        "{} rows read: {new} new, {} updated, {} unchanged, {} replaced, {} rejected{}\n",
        report.read,
        report.updated,
        report.unchanged,
        report.removed,
        report.rejected.len(),
        if report.dry_run { " (dry run: nothing was written)" } else { "" },
    );
    for (what, remarks) in [("rejected", &report.rejected), ("warning", &report.warnings)] {
        for remark in remarks.iter().take(SHOWN) {
            text.push_str(&format!("  row {}: {what}: {}\n", remark.row, remark.reason));
        }
        if remarks.len() > SHOWN {
            text.push_str(&format!("  … and {} more (--json shows all)\n", remarks.len() - SHOWN));
        }
    }
    out.write_all(text.as_bytes()).map_err(Fault::internal)
}
