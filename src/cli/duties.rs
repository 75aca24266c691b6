//! `xuncha duties import`.

use super::people::print_report;
use crate::error::Result;
use crate::store::sheet::Sheet;
use crate::store::{Store, duties};
use std::path::PathBuf;

/// Reads who answers for which cell or village from a CSV or workbook into the store.
///
/// Columns, in any order: code, phone, nature (*, illegal_land_use, illegal_construction), rank
/// (primary, backup). For every code, nature and rank that the table names, it has the last word.
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

/// Imports duties and prints the report.
pub fn run(args: &ImportArgs, store: &Store) -> Result<()> {
    let report = duties::import(store, &Sheet::read(&args.file)?, args.dry_run)?;
    print_report(&report, args.json)
}
