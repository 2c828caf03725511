//! What both simulations say of their tables, and how the desktop's log says it.

use bytes::{BufMut, Bytes, BytesMut};
use tandem::model::{Arriving, Column, Key, Name, Source, Table};

/// A table of texts, the same on both sides, every row of which is the desktop's.
pub fn text_table(name: &str, oid: u32, columns: &[&str], key: Key) -> Table {
    let place = Name {
        schema: "public".to_owned(),
        relation: name.to_owned(),
    };
    let arriving = columns.iter().map(|name| Arriving {
        name: (*name).to_owned(),
        base_type: "text".to_owned(),
    });
    let written = columns.iter().enumerate().map(|(index, name)| Column {
        name: (*name).to_owned(),
        from: Source::Arriving(index),
        base_type: "text".to_owned(),
        compare_type: "text".to_owned(),
        narrower: None,
        reads: Default::default(),
        parents: Vec::new(),
        exact: true,
        not_null: false,
        cloud_owned: false,
    });
    Table {
        name: name.to_owned(),
        desktop: place.clone(),
        desktop_oid: oid,
        cloud: place,
        arriving: arriving.collect(),
        columns: written.collect(),
        indexed: key != Key::Multiset,
        key,
        stream: true,
        max_shrink: 1.0,
        ..Table::default()
    }
}

/// What the log says of a table before its first row: its replica identity, and how many of its first columns are in that.
pub fn relation(oid: u32, name: &str, (identity, keys): (u8, usize), columns: &[&str]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(b'R');
    out.put_u32(oid);
    out.put_slice(b"public\0");
    out.put_slice(name.as_bytes());
    out.put_u8(0);
    out.put_u8(identity);
    out.put_u16(columns.len() as u16);
    for (at, name) in columns.iter().enumerate() {
        out.put_u8(u8::from(at < keys));
        out.put_slice(name.as_bytes());
        out.put_u8(0);
        out.put_u32(25);
        out.put_i32(-1);
    }
    out.freeze()
}

/// A column's value.
pub fn text(out: &mut BytesMut, value: u8) {
    let value = value.to_string();
    out.put_u8(b't');
    out.put_u32(value.len() as u32);
    out.put_slice(value.as_bytes());
}
