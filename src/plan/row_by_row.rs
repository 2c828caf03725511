//! Rows that the cloud may refuse: staged, written by halves until those that are refused stand alone, and
//! these parked in the quarantine (P8). All in one transaction, with one answer.

use std::sync::Arc;

use super::array::TextArray;
use super::diff::diff_of;
use super::knot::{Part, knit};
use super::source::Rows;
use super::staging::{COPY_STEP, TOO_LARGE_STEP, TOUCHED_STEP, parked_key, place};
use super::write_context::WriteContext;
use crate::limits;
use crate::model::{Cell, Key, Param, Statement, Step, StepKind, StepShape, Table, oid, sqlstate};

/// The statements of a careful step.
pub(super) struct Careful {
    pub(super) stage: Stage,
    /// Empty where a later step's finish is this one's, too.
    pub(super) finish: Vec<Statement>,
}

/// Puts rows into the staging table.
pub(super) struct Stage {
    sql: Arc<str>,
    /// Replicator, epoch, table and step.
    place: Vec<Param>,
    step: usize,
}

impl Careful {
    pub(super) fn of(
        table: &Table,
        number: usize,
        finish: Vec<Statement>,
        manner: &WriteContext<'_>,
    ) -> Careful {
        let place = place(table, number, manner);
        Careful {
            stage: Stage {
                sql: stage_text(table, &place).into(),
                place,
                step: number,
            },
            finish,
        }
    }
}

fn stage_text(table: &Table, place: &[Param]) -> String {
    let key = table.key_arriving();
    let cells = (0..table.arriving.len()).map(|index| format!("u.c{index}"));
    let origin = (0..table.arriving.len()).map(|index| match key.contains(&index) {
        true => format!("u.k{index}"),
        false => "null".to_owned(),
    });
    let (cells, origin): (Vec<_>, Vec<_>) = (cells.collect(), origin.collect());
    let extra = ["n", "copies", "messages"].map(str::to_owned).into_iter();
    let extra: Vec<_> = extra
        .chain(key.iter().map(|index| format!("k{index}")))
        .collect();
    let first = table.arriving.len() + extra.len() + 1;
    let numbers: Vec<_> = (first..first + place.len())
        .map(|at| format!("${at}"))
        .collect();
    let rows = Rows::Arrays((0..table.arriving.len()).collect(), extra);
    format!(
        r#"insert into tandem.staging (
             replicator, epoch, "table", step, n, cells, copies, messages, origin
           )
           select {numbers}, u.n::bigint, array[{cells}]::text[], u.copies::bigint,
             u.messages::bigint, array[{origin}]::text[]
           from {from}"#,
        numbers = numbers.join(", "),
        cells = cells.join(", "),
        origin = origin.join(", "),
        from = rows.from()
    )
}

impl Stage {
    /// The statement for some of the step's rows, the first of which has number `first`.
    pub(super) fn fill(&self, table: &Table, piece: &Step, first: usize) -> Statement {
        let mut cells: Vec<_> = table.arriving.iter().map(|_| TextArray::new()).collect();
        let mut extra = [TextArray::new(), TextArray::new(), TextArray::new()];
        let mut origins: Vec<_> = table
            .key_arriving()
            .iter()
            .map(|_| TextArray::new())
            .collect();
        for (at, row) in piece.rows.iter().enumerate() {
            for (array, cell) in cells.iter_mut().zip(row.layout.arriving(&row.tuple)) {
                array.push(cell);
            }
            let numbers = [(first + at) as u64, row.count, row.messages];
            for (array, number) in extra.iter_mut().zip(numbers) {
                array.push(Cell::Text(number.to_string().as_bytes()));
            }
            let old: Vec<_> = row.old.iter().flat_map(|old| old.cells()).collect();
            for (array, at) in origins.iter_mut().zip(row.layout.key()) {
                array.push(old.get(*at).copied().unwrap_or(Cell::Null));
            }
        }
        let arrays = cells.into_iter().chain(extra).chain(origins);
        let mut params: Vec<_> = arrays.map(TextArray::finish).collect();
        params.extend(self.place.iter().cloned());
        Statement {
            step: Some(self.step),
            ..Statement::bookkeeping(self.sql.clone(), params)
        }
    }
}

/// Writes the staged rows of a step by halves. Answers one row of JSON: the rows that were parked.
fn try_staged(part: &Part<'_>, manner: &WriteContext<'_>) -> Statement {
    let table = part.table;
    let key = parked_key(table);
    let mut params = place(table, part.number, manner);
    params.extend([
        Param::string(part.text()),
        Param::string(part.work.word()),
        numbers(&key),
        numbers(&part.shape.unsent),
        Param::text(oid::PG_LSN, manner.end.to_string()),
        Param::boolean(manner.again),
        Param::string(format!(
            "{patience} milliseconds",
            patience = manner.patience.as_millis()
        )),
        Param::int8(limits::PARKED_ROWS_MAX),
        Param::int8(limits::PARKED_BYTES_MAX),
        Param::int8(limits::PARKED_KEPT_BYTES as u64),
    ]);
    Statement::about(
        table.id,
        part.number,
        "select tandem.try_rows(
              $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14
            )::text",
        params,
    )
}

/// Parks the refused ones of rows that `tandem.knit` has tried. Answers as [`try_staged`] does.
fn park(part: &Part<'_>, manner: &WriteContext<'_>) -> Statement {
    let table = part.table;
    let mut params = place(table, part.number, manner);
    params.extend([
        Param::string(part.work.word()),
        numbers(&parked_key(table)),
        numbers(&part.shape.unsent),
        Param::text(oid::PG_LSN, manner.end.to_string()),
        Param::boolean(manner.again),
        Param::int8(limits::PARKED_ROWS_MAX),
        Param::int8(limits::PARKED_BYTES_MAX),
        Param::int8(limits::PARKED_KEPT_BYTES as u64),
    ]);
    Statement::about(
        table.id,
        part.number,
        "select tandem.park_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)::text",
        params,
    )
}

/// Tries the staged rows of some steps: where rows may wait for one another, those of all steps together.
pub(super) fn try_parts(parts: &[Part<'_>], manner: &WriteContext<'_>) -> Vec<Statement> {
    match parts {
        [only] if only.table.knot.is_none() || only.shape.waits() => {
            vec![try_staged(only, manner)]
        }
        _ => {
            let parked = parts.iter().map(|part| park(part, manner));
            knit(parts, manner).into_iter().chain(parked).collect()
        }
    }
}

/// Tries parked rows again, those first that have waited longest: of each of these tables, each kind of work and each set
/// of unsent columns. Rows of several tables are tried together.
pub fn retry(
    kinds: &[(&Table, StepKind, Vec<usize>)],
    manner: &WriteContext<'_>,
) -> Vec<Statement> {
    let parts = kinds.iter().enumerate();
    let parts = parts.map(|(number, (table, work, unsent))| {
        let shape = StepShape {
            unsent: unsent.clone(),
            mixed_keys: true,
            ..StepShape::default()
        };
        Part::new(table, number, *work, &shape)
    });
    let parts: Vec<_> = parts.collect();
    let staged = parts.iter().map(|part| {
        // Those that wait for one another have to be there together.
        let rows = match part.table.knot {
            Some(_) => limits::PARKED_ROWS_MAX,
            None => limits::RETRY_ROWS,
        };
        let mut params = place(part.table, part.number, manner);
        params.extend([
            Param::string(part.work.word()),
            numbers(&part.shape.unsent),
            Param::int8(rows),
        ]);
        let sql = format!(
            r#"insert into tandem.staging (replicator, epoch, "table", step, n, cells, copies)
               select $1, $2, $3, $4, q.id, q.cells, q.copies
               from tandem.quarantine as q
               where q.replicator = $1
                 and q.direction = 'forward'
                 and q."table" = $3
                 and q.work = $5
                 and q.unsent = $6
                 and q.sqlstate <> '{too_large}'
                 and not (
                   q.sqlstate = '{character_not_in_repertoire}'
                   and tandem.is_unreadable(q.cells)
                 )
               order by q.tried_at
               limit $7"#,
            too_large = sqlstate::TOO_LARGE,
            character_not_in_repertoire = sqlstate::CHARACTER_NOT_IN_REPERTOIRE
        );
        Statement::bookkeeping(sql, params)
    });
    let mut statements: Vec<_> = staged.collect();
    // While they waited, somebody may have changed what the cloud owns of the rows in whose place they go.
    let returning = parts
        .iter()
        .filter(|part| part.table.returns && !part.work.removes());
    statements.extend(returning.map(|part| Statement {
        table: Some(part.table.id),
        ..Statement::bookkeeping(
            super::write::text(part.table, StepKind::Requeue, &part.shape, &Rows::Staged),
            place(part.table, part.number, manner),
        )
    }));
    match parts.iter().all(|part| part.table.knot.is_some()) {
        true => statements.extend(try_parts(&parts, manner)),
        false => statements.extend(parts.chunks(1).flat_map(|part| try_parts(part, manner))),
    }
    statements
}

/// Whether a column of these tables, each with rows that wait, holds something else now than when the session began: rows
/// that did not fit may. None where no column is narrower than what is sent.
pub fn widened<'a>(tables: impl Iterator<Item = &'a Table>) -> Option<[Statement; 2]> {
    let (mut targets, mut names, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for table in tables {
        for column in &table.columns {
            if let Some(narrower) = &column.narrower {
                targets.push(super::quote::table(&table.cloud));
                names.push(column.name.clone());
                types.push(narrower.clone());
            }
        }
    }
    let texts = |texts: &[String]| Param::text(oid::TEXT_ARRAY, super::quote::array(texts));
    let sql =
        "select coalesce(bool_or(format_type(a.atttypid, a.atttypmod) <> w.holds), false)::text
         from unnest($1, $2, $3) as w(target, name, holds)
         join pg_attribute as a on a.attrelid = to_regclass(w.target) and a.attname = w.name
         join pg_type as t on t.oid = a.atttypid and t.typtype <> 'd'";
    // Types are written as they were when both sides agreed.
    let pinned = "select set_config('search_path', 'pg_catalog', true)";
    (!names.is_empty()).then(|| {
        [
            Statement::bookkeeping(pinned, Vec::new()),
            Statement::bookkeeping(sql, vec![texts(&targets), texts(&names), texts(&types)]),
        ]
    })
}

/// Tries all rows of copies, those of a table without a key only as far as they are missing; each with the stored rows that it is
/// about, as [`diff_of`] takes them.
pub fn try_whole(tables: &[(&Table, Option<&str>)], manner: &WriteContext<'_>) -> Vec<Statement> {
    let multiset = |(table, _): &&(&Table, Option<&str>)| table.key == Key::Multiset;
    let narrow = tables.iter().filter(multiset);
    let narrow =
        narrow.map(|(table, which)| diff_of(table, manner, COPY_STEP, false, *which).narrow);
    let parts = tables.iter().map(|(table, _)| {
        let work = match table.key {
            Key::Multiset => StepKind::AddCopies,
            Key::Columns(_) => StepKind::Upsert,
        };
        let shape = StepShape {
            mixed_keys: true,
            ..StepShape::default()
        };
        Part::new(table, COPY_STEP, work, &shape)
    });
    let tried = try_parts(&parts.collect::<Vec<_>>(), manner);
    narrow.chain(tried).collect()
}

/// Parks those rows.
pub fn park_too_large(table: &Table, manner: &WriteContext<'_>) -> Statement {
    let key = table.key_arriving();
    let unsent = (0..table.arriving.len()).filter(|index| !key.contains(index));
    let shape = StepShape {
        unsent: unsent.collect(),
        too_large: Some(0),
        ..StepShape::default()
    };
    try_staged(
        &Part::new(table, TOO_LARGE_STEP, StepKind::Upsert, &shape),
        manner,
    )
}

/// Fails when more rows of a table are parked than may be.
pub fn cap_parked(table: &Table, replicator: &str) -> Statement {
    let params = vec![
        Param::string(replicator),
        Param::string(&table.name),
        Param::int8(limits::PARKED_ROWS_MAX),
        Param::int8(limits::PARKED_BYTES_MAX),
    ];
    Statement {
        table: Some(table.id),
        ..Statement::bookkeeping("select tandem.cap_parked($1, $2, $3, $4)", params)
    }
}

/// A table that is copied or emptied starts without parked rows.
pub fn void_parked(table: &Table, replicator: &str) -> Statement {
    let params = vec![Param::string(replicator), Param::string(&table.name)];
    Statement::bookkeeping("select tandem.void_parked($1, $2)", params)
}

/// The same, but for rows that were changed after they were read: what waits of them is newer.
pub fn void_untouched(table: &Table, manner: &WriteContext<'_>) -> Statement {
    let names = parked_key(table).into_iter();
    let names: Vec<_> = names
        .map(|index| format!("u.cells[{number}]", number = index + 1))
        .collect();
    let sql = format!(
        "select tandem.void_parked(
           $1, $3,
           array(
             select md5(array[{names}]::text[]::text)
             from {touched} and $4 = {TOUCHED_STEP}
           )
         )",
        names = names.join(", "),
        touched = Rows::Beside(TOUCHED_STEP).from()
    );
    Statement::bookkeeping(sql, place(table, TOUCHED_STEP, manner))
}

/// Arriving columns as SQL counts them.
fn numbers(list: &[usize]) -> Param {
    let list: Vec<_> = list.iter().map(|index| (index + 1).to_string()).collect();
    Param::text(oid::INT4_ARRAY, format!("{{{}}}", list.join(",")))
}
