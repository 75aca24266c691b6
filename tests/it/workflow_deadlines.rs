//! Reminders and escalation, a month in a moment, by several processes at once.

use crate::support::crew::{Crew, act};
use crate::support::demo_city::{City, count};
use chrono::{Duration, Utc};
use serde_json::json;
use std::sync::Barrier;
use xuncha::enforcement::deadlines::Deadlines;
use xuncha::store::Store;
use xuncha::store::scheduler;

#[test]
fn every_reminder_is_sent_once_however_many_look_after_deadlines() {
    const CASES: usize = 30;
    let city = City::start();
    let crews = Crew::of(&city, "350302", CASES as i32);
    assert_eq!(crews.len(), CASES);
    let reporter = city.caller(&crews[0].squad_leader);
    let cases: Vec<String> = crews
        .iter()
        .map(|crew| {
            let made = reporter.post("/cases", &crew.find()).with(201);
            made["id"].as_str().expect("an id").to_string()
        })
        .collect();
    // One is visited in time, and stopped; its next deadline is the application's, in 30 days.
    let visitor = city.caller(&crews[0].responsible);
    act(&visitor, &cases[0], "patrol_record", json!({})).with(200);
    act(&visitor, &cases[0], "confirm_stopped", json!({})).with(200);
    // One ends.
    let reviewer = city.caller(&crews[1].reviewer);
    act(&reviewer, &cases[1], "reject", json!({"reason": "合法"})).with(200);

    let start = Utc::now();
    let deadlines = Deadlines::default();
    let stores = [(), ()].map(|()| Store::open(&city.database.config).expect("a store"));
    let rounds = 31 * 4;
    let barrier = Barrier::new(stores.len());
    let sent: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = stores
            .iter()
            .map(|store| {
                let (barrier, deadlines) = (&barrier, &deadlines);
                scope.spawn(move || {
                    (0..=rounds)
                        .map(|round| {
                            barrier.wait();
                            let now = start + Duration::hours(6 * round);
                            let sent = scheduler::turn(store, deadlines, now).expect("a turn");
                            sent.near + sent.overdue + sent.escalated
                        })
                        .sum::<usize>()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
    });

    let mut conn = city.conn();
    let mut counted = |query: &str| count(&mut conn, query);
    // Near, overdue and three levels for those nobody visited; near and overdue for the one that
    // was stopped, whose deadline lies a day before the end.
    let waiting = CASES as i64 - 2;
    for (stage, expected) in [
        ("near", waiting + 1),
        ("overdue", waiting + 1),
        ("escalated_1", waiting + 1),
        ("escalated_2", waiting),
        ("escalated_3", waiting),
    ] {
        let query = format!("SELECT count(*) AS value FROM case_reminders WHERE stage = '{stage}'");
        assert_eq!(counted(&query), expected, "{stage}");
    }
    assert_eq!(sent as i64, counted("SELECT count(*) AS value FROM case_reminders"));
    for (kind, expected) in [("deadline_near", waiting + 1), ("overdue", waiting + 1)] {
        let query = format!(
            "SELECT count(*) AS value FROM messages m JOIN cases c ON c.id = m.case_id
             WHERE m.kind = '{kind}' AND m.recipient_id = c.assignee_id"
        );
        assert_eq!(counted(&query), expected, "{kind}: each responsible person once for each case");
    }
    let twice = "SELECT count(*) AS value FROM (SELECT 1 FROM messages WHERE kind IN ('deadline_near', 'overdue', 'escalated')
        GROUP BY case_id, recipient_id, kind, text HAVING count(*) > 1) t";
    assert_eq!(counted(twice), 0);
    for (role, stages) in
        [("town_leader", waiting + 1), ("district_leader", waiting), ("city_leader", waiting)]
    {
        let query = format!(
            "SELECT count(DISTINCT m.case_id) AS value FROM messages m JOIN people p ON p.id = m.recipient_id
             WHERE m.kind = 'escalated' AND p.role = '{role}'"
        );
        assert_eq!(counted(&query), stages, "{role}");
    }
    let ended =
        format!("SELECT count(*) AS value FROM case_reminders WHERE case_id = '{}'", cases[1]);
    assert_eq!(counted(&ended), 0, "nothing is due of what has ended");
    let past = "SELECT count(*) AS value FROM case_reminders r JOIN cases c ON c.id = r.case_id WHERE c.imported";
    assert_eq!(counted(past), 0, "past cases have no deadlines");
    // Again, also by another process, nothing is left to send.
    let again =
        scheduler::turn(&stores[0], &deadlines, start + Duration::days(31)).expect("a turn");
    assert_eq!(again, scheduler::Sent::default());
}
