//! `xuncha backup` and `xuncha restore`.

use crate::error::{Fault, Result};
use crate::store::Store;
use crate::store::backup::{self, Manifest};
use crate::store::blobs::Blobs;
use std::path::PathBuf;

/// Writes database and evidence into one file, as of one moment, while the service runs.
///
/// The file holds personal data: only its owner may read it. It appears whole or not at all.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// Where to, e.g. xuncha-2026-11-23.tar.zst
    file: PathBuf,
    /// Print what it holds as JSON
    #[arg(long)]
    json: bool,
}

/// Reads a backup into an empty store; refuses one that holds anything.
///
/// Run `xuncha check` afterwards. Where it fails, the store is empty as before.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// A file that `xuncha backup` made
    file: PathBuf,
    /// Print what it held as JSON
    #[arg(long)]
    json: bool,
}

pub fn backup(args: &BackupArgs, store: &Store, blobs: &Blobs) -> Result<()> {
    print(&backup::backup(store, blobs, &args.file)?, args.json)
}

pub fn restore(args: &RestoreArgs, store: &Store, blobs: &Blobs) -> Result<()> {
    print(&backup::restore(store, blobs, &args.file)?, args.json)
}

fn print(manifest: &Manifest, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(manifest).map_err(Fault::internal)?);
        return Ok(());
    }
    let rows = |table| manifest.rows.get(table).copied().unwrap_or(0);
    println!(
        "{}: {} cases with {} events, {} people, {} boundaries; {} attachments, {} bytes; audit head {}",
        manifest.made_at.format("%Y-%m-%dT%H:%M:%SZ"),
        rows("cases"),
        rows("case_events"),
        rows("people"),
        rows("features"),
        manifest.attachments,
        manifest.attachment_bytes,
        manifest.audit_head,
    );
    Ok(())
}
