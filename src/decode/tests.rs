//! Properties over built messages; captured bytes of real servers are in `tests/pure/golden.rs`.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::model::{Cell, Tuple};

fn put_tuple(out: &mut BytesMut, cells: &[Option<Vec<u8>>]) {
    out.put_u16(cells.len() as u16);
    for cell in cells {
        match cell {
            None => out.put_u8(b'n'),
            Some(text) => {
                out.put_u8(b't');
                out.put_u32(text.len() as u32);
                out.put_slice(text);
            }
        }
    }
}

fn insert(cells: &[Option<Vec<u8>>]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(b'I');
    out.put_u32(16_384);
    out.put_u8(b'N');
    put_tuple(&mut out, cells);
    out.freeze()
}

proptest! {
    #[test]
    fn an_insert_gives_back_its_cells(cells in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 0..30)) {
        let Ok(Message::Insert { relation: 16_384, new }) = message(&insert(&cells)) else {
            panic!("not an insert")
        };
        let back: Vec<_> = new.cells().collect();
        let want: Vec<_> = cells.iter().map(|cell| cell.as_deref().map_or(Cell::Null, Cell::Text)).collect();
        prop_assert_eq!(back, want);
    }

    #[test]
    fn damage_names_offset_and_tag_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(damage) = message(&Bytes::from(bytes.clone())) {
            prop_assert!(damage.offset <= bytes.len());
            prop_assert_eq!(damage.tag, bytes.first().map_or('\0', |tag| *tag as char));
        }
    }

    #[test]
    fn every_cut_of_an_insert_is_damage(cells in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 1..9), cut in any::<prop::sample::Index>()) {
        let whole = insert(&cells);
        let cut = cut.index(whole.len());
        prop_assert!(message(&whole.slice(..cut)).is_err());
    }
}

#[test]
fn tags_of_streamed_transactions_are_refused_by_name() {
    for tag in *b"SEcA" {
        let damage = message(&Bytes::copy_from_slice(&[tag, 0, 0])).unwrap_err();
        assert!(
            damage.to_string().contains("streamed transaction"),
            "{damage}"
        );
    }
}

#[test]
fn a_change_outside_a_transaction_is_disorder() {
    let mut assembler = Assembler::default();
    let disorder = assembler.push(&insert(&[])).unwrap_err();
    assert_eq!(disorder, Disorder::UnknownRelation(16_384));
    let _ = Tuple::from_cells([]);
}

#[test]
fn what_is_damaged_in_the_corpus_is_said_with_its_place() {
    let corpus = include_str!("../../tests/corpus/pgoutput.txt");
    for line in corpus.lines().filter(|line| !line.starts_with("# ")) {
        let (digits, what) = line.split_once(" # ").unwrap();
        let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes: Bytes = (0..digits.len()).step_by(2).map(pair).collect();
        match message(&bytes) {
            Ok(_) => panic!("{what}: taken"),
            Err(damage) => assert!(damage.offset <= bytes.len(), "{what}: {damage}"),
        }
    }
}
