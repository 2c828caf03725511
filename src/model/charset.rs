//! What the desktop's bytes mean where its database doesn't speak UTF-8. Such a desktop is read without conversion, since
//! the server's own ends with an error at the first byte without a meaning.

use std::borrow::Cow;

use super::Encoding;

/// What stands before a value that can't be read: two characters that are none, so that no value begins so by itself. What
/// follows is the value as PostgreSQL's `encode(bytes, 'escape')` writes it: nothing of it is lost.
pub const UNREADABLE: &str = "\u{FDD0}\u{FDD1}";

/// How the text of a database that doesn't speak UTF-8 is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset {
    /// What its bytes are read as.
    pub encoding: Encoding,
    /// Who says so.
    pub said_by: SaidBy,
}

/// Who says what the bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaidBy {
    /// The database has an encoding.
    Database,
    /// It has none (SQL_ASCII), and `desktop.encoding` names one.
    Setting,
    /// It has none, and nobody says what they mean: UTF-8, as far as they can be.
    Nobody,
}

impl Charset {
    /// What a database without an encoding calls its encoding.
    pub const SQL_ASCII: &str = "SQL_ASCII";

    /// For a database with this `server_encoding`; none where the server does what is to be done: it has UTF-8, or an
    /// encoding that is not read here exactly as PostgreSQL does.
    pub fn of(server: &str, setting: Option<Encoding>) -> Option<Charset> {
        if server == Charset::SQL_ASCII {
            let said_by = match setting {
                Some(_) => SaidBy::Setting,
                None => SaidBy::Nobody,
            };
            let encoding = setting.unwrap_or(Encoding::UTF8);
            return Some(Charset { encoding, said_by });
        }
        let encoding = Encoding::named(server).filter(|known| *known != Encoding::UTF8)?;
        let said_by = SaidBy::Database;
        Some(Charset { encoding, said_by })
    }

    /// The database has no encoding of its own: what is in it are bytes.
    pub fn is_bare(self) -> bool {
        self.said_by != SaidBy::Database
    }

    /// The `client_encoding` that makes the server send its bytes as they are.
    pub fn as_they_are(self) -> &'static str {
        match self.said_by {
            SaidBy::Database => self.encoding.name(),
            SaidBy::Setting | SaidBy::Nobody => Charset::SQL_ASCII,
        }
    }

    /// A value in UTF-8, or what stands for one that can't be read.
    pub fn read(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        let read = self.encoding.decode(bytes);
        read.unwrap_or_else(|| Cow::Owned(escaped(bytes)))
    }

    /// The same for bytes that came as hexadecimal digits.
    pub fn read_digits(self, digits: &str) -> String {
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
        let pairs = digits.as_bytes().chunks_exact(2);
        let bytes: Vec<_> = pairs
            .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
            .collect();
        String::from_utf8_lossy(&self.read(&bytes)).into_owned()
    }

    /// A name as the catalog's queries show it: where nobody says for sure what its bytes mean, one that isn't UTF-8 shows
    /// them (`catalog::readable`).
    pub fn name(self, bytes: &[u8]) -> String {
        let text = match self.said_by {
            SaidBy::Database => self.read(bytes),
            SaidBy::Setting | SaidBy::Nobody => match Encoding::UTF8.decode(bytes) {
                Some(name) => name,
                None => Cow::Owned(escaped(bytes)),
            },
        };
        shown(&String::from_utf8_lossy(&text)).to_owned()
    }

    /// Why a row waits in which a column, whose name comes first, can't be read.
    pub fn unreadable(self) -> String {
        let name = self.encoding.name();
        match self.said_by {
            SaidBy::Database => format!(
                "holds bytes that mean nothing in {name}, the encoding of the desktop's database; correct the value there, and the row goes by itself"
            ),
            SaidBy::Setting => format!(
                "holds bytes that mean nothing in {name}; correct the value on the desktop, and the row goes by itself, or correct desktop.encoding and restart"
            ),
            SaidBy::Nobody => "holds bytes that are not UTF-8, and the desktop's database (SQL_ASCII) doesn't say what they mean; name the office's encoding in the settings, [desktop] encoding = \"WIN1252\" for one, and restart, or correct the value on the desktop: then the row goes by itself".to_owned(),
        }
    }
}

/// Whether a value could not be read.
pub fn is_unreadable(value: &[u8]) -> bool {
    // Asked of every value: nearly none begins like that, and one byte tells.
    let mark = UNREADABLE.as_bytes();
    value.first() == mark.first() && value.starts_with(mark)
}

/// A value for people: one that can't be read shows its bytes.
pub fn shown(value: &str) -> &str {
    value.strip_prefix(UNREADABLE).unwrap_or(value)
}

/// As PostgreSQL's `encode(bytes, 'escape')`.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = UNREADABLE.as_bytes().to_vec();
    for byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            1..=127 => out.push(*byte),
            _ => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_without_a_meaning_are_kept_and_known() {
        let nobody = Charset::of("SQL_ASCII", None).unwrap();
        assert_eq!(&*nobody.read(b"plain"), b"plain");
        assert_eq!(&*nobody.read("Müller".as_bytes()), "Müller".as_bytes());
        let bad = nobody.read(b"M\xFC\\ller");
        assert!(is_unreadable(&bad));
        assert_eq!(shown(std::str::from_utf8(&bad).unwrap()), "M\\374\\\\ller");
    }

    #[test]
    fn a_setting_reads_what_a_database_without_an_encoding_has() {
        let office = Charset::of("SQL_ASCII", Encoding::named("windows-1252")).unwrap();
        assert_eq!(&*office.read(b"M\xFCller \x80"), "Müller €".as_bytes());
        assert!(is_unreadable(&office.read(b"\x81")));
        let database = Charset::of("LATIN1", Encoding::named("WIN1252")).unwrap();
        assert_eq!(database.encoding.name(), "LATIN1");
        assert_eq!(&*database.read(b"\x80\xE9"), "\u{80}é".as_bytes());
        assert_eq!(Charset::of("UTF8", Encoding::named("WIN1252")), None);
    }

    #[test]
    fn names_are_postgresqls() {
        let name = |given| Encoding::named(given).map(Encoding::name);
        assert_eq!(name("win-1252"), Some("WIN1252"));
        assert_eq!(name("iso8859-1"), Some("LATIN1"));
        assert_eq!(name("Windows932"), Some("SJIS"));
        assert_eq!(name("KOI8-R"), Some("KOI8R"));
        assert_eq!(name("utf-8"), Some("UTF8"));
        assert_eq!(name("cp1252"), None);
    }
}
