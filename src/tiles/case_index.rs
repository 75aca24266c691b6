//! All cases in memory, in the order of a Morton curve over the Web Mercator world, so that the
//! cases of a tile are one run. Readers work on immutable snapshots and never wait for a writer.

use super::address::{self, MAX_ZOOM, TileAddress};
use super::cases::{CaseFilter, CasePlace, CaseRecord, category_bit};
use super::morton::{deinterleave, interleave};
use arc_swap::ArcSwap;
use geo::{Coord, Rect};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use uuid::Uuid;

/// What a scan over cases reads; kept apart from the rest so that a filter over a million cases
/// stays within little memory.
#[derive(Debug, Clone, Copy)]
struct Hot {
    /// Position: 32 bits of x and of y of the Web Mercator world, interleaved.
    key: u64,
    reported_at: i64,
    place: u32,
    assignee: u32,
    /// m², 0 where unknown.
    area_m2: f32,
    status: u16,
    nature: u8,
    source: u8,
    category: u8,
}

#[derive(Debug, Clone)]
struct Row {
    hot: Hot,
    record: Arc<CaseRecord>,
}

/// Rows in Morton order.
#[derive(Debug, Default)]
struct Run {
    hot: Vec<Hot>,
    records: Vec<Arc<CaseRecord>>,
}

impl Run {
    fn sorted(mut rows: Vec<Row>) -> Self {
        rows.sort_by_key(|row| (row.hot.key, row.record.id));
        Self {
            hot: rows.iter().map(|row| row.hot).collect(),
            records: rows.into_iter().map(|row| row.record).collect(),
        }
    }

    fn range(&self, tile: TileAddress) -> Range<usize> {
        let (first, last) = key_range(tile);
        let start = self.hot.partition_point(|hot| hot.key < first);
        start..start + self.hot[start..].partition_point(|hot| hot.key <= last)
    }

    fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.hot
            .iter()
            .zip(&self.records)
            .map(|(hot, record)| Row { hot: *hot, record: Arc::clone(record) })
    }
}

/// All cases at one moment.
#[derive(Debug, Default)]
pub struct CaseSnapshot {
    base: Arc<Run>,
    /// Rows of `base` that a newer state has replaced.
    replaced: HashSet<u32>,
    /// States newer than `base`; few.
    delta: Run,
    places: Arc<Vec<Arc<CasePlace>>>,
    /// Index 0 is nobody.
    assignees: Arc<Vec<Uuid>>,
}

/// The parts of a snapshot; see [`CaseSnapshot::parts`].
#[derive(Debug, Clone, Copy)]
pub struct CaseParts<'a> {
    base: &'a Arc<Run>,
    delta: &'a Run,
}

impl<'a> CaseParts<'a> {
    /// The records that lie still, replaced ones among them.
    pub fn base(&self) -> &'a [Arc<CaseRecord>] {
        &self.base.records
    }

    /// The newer states.
    pub fn delta(&self) -> &'a [Arc<CaseRecord>] {
        &self.delta.records
    }

    /// The position of each record's place in [`CaseSnapshot::place`].
    pub fn base_places(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.base.hot.iter().map(|hot| hot.place)
    }

    /// The same of the newer states.
    pub fn delta_places(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.delta.hot.iter().map(|hot| hot.place)
    }

    /// Keeps the base alive and tells it from another one.
    pub fn edition(&self) -> CaseEdition {
        CaseEdition(Arc::clone(self.base))
    }
}

/// Which base a snapshot stands on.
#[derive(Debug, Clone)]
pub struct CaseEdition(Arc<Run>);

impl PartialEq for CaseEdition {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A case that a query found.
#[derive(Debug, Clone, Copy)]
pub struct CaseHit<'a> {
    key: u64,
    area_m2: f32,
    record: &'a CaseRecord,
}

impl<'a> CaseHit<'a> {
    pub fn record(&self) -> &'a CaseRecord {
        self.record
    }

    /// m², 0 where unknown.
    pub fn area_m2(&self) -> f64 {
        f64::from(self.area_m2)
    }

    /// Position within the tile on a grid of `2^bits` squares a side (`bits` ≤ 12).
    pub fn square(&self, tile: TileAddress, bits: u32) -> (u32, u32) {
        let (x, y) = deinterleave(self.key);
        let shift = 32 - u32::from(tile.z()) - bits;
        let mask = (1 << bits) - 1;
        (x >> shift & mask, y >> shift & mask)
    }
}

/// A filter made ready for one snapshot.
struct Sieve<'a> {
    filter: &'a CaseFilter,
    /// By place: whether area and scope admit it; `None` when both admit all.
    places: Option<Vec<bool>>,
    /// `None` admits all.
    assignee: Option<u32>,
    /// The columns do not suffice: the case itself must be looked at.
    fine: bool,
}

impl Sieve<'_> {
    #[inline]
    fn admits(&self, hot: &Hot, record: &CaseRecord) -> bool {
        self.admits_columns(hot) && (!self.fine || self.filter.admits_fine(record))
    }

    #[inline]
    fn admits_columns(&self, hot: &Hot) -> bool {
        let filter = self.filter;
        filter.from.is_none_or(|from| hot.reported_at >= from)
            && filter.until.is_none_or(|until| hot.reported_at < until)
            && filter.status.admits(hot.status)
            && filter.nature.admits(hot.nature.into())
            && filter.source.admits(hot.source.into())
            && filter.category.admits(hot.category.into())
            && self.assignee.is_none_or(|index| hot.assignee == index)
            && self.places.as_ref().is_none_or(|places| places[hot.place as usize])
    }
}

impl CaseSnapshot {
    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.base.hot.len() - self.replaced.len() + self.delta.hot.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sieve<'a>(&self, filter: &'a CaseFilter) -> Option<Sieve<'a>> {
        let limited = filter.area.is_some() || filter.scope.is_some();
        let admits = |place: &Arc<CasePlace>| {
            [&filter.area, &filter.scope].into_iter().flatten().all(|area| place.is_within(area))
        };
        let places = limited.then(|| self.places.iter().map(admits).collect());
        let assignee = match filter.assignee {
            None => None,
            Some(person) => {
                // Index 0 stands for nobody, whatever id is asked for.
                let index = self.assignees.iter().skip(1).position(|a| *a == person)? + 1;
                Some(u32::try_from(index).ok()?)
            }
        };
        Some(Sieve { filter, places, assignee, fine: filter.is_fine() })
    }

    /// Every place that a case has or had.
    pub fn places(&self) -> impl Iterator<Item = &CasePlace> {
        self.places.iter().map(|place| &**place)
    }

    /// What lies still, replaced states among it, and what has changed since: for readers that
    /// keep columns of their own. [`CaseSnapshot::mask`] tells which rows count.
    pub fn parts(&self) -> CaseParts<'_> {
        CaseParts { base: &self.base, delta: &self.delta }
    }

    /// The place at a position; positions keep their meaning.
    pub fn place(&self, position: u32) -> Option<&Arc<CasePlace>> {
        self.places.get(position as usize)
    }

    /// Which rows of the two parts a filter admits.
    pub fn mask(&self, filter: &CaseFilter) -> (Vec<bool>, Vec<bool>) {
        let (base, delta) = (&*self.base, &self.delta);
        let Some(sieve) = self.sieve(filter) else {
            return (vec![false; base.hot.len()], vec![false; delta.hot.len()]);
        };
        let admitted = |run: &Run| -> Vec<bool> {
            run.hot.iter().zip(&run.records).map(|(hot, r)| sieve.admits(hot, r)).collect()
        };
        let mut still = admitted(base);
        for &row in &self.replaced {
            if let Some(row) = still.get_mut(row as usize) {
                *row = false;
            }
        }
        (still, admitted(delta))
    }

    /// Calls `found` for every case that the filter admits, in no stated order.
    pub fn visit_all<'a>(&'a self, filter: &CaseFilter, mut found: impl FnMut(&'a CaseRecord)) {
        if let Some(all) = TileAddress::new(0, 0, 0) {
            self.visit(all, filter, |hit| found(hit.record()));
        }
    }

    /// Calls `found` for every case of a tile that the filter admits, in no stated order.
    pub fn visit<'a>(
        &'a self,
        tile: TileAddress,
        filter: &CaseFilter,
        mut found: impl FnMut(CaseHit<'a>),
    ) {
        let Some(sieve) = self.sieve(filter) else { return };
        let mut scan = |run: &'a Run, replaced: Option<&HashSet<u32>>| {
            for index in run.range(tile) {
                let hot = &run.hot[index];
                let current = replaced.is_none_or(|r| !r.contains(&(index as u32)));
                if current && sieve.admits(hot, &run.records[index]) {
                    found(CaseHit {
                        key: hot.key,
                        area_m2: hot.area_m2,
                        record: &run.records[index],
                    });
                }
            }
        };
        scan(&self.base, (!self.replaced.is_empty()).then_some(&self.replaced));
        scan(&self.delta, None);
    }

    /// Calls `found` for every case in a box (degrees, borders included) that the filter admits.
    pub fn visit_box<'a>(
        &'a self,
        bounds: Rect,
        filter: &CaseFilter,
        mut found: impl FnMut(&'a CaseRecord),
    ) {
        let (min, max) = (bounds.min(), bounds.max());
        self.visit(smallest_tile_over(bounds), filter, |hit| {
            let record = hit.record();
            let inside =
                (min.x..=max.x).contains(&record.lon) && (min.y..=max.y).contains(&record.lat);
            if inside {
                found(record);
            }
        });
    }
}

/// The deepest tile that holds a whole box (degrees).
fn smallest_tile_over(bounds: Rect) -> TileAddress {
    let (a, b) = (address::project(bounds.min()), address::project(bounds.max()));
    (1..=MAX_ZOOM)
        .rev()
        .map(|z| (TileAddress::at(z, a), TileAddress::at(z, b)))
        .find(|(a, b)| a == b)
        .map_or(TileAddress::at(0, a), |(a, _)| a)
}

/// What only the writer needs.
#[derive(Debug, Default)]
struct Writer {
    base_rows: HashMap<Uuid, u32>,
    delta: HashMap<Uuid, Row>,
    place_ids: HashMap<Arc<CasePlace>, u32>,
    assignee_ids: HashMap<Uuid, u32>,
}

/// Since which change the cases of a tile are as they are.
#[derive(Debug, Default)]
struct Touched {
    now: u64,
    /// Tiles not listed are as of this change.
    floor: u64,
    tiles: HashMap<TileAddress, u64>,
}

/// Entries of [`Touched`] before it starts anew, which costs each tile one miss.
const MAX_TOUCHED: usize = 400_000;
/// The delta is merged into the base beyond this many rows and this share of the base.
const MAX_DELTA: usize = 2048;
const DELTA_SHARE: usize = 64;

/// All cases, kept in step by [`CaseIndex::apply`].
#[derive(Debug, Default)]
pub struct CaseIndex {
    writer: Mutex<Writer>,
    snapshot: ArcSwap<CaseSnapshot>,
    touched: RwLock<Touched>,
}

impl CaseIndex {
    /// The index over the cases of a store.
    pub fn new(records: impl IntoIterator<Item = CaseRecord>) -> Self {
        let index = Self::default();
        index.load(records.into_iter().map(Arc::new).collect());
        // The first load changes nothing for anyone.
        *index.touched.write().unwrap_or_else(PoisonError::into_inner) = Touched::default();
        index
    }

    /// All cases at this moment.
    pub fn snapshot(&self) -> Arc<CaseSnapshot> {
        self.snapshot.load_full()
    }

    /// Changes when a case of the tile comes, changes or leaves. Read it **before** the snapshot:
    /// then what is computed is never older than the revision it is filed under.
    pub fn revision(&self, tile: TileAddress) -> u64 {
        let touched = self.touched.read().unwrap_or_else(PoisonError::into_inner);
        touched.tiles.get(&tile).copied().unwrap_or(touched.floor)
    }

    /// Inserts cases, or replaces them by id unless the version known is newer.
    pub fn apply(&self, records: impl IntoIterator<Item = CaseRecord>) {
        self.load(records.into_iter().map(Arc::new).collect());
    }

    fn load(&self, records: Vec<Arc<CaseRecord>>) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.snapshot.load_full();
        let mut places = Arc::clone(&old.places);
        let mut assignees = Arc::clone(&old.assignees);
        if assignees.is_empty() {
            Arc::make_mut(&mut assignees).push(Uuid::nil());
        }
        let mut replaced = old.replaced.clone();
        let mut positions = Vec::new();
        for record in records {
            let base_row = writer.base_rows.get(&record.id).copied();
            let known = match (writer.delta.get(&record.id), base_row) {
                (Some(row), _) => Some((&row.record, row.hot.key)),
                (None, Some(row)) => {
                    Some((&old.base.records[row as usize], old.base.hot[row as usize].key))
                }
                (None, None) => None,
            };
            if let Some((known, key)) = known {
                if known.version > record.version || **known == *record {
                    continue;
                }
                positions.push(key);
            }
            replaced.extend(base_row);
            let hot = writer.hot(&record, &mut places, &mut assignees);
            positions.push(hot.key);
            writer.delta.insert(record.id, Row { hot, record });
        }
        if positions.is_empty() {
            return;
        }
        let merge = writer.delta.len() > MAX_DELTA.max(old.base.hot.len() / DELTA_SHARE);
        let next = if merge {
            let kept = old
                .base
                .rows()
                .zip(0u32..)
                .filter(|(_, i)| !replaced.contains(i))
                .map(|(row, _)| row);
            let rows = kept.chain(std::mem::take(&mut writer.delta).into_values()).collect();
            let base = Run::sorted(rows);
            writer.base_rows = base.records.iter().map(|r| r.id).zip(0..).collect();
            CaseSnapshot { base: Arc::new(base), places, assignees, ..Default::default() }
        } else {
            let delta = Run::sorted(writer.delta.values().cloned().collect());
            CaseSnapshot { base: Arc::clone(&old.base), replaced, delta, places, assignees }
        };
        self.snapshot.store(Arc::new(next));
        self.touched.write().unwrap_or_else(PoisonError::into_inner).add(&positions);
    }
}

impl Touched {
    fn add(&mut self, keys: &[u64]) {
        self.now += 1;
        let entries = usize::from(MAX_ZOOM) + 1;
        if self.tiles.len() + keys.len().saturating_mul(entries) > MAX_TOUCHED {
            self.tiles = HashMap::new();
            self.floor = self.now;
            return;
        }
        for &key in keys {
            let mut tile = Some(tile_of(key));
            while let Some(address) = tile {
                self.tiles.insert(address, self.now);
                tile = address.parent();
            }
        }
    }
}

impl Writer {
    fn hot(
        &mut self,
        record: &CaseRecord,
        places: &mut Arc<Vec<Arc<CasePlace>>>,
        assignees: &mut Arc<Vec<Uuid>>,
    ) -> Hot {
        let place = match self.place_ids.get(&record.place) {
            Some(&id) => id,
            None => {
                let id = places.len() as u32;
                Arc::make_mut(places).push(Arc::clone(&record.place));
                self.place_ids.insert(Arc::clone(&record.place), id);
                id
            }
        };
        let assignee = record.assignee.map_or(0, |person| {
            *self.assignee_ids.entry(person).or_insert_with(|| {
                Arc::make_mut(assignees).push(person);
                (assignees.len() - 1) as u32
            })
        });
        Hot {
            key: key_of(Coord { x: record.lon, y: record.lat }),
            reported_at: record.reported_at,
            place,
            assignee,
            area_m2: record.area_m2.filter(|a| a.is_finite()).unwrap_or(0.0) as f32,
            status: record.status.bit(),
            nature: record.nature.bit() as u8,
            source: record.source.map_or(0, |s| s.bit() as u8),
            category: record.category.map_or(0, |c| category_bit(c) as u8),
        }
    }
}

fn key_of(position: Coord) -> u64 {
    let world = address::project(position);
    // A cast saturates at the world's rim, and NaN gives 0.
    let fixed = |v: f64| (v * 4_294_967_296.0) as u32;
    interleave(fixed(world.x)) | interleave(fixed(world.y)) << 1
}

fn tile_of(key: u64) -> TileAddress {
    let (x, y) = deinterleave(key);
    let shift = 32 - u32::from(MAX_ZOOM);
    TileAddress::new(MAX_ZOOM, x >> shift, y >> shift).expect("18 bits are in range")
}

/// First and last key of a tile.
fn key_range(tile: TileAddress) -> (u64, u64) {
    let shift = 64 - 2 * u32::from(tile.z());
    let prefix = interleave(tile.x()) | interleave(tile.y()) << 1;
    let first = prefix.checked_shl(shift).unwrap_or(0);
    (first, first | u64::MAX.checked_shr(2 * u32::from(tile.z())).unwrap_or(0))
}

#[cfg(test)]
#[path = "case_index_tests.rs"]
pub(crate) mod tests;
