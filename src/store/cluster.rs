//! The private PostgreSQL cluster of a data folder.
//!
//! Several xuncha processes share it. Each holds a shared lock on `cluster.users` for as long as
//! it lives; the one that can make it exclusive on leaving is the last and stops the server. A
//! process killed by `kill -9` stops nothing: the server runs on and the next process joins it.
//! Starting and stopping is serialised by an exclusive lock on `cluster.lock`. A supervisor thread
//! in every process restarts a server that died; whoever takes the lock first does it.

mod os;
mod process;
mod settings;

use crate::error::Result;
use diesel::{Connection, PgConnection, RunQueryDsl};
use os::{OsUser, cluster_fault};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The database of the product inside its private cluster.
pub const DATABASE: &str = "xuncha";
/// Recovery after a crash can take minutes on a slow disk; beyond this something is wrong.
const START_LIMIT: Duration = Duration::from_secs(600);
/// How often the supervisor looks at the server.
const SUPERVISION: Duration = Duration::from_millis(200);
/// `sun_path` holds 108 bytes with its final zero; the socket file adds `/.s.PGSQL.5432`.
const LONGEST_RUN_FOLDER: usize = 107 - "/.s.PGSQL.5432".len();

/// Where one cluster lies and who runs it.
#[derive(Debug, Clone)]
struct Site {
    /// PostgreSQL's own data folder, canonical.
    data: PathBuf,
    /// The folder of the Unix socket.
    run: PathBuf,
    lock: PathBuf,
    user: Option<OsUser>,
}

/// Membership in a private cluster; leaving it may stop the server.
#[derive(Debug)]
pub struct Cluster {
    site: Site,
    users: File,
    supervisor: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Cluster {
    /// Makes the cluster where there is none, starts it where it is down, and joins it.
    pub fn join(data_dir: &Path) -> Result<Self> {
        fs::create_dir_all(data_dir).map_err(|e| io_fault(data_dir, e))?;
        let data_dir = data_dir.canonicalize().map_err(|e| io_fault(data_dir, e))?;
        let lock = data_dir.join("cluster.lock");
        let _starting = exclusive(&lock)?;
        let users_path = data_dir.join("cluster.users");
        let users = open_lock(&users_path)?;
        users.lock_shared().map_err(|e| io_fault(&users_path, e))?;

        let site = locate(&data_dir, lock)?;
        site.initialise()?;
        site.start()?;
        site.make_database()?;
        let supervisor = Some(supervise(site.clone())?);
        Ok(Self { site, users, supervisor })
    }

    /// How to connect to a database of the cluster, for libpq, as the owner of everything.
    pub fn connection_string(&self, database: &str) -> String {
        self.site.connection_string(database)
    }

    /// The process id of the server, when it is alive.
    pub fn server_pid(&self) -> Option<i32> {
        process::postmaster(&self.site.data)
    }

    /// A program of the server's version, run as the server's user.
    pub fn program(&self, name: &str) -> Result<Command> {
        Ok(os::command(&self.site.programs()?.join(name), self.site.user))
    }

    /// Leaves the cluster; the last one stops the server.
    fn leave(&mut self) -> Result<()> {
        if let Some((stop, thread)) = self.supervisor.take() {
            drop(stop);
            let _ = thread.join();
        }
        let _stopping = exclusive(&self.site.lock)?;
        // Fails when others share the cluster, and then gives our own share up: both is right.
        if self.users.try_lock().is_err() || process::postmaster(&self.site.data).is_none() {
            return Ok(());
        }
        let programs = self.site.programs()?;
        os::run(
            os::command(&programs.join("pg_ctl"), self.site.user)
                .args(["stop", "--mode=fast", "--wait", "--timeout=120", "--silent", "-D"])
                .arg(&self.site.data),
        )?;
        if !self.site.data.parent().is_some_and(|home| self.site.run.starts_with(home)) {
            let _ = fs::remove_dir(&self.site.run);
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(fault) = self.leave() {
            tracing::warn!("leaving the private cluster: {fault}");
        }
    }
}

impl Site {
    fn connection_string(&self, database: &str) -> String {
        let host = self.run.to_string_lossy().replace('\\', "\\\\").replace('\'', "\\'");
        format!("host='{host}' port=5432 user=postgres dbname={database} connect_timeout=10")
    }

    fn programs(&self) -> Result<PathBuf> {
        let version = fs::read_to_string(self.data.join("PG_VERSION")).ok();
        os::find_programs(version.as_deref().map(str::trim))
    }

    /// Runs `initdb` beside the final place and moves the result there whole, so that a process
    /// killed midway leaves no half cluster.
    fn initialise(&self) -> Result<()> {
        if self.data.join("PG_VERSION").is_file() {
            return Ok(());
        }
        let fresh = self.data.with_extension("new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(|e| io_fault(&fresh, e))?;
        }
        let programs = os::find_programs(None)?;
        tracing::info!(folder = %self.data.display(), "making the private database cluster");
        os::run(
            os::command(&programs.join("initdb"), self.user)
                .args(["--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"])
                .args(["--auth-local=trust", "--auth-host=reject", "-D"])
                .arg(&fresh),
        )?;
        fs::rename(&fresh, &self.data).map_err(|e| io_fault(&self.data, e))
    }

    /// Returns when the server answers, starting it where it is down. To be called under the lock.
    fn start(&self) -> Result<()> {
        let give_up = Instant::now() + START_LIMIT;
        let mut told = Instant::now();
        let mut launched = None;
        loop {
            // Not ours: somebody else's start, recovery or shutdown may still be under way.
            if launched.is_none() && process::postmaster(&self.data).is_none() {
                launched = Some(self.launch()?);
            }
            let refusal = match PgConnection::establish(&self.connection_string("postgres")) {
                Ok(_) => return Ok(()),
                Err(e) => e.to_string(),
            };
            if refusal.contains("too many clients")
                || refusal.contains("remaining connection slots")
            {
                return Ok(());
            }
            if launched.is_some_and(|pid| !process::is_live(pid)) {
                return Err(cluster_fault(self.last_words()));
            }
            if Instant::now() > give_up {
                return Err(cluster_fault(refusal));
            }
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                tracing::info!("waiting for the private database cluster: {refusal}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn log(&self) -> PathBuf {
        self.data.join("start.log")
    }

    /// Starts the server in the background, out of reach of our terminal's Ctrl-C, and returns its
    /// process id. `pg_ctl start` would do, were it not for paths that its shell misreads.
    fn launch(&self) -> Result<i32> {
        use std::os::unix::process::CommandExt;
        process::clear_leftovers(&self.data, &self.run, self.user);
        os::make_private_folder(&self.run, self.user)?;
        let conf = self.data.join("postgresql.conf");
        fs::write(&conf, settings::postgresql_conf(&self.run)).map_err(|e| io_fault(&conf, e))?;
        // The shell leaves the server to init, which reaps it: we may not live to do so.
        let output = os::run(
            os::command(Path::new("/bin/sh"), self.user)
                .args(["-c", r#""$@" </dev/null >"$0" 2>&1 & echo $!"#])
                .arg(self.log())
                .arg(self.programs()?.join("postgres"))
                .arg("-D")
                .arg(&self.data)
                .process_group(0),
        )?;
        let pid = String::from_utf8_lossy(&output.stdout);
        pid.trim().parse().map_err(|_| cluster_fault(format!("no process id: {pid:?}")))
    }

    /// The end of what a server that did not start has said.
    fn last_words(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(6)..].join("; ")
    }

    fn make_database(&self) -> Result<()> {
        #[derive(diesel::QueryableByName)]
        struct Found {
            #[diesel(sql_type = diesel::sql_types::Bool)]
            found: bool,
        }
        let failed = |e: diesel::result::Error| cluster_fault(e.to_string());
        let mut conn = PgConnection::establish(&self.connection_string("postgres"))
            .map_err(|e| cluster_fault(e.to_string()))?;
        let exists: Found = diesel::sql_query(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS found",
        )
        .bind::<diesel::sql_types::Text, _>(DATABASE)
        .get_result(&mut conn)
        .map_err(failed)?;
        if !exists.found {
            diesel::sql_query(format!("CREATE DATABASE {DATABASE}"))
                .execute(&mut conn)
                .map_err(failed)?;
        }
        Ok(())
    }
}

/// A program of the newest PostgreSQL installed, for a server that is not ours.
pub fn installed_program(name: &str) -> Result<Command> {
    Ok(Command::new(os::find_programs(None)?.join(name)))
}

/// Where the cluster of a data folder is, or shall be: in the data folder where PostgreSQL's user
/// can go there, else under `/var/lib/xuncha`, with a pointer in the data folder.
fn locate(data_dir: &Path, lock: PathBuf) -> Result<Site> {
    let user = os::cluster_user()?;
    let inside = data_dir.join("pg");
    let pointer = data_dir.join("cluster.location");
    let home = match fs::read_to_string(&pointer) {
        Ok(text) => PathBuf::from(text.trim_end_matches('\n')),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_fault(&pointer, e)),
        Err(_) => match user {
            Some(user) if !inside.exists() && !os::can_enter(data_dir, user) => {
                let home = outside_home(data_dir)?;
                fs::write(&pointer, format!("{}\n", home.display()))
                    .map_err(|e| io_fault(&pointer, e))?;
                home
            }
            _ => inside,
        },
    };
    os::make_private_folder(&home, user)?;
    let mut run = home.join("run");
    if run.as_os_str().len() > LONGEST_RUN_FOLDER {
        run = PathBuf::from(format!("/tmp/xuncha-{}", short_hash(&home)));
        private_to_us(&run, user)?;
    }
    Ok(Site { data: home.join("data"), run, lock, user })
}

/// A fresh folder under `/var/lib/xuncha` for the cluster of a data folder. One that an earlier,
/// since deleted data folder of the same path left there is not taken up.
fn outside_home(data_dir: &Path) -> Result<PathBuf> {
    let base = Path::new("/var/lib/xuncha");
    fs::create_dir_all(base).map_err(|e| io_fault(base, e))?;
    let hash = short_hash(data_dir);
    let mut home = base.join(&hash);
    let mut turn = 1;
    while home.exists() {
        tracing::warn!(folder = %home.display(), "left by an earlier data folder; remove it when it is not needed");
        turn += 1;
        home = base.join(format!("{hash}-{turn}"));
    }
    Ok(home)
}

fn short_hash(path: &Path) -> String {
    hex::encode(&Sha256::digest(path.as_os_str().as_encoded_bytes())[..6])
}

/// `/tmp` is open to all: a folder of that name must be ours, or another user would be listening.
fn private_to_us(folder: &Path, user: Option<OsUser>) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    os::make_private_folder(folder, None)?;
    let meta = fs::symlink_metadata(folder).map_err(|e| io_fault(folder, e))?;
    let ours = nix::unistd::geteuid().as_raw();
    let expected = meta.uid() == ours || user.is_some_and(|user| meta.uid() == user.uid);
    if !meta.is_dir() || !expected || meta.mode() & 0o077 != 0 {
        return Err(cluster_fault(format!("{} belongs to somebody else", folder.display())));
    }
    os::make_private_folder(folder, user)
}

/// Watches the server and restarts it when it dies, until the sender is dropped.
fn supervise(site: Site) -> Result<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = channel::<()>();
    let watch = move || {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(SUPERVISION) {
            if process::postmaster(&site.data).is_some() {
                continue;
            }
            tracing::warn!("the private database cluster is down; restarting it");
            let restarted = exclusive(&site.lock).and_then(|_lock| site.start());
            if let Err(fault) = restarted {
                tracing::error!("{fault}");
                if stopped.recv_timeout(Duration::from_secs(1)) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name("cluster-supervisor".into())
        .spawn(watch)
        .map_err(|e| cluster_fault(e.to_string()))?;
    Ok((stop, thread))
}

fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| io_fault(path, e))
}

fn exclusive(path: &Path) -> Result<File> {
    let file = open_lock(path)?;
    file.lock().map_err(|e| io_fault(path, e))?;
    Ok(file)
}

fn io_fault(path: &Path, error: io::Error) -> crate::error::Fault {
    cluster_fault(format!("{}: {error}", path.display()))
}
