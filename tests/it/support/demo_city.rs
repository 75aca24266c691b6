//! The demo city, loaded once by the command a user has, and the program serving it.

use super::caller::Caller;
use super::database::{self, TestDatabase};
use super::service::{PROGRAM, Service};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{PgConnection, sql_query};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use xuncha::boundaries::demo;
use xuncha::store::accounts::create_api_token;

/// People of the demo city whose roles its roster lacks.
pub const DISPATCHER: &str = "10005900002";
pub const PLANNER: &str = "10005900003";

/// A fresh copy of the loaded demo city.
pub fn database() -> TestDatabase {
    database::filled("demo", |database| {
        let url = database.config.database_url.as_deref().expect("a test database has a URL");
        let mut command = Command::new(PROGRAM);
        command.arg("--data-dir").arg(&database.config.data_dir);
        command.args(["demo", "--load-only", "--boundaries"]).arg(demo::folder());
        command.env("DATABASE_URL", url).stdin(Stdio::null());
        let output = command.output().expect("the program runs");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {log}", output.status);
    })
}

/// The demo city, served.
pub struct City {
    pub service: Service,
    pub database: TestDatabase,
}

impl City {
    /// One of its own, for a test that changes boundaries or kills.
    pub fn start() -> Self {
        let database = database();
        let service = Service::start(&database.config);
        Self { service, database }
    }

    /// One of its own, with environment variables for the service.
    pub fn start_with(environment: &[(&str, &str)]) -> Self {
        let database = database();
        let service = Service::start_with(&database.config, environment);
        Self { service, database }
    }

    /// The one that tests share which add cases and look.
    pub fn shared() -> &'static Self {
        static CITY: OnceLock<City> = OnceLock::new();
        CITY.get_or_init(Self::start)
    }

    pub fn stranger(&self) -> Caller {
        Caller::stranger(self.service.url(""))
    }

    /// The person with this phone, by an API token.
    pub fn caller(&self, phone: &str) -> Caller {
        Caller::with_token(self.service.url(""), self.token(phone))
    }

    /// A new API token of a person, who has chosen a password long ago.
    pub fn token(&self, phone: &str) -> String {
        let mut conn = self.conn();
        sql_query("UPDATE people SET must_change_password = false WHERE phone = $1")
            .bind::<Text, _>(phone)
            .execute(&mut conn)
            .expect("updated");
        create_api_token(&mut conn, phone, "test", 1).expect("a token")
    }

    pub fn conn(&self) -> PgConnection {
        self.database.store.owner_conn().expect("a connection")
    }

    /// Somebody with this role in this area.
    pub fn phone_of(&self, role: &str, area: &str) -> String {
        text(
            &mut self.conn(),
            &format!(
                "SELECT min(phone) AS value FROM people WHERE role = '{role}' AND area_code = '{area}'"
            ),
        )
    }
}

/// One text from a query that names it `value`.
pub fn text(conn: &mut PgConnection, query: &str) -> String {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        value: String,
    }
    sql_query(query).get_result::<Row>(conn).unwrap_or_else(|e| panic!("{query}: {e}")).value
}

/// One count from a query that names it `value`.
pub fn count(conn: &mut PgConnection, query: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        value: i64,
    }
    sql_query(query).get_result::<Row>(conn).unwrap_or_else(|e| panic!("{query}: {e}")).value
}

/// A position from a query that names it `x`, `y`; degrees.
pub fn position(conn: &mut PgConnection, query: &str) -> (f64, f64) {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Double)]
        x: f64,
        #[diesel(sql_type = diesel::sql_types::Double)]
        y: f64,
    }
    let row: Row = sql_query(query).get_result(conn).unwrap_or_else(|e| panic!("{query}: {e}"));
    (row.x, row.y)
}
