//! Zip archives of boundary files.
//!
//! Only members that can be part of a map are taken out, each under a name of our own, so nothing a
//! member is called can lead outside the work folder. Sizes are bounded before and while unpacking.

use super::report::Warning;
use super::{refuse, too_large};
use crate::error::{Fault, Result};
use encoding_rs::GB18030;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use zip::ZipArchive;

/// Members of an archive.
const MAX_MEMBERS: usize = 100_000;
/// Bytes of all members together, unpacked.
const MAX_UNPACKED: u64 = 4 << 30;
/// Above so many bytes, more than [`MAX_RATIO`] bytes out of one is a bomb: attribute tables reach
/// a ratio of some dozens.
const RATIO_COUNTS_FROM: u64 = 128 << 20;
const MAX_RATIO: u64 = 200;

/// What can be part of a map.
const WANTED: [&str; 11] =
    ["shp", "shx", "dbf", "prj", "cpg", "gpkg", "geojson", "json", "geojsonl", "ndjson", "fgb"];
const ARCHIVES: [&str; 6] = ["zip", "rar", "7z", "tar", "gz", "tgz"];

/// A member worth unpacking.
#[derive(Debug, Clone)]
pub struct Member {
    index: usize,
    /// Folder within the archive, `/` between its parts.
    pub folder: String,
    /// File name without its extension.
    pub stem: String,
    /// In lower case.
    pub extension: String,
}

/// An opened archive.
pub struct Archive {
    zip: ZipArchive<BufReader<File>>,
    pub members: Vec<Member>,
    pub warnings: Vec<Warning>,
}

fn invalid(error: impl std::fmt::Display) -> Fault {
    refuse("not_a_map", "压缩包损坏，无法读取", format!("The archive is damaged: {error}"))
}

impl Archive {
    /// Opens an archive and lists what is worth unpacking.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Fault::internal)?;
        let packed = file.metadata().map_err(Fault::internal)?.len();
        let zip = ZipArchive::new(BufReader::new(file)).map_err(invalid)?;
        if zip.len() > MAX_MEMBERS {
            return Err(too_large(
                format!("压缩包内文件超过 {MAX_MEMBERS} 个"),
                format!("The archive has more than {MAX_MEMBERS} members"),
            ));
        }
        if zip.has_duplicate_names() {
            return Err(refuse(
                "duplicate_members",
                "压缩包内有同名文件，无法判断用哪一个",
                "The archive holds several members of the same name",
            ));
        }
        let mut archive = Self { zip, members: Vec::new(), warnings: Vec::new() };
        archive.list(packed)?;
        Ok(archive)
    }

    fn list(&mut self, packed: u64) -> Result<()> {
        let mut total = 0u64;
        let (mut ignored, mut nested) = (Vec::new(), Vec::new());
        for index in 0..self.zip.len() {
            let entry = self.zip.by_index_data(index).map_err(invalid)?;
            total = total.saturating_add(entry.size());
            let name = decode_name(entry.name_raw());
            if name.ends_with('/') || entry.is_dir() {
                continue;
            }
            let extension =
                name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default();
            if ARCHIVES.contains(&extension.as_str()) {
                nested.push(name);
                continue;
            }
            let mut parts: Vec<&str> =
                name.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
            let junk =
                parts.contains(&"__MACOSX") || parts.last().is_some_and(|f| f.starts_with("._"));
            if junk || !WANTED.contains(&extension.as_str()) {
                continue;
            }
            let escapes = name.starts_with('/')
                || parts.contains(&"..")
                || name.contains(':')
                || name.contains('\0');
            if escapes || entry.is_symlink() {
                ignored.push(name);
                continue;
            }
            if entry.encrypted() {
                return Err(refuse(
                    "encrypted",
                    "压缩包有密码，请先解密",
                    "The archive is encrypted; decrypt it first",
                ));
            }
            let file_name = parts.pop().unwrap_or_default();
            let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem).to_string();
            self.members.push(Member { index, folder: parts.join("/"), stem, extension });
        }
        let bomb = total > RATIO_COUNTS_FROM && total / packed.max(1) > MAX_RATIO;
        if total > MAX_UNPACKED || bomb {
            let megabytes = total >> 20;
            return Err(too_large(
                format!("压缩包解开后有 {megabytes} MB，超过限制"),
                format!("The archive would unpack to {megabytes} MB, which is over the limit"),
            ));
        }
        self.refuse_same_names()?;
        if self.members.is_empty() && !nested.is_empty() {
            return Err(refuse(
                "nested_archive",
                "压缩包里还是压缩包，请先解开一层",
                "The archive holds only another archive; unpack it first",
            ));
        }
        self.warn(
            &ignored,
            "unsafe_member",
            "忽略了路径不安全的成员或链接",
            "Ignored members that are links or lead outside",
        );
        self.warn(
            &nested,
            "nested_archive",
            "忽略了内层压缩包",
            "Ignored archives inside the archive",
        );
        Ok(())
    }

    fn warn(&mut self, names: &[String], code: &str, zh: &str, en: &str) {
        if names.is_empty() {
            return;
        }
        let shown: Vec<String> =
            names.iter().take(5).map(|n| n.chars().take(80).collect()).collect();
        let list = shown.join(", ");
        let detail = format!("{zh}：{list} ({n}) / {en}: {list} ({n})", n = names.len());
        self.warnings.push(Warning { code: code.into(), detail });
    }

    /// Two members may differ in case only; which of them belongs to the map nobody can know.
    fn refuse_same_names(&self) -> Result<()> {
        let mut seen = HashMap::new();
        for member in &self.members {
            let name =
                format!("{}/{}.{}", member.folder, member.stem, member.extension).to_lowercase();
            if seen.insert(name, ()).is_some() {
                return Err(refuse(
                    "duplicate_members",
                    format!("压缩包内有同名文件：{}.{}", member.stem, member.extension),
                    format!(
                        "The archive holds {}.{} more than once",
                        member.stem, member.extension
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Unpacks one member to a path of ours; at most as many bytes as it declares.
    pub fn unpack(&mut self, member: &Member, to: &Path) -> Result<()> {
        let entry = self.zip.by_index(member.index).map_err(invalid)?;
        let declared = entry.size();
        let mut file = File::create(to).map_err(Fault::internal)?;
        let mut limited = entry.take(declared + 1);
        let mut buffer = vec![0u8; 1 << 16];
        let mut written = 0u64;
        loop {
            let count = limited.read(&mut buffer).map_err(invalid)?;
            if count == 0 {
                break;
            }
            written += count as u64;
            if written > declared {
                return Err(invalid("a member is longer than it declares"));
            }
            file.write_all(&buffer[..count]).map_err(Fault::internal)?;
        }
        if written < declared {
            return Err(invalid("a member is shorter than it declares"));
        }
        Ok(())
    }
}

/// A member's name: UTF-8 where it is so, whatever its flag says, else GBK as Windows in China writes it.
/// Folders are parted by `/` or, from Windows, `\`, looked for after decoding: 0x5C is also the
/// second byte of some GBK characters.
fn decode_name(raw: &[u8]) -> String {
    let name = match std::str::from_utf8(raw) {
        Ok(name) => name.to_string(),
        Err(_) => match GB18030.decode_without_bom_handling_and_without_replacement(raw) {
            Some(name) => name.into_owned(),
            None => raw.iter().map(|&b| if b.is_ascii() { char::from(b) } else { '_' }).collect(),
        },
    };
    name.replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::decode_name;

    #[test]
    fn names_of_members() {
        let gbk = encoding_rs::GBK.encode("城厢区\\地块.shp").0;
        assert_eq!(decode_name(&gbk), "城厢区/地块.shp");
        // 0x5C as a second byte is no separator.
        let gbk = encoding_rs::GBK.encode("誠.shp").0;
        assert!(gbk.contains(&0x5c));
        assert_eq!(decode_name(&gbk), "誠.shp");
        assert_eq!(decode_name("地块/p.shp".as_bytes()), "地块/p.shp");
        assert_eq!(decode_name(b"\xff\xff.shp"), "__.shp");
    }
}
