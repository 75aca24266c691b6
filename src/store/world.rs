//! What the service holds in memory, kept in step with the store by `LISTEN`/`NOTIFY`.

use super::inboxes::{self, Inboxes};
use super::schema::{duties, imports, people, revisions};
use super::{Store, absences, cases, features, notify, settings};
use crate::atlas::lookup::Atlas;
use crate::enforcement::clock::Clock;
use crate::enforcement::dispatch::Roster;
use crate::enforcement::gaps::Gaps;
use crate::enforcement::people::{Duty, DutyNature, Person, Rank, Role};
use crate::enforcement::settings::Settings;
use crate::error::{Fault, Result};
use crate::statistics::case_frame::CaseFrames;
use crate::statistics::land::LandStatistics;
use crate::tiles::case_index::CaseIndex;
use crate::tiles::cases::CaseRecord;
use arc_swap::ArcSwap;
use chrono::NaiveDate;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use uuid::Uuid;

/// Something changed in the store, and is already in memory.
#[derive(Debug, Clone)]
pub enum Change {
    Boundaries { generation: u64, layer: String },
    People,
    Settings,
    Case(Arc<CaseRecord>),
    Import { id: Uuid, state: String, progress: f32 },
}

/// Boundaries, people and cases in memory.
pub struct World {
    pub atlas: ArcSwap<Atlas>,
    pub roster: ArcSwap<Roster>,
    pub settings: ArcSwap<Settings>,
    /// The time, for whatever decides by it.
    pub clock: Clock,
    pub cases: CaseIndex,
    /// The cases in columns, for reports.
    pub frames: CaseFrames,
    /// Land areas, worked out once per generation.
    pub land: LandStatistics,
    gaps: Mutex<KnownGaps>,
    warming: Mutex<()>,
    pub changes: broadcast::Sender<Change>,
    /// Who listens for messages here.
    pub inboxes: Inboxes,
    marks: Mutex<Marks>,
    /// Calls of `refresh` begun so far.
    asked: AtomicU64,
}

/// The gaps last found, and of what.
#[derive(Default)]
struct KnownGaps {
    of: Option<(Arc<Atlas>, Arc<Roster>)>,
    gaps: Arc<Gaps>,
}

/// How far the store has been read.
#[derive(Default)]
struct Marks {
    /// The calls of `refresh` that the last reading served.
    served: u64,
    boundaries: i64,
    people: i64,
    /// The day whose absences the roster knows.
    day: Option<NaiveDate>,
    settings: i64,
    imports: i64,
    /// What could be seen when messages were last read. None before the first reading, and where
    /// that is no longer sure.
    messages_seen: Option<String>,
    /// No transaction before this one was still running at the last reading. None before the
    /// first, and where that is no longer sure.
    oldest_running: Option<String>,
    cases_read: bool,
    versions: HashMap<Uuid, u32>,
    import_states: HashMap<Uuid, (String, f32)>,
}

/// Listeners that fall behind by this many are told to read afresh.
const CHANNEL_CAPACITY: usize = 4096;

impl World {
    /// Reads everything.
    pub fn load(store: &Store) -> Result<Self> {
        Self::load_at(store, Clock::system())
    }

    /// Reads everything, and takes the time from a clock.
    pub fn load_at(store: &Store, clock: Clock) -> Result<Self> {
        let world = Self {
            clock,
            atlas: ArcSwap::default(),
            roster: ArcSwap::default(),
            settings: ArcSwap::default(),
            cases: CaseIndex::default(),
            frames: CaseFrames::default(),
            land: LandStatistics::default(),
            gaps: Mutex::default(),
            warming: Mutex::default(),
            changes: broadcast::Sender::new(CHANNEL_CAPACITY),
            inboxes: Inboxes::default(),
            marks: Mutex::new(Marks {
                boundaries: -1,
                people: -1,
                settings: -1,
                ..Marks::default()
            }),
            asked: AtomicU64::new(0),
        };
        world.refresh(store)?;
        Ok(world)
    }

    /// Brings the memory up to the store: whatever was committed before the call is in it after.
    /// Callers at the same time share one reading.
    pub fn refresh(&self, store: &Store) -> Result<()> {
        // Before the lock below: who holds it must never wait for a connection.
        self.refresh_on(&mut *store.conn()?)
    }

    /// [`World::refresh`] on a connection the caller has, also within its transaction.
    pub fn refresh_on(&self, conn: &mut PgConnection) -> Result<()> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.served >= ticket {
            return Ok(());
        }
        let serving = self.asked.load(Ordering::SeqCst);
        let revisions: HashMap<String, i64> = revisions::table
            .select((revisions::subject, revisions::revision))
            .load::<(String, i64)>(conn)?
            .into_iter()
            .collect();
        let revision = |subject| revisions.get(subject).copied().unwrap_or(0);

        let mut changes = Vec::new();
        if revision("boundaries") != marks.boundaries {
            changes.extend(self.read_boundaries(conn)?);
            marks.boundaries = revision("boundaries");
        }
        let today = self.clock.today();
        if revision("people") != marks.people || marks.day != Some(today) {
            self.roster.store(Arc::new(load_roster_on(conn, today)?));
            marks.people = revision("people");
            marks.day = Some(today);
            changes.push(Change::People);
        }
        if revision("settings") != marks.settings {
            self.settings.store(Arc::new(settings::load(conn)?));
            marks.settings = revision("settings");
            changes.push(Change::Settings);
        }
        changes.extend(self.read_cases(conn, &mut marks)?);
        self.read_messages(conn, &mut marks)?;
        if revision("imports") != marks.imports {
            changes.extend(read_imports(conn, &mut marks)?);
            marks.imports = revision("imports");
        }
        marks.served = serving;
        for change in changes {
            // Fails when nobody listens, which is fine.
            let _ = self.changes.send(change);
        }
        Ok(())
    }

    fn read_boundaries(&self, conn: &mut PgConnection) -> Result<Vec<Change>> {
        let old = self.atlas.load();
        let (generation, changed) = features::load_changed(conn, &old)?;
        let changes = changed
            .iter()
            .map(|layer| Change::Boundaries { generation, layer: layer.info().name.clone() })
            .collect();
        self.atlas.store(Arc::new(old.with_layers(generation, changed)));
        Ok(changes)
    }

    fn read_cases(&self, conn: &mut PgConnection, marks: &mut Marks) -> Result<Vec<Change>> {
        // Taken before the rows are read: what commits in between is read again next time.
        let oldest_running = diesel::select(diesel::dsl::sql::<Text>(
            "pg_snapshot_xmin(pg_current_snapshot())::text",
        ))
        .get_result::<String>(conn)?;
        let records = cases::changed_since(conn, marks.oldest_running.as_deref())?;
        let first_reading = !std::mem::replace(&mut marks.cases_read, true);
        marks.oldest_running = Some(oldest_running);
        let mut changes = Vec::new();
        let mut fresh = Vec::new();
        for record in records {
            if marks.versions.insert(record.id, record.version) == Some(record.version) {
                continue;
            }
            if !first_reading {
                changes.push(Change::Case(Arc::new(record.clone())));
            }
            fresh.push(record);
        }
        self.cases.apply(fresh);
        Ok(changes)
    }

    fn read_messages(&self, conn: &mut PgConnection, marks: &mut Marks) -> Result<()> {
        let (news, seen) = inboxes::since(conn, marks.messages_seen.as_deref())?;
        if marks.messages_seen.replace(seen).is_none() {
            self.inboxes.reload();
        }
        self.inboxes.put(news);
        Ok(())
    }

    /// Cells for which nobody is named, of the present boundaries and people.
    pub fn gaps(&self) -> Arc<Gaps> {
        let (atlas, roster) = (self.atlas.load_full(), self.roster.load_full());
        let mut known = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = known
            .of
            .as_ref()
            .is_some_and(|(a, r)| Arc::ptr_eq(a, &atlas) && Arc::ptr_eq(r, &roster));
        if !is_same {
            let found = Gaps::find(&atlas, &roster);
            let revision = known.gaps.revision + 1;
            known.gaps = Arc::new(Gaps { revision, ..found });
            known.of = Some((atlas, roster));
        }
        Arc::clone(&known.gaps)
    }

    /// Has the next reading take in every case again. A server that was killed forgets numbers of
    /// transactions that wrote nothing lasting, and gives them out again: what has such a number
    /// would look like read already.
    fn distrust_transaction_numbers(&self) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.oldest_running = None;
        marks.messages_seen = None;
    }

    /// Prepares in the background what the first request after a publish would wait for.
    pub fn warm(self: &Arc<Self>) {
        let world = Arc::clone(self);
        std::thread::spawn(move || {
            // Publishes that follow each other closely are prepared for once, at the end.
            let Ok(_only) = world.warming.try_lock() else { return };
            loop {
                let atlas = world.atlas.load_full();
                if let Err(fault) = world.land.prepare(&atlas) {
                    tracing::error!(%fault, "land statistics could not be prepared");
                }
                for problem in world.land.overlay(&atlas).problems() {
                    tracing::warn!(problem, "land left out of the statistics");
                }
                if world.atlas.load().generation() == atlas.generation() {
                    return;
                }
            }
        });
    }
}

fn read_imports(conn: &mut PgConnection, marks: &mut Marks) -> Result<Vec<Change>> {
    let recent = chrono::Utc::now() - chrono::Duration::minutes(10);
    let rows: Vec<(Uuid, String, f32)> = imports::table
        .filter(
            imports::state
                .eq("reading")
                .or(imports::finished_at.gt(recent))
                .or(imports::created_at.gt(recent)),
        )
        .select((imports::id, imports::state, imports::progress))
        .load(conn)?;
    let mut changes = Vec::new();
    let mut states = HashMap::new();
    for (id, state, progress) in rows {
        if marks.import_states.get(&id) != Some(&(state.clone(), progress)) {
            changes.push(Change::Import { id, state: state.clone(), progress });
        }
        states.insert(id, (state, progress));
    }
    marks.import_states = states;
    Ok(changes)
}

/// Active people and their duties, as they answer today.
pub fn load_roster(conn: &mut PgConnection) -> Result<Roster> {
    load_roster_on(conn, Clock::system().today())
}

/// Active people and their duties, as they answer on a day (Asia/Shanghai): those who are away
/// are passed over.
pub fn load_roster_on(conn: &mut PgConnection, day: NaiveDate) -> Result<Roster> {
    type PersonRow = (Uuid, String, String, String, String, Option<String>);
    let rows: Vec<PersonRow> = people::table
        .filter(people::active)
        .select((
            people::id,
            people::phone,
            people::name,
            people::role,
            people::area_code,
            people::department,
        ))
        .load(conn)?;
    let unknown = |what: &str| Fault::internal(format!("unknown {what} in store"));
    let people = rows
        .into_iter()
        .map(|(id, phone, name, role, area_code, department)| {
            let role = Role::parse(&role).ok_or_else(|| unknown("role"))?;
            Ok(Person { id, phone, name, role, area_code, department })
        })
        .collect::<Result<_>>()?;
    let rows: Vec<(String, Uuid, String, String)> = duties::table
        .select((duties::code, duties::person_id, duties::nature, duties::rank))
        .load(conn)?;
    let duties = rows
        .into_iter()
        .map(|(code, person, nature, rank)| {
            Ok(Duty {
                code,
                person,
                nature: DutyNature::parse(&nature).ok_or_else(|| unknown("duty nature"))?,
                rank: Rank::parse(&rank).ok_or_else(|| unknown("duty rank"))?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Roster::new(people, duties).with_absent(absences::away_on(conn, day)?))
}

/// How often the listening connection is looked at; a local read that costs microseconds.
const LISTEN_EVERY: Duration = Duration::from_millis(20);
/// Without any word for so long, the store is read anyway.
const READ_ANYWAY: Duration = Duration::from_secs(30);
const RECONNECT_AFTER: Duration = Duration::from_millis(500);

/// Keeps a world in step until it is dropped. A lost connection is made again, and what was missed
/// meanwhile is read.
pub fn follow(store: Store, world: &Arc<World>) -> std::thread::JoinHandle<()> {
    let world = Arc::downgrade(world);
    std::thread::spawn(move || {
        while world.strong_count() > 0 {
            if let Err(fault) = listen(&store, &world) {
                tracing::warn!("following the store was interrupted: {fault}");
                std::thread::sleep(RECONNECT_AFTER);
                if let Some(world) = world.upgrade() {
                    world.distrust_transaction_numbers();
                }
            }
        }
    })
}

fn listen(store: &Store, world: &std::sync::Weak<World>) -> Result<()> {
    let mut conn = store.own_conn()?;
    conn.batch_execute(&format!("LISTEN {}", notify::CHANNEL))?;
    let mut last_read = None::<std::time::Instant>;
    loop {
        let mut heard = last_read.is_none_or(|at| at.elapsed() > READ_ANYWAY);
        for notification in conn.notifications_iter() {
            notification?;
            heard = true;
        }
        let Some(world) = world.upgrade() else { return Ok(()) };
        if heard {
            let generation = world.atlas.load().generation();
            world.refresh(store)?;
            last_read = Some(std::time::Instant::now());
            if world.atlas.load().generation() != generation {
                world.warm();
            }
        }
        drop(world);
        std::thread::sleep(LISTEN_EVERY);
    }
}
