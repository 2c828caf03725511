//! Values in the binary format of their type, where we read their text exactly as the type's input function does. The server
//! then neither takes them out of a text nor parses them: a `timestamptz` costs it a third of a microsecond.
//!
//! Whatever isn't written as the type's own output function writes it is left to the server, text and all, which then also
//! says what is wrong with it.
//! Source: the `*recv` functions in `src/backend/utils/adt/`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{Oid, Param, Reads, Source, StepKind, StepShape, Table, oid};

/// What an array parameter is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Text,
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Uuid,
    Bytea,
    Date,
    Timestamp,
    Timestamptz,
}

use Element::*;

/// What the arrays of a step's arriving columns are made of: text, but for plain writes of columns whose type reads the
/// text as it came, and nobody else does. There the statement's cast finds a value that is of its type already.
pub(super) fn elements(
    table: &Table,
    work: StepKind,
    shape: &StepShape,
    columns: &[usize],
) -> Vec<Element> {
    // What names an orphan is a hash over texts.
    let plain = is_plain(work, shape) && table.orphaned().is_empty();
    let of = |index: &usize| {
        let mut users = { table.columns.iter() }.filter(|one| one.from.uses().contains(index));
        let (Some(column), None) = (users.next().filter(|_| plain), users.next()) else {
            return Text;
        };
        let read_as_it_came = column.from == Source::Arriving(*index)
            && column.narrower.is_none()
            && !matches!(column.reads, Reads::Through(_));
        match read_as_it_came {
            true => Element::of(&column.base_type),
            false => Text,
        }
    };
    columns.iter().map(of).collect()
}

/// Rows are written, or removed, as they came and where they stand.
pub(super) fn is_plain(work: StepKind, shape: &StepShape) -> bool {
    let plain = matches!(work, StepKind::Upsert | StepKind::Delete);
    plain && !shape.mobile && !shape.moved && !shape.waits()
}

/// Values of a type, as `format_type` spells it, can come in an array of it.
pub(super) fn has_array(base_type: &str) -> bool {
    matches!(base_type, "text" | "character varying") || Element::of(base_type) != Text
}

impl Element {
    /// The one for a type, as `format_type` spells it.
    fn of(base_type: &str) -> Element {
        match base_type {
            "boolean" => Bool,
            "smallint" => Int2,
            "integer" => Int4,
            "bigint" => Int8,
            "real" => Float4,
            "double precision" => Float8,
            "numeric" => Numeric,
            "uuid" => Uuid,
            "bytea" => Bytea,
            "date" => Date,
            "timestamp without time zone" => Timestamp,
            "timestamp with time zone" => Timestamptz,
            _ => Text,
        }
    }

    /// Source: `pg_type.dat`.
    pub(super) fn oid(self) -> Oid {
        match self {
            Text => oid::TEXT,
            Bool => oid::BOOL,
            Int2 => 21,
            Int4 => oid::INT4,
            Int8 => oid::INT8,
            Float4 => 700,
            Float8 => oid::FLOAT8,
            Numeric => 1700,
            Uuid => 2950,
            Bytea => 17,
            Date => 1082,
            Timestamp => 1114,
            Timestamptz => oid::TIMESTAMPTZ,
        }
    }

    /// The same.
    pub(super) fn array_oid(self) -> Oid {
        match self {
            Text => oid::TEXT_ARRAY,
            Bool => 1000,
            Int2 => 1005,
            Int4 => oid::INT4_ARRAY,
            Int8 => oid::INT8_ARRAY,
            Float4 => 1021,
            Float8 => 1022,
            Numeric => 1231,
            Uuid => 2951,
            Bytea => 1001,
            Date => 1182,
            Timestamp => 1115,
            Timestamptz => 1185,
        }
    }

    /// A value as a parameter of its own: of this type, else a `text`, as for arrays. Texts are not copied.
    pub(super) fn lone(self, text: Bytes) -> Param {
        const LENGTH: usize = 4;
        let mut bytes = BytesMut::new();
        let (of, value) = match self {
            Text => (Text, text),
            _ => match self.put(&text, &mut bytes) {
                Some(()) => (self, bytes.freeze().slice(LENGTH..)),
                None => (Text, text),
            },
        };
        Param {
            type_oid: of.oid(),
            value: Some(value),
            binary: true,
        }
    }

    /// Puts a value behind its length; none where that is left to the server.
    pub(super) fn put(self, text: &[u8], out: &mut BytesMut) -> Option<()> {
        match self {
            Text => put(text, out),
            Bool => match text {
                b"t" => put(&[1], out),
                b"f" => put(&[0], out),
                _ => return None,
            },
            Int2 => put(&i16::try_from(whole(text)?).ok()?.to_be_bytes(), out),
            Int4 => put(&i32::try_from(whole(text)?).ok()?.to_be_bytes(), out),
            Int8 => put(&whole(text)?.to_be_bytes(), out),
            // Zero may be what is left of something smaller, which the server refuses.
            Float4 => {
                let value: f32 = float(text)?.parse().ok()?;
                let sure = value.is_normal() || is_zero(text);
                put(&sure.then_some(value)?.to_be_bytes(), out);
            }
            Float8 => {
                let value: f64 = float(text)?.parse().ok()?;
                let sure = value.is_normal() || is_zero(text);
                put(&sure.then_some(value)?.to_be_bytes(), out);
            }
            Numeric => numeric(text, out)?,
            Uuid => put(&uuid(text)?, out),
            Bytea => bytea(text, out)?,
            Date => put(&i32::try_from(day(text)?).ok()?.to_be_bytes(), out),
            Timestamp => put(&moment(text)?.to_be_bytes(), out),
            // The desktop's session is told to speak of UTC.
            Timestamptz => put(&moment(text.strip_suffix(b"+00")?)?.to_be_bytes(), out),
        }
        Some(())
    }
}

fn put(value: &[u8], out: &mut BytesMut) {
    out.put_u32(value.len() as u32);
    out.put_slice(value);
}

/// Digits alone, so few that none is lost.
fn digits(text: &[u8]) -> Option<i64> {
    const MOST: usize = 18;
    if text.is_empty() || text.len() > MOST {
        return None;
    }
    text.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

fn whole(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', rest @ ..] => digits(rest).map(|value| -value),
        _ => digits(text),
    }
}

/// What `float8out` writes of a number: no words, no hexadecimal digits.
fn float(text: &[u8]) -> Option<&str> {
    let plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e');
    let text = { text.iter().all(plain) }.then_some(text)?;
    std::str::from_utf8(text).ok()
}

fn is_zero(text: &[u8]) -> bool {
    matches!(text, b"0" | b"-0")
}

/// Four decimal digits in each of its own.
/// Source: `numeric_recv` in `numeric.c`.
fn numeric(text: &[u8], out: &mut BytesMut) -> Option<()> {
    const GROUP: usize = 4;
    const LONGEST: usize = 1000;
    const NEGATIVE: u16 = 0x4000;
    let (sign, number) = match text {
        [b'-', rest @ ..] => (NEGATIVE, rest),
        _ => (0, text),
    };
    let point = number.iter().position(|byte| *byte == b'.');
    let (before, behind) = match point {
        Some(at) => (&number[..at], &number[at + 1..]),
        None => (number, &[][..]),
    };
    let odd = before.is_empty() || (point.is_some() && behind.is_empty());
    if odd || number.len() > LONGEST {
        return None;
    }
    let groups = before.len().div_ceil(GROUP);
    let fraction = behind.len().div_ceil(GROUP);
    out.put_i32((8 + 2 * (groups + fraction)) as i32);
    out.put_u16((groups + fraction) as u16);
    out.put_i16(groups as i16 - 1);
    out.put_u16(sign);
    out.put_u16(behind.len() as u16);
    // The first group may be shorter; the last one is filled up.
    let (first, rest) = before.split_at(before.len() - (groups - 1) * GROUP);
    for group in [first].into_iter().chain(rest.chunks(GROUP)) {
        out.put_i16(digits(group)? as i16);
    }
    for group in behind.chunks(GROUP) {
        let missing = (GROUP - group.len()) as u32;
        out.put_i16((digits(group)? * 10_i64.pow(missing)) as i16);
    }
    Some(())
}

fn hex(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let &[high, low] = pair else { return None };
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut value = [0; 16];
    let parts = [
        (0, 8, 0),
        (9, 13, 4),
        (14, 18, 6),
        (19, 23, 8),
        (24, 36, 10),
    ];
    let dashes = text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text[*at] == b'-');
    for (from, to, at) in parts.into_iter().filter(|_| dashes) {
        for (pair, byte) in text[from..to].chunks(2).zip(&mut value[at..]) {
            *byte = hex(pair)?;
        }
    }
    dashes.then_some(value)
}

fn bytea(text: &[u8], out: &mut BytesMut) -> Option<()> {
    let pairs = text.strip_prefix(b"\\x")?;
    out.put_u32((pairs.len() / 2) as u32);
    for pair in pairs.chunks(2) {
        out.put_u8(hex(pair)?);
    }
    Some(())
}

/// Days since the beginning of 2000, of `2026-11-28`.
/// Source: `date2j` in `datetime.c`, of which this is the usual form with years that begin in March.
fn day(text: &[u8]) -> Option<i64> {
    const DAYS_TO_2000: i64 = 730_425;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else {
        return None;
    };
    let (year, month, day) = (
        digits(&[y1, y2, y3, y4])?,
        digits(&[m1, m2])?,
        digits(&[d1, d2])?,
    );
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || day == 0 || day > longest {
        return None;
    }
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let before = 365 * year + year / 4 - year / 100 + year / 400;
    Some(before + (153 * month + 2) / 5 + day - 1 - DAYS_TO_2000)
}

/// Microseconds since the beginning of 2000, of `2026-11-28 20:17:02.287`.
fn moment(text: &[u8]) -> Option<i64> {
    const DAY: i64 = 86_400;
    let (date, time) = text.split_at_checked(10)?;
    let (&[b' ', h1, h2, b':', m1, m2, b':', s1, s2], rest) = time.split_first_chunk()? else {
        return None;
    };
    let (hour, minute, second) = (digits(&[h1, h2])?, digits(&[m1, m2])?, digits(&[s1, s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match rest {
        [] => 0,
        [b'.', rest @ ..] if rest.len() <= 6 => digits(rest)? * 10_i64.pow(6 - rest.len() as u32),
        _ => return None,
    };
    Some((day(date)? * DAY + hour * 3600 + minute * 60 + second) * 1_000_000 + micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(element: Element, text: &str) -> Option<Vec<u8>> {
        let mut out = BytesMut::new();
        element.put(text.as_bytes(), &mut out)?;
        let length = i32::from_be_bytes(out[..4].try_into().unwrap());
        assert_eq!(length as usize, out.len() - 4, "{text}");
        Some(out[4..].to_vec())
    }

    /// What `int4send`, `numeric_send` and so on of a server say.
    #[test]
    fn values_are_what_the_server_sends_of_them() {
        let long = |value: i64| Some(value.to_be_bytes().to_vec());
        assert_eq!(sent(Int4, "-2"), Some(vec![0xff, 0xff, 0xff, 0xfe]));
        assert_eq!(sent(Date, "2000-01-01"), Some(vec![0; 4]));
        assert_eq!(sent(Date, "1999-12-31"), Some(vec![0xff; 4]));
        assert_eq!(
            sent(Date, "2024-02-29"),
            Some(8825_i32.to_be_bytes().to_vec())
        );
        assert_eq!(
            sent(Date, "0001-01-01"),
            Some((-730_119_i32).to_be_bytes().to_vec())
        );
        assert_eq!(sent(Timestamp, "2000-01-01 00:00:01.5"), long(1_500_000));
        assert_eq!(
            sent(Timestamptz, "1999-12-31 23:59:59+00"),
            long(-1_000_000)
        );
        // 12345.67: three digits to the base of 10,000, the first of which counts 10,000s; two are shown behind the point.
        let number = [0, 3, 0, 1, 0, 0, 0, 2, 0, 1, 0x09, 0x29, 0x1a, 0x2c];
        assert_eq!(sent(Numeric, "12345.67"), Some(number.to_vec()));
        let number = [0, 1, 0, 0, 0x40, 0, 0, 0, 0, 7];
        assert_eq!(sent(Numeric, "-7"), Some(number.to_vec()));
        assert_eq!(sent(Bytea, "\\x00fF"), Some(vec![0, 0xff]));
    }

    #[test]
    fn a_value_of_its_own_is_a_text_where_its_type_may_read_it_in_another_way() {
        let sent = |element: Element, text: &'static str| {
            let param = element.lone(Bytes::from_static(text.as_bytes()));
            assert!(param.binary);
            (param.type_oid, param.value.unwrap().to_vec())
        };
        assert_eq!(sent(Int4, "-2"), (oid::INT4, vec![0xff, 0xff, 0xff, 0xfe]));
        assert_eq!(sent(Int4, "+2"), (oid::TEXT, b"+2".to_vec()));
        // Some of it is read before it is seen that it can't be.
        assert_eq!(sent(Numeric, "1.2.3"), (oid::TEXT, b"1.2.3".to_vec()));
        assert_eq!(sent(Numeric, "NaN"), (oid::TEXT, b"NaN".to_vec()));
        assert_eq!(sent(Bytea, "\\x"), (17, Vec::new()));
        assert_eq!(sent(Text, ""), (oid::TEXT, Vec::new()));
    }

    #[test]
    fn what_is_written_in_another_way_is_left_to_the_server() {
        let odd: [(Element, &[&str]); 11] = [
            (Bool, &["true", "", "T"]),
            (Int2, &["32768", " 1", "+1", "1_0", "0x1", "", "-"]),
            (Int4, &["2147483648", "1.0"]),
            (Int8, &["9223372036854775808", "1e3"]),
            (
                Float4,
                &["NaN", "Infinity", "1e-45", "1e39", "0x1p3", "", "1e-60"],
            ),
            (
                Float8,
                &["nan", "-Infinity", "1e-310", "1e400", "1e-400", " 1"],
            ),
            (
                Numeric,
                &["NaN", "Infinity", "1e5", ".5", "5.", "", "-", "1.2.3"],
            ),
            (
                Uuid,
                &[
                    "a0eebc999c0b4ef8bb6d6bb9bd380a11",
                    "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1}",
                ],
            ),
            (Bytea, &["\\x0", "abc", "\\xzz", "\\000"]),
            (
                Date,
                &[
                    "infinity",
                    "2023-02-29",
                    "0000-01-01",
                    "10000-01-01",
                    "0044-03-15 BC",
                    "2026-13-01",
                ],
            ),
            (
                Timestamp,
                &[
                    "2026-01-01 24:00:00",
                    "2026-01-01",
                    "2026-01-01 00:00:60",
                    "2026-01-01 00:00:00+00",
                    "2026-01-01 00:00:00.1234567",
                    "-infinity",
                ],
            ),
        ];
        for (element, texts) in odd {
            for text in texts {
                assert_eq!(sent(element, text), None, "{element:?} {text:?}");
            }
        }
        for text in [
            "2026-01-01 00:00:00",
            "2026-01-01 00:00:00+05:30",
            "2026-01-01 00:00:00+00 BC",
        ] {
            assert_eq!(sent(Timestamptz, text), None, "{text:?}");
        }
    }
}
