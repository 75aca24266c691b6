//! Brings a database to the schema of this program, whoever else starts at the same time.

use crate::error::{Fault, FaultKind, Result};
use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::{PgConnection, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The advisory lock under which migrations run: "xuncha" in ASCII.
const LOCK: i64 = 0x0078_756e_6368_6100;

/// The role the service works under. It belongs to the server, not to one database, so it may be
/// there already, or be made at this moment by another process.
const MAKE_ROLE: &str = "
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'xuncha_app') THEN
        BEGIN
            CREATE ROLE xuncha_app NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'xuncha_app', 'MEMBER') THEN
        EXECUTE format('GRANT xuncha_app TO %I', current_user);
    END IF;
END $$";

/// Makes the role and runs what migrations are missing, as the owner of the database.
pub fn migrate(conn: &mut PgConnection) -> Result<()> {
    // A session lock: it goes with the connection, also when we die. It must be taken before the
    // role is made, for a lost race there would abort.
    sql_query(format!("SELECT pg_advisory_lock({LOCK})")).execute(conn)?;
    let migrated = under_lock(conn);
    sql_query(format!("SELECT pg_advisory_unlock({LOCK})")).execute(conn)?;
    migrated
}

fn under_lock(conn: &mut PgConnection) -> Result<()> {
    conn.batch_execute("SET client_min_messages = warning")?;
    conn.batch_execute(MAKE_ROLE)?;
    let failed =
        |e: Box<dyn std::error::Error + Send + Sync>| Fault::internal(format!("migration: {e}"));
    let known = MigrationSource::<Pg>::migrations(&MIGRATIONS).map_err(failed)?;
    let known: Vec<_> = known.iter().map(|m| m.name().version().as_owned()).collect();
    let applied = conn.applied_migrations().map_err(failed)?;
    if let Some(newer) = applied.iter().find(|&version| !known.contains(version)) {
        return Err(Fault::new(
            FaultKind::Conflict,
            "store_newer",
            format!("数据库由更新版本的程序建立（{newer}），请升级程序"),
            format!(
                "The database was made by a newer version of the program ({newer}); upgrade the program"
            ),
        ));
    }
    let run = conn.run_pending_migrations(MIGRATIONS).map_err(failed)?;
    for version in run {
        tracing::info!(%version, "migrated the database");
    }
    Ok(())
}
