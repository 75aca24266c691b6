//! What every handler can reach.

use super::delivery::OutsideOptions;
use super::public_reports::Gate;
use super::session::Account;
use crate::enforcement::clock::Clock;
use crate::error::{Fault, Result};
use crate::store::Store;
use crate::store::blobs::Blobs;
use crate::store::world::{Change, World};
use crate::store::{previews, uploads};
use crate::tiles::service::TileService;
use actix_web::web::Data;
use moka::sync::Cache;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// The service's parts, shared by all workers.
pub struct AppState {
    pub store: Store,
    /// Boundaries, people and cases in memory, in step with the store.
    pub world: Arc<World>,
    pub tiles: TileService,
    /// The time, for whatever decides by it.
    pub clock: Clock,
    /// The bytes of evidence.
    pub blobs: Blobs,
    /// Uploads in work and small copies lie here.
    pub data_dir: PathBuf,
    /// How messages reach the outside, and how the outside reaches us.
    pub outside: OutsideOptions,
    /// Holds off who reports too much without log-in.
    pub public_gate: Gate,
    /// Cookies are `Secure`: only behind TLS.
    pub secure_cookies: bool,
    /// Who a credential belongs to, by its hash; short-lived, so that a log-out elsewhere counts soon.
    pub accounts: Cache<[u8; 32], Arc<Account>>,
}

/// How long a log-out or a change of person in another process may go unseen.
const ACCOUNT_CACHE: Duration = Duration::from_secs(5);

/// Memory for encoded tiles, bytes.
const TILE_CACHE_BYTES: u64 = 128 << 20;

impl AppState {
    pub fn new(
        store: Store,
        world: Arc<World>,
        blobs: Blobs,
        data_dir: PathBuf,
        secure_cookies: bool,
    ) -> Self {
        let accounts = Cache::builder().max_capacity(20_000).time_to_live(ACCOUNT_CACHE).build();
        let tiles = TileService::new(TILE_CACHE_BYTES);
        let clock = world.clock.clone();
        Self {
            store,
            world,
            tiles,
            clock,
            blobs,
            data_dir,
            outside: OutsideOptions::default(),
            public_gate: Gate::default(),
            secure_cookies,
            accounts,
        }
    }
}

impl AppState {
    /// Where uploads lie while they are read.
    pub fn upload_folder(&self) -> PathBuf {
        self.data_dir.join("uploads")
    }
}

/// Prepares layers for tiles in the background, at the start and after every publish: otherwise
/// the first to look at a layer would wait for it.
pub fn keep_tiles_prepared(state: &Data<AppState>) {
    let mut changes = state.world.changes.subscribe();
    let state = Arc::downgrade(&state.clone().into_inner());
    std::thread::spawn(move || {
        loop {
            let Some(state) = state.upgrade() else { return };
            for layer in state.world.atlas.load().layers() {
                state.tiles.prepare(layer);
            }
            drop(state);
            loop {
                match changes.blocking_recv() {
                    Ok(Change::Boundaries { .. }) | Err(RecvError::Lagged(_)) => break,
                    Ok(_) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        }
    });
}

/// How often what nobody needs any more is thrown away.
const TIDY_EVERY: Duration = Duration::from_secs(3600);

/// Throws away, in the background, uploads that nobody finished and the oldest small copies.
pub fn keep_tidy(state: &Data<AppState>) {
    let state = Arc::downgrade(&state.clone().into_inner());
    std::thread::spawn(move || {
        while let Some(state) = state.upgrade() {
            let swept = uploads::sweep(&state.store, &state.data_dir, state.clock.now())
                .and_then(|_| previews::sweep(&state.data_dir));
            if let Err(fault) = swept {
                tracing::warn!("tidying up: {fault}");
            }
            drop(state);
            std::thread::sleep(TIDY_EVERY);
        }
    });
}

/// Runs blocking work (SQL, hashing, geometry) off the event loop.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    actix_web::web::block(work).await.map_err(Fault::internal)?
}
