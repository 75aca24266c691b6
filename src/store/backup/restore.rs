//! Reading a backup into an empty store.

use super::programs::{last_words, program, tool_failed};
use super::{
    CountRow, END, End, FORMAT, MANIFEST, Manifest, damaged, rows_of, schema_version, unreadable,
};
use crate::error::{Fault, FaultKind, Result};
use crate::store::Store;
use crate::store::blobs::Blobs;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;

/// Larger evidence is none of ours, bytes.
const LARGEST_EVIDENCE: u64 = 1 << 30;
/// Our own JSON entries are never longer, bytes.
const LARGEST_JSON: u64 = 4 << 20;

/// Reads a backup into an empty store; gives its manifest. Whatever fails leaves the store empty.
pub fn restore(store: &Store, blobs: &Blobs, path: &Path) -> Result<Manifest> {
    refuse_unless_empty(store)?;
    let file = File::open(path).map_err(|e| unreadable(path, e))?;
    let unpacker = zstd::Decoder::new(BufReader::new(file)).map_err(damaged)?;
    let mut archive = tar::Archive::new(unpacker);
    let mut entries = archive.entries().map_err(damaged)?;
    let manifest: Manifest = {
        let first = entries.next().ok_or_else(|| damaged("it is empty"))?;
        let mut first = first.map_err(damaged)?;
        if Kind::of(&first)? != Kind::Manifest {
            return Err(damaged("it does not begin with its manifest"));
        }
        json(&mut first)?
    };
    let known = schema_version(&mut store.owner_conn()?)?;
    if manifest.format != FORMAT || manifest.schema > known {
        return Err(Fault::new(
            FaultKind::Conflict,
            "store_newer",
            format!("备份由更新版本的程序（{}）生成，请升级程序", manifest.program),
            format!(
                "The backup was made by a newer program ({}); upgrade this one",
                manifest.program
            ),
        ));
    }
    let mut loader = None;
    let restored = read_entries(store, blobs, &mut entries, &mut loader);
    let restored = restored.and_then(|end| {
        if end.attachments != manifest.attachments {
            return Err(damaged("evidence is missing"));
        }
        verify_counts(store, &manifest)
    });
    match restored {
        Ok(()) => Ok(manifest),
        Err(fault) => {
            if let Some(loader) = loader {
                Loader::abandon(loader);
                empty_again(store)?;
            }
            Err(fault)
        }
    }
}

/// The tables that only work fills; a fresh store has rows in none of them.
const FILLED_BY_WORK: [&str; 7] =
    ["people", "cases", "case_events", "attachments", "features", "imports", "audit"];

fn refuse_unless_empty(store: &Store) -> Result<()> {
    let mut conn = store.owner_conn()?;
    for table in FILLED_BY_WORK {
        if rows_of(&mut conn, table)? > 0 {
            return Err(Fault::new(
                FaultKind::Conflict,
                "store_not_empty",
                format!("目标数据库不是空的（{table} 中已有数据）；只能恢复到空库"),
                format!(
                    "The store is not empty ({table} has rows); a backup goes into an empty one"
                ),
            ));
        }
    }
    let sessions = diesel::sql_query(
        "SELECT count(*) AS value FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'xuncha'",
    )
    .get_result::<CountRow>(&mut conn)?;
    // The pool's own ones are idle.
    if sessions.value > i64::from(store.pool_connections()) {
        return Err(Fault::new(
            FaultKind::Conflict,
            "store_in_use",
            "目标数据库正被 xuncha serve 使用，请先停止服务",
            "xuncha serve is using the store; stop it first",
        ));
    }
    Ok(())
}

/// What an entry is, by its name. Nothing else is read, and no name becomes a path.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Manifest,
    Evidence([u8; 32]),
    Piece(u64),
    End,
}

impl Kind {
    fn of<R: Read>(entry: &tar::Entry<R>) -> Result<Self> {
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(damaged("an entry is no plain file"));
        }
        let name = entry.path_bytes();
        let name = std::str::from_utf8(&name).map_err(|_| damaged("an entry has an odd name"))?;
        Self::parse(name).ok_or_else(|| damaged(format!("unknown entry {:?}", shortened(name))))
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            MANIFEST => return Some(Self::Manifest),
            END => return Some(Self::End),
            _ => {}
        }
        if let Some(number) = name.strip_prefix("database/") {
            let plain = number.len() == 8 && number.bytes().all(|b| b.is_ascii_digit());
            return plain.then(|| number.parse().ok().map(Self::Piece)).flatten();
        }
        let (folder, hash) = name.strip_prefix("attachments/")?.split_once('/')?;
        let lower =
            hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let mut sha256 = [0; 32];
        (lower && hash.starts_with(folder) && folder.len() == 2).then_some(())?;
        hex::decode_to_slice(hash, &mut sha256).ok()?;
        Some(Self::Evidence(sha256))
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

fn json<T: serde::de::DeserializeOwned>(entry: &mut impl Read) -> Result<T> {
    let mut bytes = Vec::new();
    entry.take(LARGEST_JSON).read_to_end(&mut bytes).map_err(damaged)?;
    serde_json::from_slice(&bytes).map_err(damaged)
}

fn read_entries<R: Read>(
    store: &Store,
    blobs: &Blobs,
    entries: &mut tar::Entries<R>,
    loader: &mut Option<Loader>,
) -> Result<End> {
    let mut kept = 0;
    let mut pieces = 0;
    for entry in entries {
        let mut entry = entry.map_err(damaged)?;
        match Kind::of(&entry)? {
            Kind::Manifest => return Err(damaged("two manifests")),
            Kind::Evidence(sha256) => {
                keep_evidence(blobs, &sha256, &mut entry)?;
                kept += 1;
            }
            Kind::Piece(number) => {
                if number != pieces {
                    return Err(damaged(format!("piece {pieces} of the database is missing")));
                }
                pieces += 1;
                if loader.is_none() {
                    *loader = Some(Loader::start(store)?);
                }
                if let Some(loader) = loader {
                    loader.feed(&mut entry)?;
                }
            }
            Kind::End => {
                let end: End = json(&mut entry)?;
                let loader = loader.as_mut().ok_or_else(|| damaged("it holds no database"))?;
                if end.attachments != kept {
                    return Err(damaged("evidence is missing"));
                }
                if loader.length != end.database_bytes
                    || hex::encode(loader.hash.clone().finalize()) != end.database_sha256
                {
                    return Err(damaged("the database in it is not what was backed up"));
                }
                loader.finish()?;
                return Ok(end);
            }
        }
    }
    Err(damaged("it breaks off"))
}

fn keep_evidence(blobs: &Blobs, sha256: &[u8; 32], entry: &mut impl Read) -> Result<()> {
    let name = hex::encode(sha256);
    let mut spooled = tempfile::tempfile().map_err(Fault::internal)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        let read = entry.read(&mut buffer).map_err(damaged)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        spooled.write_all(&buffer[..read]).map_err(Fault::internal)?;
        length += read as u64;
        if length > LARGEST_EVIDENCE {
            return Err(damaged(format!("evidence {name} is too large")));
        }
    }
    if hash.finalize()[..] != sha256[..] {
        return Err(damaged(format!("evidence {name} has other bytes")));
    }
    blobs.put(sha256, &mut spooled, length)
}

/// `pg_restore` at work.
struct Loader {
    child: std::process::Child,
    input: Option<std::process::ChildStdin>,
    words: Option<std::thread::JoinHandle<String>>,
    hash: Sha256,
    length: u64,
}

impl Loader {
    /// Empties the schema that the migrations have made, and begins to load into it.
    fn start(store: &Store) -> Result<Self> {
        drop_schema(store)?;
        let mut command = program(store, "pg_restore")?;
        command
            .args(["--single-transaction", "--exit-on-error", "--no-owner"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| tool_failed("pg_restore", e))?;
        let input = child.stdin.take();
        let words = Some(last_words(child.stderr.take()));
        Ok(Self { child, input, words, hash: Sha256::new(), length: 0 })
    }

    fn feed(&mut self, entry: &mut impl Read) -> Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = entry.read(&mut buffer).map_err(damaged)?;
            let part = &buffer[..read];
            if part.is_empty() {
                return Ok(());
            }
            self.hash.update(part);
            self.length += read as u64;
            let input = self.input.as_mut().ok_or_else(|| Fault::internal("no input"))?;
            if let Err(error) = input.write_all(part) {
                return Err(self.said(error));
            }
        }
    }

    fn said(&mut self, error: impl std::fmt::Display) -> Fault {
        drop(self.input.take());
        let _ = self.child.wait();
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        if words.is_empty() {
            tool_failed("pg_restore", error)
        } else {
            tool_failed("pg_restore", words)
        }
    }

    fn finish(&mut self) -> Result<()> {
        drop(self.input.take());
        let status = self.child.wait().map_err(|e| tool_failed("pg_restore", e))?;
        if status.success() { Ok(()) } else { Err(self.said(status)) }
    }

    fn abandon(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drop_schema(store: &Store) -> Result<()> {
    Ok(store.owner_conn()?.batch_execute(
        "SET client_min_messages = warning;
         DROP EXTENSION IF EXISTS postgis CASCADE;
         DROP SCHEMA public CASCADE;
         CREATE SCHEMA public;
         GRANT USAGE ON SCHEMA public TO public",
    )?)
}

/// After a restore that failed: as fresh as before it.
fn empty_again(store: &Store) -> Result<()> {
    drop_schema(store)?;
    store.migrate()
}

/// Every table has the rows it had, as far as this program knows it.
fn verify_counts(store: &Store, manifest: &Manifest) -> Result<()> {
    let mut conn = store.owner_conn()?;
    for (table, expected) in &manifest.rows {
        // The name comes from a file.
        let plain =
            table.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let found = if plain { rows_of(&mut conn, table)? } else { -1 };
        if found != *expected {
            return Err(damaged(format!("{table}: {found} rows instead of {expected}")));
        }
    }
    // What this program knows and an older one did not.
    store.migrate()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_entries() {
        let hash = "ab".repeat(32);
        assert_eq!(
            Kind::parse(&format!("attachments/ab/{hash}")),
            Some(Kind::Evidence([0xab; 32]))
        );
        assert_eq!(Kind::parse("database/00000012"), Some(Kind::Piece(12)));
        let odd = [
            "../manifest.json".to_string(),
            "/etc/passwd".into(),
            "database/../x".into(),
            "database/1".into(),
            "attachments/ab/../../../etc/passwd".into(),
            format!("attachments/cd/{hash}"),
            format!("attachments/ab/{}", hash.to_uppercase()),
            format!("attachments/{hash}"),
            String::new(),
        ];
        for name in odd {
            assert_eq!(Kind::parse(&name), None, "{name}");
        }
    }
}
