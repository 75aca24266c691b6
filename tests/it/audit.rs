//! The audit trail: written with the deed, sealed into a chain.

use crate::support::database::{self, TestDatabase};
use crate::support::demo_city::count;
use diesel::connection::SimpleConnection;
use serde_json::json;
use xuncha::store::audit::{self, Entry};

fn entry(n: usize) -> Entry {
    Entry {
        actor: None,
        from: "2001:db8::1".parse().ok(),
        action: "test.deed",
        subject: format!("thing:{n}"),
        before: None,
        after: Some(json!({"n": n, "text": "违法\" \\ \u{1f600}"})),
    }
}

fn write(database: &TestDatabase, rows: std::ops::Range<usize>) {
    for n in rows {
        database.store.transaction(|conn| audit::record(conn, &entry(n))).expect("recorded");
    }
}

#[test]
fn writers_and_sealers_at_the_same_time_make_one_chain() {
    let database = database::empty();
    std::thread::scope(|scope| {
        for part in 0..4 {
            let database = &database;
            scope.spawn(move || write(database, part * 100..(part + 1) * 100));
            scope.spawn(|| {
                for _ in 0..20 {
                    audit::seal(&database.store).expect("sealed");
                }
            });
        }
    });
    audit::seal(&database.store).expect("sealed");
    let mut conn = database.store.owner_conn().expect("a connection");
    assert_eq!(count(&mut conn, "SELECT count(*) AS value FROM audit"), 400);
    assert_eq!(count(&mut conn, "SELECT count(*) AS value FROM audit_unsealed"), 0);
    assert_eq!(audit::head(&mut conn).expect("a head").seq, 400);
    let gaps = "SELECT count(DISTINCT audit_id) * max(seq) AS value FROM audit_chain";
    assert_eq!(count(&mut conn, gaps), 160_000);
}

#[test]
fn a_deed_that_is_rolled_back_leaves_no_row() {
    let database = database::empty();
    let failed: Result<(), _> = database.store.transaction(|conn| {
        audit::record(conn, &entry(1))?;
        Err(xuncha::error::Fault::invalid("不", "no"))
    });
    assert!(failed.is_err());
    let mut conn = database.store.owner_conn().expect("a connection");
    assert_eq!(count(&mut conn, "SELECT count(*) AS value FROM audit"), 0);
}

#[test]
fn nobody_changes_the_trail() {
    let database = database::empty();
    write(&database, 0..3);
    audit::seal(&database.store).expect("sealed");
    let statements = [
        "UPDATE audit SET subject = 'x' WHERE id = 1",
        "DELETE FROM audit WHERE id = 1",
        "TRUNCATE audit CASCADE",
        "UPDATE audit_chain SET hash = hash WHERE seq = 1",
        "DELETE FROM audit_chain WHERE seq = 1",
    ];
    for statement in statements {
        let mut app = database.store.own_conn().expect("a connection");
        let refused = app.batch_execute(statement).expect_err(statement).to_string();
        assert!(refused.contains("permission denied"), "{statement}: {refused}");
        let mut owner = database.store.owner_conn().expect("a connection");
        let refused = owner.batch_execute(statement).expect_err(statement).to_string();
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
}
