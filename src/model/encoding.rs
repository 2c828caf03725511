//! Encodings of old desktops, byte by byte as PostgreSQL converts them to UTF-8.
//!
//! `encoding_rs` has the tables. It follows the web, which gives a meaning to bytes that PostgreSQL has none for, and takes
//! LATIN1 for windows-1252: where both differ PostgreSQL is right here, and `tests/forward/encoding.rs` asks a server about every
//! byte. Encodings whose tables differ in more than a few places are not offered.

use std::borrow::Cow;
use std::sync::OnceLock;

use encoding_rs as tables;

/// An encoding that tandem reads exactly as PostgreSQL does.
#[derive(Clone, Copy)]
pub struct Encoding(&'static Known);

struct Known {
    /// PostgreSQL's name for it.
    name: &'static str,
    /// Its other names, as [`plain`] writes them.
    also: &'static [&'static str],
    how: How,
    /// The characters of the bytes from 128 on, once they are needed.
    high: OnceLock<[Option<char>; 128]>,
}

#[derive(Clone, Copy)]
enum How {
    Utf8,
    /// Each byte is the character of its number, but for these.
    Numbers(&'static [(u8, char)]),
    /// Each byte is what the table says; none where that is a control character.
    Single(&'static tables::Encoding),
    /// The same, but for these.
    But(&'static tables::Encoding, &'static [(u8, Option<char>)]),
    /// One or two bytes, but for what the function doesn't let pass.
    Double(&'static tables::Encoding, fn(&[u8]) -> Pair),
}

/// What two bytes are.
enum Pair {
    /// What the table says, unless that is a control character or a private one.
    Table,
    /// This one.
    Is(char),
    /// Nothing.
    Nothing,
}

const fn known(name: &'static str, also: &'static [&'static str], how: How) -> Known {
    let high = OnceLock::new();
    Known {
        name,
        also,
        how,
        high,
    }
}

/// What Turkish has in the place of six letters of LATIN1.
const LATIN5: &[(u8, char)] = &[
    (0xD0, 'Ğ'),
    (0xDD, 'İ'),
    (0xDE, 'Ş'),
    (0xF0, 'ğ'),
    (0xFD, 'ı'),
    (0xFE, 'ş'),
];

/// Source: PostgreSQL, `src/common/encnames.c`.
static ALL: [Known; 32] = [
    known("UTF8", &["unicode"], How::Utf8),
    known("LATIN1", &["iso88591"], How::Numbers(&[])),
    known("LATIN2", &["iso88592"], How::Single(tables::ISO_8859_2)),
    known("LATIN3", &["iso88593"], How::Single(tables::ISO_8859_3)),
    known("LATIN4", &["iso88594"], How::Single(tables::ISO_8859_4)),
    known("LATIN5", &["iso88599"], How::Numbers(LATIN5)),
    known("LATIN6", &["iso885910"], How::Single(tables::ISO_8859_10)),
    known("LATIN7", &["iso885913"], How::Single(tables::ISO_8859_13)),
    known("LATIN8", &["iso885914"], How::Single(tables::ISO_8859_14)),
    known("LATIN9", &["iso885915"], How::Single(tables::ISO_8859_15)),
    known("LATIN10", &["iso885916"], How::Single(tables::ISO_8859_16)),
    known("ISO_8859_5", &[], How::Single(tables::ISO_8859_5)),
    known("ISO_8859_6", &[], How::Single(tables::ISO_8859_6)),
    known("ISO_8859_7", &[], How::Single(tables::ISO_8859_7)),
    known("ISO_8859_8", &[], How::Single(tables::ISO_8859_8)),
    known("WIN866", &["alt"], How::Single(tables::IBM866)),
    known("WIN874", &["windows874"], How::Single(tables::WINDOWS_874)),
    known(
        "WIN1250",
        &["windows1250"],
        How::Single(tables::WINDOWS_1250),
    ),
    known(
        "WIN1251",
        &["windows1251", "win"],
        How::Single(tables::WINDOWS_1251),
    ),
    known(
        "WIN1252",
        &["windows1252"],
        How::Single(tables::WINDOWS_1252),
    ),
    known(
        "WIN1253",
        &["windows1253"],
        How::Single(tables::WINDOWS_1253),
    ),
    known(
        "WIN1254",
        &["windows1254"],
        How::Single(tables::WINDOWS_1254),
    ),
    known(
        "WIN1255",
        &["windows1255"],
        How::But(tables::WINDOWS_1255, &[(0xCA, None)]),
    ),
    known(
        "WIN1256",
        &["windows1256"],
        How::Single(tables::WINDOWS_1256),
    ),
    known(
        "WIN1257",
        &["windows1257"],
        How::Single(tables::WINDOWS_1257),
    ),
    known(
        "WIN1258",
        &["windows1258", "abc", "tcvn", "tcvn5712", "vscii"],
        How::Single(tables::WINDOWS_1258),
    ),
    known("KOI8R", &["koi8"], How::Single(tables::KOI8_R)),
    known(
        "KOI8U",
        &[],
        How::But(tables::KOI8_U, &[(0xAE, Some('╝')), (0xBE, Some('╬'))]),
    ),
    known(
        "SJIS",
        &["mskanji", "shiftjis", "win932", "windows932"],
        How::Double(tables::SHIFT_JIS, sjis),
    ),
    known(
        "GBK",
        &["win936", "windows936"],
        How::Double(tables::GBK, gbk),
    ),
    known(
        "UHC",
        &["win949", "windows949"],
        How::Double(tables::EUC_KR, uhc),
    ),
    known("EUC_KR", &[], How::Double(tables::EUC_KR, euc_kr)),
];

fn sjis(bytes: &[u8]) -> Pair {
    match bytes {
        [0xA1..=0xDF] | [_, _] => Pair::Table,
        _ => Pair::Nothing,
    }
}

/// What the web's table has beyond PostgreSQL's.
const NOT_IN_GBK: [(u16, u16); 14] = [
    (0xA2E3, 0xA2E3),
    (0xA3A0, 0xA3A0),
    (0xA6D9, 0xA6DF),
    (0xA6EC, 0xA6ED),
    (0xA6F3, 0xA6F3),
    (0xA8BC, 0xA8BC),
    (0xA8BF, 0xA8BF),
    (0xA989, 0xA995),
    (0xFE50, 0xFE50),
    (0xFE54, 0xFE6B),
    (0xFE6D, 0xFE75),
    (0xFE77, 0xFE7E),
    (0xFE80, 0xFE90),
    (0xFE92, 0xFEA0),
];

fn gbk(bytes: &[u8]) -> Pair {
    let [lead, trail] = *bytes else {
        return Pair::Nothing;
    };
    let code = u16::from_be_bytes([lead, trail]);
    let beyond = { NOT_IN_GBK.iter() }.any(|(from, to)| (*from..=*to).contains(&code));
    if beyond { Pair::Nothing } else { Pair::Table }
}

/// Its two rows for what people define themselves are private characters.
fn uhc(bytes: &[u8]) -> Pair {
    let row = match bytes {
        [0xC9, 0xA1..=0xFE] => 0,
        [0xFE, 0xA1..=0xFE] => 94,
        [0xA2, 0xE8] => return Pair::Is('㉾'),
        [_, _] => return Pair::Table,
        _ => return Pair::Nothing,
    };
    let own = 0xE000 + row + u32::from(bytes[1] - 0xA1);
    char::from_u32(own).map_or(Pair::Nothing, Pair::Is)
}

fn euc_kr(bytes: &[u8]) -> Pair {
    match bytes {
        [0xA2, 0xE8] => Pair::Is('㉾'),
        [0xA1..=0xFE, 0xA1..=0xFE] => Pair::Table,
        _ => Pair::Nothing,
    }
}

/// A name as PostgreSQL compares it: without case, and without what is neither letter nor digit.
fn plain(name: &str) -> String {
    let letters = { name.chars() }.filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

impl Encoding {
    /// Text that needs no conversion.
    pub const UTF8: Encoding = Encoding(&ALL[0]);

    /// By one of PostgreSQL's names for it.
    pub fn named(name: &str) -> Option<Encoding> {
        let name = plain(name);
        let is = |known: &&Known| plain(known.name) == name || known.also.contains(&name.as_str());
        ALL.iter().find(is).map(Encoding)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Encoding> {
        ALL.iter().map(Encoding)
    }

    /// PostgreSQL's name for it.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// One byte is one character.
    pub fn is_single(self) -> bool {
        !matches!(self.0.how, How::Utf8 | How::Double(..))
    }

    /// The same text in UTF-8; none when some of the bytes have no meaning.
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
        if bytes.is_ascii() {
            return Some(Cow::Borrowed(bytes));
        }
        let mut text = String::with_capacity(bytes.len() * 3 / 2);
        match self.0.how {
            How::Utf8 => {
                return std::str::from_utf8(bytes)
                    .ok()
                    .map(|_| Cow::Borrowed(bytes));
            }
            How::Double(table, which) => {
                let mut rest = bytes;
                while let Some(byte) = rest.first() {
                    let length = match byte {
                        0..=127 => {
                            text.push(char::from(*byte));
                            rest = &rest[1..];
                            continue;
                        }
                        // Half-wide kana of SJIS.
                        0xA1..=0xDF if std::ptr::eq(table, tables::SHIFT_JIS) => 1,
                        _ => 2,
                    };
                    let (one, others) = rest.split_at_checked(length)?;
                    text.push(pair(table, which, one)?);
                    rest = others;
                }
            }
            How::Numbers(_) | How::Single(_) | How::But(..) => {
                let high = self.0.high.get_or_init(|| high(self.0.how));
                for byte in bytes {
                    let found = match byte.checked_sub(128) {
                        None => Some(char::from(*byte)),
                        Some(at) => high[usize::from(at)],
                    };
                    text.push(found?);
                }
            }
        }
        Some(Cow::Owned(text.into_bytes()))
    }
}

fn pair(table: &'static tables::Encoding, which: fn(&[u8]) -> Pair, bytes: &[u8]) -> Option<char> {
    match which(bytes) {
        Pair::Table => {
            let private = |found: &char| ('\u{E000}'..='\u{F8FF}').contains(found);
            only(table, bytes).filter(|found| !found.is_control() && !private(found))
        }
        Pair::Is(found) => Some(found),
        Pair::Nothing => None,
    }
}

/// The one character that these bytes are.
fn only(table: &'static tables::Encoding, bytes: &[u8]) -> Option<char> {
    let text = table.decode_without_bom_handling_and_without_replacement(bytes)?;
    let mut found = text.chars();
    found.next().filter(|_| found.next().is_none())
}

fn high(how: How) -> [Option<char>; 128] {
    std::array::from_fn(|at| {
        let byte = at as u8 + 128;
        match how {
            How::Numbers(but) => {
                let other = but.iter().find(|(of, _)| *of == byte);
                Some(other.map_or(char::from(byte), |(_, other)| *other))
            }
            How::But(_, but) if but.iter().any(|(of, _)| *of == byte) => {
                but.iter().find(|(of, _)| *of == byte)?.1
            }
            How::Single(table) | How::But(table, _) => {
                let defines_all = table.name().starts_with("ISO-");
                only(table, &[byte]).filter(|found| defines_all || !found.is_control())
            }
            How::Utf8 | How::Double(..) => None,
        }
    })
}

impl PartialEq for Encoding {
    fn eq(&self, other: &Encoding) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Encoding {}

impl std::fmt::Debug for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}
