//! `xuncha cases import`: past cases from a table.

use super::people::print_report;
use crate::error::Result;
use crate::store::Store;
use crate::store::past_cases;
use std::path::PathBuf;

/// What to do with past cases.
#[derive(Debug, clap::Subcommand)]
pub enum CasesCommand {
    /// Import past cases from CSV or xlsx: one `imported` event each, no messages, no deadlines
    Import {
        /// Columns as in boundaries/history.csv
        file: PathBuf,
        /// Only check, change nothing
        #[arg(long)]
        dry_run: bool,
        /// Print the row-by-row report as JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: CasesCommand, store: &Store) -> Result<()> {
    let CasesCommand::Import { file, dry_run, json } = command;
    let report = past_cases::import(store, &file, dry_run)?;
    print_report(&report, json)
}
