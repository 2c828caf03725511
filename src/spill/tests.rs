//! Spilling, folding part by part and applying once equals applying one by one: the property.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Bounds, Spill};
use crate::fold::StreamState;
use crate::fold::tests::{Store, acts, history, number, table, transactions};
use crate::model::{Cell, Counts, Identity, Key, Step, StepKind, TableId, Tables};

/// The steps of all parts, what became of the messages, and whether rows took new keys.
fn spilled(
    transaction: crate::model::Transaction,
    tables: &Tables,
    bounds: Bounds,
) -> (Vec<Step>, Counts, bool) {
    let mut spill = Spill::new(bounds);
    for change in &transaction.changes {
        spill.push(change, tables).unwrap();
    }
    spill.finish(transaction);
    let book = StreamState::default();
    let remainder = spill.remainder(&book);
    assert!(remainder.halts.is_empty(), "{:?}", remainder.halts);
    let mut counts = remainder
        .counts
        .get(&TableId(0))
        .copied()
        .unwrap_or_default();
    let mut steps = Vec::new();
    while let Some(folder) = spill.next_part(tables, &book).unwrap() {
        let batch = folder.finish(tables, &book.parking);
        assert!(batch.halts.is_empty(), "{:?}", batch.halts);
        steps.extend(batch.steps);
        counts.add(
            batch
                .counts
                .first()
                .map_or(Counts::default(), |(_, counts)| *counts),
        );
    }
    (steps, counts, remainder.rekeyed.contains(&TableId(0)))
}

/// Carries steps out as the statements of a staged transaction would: rows that moved first, then the others, deletes
/// last. Only where rows took new keys are deletes of written keys taken out before.
fn apply(store: &mut Store, steps: &[Step], rekeyed: bool) {
    let before = store.clone();
    let mut written = BTreeMap::new();
    for step in steps.iter().filter(|step| step.work == StepKind::Upsert) {
        for row in &step.rows {
            let cells: Vec<_> = row.tuple.cells().collect();
            let id = number(cells[1]).unwrap();
            let from = match row.old.as_ref().filter(|_| step.shape.moved) {
                Some(old) => number(old.cells().nth(1).unwrap()).unwrap(),
                None => id,
            };
            let under = before.get(&from).copied();
            assert!(
                under.is_some() || !cells[2..4].contains(&Cell::Unchanged),
                "nothing stands under {from}"
            );
            let under = under.unwrap_or_default();
            let row = (
                number(cells[2]).unwrap_or(under.0),
                number(cells[3]).unwrap_or(under.1),
            );
            assert!(written.insert(id, row).is_none(), "{id} is written twice");
        }
    }
    store.extend(&written);
    for step in steps.iter().filter(|step| step.work == StepKind::Delete) {
        for row in &step.rows {
            let id = number(row.tuple.cells().nth(1).unwrap()).unwrap();
            if !(rekeyed && written.contains_key(&id)) {
                store.remove(&id);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn p1_spilling_then_applying_equals_applying_one_by_one(
        start in prop::collection::btree_map(0..6u8, (0..3u8, 0..3u8), 0..6), acts in acts(), full in any::<bool>(), parts in 1..6usize, small in any::<bool>()
    ) {
        let identity = if full { Identity::Full } else { Identity::Default };
        let mut wanted = start.clone();
        let transaction = transactions(history(&mut wanted, &acts, identity), usize::MAX).pop();
        let Some(transaction) = transaction else { return Ok(()) };
        let tables = table(Key::Columns(vec![0]));
        let bounds = Bounds { parts, fold_bytes: if small { 900 } else { usize::MAX }, moved_rows: 100 };
        let (steps, counts, rekeyed) = spilled(transaction, &tables, bounds);
        prop_assert_eq!(counts.received, counts.applied + counts.folded + counts.ruled_out, "P7");
        let mut store = start;
        apply(&mut store, &steps, rekeyed);
        prop_assert_eq!(store, wanted);
    }
}
