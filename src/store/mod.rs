//! PostgreSQL/PostGIS through Diesel: private cluster, migrations, one file per aggregate, change feed.

pub mod absences;
pub mod accounts;
pub mod attachments;
pub mod audit;
pub mod backup;
pub mod blobs;
pub mod case_export;
pub mod case_feed;
pub mod case_query;
pub mod cases;
pub mod check;
pub mod cluster;
pub mod deliveries;
pub mod duties;
pub mod duty_list;
pub mod features;
pub mod filters;
pub mod frozen;
pub mod generations;
pub mod geometry;
pub mod inboxes;
pub mod layer_styles;
pub mod leave;
pub mod messages;
mod migrate;
pub mod notify;
pub mod occupation;
pub mod outbox;
pub mod past_cases;
pub mod patrol;
pub mod people;
pub mod persons;
pub mod previews;
pub mod public_reports;
pub mod push;
pub mod reassign;
pub mod redispatch;
pub mod report_facts;
pub mod reporting;
pub mod reports;
pub mod scheduler;
pub mod schema;
pub mod settings;
pub mod sheet;
pub mod suspects;
pub mod tasks;
pub mod tokens;
pub mod uploads;
pub mod workflow;
pub mod world;

use crate::config::StoreConfig;
use crate::error::{Fault, FaultKind, Result};
use cluster::Cluster;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{Error as PoolError, ManageConnection, Pool, PooledConnection, R2D2Connection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{Connection, PgConnection};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A connection of the pool, working under the role `xuncha_app`.
pub type PooledConn = PooledConnection<Gate>;

/// Connections of one process. The private cluster takes 100 in all.
const POOL_SIZE: u32 = 16;
/// How long a caller waits for a connection: longer than a killed server needs to come back.
const CONNECTION_WAIT: Duration = Duration::from_secs(15);
/// How often a transaction is tried that the server itself asked to try again.
const ATTEMPTS: u32 = 5;

/// The store: cheap to clone, all clones are one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    // Before the cluster: its connections close before the server stops.
    pool: Pool<Gate>,
    owner_url: String,
    cluster: Mutex<Option<Cluster>>,
}

impl Store {
    /// Starts or joins the private cluster, or connects to the server named; brings the schema up
    /// to date.
    pub fn open(config: &StoreConfig) -> Result<Self> {
        let (owner_url, cluster) = match &config.database_url {
            Some(url) => (url.clone(), None),
            None => {
                let cluster = Cluster::join(&config.data_dir)?;
                (cluster.connection_string(cluster::DATABASE), Some(cluster))
            }
        };
        migrate::migrate(&mut connect(&owner_url)?)?;
        let pool = Pool::builder()
            .max_size(POOL_SIZE)
            .min_idle(Some(1))
            .connection_timeout(CONNECTION_WAIT)
            .build(Gate { url: owner_url.clone() })
            .map_err(Fault::unavailable)?;
        Ok(Self { inner: Arc::new(Inner { pool, owner_url, cluster: Mutex::new(cluster) }) })
    }

    /// A connection of the pool. Waits for a server that is restarting.
    pub fn conn(&self) -> Result<PooledConn> {
        self.inner.pool.get().map_err(Fault::unavailable)
    }

    /// A connection of its own as the owner: for migrations, `VACUUM`, `ANALYZE` and tests. The
    /// service does not work under it.
    pub fn owner_conn(&self) -> Result<PgConnection> {
        connect(&self.inner.owner_url)
    }

    /// A connection of its own under the service's role, for what lasts (`LISTEN`).
    pub fn own_conn(&self) -> Result<PgConnection> {
        let mut conn = connect(&self.inner.owner_url)?;
        conn.batch_execute(STEP_DOWN)?;
        Ok(conn)
    }

    /// The connection string of the owner, for libpq programs (`pg_dump -d …`).
    pub fn owner_url(&self) -> &str {
        &self.inner.owner_url
    }

    /// Brings the schema up to date; [`Store::open`] has done so already.
    pub fn migrate(&self) -> Result<()> {
        migrate::migrate(&mut self.owner_conn()?)
    }

    /// A program of PostgreSQL's (`pg_dump` …) fit for the server we use: of the private cluster's
    /// version and user, else of the newest version installed.
    pub fn postgres_program(&self, name: &str) -> Result<std::process::Command> {
        match &*self.inner.cluster.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(cluster) => cluster.program(name),
            None => cluster::installed_program(name),
        }
    }

    /// How many connections the pool has open.
    pub fn pool_connections(&self) -> u32 {
        self.inner.pool.state().connections
    }

    /// Process id of the private cluster's server, when there is one and it is alive.
    pub fn server_pid(&self) -> Option<i32> {
        self.inner.cluster.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.server_pid()
    }

    /// Runs `work` in one transaction.
    ///
    /// It is run again when the server rolled it back for the sake of another one (serialization
    /// failure, deadlock) and when the connection broke before the commit was sent: in each case
    /// nothing was done. When the connection breaks during the commit itself, nobody knows whether
    /// it took place; that is answered as `store_unavailable` and never run again here, so writes
    /// that a client retries must carry an id of its own. `work` may therefore run several times
    /// and must have no effect outside the database.
    pub fn transaction<T>(
        &self,
        mut work: impl FnMut(&mut PgConnection) -> Result<T>,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            let mut conn = self.conn()?;
            let mut committing = false;
            let result = conn.transaction::<T, Fault, _>(|conn| {
                let value = work(conn)?;
                committing = true;
                Ok(value)
            });
            match result {
                Err(fault) if attempt < ATTEMPTS && may_run_again(&fault, committing) => {
                    tracing::debug!(attempt, "transaction runs again: {fault}");
                    drop(conn);
                    std::thread::sleep(Duration::from_millis(rand::random_range(
                        1..=10 << attempt,
                    )));
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Leaves the private cluster, stopping it when nobody else uses it. Happens on the drop of the
    /// last clone too; call it where other threads may still hold one. The store is of no use after.
    pub fn close(&self) {
        let cluster = self.inner.cluster.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(cluster);
    }
}

const CONFLICT: &str = "store_conflict";
const UNAVAILABLE: &str = "store_unavailable";

fn may_run_again(fault: &Fault, committing: bool) -> bool {
    // A serialization failure at commit is the server's word that it did not take place.
    fault.code == CONFLICT || (fault.code == UNAVAILABLE && !committing)
}

fn connect(url: &str) -> Result<PgConnection> {
    PgConnection::establish(url).map_err(Fault::unavailable)
}

/// What every connection of the service does first.
const STEP_DOWN: &str =
    "SET ROLE xuncha_app; SET timezone = 'UTC'; SET application_name = 'xuncha'";

/// Makes the connections of the pool. It waits out a restart of the server by itself: the pool's
/// own growing pauses would go on for seconds after the server is back.
#[derive(Debug)]
pub struct Gate {
    url: String,
}

impl ManageConnection for Gate {
    type Connection = PgConnection;
    type Error = PoolError;

    fn connect(&self) -> Result<PgConnection, PoolError> {
        let give_up = Instant::now() + CONNECTION_WAIT;
        loop {
            match PgConnection::establish(&self.url) {
                Ok(mut conn) => {
                    conn.batch_execute(STEP_DOWN).map_err(PoolError::QueryError)?;
                    return Ok(conn);
                }
                Err(e) if Instant::now() > give_up => return Err(PoolError::ConnectionError(e)),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn is_valid(&self, conn: &mut PgConnection) -> Result<(), PoolError> {
        conn.ping().map_err(PoolError::QueryError)
    }

    fn has_broken(&self, conn: &mut PgConnection) -> bool {
        std::thread::panicking() || conn.is_broken()
    }
}

impl From<DieselError> for Fault {
    /// A lost connection is `store_unavailable`, a lost race `store_conflict` (both 503: try
    /// again); anything else is our own failure, logged.
    fn from(error: DieselError) -> Self {
        use DatabaseErrorKind::{ClosedConnection, SerializationFailure, UnableToSendCommand};
        let text = error.to_string();
        match &error {
            DieselError::DatabaseError(ClosedConnection | UnableToSendCommand, _)
            | DieselError::BrokenTransactionManager => Self::unavailable(text),
            DieselError::DatabaseError(SerializationFailure, _) => conflict(text),
            DieselError::DatabaseError(DatabaseErrorKind::Unknown, info) => {
                let message = info.message();
                if message.contains("deadlock detected") {
                    conflict(text)
                } else if NUL_IN_TEXT.iter().any(|refused| message.contains(refused)) {
                    Self::invalid("文本含有非法字符", "A text holds a NUL character")
                } else if CONNECTION_LOST.iter().any(|lost| message.contains(lost)) {
                    Self::unavailable(text)
                } else {
                    Self::internal(text)
                }
            }
            // Neither the statement nor the rollback after it reached the server.
            DieselError::RollbackErrorOnCommit { rollback_error, .. } => match &**rollback_error {
                DieselError::DatabaseError(ClosedConnection | UnableToSendCommand, _) => {
                    Self::unavailable(text)
                }
                _ => Self::internal(text),
            },
            DieselError::NotFound => Self::not_found("没有找到", "Not found"),
            _ => Self::internal(text),
        }
    }
}

/// What the server says to text with a NUL, which Rust's strings may hold and its own may not.
const NUL_IN_TEXT: [&str; 2] =
    ["invalid byte sequence for encoding", "unsupported Unicode escape sequence"];

/// What libpq and the server say when a connection ends; Diesel does not tell these apart.
const CONNECTION_LOST: [&str; 6] = [
    "server closed the connection",
    "no connection to the server",
    "terminating connection",
    "the database system is",
    "could not receive data from server",
    "could not send data to server",
];

fn conflict(cause: String) -> Fault {
    let mut fault = Fault::new(
        FaultKind::Unavailable,
        CONFLICT,
        "数据正被他人修改，请重试",
        "Somebody else is changing the same data; please try again",
    );
    fault.cause = Some(cause);
    fault
}
