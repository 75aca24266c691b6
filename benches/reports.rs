//! Every report of the whole city by village over seeded synthetic cases, against the same figures
//! as one SQL statement on PostGIS in the same run; with the peak memory of this process.
//!
//! `XUNCHA_BENCH_CASES` sets how many cases there are, a million by default.

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code)]
mod support;
#[path = "support/synthetic_cases.rs"]
mod synthetic_cases;

use diesel::connection::SimpleConnection;
use std::time::{Duration, Instant};
use support::demo_city;
use xuncha::statistics::hotspots::{self, By, Measure, Universe};
use xuncha::statistics::period::Period;
use xuncha::statistics::timeline::{self, Step};
use xuncha::statistics::units::ReportLevel;
use xuncha::store::reports::{self, Ask, ReportKind};
use xuncha::store::world::World;
use xuncha::tiles::cases::CaseFilter;

const REPEATS: usize = 5;

fn best(mut work: impl FnMut()) -> Duration {
    let times = (0..REPEATS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed()
    });
    times.min().expect("some repeats")
}

/// The most memory this process ever had, MB.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

const OPEN: &str = "status IN ('dispatched', 'on_site', 'stopped', 'demolishing', 'close_applied')";
const OURS: &str =
    "status IN ('dispatched', 'on_site', 'stopped', 'demolishing', 'close_applied', 'closed')";
const IN_PERIOD: &str = ">= '2025-01-01 00:00+08' AND {} < '2026-01-01 00:00+08'";

fn within(column: &str) -> String {
    format!("{column} {}", IN_PERIOD.replace("{}", column))
}

/// The same figures in SQL.
fn sql(kind: ReportKind) -> String {
    let (found, torn, due) =
        (within("reported_at"), within("demolished_at"), within("close_due_at"));
    let total = "basic_farmland_m2 + farmland_m2 + non_farmland_m2 + homestead_m2 + mine_m2";
    let unit = "coalesce(functional_area_code, district_code), town_code, village_code";
    let sums = "sum(basic_farmland_m2), sum(farmland_m2), sum(non_farmland_m2), sum(homestead_m2), sum(mine_m2)";
    let rates = format!(
        "count(*) FILTER (WHERE {found}), count(*) FILTER (WHERE {due}),
         count(*) FILTER (WHERE {due} AND status = 'closed'), count(*) FILTER (WHERE {due} AND closed_at <= close_due_at),
         count(*) FILTER (WHERE {due} AND times_extended > 0), count(*) FILTER (WHERE {found} AND NOT imported),
         count(*) FILTER (WHERE {found} AND NOT imported AND stopped_at <= stop_due_at),
         count(*) FILTER (WHERE {found} AND NOT imported AND visited_at <= reported_at + interval '24 hours'),
         count(*) FILTER (WHERE {found} AND applied_at IS NOT NULL),
         count(*) FILTER (WHERE {found} AND applied_at IS NOT NULL AND times_returned > 0)"
    );
    match kind {
        ReportKind::Cases => format!(
            "SELECT {unit}, {}, sum(demolished_m2) FILTER (WHERE {torn}), count(*) FILTER (WHERE {found}),
                count(*) FILTER (WHERE {found} AND status = 'closed'), count(*) FILTER (WHERE {found} AND {OPEN}),
                count(*) FILTER (WHERE {found} AND {OPEN} AND due_at < now()), count(*) FILTER (WHERE {found} AND {total} = 0)
             FROM cases WHERE ({found}) OR ({torn}) GROUP BY 1, 2, 3",
            sums.split(", ").map(|s| format!("{s} FILTER (WHERE {found})")).collect::<Vec<_>>().join(", ")
        ),
        ReportKind::Success => format!(
            "SELECT {unit}, {rates} FROM cases WHERE {OURS} AND (({found}) OR ({due})) GROUP BY 1, 2, 3"
        ),
        ReportKind::Departments => format!(
            "SELECT p.department, {rates} FROM cases c LEFT JOIN people p ON p.id = c.assignee_id
             WHERE {OURS} AND (({found}) OR ({due})) GROUP BY 1"
        ),
        ReportKind::Patrollers => format!(
            "SELECT p.id, count(*) FILTER (WHERE c.reporter_id = p.id AND {found}),
                count(*) FILTER (WHERE c.assignee_id = p.id AND {found}),
                count(*) FILTER (WHERE c.assignee_id = p.id AND status = 'closed' AND {}),
                count(*) FILTER (WHERE c.assignee_id = p.id AND closed_at <= close_due_at AND {})
             FROM people p JOIN cases c ON c.assignee_id = p.id OR c.reporter_id = p.id GROUP BY 1",
            within("closed_at"), within("closed_at")
        ),
        ReportKind::Demolition => format!(
            "SELECT {unit}, sum(demolished_m2), sum(demolished_m2) FILTER (WHERE party_is_cadre),
                sum(demolished_m2) FILTER (WHERE new_build), sum(demolished_m2) FILTER (WHERE NOT new_build), count(*)
             FROM cases WHERE demolished_m2 > 0 AND {torn} GROUP BY 1, 2, 3"
        ),
        _ => format!(
            "SELECT {unit}, date_part('year', reported_at AT TIME ZONE 'Asia/Shanghai'), {sums}
             FROM cases WHERE {found} AND status NOT IN ('rejected', 'duplicate') GROUP BY 1, 2, 3, 4"
        ),
    }
}

fn main() {
    let count: u32 =
        std::env::var("XUNCHA_BENCH_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let city = demo_city::database();
    let mut conn = city.store.owner_conn().expect("a connection");
    let start = Instant::now();
    synthetic_cases::fill(&mut conn, count, 2026);
    conn.batch_execute("VACUUM ANALYZE cases").expect("VACUUM");
    println!("{count} synthetic cases in {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let world = World::load(&city.store).expect("a world");
    println!("read in {:.1} s, peak memory {} MB", start.elapsed().as_secs_f64(), peak_mb());
    let now = chrono::Utc::now();
    let day = |text: &str| text.parse().expect("a day");
    let period = Period::new(day("2025-01-01"), day("2025-12-31")).expect("a period");
    println!("{:<12} {:>10} {:>10} {:>8} {:>10}", "report", "ours", "SQL", "ratio", "peak MB");
    let line = |name: &str, own: Duration, other: Option<Duration>| {
        let (ms, peak) = (own.as_secs_f64() * 1e3, peak_mb());
        match other {
            Some(other) => {
                let sql = other.as_secs_f64() * 1e3;
                println!("{name:<12} {ms:>7.1} ms {sql:>7.1} ms {:>7.2}x {peak:>10}", sql / ms);
            }
            None => println!("{name:<12} {ms:>7.1} ms {:>10} {:>8} {peak:>10}", "", ""),
        }
    };
    for kind in ReportKind::ALL {
        let ask = Ask {
            kind,
            area: "350300".into(),
            level: Some(ReportLevel::Village),
            period: Some(period),
            filter: CaseFilter::default(),
            comparison: None,
            rank: None,
        };
        let own = best(|| {
            reports::report(&city.store, &world, &ask, now).expect("a report");
        });
        let query = run_through(&sql(kind));
        let other = best(|| {
            conn.batch_execute(&query).expect("PostGIS answers");
        });
        line(kind.as_str(), own, Some(other));
    }
    let view = || world.frames.view(world.cases.snapshot()).expect("a view");
    let all = CaseFilter::default();
    let own = best(|| {
        timeline::timeline(&view(), &all, period, Step::Day, false).expect("a time line");
    });
    let days = format!(
        "SELECT (reported_at AT TIME ZONE 'Asia/Shanghai')::date, count(*), sum(basic_farmland_m2 + farmland_m2 + non_farmland_m2 + homestead_m2 + mine_m2)
         FROM cases WHERE {} GROUP BY 1",
        within("reported_at")
    );
    let query = run_through(&days);
    let other = best(|| {
        conn.batch_execute(&query).expect("PostGIS answers");
    });
    line("timeline", own, Some(other));
    let atlas = world.atlas.load_full();
    let layer = atlas.layer("village").expect("villages");
    let universe = std::sync::Arc::new(Universe::of_layer(By::Village, layer));
    let own = best(|| {
        hotspots::hotspots(&view(), &universe, |_| true, Measure::Count, &all, None)
            .expect("hotspots");
    });
    line("hotspots", own, None);
}

/// Has the server work everything out without sending it.
fn run_through(query: &str) -> String {
    format!("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {query}")
}
