//! Which text encoding a shapefile's attributes are in.
//!
//! A .dbf is bytes; what they mean is said by a .cpg beside it, by a byte in its header (LDID), by
//! neither, or wrongly. All text of the file is tested strictly against each candidate, so that
//! nothing is ever stored with a replacement character; where a declaration does not fit the bytes
//! the bytes win and the report says so.

use crate::error::{Fault, FaultKind, Result};
use encoding_rs::{BIG5, Encoding, GB18030, UTF_8};
use std::fmt;

/// A text encoding we can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    /// Nothing but ASCII: every candidate reads it alike.
    Ascii,
    Utf8,
    /// GBK (code page 936), the two-byte part of GB18030.
    Gbk,
    Gb18030,
    Big5,
    Other(&'static Encoding),
}

impl fmt::Display for TextEncoding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Ascii => "ASCII",
            Self::Utf8 => "UTF-8",
            Self::Gbk => "GBK",
            Self::Gb18030 => "GB18030",
            Self::Big5 => "Big5",
            Self::Other(encoding) => encoding.name(),
        })
    }
}

impl TextEncoding {
    /// Reads the name of an encoding or a code page, as found in a .cpg or given by a user.
    pub fn from_name(name: &str) -> Option<Self> {
        let plain: String = name
            .trim_matches(|c: char| c == '\u{feff}' || c.is_whitespace() || c == '"')
            .to_ascii_uppercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let page = ["ANSI", "OEM", "CP", "MS", "WINDOWS", "XCP"]
            .iter()
            .find_map(|prefix| plain.strip_prefix(prefix))
            .unwrap_or(&plain);
        match page {
            "UTF8" | "65001" => Some(Self::Utf8),
            "936" | "GBK" | "XGBK" | "GB2312" | "EUCCN" => Some(Self::Gbk),
            "GB18030" | "54936" => Some(Self::Gb18030),
            "BIG5" | "950" | "BIG5HKSCS" => Some(Self::Big5),
            "1252" => Some(Self::Other(encoding_rs::WINDOWS_1252)),
            "88591" | "ISO88591" | "LATIN1" => Some(Self::Other(encoding_rs::WINDOWS_1252)),
            "932" => Some(Self::Other(encoding_rs::SHIFT_JIS)),
            "949" => Some(Self::Other(encoding_rs::EUC_KR)),
            _ => Encoding::for_label(name.trim().as_bytes()).map(Self::of),
        }
    }

    /// What the language driver byte of a .dbf header says, where it says anything: 0, 1, 3 and
    /// 0x57 are what software writes that does not care.
    pub fn from_ldid(ldid: u8) -> Option<Self> {
        match ldid {
            0x4d | 0x7a => Some(Self::Gbk),
            0x4f | 0x78 => Some(Self::Big5),
            0x13 | 0x7b => Some(Self::Other(encoding_rs::SHIFT_JIS)),
            0x4e | 0x79 => Some(Self::Other(encoding_rs::EUC_KR)),
            _ => None,
        }
    }

    fn of(encoding: &'static Encoding) -> Self {
        match encoding {
            e if e == UTF_8 => Self::Utf8,
            e if e == encoding_rs::GBK => Self::Gbk,
            e if e == GB18030 => Self::Gb18030,
            e if e == BIG5 => Self::Big5,
            other => Self::Other(other),
        }
    }

    fn codec(self) -> &'static Encoding {
        match self {
            Self::Ascii | Self::Utf8 => UTF_8,
            Self::Gbk | Self::Gb18030 => GB18030,
            Self::Big5 => BIG5,
            Self::Other(encoding) => encoding,
        }
    }

    /// Decodes strictly: `None` where the bytes are not in this encoding.
    pub fn decode(self, bytes: &[u8]) -> Option<String> {
        let text = self.codec().decode_without_bom_handling_and_without_replacement(bytes)?;
        let bad = |c: char| matches!(c, char::REPLACEMENT_CHARACTER | '\u{80}'..='\u{9f}');
        (!text.chars().any(bad)).then(|| text.into_owned())
    }

    /// Decodes a value that may have been cut in the middle of its last character, which then goes.
    pub fn decode_cut(self, bytes: &[u8]) -> Option<Decoded> {
        if let Some(text) = self.decode(bytes) {
            return Some(Decoded { text, cut: false });
        }
        (1..=3.min(bytes.len())).find_map(|tail| {
            let (head, rest) = bytes.split_at(bytes.len() - tail);
            // What goes must begin a character: a whole one of it is an error, not a cut.
            let begins = rest.first().is_some_and(|&b| b >= 0x80);
            let text = begins.then(|| self.decode(head))??;
            Some(Decoded { text, cut: true })
        })
    }
}

/// A decoded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    pub text: String,
    /// Its last character was incomplete and left out.
    pub cut: bool,
}

/// One text of the file.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    pub bytes: &'a [u8],
    /// It fills its column, so its last character may be cut.
    pub full: bool,
}

impl Sample<'_> {
    fn fits(&self, encoding: TextEncoding) -> bool {
        if self.full {
            encoding.decode_cut(self.bytes).is_some()
        } else {
            encoding.decode(self.bytes).is_some()
        }
    }
}

/// What to read the file in, and what to tell about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub encoding: TextEncoding,
    /// The declaration that the bytes contradict.
    pub differs_from: Option<TextEncoding>,
}

/// Decides from what is declared (.cpg before LDID) and from all the file's text.
pub fn choose(declared: Option<TextEncoding>, samples: &[Sample]) -> Result<Choice> {
    let samples: Vec<Sample> = samples.iter().copied().filter(|s| !s.bytes.is_ascii()).collect();
    if samples.is_empty() {
        return Ok(Choice { encoding: TextEncoding::Ascii, differs_from: None });
    }
    let fits = |encoding: TextEncoding| samples.iter().all(|s| s.fits(encoding));
    let chosen = |encoding: TextEncoding| {
        let encoding = match encoding {
            TextEncoding::Gbk if samples.iter().any(|s| has_four_byte(s.bytes)) => {
                TextEncoding::Gb18030
            }
            other => other,
        };
        let same = |d: TextEncoding| d.codec() == encoding.codec();
        Ok(Choice { encoding, differs_from: declared.filter(|&d| !same(d)) })
    };

    if fits(TextEncoding::Utf8) {
        // Two-byte sequences alone also arise from GBK ("联通"); real UTF-8 Chinese has three.
        let chinese = samples.iter().any(|s| has_three_byte(s.bytes));
        let gbk_instead = !chinese
            && declared != Some(TextEncoding::Utf8)
            && fits(TextEncoding::Gbk)
            && common_share(&samples, gb2312_common) > 0.9;
        if !gbk_instead {
            return chosen(TextEncoding::Utf8);
        }
    }
    let gb = fits(TextEncoding::Gbk).then(|| common_share(&samples, gb2312_common));
    let big5 = fits(TextEncoding::Big5).then(|| common_share(&samples, big5_common));
    // How much likelier one reading must be to overrule the other, and a declaration.
    const CLEAR: f64 = 0.25;
    const CLEAR_LIE: f64 = 0.4;
    let declared_double = match declared {
        Some(TextEncoding::Gbk | TextEncoding::Gb18030) => {
            gb.map(|own| (TextEncoding::Gbk, own, big5))
        }
        Some(TextEncoding::Big5) => big5.map(|own| (TextEncoding::Big5, own, gb)),
        _ => None,
    };
    if let Some((encoding, own, other)) = declared_double
        && other.is_none_or(|other| other < own + CLEAR_LIE)
    {
        return chosen(if declared == Some(TextEncoding::Gb18030) {
            TextEncoding::Gb18030
        } else {
            encoding
        });
    }
    match (gb, big5) {
        (Some(gb), Some(big5)) if gb >= big5 + CLEAR => return chosen(TextEncoding::Gbk),
        (Some(gb), Some(big5)) if big5 >= gb + CLEAR => return chosen(TextEncoding::Big5),
        (Some(_), Some(_)) => match guess(&samples) {
            TextEncoding::Big5 => return chosen(TextEncoding::Big5),
            TextEncoding::Gbk | TextEncoding::Gb18030 => return chosen(TextEncoding::Gbk),
            _ => {}
        },
        (Some(gb), None) if gb > 0.5 || has_four_byte_any(&samples) => {
            return chosen(TextEncoding::Gbk);
        }
        (None, Some(big5)) if big5 > 0.5 => return chosen(TextEncoding::Big5),
        _ => {}
    }
    // Western and other single-byte encodings fit almost any bytes: only on their word.
    match declared {
        Some(other @ TextEncoding::Other(_)) if fits(other) => chosen(other),
        _ => Err(unknown(declared)),
    }
}

fn guess(samples: &[Sample]) -> TextEncoding {
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    for sample in samples.iter().take(10_000) {
        detector.feed(sample.bytes, false);
        detector.feed(b"\n", false);
    }
    detector.feed(b"", true);
    TextEncoding::of(detector.guess(Some(b"cn"), chardetng::Utf8Detection::Deny))
}

/// Refuses text that nothing fits.
pub fn unknown(declared: Option<TextEncoding>) -> Fault {
    let said = declared.map_or(String::new(), |d| format!(" {d}"));
    Fault::new(
        FaultKind::Invalid,
        "encoding_unknown",
        format!("无法判定属性文字的编码（声明为{said}），请用 --encoding 指定，例如 GBK 或 UTF-8"),
        format!(
            "The encoding of the text is not recognisable (declared:{said}). Name it with --encoding, e.g. GBK or UTF-8"
        ),
    )
}

/// An encoding the user named that does not fit the text.
pub fn refuse_named(encoding: TextEncoding) -> Fault {
    Fault::new(
        FaultKind::Invalid,
        "encoding_unknown",
        format!("属性文字不是 {encoding} 编码，请另行指定 --encoding"),
        format!("The text is not in {encoding}; name another with --encoding"),
    )
}

fn has_three_byte(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .map_or_else(|e| e.valid_up_to() >= 3, |s| s.chars().any(|c| c.len_utf8() >= 3))
}

/// Double-byte pairs and the four-byte sequences of GB18030, in order.
fn pairs(bytes: &[u8]) -> impl Iterator<Item = (u8, u8)> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            match *rest {
                [lead, ..] if lead < 0x80 => rest = &rest[1..],
                [lead, trail, ..] => {
                    rest = &rest[2..];
                    return Some((lead, trail));
                }
                _ => return None,
            }
        }
    })
}

fn has_four_byte(bytes: &[u8]) -> bool {
    pairs(bytes).any(|(_, trail)| (0x30..=0x39).contains(&trail))
}

fn has_four_byte_any(samples: &[Sample]) -> bool {
    samples.iter().any(|s| has_four_byte(s.bytes))
}

/// The share of characters that are everyday ones in an encoding.
fn common_share(samples: &[Sample], common: fn(u8, u8) -> bool) -> f64 {
    let (mut all, mut everyday) = (0u64, 0u64);
    for (lead, trail) in samples.iter().flat_map(|s| pairs(s.bytes)) {
        all += 1;
        everyday += u64::from(common(lead, trail));
    }
    if all == 0 { 0.0 } else { everyday as f64 / all as f64 }
}

/// GB2312 level 1 (3,755 characters) and its punctuation.
fn gb2312_common(lead: u8, trail: u8) -> bool {
    trail >= 0xa1 && matches!(lead, 0xa1 | 0xa3 | 0xb0..=0xd7)
}

/// Big5 level 1 (5,401 characters) and its punctuation.
fn big5_common(lead: u8, trail: u8) -> bool {
    matches!(lead, 0xa1..=0xc6) && matches!(trail, 0x40..=0x7e | 0xa1..=0xfe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(declared: Option<TextEncoding>, texts: &[&[u8]]) -> Result<Choice> {
        let samples: Vec<Sample> =
            texts.iter().map(|&bytes| Sample { bytes, full: false }).collect();
        choose(declared, &samples)
    }

    fn gbk(text: &str) -> Vec<u8> {
        encoding_rs::GBK.encode(text).0.into_owned()
    }

    fn big5(text: &str) -> Vec<u8> {
        BIG5.encode(text).0.into_owned()
    }

    #[test]
    fn bytes_win_over_a_declaration_that_lies() {
        let (land, words) = (gbk("水田旱地果园"), gbk("龙桥街道"));
        let got = decide(Some(TextEncoding::Utf8), &[&land, &words]).unwrap();
        assert_eq!(
            got,
            Choice { encoding: TextEncoding::Gbk, differs_from: Some(TextEncoding::Utf8) }
        );
        let got = decide(Some(TextEncoding::Gbk), &["水田".as_bytes()]).unwrap();
        assert_eq!(got.encoding, TextEncoding::Utf8);
        assert_eq!(got.differs_from, Some(TextEncoding::Gbk));
        let latin = TextEncoding::from_name("ISO-8859-1");
        assert_eq!(decide(latin, &[&land]).unwrap().encoding, TextEncoding::Gbk);
        let got = decide(Some(TextEncoding::Big5), &[&land, &words]).unwrap();
        assert_eq!(got.encoding, TextEncoding::Gbk);
        let taiwan = big5("國有土地建築用地農業區都市計畫");
        let got = decide(Some(TextEncoding::Gbk), &[&taiwan]).unwrap();
        assert_eq!(got.encoding, TextEncoding::Big5);
    }

    #[test]
    fn undeclared_text_is_found_out() {
        assert_eq!(decide(None, &[&gbk("农村宅基地")]).unwrap().encoding, TextEncoding::Gbk);
        assert_eq!(
            decide(None, &[&big5("國有土地建築用地農業區")]).unwrap().encoding,
            TextEncoding::Big5
        );
        assert_eq!(decide(None, &[b"abc"]).unwrap().encoding, TextEncoding::Ascii);
        // Valid UTF-8 by accident: two-byte sequences only.
        let accident = gbk("联通");
        assert_eq!(decide(None, &[&accident, &gbk("村")]).unwrap().encoding, TextEncoding::Gbk);
        assert_eq!(decide(None, &[b"\xff\xff\xff"]).unwrap_err().code, "encoding_unknown");
        assert_eq!(decide(None, &[b"caf\xe9 "]).unwrap_err().code, "encoding_unknown");
    }

    #[test]
    fn four_byte_characters_are_gb18030() {
        let rare = GB18030.encode("㐀𠀀镇").0.into_owned();
        assert_eq!(
            decide(Some(TextEncoding::Gbk), &[&rare]).unwrap().encoding,
            TextEncoding::Gb18030
        );
        assert_eq!(TextEncoding::Gb18030.decode(&rare).unwrap(), "㐀𠀀镇");
    }

    #[test]
    fn a_cut_character_goes_and_nothing_is_replaced() {
        let cut = |encoding: TextEncoding, bytes: &[u8]| {
            encoding.decode_cut(bytes).map(|d| (d.text, d.cut))
        };
        let utf8 = "权属单位".as_bytes();
        assert_eq!(cut(TextEncoding::Utf8, &utf8[..10]), Some(("权属单".into(), true)));
        assert_eq!(cut(TextEncoding::Gbk, &gbk("水田")[..3]), Some(("水".into(), true)));
        assert_eq!(cut(TextEncoding::Utf8, b"\xff\xffab"), None);
    }

    #[test]
    fn names_of_encodings() {
        for (name, expected) in [
            ("\u{feff}UTF-8\r\n", TextEncoding::Utf8),
            ("ANSI 936", TextEncoding::Gbk),
            ("cp936", TextEncoding::Gbk),
            ("GB18030", TextEncoding::Gb18030),
            ("OEM 950", TextEncoding::Big5),
            ("Big5-HKSCS", TextEncoding::Big5),
        ] {
            assert_eq!(TextEncoding::from_name(name), Some(expected), "{name}");
        }
        assert_eq!(TextEncoding::from_name("klingon"), None);
    }
}
