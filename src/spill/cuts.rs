//! How transactions are cut into batches changes nothing (P17): the property, over random histories with our own writes, a
//! trigger's, refills, ticks, the phone's rows and new keys. Each is folded as one batch, one by one, in random cuts, in source
//! order and over disk, and carried out on a model of the cloud.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Bounds, Spill};
use crate::fold::tests::{change_of, fold_all, number, table, transactions};
use crate::fold::{StreamState, write_order};
use crate::model::{
    Cell, Change, ChangeOrigin, Counts, Key, Old, Operation, Step, StepKind, TableId, Tables,
    Transaction, Tuple,
};

const ITEM: TableId = TableId(0);
const KEYS: u8 = 6;

/// A row of `(id, body, tick)`, of the desktop's or of the phone's. The tick is the cloud's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    body: u8,
    tick: u8,
    mobile: bool,
}

type Rows = BTreeMap<u8, Look>;

fn tuple(id: u8, look: Look) -> Tuple {
    let text = [9, id, look.body, look.tick].map(|value| value.to_string());
    let cells = text.iter().map(|value| Cell::Text(value.as_bytes()));
    let source: &[u8] = if look.mobile { b"M" } else { b"D" };
    Tuple::from_cells(cells.chain([Cell::Text(source)]))
}

fn old(id: u8, look: Look) -> Old {
    Old {
        whole: true,
        tuple: tuple(id, look),
    }
}

/// What one transaction does: by whom, and to which rows.
#[derive(Clone, Debug)]
struct Plan {
    hand: ChangeOrigin,
    acts: Vec<Act>,
}

/// What is done, to which row, how that looks then, and another row.
type Act = (u8, u8, Look, u8);

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let hand = prop_oneof![6 => Just(ChangeOrigin::Desktop), 2 => Just(ChangeOrigin::Leveled), 1 => Just(ChangeOrigin::OwnTransaction), 1 => Just(ChangeOrigin::Echo)];
    let look = (0..3u8, 0..3u8, prop::bool::weighted(0.3)).prop_map(|(body, tick, mobile)| Look {
        body,
        tick,
        mobile,
    });
    let acts = prop::collection::vec((0..8u8, 0..KEYS, look, 0..KEYS), 1..5);
    let plan = (hand, acts).prop_map(|(hand, acts)| Plan { hand, acts });
    prop::collection::vec(plan, 1..12)
}

/// The changes that a transaction makes to what is there.
fn carry_out(rows: &mut Rows, plan: &Plan) -> Vec<Change> {
    let operations = plan.acts.iter().flat_map(|act| match plan.hand {
        ChangeOrigin::Leveled => leveled(rows, *act),
        ChangeOrigin::Echo | ChangeOrigin::OwnTransaction => brought_home(rows, *act),
        ChangeOrigin::Desktop => worked(rows, *act),
    });
    let changes = operations.map(|operation| change_of(operation, plan.hand));
    changes.collect()
}

/// We give desktop rows the cloud's own columns, and nothing else.
fn leveled(rows: &mut Rows, (_, id, wanted, _): Act) -> Vec<Operation> {
    match rows.get(&id).copied() {
        Some(was) if !was.mobile => {
            let tick = wanted.tick;
            vec![update(rows, (id, was), (id, Look { tick, ..was }))]
        }
        _ => Vec::new(),
    }
}

/// We write the phone's rows.
fn brought_home(rows: &mut Rows, (_, id, wanted, _): Act) -> Vec<Operation> {
    let now = Look {
        mobile: true,
        ..wanted
    };
    match rows.get(&id).copied() {
        Some(was) if was.mobile => vec![update(rows, (id, was), (id, now))],
        Some(_) => Vec::new(),
        None => vec![insert(rows, id, now)],
    }
}

/// The office does what it likes.
fn worked(rows: &mut Rows, (kind, id, wanted, other): Act) -> Vec<Operation> {
    let Some(was) = rows.get(&id).copied() else {
        return vec![insert(rows, id, wanted)];
    };
    let now = Look {
        mobile: was.mobile,
        ..wanted
    };
    match kind {
        0 => vec![delete(rows, id, was)],
        1 => refilled(rows),
        2 if other != id && !rows.contains_key(&other) => {
            vec![update(rows, (id, was), (other, now))]
        }
        // The same row again, with or without another version first.
        3 => vec![delete(rows, id, was), insert(rows, id, wanted)],
        4 => vec![update(rows, (id, was), (id, wanted))],
        _ => vec![update(rows, (id, was), (id, now))],
    }
}

/// A refill, which knows of no ticks.
fn refilled(rows: &mut Rows) -> Vec<Operation> {
    let all: Vec<_> = { rows.iter() }
        .filter(|(_, look)| !look.mobile)
        .map(|(id, look)| (*id, *look))
        .collect();
    let gone: Vec<_> = { all.iter() }
        .map(|(id, was)| delete(rows, *id, *was))
        .collect();
    let come = all
        .into_iter()
        .map(|(id, was)| insert(rows, id, Look { tick: 0, ..was }));
    gone.into_iter().chain(come).collect()
}

fn insert(rows: &mut Rows, id: u8, look: Look) -> Operation {
    rows.insert(id, look);
    Operation::Insert(tuple(id, look))
}

/// Under the same key or another one.
fn update(rows: &mut Rows, (id, was): (u8, Look), (to, now): (u8, Look)) -> Operation {
    rows.remove(&id);
    rows.insert(to, now);
    Operation::Update {
        old: Some(old(id, was)),
        new: tuple(to, now),
    }
}

fn delete(rows: &mut Rows, id: u8, was: Look) -> Operation {
    rows.remove(&id);
    Operation::Delete(old(id, was))
}

fn history(rows: &mut Rows, plans: &[Plan]) -> Vec<Transaction> {
    let whole = plans.iter().enumerate().map(|(at, plan)| {
        let changes = carry_out(rows, plan);
        let one = transactions(changes, usize::MAX).pop();
        Transaction {
            xid: at as u32 + 1,
            ..one.unwrap_or(EMPTY)
        }
    });
    whole.collect()
}

const EMPTY: Transaction = Transaction {
    xid: 0,
    commit: crate::model::Lsn(0),
    end: crate::model::Lsn(0),
    committed_at: crate::model::Timestamp(0),
    changes: Vec::new(),
    marks: Vec::new(),
    bytes: 0,
};

/// The cloud, and what forward has said to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cloud {
    /// Body and tick of the desktop's rows.
    desks: BTreeMap<u8, (u8, u8)>,
    phones: BTreeMap<u8, u8>,
    /// Rows that are in the outbox.
    recalled: BTreeSet<u8>,
    /// Key, and how the desktop left it.
    notes: Vec<(u8, Option<u8>)>,
    received: u64,
    done: u64,
    ruled_out: u64,
}

impl Cloud {
    /// The desktop's rows, with ticks of its own.
    fn of(rows: &Rows, ticks: &[u8]) -> Cloud {
        let mut cloud = Cloud::default();
        for (id, look) in rows {
            if look.mobile {
                cloud.phones.insert(*id, look.body);
            } else {
                let tick = ticks[usize::from(*id)];
                cloud.desks.insert(*id, (look.body, tick));
            }
        }
        cloud
    }

    fn apply(&mut self, steps: &[Step], counts: Counts) {
        for step in steps {
            for row in &step.rows {
                let cells: Vec<_> = row.tuple.cells().collect();
                let [id, body, tick] = [1, 2, 3].map(|at| number(cells[at]));
                self.write(step, (id.unwrap(), body, tick));
            }
        }
        self.notes.sort_unstable();
        self.received += counts.received;
        self.done += counts.applied + counts.folded;
        self.ruled_out += counts.ruled_out;
    }

    fn write(&mut self, step: &Step, (id, body, tick): (u8, Option<u8>, Option<u8>)) {
        match step.work {
            StepKind::Upsert if step.shape.mobile => {
                if let Some(known) = self.phones.get_mut(&id) {
                    *known = body.unwrap();
                }
            }
            StepKind::Delete if step.shape.mobile => {
                self.phones.remove(&id);
            }
            StepKind::Upsert => {
                let new = (body.unwrap(), tick.unwrap());
                let row = self.desks.entry(id).or_insert(new);
                row.0 = new.0;
                if step.shape.reborn {
                    row.1 = new.1;
                    self.recalled.remove(&id);
                }
            }
            StepKind::Delete => {
                self.desks.remove(&id);
                // Nothing is given to a row that is gone.
                self.recalled.remove(&id);
            }
            StepKind::Requeue => {
                if self.desks.get(&id).is_some_and(|row| Some(row.1) != tick) {
                    self.recalled.insert(id);
                }
            }
            StepKind::RecordChange => self.notes.push((id, body)),
            StepKind::RecordDelete => self.notes.push((id, None)),
            StepKind::Rekey | StepKind::AddCopies | StepKind::RemoveCopies => {
                panic!("{:?}", step.work)
            }
        }
    }
}

fn tables(changes_mobile: bool) -> Tables {
    let mut table = table(Key::Columns(vec![0])).get(ITEM).clone();
    table.columns[2].cloud_owned = true;
    table.returns = true;
    table.both_ways = true;
    table.changes_mobile = changes_mobile;
    Tables::new(vec![table])
}

/// The transactions cut into batches of these sizes, over and over.
fn batches<'a>(history: &'a [Transaction], cuts: &[usize]) -> Vec<&'a [Transaction]> {
    let mut sizes = cuts.iter().cycle();
    let (mut batches, mut rest) = (Vec::new(), history);
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
        let (now, later) = rest.split_at(size);
        batches.push(now);
        rest = later;
    }
    batches
}

fn in_batches(
    mut cloud: Cloud,
    history: &[Transaction],
    cuts: &[usize],
    tables: &Tables,
    ordered: &[TableId],
) -> Cloud {
    for now in batches(history, cuts) {
        let batch = fold_all(now, tables, ordered);
        assert!(batch.halts.is_empty(), "{:?}", batch.halts);
        let counts = batch.counts.first().map_or(Counts::default(), |one| one.1);
        cloud.apply(&batch.steps, counts);
    }
    cloud
}

/// As changes that have waited for a copy.
fn over_disk(mut cloud: Cloud, history: &[Transaction], tables: &Tables) -> Cloud {
    let mut spill = Spill::new(Bounds {
        parts: 3,
        fold_bytes: 2_000,
        moved_rows: 100,
    });
    for transaction in history {
        spill.begin(transaction.xid);
        for change in &transaction.changes {
            spill.push(change, tables).unwrap();
        }
    }
    let book = StreamState::default();
    let remainder = spill.remainder(&book);
    let mut counts = remainder.counts.get(&ITEM).copied().unwrap_or_default();
    let mut steps = Vec::new();
    while let Some(folder) = spill.next_part(tables, &book).unwrap() {
        let batch = folder.finish(tables, &book.parking);
        assert!(batch.halts.is_empty(), "{:?}", batch.halts);
        steps.extend(batch.steps);
        for (_, part) in &batch.counts {
            counts.add(*part);
        }
    }
    steps.sort_by_key(write_order);
    cloud.apply(&steps, counts);
    cloud
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn p17_how_transactions_are_cut_into_batches_changes_nothing(
        start in prop::collection::btree_map(0..KEYS, (0..3u8, 0..3u8, prop::bool::weighted(0.3)), 0..6),
        ticks in prop::collection::vec(0..3u8, usize::from(KEYS)),
        plans in plans(), cuts in prop::collection::vec(1..5usize, 1..6), changes_mobile in any::<bool>(),
    ) {
        let look = |(id, (body, tick, mobile))| (id, Look { body, tick, mobile });
        let mut rows: Rows = start.into_iter().map(look).collect();
        let (cloud, tables) = (Cloud::of(&rows, &ticks), tables(changes_mobile));
        let history = history(&mut rows, &plans);
        let one_by_one = in_batches(cloud.clone(), &history, &[1], &tables, &[]);
        let wanted = { rows.iter() }.filter(|(_, look)| !look.mobile).map(|(id, look)| (*id, look.body));
        let bodies = { one_by_one.desks.iter() }.map(|(id, row)| (*id, row.0));
        prop_assert!(wanted.eq(bodies), "P1");
        // P4, P5: what differs in the cloud's own columns, of rows of which it was changed, is on its way home.
        prop_assert_eq!(one_by_one.received, one_by_one.done + one_by_one.ruled_out, "P7");
        for (way, cut) in [
            ("as one batch", in_batches(cloud.clone(), &history, &[usize::MAX], &tables, &[])),
            ("in random cuts", in_batches(cloud.clone(), &history, &cuts, &tables, &[])),
            ("in source order", in_batches(cloud.clone(), &history, &cuts, &tables, &[ITEM])),
            ("over disk", over_disk(cloud, &history, &tables)),
        ] {
            prop_assert_eq!(&cut, &one_by_one, "{}", way);
        }
    }
}

/// Rows of a table without a key, by what names them, with their ticks.
type Bag = BTreeMap<(u8, u8), Vec<u8>>;

/// The cloud's rows, names that are in the outbox, and how many messages came and were done.
type CloudBag = (Bag, BTreeSet<(u8, u8)>, u64, u64);

fn fill(bag: &mut Bag, transaction: &[(u8, (u8, u8), u8)], hand: ChangeOrigin) -> Vec<Change> {
    let mut changes = Vec::new();
    let look = |(_, body): (u8, u8), tick| Look {
        body,
        tick,
        mobile: false,
    };
    for (kind, name, tick) in transaction {
        let rows = bag.entry(*name).or_default();
        let was = rows.last().copied();
        let operation = match (kind, was, hand) {
            (0 | 1, _, ChangeOrigin::Desktop) => {
                rows.push(*tick);
                Operation::Insert(tuple(name.0, look(*name, *tick)))
            }
            (2, Some(was), ChangeOrigin::Desktop) => {
                rows.pop();
                Operation::Delete(old(name.0, look(*name, was)))
            }
            (_, Some(was), _) => {
                rows.pop();
                rows.insert(0, *tick);
                Operation::Update {
                    old: Some(old(name.0, look(*name, was))),
                    new: tuple(name.0, look(*name, *tick)),
                }
            }
            _ => continue,
        };
        changes.push(change_of(operation, hand));
    }
    changes
}

fn bags_in_batches(
    (rows, recalled, received, done): &mut CloudBag,
    history: &[Transaction],
    cuts: &[usize],
    tables: &Tables,
) {
    for now in batches(history, cuts) {
        let batch = fold_all(now, tables, &[]);
        for (step, row) in
            { batch.steps.iter() }.flat_map(|step| step.rows.iter().map(move |row| (step, row)))
        {
            let cells: Vec<_> = row.tuple.cells().collect();
            let [id, body, tick] = [1, 2, 3].map(|at| number(cells[at]).unwrap());
            let ticks = rows.entry((id, body)).or_default();
            match step.work {
                StepKind::AddCopies => (0..row.count).for_each(|_| ticks.push(tick)),
                StepKind::RemoveCopies => drop(ticks.drain(..row.count as usize)),
                StepKind::Requeue => drop(recalled.insert((id, body))),
                other => panic!("{other:?}"),
            }
        }
        for (_, counts) in &batch.counts {
            *received += counts.received;
            *done += counts.applied + counts.folded;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn p17_nor_does_it_where_equal_rows_are_counted(
        start in prop::collection::vec(((0..2u8, 0..2u8), 0..2u8), 0..6),
        plans in prop::collection::vec((prop::collection::vec((0..5u8, (0..2u8, 0..2u8), 0..2u8), 1..5), prop::bool::weighted(0.3)), 1..10),
        cuts in prop::collection::vec(1..5usize, 1..6),
    ) {
        let mut table = table(Key::Multiset).get(ITEM).clone();
        table.columns[2].cloud_owned = true;
        table.returns = true;
        let tables = Tables::new(vec![table]);
        let mut desktop = Bag::new();
        for (name, tick) in start {
            desktop.entry(name).or_default().push(tick);
        }
        let cloud: CloudBag = (desktop.clone(), BTreeSet::new(), 0, 0);
        let history: Vec<_> = { plans.iter() }.map(|(transaction, leveled)| {
            let hand = if *leveled { ChangeOrigin::Leveled } else { ChangeOrigin::Desktop };
            let changes = fill(&mut desktop, transaction, hand);
            transactions(changes, usize::MAX).pop().unwrap_or(EMPTY)
        }).collect();
        let mut one_by_one = cloud.clone();
        bags_in_batches(&mut one_by_one, &history, &[1], &tables);
        for sizes in [&[usize::MAX][..], &cuts] {
            let mut cut = cloud.clone();
            bags_in_batches(&mut cut, &history, sizes, &tables);
            prop_assert_eq!((&cut.1, cut.2, cut.3), (&one_by_one.1, one_by_one.2, one_by_one.3));
            for (name, ticks) in &desktop {
                let of = |bag: &Bag| bag.get(name).cloned().unwrap_or_default();
                let (mut now, mut then) = (of(&cut.0), of(&one_by_one.0));
                prop_assert_eq!(now.len(), ticks.len(), "P1");
                // Which of equal rows goes is not known, so of those whose ticks come home only their number is.
                if !cut.1.contains(name) {
                    now.sort_unstable();
                    then.sort_unstable();
                    prop_assert_eq!(now, then);
                }
            }
        }
    }
}
