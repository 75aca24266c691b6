//! A day in the demo city: 200 people carry cases from report to close through two processes, with
//! retries, refusals and duplicates, while processes and the server are killed. At the end the
//! store holds exactly what was acknowledged.
//!
//! `XUNCHA_DAY_CASES` sets how many cases (100), `XUNCHA_DAY_KILLS` how often something is killed
//! (3), `XUNCHA_DAY_SEED` which dice are thrown.

use crate::support::caller::{Answer, Caller};
use crate::support::crew::{Crew, PNG, action};
use crate::support::demo_city::text;
use crate::support::folder;
use crate::support::service::{PROGRAM, Service};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;
use xuncha::boundaries::demo;
use xuncha::config::StoreConfig;
use xuncha::store::Store;
use xuncha::store::accounts::create_api_token;

/// How long a client goes on trying.
const PATIENCE: Duration = Duration::from_secs(240);
const CLIENTS: usize = 12;
const DISTRICTS: [&str; 4] = ["350302", "350303", "350304", "350322"];
const PEOPLE: usize = 200;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Somebody with a door to each process.
struct Person {
    doors: [Caller; 2],
    knocks: AtomicUsize,
}

impl Person {
    /// Sends until acknowledged, as a phone does: the same request again, at the other door, when
    /// the connection breaks or the service says that it is away for the moment.
    fn insist(&self, path: &str, body: &Value) -> Answer {
        self.try_on(|caller| Answer::try_of(caller.request(Method::POST, path).json(body)))
    }

    fn photo(&self, case: &str) -> Uuid {
        let id = Uuid::new_v4();
        let path = format!("/cases/{case}/attachments");
        self.try_on(|caller| {
            let file = Part::bytes(PNG).file_name("photo.png");
            let form = Form::new().text("id", id.to_string()).part("file", file);
            Answer::try_of(caller.request(Method::POST, &path).multipart(form))
        })
        .with(201);
        id
    }

    fn try_on(&self, send: impl Fn(&Caller) -> reqwest::Result<Answer>) -> Answer {
        let start = Instant::now();
        loop {
            let door = self.knocks.fetch_add(1, Ordering::Relaxed) % self.doors.len();
            match send(&self.doors[door]) {
                Ok(answer) if !matches!(answer.status, 408 | 503) => return answer,
                _ => assert!(start.elapsed() < PATIENCE, "nobody answers"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The demo city in a private cluster that keeps its promises about durability, with its people.
struct Day {
    services: Mutex<[Service; 2]>,
    people: HashMap<String, Person>,
    crews: Vec<Crew>,
    url: String,
    cluster: PathBuf,
}

impl Day {
    fn begin() -> Self {
        let data_dir = folder::fresh();
        let config = StoreConfig { data_dir: data_dir.clone(), ..StoreConfig::default() };
        // Open while the city is loaded, so that the server starts once.
        let store = Store::open(&config).expect("the store opens");
        let mut command = Command::new(PROGRAM);
        command.arg("--data-dir").arg(&data_dir).env_remove("DATABASE_URL");
        command.args(["demo", "--load-only", "--boundaries"]).arg(demo::folder());
        let output = command.stdin(Stdio::null()).output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut conn = store.owner_conn().expect("a connection");
        sql_query("UPDATE people SET must_change_password = false")
            .execute(&mut conn)
            .expect("set");
        let (crews, phones) = crews(&mut conn);
        let tokens: Vec<(String, String)> = phones
            .into_iter()
            .map(|phone| {
                let token = create_api_token(&mut conn, &phone, "day", 1).expect("a token");
                (phone, token)
            })
            .collect();
        let url = store.owner_url().to_string();
        let cluster = text(&mut conn, "SELECT current_setting('data_directory') AS value").into();
        drop(conn);
        store.close();
        let services = [(), ()].map(|()| Service::start(&config));
        let people = tokens
            .into_iter()
            .map(|(phone, token)| {
                let door = |service: &Service| Caller::with_token(service.url(""), token.clone());
                let doors = [door(&services[0]), door(&services[1])];
                (phone, Person { doors, knocks: AtomicUsize::new(0) })
            })
            .collect();
        Self { services: Mutex::new(services), people, crews, url, cluster }
    }

    fn person(&self, phone: &str) -> &Person {
        &self.people[phone]
    }

    /// A connection past the service, to a server that is up or coming up.
    fn conn(&self) -> PgConnection {
        let start = Instant::now();
        loop {
            if let Ok(conn) = PgConnection::establish(&self.url) {
                return conn;
            }
            assert!(start.elapsed() < PATIENCE, "the server does not come back");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9` of PostgreSQL's first process; the others find out by themselves.
    fn kill_server(&self) {
        let file = std::fs::read_to_string(self.cluster.join("postmaster.pid"));
        let pid = file.ok().and_then(|text| text.lines().next()?.trim().parse().ok());
        if let Some(pid) = pid {
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill -9");
        }
    }
}

/// Crews of every district in turn, until there are people enough; and their phones.
fn crews(conn: &mut PgConnection) -> (Vec<Crew>, HashSet<String>) {
    let mut found = Vec::new();
    let mut phones = HashSet::new();
    let lists = DISTRICTS.map(|district| Crew::in_store(conn, district, 400));
    // Cells far apart in the list: of different villages.
    for n in (0..400).step_by(7) {
        for list in &lists {
            let Some(crew) = list.get(n) else { continue };
            phones.extend(
                [
                    &crew.responsible,
                    &crew.colleague,
                    &crew.squad_leader,
                    &crew.town_leader,
                    &crew.district_leader,
                    &crew.reviewer,
                ]
                .map(String::clone),
            );
            found.push(crew.clone());
        }
        if phones.len() >= PEOPLE {
            break;
        }
    }
    assert!(phones.len() >= PEOPLE, "only {} people", phones.len());
    (found, phones)
}

/// What was acknowledged of one case.
#[derive(Debug, Default)]
struct Ledger {
    number: String,
    status: String,
    /// Event ids with their actions, in order, after report and dispatch.
    steps: Vec<(String, String)>,
    responsible: String,
}

struct Story<'a> {
    day: &'a Day,
    crew: &'a Crew,
    case: String,
    ledger: Ledger,
    dice: StdRng,
    version: i64,
    refusals: usize,
}

impl<'a> Story<'a> {
    fn report(day: &'a Day, crew: &'a Crew, mut dice: StdRng) -> Self {
        let body = crew.find();
        let reporter = day.person(&crew.responsible);
        let made = reporter.insist("/cases", &body).with(201);
        if dice.random_bool(0.2) {
            assert_eq!(reporter.insist("/cases", &body).with(201), made, "a retry is harmless");
        }
        let field = |name: &str| made[name].as_str().unwrap_or_default().to_string();
        let ledger = Ledger {
            number: field("number"),
            status: field("status"),
            steps: Vec::new(),
            responsible: made["responsible"]["primary"]["phone"]
                .as_str()
                .unwrap_or_default()
                .into(),
        };
        Self { day, crew, case: field("id"), ledger, dice, version: 1, refusals: 0 }
    }

    fn path(&self) -> String {
        format!("/cases/{}/actions", self.case)
    }

    /// Takes a step, now and then twice.
    fn step(&mut self, phone: &str, name: &str, mut more: Value) {
        more["expected_version"] = json!(self.version);
        let body = action(name, more);
        let person = self.day.person(phone);
        let taken = person.insist(&self.path(), &body).with(200);
        if self.dice.random_bool(0.2) {
            assert_eq!(person.insist(&self.path(), &body).with(200), taken, "a retry is harmless");
        }
        self.version += 1;
        assert_eq!(taken["case"]["version"], self.version, "{taken}");
        self.ledger.status = taken["case"]["status"].as_str().unwrap_or_default().into();
        let id = taken["event"]["id"].as_str().unwrap_or_default().to_string();
        assert_eq!(json!(id), body["id"]);
        self.ledger.steps.push((id, name.into()));
    }

    fn refused(&mut self, phone: &str, name: &str, more: Value, status: u16, code: &str) {
        let person = self.day.person(phone);
        person.insist(&self.path(), &action(name, more)).refused(status, code);
        self.refusals += 1;
    }

    fn run(&mut self, kind: usize, earlier: Option<&str>) {
        let crew = self.crew.clone();
        let Crew { responsible, colleague, squad_leader, reviewer, town_leader, .. } = &crew;
        if kind.is_multiple_of(3) {
            self.refused(responsible, "approve_close", json!({}), 403, "role_forbidden");
            self.refused(responsible, "confirm_stopped", json!({}), 409, "wrong_state");
        }
        if let Some(earlier) = earlier.filter(|_| kind == 4) {
            let of = json!({"duplicate_of": earlier, "reason": "同一处"});
            self.step(squad_leader, "mark_duplicate", of);
            return;
        }
        if kind == 3 {
            self.step(reviewer, "reject", json!({"reason": "手续齐全"}));
            self.refused(responsible, "patrol_record", json!({}), 409, "wrong_state");
            return;
        }
        let before = self.day.person(responsible).photo(&self.case);
        self.step(responsible, "patrol_record", json!({"attachments": [before], "text": "到场"}));
        let stale = json!({"expected_version": 1});
        self.refused(colleague, "stop_order", stale, 409, "stale_version");
        self.step(responsible, "stop_order", json!({}));
        self.step(town_leader, "urge", json!({"text": "抓紧"}));
        if kind == 1 {
            self.step(responsible, "demolish_order", json!({}));
            self.step(responsible, "record_demolition", json!({"demolished_m2": 250.0}));
            let after = self.day.person(colleague).photo(&self.case);
            self.step(colleague, "recheck", json!({"attachments": [after]}));
            self.step(responsible, "apply_close", json!({"outcome": "demolished"}));
        } else {
            self.step(responsible, "confirm_stopped", json!({}));
            self.step(responsible, "apply_close", json!({"outcome": "stopped"}));
        }
        if kind == 2 {
            self.refused(reviewer, "return_close", json!({}), 422, "missing_evidence");
            self.step(reviewer, "return_close", json!({"reason": "照片不清"}));
            self.step(responsible, "apply_close", json!({"outcome": "stopped"}));
        }
        self.step(reviewer, "approve_close", json!({}));
    }
}

#[test]
fn a_day_of_two_hundred_people_is_in_the_store_as_it_was_acknowledged() {
    let cases = setting("XUNCHA_DAY_CASES", 100);
    let kills = setting("XUNCHA_DAY_KILLS", 3);
    let seed = setting("XUNCHA_DAY_SEED", 20_261_123) as u64;
    println!("{cases} cases, {kills} kills, seed {seed}");
    let day = Day::begin();
    println!("{} people in {} crews", day.people.len(), day.crews.len());
    let begun = Instant::now();
    let done = AtomicUsize::new(0);
    let refusals = AtomicUsize::new(0);
    let ledgers: Mutex<HashMap<String, Ledger>> = Mutex::default();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (day, done, refusals, ledgers) = (&day, &done, &refusals, &ledgers);
            scope.spawn(move || {
                let mut earlier: HashMap<usize, String> = HashMap::new();
                for n in (client..cases).step_by(CLIENTS) {
                    // A client has crews of its own, so that it knows an earlier find there.
                    let mine = day.crews.len() / CLIENTS;
                    let place = client * mine + (n / CLIENTS) % mine;
                    let dice = StdRng::seed_from_u64(seed ^ ((n as u64) << 20));
                    let mut story = Story::report(day, &day.crews[place], dice);
                    story.run((n / CLIENTS) % 5, earlier.get(&place).map(String::as_str));
                    if story.ledger.status != "duplicate" {
                        earlier.insert(place, story.case.clone());
                    }
                    refusals.fetch_add(story.refusals, Ordering::Relaxed);
                    ledgers.lock().expect("no panic").insert(story.case, story.ledger);
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut dice = StdRng::seed_from_u64(seed);
        for n in 0..kills {
            let at = cases * (n + 1) / (kills + 1);
            while done.load(Ordering::SeqCst) < at {
                assert!(begun.elapsed() < PATIENCE * 4, "the day does not go on");
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(dice.random_range(0..200)));
            match n % 3 {
                0 => day.kill_server(),
                1 => day.services.lock().expect("no panic")[0].kill_and_start_again(),
                _ => {
                    day.kill_server();
                    day.services.lock().expect("no panic")[1].kill_and_start_again();
                }
            }
        }
    });
    println!("{:.1} s, {} refusals", begun.elapsed().as_secs_f64(), refusals.into_inner());
    let ledgers = ledgers.into_inner().expect("no panic");
    assert_eq!(ledgers.len(), cases);
    let mut conn = day.conn();
    compare_cases(&mut conn, &ledgers);
    compare_messages(&mut conn, &ledgers);
    drop(conn);
    // Both processes hold the same, and it is the truth.
    for door in [0, 1] {
        let leader = &day.person(&day.crews[0].district_leader).doors[door];
        let closed = leader.get("/cases?status=closed&from=2026-11-01&limit=1").with(200);
        let crews: HashSet<&str> = day
            .crews
            .iter()
            .filter(|c| c.cell.starts_with("350302"))
            .map(|c| c.cell.as_str())
            .collect();
        assert!(!crews.is_empty() && closed["total"].as_u64() > Some(0), "{closed}");
    }
}

fn compare_cases(conn: &mut PgConnection, ledgers: &HashMap<String, Ledger>) {
    #[derive(QueryableByName)]
    struct Stored {
        #[diesel(sql_type = Text)]
        id: String,
        #[diesel(sql_type = Text)]
        number: String,
        #[diesel(sql_type = Text)]
        status: String,
        #[diesel(sql_type = BigInt)]
        version: i64,
        #[diesel(sql_type = Text)]
        steps: String,
        #[diesel(sql_type = BigInt)]
        last: i64,
    }
    let stored: Vec<Stored> = sql_query(
        "SELECT c.id::text AS id, c.number, c.status, c.version::bigint AS version, max(e.seq)::bigint AS last,
                string_agg(CASE WHEN e.seq <= 2 THEN e.action ELSE e.id || ' ' || e.action END, ',' ORDER BY e.seq) AS steps
         FROM cases c JOIN case_events e ON e.case_id = c.id WHERE NOT c.imported GROUP BY c.id",
    )
    .load(conn)
    .expect("an answer");
    assert_eq!(stored.len(), ledgers.len(), "each case once, and none that nobody reported");
    let mut numbers = HashSet::new();
    for case in stored {
        let ledger =
            ledgers.get(&case.id).unwrap_or_else(|| panic!("{} was not acknowledged", case.id));
        let mut expected = vec!["report".to_string(), "dispatch".into()];
        expected.extend(ledger.steps.iter().map(|(id, action)| format!("{id} {action}")));
        assert_eq!(case.steps, expected.join(","), "{}: nothing lost, nothing twice", case.id);
        assert_eq!((&case.number, &case.status), (&ledger.number, &ledger.status));
        assert_eq!(case.last, expected.len() as i64, "no gaps");
        assert_eq!(case.version, 1 + ledger.steps.len() as i64);
        assert!(numbers.insert(case.number), "a number twice");
    }
}

/// Every step that tells people has told them once, and nobody else.
fn compare_messages(conn: &mut PgConnection, ledgers: &HashMap<String, Ledger>) {
    #[derive(QueryableByName)]
    struct Told {
        #[diesel(sql_type = Text)]
        case_id: String,
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Text)]
        phone: String,
        #[diesel(sql_type = BigInt)]
        times: i64,
    }
    let told: Vec<Told> = sql_query(
        "SELECT m.case_id::text AS case_id, m.kind, p.phone, count(*) AS times
         FROM messages m JOIN people p ON p.id = m.recipient_id WHERE m.case_id IS NOT NULL GROUP BY 1, 2, 3",
    )
    .load(conn)
    .expect("an answer");
    let mut to_responsible: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for one in &told {
        let ledger = ledgers.get(&one.case_id).expect("only cases of the day");
        if one.phone == ledger.responsible {
            to_responsible.insert((&one.case_id, &one.kind), one.times);
        } else if one.kind == "urged" || one.kind == "sent_back" {
            panic!("{} to somebody whom it does not concern", one.kind);
        }
    }
    for (case, ledger) in ledgers {
        let steps = |names: &[&str]| {
            ledger.steps.iter().filter(|(_, action)| names.contains(&action.as_str())).count()
                as i64
        };
        for (kind, expected) in [
            ("dispatched", 1),
            ("urged", steps(&["urge"])),
            ("sent_back", steps(&["return_close"])),
            ("closed", steps(&["approve_close", "reject", "mark_duplicate"])),
        ] {
            let found = to_responsible.get(&(case.as_str(), kind)).copied().unwrap_or(0);
            assert_eq!(found, expected, "{kind} about {case}");
        }
    }
}
