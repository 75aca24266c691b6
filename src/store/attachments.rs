//! Evidence: what belongs to which case, by whom, when and where. The bytes lie in
//! [`Blobs`](super::blobs::Blobs). Appended to, never changed.

use super::Store;
use super::blobs::Blobs;
use super::cases::CaseRow;
use super::patrol::visits;
use super::schema::attachments;
use super::world::World;
use crate::enforcement::people::Person;
use crate::error::{Fault, FaultKind, Result};
use crate::evidence::media::{self, HEAD_BYTES, Media, Use};
use crate::evidence::preview::{PreviewError, dimensions};
use crate::evidence::{exif, fit};
use crate::geometry::crs::{Crs, ToCgcs2000};
use chrono::{DateTime, Duration, SubsecRound, Utc};
use diesel::prelude::*;
use geo::Coord;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek};
use uuid::Uuid;

/// The largest attachment, bytes: a short video.
pub const MAX_BYTES: u64 = 200 << 20;

/// An attachment as stored.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, Serialize)]
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
    /// The device's time.
    pub observed_at: Option<DateTime<Utc>>,
    pub input_x: Option<f64>,
    pub input_y: Option<f64>,
    pub input_crs: Option<String>,
    /// CGCS2000 degrees.
    pub lon: Option<f64>,
    pub lat: Option<f64>,
    pub accuracy_m: Option<f64>,
    /// Degrees clockwise from north.
    pub bearing: Option<f64>,
    pub mocked: Option<bool>,
    pub exif: Option<Value>,
    /// See [`fit::flags`].
    pub flags: Vec<String>,
    pub width_px: Option<i32>,
    pub height_px: Option<i32>,
}

impl Attachment {
    /// Where the device was, CGCS2000 degrees.
    pub fn position(&self) -> Option<Coord> {
        Some(Coord { x: self.lon?, y: self.lat? })
    }

    /// As the API shows it.
    pub fn json(&self) -> Value {
        let mut shown = serde_json::to_value(self).unwrap_or_default();
        let has_preview = media::by_mime(&self.media_type).is_some_and(|m| m.has_preview);
        shown["has_preview"] = json!(has_preview);
        shown
    }
}

/// The device's word on time and place, as it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Circumstances {
    pub observed_at: Option<DateTime<Utc>>,
    /// Longitude or easting
    pub lon: Option<f64>,
    /// Latitude or northing
    pub lat: Option<f64>,
    /// `wgs84` where it is not said.
    pub crs: Option<String>,
    pub accuracy_m: Option<f64>,
    pub bearing: Option<f64>,
    pub mocked: Option<bool>,
}

impl Circumstances {
    /// Refuses what cannot be; gives the position in CGCS2000 degrees.
    pub fn check(&self, now: DateTime<Utc>) -> Result<Option<Coord>> {
        let wrong = |field: &str| {
            Fault::invalid(format!("{field} 超出允许范围"), format!("{field} is out of range"))
                .field(field, "out of range")
        };
        let within =
            |value: Option<f64>, most: f64| value.is_none_or(|v| (0.0..=most).contains(&v));
        if !within(self.accuracy_m, 1e6) {
            return Err(wrong("accuracy_m"));
        }
        if !within(self.bearing, 360.0) {
            return Err(wrong("bearing"));
        }
        // A phone's clock may be wrong by a day; a year is no clock.
        let years = Duration::days(10 * 366);
        if self.observed_at.is_some_and(|t| t > now + Duration::days(2) || t < now - years) {
            return Err(wrong("observed_at"));
        }
        match (self.lon, self.lat) {
            (None, None) => Ok(None),
            (Some(x), Some(y)) => {
                let crs: Crs = self.crs.as_deref().unwrap_or("wgs84").parse()?;
                Ok(Some(ToCgcs2000::cached(&crs)?.position(Coord { x, y })?))
            }
            (None, _) => Err(wrong("lon")),
            (_, None) => Err(wrong("lat")),
        }
    }
}

/// A file that has come for a case.
pub struct Arrival<'a> {
    /// Made by the client: a retry is harmless.
    pub id: Uuid,
    pub case: &'a CaseRow,
    pub person: &'a Person,
    /// As the client gave it.
    pub file_name: Option<&'a str>,
    pub circumstances: &'a Circumstances,
    /// What the bytes must hash to, where the client said it.
    pub sha256: Option<&'a [u8]>,
}

/// What a file turned out to be.
struct Examined {
    sha256: Vec<u8>,
    bytes: u64,
    media: &'static Media,
    exif: Option<exif::Exif>,
    size_px: Option<(u32, u32)>,
}

fn wrong_type() -> Fault {
    Fault::new(
        FaultKind::WrongType,
        "wrong_type",
        "附件只能是照片（JPEG、PNG、WebP、HEIC）、PDF 或视频（MP4、MOV、WebM），且内容须与文件名相符",
        "An attachment must be a photo (JPEG, PNG, WebP, HEIC), a PDF or a video (MP4, MOV, WebM), and be what its name says",
    )
}

fn too_large() -> Fault {
    Fault::new(
        FaultKind::TooLarge,
        "too_large",
        format!("附件不能超过 {} MB", MAX_BYTES >> 20),
        format!("An attachment may have at most {} MB", MAX_BYTES >> 20),
    )
}

/// Reads a file once, and a photo once more.
fn examine(file: &mut File, name: &str) -> Result<Examined> {
    file.rewind().map_err(Fault::internal)?;
    let mut hash = Sha256::new();
    let (mut head, mut bytes) = (Vec::new(), 0u64);
    let mut part = vec![0u8; 256 << 10];
    loop {
        let read = file.read(&mut part).map_err(Fault::internal)?;
        let Some(read) = part.get(..read).filter(|read| !read.is_empty()) else { break };
        if head.len() < HEAD_BYTES {
            head.extend_from_slice(&read[..read.len().min(HEAD_BYTES - head.len())]);
        }
        bytes += read.len() as u64;
        if bytes > MAX_BYTES {
            return Err(too_large());
        }
        hash.update(read);
    }
    let media = media::sniff(&head).filter(|m| !m.contradicts(name)).ok_or_else(wrong_type)?;
    let (mut exif, mut size_px) = (None, None);
    if media.used_as == Use::Photo {
        let mut whole = Vec::new();
        file.rewind().map_err(Fault::internal)?;
        file.read_to_end(&mut whole).map_err(Fault::internal)?;
        size_px = dimensions(&whole, media.mime).map_err(not_a_photo)?;
        exif = exif::read(&whole);
    }
    Ok(Examined { sha256: hash.finalize().to_vec(), bytes, media, exif, size_px })
}

fn not_a_photo(error: PreviewError) -> Fault {
    match error {
        PreviewError::TooLarge(width, height) => Fault::new(
            FaultKind::TooLarge,
            "image_too_large",
            format!("照片像素过多：{width} × {height}"),
            format!("The photo has too many pixels: {width} × {height}"),
        ),
        PreviewError::Unreadable(cause) => {
            let mut fault = wrong_type();
            fault.cause = Some(cause);
            fault
        }
    }
}

fn id_taken() -> Fault {
    Fault::new(
        FaultKind::Conflict,
        "id_taken",
        "该附件编号已被使用",
        "Another attachment already has this id",
    )
}

/// Takes a file in: judges it by its bytes, keeps them, records it. A retry with the same id and
/// bytes gets the first answer. Blocks.
pub fn admit(
    store: &Store,
    world: &World,
    blobs: &Blobs,
    now: DateTime<Utc>,
    file: &mut File,
    arrival: &Arrival,
) -> Result<Attachment> {
    let position = arrival.circumstances.check(now)?;
    let file_name = media::safe_name(arrival.file_name);
    let examined = examine(file, &file_name)?;
    if arrival.sha256.is_some_and(|said| said != examined.sha256) {
        return Err(Fault::new(
            FaultKind::Unprocessable,
            "checksum_mismatch",
            "文件内容与校验值不符，请重新上传",
            "The bytes do not match their checksum; please upload again",
        ));
    }
    let first = find(&mut *store.conn()?, arrival.id)?;
    if let Some(first) = first {
        let same = first.sha256 == examined.sha256 && first.case_id == arrival.case.id;
        return if same { Ok(first) } else { Err(id_taken()) };
    }
    blobs.put(&examined.sha256, file, examined.bytes)?;
    let said = arrival.circumstances;
    let pixels = |n: u32| i32::try_from(n).ok();
    let mut new = Attachment {
        id: arrival.id,
        case_id: arrival.case.id,
        media_type: examined.media.mime.into(),
        bytes: i64::try_from(examined.bytes).unwrap_or(i64::MAX),
        file_name,
        uploaded_by: Some(arrival.person.id),
        uploaded_at: now,
        observed_at: said.observed_at.map(|time| time.trunc_subsecs(6)),
        input_x: said.lon,
        input_y: said.lat,
        input_crs: position.map(|_| said.crs.clone().unwrap_or_else(|| "wgs84".into())),
        lon: position.map(|p| p.x),
        lat: position.map(|p| p.y),
        accuracy_m: said.accuracy_m,
        bearing: said.bearing.map(|degrees| degrees % 360.0),
        mocked: said.mocked,
        exif: examined.exif.as_ref().and_then(|exif| serde_json::to_value(exif).ok()),
        flags: Vec::new(),
        width_px: examined.size_px.and_then(|(width, _)| pixels(width)),
        height_px: examined.size_px.and_then(|(_, height)| pixels(height)),
        sha256: examined.sha256,
    };
    store.transaction(|conn| {
        let elsewhere = attachments::table
            .filter(attachments::sha256.eq(&new.sha256))
            .filter(attachments::case_id.ne(new.case_id));
        let in_other_case =
            diesel::select(diesel::dsl::exists(elsewhere)).get_result::<bool>(conn)?;
        let flags = fit::flags(fit::Circumstances {
            case: Coord { x: arrival.case.lon, y: arrival.case.lat },
            received_at: now,
            exif: examined.exif.as_ref(),
            device: position,
            mocked: said.mocked == Some(true),
            in_other_case,
        });
        new.flags = flags.into_iter().map(String::from).collect();
        let kept = record(conn, &new)?;
        if examined.media.used_as != Use::Paper && kept.uploaded_at == now {
            visits::of_photo(conn, world, arrival.person, &kept)?;
        }
        Ok(kept)
    })
}

/// Keeps a file that belongs to no case yet; gives hash, size and media type. Blocks.
pub fn keep(blobs: &Blobs, file: &mut File, name: &str) -> Result<(Vec<u8>, i64, &'static str)> {
    let examined = examine(file, name)?;
    blobs.put(&examined.sha256, file, examined.bytes)?;
    let bytes = i64::try_from(examined.bytes).unwrap_or(i64::MAX);
    Ok((examined.sha256, bytes, examined.media.mime))
}

/// Records an attachment; a retry with the same id and bytes is harmless.
fn record(conn: &mut PgConnection, new: &Attachment) -> Result<Attachment> {
    diesel::insert_into(attachments::table).values(new).on_conflict_do_nothing().execute(conn)?;
    let kept = find(conn, new.id)?.ok_or_else(|| Fault::internal("attachment vanished"))?;
    if kept.sha256 != new.sha256 || kept.case_id != new.case_id {
        return Err(id_taken());
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
