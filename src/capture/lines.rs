//! Lines of `COPY ... TO` from a desktop that doesn't speak UTF-8: their values out of the escapes, read, and back. Pure.
//!
//! Whole lines are not read, since in some encodings a part of a character looks like an escape or a quote.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{Charset, is_unreadable};

/// The same line of plain values in UTF-8; none when one of them can't be read.
pub fn values(line: &Bytes, charset: Charset) -> Option<Bytes> {
    if line.is_ascii() {
        return Some(line.clone());
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut out = BytesMut::with_capacity(line.len() * 3 / 2);
    for (at, field) in line.split(|byte| *byte == b'\t').enumerate() {
        if at > 0 {
            out.put_u8(b'\t');
        }
        if field.is_ascii() {
            out.put_slice(field);
            continue;
        }
        let raw = plain(field);
        let text = charset.read(&raw);
        if is_unreadable(&text) {
            return None;
        }
        escape(&text, &mut out);
    }
    out.put_u8(b'\n');
    Some(out.freeze())
}

/// The values of a line that is one array of text, in UTF-8 or as what stands for those that can't be read. None for NULL.
pub fn array(line: &[u8], charset: Charset) -> Vec<Option<Vec<u8>>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let read = |raw: &[u8]| charset.read(raw).into_owned();
    let cells = elements(&plain(line));
    let cells = cells.into_iter();
    cells.map(|cell| cell.as_deref().map(read)).collect()
}

/// A value without COPY's escapes. Source: PostgreSQL documentation, "COPY", text format.
pub fn plain(field: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', field).is_none() {
        return Cow::Borrowed(field);
    }
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => bytes.next().map_or(b'\\', |escaped| match escaped {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                other => *other,
            }),
            other => *other,
        };
        out.push(byte);
    }
    Cow::Owned(out)
}

fn escape(text: &[u8], out: &mut BytesMut) {
    for byte in text {
        match byte {
            b'\\' => out.put_slice(b"\\\\"),
            b'\t' => out.put_slice(b"\\t"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            other => out.put_u8(*other),
        }
    }
}

/// The elements of an array constant of one dimension.
fn elements(array: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut bytes = array.strip_prefix(b"{").unwrap_or(array).iter();
    let (mut all, mut cell) = (Vec::new(), Vec::new());
    let (mut quoted, mut was_quoted) = (false, false);
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => cell.extend(bytes.next()),
            b'"' => (quoted, was_quoted) = (!quoted, true),
            b',' | b'}' if !quoted => {
                let text = std::mem::take(&mut cell);
                if was_quoted || text != b"NULL" {
                    all.push(Some(text));
                } else {
                    all.push(None);
                }
                was_quoted = false;
            }
            other => cell.push(*other),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Encoding;

    fn office(name: &str) -> Charset {
        Charset::of("SQL_ASCII", Encoding::named(name)).unwrap()
    }

    #[test]
    fn values_come_out_of_their_escapes_and_go_back() {
        let line = Bytes::from_static(b"1\tM\xFCl\\\\ler\\t\t\\N\n");
        let read = values(&line, office("WIN1252")).unwrap();
        assert_eq!(&*read, "1\tMül\\\\ler\\t\t\\N\n".as_bytes());
        assert_eq!(values(&line, office("UTF8")), None);
        // A part of this character is a backslash, which the server has escaped.
        let line = Bytes::from_static(b"\x95\\\\\n");
        assert_eq!(&*values(&line, office("SJIS")).unwrap(), "表\n".as_bytes());
    }

    #[test]
    fn an_arrays_values_come_one_by_one() {
        let line = b"{1,\"M\xFC\\\\\"l,\\\\\\\\\",NULL,\"NULL\",\"\"}\n";
        let cells = array(line, office("WIN1252"));
        let text =
            |cell: &Option<Vec<u8>>| cell.clone().map(|cell| String::from_utf8(cell).unwrap());
        let cells: Vec<_> = cells.iter().map(text).collect();
        let wanted = ["1", "Mü\"l,\\", "NULL", ""].map(|text| Some(text.to_owned()));
        let [one, name, word, empty] = wanted;
        assert_eq!(cells, [one, name, None, word, empty]);
    }
}
