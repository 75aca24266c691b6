//! The toy city in a private cluster of its own that keeps its promises about durability, and the
//! program serving it: for tests that kill.

use crate::support::caller::Caller;
use crate::support::folder;
use crate::support::service::{PROGRAM, Service};
use crate::toy_city;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{PgConnection, sql_query};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xuncha::atlas::feature::{Feature, layers};
use xuncha::config::StoreConfig;
use xuncha::store::Store;

/// Roles that the tests need; the first answers for everything.
const PEOPLE: &str = "name,phone,role,area_code,department\n\
    一,10005940001,city_leader,350300,\n二,10005940002,dispatcher,350300,\n三,10005940003,planner,350300,\n";

pub struct ToyService {
    pub service: Service,
    pub dispatcher: Caller,
    pub planner: Caller,
    url: String,
    /// PostgreSQL's own folder.
    cluster: PathBuf,
}

/// Runs the program on a data folder; gives what it prints.
fn run(data_dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(PROGRAM);
    command.arg("--data-dir").arg(data_dir).args(arguments).env_remove("DATABASE_URL");
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_string()
}

/// Features as a GeoJSON file would have them, with the columns of a layer.
pub fn geojson(features: &[Feature], code: &str, name: &str) -> String {
    let features: Vec<Value> = features
        .iter()
        .map(|f| {
            let geometry = geojson::Geometry::from(&f.geometry);
            json!({"type": "Feature", "geometry": geometry,
                "properties": {code: f.code, name: f.name, "DLBM": f.class_code}})
        })
        .collect();
    json!({"type": "FeatureCollection", "features": features}).to_string()
}

impl ToyService {
    pub fn start() -> Self {
        let data_dir = folder::fresh();
        let config = StoreConfig { data_dir: data_dir.clone(), ..StoreConfig::default() };
        // Open while the city is loaded, so that the server starts once for all commands. Closed
        // after: from then on the service alone looks after its server.
        let store = Store::open(&config).expect("the store opens");
        let files = folder::fresh();
        let atlas = toy_city::atlas();
        for (layer, code, name) in [
            (layers::CITY, "XZQDM", "XZQMC"),
            (layers::DISTRICT, "XZQDM", "XZQMC"),
            (layers::TOWN, "XZQDM", "XZQMC"),
            (layers::VILLAGE, "ZLDWDM", "ZLDWMC"),
            (layers::CELL, "WGBM", "WGMC"),
        ] {
            let features = atlas.layer(layer).expect("a layer").features();
            let file = files.join(format!("{layer}.geojson"));
            std::fs::write(&file, geojson(features, code, name)).expect("a file");
            let file = file.to_str().expect("a path");
            run(&data_dir, &["import", file, "--layer", layer, "--crs", "cgcs2000", "--publish"]);
        }
        let people = files.join("people.csv");
        std::fs::write(&people, PEOPLE).expect("a file");
        run(&data_dir, &["people", "import", people.to_str().expect("a path")]);
        let mut conn = store.owner_conn().expect("a connection");
        sql_query("UPDATE people SET must_change_password = false")
            .execute(&mut conn)
            .expect("set");
        let token = |phone| run(&data_dir, &["account", "token", phone]);
        let tokens = [token("10005940002"), token("10005940003")];
        let url = store.owner_url().to_string();
        let cluster = text(&mut conn, "SELECT current_setting('data_directory') AS value").into();
        drop(conn);
        store.close();

        let service = Service::start(&config);
        let [dispatcher, planner] = tokens.map(|token| Caller::with_token(service.url(""), token));
        Self { service, dispatcher, planner, url, cluster }
    }

    /// A connection past the service; none while the server is down.
    pub fn try_conn(&self) -> Option<PgConnection> {
        PgConnection::establish(&self.url).ok()
    }

    /// A connection past the service, to a server that is up or coming up.
    pub fn conn(&self) -> PgConnection {
        let start = Instant::now();
        loop {
            if let Some(conn) = self.try_conn() {
                return conn;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "the server does not come back");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9` of PostgreSQL's first process; the others find out by themselves.
    pub fn kill_server(&self) {
        let file = std::fs::read_to_string(self.cluster.join("postmaster.pid"));
        let pid = file.ok().and_then(|text| text.lines().next()?.trim().parse().ok());
        kill(Pid::from_raw(pid.expect("a server")), Signal::SIGKILL).expect("kill -9");
    }
}

fn text(conn: &mut PgConnection, query: &str) -> String {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        value: String,
    }
    sql_query(query).get_result::<Row>(conn).expect("an answer").value
}
