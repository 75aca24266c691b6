//! Uploads in work, which may be cut and go on: what they will be in the store, their bytes so
//! far in the data folder. The length of the file is the offset, so it survives whatever happens
//! to the process.

use super::Store;
use super::attachments::Circumstances;
use super::schema::uploads;
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use uuid::Uuid;

/// Days until an upload that nobody finishes is thrown away.
pub const EXPIRY_DAYS: i64 = 7;
/// Unfinished uploads of one person.
const MAX_OPEN: i64 = 100;

/// An upload as stored.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = uploads)]
pub struct Upload {
    /// Also of the attachment it becomes.
    pub id: Uuid,
    pub person_id: Uuid,
    pub case_id: Uuid,
    pub length: i64,
    pub file_name: String,
    pub circumstances: Value,
    pub sha256: Option<Vec<u8>>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Upload {
    pub fn length(&self) -> u64 {
        u64::try_from(self.length).unwrap_or(0)
    }

    pub fn circumstances(&self) -> Circumstances {
        serde_json::from_value(self.circumstances.clone()).unwrap_or_default()
    }
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("resumable")
}

fn path_of(data_dir: &Path, id: Uuid) -> PathBuf {
    folder(data_dir).join(format!("{}.part", id.simple()))
}

fn gone() -> Fault {
    Fault::not_found("没有这个上传任务，或已过期", "There is no such upload, or it has expired")
}

/// Begins an upload. The same one begun again is the same one.
pub fn begin(store: &Store, data_dir: &Path, new: &Upload) -> Result<Upload> {
    let kept = store.transaction(|conn| {
        // Two beginnings at once, and the count, wait for each other.
        diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 11))")
            .bind::<diesel::sql_types::Text, _>(new.person_id.to_string())
            .execute(conn)?;
        let mine = uploads::table
            .filter(uploads::person_id.eq(new.person_id))
            .filter(uploads::finished_at.is_null());
        if mine.count().get_result::<i64>(conn)? >= MAX_OPEN {
            return Err(Fault::new(
                FaultKind::TooMany,
                "too_many_uploads",
                format!("未完成的上传不能超过 {MAX_OPEN} 个"),
                format!("At most {MAX_OPEN} uploads may be unfinished"),
            ));
        }
        diesel::insert_into(uploads::table).values(new).on_conflict_do_nothing().execute(conn)?;
        let kept: Upload = uploads::table.find(new.id).select(Upload::as_select()).first(conn)?;
        let same = kept.person_id == new.person_id
            && kept.case_id == new.case_id
            && kept.length == new.length;
        if same {
            return Ok(kept);
        }
        Err(Fault::new(
            FaultKind::Conflict,
            "id_taken",
            "该编号已用于另一个上传",
            "Another upload already has this id",
        ))
    })?;
    if kept.finished_at.is_none() {
        std::fs::create_dir_all(folder(data_dir)).map_err(Fault::internal)?;
        let path = path_of(data_dir, kept.id);
        OpenOptions::new().append(true).create(true).open(path).map_err(Fault::internal)?;
    }
    Ok(kept)
}

/// The upload of this person, unless it has expired.
pub fn find(conn: &mut PgConnection, id: Uuid, person: Uuid, now: DateTime<Utc>) -> Result<Upload> {
    let found: Option<Upload> =
        uploads::table.find(id).select(Upload::as_select()).first(conn).optional()?;
    found.filter(|upload| upload.person_id == person && upload.expires_at > now).ok_or_else(gone)
}

/// How many bytes have come.
pub fn offset(data_dir: &Path, upload: &Upload) -> Result<u64> {
    if upload.finished_at.is_some() {
        return Ok(upload.length());
    }
    match std::fs::metadata(path_of(data_dir, upload.id)) {
        Ok(about) => Ok(about.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(gone()),
        Err(error) => Err(Fault::internal(error)),
    }
}

/// Adds bytes at an offset; gives the new one. Two senders cannot both: the second is told where
/// the upload stands.
pub fn append(data_dir: &Path, upload: &Upload, at: u64, bytes: &[u8]) -> Result<u64> {
    let path = path_of(data_dir, upload.id);
    let mut file = OpenOptions::new().write(true).open(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound { gone() } else { Fault::internal(error) }
    })?;
    file.lock().map_err(Fault::internal)?;
    let stands = file.seek(SeekFrom::End(0)).map_err(Fault::internal)?;
    if stands != at {
        return Err(Fault::new(
            FaultKind::Conflict,
            "offset_conflict",
            format!("上传进度为 {stands} 字节，与请求的 {at} 不符"),
            format!("The upload stands at byte {stands}, not at {at}"),
        ));
    }
    let end = at + bytes.len() as u64;
    if end > upload.length() {
        return Err(Fault::new(
            FaultKind::TooLarge,
            "too_large",
            "上传的内容超过声明的长度",
            "More bytes came than were announced",
        ));
    }
    file.write_all(bytes).map_err(Fault::internal)?;
    Ok(end)
}

/// All the bytes of an upload that is complete.
pub fn open(data_dir: &Path, upload: &Upload) -> Result<File> {
    File::open(path_of(data_dir, upload.id)).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound { gone() } else { Fault::internal(error) }
    })
}

/// The upload has become an attachment. It is remembered until it expires, for clients that did
/// not hear of it.
pub fn finish(
    conn: &mut PgConnection,
    data_dir: &Path,
    upload: &Upload,
    now: DateTime<Utc>,
) -> Result<()> {
    diesel::update(uploads::table.find(upload.id))
        .set(uploads::finished_at.eq(Some(now)))
        .execute(conn)?;
    remove_bytes(data_dir, upload.id)
}

/// Throws an upload away.
pub fn remove(conn: &mut PgConnection, data_dir: &Path, upload: &Upload) -> Result<()> {
    diesel::delete(uploads::table.find(upload.id)).execute(conn)?;
    remove_bytes(data_dir, upload.id)
}

fn remove_bytes(data_dir: &Path, id: Uuid) -> Result<()> {
    match std::fs::remove_file(path_of(data_dir, id)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Fault::internal(error)),
        _ => Ok(()),
    }
}

/// Throws away what has expired, and bytes that belong to nothing.
pub fn sweep(store: &Store, data_dir: &Path, now: DateTime<Utc>) -> Result<usize> {
    let expired: Vec<Uuid> = diesel::delete(uploads::table.filter(uploads::expires_at.le(now)))
        .returning(uploads::id)
        .get_results(&mut *store.conn()?)?;
    for id in &expired {
        remove_bytes(data_dir, *id)?;
    }
    let Ok(files) = std::fs::read_dir(folder(data_dir)) else { return Ok(expired.len()) };
    let old = Duration::days(EXPIRY_DAYS + 1).to_std().unwrap_or_default();
    for file in files.flatten() {
        let modified = file.metadata().and_then(|about| about.modified());
        let age = modified.ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_some_and(|age| age > old) {
            std::fs::remove_file(file.path()).map_err(Fault::internal)?;
        }
    }
    Ok(expired.len())
}
