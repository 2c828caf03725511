//! Bytes of real servers: one scenario with every message of protocol 1, as PostgreSQL 15 to 18 sent it.
//!
//! `TANDEM_GOLDEN=record cargo test --test pure golden` records it anew from every server at hand and rewrites
//! `golden/summary.txt`; read the difference before it is committed.

pub(crate) mod bytes;
pub mod framing;
pub mod record;
pub mod summary;

use ::bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use proptest::sample::Index;
use tandem::decode::{Assembler, Message, message};
use tandem::model::Operation;

use self::bytes::{all, messages};
use self::framing::through_a_session;
use self::summary::{Names, summary};

#[test]
fn every_version_says_the_same_and_it_is_what_is_written_down() {
    record::if_asked();
    let written = include_str!("golden/summary.txt");
    let versions = all();
    assert_eq!(
        versions
            .iter()
            .map(|golden| golden.version)
            .collect::<Vec<_>>(),
        [15, 16, 17, 18]
    );
    for golden in versions {
        let said = summary(&messages(golden));
        for (line, (said, written)) in said.lines().zip(written.lines()).enumerate() {
            assert_eq!(
                said,
                written,
                "PostgreSQL {}, line {}",
                golden.version,
                line + 1
            );
        }
        assert_eq!(
            said.lines().count(),
            written.lines().count(),
            "PostgreSQL {}",
            golden.version
        );
    }
}

#[test]
fn the_scenario_has_every_message_and_every_kind_of_cell() {
    let written = include_str!("golden/summary.txt");
    for wanted in [
        "begin",
        "commit",
        "origin",
        "relation",
        "type",
        "insert",
        "update",
        "delete",
        "truncate",
        "mark in",
        "mark out",
        "old K",
        "old O",
        "no old",
        "Default",
        "Full",
        "Index",
        "Nothing",
        "unchanged",
        "null",
        "\"\"",
    ] {
        assert!(written.contains(wanted), "no {wanted} in the summary");
    }
}

/// What each transaction of the scenario does: changes as letters, then marks.
const TRANSACTIONS: &[(&str, &[&str])] = &[
    ("IIIIIIIII", &[]),
    ("UUUUUUU", &[]),
    ("DDDD", &[]),
    ("II", &[]),
    ("IIIITTTTTT", &[]),
    ("I", &["golden \"in\"", ""]),
    ("U", &[]),
    ("I", &[]),
    ("I", &[]),
    ("", &["golden.end"]),
];

#[test]
fn the_messages_join_into_the_transactions_that_were_made() {
    for golden in all() {
        let mut assembler = Assembler::default();
        let mut made = Vec::new();
        for bytes in messages(golden) {
            made.extend(assembler.push(&bytes).unwrap());
        }
        assert_eq!(assembler.open_bytes(), 0, "nothing is left open");
        let letters = made.iter().map(|transaction| {
            let letter = |operation: &Operation| match operation {
                Operation::Insert(_) => 'I',
                Operation::Update { .. } => 'U',
                Operation::Delete(_) => 'D',
                Operation::Truncate => 'T',
            };
            transaction
                .changes
                .iter()
                .map(|change| letter(&change.operation))
                .collect::<String>()
        });
        let wanted: Vec<_> = TRANSACTIONS
            .iter()
            .map(|(changes, _)| (*changes).to_owned())
            .collect();
        assert_eq!(
            letters.collect::<Vec<_>>(),
            wanted,
            "PostgreSQL {}",
            golden.version
        );
        for (transaction, (_, marks)) in made.iter().zip(TRANSACTIONS) {
            assert_eq!(
                transaction
                    .marks
                    .iter()
                    .map(|mark| mark.prefix.as_str())
                    .collect::<Vec<_>>(),
                *marks
            );
            assert!(
                transaction.end > transaction.commit
                    && transaction.xid > 0
                    && transaction.committed_at.0 > 0
            );
        }
        assert!(
            made.windows(2).all(|pair| pair[0].end <= pair[1].commit),
            "commit order is log order"
        );
        let bytes: usize = made.iter().map(|transaction| transaction.bytes).sum();
        // What a message costs to keep is its bytes and a constant.
        let cost = |bytes: &&Bytes| bytes.len() + tandem::limits::MESSAGE_OVERHEAD;
        let received = messages(golden);
        let all: usize = received.iter().map(|bytes| cost(&bytes)).sum();
        let outside = received.iter().filter(|bytes| is_outside(bytes));
        let outside: usize = outside.map(|bytes| cost(&bytes)).sum();
        assert_eq!(bytes + outside, all, "every byte is counted once");
    }
}

fn is_outside(bytes: &Bytes) -> bool {
    matches!(
        message(bytes),
        Ok(Message::LogicalMessage {
            transactional: false,
            ..
        })
    )
}

/// A change keeps the description of its table as it was then, also when the table is altered later.
#[test]
fn a_change_keeps_the_columns_of_its_time() {
    for golden in all() {
        let mut assembler = Assembler::default();
        let made = messages(golden)
            .into_iter()
            .filter_map(|bytes| assembler.push(&bytes).unwrap())
            .collect::<Vec<_>>();
        let columns = |transaction: usize| {
            let change = made[transaction]
                .changes
                .iter()
                .find(|change| change.relation.name == "full_id")
                .unwrap();
            change
                .relation
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            (columns(5), columns(6)),
            ("a b c".to_owned(), "a c new".to_owned())
        );
    }
}

#[test]
fn every_truncation_is_damage_that_names_tag_and_offset() {
    for golden in all() {
        for whole in messages(golden) {
            // Every length of the head, then a sample: the cuts within one long value are alike.
            for cut in
                (0..whole.len()).filter(|cut| *cut < 300 || cut % 997 == 0 || cut + 9 > whole.len())
            {
                let damage = message(&whole.slice(..cut)).expect_err("a cut message is no message");
                assert!(damage.offset <= cut, "{damage}");
                assert_eq!(
                    damage.tag,
                    if cut == 0 { '\0' } else { char::from(whole[0]) }
                );
            }
        }
    }
}

#[test]
fn every_frame_of_a_server_is_read_and_its_cuts_are_refused() {
    for golden in all() {
        for frame in &golden.frames {
            tandem::capture::Frame::read(frame.clone()).unwrap();
            for cut in 0..frame.len().min(25) {
                assert!(
                    tandem::capture::Frame::read(frame.slice(..cut)).is_err(),
                    "{cut} bytes"
                );
            }
        }
    }
}

/// A count is believed only as far as there are bytes: four billion announced tables, columns or bytes cost nothing.
#[test]
fn p12_a_huge_count_takes_no_memory_and_no_time() {
    let text = |out: &mut BytesMut, text: &str| out.put_slice(&[text.as_bytes(), &[0]].concat());
    let build = |head: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        head(&mut out);
        out.put_slice(&[b'n'; 64]);
        out.freeze()
    };
    let huge = [
        build(&|out| {
            out.put_slice(b"T\xff\xff\xff\xff\0");
        }),
        build(&|out| {
            out.put_slice(b"R\0\0\x40\0");
            text(out, "public");
            text(out, "t");
            out.put_slice(b"d\xff\xff");
        }),
        build(&|out| out.put_slice(b"I\0\0\x40\0N\xff\xff")),
        build(&|out| out.put_slice(b"I\0\0\x40\0N\0\x01t\xff\xff\xff\xff")),
        build(&|out| out.put_slice(b"U\0\0\x40\0K\xff\xff")),
        build(&|out| {
            out.put_slice(b"M\x01\0\0\0\0\0\0\0\x01");
            text(out, "p");
            out.put_slice(b"\xff\xff\xff\xff");
        }),
    ];
    let before = peak_memory();
    for bytes in &huge {
        for _ in 0..1000 {
            let damage = message(bytes).expect_err("there are no such many");
            assert!(damage.offset <= bytes.len());
        }
    }
    assert!(
        peak_memory() - before < 256 << 20,
        "memory for what was only announced"
    );
}

/// The most memory that this process ever had, in bytes; 0 where the system doesn't say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_damaged_byte_gives_a_message_or_damage_never_a_panic(version in 0..4usize, which in any::<Index>(), place in any::<Index>(), near in any::<bool>(), byte in any::<u8>()) {
        let messages = messages(&all()[version]);
        let whole = which.get(&messages);
        let mut bytes = BytesMut::from(&whole[..]);
        let reach = if near { bytes.len().min(64) } else { bytes.len() };
        let at = place.index(reach);
        bytes[at] = byte;
        let bytes = bytes.freeze();
        match message(&bytes) {
            // What was read can be walked: no cell points outside.
            Ok(read) => { Names::default().line(&read); }
            Err(damage) => {
                prop_assert!(damage.offset <= bytes.len());
                prop_assert_eq!(damage.tag, char::from(bytes[0]));
            }
        }
    }

    #[test]
    fn an_assembler_survives_lost_doubled_and_damaged_messages(version in 0..4usize, faults in prop::collection::vec((any::<Index>(), any::<Index>(), 0..3u8, any::<u8>()), 1..4)) {
        let mut stream = messages(&all()[version]);
        for (which, place, kind, byte) in faults {
            let at = which.index(stream.len());
            match kind {
                0 => { stream.remove(at); }
                1 => { let again = stream[at].clone(); stream.insert(at, again); }
                _ => {
                    let mut bytes = BytesMut::from(&stream[at][..]);
                    let reach = bytes.len().min(64);
                    bytes[place.index(reach)] = byte;
                    stream[at] = bytes.freeze();
                }
            }
        }
        let mut assembler = Assembler::default();
        for bytes in &stream {
            if assembler.push(bytes).is_err() { break; }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn however_the_stream_is_split_the_session_gives_the_same_messages(version in 0..4usize, pieces in prop::collection::vec(prop_oneof![1..8usize, 1..200usize, 1000..40_000usize], 1..60)) {
        let golden = &all()[version];
        prop_assert_eq!(through_a_session(&golden.frames, &pieces), golden.frames.clone());
    }
}
