//! `xuncha report`: the reports as files.

use crate::enforcement::clock::Clock;
use crate::error::{Fault, Language, Result};
use crate::statistics::period::Period;
use crate::statistics::units::ReportLevel;
use crate::statistics::workbook::AreaUnit;
use crate::store::Store;
use crate::store::reports::{self, Ask, ReportKind};
use crate::store::world::World;
use crate::tiles::cases::{CaseFilter, CaseNature, CaseSource, Choice};
use crate::web::reports::ReportFormat;
use chrono::NaiveDate;
use std::path::PathBuf;

/// Which report.
#[derive(Debug, clap::Subcommand)]
pub enum ReportCommand {
    /// What cases take of the land, by district, town or village
    ///
    /// Cases count by the day of report, demolished m² by the day of demolition; both ends of the
    /// period are included. The format follows from the name of the file.
    ///
    /// Example:
    ///   xuncha report cases --area 350300 --from 2026-01-01 --to 2026-06-30 --level town --out half-year.xlsx
    #[command(verbatim_doc_comment)]
    Cases(ReportArgs),
    /// Closing, stopping, reporting, sent-back and extension rates, by area
    Success(ReportArgs),
    /// The same rates, by department
    Departments(ReportArgs),
    /// What each patroller did
    Patrollers(ReportArgs),
    /// Visits made of those due
    Attendance(ReportArgs),
    /// Demolition against the yearly target
    Demolition(ReportArgs),
    /// Land taken by cases, by year
    Land(ReportArgs),
}

/// Of what, and where to.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// Code of a city, district, functional area, town or village
    #[arg(long, value_name = "CODE")]
    area: String,
    /// First day, e.g. 2026-01-01
    #[arg(long, value_name = "DAY")]
    from: NaiveDate,
    /// Last day, included
    #[arg(long, value_name = "DAY")]
    to: NaiveDate,
    /// What the rows are; one level below the area by default
    #[arg(long, value_parser = level_of)]
    level: Option<ReportLevel>,
    /// Only cases of this nature
    #[arg(long, value_parser = nature_of)]
    nature: Option<CaseNature>,
    /// Only cases found this way: patrol, public, satellite, assigned
    #[arg(long, value_parser = source_of)]
    source: Option<CaseSource>,
    /// Only new (true) or existing (false) buildings
    #[arg(long)]
    new_build: Option<bool>,
    /// Only cases of cadres (true) or others (false)
    #[arg(long)]
    cadre: Option<bool>,
    /// A file that ends in .xlsx, .csv, .json or .html
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn level_of(text: &str) -> Result<ReportLevel, String> {
    ReportLevel::parse(text).ok_or_else(|| "district, town or village".to_string())
}

fn nature_of(text: &str) -> Result<CaseNature, String> {
    CaseNature::parse(text)
        .ok_or_else(|| "illegal_land_use, illegal_construction or both".to_string())
}

fn source_of(text: &str) -> Result<CaseSource, String> {
    CaseSource::parse(text).ok_or_else(|| "patrol, public, satellite or assigned".to_string())
}

/// Runs the command.
pub fn run(command: ReportCommand, store: &Store, language: Language) -> Result<()> {
    let (kind, args) = match command {
        ReportCommand::Cases(args) => (ReportKind::Cases, args),
        ReportCommand::Success(args) => (ReportKind::Success, args),
        ReportCommand::Departments(args) => (ReportKind::Departments, args),
        ReportCommand::Patrollers(args) => (ReportKind::Patrollers, args),
        ReportCommand::Attendance(args) => (ReportKind::Attendance, args),
        ReportCommand::Demolition(args) => (ReportKind::Demolition, args),
        ReportCommand::Land(args) => (ReportKind::Land, args),
    };
    let extension = args.out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let format = ReportFormat::parse(&extension.to_lowercase()).ok_or_else(|| {
        Fault::invalid(
            "输出文件名须以 .xlsx、.csv、.json 或 .html 结尾",
            "The file must end in .xlsx, .csv, .json or .html",
        )
    })?;
    let mut filter =
        CaseFilter { new_build: args.new_build, cadre: args.cadre, ..CaseFilter::default() };
    filter.nature = args.nature.map_or(Choice::ANY, |nature| Choice::only(nature.bit()));
    filter.source = args.source.map_or(Choice::ANY, |source| Choice::only(source.bit()));
    let ask = Ask {
        kind,
        area: args.area,
        level: args.level,
        period: Some(Period::new(args.from, args.to)?),
        filter,
        comparison: None,
        rank: None,
    };
    let world = World::load(store)?;
    let report = reports::report(store, &world, &ask, Clock::system().now())?;
    let bytes = format.write(&report, language, AreaUnit::SquareMetre)?;
    std::fs::write(&args.out, bytes).map_err(|error| {
        Fault::invalid(
            format!("无法写入 {}：{error}", args.out.display()),
            format!("Cannot write {}: {error}", args.out.display()),
        )
    })
}
