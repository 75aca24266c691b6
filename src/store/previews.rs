//! Small copies of photos, made when first asked for and kept in the data folder. They can be
//! made again at any time: the folder may be emptied.

use super::attachments::Attachment;
use super::blobs::Blobs;
use crate::error::{Fault, Result};
use crate::evidence::exif::Exif;
use crate::evidence::media;
use crate::evidence::preview::{Size, render};
use chrono_tz::Asia::Shanghai;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The cached copies may take so much room, bytes; the oldest go first.
const MAX_BYTES: u64 = 2 << 30;
/// Changes when the copies' looks do.
const VERSION: u32 = 1;

/// Where the cached copies lie.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("previews")
}

/// The copy as JPEG; none where this program cannot draw the file. Blocks, and takes memory for
/// the whole picture: callers limit how many run at once.
pub fn make(
    data_dir: &Path,
    blobs: &Blobs,
    attachment: &Attachment,
    size: Size,
    case_number: &str,
    person: &str,
) -> Result<Option<Vec<u8>>> {
    if !media::by_mime(&attachment.media_type).is_some_and(|media| media.has_preview) {
        return Ok(None);
    }
    let path = path_of(data_dir, attachment, size);
    if let Ok(kept) = std::fs::read(&path) {
        return Ok(Some(kept));
    }
    let lines = match size {
        Size::Thumb => Vec::new(),
        Size::Preview => stamp_lines(attachment, case_number, person),
    };
    let original = blobs.read(&attachment.sha256)?;
    match render(&original, &attachment.media_type, size, &lines) {
        Ok(copy) => {
            keep(&path, &copy).unwrap_or_else(|error| {
                tracing::warn!("a preview could not be kept: {error}");
            });
            Ok(Some(copy))
        }
        Err(error) => {
            tracing::info!(id = %attachment.id, "no preview: {error}");
            Ok(None)
        }
    }
}

/// Thumbnails are the same for all cases that have the bytes; a stamp is of one attachment.
fn path_of(data_dir: &Path, attachment: &Attachment, size: Size) -> PathBuf {
    let name = match size {
        Size::Thumb => format!("{}-{VERSION}.jpg", hex::encode(&attachment.sha256)),
        Size::Preview => format!("{}-{VERSION}.jpg", attachment.id.simple()),
    };
    folder(data_dir).join(name.get(..2).unwrap_or("00")).join(name)
}

fn keep(path: &Path, copy: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(copy)?;
    file.persist(path)?;
    Ok(())
}

/// What the stamp says: case number and time, coordinates, person.
pub fn stamp_lines(attachment: &Attachment, case_number: &str, person: &str) -> Vec<String> {
    let exif: Option<Exif> =
        attachment.exif.clone().and_then(|exif| serde_json::from_value(exif).ok());
    let (time, clock) = match (attachment.observed_at, exif.as_ref().and_then(|e| e.taken_at)) {
        (Some(time), _) => (time, ""),
        (None, Some(time)) => (time, " (EXIF)"),
        (None, None) => (attachment.uploaded_at, " 上传"),
    };
    let time = time.with_timezone(&Shanghai).format("%Y-%m-%d %H:%M:%S");
    let hemispheres = |lon: f64, lat: f64| {
        let (ns, ew) = (if lat < 0.0 { 'S' } else { 'N' }, if lon < 0.0 { 'W' } else { 'E' });
        format!("{:.6}°{ns} {:.6}°{ew}", lat.abs(), lon.abs())
    };
    let by_exif = exif.and_then(|exif| Some((exif.lon?, exif.lat?)));
    let place = match (attachment.position(), by_exif) {
        (Some(at), _) => {
            let accuracy = attachment.accuracy_m.map(|m| format!(" ±{m:.0} m")).unwrap_or_default();
            let mocked = if attachment.mocked == Some(true) { " 模拟定位" } else { "" };
            format!("{}{accuracy}{mocked}", hemispheres(at.x, at.y))
        }
        (None, Some((lon, lat))) => format!("{} (EXIF)", hemispheres(lon, lat)),
        (None, None) => "无定位".into(),
    };
    vec![format!("{case_number}  {time}{clock}"), format!("{place}  {person}")]
}

/// Makes room: removes the oldest copies until the rest fits.
pub fn sweep(data_dir: &Path) -> Result<()> {
    let Ok(folders) = std::fs::read_dir(folder(data_dir)) else { return Ok(()) };
    let mut copies: Vec<(SystemTime, u64, PathBuf)> = folders
        .filter_map(|entry| std::fs::read_dir(entry.ok()?.path()).ok())
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let about = entry.metadata().ok()?;
            Some((about.modified().ok()?, about.len(), entry.path()))
        })
        .collect();
    let mut total: u64 = copies.iter().map(|(_, bytes, _)| bytes).sum();
    copies.sort();
    for (_, bytes, path) in copies {
        if total <= MAX_BYTES {
            break;
        }
        std::fs::remove_file(path).map_err(Fault::internal)?;
        total -= bytes;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    #[test]
    fn the_stamp_says_who_when_and_where() {
        let mut attachment = Attachment {
            id: Uuid::nil(),
            case_id: Uuid::nil(),
            sha256: vec![1; 32],
            media_type: "image/jpeg".into(),
            bytes: 1,
            file_name: "a.jpg".into(),
            uploaded_by: None,
            uploaded_at: "2026-11-23T04:00:00Z".parse().unwrap(),
            observed_at: Some("2026-11-23T01:12:03Z".parse().unwrap()),
            input_x: None,
            input_y: None,
            input_crs: None,
            lon: Some(119.0078),
            lat: Some(25.454),
            accuracy_m: Some(8.4),
            bearing: None,
            mocked: Some(false),
            exif: Some(json!({"taken_at": null, "lon": 118.0, "lat": 24.0})),
            flags: Vec::new(),
            width_px: None,
            height_px: None,
        };
        let lines = |a: &Attachment| stamp_lines(a, "350302-2026-000123", "林一");
        assert_eq!(
            lines(&attachment),
            ["350302-2026-000123  2026-11-23 09:12:03", "25.454000°N 119.007800°E ±8 m  林一"]
        );
        (attachment.lon, attachment.observed_at) = (None, None);
        assert_eq!(
            lines(&attachment),
            [
                "350302-2026-000123  2026-11-23 12:00:00 上传",
                "24.000000°N 118.000000°E (EXIF)  林一"
            ]
        );
        attachment.exif = None;
        assert!(lines(&attachment)[1].starts_with("无定位"));
    }
}
