//! Folding then applying equals applying one by one: the property, over random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{
    Arriving, Cell, Change, ChangeOrigin, Column, Identity, Lsn, Name, Old, Operation, Owner,
    Relation, RelationColumn, Source, Table, Timestamp, Tuple,
};

/// `(id, body, note)`; `body` may be sent as unchanged.
pub(crate) type Content = (u8, u8);
pub(crate) type Store = BTreeMap<u8, Content>;

fn column((index, name): (usize, &str)) -> Column {
    Column {
        name: name.to_owned(),
        from: Source::Arriving(index),
        base_type: "text".to_owned(),
        compare_type: "text".to_owned(),
        narrower: None,
        reads: Default::default(),
        parents: Vec::new(),
        exact: true,
        not_null: false,
        cloud_owned: false,
    }
}

pub(crate) fn table(key: Key) -> Tables {
    let name = Name {
        schema: "public".to_owned(),
        relation: "item".to_owned(),
    };
    Tables::new(vec![Table {
        name: "item".to_owned(),
        desktop: name.clone(),
        desktop_oid: 1,
        cloud: name,
        left_out: vec!["skipped".into(), "source".into()],
        arriving: ["id", "body", "note"]
            .map(|name| Arriving {
                name: name.to_owned(),
                base_type: "text".to_owned(),
            })
            .to_vec(),
        columns: ["id", "body", "note"]
            .into_iter()
            .enumerate()
            .map(column)
            .collect(),
        key,
        owner: Some(Owner {
            column: "source".to_owned(),
            base_type: "text".to_owned(),
            desktop: "D".to_owned(),
            mobile: "M".to_owned(),
        }),
        desktop_owner: Some("source".to_owned()),
        indexed: true,
        stream: true,
        max_shrink: 1.0,
        ..Table::default()
    }])
}

fn relation(identity: Identity) -> Arc<Relation> {
    let column = |name: &str| RelationColumn {
        in_identity: name == "id",
        name: name.to_owned(),
        type_oid: 25,
        modifier: -1,
    };
    Arc::new(Relation {
        oid: 1,
        schema: "public".to_owned(),
        name: "item".to_owned(),
        identity,
        columns: ["skipped", "id", "body", "note", "source"]
            .map(column)
            .to_vec(),
    })
}

pub(crate) fn row(id: u8, (body, note): Content, skipped: u8) -> Tuple {
    let text = [skipped, id, body, note].map(|value| value.to_string());
    let cells = text.iter().map(|value| Cell::Text(value.as_bytes()));
    Tuple::from_cells(cells.chain([Cell::Null]))
}

fn key_only(id: u8) -> Tuple {
    let id = id.to_string();
    Tuple::from_cells([
        Cell::Null,
        Cell::Text(id.as_bytes()),
        Cell::Null,
        Cell::Null,
        Cell::Null,
    ])
}

fn without_body(tuple: &Tuple) -> Tuple {
    Tuple::from_cells(
        tuple
            .cells()
            .enumerate()
            .map(|(at, cell)| if at == 2 { Cell::Unchanged } else { cell }),
    )
}

/// What a person does to a row; `n` varies it.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    id: u8,
    kind: u8,
    content: Content,
    n: u8,
}

pub(crate) fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..6u8, 0..5u8, (0..3u8, 0..3u8), 0..6u8);
    prop::collection::vec(
        act.prop_map(|(id, kind, content, n)| Act {
            id,
            kind,
            content,
            n,
        }),
        0..40,
    )
}

/// Turns acts that are possible on `store` into changes as the server would send them.
pub(crate) fn history(store: &mut Store, acts: &[Act], identity: Identity) -> Vec<Change> {
    let relation = relation(identity);
    let full = identity == Identity::Full;
    let mut changes = Vec::new();
    for act in acts {
        let operation = match (act.kind, store.get(&act.id).copied()) {
            (0 | 1, None) => {
                store.insert(act.id, act.content);
                Operation::Insert(row(act.id, act.content, act.n))
            }
            (2, Some(old)) => {
                store.remove(&act.id);
                let old = if full {
                    row(act.id, old, 0)
                } else {
                    key_only(act.id)
                };
                Operation::Delete(Old {
                    whole: full,
                    tuple: old,
                })
            }
            (3, Some(old)) => {
                let to = act.n;
                if to != act.id && store.contains_key(&to) {
                    continue;
                }
                let content = (old.0, act.content.1);
                store.remove(&act.id);
                store.insert(to, content);
                let new = without_body(&row(to, content, 0));
                let old = if full {
                    Some(row(act.id, old, 0))
                } else {
                    (to != act.id).then(|| key_only(act.id))
                };
                Operation::Update {
                    old: old.map(|tuple| Old { whole: full, tuple }),
                    new,
                }
            }
            (_, Some(old)) => {
                store.insert(act.id, act.content);
                let new = row(act.id, act.content, act.n);
                let new = if old.0 == act.content.0 {
                    without_body(&new)
                } else {
                    new
                };
                Operation::Update {
                    old: full.then(|| Old {
                        whole: true,
                        tuple: row(act.id, old, 0),
                    }),
                    new,
                }
            }
            _ => continue,
        };
        changes.push(Change {
            hand: ChangeOrigin::Desktop,
            relation: relation.clone(),
            operation,
            too_large: None,
        });
    }
    changes
}

pub(crate) fn transactions(changes: Vec<Change>, cut: usize) -> Vec<Transaction> {
    let chunks = changes.chunks(cut.max(1)).enumerate();
    chunks
        .map(|(at, chunk)| Transaction {
            xid: at as u32,
            commit: Lsn(at as u64 * 100),
            end: Lsn(at as u64 * 100 + 50),
            committed_at: Timestamp(0),
            changes: chunk.to_vec(),
            marks: Vec::new(),
            bytes: 0,
        })
        .collect()
}

pub(crate) fn number(cell: Cell<'_>) -> Option<u8> {
    match cell {
        Cell::Text(text) => Some(std::str::from_utf8(text).unwrap().parse().unwrap()),
        Cell::Null => Some(0),
        Cell::Unchanged => None,
    }
}

/// Carries steps out as the cloud's statements would.
fn apply(store: &mut Store, steps: &[Step]) {
    for step in steps {
        for row in &step.rows {
            let cells: Vec<_> = row.tuple.cells().collect();
            let id = number(cells[1]).unwrap();
            match step.work {
                StepKind::Requeue | StepKind::RecordChange | StepKind::RecordDelete => {}
                StepKind::Delete => {
                    store.remove(&id);
                }
                StepKind::Rekey => {
                    let old: Vec<_> = row.old.as_ref().unwrap().cells().collect();
                    let under = store.remove(&number(old[1]).unwrap()).unwrap();
                    store.insert(
                        id,
                        (
                            number(cells[2]).unwrap_or(under.0),
                            number(cells[3]).unwrap_or(under.1),
                        ),
                    );
                }
                StepKind::Upsert => {
                    let under = store.get(&id).copied();
                    assert!(
                        under.is_some() || step.shape.unsent.is_empty(),
                        "an update without its row"
                    );
                    let under = under.unwrap_or_default();
                    store.insert(
                        id,
                        (
                            number(cells[2]).unwrap_or(under.0),
                            number(cells[3]).unwrap_or(under.1),
                        ),
                    );
                }
                StepKind::AddCopies | StepKind::RemoveCopies => panic!("copies of a keyed row"),
            }
        }
    }
}

pub(crate) fn fold_all(
    transactions: &[Transaction],
    tables: &Tables,
    ordered: &[TableId],
) -> Batch {
    let ordered = ordered.iter().copied().collect();
    fold(
        transactions,
        tables,
        &mut Classifier::default(),
        &mut StreamState::default(),
        &ordered,
    )
}

fn conserved(batch: &Batch) {
    for (_, counts) in &batch.counts {
        assert_eq!(
            counts.received,
            counts.applied + counts.folded + counts.ruled_out,
            "P7: {counts:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn p1_folding_then_applying_equals_applying_one_by_one(
        start in prop::collection::btree_map(0..6u8, (0..3u8, 0..3u8), 0..6), acts in acts(), cut in 1..10usize, full in any::<bool>()
    ) {
        let identity = if full { Identity::Full } else { Identity::Default };
        let mut wanted = start.clone();
        let transactions = transactions(history(&mut wanted, &acts, identity), cut);
        let tables = table(Key::Columns(vec![0]));
        let mut batch = fold_all(&transactions, &tables, &[]);
        prop_assert!(batch.halts.is_empty());
        if !batch.needs_order.is_empty() {
            prop_assert!(!full, "a whole old row has every value");
            batch = fold_all(&transactions, &tables, &[TableId(0)]);
        }
        conserved(&batch);
        let mut folded = start.clone();
        apply(&mut folded, &batch.steps);
        prop_assert_eq!(&folded, &wanted);
        let ordered = fold_all(&transactions, &tables, &[TableId(0)]);
        conserved(&ordered);
        let mut one_by_one = start;
        apply(&mut one_by_one, &ordered.steps);
        prop_assert_eq!(one_by_one, wanted);
    }

    #[test]
    fn p9_a_refill_of_what_is_there_writes_nothing(start in prop::collection::btree_map(0..40u8, (0..3u8, 0..3u8), 0..40), multiset in any::<bool>()) {
        let relation = relation(Identity::Full);
        let gone = start.iter().map(|(id, content)| Operation::Delete(Old { whole: true, tuple: row(*id, *content, 1) }));
        let back = start.iter().map(|(id, content)| Operation::Insert(row(*id, *content, 2)));
        let changes = gone.chain(back).map(|operation| Change { relation: relation.clone(), operation, hand: ChangeOrigin::Desktop, too_large: None }).collect();
        let key = if multiset { Key::Multiset } else { Key::Columns(vec![0]) };
        let batch = fold_all(&transactions(changes, usize::MAX), &table(key), &[]);
        conserved(&batch);
        prop_assert!(batch.steps.is_empty());
    }

    #[test]
    fn copies_of_equal_rows_are_counted(adds in prop::collection::vec(0..4u8, 0..30), removes in prop::collection::vec(0..4u8, 0..30)) {
        let relation = relation(Identity::Full);
        let adds_of = adds.iter().map(|id| Operation::Insert(row(*id, (0, 0), 9)));
        let removes_of = removes.iter().map(|id| Operation::Delete(Old { whole: true, tuple: row(*id, (0, 0), 3) }));
        let changes = adds_of.chain(removes_of).map(|operation| Change { relation: relation.clone(), operation, hand: ChangeOrigin::Desktop, too_large: None }).collect();
        let batch = fold_all(&transactions(changes, 7), &table(Key::Multiset), &[]);
        conserved(&batch);
        for id in 0..4u8 {
            let count = |list: &[u8]| list.iter().filter(|one| **one == id).count() as i64;
            let mut net = 0;
            for step in &batch.steps {
                for row in step.rows.iter().filter(|row| number(row.tuple.cells().nth(1).unwrap()) == Some(id)) {
                    net += if step.work == StepKind::AddCopies { row.count as i64 } else { -(row.count as i64) };
                }
            }
            prop_assert_eq!(net, count(&adds) - count(&removes));
        }
    }
}

fn change(operation: Operation) -> Change {
    change_of(operation, ChangeOrigin::Desktop)
}

pub(crate) fn change_of(operation: Operation, hand: ChangeOrigin) -> Change {
    Change {
        hand,
        relation: relation(Identity::Full),
        operation,
        too_large: None,
    }
}

#[test]
fn f21_a_key_that_names_two_rows_stops_the_table_with_its_values() {
    let changes = vec![
        change(Operation::Insert(row(7, (1, 1), 0))),
        change(Operation::Insert(row(7, (2, 2), 0))),
    ];
    let mut book = StreamState::default();
    let batch = fold(
        &transactions(changes, 9),
        &table(Key::Columns(vec![0])),
        &mut Classifier::default(),
        &mut book,
        &BTreeSet::new(),
    );
    assert!(
        batch.halts[0].why.contains("(id) = (7) names 2 rows"),
        "{}",
        batch.halts[0].why
    );
    assert!(book.is_stopped(TableId(0)));
}

#[test]
fn a_new_version_inserted_before_the_old_one_is_deleted_is_one_row() {
    let changes = vec![
        change(Operation::Insert(row(7, (2, 2), 0))),
        change(Operation::Delete(Old {
            whole: true,
            tuple: row(7, (1, 1), 0),
        })),
    ];
    // The row with the old content was there before the batch; its delete comes behind the insert.
    let batch = fold(
        &transactions(changes, 9),
        &table(Key::Columns(vec![0])),
        &mut Classifier::default(),
        &mut StreamState::default(),
        &BTreeSet::new(),
    );
    assert!(batch.halts.is_empty());
    let mut store = Store::from([(7, (1, 1))]);
    apply(&mut store, &batch.steps);
    assert_eq!(store, Store::from([(7, (2, 2))]));
}

#[test]
fn p4_rows_that_came_from_a_phone_are_ruled_out() {
    let mobile = |id: u8| {
        let id = id.to_string();
        let text = Cell::Text(b"x");
        Tuple::from_cells([
            text,
            Cell::Text(id.as_bytes()),
            text,
            text,
            Cell::Text(b"M"),
        ])
    };
    let changes = vec![
        change(Operation::Insert(mobile(1))),
        change(Operation::Update {
            old: Some(Old {
                whole: true,
                tuple: mobile(1),
            }),
            new: mobile(2),
        }),
        change(Operation::Delete(Old {
            whole: true,
            tuple: mobile(2),
        })),
    ];
    let batch = fold(
        &transactions(changes, 9),
        &table(Key::Columns(vec![0])),
        &mut Classifier::default(),
        &mut StreamState::default(),
        &BTreeSet::new(),
    );
    assert!(batch.steps.is_empty());
    assert_eq!(batch.counts[0].1.ruled_out, 3);
}
