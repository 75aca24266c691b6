//! Evidence: the bytes by their sha256 in a folder, untouched; what they belong to in the store.

use super::schema::attachments;
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The largest attachment, bytes: a short video.
pub const MAX_BYTES: u64 = 200 << 20;

/// What evidence can be, by what the bytes say and not by the name.
const ACCEPTED: [&str; 8] = [
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/heif",
    "image/heic",
    "application/pdf",
    "video/mp4",
    "video/quicktime",
];

/// An attachment as stored.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = attachments)]
pub struct Attachment {
    pub id: Uuid,
    pub case_id: Uuid,
    #[serde(serialize_with = "hex::serialize")]
    pub sha256: Vec<u8>,
    pub media_type: String,
    pub bytes: i64,
    pub file_name: String,
    pub uploaded_by: Option<Uuid>,
    pub uploaded_at: DateTime<Utc>,
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("attachments")
}

fn path_of(data_dir: &Path, sha256: &[u8]) -> PathBuf {
    let name = hex::encode(sha256);
    folder(data_dir).join(&name[..2.min(name.len())]).join(name)
}

/// Keeps the bytes of an upload under their hash; gives the hash, the size and the media type.
pub fn keep(data_dir: &Path, mut upload: impl Read) -> Result<(Vec<u8>, i64, &'static str)> {
    std::fs::create_dir_all(folder(data_dir)).map_err(Fault::internal)?;
    let mut file = tempfile::NamedTempFile::new_in(folder(data_dir)).map_err(Fault::internal)?;
    let mut hash = Sha256::new();
    let mut head = Vec::new();
    let mut bytes = 0u64;
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        let read = upload.read(&mut buffer).map_err(Fault::internal)?;
        let part = &buffer[..read];
        if part.is_empty() {
            break;
        }
        if head.len() < 8192 {
            head.extend_from_slice(&part[..part.len().min(8192 - head.len())]);
        }
        bytes += read as u64;
        if bytes > MAX_BYTES {
            return Err(Fault::new(
                FaultKind::TooLarge,
                "too_large",
                format!("附件不能超过 {} MB", MAX_BYTES >> 20),
                format!("An attachment may have at most {} MB", MAX_BYTES >> 20),
            ));
        }
        hash.update(part);
        file.write_all(part).map_err(Fault::internal)?;
    }
    let media_type = infer::get(&head)
        .map(|kind| kind.mime_type())
        .filter(|kind| ACCEPTED.contains(kind))
        .ok_or_else(|| {
            Fault::new(
                FaultKind::WrongType,
                "wrong_type",
                "附件只能是照片（JPEG、PNG、WebP、HEIC）、PDF 或视频（MP4、MOV）",
                "An attachment must be a photo (JPEG, PNG, WebP, HEIC), a PDF or a video (MP4, MOV)",
            )
        })?;
    let sha256 = hash.finalize().to_vec();
    let path = path_of(data_dir, &sha256);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Fault::internal)?;
    }
    // On disk before the store speaks of it.
    file.as_file().sync_all().map_err(Fault::internal)?;
    file.persist(&path).map_err(Fault::internal)?;
    Ok((sha256, i64::try_from(bytes).unwrap_or(i64::MAX), media_type))
}

/// Records an attachment; a retry with the same id and bytes is harmless.
pub fn record(conn: &mut PgConnection, new: &Attachment) -> Result<Attachment> {
    diesel::insert_into(attachments::table).values(new).on_conflict_do_nothing().execute(conn)?;
    let kept = find(conn, new.id)?.ok_or_else(|| Fault::internal("attachment vanished"))?;
    if kept.sha256 != new.sha256 || kept.case_id != new.case_id {
        return Err(Fault::new(
            FaultKind::Conflict,
            "id_taken",
            "该附件编号已被使用",
            "Another attachment already has this id",
        ));
    }
    Ok(kept)
}

pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<Attachment>> {
    Ok(attachments::table.find(id).select(Attachment::as_select()).first(conn).optional()?)
}

/// The attachments of a case, in the order they came.
pub fn of_case(conn: &mut PgConnection, case_id: Uuid) -> Result<Vec<Attachment>> {
    Ok(attachments::table
        .filter(attachments::case_id.eq(case_id))
        .order((attachments::uploaded_at, attachments::id))
        .select(Attachment::as_select())
        .load(conn)?)
}

/// The bytes with this hash.
pub fn open_content(data_dir: &Path, sha256: &[u8]) -> Result<std::fs::File> {
    std::fs::File::open(path_of(data_dir, sha256)).map_err(Fault::internal)
}

/// The original bytes.
pub fn open(data_dir: &Path, attachment: &Attachment) -> Result<std::fs::File> {
    std::fs::File::open(path_of(data_dir, &attachment.sha256)).map_err(Fault::internal)
}
