//! Every statement on a user's table carries its guard, whatever the table looks like.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{
    Arriving, Cell, Column, Identity, Key, Lsn, Name, Owner, Relation, RelationColumn, Row, Source,
    Statement, Step, StepKind, StepShape, Table, TableId, Tables, Tenant, TenantColumn, Tuple,
};

fn table(key: Key) -> Table {
    let name = Name {
        schema: "public".to_owned(),
        relation: "it\"em".to_owned(),
    };
    let column = |(index, name): (usize, &str)| Column {
        name: name.to_owned(),
        from: Source::Arriving(index),
        base_type: "text".to_owned(),
        compare_type: "text".to_owned(),
        narrower: None,
        reads: Default::default(),
        parents: Vec::new(),
        exact: true,
        not_null: name == "id",
        cloud_owned: false,
    };
    Table {
        name: "item".to_owned(),
        desktop: name.clone(),
        desktop_oid: 1,
        cloud: name,
        arriving: ["id", "what"]
            .map(|name| Arriving {
                name: name.to_owned(),
                base_type: "text".to_owned(),
            })
            .to_vec(),
        columns: ["id", "what"].into_iter().enumerate().map(column).collect(),
        key,
        owner: Some(Owner {
            column: "source".to_owned(),
            base_type: "bpchar".to_owned(),
            desktop: "D".to_owned(),
            mobile: "M".to_owned(),
        }),
        tenant: Tenant {
            columns: vec![TenantColumn {
                cloud: "org_id".to_owned(),
                base_type: "numeric".to_owned(),
                value: "1".to_owned(),
                desktop: None,
            }],
            via: None,
        },
        indexed: true,
        stream: true,
        max_shrink: 0.2,
        ..Table::default()
    }
}

fn row(table: &Table) -> Row {
    let columns = ["id", "what"].map(|name| RelationColumn {
        in_identity: true,
        name: name.to_owned(),
        type_oid: 25,
        modifier: -1,
    });
    let relation = Relation {
        oid: 1,
        schema: "public".to_owned(),
        name: "it\"em".to_owned(),
        identity: Identity::Full,
        columns: columns.to_vec(),
    };
    let tuple = Tuple::from_cells([Cell::Text(b"1"), Cell::Text(b"x")]);
    Row {
        layout: Arc::new(table.layout(&relation).unwrap()),
        tuple: tuple.clone(),
        old: Some(tuple),
        count: 1,
        messages: 1,
    }
}

const MANNER: WriteContext<'_> = WriteContext {
    replicator: "office",
    epoch: 1,
    end: Lsn(1),
    patience: std::time::Duration::from_secs(1),
    again: false,
};

fn plan(steps: Vec<Step>, table: Table) -> Vec<Statement> {
    let tables = Arc::new(Tables::new(vec![table]));
    let form = BatchForm {
        row_by_row: &BTreeSet::new(),
        stopped: &|_| false,
    };
    let statements = Planner::default().statements(steps, &[], &tables, &MANNER, &form);
    // The others are settings.
    statements
        .filter(|statement| statement.table.is_some())
        .collect()
}

proptest! {
    #[test]
    fn p4_owner_and_tenant_stand_in_every_statement(work in prop::sample::select(vec![StepKind::Upsert, StepKind::Delete, StepKind::Rekey, StepKind::RemoveCopies]), null_key in any::<bool>(), unsent in any::<bool>(), rows in 1..3_usize) {
        let multiset = work == StepKind::RemoveCopies;
        let table = table(if multiset { Key::Multiset } else { Key::Columns(vec![0]) });
        let shape = StepShape {
            null_keys: if null_key && !multiset { vec![0] } else { Vec::new() },
            unsent: if unsent && matches!(work, StepKind::Upsert | StepKind::Rekey) { vec![1] } else { Vec::new() },
            ..StepShape::default()
        };
        let step = Step { table: TableId(0), work, shape, rows: vec![row(&table); rows] };
        let statement = plan(vec![step], table).remove(0);
        prop_assert!(statement.sql.contains("t.\"org_id\" = '1'::numeric"), "{}", statement.sql);
        prop_assert!(statement.sql.contains("t.\"source\" = 'D'::bpchar"), "{}", statement.sql);
        let upper = statement.sql.to_uppercase();
        prop_assert!(!upper.contains("TRUNCATE") && !upper.contains("CASCADE") && !upper.contains("ON CONFLICT DO UPDATE"), "F43");
    }
}

#[test]
fn p4_a_whole_tables_diff_is_guarded_too() {
    for key in [Key::Columns(vec![0]), Key::Multiset] {
        let table = table(key);
        let diff = diff(&table, &MANNER, 0, true);
        for statement in [
            Some(diff.remove),
            Some(diff.extras),
            diff.update,
            Some(diff.insert),
            Some(diff.shrink),
            Some(diff.narrow),
        ]
        .into_iter()
        .flatten()
        {
            assert!(
                statement.sql.contains("t.\"org_id\" = '1'::numeric")
                    && statement.sql.contains("t.\"source\" = 'D'::bpchar"),
                "{}",
                statement.sql
            );
        }
    }
}

#[test]
fn an_array_of_arrays_of_values_is_one_parameter_per_column() {
    let table = table(Key::Columns(vec![0]));
    let rows = vec![row(&table), row(&table), row(&table)];
    let step = Step {
        table: TableId(0),
        work: StepKind::Upsert,
        shape: StepShape::default(),
        rows,
    };
    let statement = plan(vec![step], table).remove(0);
    assert_eq!(statement.params.len(), 2);
    let array = statement.params[0].value.clone().unwrap();
    // ndim 1, no NULL, text, three elements from 1, each one byte long.
    let want = [
        &[0, 0, 0, 1][..],
        &[0; 4],
        &[0, 0, 0, 25],
        &[0, 0, 0, 3],
        &[0, 0, 0, 1],
        &[0, 0, 0, 1, b'1'].repeat(3),
    ]
    .concat();
    assert_eq!(array, want);
}

#[test]
fn a_row_that_comes_alone_is_one_parameter_per_value() {
    let table = table(Key::Columns(vec![0]));
    let step = |work, rows| Step {
        table: TableId(0),
        work,
        shape: StepShape::default(),
        rows: vec![row(&table); rows],
    };
    for work in [StepKind::Upsert, StepKind::Delete] {
        let statement = plan(vec![step(work, 1)], table.clone()).remove(0);
        assert!(statement.is_lone && !statement.sql.contains("unnest"));
        let values = statement.params.iter().map(|param| {
            assert_eq!((param.type_oid, param.binary), (25, true));
            param.value.clone().unwrap()
        });
        let want: &[&[u8]] = match work {
            StepKind::Delete => &[b"1"],
            _ => &[b"1", b"x"],
        };
        assert_eq!(values.collect::<Vec<_>>(), want);
        let several = plan(vec![step(work, 2)], table.clone()).remove(0);
        assert!(!several.is_lone && several.sql.contains("unnest"));
    }
    let rekey = plan(vec![step(StepKind::Rekey, 1)], table.clone()).remove(0);
    assert!(!rekey.is_lone && rekey.sql.contains("unnest"));
}
