//! One import from file to draft, as the command and the service both run it.

use super::fields::needs_code;
use super::publish::{self, PublishOptions, Reading};
use super::{Draft, ReadOptions, Report, check, read};
use crate::atlas::feature::{LayerInfo, LayerKind};
use crate::atlas::lookup::Atlas;
use crate::error::Result;
use crate::store::reassign::{reassign_open_cases, would_change_hands};
use crate::store::{Store, features};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// An import that has begun: its row in the store is in state `reading`.
pub struct Job {
    reading: Reading,
    store: Store,
    layer: LayerInfo,
    options: ReadOptions,
    atlas: Atlas,
}

/// Followers need no more than a few steps a second.
const TELL_EVERY: Duration = Duration::from_millis(300);

/// Reads and checks a file without keeping anything.
pub fn dry_run(
    store: &Store,
    path: &Path,
    layer: &str,
    options: &ReadOptions,
    progress: &dyn Fn(f32),
) -> Result<Report> {
    let mut conn = store.conn()?;
    let atlas = features::load_atlas(&mut conn)?;
    // Of a layer that is not there yet, a dry run leaves no trace.
    let known = features::layer_infos(&mut conn)?.into_iter().find(|info| info.name == layer);
    let info = known.unwrap_or_else(|| LayerInfo {
        name: layer.to_string(),
        kind: LayerKind::Overlay,
        title_zh: layer.to_string(),
        title_en: layer.to_string(),
    });
    drop(conn);
    let mut draft = read(path, &info, options, &atlas, progress)?;
    check_all(store, &mut draft, &atlas)?;
    Ok(draft.report)
}

/// Begins an import into a layer.
pub fn begin(
    store: &Store,
    layer: &str,
    file_name: &str,
    options: ReadOptions,
    created_by: Option<Uuid>,
) -> Result<Job> {
    let (atlas, layer) = surroundings(store, layer)?;
    let reading = publish::begin(store, &layer.name, file_name, &options, created_by)?;
    Ok(Job { reading, store: store.clone(), layer, options, atlas })
}

fn surroundings(store: &Store, layer: &str) -> Result<(Atlas, LayerInfo)> {
    let mut conn = store.conn()?;
    let layer = features::layer_or_new_overlay(&mut conn, layer)?;
    Ok((features::load_atlas(&mut conn)?, layer))
}

/// Checks a draft against itself and what is in force, and counts the cases it would move.
pub(super) fn check_all(store: &Store, draft: &mut Draft, atlas: &Atlas) -> Result<()> {
    check::check(draft, atlas);
    // Only areas decide who answers; what land they stand on does not.
    if needs_code(&draft.layer.name) {
        let generation = atlas.generation() + 1;
        let layer = draft.layer_after(atlas, generation)?;
        let after = atlas.with_layers(generation, [Arc::new(layer)]);
        draft.report.changes.cases_reassigned = would_change_hands(&mut *store.conn()?, &after)?;
    }
    Ok(())
}

impl Job {
    pub fn id(&self) -> Uuid {
        self.reading.id
    }

    /// Reads, checks and keeps the draft; a refusal is kept as the import's outcome.
    pub fn run(self, path: &Path, progress: &dyn Fn(f32)) -> Result<Report> {
        let Self { reading, store, layer, options, atlas } = self;
        let told = Cell::new(Instant::now());
        let tell = |share: f32| {
            progress(share);
            if told.get().elapsed() > TELL_EVERY {
                told.set(Instant::now());
                if let Err(fault) = reading.progress(share * 0.9) {
                    tracing::debug!(%fault, "progress not told");
                }
            }
        };
        let checked = read(path, &layer, &options, &atlas, &tell)
            .and_then(|mut draft| check_all(&store, &mut draft, &atlas).map(|()| draft));
        match checked {
            Ok(mut draft) => {
                reading.finish(&mut draft, atlas.generation())?;
                Ok(draft.report)
            }
            Err(fault) => {
                reading.fail(&fault)?;
                Err(fault)
            }
        }
    }
}

/// Puts a draft into force and moves the open cases.
pub fn publish(store: &Store, id: Uuid, options: PublishOptions) -> Result<(Report, u64)> {
    publish::publish(store, id, options, &mut reassign_open_cases)
}
