//! The pure stages without a database: what a core can do at most.
#![allow(missing_docs)]

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tandem::decode::Assembler;
use tandem::fold::{Classifier, StreamState, fold};
use tandem::model::{Arriving, Column, Key, Lsn, Name, Source, Table, Tables, Transaction};
use tandem::plan::{BatchForm, Planner, WriteContext};

const ROWS: u64 = 10_000;

fn relation() -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(b'R');
    out.put_u32(1);
    out.put_slice(b"public\0jobs\0f");
    out.put_u16(6);
    for name in ["id", "client", "day", "status", "words", "updated_at"] {
        out.put_u8(1);
        out.put_slice(name.as_bytes());
        out.put_u8(0);
        out.put_u32(25);
        out.put_i32(-1);
    }
    out.freeze()
}

fn put_row(out: &mut BytesMut, id: u64, stamp: &str) {
    out.put_u16(6);
    let id = id.to_string();
    for value in [
        id.as_str(),
        "4711",
        "2026-11-23",
        "W",
        "monthly accounts of the office",
        stamp,
    ] {
        out.put_u8(b't');
        out.put_u32(value.len() as u32);
        out.put_slice(value.as_bytes());
    }
}

fn frame(build: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    build(&mut out);
    out.freeze()
}

/// One transaction: BEGIN, the table, ROWS updates with old and new row, COMMIT.
fn updates() -> Vec<Bytes> {
    let begin = frame(|out| {
        out.put_u8(b'B');
        out.put_slice(&[0; 16]);
        out.put_u32(7);
    });
    let commit = frame(|out| {
        out.put_u8(b'C');
        out.put_slice(&[0; 25]);
    });
    let update = |id| {
        frame(|out| {
            out.put_u8(b'U');
            out.put_u32(1);
            out.put_u8(b'O');
            put_row(out, id, "2026-11-23 09:00:00");
            out.put_u8(b'N');
            put_row(out, id, "2026-11-23 09:00:01");
        })
    };
    [begin, relation()]
        .into_iter()
        .chain((0..ROWS).map(update))
        .chain([commit])
        .collect()
}

fn tables(skip_stamp: bool) -> Tables {
    let name = Name {
        schema: "public".to_owned(),
        relation: "jobs".to_owned(),
    };
    let mut columns = vec!["id", "client", "day", "status", "words"];
    if !skip_stamp {
        columns.push("updated_at");
    }
    let arriving = columns.iter().map(|name| Arriving {
        name: (*name).to_owned(),
        base_type: "text".to_owned(),
    });
    let arriving = arriving.collect();
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
    Tables::new(vec![Table {
        name: "jobs".to_owned(),
        desktop: name.clone(),
        desktop_oid: 1,
        cloud: name,
        arriving,
        columns: columns.into_iter().enumerate().map(column).collect(),
        key: Key::Columns(vec![0]),
        indexed: true,
        stream: true,
        max_shrink: 1.0,
        ..Table::default()
    }])
}

fn decoded(frames: &[Bytes]) -> Vec<Transaction> {
    let mut assembler = Assembler::default();
    frames
        .iter()
        .filter_map(|frame| assembler.push(frame).ok().flatten())
        .collect()
}

fn stages(criterion: &mut Criterion) {
    let frames = updates();
    let transactions = decoded(&frames);
    let (changing, quiet) = (tables(false), tables(true));
    let shared = std::sync::Arc::new(tables(false));
    let mut group = criterion.benchmark_group("stages");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("decode", |bench| bench.iter(|| decoded(&frames)));
    group.bench_function("fold", |bench| {
        bench.iter(|| {
            fold(
                &transactions,
                &changing,
                &mut Classifier::default(),
                &mut StreamState::default(),
                &BTreeSet::new(),
            )
        })
    });
    group.bench_function("fold, nothing left", |bench| {
        bench.iter(|| {
            fold(
                &transactions,
                &quiet,
                &mut Classifier::default(),
                &mut StreamState::default(),
                &BTreeSet::new(),
            )
        })
    });
    group.bench_function("plan", |bench| {
        let batch = fold(
            &transactions,
            &changing,
            &mut Classifier::default(),
            &mut StreamState::default(),
            &BTreeSet::new(),
        );
        bench.iter_batched(
            || batch.steps.clone(),
            |steps| {
                let manner = WriteContext {
                    replicator: "office",
                    epoch: 1,
                    end: Lsn(1),
                    patience: std::time::Duration::from_secs(1),
                    again: false,
                };
                let form = BatchForm {
                    row_by_row: &BTreeSet::new(),
                    stopped: &|_| false,
                };
                let statements = Planner::default().statements(steps, &[], &shared, &manner, &form);
                statements.count()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
