//! The pure core from bytes to steps against a model of both servers: cuts in the middle of anything, answers that are lost,
//! batches that never arrive, zombies that come too late; thousands of seeds a run, no clock and no socket (P1, P2, P3, P7, P14).
//!
//! A failure prints its case; `proptest-regressions` keeps it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use tandem::decode::Assembler;
use tandem::fold::{Classifier, StreamState, fold};
use tandem::model::{Cell, Key, Lsn, Step, StepKind, Tables, Transaction};

use super::wire::{relation, text, text_table};

type Store = BTreeMap<u8, (u8, u8)>;

const OID: u32 = 16_500;
const COLUMNS: [&str; 3] = ["id", "body", "note"];

fn tables() -> Tables {
    let key = Key::Columns(vec![0]);
    Tables::new(vec![text_table("item", OID, &COLUMNS, key)])
}

/// One transaction in the desktop's log, and what the desktop looks like behind it.
struct Logged {
    end: u64,
    messages: Vec<Bytes>,
    after: Store,
}

fn tuple(out: &mut BytesMut, id: u8, (body, note): (u8, u8), same_body: bool) {
    out.put_u16(3);
    text(out, id);
    match same_body {
        true => out.put_u8(b'u'),
        false => text(out, body),
    }
    text(out, note);
}

fn key(out: &mut BytesMut, id: u8) {
    out.put_u16(3);
    text(out, id);
    out.put_u8(b'n');
    out.put_u8(b'n');
}

/// `(id, kind, content, other id)`.
type Act = (u8, u8, (u8, u8), u8);

fn change(store: &mut Store, (id, kind, content, other): Act) -> Option<Bytes> {
    let mut out = BytesMut::new();
    match (kind, store.get(&id).copied()) {
        (_, None) => {
            store.insert(id, content);
            out.put_u8(b'I');
            out.put_u32(OID);
            out.put_u8(b'N');
            tuple(&mut out, id, content, false);
        }
        (0, Some(_)) => {
            store.remove(&id);
            out.put_u8(b'D');
            out.put_u32(OID);
            out.put_u8(b'K');
            key(&mut out, id);
        }
        // The key changes, and the large column is not sent.
        (1, Some(old)) if other != id => {
            if store.contains_key(&other) {
                return None;
            }
            store.remove(&id);
            store.insert(other, (old.0, content.1));
            out.put_u8(b'U');
            out.put_u32(OID);
            out.put_u8(b'K');
            key(&mut out, id);
            out.put_u8(b'N');
            tuple(&mut out, other, (old.0, content.1), true);
        }
        (_, Some(old)) => {
            store.insert(id, content);
            out.put_u8(b'U');
            out.put_u32(OID);
            out.put_u8(b'N');
            tuple(&mut out, id, content, old.0 == content.0);
        }
    }
    Some(out.freeze())
}

fn log(acts: &[Act], cuts: &[usize]) -> Vec<Logged> {
    let (mut log, mut store, mut rest) = (Vec::new(), Store::new(), acts);
    let mut sizes = cuts.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
        let (now, later) = rest.split_at(size);
        rest = later;
        let end = 1_000 + 100 * log.len() as u64;
        let mut begin = BytesMut::new();
        begin.put_u8(b'B');
        begin.put_u64(end - 10);
        begin.put_i64(7);
        begin.put_u32(log.len() as u32 + 3);
        let mut commit = BytesMut::new();
        commit.put_slice(b"C\0");
        commit.put_u64(end - 10);
        commit.put_u64(end);
        commit.put_i64(7);
        let mut messages = vec![begin.freeze()];
        messages.extend(now.iter().filter_map(|act| change(&mut store, *act)));
        messages.push(commit.freeze());
        log.push(Logged {
            end,
            messages,
            after: store.clone(),
        });
    }
    log
}

/// The cloud: rows and checkpoint change together or not at all, and only for who has the lease.
#[derive(Default)]
struct Cloud {
    store: Store,
    checkpoint: u64,
    epoch: u64,
    received: u64,
}

/// A batch on its way.
#[derive(Clone)]
struct Batch {
    epoch: u64,
    from: u64,
    to: u64,
    received: u64,
    steps: Vec<Step>,
}

impl Cloud {
    fn commit(&mut self, batch: &Batch) -> bool {
        if (self.epoch, self.checkpoint) != (batch.epoch, batch.from) {
            return false;
        }
        write(&mut self.store, &batch.steps);
        self.checkpoint = batch.to;
        self.received += batch.received;
        true
    }
}

fn number(cell: Cell<'_>) -> Option<u8> {
    match cell {
        Cell::Text(text) => Some(std::str::from_utf8(text).unwrap().parse().unwrap()),
        Cell::Null => Some(0),
        Cell::Unchanged => None,
    }
}

/// What the statements of each step would do.
fn write(store: &mut Store, steps: &[Step]) {
    for step in steps {
        for row in &step.rows {
            let cells: Vec<_> = row.tuple.cells().collect();
            let id = number(cells[0]).unwrap();
            let under = match step.work {
                StepKind::Delete => {
                    store.remove(&id);
                    continue;
                }
                StepKind::Rekey => {
                    let old = row.old.as_ref().unwrap().cells().next().unwrap();
                    store.remove(&number(old).unwrap())
                }
                StepKind::Upsert => store.get(&id).copied(),
                other => panic!("{other:?} of a keyed row"),
            };
            let sent = |at: usize, under: Option<u8>| {
                number(cells[at])
                    .or(under)
                    .expect("a column that nobody sent")
            };
            let content = (
                sent(1, under.map(|row| row.0)),
                sent(2, under.map(|row| row.1)),
            );
            store.insert(id, content);
        }
    }
}

/// Numbers that a seed repeats.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Folds what waits; in order where that is asked for.
fn batch(waiting: &[Transaction], tables: &Tables, epoch: u64, from: u64) -> Batch {
    let (mut sorter, mut book) = (Classifier::default(), StreamState::default());
    let mut ordered = BTreeSet::new();
    loop {
        let folded = fold(waiting, tables, &mut sorter, &mut book, &ordered);
        assert!(folded.halts.is_empty(), "{:?}", folded.halts);
        if folded.needs_order.is_empty() {
            let sum =
                |counts: &tandem::model::Counts| counts.applied + counts.folded + counts.ruled_out;
            for (_, counts) in &folded.counts {
                assert_eq!(counts.received, sum(counts), "P7");
            }
            return Batch {
                epoch,
                from,
                to: folded.end.0,
                received: folded
                    .counts
                    .iter()
                    .map(|(_, counts)| counts.received)
                    .sum(),
                steps: folded.steps,
            };
        }
        ordered.extend(folded.needs_order);
    }
}

/// One session, until it is cut or has sent everything. Zombies are batches of earlier sessions that arrive late.
fn session(
    log: &[Logged],
    cloud: &mut Cloud,
    dice: &mut Dice,
    zombies: &mut Vec<Batch>,
    unlucky: u64,
) {
    let tables = tables();
    cloud.epoch += 1;
    let (epoch, mut sent) = (cloud.epoch, cloud.checkpoint);
    let mut assembler = Assembler::default();
    let (mut waiting, mut described) = (Vec::new(), false);
    let mut flying: Vec<Batch> = Vec::new();
    let from = cloud.checkpoint;
    let news = log.iter().filter(|logged| logged.end > from);
    for logged in news {
        for (at, message) in logged.messages.iter().enumerate() {
            if dice.below(unlucky) == 0 {
                // The line is cut in the middle of a transaction: what is on its way may arrive or not.
                zombies.append(&mut flying);
                return;
            }
            if at == 1 && !described {
                described = true;
                assert!(
                    assembler
                        .push(&relation(OID, "item", (b'd', 1), &COLUMNS))
                        .unwrap()
                        .is_none()
                );
            }
            waiting.extend(assembler.push(message).unwrap());
        }
        if dice.below(3) > 0 {
            continue;
        }
        let next = batch(&waiting, &tables, epoch, sent);
        waiting.clear();
        sent = next.to;
        flying.push(next);
        // A batch of a writer that lost its lease comes in between.
        if let Some(zombie) = zombies.pop() {
            assert!(!cloud.commit(&zombie), "P14: a zombie wrote");
        }
        while flying.len() > dice.below(3) as usize {
            let first = flying.remove(0);
            match dice.below(unlucky) {
                // It never arrives; those behind it were formed for its checkpoint.
                0 => {
                    zombies.append(&mut flying);
                    return;
                }
                // It is committed, and nobody learns of it.
                1 => {
                    assert!(cloud.commit(&first));
                    holds(log, cloud);
                    zombies.push(first);
                    zombies.append(&mut flying);
                    return;
                }
                _ => assert!(cloud.commit(&first)),
            }
            holds(log, cloud);
        }
    }
    if !waiting.is_empty() {
        flying.push(batch(&waiting, &tables, epoch, sent));
    }
    for last in flying {
        assert!(cloud.commit(&last));
        holds(log, cloud);
    }
}

/// P1 and P3: at its checkpoint the cloud looks as the desktop did there.
fn holds(log: &[Logged], cloud: &Cloud) {
    let logged = log.iter().find(|logged| logged.end == cloud.checkpoint);
    assert_eq!(
        cloud.store,
        logged.expect("a checkpoint at a transaction's end").after
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn p1_p3_p7_p14_cuts_repeats_and_crashes_change_nothing(
        acts in prop::collection::vec((0..8u8, 0..4u8, (0..3u8, 0..3u8), 0..8u8), 1..80),
        cuts in prop::collection::vec(1..9usize, 1..8),
        seed in any::<u64>(),
        unlucky in 3..60u64,
    ) {
        let log = log(&acts, &cuts);
        let (mut cloud, mut dice, mut zombies) = (Cloud::default(), Dice(seed), Vec::new());
        let last = log.last().unwrap().end;
        let mut sessions = 0;
        while cloud.checkpoint < last {
            sessions += 1;
            // Luck comes back in the end.
            session(&log, &mut cloud, &mut dice, &mut zombies, unlucky + sessions / 20);
        }
        for zombie in zombies {
            prop_assert!(!cloud.commit(&zombie));
        }
        prop_assert_eq!(&cloud.store, &log.last().unwrap().after);
        let sent: usize = log.iter().map(|logged| logged.messages.len() - 2).sum();
        prop_assert_eq!(cloud.received, sent as u64, "each message counts once");
        prop_assert_eq!(Lsn(cloud.checkpoint), Lsn(last));
    }
}
