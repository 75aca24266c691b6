//! The commands, thin.

pub mod accounts;
pub mod backup;
pub mod cases;
pub mod check;
pub mod demo;
pub mod duties;
pub mod import;
pub mod lookup;
mod lookup_batch;
pub mod people;
pub mod report;
pub mod serve;
pub mod suspects;

use crate::config::StoreConfig;
use crate::error::{Language, Result};
use crate::geometry::crs;
use crate::store::Store;
use crate::store::blobs::Blobs;
use clap::{Parser, Subcommand};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Xuncha 巡查: finds, assigns and stops illegal land use and illegal construction.
///
/// Without --database-url every command uses a private PostgreSQL+PostGIS cluster in --data-dir,
/// which it starts itself and shares with a running `xuncha serve`.
#[derive(Debug, Parser)]
#[command(name = "xuncha", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    store: StoreConfig,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load the demo city (boundaries/) where it is not loaded yet, and serve it
    Demo(demo::DemoArgs),
    /// Serve API, tiles and web app
    Serve(serve::ServeArgs),
    /// Who and what is at a coordinate, or at each of a file of coordinates
    Lookup(lookup::LookupArgs),
    /// A boundary file into a draft of a layer, and into force
    Import(Box<import::ImportArgs>),
    /// People and their accounts
    #[command(subcommand)]
    People(PeopleCommand),
    /// Who answers for which cell or village
    #[command(subcommand)]
    Duties(DutiesCommand),
    /// Past cases
    #[command(subcommand)]
    Cases(cases::CasesCommand),
    /// Suspected plots from satellite images
    #[command(subcommand)]
    Suspects(suspects::SuspectsCommand),
    /// Give an account its first password, or make an API token
    #[command(subcommand)]
    Account(accounts::AccountCommand),
    /// Reports as files: xlsx, CSV, JSON or a page to print
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// Verify the store: owners, histories, evidence, audit chain
    Check(check::CheckArgs),
    /// Database and evidence into one file, while the service runs
    Backup(backup::BackupArgs),
    /// A backup into an empty store
    Restore(backup::RestoreArgs),
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Debug, Subcommand)]
enum PeopleCommand {
    Import(people::ImportArgs),
}

#[derive(Debug, Subcommand)]
enum DutiesCommand {
    Import(duties::ImportArgs),
}

/// Runs a command: exit status 0 done, 1 refused or failed, 2 usage.
pub fn run(cli: Cli) -> ExitCode {
    // For outgoing requests; fails only when one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    logging();
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

/// A reader that has seen enough (`| head`) ends a command quietly. A service must not die of it,
/// nor those that write to programs of their own and tell why these gave up.
fn end_with_the_reader(command: &Command) {
    use nix::sys::signal::{SigHandler, Signal, signal};
    let goes_on = matches!(
        command,
        Command::Serve(_) | Command::Demo(_) | Command::Backup(_) | Command::Restore(_)
    );
    if !goes_on {
        // SAFETY: the default action is no handler, so no code runs in signal context.
        let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    }
}

fn execute(cli: Cli) -> Result<()> {
    end_with_the_reader(&cli.command);
    let open = || -> Result<Store> {
        use_proj_database(&cli.store.data_dir)?;
        crate::store::features::keep_indices_in(&cli.store.data_dir);
        Store::open(&cli.store)
    };
    match cli.command {
        Command::Demo(args) => demo::run(args, open()?, &cli.store),
        Command::Import(args) => import::run(&args, &open()?),
        Command::Serve(args) => serve::run(args, open()?, &cli.store, |_| {}),
        Command::Lookup(args) => {
            use_proj_database(&cli.store.data_dir)?;
            lookup::run(&args, language(), || {
                crate::store::features::keep_indices_in(&cli.store.data_dir);
                let store = Store::open(&cli.store)?;
                let mut conn = store.conn()?;
                let atlas = crate::store::features::load_atlas(&mut conn)?;
                let roster = crate::store::world::load_roster(&mut conn)?;
                Ok((Arc::new(atlas), Arc::new(roster)))
            })
        }
        Command::People(PeopleCommand::Import(args)) => people::run(&args, &open()?),
        Command::Duties(DutiesCommand::Import(args)) => duties::run(&args, &open()?),
        Command::Cases(command) => cases::run(command, &open()?),
        Command::Suspects(command) => suspects::run(command, &open()?),
        Command::Account(command) => accounts::run(command, &open()?),
        Command::Report(command) => report::run(command, &open()?, language()),
        Command::Check(args) => check::run(&args, &open()?, &Blobs::open(&cli.store)?),
        Command::Backup(args) => backup::backup(&args, &open()?, &Blobs::open(&cli.store)?),
        Command::Restore(args) => backup::restore(&args, &open()?, &Blobs::open(&cli.store)?),
        Command::Openapi => {
            let document = crate::web::openapi();
            let text = document.to_pretty_json().map_err(crate::error::Fault::internal)?;
            println!("{text}");
            Ok(())
        }
    }
}

/// The language of the terminal: English where the locale says so, else Chinese.
fn language() -> Language {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    match locale {
        Some(locale) if locale.starts_with("en") => Language::English,
        _ => Language::Chinese,
    }
}

/// Logs go to stderr; `RUST_LOG` sets how much.
fn logging() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,xuncha=info,tracing_actix_web=off"));
    // Fails when a test has set one already.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

static PROJ_DATABASE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/proj.db"));

/// Puts the PROJ database that this binary carries where PROJ can open it.
pub fn use_proj_database(data_dir: &Path) -> Result<()> {
    use crate::error::Fault;
    use sha2::{Digest, Sha256};
    let name = hex::encode(&Sha256::digest(PROJ_DATABASE)[..8]);
    let folder = data_dir.join("proj").join(name);
    let path = folder.join("proj.db");
    let cannot = |error: std::io::Error| {
        Fault::invalid(
            format!("无法写入数据目录 {}：{error}", data_dir.display()),
            format!("Cannot write to the data folder {}: {error}", data_dir.display()),
        )
    };
    let whole = path.metadata().is_ok_and(|m| m.len() == PROJ_DATABASE.len() as u64);
    if !whole {
        std::fs::create_dir_all(&folder).map_err(cannot)?;
        let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(cannot)?;
        std::io::Write::write_all(&mut file, PROJ_DATABASE).map_err(cannot)?;
        file.persist(&path).map_err(|error| cannot(error.error))?;
    }
    crs::set_proj_data_dir(&folder.canonicalize().map_err(cannot)?);
    Ok(())
}
