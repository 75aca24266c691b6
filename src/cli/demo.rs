//! `xuncha demo`: the demo city, from nothing to served.

use super::serve::{self, ServeArgs};
use crate::boundaries::ReadOptions;
use crate::boundaries::demo::DEMO_IMPORTS;
use crate::boundaries::import_file;
use crate::boundaries::publish::PublishOptions;
use crate::config::StoreConfig;
use crate::error::{Fault, Result};
use crate::store::accounts::random_password;
use crate::store::{Store, accounts, duties, past_cases, people, sheet::Sheet};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What to serve, and how.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Folder of the demo data
    #[arg(long, value_name = "DIR", default_value = "boundaries")]
    boundaries: PathBuf,
    /// Load only, do not serve
    #[arg(long)]
    load_only: bool,
    #[command(flatten)]
    serve: ServeArgs,
}

/// A log-in that the demo prints.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DemoLogin {
    pub role: String,
    pub name: String,
    pub phone: String,
    pub password: String,
    pub area_code: String,
}

/// File in the data folder that remembers the demo's passwords; they are random for every folder.
pub const LOGINS_FILE: &str = "demo-logins.json";

/// People for the roles that the roster lacks.
const FURTHER_PEOPLE: &str = "name,phone,role,area_code,department\n\
    陈村长,10005900001,village_leader,350302001001,龙桥街道太平社区居委会\n\
    林调度,10005900002,dispatcher,350300,莆田市自然资源局指挥中心\n\
    郑规划,10005900003,planner,350300,莆田市自然资源局信息中心\n";

/// Loads what is missing, prints the log-ins, serves.
pub fn run(args: DemoArgs, store: Store, config: &StoreConfig) -> Result<()> {
    let started = Instant::now();
    load(&store, &args.boundaries)?;
    let logins = logins(&store, &config.data_dir)?;
    tracing::info!("demo data in place after {:.1} s", started.elapsed().as_secs_f64());
    if args.load_only {
        store.close();
        return Ok(());
    }
    let scheme = if args.serve.tls_cert.is_some() { "https" } else { "http" };
    serve::run(args.serve, store, config, |address| {
        println!("xuncha 巡查 — {scheme}://{address}/");
        println!("API {scheme}://{address}/api/openapi.json");
        println!();
        println!("{:<16} {:<12} {:<14} {:<13} name", "role", "phone", "password", "area");
        for login in &logins {
            let DemoLogin { role, name, phone, password, area_code } = login;
            println!("{role:<16} {phone:<12} {password:<14} {area_code:<13} {name}");
        }
        println!();
        println!("ready after {:.1} s", started.elapsed().as_secs_f64());
    })
}

/// Loads boundaries, people, duties and past cases where they are missing: a first start that was
/// interrupted goes on where it stopped.
fn load(store: &Store, folder: &Path) -> Result<()> {
    use crate::store::schema::{cases as case_table, duties as duty_table, people as people_table};
    let published = published_layers(store)?;
    for import in DEMO_IMPORTS {
        if !published.iter().any(|layer| layer == import.layer) {
            let options = ReadOptions {
                source_layer: Some(import.source_layer.into()),
                ..ReadOptions::default()
            };
            publish_file(store, &folder.join(import.file), import.layer, options)?;
        }
    }
    let mut conn = store.conn()?;
    if people_table::table.count().get_result::<i64>(&mut conn)? == 0 {
        people::import(store, &Sheet::parse(FURTHER_PEOPLE.as_bytes())?, false)?;
        people::import(store, &Sheet::read(&folder.join("roster.csv"))?, false)?;
    }
    if duty_table::table.count().get_result::<i64>(&mut conn)? == 0 {
        duties::import(store, &Sheet::read(&folder.join("duties.csv"))?, false)?;
    }
    let imported = case_table::table.filter(case_table::imported).count();
    if imported.get_result::<i64>(&mut conn)? == 0 {
        past_cases::import(store, &folder.join("history.csv"), false)?;
    }
    Ok(())
}

/// The ordinary importer, from file to force.
fn publish_file(store: &Store, path: &Path, layer: &str, options: ReadOptions) -> Result<()> {
    let started = Instant::now();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let job = import_file::begin(store, layer, &name, options, None)?;
    let id = job.id();
    let report = job.run(path, &|_| ())?;
    import_file::publish(store, id, PublishOptions::default())?;
    tracing::info!(
        layer,
        polygons = report.accepted,
        "published in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn published_layers(store: &Store) -> Result<Vec<String>> {
    use crate::store::schema::generations;
    Ok(generations::table.select(generations::layer).distinct().load(&mut *store.conn()?)?)
}

/// One log-in per role, activated once; the file in the data folder remembers them.
fn logins(store: &Store, data_dir: &Path) -> Result<Vec<DemoLogin>> {
    use crate::store::schema::people as table;
    use std::os::unix::fs::OpenOptionsExt;
    let path = data_dir.join(LOGINS_FILE);
    if let Ok(text) = std::fs::read_to_string(&path)
        && let Ok(logins) = serde_json::from_str::<Vec<DemoLogin>>(&text)
    {
        return Ok(logins);
    }
    let mut conn = store.conn()?;
    let mut logins = Vec::new();
    for role in crate::enforcement::people::Role::ALL {
        let found: Option<(String, String, String)> = table::table
            .filter(table::role.eq(role.as_str()))
            .order((table::area_code, table::phone))
            .select((table::name, table::phone, table::area_code))
            .first(&mut conn)
            .optional()?;
        let Some((name, phone, area_code)) = found else { continue };
        let password = random_password();
        accounts::activate(&mut conn, &phone, &password, false)?;
        logins.push(DemoLogin { role: role.as_str().into(), name, phone, password, area_code });
    }
    let text = serde_json::to_string_pretty(&logins).map_err(Fault::internal)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(Fault::internal)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(Fault::internal)?;
    Ok(logins)
}
