//! Rows that wait for one another are tried together: `tandem.knit` in `sql/cloud`.

use super::clauses::{matches, parents_are_ours, sent};
use super::guard::Guard;
use super::quote::{ident, table as qualified};
use super::source::{Rows, all, image, insertion_but, key, source};
use super::staging::{COPY_STEP, parked_key, place};
use super::write::text;
use super::write_context::WriteContext;
use crate::limits;
use crate::model::{Column, Knot, Param, Statement, StepKind, StepShape, Table};

/// A step whose rows are in the staging table.
pub(super) struct Part<'a> {
    pub(super) table: &'a Table,
    pub(super) number: usize,
    pub(super) work: StepKind,
    pub(super) shape: StepShape,
}

impl<'a> Part<'a> {
    pub(super) fn new(
        table: &'a Table,
        number: usize,
        work: StepKind,
        shape: &StepShape,
    ) -> Part<'a> {
        Part {
            table,
            number,
            work,
            // One by one it doesn't matter what was there.
            shape: StepShape {
                fresh: false,
                ..shape.clone()
            },
        }
    }

    /// Its rows may wait for those of another step, or those for them.
    pub(super) fn is_tied_to(&self, other: &Part<'_>) -> bool {
        let apart = self.shape.waits() || other.shape.waits();
        !apart && self.table.is_tied_to(other.table)
    }

    /// What writes chosen rows of it.
    pub(super) fn text(&self) -> String {
        text(self.table, self.work, &self.shape, &Rows::Chosen)
    }

    /// What others may wait for becomes NULL in rows of it that are going to change there or to go; missing rows
    /// are made so. Where NULL is refused they make way, if nobody but us notices that. None where there is nothing to loosen.
    fn loosen(&self, rows: &Rows) -> Option<String> {
        let (table, shape) = (self.table, &self.shape);
        let knot = table.knot.as_ref()?;
        if shape.mobile || shape.moved || shape.waits() {
            return None;
        }
        match self.work {
            StepKind::Upsert => loosen_upsert(table, knot, shape, rows),
            StepKind::Delete if !knot.loose.is_empty() => {
                Some(loosen_delete(table, knot, shape, rows))
            }
            StepKind::Delete if knot.rooted.is_none() => Some(self.text()),
            _ => None,
        }
    }

    /// Where chosen rows of it stand now.
    fn find(&self) -> Option<String> {
        (self.work == StepKind::Upsert && !self.shape.mobile).then(|| {
            let at = ["u.ctid as \"tandem at\"".to_owned()];
            format!(
                r#"with {source}
                   select src."tandem at" as staged, t.tableoid as part, t.ctid as at
                   from src
                   join {target} as t on {matches} and {owned}"#,
                source = source(self.table, &key(self.table), &Rows::Chosen, &at),
                target = qualified(&self.table.cloud),
                matches = matches(self.table, &self.shape),
                owned = Guard::of(self.table).owned()
            )
        })
    }
}

/// Writes the staged rows of all parts, as many as can stand together, and marks the others.
pub(super) fn knit(parts: &[Part<'_>], manner: &WriteContext<'_>) -> Option<Statement> {
    let first = parts.first()?;
    let said = parts.iter().map(|part| {
        let knot = part.table.knot.as_ref();
        let stuck = knot.filter(|knot| !knot.stiff.is_empty());
        serde_json::json!({
            "table": part.table.name,
            "step": part.number,
            "key": parked_key(part.table).iter().map(|at| at + 1).collect::<Vec<_>>(),
            "write": part.text(),
            "loosen": part.loosen(&Rows::Chosen).unwrap_or_default(),
            "find": part.find().unwrap_or_default(),
            "stuck": stuck.and_then(|knot| knot.rooted.clone()).unwrap_or_default(),
        })
    });
    let params = vec![
        Param::string(manner.replicator),
        Param::int8(manner.epoch),
        Param::string(serde_json::Value::from_iter(said).to_string()),
        Param::boolean(manner.again),
        Param::string(format!(
            "{patience} milliseconds",
            patience = manner.patience.as_millis()
        )),
        Param::int8(limits::PARKED_ROWS_MAX),
    ];
    Some(Statement::about(
        first.table.id,
        first.number,
        "select tandem.knit($1, $2, $3::jsonb, $4, $5::interval, $6)",
        params,
    ))
}

/// Loosens all rows of a copy, so that those of others can be written.
pub fn loosen_whole(table: &Table, manner: &WriteContext<'_>) -> Option<Statement> {
    let shape = StepShape {
        mixed_keys: true,
        ..StepShape::default()
    };
    let part = Part::new(table, COPY_STEP, StepKind::Upsert, &shape);
    let sql = part.loosen(&Rows::Staged)?;
    Some(Statement::about(
        table.id,
        COPY_STEP,
        sql,
        place(table, COPY_STEP, manner),
    ))
}

fn loosen_upsert(table: &Table, knot: &Knot, shape: &StepShape, rows: &Rows) -> Option<String> {
    let columns = sent(table, all(table), shape);
    let known = |list: &[usize]| -> Vec<(usize, &Column)> {
        let mut known = columns.clone();
        known.retain(|(at, _)| list.contains(at));
        known
    };
    let (loose, whole) = (known(&knot.loose), shape.unsent.is_empty());
    let stiff = match knot.rooted.is_none() && whole {
        true => known(&knot.stiff),
        false => Vec::new(),
    };
    let mut does = Vec::new();
    if !stiff.is_empty() {
        does.push(make_way(table, shape, &stiff));
    }
    if !loose.is_empty() {
        does.push(set_free(table, shape, &loose, &stiff));
    }
    if !loose.is_empty() && whole {
        does.push(insert_free(table, knot, shape));
    }
    let last = does.pop()?;
    let before = does.iter().enumerate();
    let before: Vec<_> = before
        .map(|(at, one)| format!(", done{at} as ({one})"))
        .collect();
    let source = source(table, &columns, rows, &[]);
    Some(format!(
        "with {source}{before} {last}",
        before = before.concat()
    ))
}

/// Removes rows that change where no NULL loosens them.
fn make_way(table: &Table, shape: &StepShape, stiff: &[(usize, &Column)]) -> String {
    format!(
        "delete from {target} as t using src where {found} and {deletable} and {any}",
        target = qualified(&table.cloud),
        found = matches(table, shape),
        deletable = Guard::of(table).deletable(),
        any = any_changes(stiff)
    )
}

/// Empties what changes in the rows that stay.
fn set_free(
    table: &Table,
    shape: &StepShape,
    loose: &[(usize, &Column)],
    stiff: &[(usize, &Column)],
) -> String {
    let set = loose.iter().map(|column| {
        let name = ident(&column.1.name);
        format!(
            "{name} = case when {changes} then null else t.{name} end",
            changes = changes(*column)
        )
    });
    let stays = match stiff.is_empty() {
        true => String::new(),
        false => format!(" and not {any}", any = any_changes(stiff)),
    };
    format!(
        "update {target} as t set {set} from src where {found} and {owned} and {any}{stays}",
        target = qualified(&table.cloud),
        set = set.collect::<Vec<_>>().join(", "),
        found = matches(table, shape),
        owned = Guard::of(table).owned(),
        any = any_changes(loose)
    )
}

/// Makes missing rows, empty where they may have to wait.
fn insert_free(table: &Table, knot: &Knot, shape: &StepShape) -> String {
    let (names, values) = insertion_but(table, &all(table), &knot.loose);
    format!(
        "insert into {target} {names}
         select {values}
         from src
         where not exists (
           select
           from {target} as t
           where {found} and {owned}
         ){parents_are_ours}",
        target = qualified(&table.cloud),
        found = matches(table, shape),
        owned = Guard::of(table).owned(),
        parents_are_ours = parents_are_ours(table, shape)
    )
}

fn loosen_delete(table: &Table, knot: &Knot, shape: &StepShape, rows: &Rows) -> String {
    let names: Vec<_> = knot
        .loose
        .iter()
        .map(|at| ident(&table.columns[*at].name))
        .collect();
    let set: Vec<_> = names.iter().map(|name| format!("{name} = null")).collect();
    let tests: Vec<_> = names
        .iter()
        .map(|name| format!("t.{name} is not null"))
        .collect();
    format!(
        "with {source}
         update {target} as t
         set {set}
         from src
         where {matches} and {deletable} and ({tests})",
        source = source(table, &key(table), rows, &[]),
        target = qualified(&table.cloud),
        set = set.join(", "),
        matches = matches(table, shape),
        deletable = Guard::of(table).deletable(),
        tests = tests.join(" or ")
    )
}

/// True where the stored row `t` is going to change in a column.
fn changes(column: (usize, &Column)) -> String {
    let one = [column];
    format!(
        "{stored} *<> {wanted}",
        stored = image("t", &one),
        wanted = image("src", &one)
    )
}

/// True where it is going to change in any of these.
fn any_changes(columns: &[(usize, &Column)]) -> String {
    let tests: Vec<_> = columns.iter().map(|column| changes(*column)).collect();
    format!("({tests})", tests = tests.join(" or "))
}
