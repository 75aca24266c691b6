//! The cases in columns: one frame of what lies still, kept until it changes, and a small one of
//! what has changed since. Which rows a filter admits, the case index tells.

use crate::atlas::category::Category;
use crate::error::{Fault, Result};
use crate::tiles::case_index::{CaseEdition, CaseSnapshot};
use crate::tiles::cases::{CaseFilter, CaseRecord};
use polars::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// Column names; the five categories are columns of their own names, m².
pub mod column {
    /// Position of the place in [`super::CaseView::place`].
    pub const PLACE: &str = "place";
    /// Positions in [`super::CaseView::person`]; 0 is nobody.
    pub const ASSIGNEE: &str = "assignee";
    pub const REPORTER: &str = "reporter";
    /// Position of the status in `CaseStatus::ALL`.
    pub const STATUS: &str = "status";
    /// As reported, m²; null where nobody said.
    pub const REPORTED_M2: &str = "reported_m2";
    pub const DEMOLISHED_M2: &str = "demolished_m2";
    /// Moments: seconds since 1970 UTC.
    pub const REPORTED_AT: &str = "reported_at";
    pub const CLOSED_AT: &str = "closed_at";
    pub const DEMOLISHED_AT: &str = "demolished_at";
    pub const DUE_AT: &str = "due_at";
    pub const STOP_DUE_AT: &str = "stop_due_at";
    pub const CLOSE_DUE_AT: &str = "close_due_at";
    pub const VISITED_AT: &str = "visited_at";
    pub const STOPPED_AT: &str = "stopped_at";
    pub const APPLIED_AT: &str = "applied_at";
    pub const RETURNED: &str = "times_returned";
    pub const EXTENDED: &str = "times_extended";
    pub const IMPORTED: &str = "imported";
}
use column::*;

/// People by position, from 1 on; grows only, so positions keep their meaning.
#[derive(Debug, Default)]
struct People {
    positions: HashMap<Uuid, u32>,
    ids: Vec<Uuid>,
}

impl People {
    fn position(&mut self, id: Option<Uuid>) -> u32 {
        let Some(id) = id else { return 0 };
        *self.positions.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len() as u32
        })
    }
}

#[derive(Debug, Default)]
struct Held {
    base: Option<(CaseEdition, DataFrame)>,
    people: People,
}

/// Keeps the frames. Cheap to ask again while no case changes.
#[derive(Debug, Default)]
pub struct CaseFrames {
    held: Mutex<Held>,
}

impl CaseFrames {
    /// The cases of a snapshot in columns.
    pub fn view(&self, snapshot: Arc<CaseSnapshot>) -> Result<CaseView> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Held { base, people } = &mut *held;
        let parts = snapshot.parts();
        let edition = parts.edition();
        let frame = match base {
            Some((known, frame)) if *known == edition => frame.clone(),
            _ => {
                let frame = columns(parts.base(), parts.base_places(), people)?;
                *base = Some((edition, frame.clone()));
                frame
            }
        };
        let delta = columns(parts.delta(), parts.delta_places(), people)?;
        let people = people.ids.clone();
        Ok(CaseView { base: frame, delta, people, snapshot })
    }
}

/// The cases of one snapshot.
#[derive(Debug)]
pub struct CaseView {
    pub snapshot: Arc<CaseSnapshot>,
    base: DataFrame,
    delta: DataFrame,
    people: Vec<Uuid>,
}

impl CaseView {
    /// The cases a filter admits, in some columns.
    pub fn frame(&self, filter: &CaseFilter, columns: &[&str]) -> Result<DataFrame> {
        let (base, delta) = self.snapshot.mask(filter);
        let part = |frame: &DataFrame, mask: Vec<bool>| -> PolarsResult<DataFrame> {
            let mask = BooleanChunked::from_slice("mask".into(), &mask);
            frame.select(columns.iter().copied())?.filter(&mask)
        };
        let both = || {
            let mut frame = part(&self.base, base)?;
            if self.delta.height() > 0 {
                frame.vstack_mut(&part(&self.delta, delta)?)?;
            }
            Ok(frame)
        };
        both().map_err(|error: PolarsError| Fault::internal(error))
    }

    /// The person at a position of [`column::ASSIGNEE`] or [`column::REPORTER`].
    pub fn person(&self, position: u32) -> Option<Uuid> {
        self.people.get(usize::try_from(position.checked_sub(1)?).ok()?).copied()
    }
}

fn columns(
    records: &[Arc<CaseRecord>],
    places: impl Iterator<Item = u32>,
    people: &mut People,
) -> Result<DataFrame> {
    let floats = |name: &str, value: &dyn Fn(&CaseRecord) -> f64| {
        Column::new(name.into(), records.iter().map(|r| value(r)).collect::<Vec<f64>>())
    };
    let moments = |name: &str, value: &dyn Fn(&CaseRecord) -> Option<i64>| {
        Column::new(name.into(), records.iter().map(|r| value(r)).collect::<Vec<Option<i64>>>())
    };
    let numbers = |name: &str, value: &dyn Fn(&CaseRecord) -> u32| {
        Column::new(name.into(), records.iter().map(|r| value(r)).collect::<Vec<u32>>())
    };
    let assignees: Vec<u32> = records.iter().map(|r| people.position(r.assignee)).collect();
    let reporters: Vec<u32> = records.iter().map(|r| people.position(r.figures.reporter)).collect();
    let reported: Vec<Option<f64>> = records.iter().map(|r| r.figures.reported_m2).collect();
    let imported: Vec<bool> = records.iter().map(|r| r.figures.imported).collect();
    let mut all = vec![
        Column::new(PLACE.into(), places.collect::<Vec<u32>>()),
        Column::new(ASSIGNEE.into(), assignees),
        Column::new(REPORTER.into(), reporters),
        Column::new(REPORTED_M2.into(), reported),
        Column::new(IMPORTED.into(), imported),
        numbers(STATUS, &|r| r.status as u32),
        numbers(RETURNED, &|r| r.figures.times_returned),
        numbers(EXTENDED, &|r| r.figures.times_extended),
        floats(DEMOLISHED_M2, &|r| r.figures.demolished_m2),
        moments(REPORTED_AT, &|r| Some(r.reported_at)),
        moments(CLOSED_AT, &|r| r.figures.closed_at),
        moments(DEMOLISHED_AT, &|r| r.figures.demolished_at),
        moments(DUE_AT, &|r| r.figures.due_at),
        moments(STOP_DUE_AT, &|r| r.figures.stop_due_at),
        moments(CLOSE_DUE_AT, &|r| r.figures.close_due_at),
        moments(VISITED_AT, &|r| r.figures.visited_at),
        moments(STOPPED_AT, &|r| r.figures.stopped_at),
        moments(APPLIED_AT, &|r| r.figures.applied_at),
    ];
    for category in Category::ALL {
        all.push(floats(category.as_str(), &|r| {
            let mut areas = r.figures.areas;
            *areas.get_mut(category)
        }));
    }
    DataFrame::new(records.len(), all).map_err(Fault::internal)
}
