//! Tables without a key: rows are counted, not named.

use std::collections::{BTreeMap, HashMap};

use super::classify::{Before, Effect};
use super::names::{bytes_of, image};
use super::quarantine::ParkedRows;
use crate::limits;
use crate::model::{ChangeOrigin, Counts, Row, Step, StepKind, StepShape, TableId, Tuple};

/// How many copies of each row a batch adds or removes.
#[derive(Default)]
pub(super) struct Bag {
    index: HashMap<Vec<u8>, usize>,
    entries: Vec<Entry>,
    bytes: usize,
}

/// Rows by what is to be done with them.
type Steps = BTreeMap<(StepKind, StepShape), Vec<Row>>;

/// How many of equal rows have which look.
type Copies = Vec<(Row, u64)>;

/// Equal rows.
struct Entry {
    row: Row,
    copies: i64,
    messages: u64,
    /// What each transaction did, where columns of the cloud's own come home.
    track: Option<Box<Track>>,
}

/// Equal rows of a table with columns of the cloud's own, transaction by transaction (P17): those that went are not those that came
/// later, which have what they were inserted with.
struct Track {
    transaction: u32,
    /// How many came, or went, in the transaction at hand.
    copies: i64,
    /// How many of them with each look, where it is the office's.
    looks: BTreeMap<Vec<u8>, (Row, i64)>,
    /// How the new ones of the transaction at hand look.
    newest: Option<Row>,
    /// How one of those looked that went in it.
    oldest: Option<Row>,
    /// How many of those that were there before the batch went, by their looks: the cloud lets such ones go, as long as it has any.
    gone: Copies,
    /// Those that came, and are still there.
    come: Copies,
    /// The desktop may have other looks than the cloud.
    recall: bool,
}

impl Bag {
    pub(super) fn push(&mut self, effect: Effect) {
        let row = |tuple: &Tuple| Row {
            layout: effect.layout.clone(),
            tuple: tuple.clone(),
            old: None,
            count: 0,
            messages: 0,
        };
        let mut message = 1;
        if let Some(new) = &effect.after {
            self.count(row(new), 1, message, &effect);
            message = 0;
        }
        if let Before::Sent(old) = &effect.before {
            self.count(row(&old.tuple), -1, message, &effect);
        }
    }

    /// A row whose other half stands elsewhere goes.
    pub(super) fn leave(&mut self, effect: Effect) {
        if let Before::Sent(old) = &effect.before {
            let row = Row {
                layout: effect.layout.clone(),
                tuple: old.tuple.clone(),
                old: None,
                count: 0,
                messages: 0,
            };
            self.count(row, -1, 0, &effect);
        }
    }

    fn count(&mut self, row: Row, copies: i64, messages: u64, effect: &Effect) {
        let name = image(&row.layout, &row.tuple);
        let cost = limits::NET_OVERHEAD + name.len() + row.tuple.bytes();
        let at = match self.index.get(&name) {
            Some(at) => *at,
            None => {
                self.bytes += cost;
                self.index.insert(name, self.entries.len());
                let track = || Box::new(Track::new(effect.transaction));
                self.entries.push(Entry {
                    row: row.clone(),
                    copies: 0,
                    messages: 0,
                    track: effect.layout.looks().then(track),
                });
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[at];
        entry.copies += copies;
        entry.messages += messages;
        if let Some(track) = &mut entry.track {
            self.bytes += row.tuple.bytes();
            track.count(row, copies, effect);
        }
    }

    /// What keeping it costs, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn finish(
        self,
        table: TableId,
        parked: Option<&ParkedRows>,
        counts: &mut Counts,
    ) -> Vec<Step> {
        let mut steps = Steps::new();
        for entry in self.entries {
            entry.finish(parked, counts, &mut steps);
        }
        let step = |((work, shape), rows): ((StepKind, StepShape), Vec<Row>)| Step {
            table,
            work,
            shape,
            rows,
        };
        steps.into_iter().map(step).collect()
    }
}

impl Entry {
    fn finish(mut self, parked: Option<&ParkedRows>, counts: &mut Counts, steps: &mut Steps) {
        let (copies, messages) = (self.copies, self.messages);
        counts.deletes -= copies;
        // Copies that wait in the quarantine are not in the cloud yet, or still there: they come or go with the
        // new ones, or make these unnecessary.
        // The name of a row is as long as the row: it is written only where it is asked for.
        let waiting = parked
            .and_then(|rows| rows.get(&image(&self.row.layout, &self.row.tuple)))
            .map(|parked| parked.copies);
        if let Some(recalled) = self.close() {
            let requeue = (StepKind::Requeue, StepShape::default());
            steps.entry(requeue).or_default().push(recalled);
        }
        let (gone, come) = match (waiting, self.track) {
            (None, Some(track)) => (track.gone, track.come),
            _ if copies == 0 => (Vec::new(), Vec::new()),
            // A row of which something is parked is tried by itself, in place of that.
            _ => one_way(self.row, copies.saturating_add(waiting.unwrap_or_default())),
        };
        let moved = copies
            .unsigned_abs()
            .max(sum(&gone).saturating_add(sum(&come)));
        let mut written = messages.min(match waiting {
            Some(_) => copies.unsigned_abs(),
            None => moved,
        });
        counts.applied += written;
        counts.folded += messages - written;
        let gone = gone.into_iter().map(|rows| (StepKind::RemoveCopies, rows));
        let come = come.into_iter().map(|rows| (StepKind::AddCopies, rows));
        for (work, (mut row, count)) in gone.chain(come) {
            row.count = count;
            row.messages = written.min(count);
            written -= row.messages;
            let shape = StepShape {
                parked: waiting.is_some(),
                unreadable: work == StepKind::AddCopies
                    && count > 0
                    && row.layout.is_unreadable(&row.tuple),
                ..StepShape::default()
            };
            steps.entry((work, shape)).or_default().push(row);
        }
    }

    /// The last transaction ends, and the row looks as the newest of those that came. Answers what is to be asked for again.
    fn close(&mut self) -> Option<Row> {
        let track = self.track.as_mut()?;
        track.close();
        let name = Row {
            count: 1,
            messages: 0,
            ..self.row.clone()
        };
        if let Some((newest, _)) = track.come.last() {
            self.row.clone_from(newest);
        }
        track.recall.then_some(name)
    }
}

/// All of them go, or all of them come.
fn one_way(row: Row, copies: i64) -> (Copies, Copies) {
    let moved = vec![(row, copies.unsigned_abs())];
    match copies {
        ..0 => (moved, Vec::new()),
        _ => (Vec::new(), moved),
    }
}

fn sum(rows: &[(Row, u64)]) -> u64 {
    rows.iter().map(|(_, count)| count).sum()
}

impl Track {
    fn new(transaction: u32) -> Track {
        Track {
            transaction,
            copies: 0,
            looks: BTreeMap::new(),
            newest: None,
            oldest: None,
            gone: Vec::new(),
            come: Vec::new(),
            recall: false,
        }
    }

    fn count(&mut self, row: Row, copies: i64, effect: &Effect) {
        if effect.transaction != self.transaction {
            self.close();
            self.transaction = effect.transaction;
        }
        self.copies += copies;
        // What came home is in the cloud already.
        if effect.hand == ChangeOrigin::Desktop {
            let look = bytes_of(&row.layout.look(&row.tuple));
            self.looks.entry(look).or_insert_with(|| (row.clone(), 0)).1 += copies;
        }
        match copies {
            1.. => self.newest = Some(row),
            _ => self.oldest = Some(row),
        }
    }

    /// The transaction at hand ends.
    fn close(&mut self) {
        let looks = std::mem::take(&mut self.looks);
        let copies = std::mem::take(&mut self.copies);
        let (newest, oldest) = (self.newest.take(), self.oldest.take());
        // Rows that stay, or of which some stay, may look otherwise on the desktop now than in the cloud. So may those that were
        // there when new ones come: what came home before them could not tell the new ones from the others.
        let gone = looks.values().any(|(_, copies)| *copies < 0);
        let come = looks.values().filter(|(_, copies)| *copies > 0).count();
        self.recall |= gone || come > 1 || come > 0 && copies > 0;
        if let Some(row) = newest.filter(|_| copies > 0) {
            add(&mut self.come, row, copies.unsigned_abs());
        }
        let going = going(looks, oldest, copies.min(0).unsigned_abs());
        for (row, copies) in going {
            self.leave(row, copies);
        }
    }

    /// Takes copies away, as far as possible such that look like `row`; those that came with the batch first, since the cloud need
    /// not have others.
    fn leave(&mut self, row: Row, mut copies: u64) {
        let alike = |other: &Row| other.layout.look(&other.tuple) == row.layout.look(&row.tuple);
        // In the order of their coming, and those that look like it behind the others.
        self.come.sort_by_key(|(come, _)| alike(come));
        while copies > 0
            && let Some((_, count)) = self.come.last_mut()
        {
            let taken = copies.min(*count);
            *count -= taken;
            copies -= taken;
            if *count == 0 {
                self.come.pop();
            }
        }
        add(&mut self.gone, row, copies);
    }
}

fn add(rows: &mut Copies, row: Row, copies: u64) {
    if copies == 0 {
        return;
    }
    match rows.iter_mut().find(|(other, _)| other.tuple == row.tuple) {
        Some((_, count)) => *count += copies,
        None => rows.push((row, copies)),
    }
}

/// How the `count` rows looked by which a transaction leaves fewer than it found. Where it only removed, as it says. Where it wrote
/// such rows anew, as the new ones do: it has not read which of the old ones the cloud's users had changed, so that none of these goes.
fn going(looks: BTreeMap<Vec<u8>, (Row, i64)>, other: Option<Row>, mut count: u64) -> Copies {
    let mut looks: Vec<_> = looks
        .into_values()
        .filter(|(_, copies)| *copies != 0)
        .collect();
    looks.sort_by_key(|(_, copies)| std::cmp::Reverse(*copies));
    let mut going = Vec::new();
    for (row, copies) in looks {
        let taken = match copies {
            1.. => count,
            _ => count.min(copies.unsigned_abs()),
        };
        count -= taken;
        going.push((row, taken));
    }
    // What came home, and went with it.
    going.extend(other.map(|row| (row, count)));
    going
}

#[cfg(test)]
mod tests {
    use super::super::tests::{change_of, fold_all, row, table, transactions};
    use super::*;
    use crate::model::{Key, Old, Operation, Table, Tables};

    /// `note` is the cloud's own, and comes home.
    fn ticking() -> Tables {
        let mut table: Table = table(Key::Multiset).get(TableId(0)).clone();
        table.columns[2].cloud_owned = true;
        table.returns = true;
        Tables::new(vec![table])
    }

    #[test]
    fn u08_what_came_home_to_a_row_on_its_way_is_not_sent_back_and_asked_for_again() {
        let (unticked, ticked) = (row(1, (0, 0), 9), row(1, (0, 1), 9));
        let insert = change_of(Operation::Insert(unticked.clone()), ChangeOrigin::Desktop);
        let leveled = Operation::Update {
            old: Some(Old {
                tuple: unticked.clone(),
                whole: true,
            }),
            new: ticked,
        };
        let changes = vec![insert, change_of(leveled, ChangeOrigin::OwnTransaction)];
        let batch = fold_all(&transactions(changes, 1), &ticking(), &[]);
        let [recall, add] = &batch.steps[..] else {
            panic!("{:?}", batch.steps)
        };
        let (recall, add) = match recall.work {
            StepKind::Requeue => (recall, add),
            _ => (add, recall),
        };
        assert_eq!(
            (recall.work, add.work),
            (StepKind::Requeue, StepKind::AddCopies)
        );
        assert_eq!((add.rows[0].count, &add.rows[0].tuple), (1, &unticked));
    }

    /// What goes of equal rows, by looks: how many of them were ticked, and how many not.
    fn gone(changes: Vec<Operation>) -> [u64; 2] {
        let changes = changes.into_iter();
        let changes = changes.map(|change| change_of(change, ChangeOrigin::Desktop));
        let batch = fold_all(&transactions(changes.collect(), 100), &ticking(), &[]);
        let mut gone = [0, 0];
        for step in batch
            .steps
            .iter()
            .filter(|step| step.work == StepKind::RemoveCopies)
        {
            for row in &step.rows {
                gone[usize::from(row.tuple != self::row(1, (0, 1), 9))] += row.count;
            }
        }
        gone
    }

    #[test]
    fn u08_of_equal_rows_such_go_as_the_desktop_removed_and_none_that_it_only_wrote_anew() {
        let (unticked, ticked) = (row(1, (0, 0), 9), row(1, (0, 1), 9));
        let delete = |tuple: &Tuple| {
            Operation::Delete(Old {
                tuple: tuple.clone(),
                whole: true,
            })
        };
        let insert = |tuple: &Tuple| Operation::Insert(tuple.clone());
        assert_eq!(gone(vec![delete(&ticked)]), [1, 0]);
        assert_eq!(
            gone(vec![delete(&ticked), delete(&unticked), delete(&unticked)]),
            [1, 2]
        );
        // A refill: all of them go, and one less comes, without a tick.
        let refill = [&ticked, &ticked, &unticked].map(delete);
        let refill = refill.into_iter().chain([&unticked, &unticked].map(insert));
        assert_eq!(gone(refill.collect()), [0, 1]);
    }
}
