//! `xuncha serve`.

use crate::boundaries::publish::clear_interrupted;
use crate::config::StoreConfig;
use crate::error::{Fault, Result};
use crate::store::Store;
use crate::store::audit::Sealer;
use crate::store::blobs::Blobs;
use crate::store::scheduler;
use crate::store::world::{World, follow};
use crate::web::delivery::OutsideOptions;
use crate::web::state::AppState;
use crate::web::{self, ServeOptions};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// How to serve.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub bind: SocketAddr,
    /// Certificate chain, PEM; camera, position and push need HTTPS beyond localhost
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    #[command(flatten)]
    pub outside: OutsideOptions,
}

/// Serves until interrupted; calls `ready` with the address in use.
pub fn run(
    args: ServeArgs,
    store: Store,
    config: &StoreConfig,
    ready: impl FnOnce(SocketAddr),
) -> Result<()> {
    let started = Instant::now();
    crate::enforcement::messages::check_built_in()?;
    let interrupted = clear_interrupted(&store)?;
    if interrupted > 0 {
        tracing::warn!(interrupted, "imports were interrupted when the service stopped");
    }
    let world = Arc::new(World::load(&store)?);
    world.warm();
    let _follower = follow(store.clone(), &world);
    let sealer = Sealer::start(store.clone());
    let _scheduler = scheduler::run(store.clone(), Arc::downgrade(&world));
    let tls = args.tls_cert.zip(args.tls_key);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let data_dir = config.data_dir.canonicalize().map_err(Fault::internal)?;
    let blobs = Blobs::open(config)?;
    let mut state =
        AppState::new(store.clone(), Arc::clone(&world), blobs, data_dir, tls.is_some());
    state.outside = args.outside;
    let generation = world.atlas.load().generation();
    let runtime = actix_web::rt::System::new();
    let served =
        runtime.block_on(web::serve(state, ServeOptions { bind: args.bind, tls }, |address| {
            tracing::info!(
                generation,
                "ready in {:.1} s: {scheme}://{address}",
                started.elapsed().as_secs_f64()
            );
            ready(address);
        }));
    drop((world, sealer));
    store.close();
    served
}
