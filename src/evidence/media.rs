//! What evidence can be, by what the bytes say and not by the name.

/// The use of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Photo,
    /// A scanned or signed paper.
    Paper,
    Video,
}

/// A kind of file that is taken as evidence.
#[derive(Debug, PartialEq, Eq)]
pub struct Media {
    /// The media type it is served under.
    pub mime: &'static str,
    pub used_as: Use,
    /// Usual extensions, the first of them for files that have another one.
    pub extensions: &'static [&'static str],
    /// Whether this program can draw it small.
    pub has_preview: bool,
}

const fn media(
    mime: &'static str,
    used_as: Use,
    extensions: &'static [&'static str],
    has_preview: bool,
) -> Media {
    Media { mime, used_as, extensions, has_preview }
}

/// Everything that is taken. HEIC is kept and its EXIF read; no library under a permissive licence
/// decodes it.
const ACCEPTED: [Media; 9] = [
    media("image/jpeg", Use::Photo, &["jpg", "jpeg", "jpe"], true),
    media("image/png", Use::Photo, &["png"], true),
    media("image/webp", Use::Photo, &["webp"], true),
    media("image/heif", Use::Photo, &["heic", "heif", "hif"], false),
    media("image/heic", Use::Photo, &["heic", "heif", "hif"], false),
    media("application/pdf", Use::Paper, &["pdf"], false),
    media("video/mp4", Use::Video, &["mp4", "m4v"], false),
    media("video/quicktime", Use::Video, &["mov", "qt"], false),
    media("video/webm", Use::Video, &["webm"], false),
];

/// Bytes from the beginning of a file that are enough to tell.
pub const HEAD_BYTES: usize = 8192;

/// The kind of a file by its first bytes; none where it is not taken.
pub fn sniff(head: &[u8]) -> Option<&'static Media> {
    let mime = infer::get(head)?.mime_type();
    by_mime(mime)
}

/// The kind with this media type, as the store keeps it.
pub fn by_mime(mime: &str) -> Option<&'static Media> {
    ACCEPTED.iter().find(|media| media.mime == mime)
}

fn extension(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty()).then(|| extension.to_ascii_lowercase())
}

impl Media {
    /// Whether the name promises a file of another use: a video that calls itself a photo is not
    /// what it says. One photo format for another is what phones do.
    pub fn contradicts(&self, name: &str) -> bool {
        let Some(extension) = extension(name) else { return false };
        ACCEPTED
            .iter()
            .find(|media| media.extensions.contains(&extension.as_str()))
            .is_some_and(|promised| promised.used_as != self.used_as)
    }

    /// The name to serve it under: with an extension that belongs to the bytes, so that no
    /// computer runs what was meant to be looked at.
    pub fn name(&self, name: &str) -> String {
        match extension(name) {
            Some(own) if self.extensions.contains(&own.as_str()) => name.to_string(),
            _ => format!("{name}.{}", self.extensions.first().unwrap_or(&"bin")),
        }
    }
}

/// The last part of a name, without anything that means something to a file system or a page.
pub fn safe_name(name: Option<&str>) -> String {
    let last = name.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    // Marks that turn the direction of writing make gpj.exe of exe.jpg.
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let kept: String = last
        .chars()
        .filter(|c| !c.is_control() && !turns(*c))
        .filter(|c| !matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*'))
        .take(120)
        .collect();
    let kept = kept.trim_matches(['.', ' ']);
    if kept.is_empty() { "attachment".into() } else { kept.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_paths_and_scripts() {
        assert_eq!(safe_name(Some("../../etc/passwd")), "passwd");
        assert_eq!(safe_name(Some("C:\\a\\照片 1.jpg")), "照片 1.jpg");
        assert_eq!(safe_name(Some("<img onerror=x>.png")), "img onerror=x.png");
        assert_eq!(safe_name(Some("\u{202e}gpj.exe")), "gpj.exe");
        assert_eq!(safe_name(Some("...")), "attachment");
        assert_eq!(safe_name(None), "attachment");
    }

    #[test]
    fn bytes_decide_and_names_follow() {
        let png = sniff(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap();
        assert_eq!(png.mime, "image/png");
        assert_eq!(png.name("a.PNG"), "a.PNG");
        assert_eq!(png.name("a.exe"), "a.exe.png");
        assert_eq!(png.name("照片"), "照片.png");
        assert!(!png.contradicts("a.jpg") && !png.contradicts("a.tmp") && !png.contradicts("a"));
        assert!(png.contradicts("a.pdf") && png.contradicts("a.mp4"));
        assert_eq!(sniff(b"%PDF-1.7\n").unwrap().used_as, Use::Paper);
        assert_eq!(sniff(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap().mime, "image/heif");
        for refused in [&b"GIF89a\x01\0\x01\0"[..], b"MZ\x90\0", b"<html>", b"#!/bin/sh", b""] {
            assert_eq!(sniff(refused), None);
        }
    }
}
