//! The private cluster: shared, recovered, reachable as any user; and what the service may do in it.

use crate::support::{database, folder};
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use xuncha::config::StoreConfig;
use xuncha::error::FaultKind;
use xuncha::store::Store;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn count(conn: &mut PgConnection, query: &str) -> i64 {
    sql_query(query).get_result::<Count>(conn).expect(query).n
}

fn open(data_dir: &Path) -> Store {
    Store::open(&StoreConfig { data_dir: data_dir.into(), ..StoreConfig::default() })
        .expect("the store opens")
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn wait_until(what: &str, limit: Duration, mut reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Another process with the store open: this very test program, running [`helper`] only.
struct Helper {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Kept open: the test harness of the other process writes its result there.
    _stdout: BufReader<ChildStdout>,
    server: i32,
}

const HELPER: &str = "XUNCHA_TEST_CLUSTER_HELPER";

fn spawn(data_dir: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "cluster::helper", "--nocapture"])
        .env(HELPER, data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a helper")
}

impl Helper {
    fn ready(mut child: Child) -> Self {
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("its output"));
        let server = (&mut stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("READY ").and_then(|(_, pid)| pid.parse().ok()))
            .expect("the helper opens the store");
        Self { child, stdin, _stdout: stdout, server }
    }

    fn finish(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().expect("the helper ends").success());
    }
}

/// Not a test by itself: what the other process does.
#[test]
fn helper() {
    let Some(data_dir) = std::env::var_os(HELPER) else { return };
    let store = open(Path::new(&data_dir));
    let mut conn = store.conn().expect("a connection");
    sql_query("SELECT 1").execute(&mut conn).expect("an answer");
    let mut out = std::io::stdout();
    writeln!(out, "\nREADY {}", store.server_pid().expect("a server")).expect("told");
    out.flush().expect("told");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("told to end");
}

#[test]
fn two_commands_at_once_make_and_share_one_cluster_and_the_last_stops_it() {
    let folder = folder::fresh();
    let (a, b) = (spawn(&folder), spawn(&folder));
    let (a, b) = (Helper::ready(a), Helper::ready(b));
    assert_eq!(a.server, b.server);
    let server = a.server;
    a.finish();
    assert!(is_alive(server), "the first one leaving stopped the server of the second");
    b.finish();
    assert!(!is_alive(server), "the last one left the server running");
}

#[test]
fn a_killed_process_leaves_the_server_to_the_next_one() {
    let folder = folder::fresh();
    let mut killed = Helper::ready(spawn(&folder));
    killed.child.kill().expect("kill -9");
    killed.child.wait().expect("dead");
    assert!(is_alive(killed.server));
    let next = Helper::ready(spawn(&folder));
    assert_eq!(next.server, killed.server);
    next.finish();
    assert!(!is_alive(killed.server));
}

#[test]
fn a_killed_server_comes_back_with_everything_acknowledged() {
    let folder = folder::fresh();
    let store = open(&folder);
    let first = store.server_pid().expect("a server");
    // As a client does: the same write again until it is acknowledged. A commit during which the
    // connection broke is never repeated by the store itself.
    let insert = |key: usize| {
        let once = || {
            store.transaction(|conn| {
                sql_query(
                    "INSERT INTO settings (key, value) VALUES ($1, '1') ON CONFLICT DO NOTHING",
                )
                .bind::<Text, _>(key.to_string())
                .execute(conn)
                .map_err(Into::into)
            })
        };
        let start = Instant::now();
        while let Err(fault) = once() {
            assert_eq!(fault.kind, FaultKind::Unavailable, "{fault}");
            assert!(start.elapsed() < Duration::from_secs(60), "{fault}");
        }
    };
    (0..20).for_each(insert);

    // A back end that is busy does not notice that its postmaster is gone, and blocks the restart.
    let mut busy = store.owner_conn().expect("a connection");
    let orphan = count(&mut busy, "SELECT pg_backend_pid()::bigint AS n") as i32;
    let work = std::thread::spawn(move || {
        sql_query("SELECT count(*) FROM generate_series(1, 1000000000000)")
            .execute(&mut busy)
            .is_err()
    });
    let mut watch = store.owner_conn().expect("a connection");
    wait_until("the orphan is busy", Duration::from_secs(10), || {
        let query = "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series(1, 1000%' AND pid <> pg_backend_pid()";
        count(&mut watch, query) == 1
    });

    kill(Pid::from_raw(first), Signal::SIGKILL).expect("kill -9");
    let start = Instant::now();
    (20..40).for_each(insert);
    println!("first answer and 20 inserts {:?} after the kill", start.elapsed());

    assert!(work.join().expect("the busy thread"), "the busy query was cut off");
    assert!(!is_alive(orphan));
    assert_ne!(store.server_pid().expect("a server"), first);
    let mut conn = store.conn().expect("a connection");
    assert_eq!(count(&mut conn, "SELECT count(*) AS n FROM settings"), 40);
}

#[test]
fn a_stale_lock_file_that_names_a_living_stranger_does_not_block_the_start() {
    let folder = folder::fresh();
    open(&folder).close();
    let stranger = std::process::id();
    let lock = folder.join("pg/data/postmaster.pid");
    fs::write(&lock, format!("{stranger}\n/nowhere\n0\n5432\n/nowhere\n\n"))
        .expect("a stale lock file");
    let store = open(&folder);
    assert!(is_alive(stranger as i32));
    store.conn().expect("a connection");
}

#[test]
fn a_data_folder_with_a_long_or_odd_path_works() {
    let folder = folder::fresh().join("数据 it's \\ \"here\"").join("x".repeat(120));
    let store = open(&folder);
    store.conn().expect("a connection");
}

#[test]
fn a_folder_closed_to_the_server_gets_its_cluster_elsewhere_and_finds_it_again() {
    let closed = folder::fresh();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("chmod");
    let folder = closed.join("data");
    let put = |key: &str| {
        let store = open(&folder);
        let mut conn = store.conn().expect("a connection");
        let rows = sql_query("INSERT INTO settings (key, value) VALUES ($1, '1')")
            .bind::<Text, _>(key)
            .execute(&mut conn);
        assert_eq!(rows.expect("inserted"), 1);
        count(&mut conn, "SELECT count(*) AS n FROM settings")
    };
    assert_eq!((put("a"), put("b")), (1, 2));
    let pointer = folder.join("cluster.location");
    if nix::unistd::geteuid().is_root() {
        let home = fs::read_to_string(&pointer).expect("a pointer");
        let home = Path::new(home.trim());
        assert!(home.starts_with("/var/lib/xuncha"), "{}", home.display());
        assert_eq!(fs::metadata(home).expect("the cluster").permissions().mode() & 0o777, 0o700);
    } else {
        assert!(folder.join("pg/data/PG_VERSION").is_file() && !pointer.exists());
    }
}

#[test]
fn several_processes_may_migrate_one_database_at_once() {
    let url = database::bare();
    let open = || {
        let config = StoreConfig {
            data_dir: folder::fresh(),
            database_url: Some(url.clone()),
            ..StoreConfig::default()
        };
        Store::open(&config).map(|store| {
            count(&mut store.conn().expect("a connection"), "SELECT count(*) AS n FROM layers")
        })
    };
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("no panic").expect("migrated"))
            .collect::<Vec<_>>()
    });
    assert_eq!(counts, [8, 8, 8, 8]);
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let database = database::empty();
    let mut owner = database.store.owner_conn().expect("a connection");
    owner
        .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')")
        .expect("a newer migration");
    let fault = Store::open(&database.config).err().expect("refused");
    assert_eq!((fault.kind, fault.code), (FaultKind::Conflict, "store_newer"));
}

#[test]
fn an_unreachable_server_is_unavailable() {
    let config = StoreConfig {
        data_dir: folder::fresh(),
        database_url: Some("host=/nonexistent dbname=xuncha".into()),
        ..StoreConfig::default()
    };
    let fault = Store::open(&config).err().expect("refused");
    assert_eq!((fault.kind, fault.code), (FaultKind::Unavailable, "store_unavailable"));
}

/// A case with one event, put there by the owner.
const ONE_CASE: &str = "
INSERT INTO cases (id, number, status, source, nature, input_x, input_y, input_crs, lon, lat,
                   observed_at, reported_at, placed, generation)
VALUES ('00000000-0000-0000-0000-000000000001', 'n', 'dispatched', 'patrol', 'both', 119, 25, 'wgs84', 119, 25,
        now(), now(), 'none', 0);
INSERT INTO case_events (case_id, seq, id, action, at)
VALUES ('00000000-0000-0000-0000-000000000001', 1, '00000000-0000-0000-0000-000000000002', 'report', now());";

#[test]
fn the_history_of_a_case_can_only_grow() {
    let database = database::empty();
    let mut service = database.store.conn().expect("a connection");
    let mut superuser = database.store.owner_conn().expect("a connection");
    service.batch_execute(ONE_CASE).expect("the service may append");

    let attempts = [
        "UPDATE case_events SET text = 'forged'",
        "UPDATE case_events SET text = 'forged' WHERE false",
        "DELETE FROM case_events",
        "TRUNCATE case_events",
        "TRUNCATE cases CASCADE",
        "DELETE FROM cases",
        "ALTER TABLE case_events DISABLE TRIGGER ALL",
        "DROP TABLE case_events",
    ];
    for attempt in attempts {
        let refused = service.batch_execute(attempt).expect_err(attempt).to_string();
        assert!(
            refused.contains("permission denied") || refused.contains("must be owner"),
            "{attempt}: {refused}"
        );
    }
    for attempt in &attempts[..5] {
        let refused = superuser.batch_execute(attempt).expect_err(attempt).to_string();
        assert!(refused.contains("case_events is append-only"), "{attempt}: {refused}");
    }
    assert_eq!(
        count(&mut superuser, "SELECT count(*) AS n FROM case_events WHERE text IS NULL"),
        1
    );
}

#[test]
fn every_pooled_connection_works_under_the_services_role() {
    #[derive(QueryableByName)]
    struct Role {
        #[diesel(sql_type = Text)]
        role: String,
    }
    let database = database::empty();
    let held: Vec<_> = (0..4)
        .map(|_| {
            let mut conn = database.store.conn().expect("a connection");
            let role: Role =
                sql_query("SELECT current_user::text AS role").get_result(&mut conn).expect("role");
            assert_eq!(role.role, "xuncha_app");
            conn
        })
        .collect();
    assert_eq!(held.len(), 4);
}

#[test]
fn a_transaction_that_lost_a_race_runs_again() {
    let database = database::empty();
    let store = &database.store;
    store
        .transaction(|conn| Ok(conn.batch_execute("INSERT INTO settings VALUES ('n', '0')")?))
        .expect("a counter");
    let add = || {
        store.transaction(|conn| {
            conn.batch_execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")?;
            let n = count(conn, "SELECT value::text::bigint AS n FROM settings WHERE key = 'n'");
            sql_query("UPDATE settings SET value = to_jsonb($1) WHERE key = 'n'")
                .bind::<BigInt, _>(n + 1)
                .execute(conn)?;
            Ok(())
        })
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..50).for_each(|_| while add().is_err() {}));
        }
    });
    let mut conn = store.conn().expect("a connection");
    assert_eq!(
        count(&mut conn, "SELECT value::text::bigint AS n FROM settings WHERE key = 'n'"),
        100
    );
}

#[test]
fn an_error_inside_a_transaction_leaves_nothing_behind() {
    let database = database::empty();
    let failed: xuncha::error::Result<()> = database.store.transaction(|conn| {
        conn.batch_execute("INSERT INTO settings VALUES ('half', '0')")?;
        Err(xuncha::error::Fault::invalid("不行", "no"))
    });
    assert_eq!(failed.expect_err("refused").kind, FaultKind::Invalid);
    let mut conn = PgConnection::establish(database.url()).expect("a connection");
    assert_eq!(count(&mut conn, "SELECT count(*) AS n FROM settings"), 0);
}
