//! Backup and restore: database and evidence in one file, consistent while the service runs.
//!
//! The file is a tar packed with zstd: `manifest.json`, the evidence by its hash, the database as
//! `pg_dump` writes it, cut into pieces, and `end.json`, without which it is not whole. All of it
//! is one snapshot of the database; evidence only grows, so whatever the snapshot names is there.

mod programs;
mod restore;

pub use restore::restore;

use super::blobs::Blobs;
use super::schema::attachments as table;
use super::{Store, audit};
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use programs::{last_words, program, tool_failed};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;

/// The first entry of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`]
    pub format: u32,
    pub program: String,
    pub made_at: DateTime<Utc>,
    /// The newest migration of the database.
    pub schema: String,
    /// The end of the audit chain, `seq:hash`.
    pub audit_head: String,
    /// Rows of every table.
    pub rows: BTreeMap<String, i64>,
    pub attachments: u64,
    pub attachment_bytes: u64,
}

/// The last entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct End {
    database_bytes: u64,
    database_sha256: String,
    attachments: u64,
}

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const END: &str = "end.json";
/// Length of a piece of the database, bytes.
const PIECE: u64 = 16 << 20;

fn damaged(detail: impl std::fmt::Display) -> Fault {
    Fault::new(
        FaultKind::Invalid,
        "backup_damaged",
        format!("备份文件不完整或被改动：{detail}"),
        format!("The backup is not whole or has been changed: {detail}"),
    )
}

fn unreadable(path: &Path, error: std::io::Error) -> Fault {
    Fault::new(
        FaultKind::Invalid,
        "unreadable",
        format!("无法读写文件 {}：{error}", path.display()),
        format!("Cannot read or write {}: {error}", path.display()),
    )
}

// ------------------------------------------------------------------ backup

/// Writes a backup. The file appears under its name when it is whole, in place of an older one.
pub fn backup(store: &Store, blobs: &Blobs, path: &Path) -> Result<Manifest> {
    audit::seal(store)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Only its owner may read it (mode 0600): it holds personal data.
    let file = tempfile::NamedTempFile::new_in(folder).map_err(|e| unreadable(path, e))?;
    let mut packer = zstd::Encoder::new(BufWriter::new(&file), 3).map_err(Fault::internal)?;
    packer.include_checksum(true).map_err(Fault::internal)?;
    let mut archive = tar::Builder::new(packer);
    let manifest = write(store, blobs, &mut archive)?;
    let packer = archive.into_inner().map_err(|e| unreadable(path, e))?;
    let mut writer = packer.finish().map_err(|e| unreadable(path, e))?;
    writer.flush().map_err(|e| unreadable(path, e))?;
    drop(writer);
    file.as_file().sync_all().map_err(|e| unreadable(path, e))?;
    file.persist(path).map_err(|e| unreadable(path, e.error))?;
    Ok(manifest)
}

fn write<W: Write>(
    store: &Store,
    blobs: &Blobs,
    archive: &mut tar::Builder<W>,
) -> Result<Manifest> {
    let mut conn = store.owner_conn()?;
    // Held open to the end: the dump reads the same snapshot.
    conn.build_transaction().repeatable_read().read_only().run(|conn| {
        let (mut manifest, snapshot) = describe(conn)?;
        let evidence: Vec<(Vec<u8>, i64)> = table::table
            .distinct()
            .order(table::sha256)
            .select((table::sha256, table::bytes))
            .load(conn)?;
        manifest.attachments = evidence.len() as u64;
        manifest.attachment_bytes = evidence.iter().map(|(_, bytes)| *bytes as u64).sum();
        append_json(archive, MANIFEST, &manifest)?;
        for (sha256, bytes) in &evidence {
            append_evidence(archive, blobs, sha256, *bytes as u64)?;
        }
        let (database_bytes, database_sha256) = dump(store, &snapshot, archive)?;
        let end = End { database_bytes, database_sha256, attachments: manifest.attachments };
        append_json(archive, END, &end)?;
        Ok(manifest)
    })
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

fn text(conn: &mut PgConnection, query: &str) -> Result<String> {
    Ok(diesel::sql_query(query).get_result::<TextRow>(conn)?.value)
}

/// The tables that hold our data.
fn tables(conn: &mut PgConnection) -> Result<Vec<String>> {
    let rows: Vec<TextRow> = diesel::sql_query(
        "SELECT c.relname::text AS value FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relpersistence = 'p'
           AND c.relname NOT IN ('spatial_ref_sys', '__diesel_schema_migrations') ORDER BY 1",
    )
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}

fn rows_of(conn: &mut PgConnection, table: &str) -> Result<i64> {
    let query = format!("SELECT count(*) AS value FROM \"{table}\"");
    Ok(diesel::sql_query(query).get_result::<CountRow>(conn)?.value)
}

/// The manifest but for the evidence, and the name of the snapshot.
fn describe(conn: &mut PgConnection) -> Result<(Manifest, String)> {
    let mut rows = BTreeMap::new();
    for table in tables(conn)? {
        let count = rows_of(conn, &table)?;
        rows.insert(table, count);
    }
    let manifest = Manifest {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").into(),
        made_at: Utc::now(),
        schema: schema_version(conn)?,
        audit_head: audit::head(conn)?.to_string(),
        rows,
        attachments: 0,
        attachment_bytes: 0,
    };
    Ok((manifest, text(conn, "SELECT pg_export_snapshot() AS value")?))
}

fn schema_version(conn: &mut PgConnection) -> Result<String> {
    text(conn, "SELECT max(version)::text AS value FROM __diesel_schema_migrations")
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    size: u64,
    content: impl Read,
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, name, content).map_err(|e| {
        let mut fault = Fault::internal(format!("{name}: {e}"));
        fault.zh = "备份无法写入（磁盘已满？）".into();
        fault.en = "The backup cannot be written (is the disk full?)".into();
        fault
    })
}

fn append_json<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    content: &impl Serialize,
) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(content).map_err(Fault::internal)?;
    append(archive, name, bytes.len() as u64, bytes.as_slice())
}

fn append_evidence<W: Write>(
    archive: &mut tar::Builder<W>,
    blobs: &Blobs,
    sha256: &[u8],
    bytes: u64,
) -> Result<()> {
    let name = hex::encode(sha256);
    let missing = |detail: String| {
        Fault::new(
            FaultKind::Conflict,
            "evidence_missing",
            format!("附件 {name} 缺失或长度不符，无法备份；请运行 xuncha check：{detail}"),
            format!("Evidence {name} is missing or of another length; run xuncha check: {detail}"),
        )
    };
    // One piece of evidence is at most a short video; it is read whole.
    let content = match blobs.size(sha256)? {
        None => return Err(missing("no such bytes".into())),
        Some(size) if size != bytes => return Err(missing(format!("{size} of {bytes} bytes"))),
        Some(_) => blobs.read(sha256)?,
    };
    append(archive, &format!("attachments/{}/{name}", &name[..2]), bytes, content.as_slice())
}

/// Runs `pg_dump` on the snapshot and cuts what it says into entries; gives length and sha256.
fn dump<W: Write>(
    store: &Store,
    snapshot: &str,
    archive: &mut tar::Builder<W>,
) -> Result<(u64, String)> {
    let mut command = program(store, "pg_dump")?;
    // Packed by us; events and streams of the moment are not kept.
    command
        .args(["--format=custom", "--compress=0", "--no-owner", "--no-unlogged-table-data"])
        .arg(format!("--snapshot={snapshot}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| tool_failed("pg_dump", e))?;
    let mut output = child.stdout.take().ok_or_else(|| Fault::internal("no output of pg_dump"))?;
    let words = last_words(child.stderr.take());
    let mut hash = Sha256::new();
    let (mut length, mut number) = (0, 0);
    let mut piece = Vec::new();
    loop {
        piece.clear();
        (&mut output).take(PIECE).read_to_end(&mut piece).map_err(Fault::internal)?;
        if piece.is_empty() {
            break;
        }
        hash.update(&piece);
        let name = format!("database/{number:08}");
        if let Err(fault) = append(archive, &name, piece.len() as u64, piece.as_slice()) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(fault);
        }
        length += piece.len() as u64;
        number += 1;
    }
    let status = child.wait().map_err(|e| tool_failed("pg_dump", e))?;
    let words = words.join().unwrap_or_default();
    if !status.success() {
        return Err(tool_failed("pg_dump", words));
    }
    Ok((length, hex::encode(hash.finalize())))
}
