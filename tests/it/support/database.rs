//! A database for each test, copied from a template in the one private cluster of this run.

use super::folder;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use xuncha::config::StoreConfig;
use xuncha::store::Store;
use xuncha::store::cluster::{Cluster, DATABASE};

/// The cluster of this run. It throws away durability: what tests durability has its own.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::join(&folder::fresh()).expect("a private cluster");
        let mut conn = connect(&cluster, "postgres");
        for setting in ["fsync = off", "synchronous_commit = off", "full_page_writes = off"] {
            conn.batch_execute(&format!("ALTER SYSTEM SET {setting}")).expect("ALTER SYSTEM");
        }
        conn.batch_execute("SELECT pg_reload_conf()").expect("reload");
        // The migrated, empty database is the first template.
        drop(open(&cluster, DATABASE));
        cluster
    })
}

fn connect(cluster: &Cluster, database: &str) -> PgConnection {
    PgConnection::establish(&cluster.connection_string(database)).expect("a connection")
}

fn open(cluster: &Cluster, database: &str) -> Store {
    Store::open(&config(cluster, database)).expect("the store opens")
}

fn config(cluster: &Cluster, database: &str) -> StoreConfig {
    let database_url = Some(cluster.connection_string(database));
    StoreConfig { data_dir: folder::fresh(), database_url, ..StoreConfig::default() }
}

/// A database that goes with the test.
pub struct TestDatabase {
    pub store: Store,
    /// For starting the program on it: `--database-url`, `--data-dir`.
    pub config: StoreConfig,
    name: String,
}

impl TestDatabase {
    /// How to reach it, for libpq.
    pub fn url(&self) -> &str {
        self.store.owner_url()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return; // kept as a template
        }
        let mut conn = connect(cluster(), "postgres");
        // Not an assertion: a panic while another one unwinds would abort the whole run.
        let _ = conn.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// A fresh database with the schema and nothing else.
pub fn empty() -> TestDatabase {
    copy_of(DATABASE)
}

/// A fresh copy of what `fill` puts into an empty database. It runs once for each name, however
/// many tests ask.
pub fn filled(name: &'static str, fill: fn(&TestDatabase)) -> TestDatabase {
    static TEMPLATES: OnceLock<Mutex<HashMap<&str, String>>> = OnceLock::new();
    // Held while filling, so that others wait for the template. A filling that panics poisons it
    // and fails them too, which is right: they could not run either.
    let mut templates =
        TEMPLATES.get_or_init(Mutex::default).lock().expect("an earlier filling has failed");
    let template = templates.entry(name).or_insert_with(|| {
        let mut database = empty();
        fill(&database);
        // Kept for the whole run: only its connections go.
        let template = std::mem::take(&mut database.name);
        drop(database);
        template
    });
    copy_of(template)
}

/// An empty database without even the schema: its connection string.
pub fn bare() -> String {
    let name = next_name();
    connect(cluster(), "postgres")
        .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))
        .expect("CREATE DATABASE");
    cluster().connection_string(&name)
}

fn next_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn copy_of(template: &str) -> TestDatabase {
    let cluster = cluster();
    let name = next_name();
    connect(cluster, "postgres")
        .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
        .expect("CREATE DATABASE");
    let config = config(cluster, &name);
    TestDatabase { store: Store::open(&config).expect("the store opens"), config, name }
}
