//! Every statement builder of `src/plan`, called for every table that it is for.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tandem::apply::{Advance, Lease, advance};
use tandem::model::{
    Counts, Key, Lsn, ReverseTable, Source, Statement, Step, StepKind, StepShape, Table, TableId,
    TableState, Tables,
};
use tandem::plan::reverse::{self, Budget, Coming, Told};
use tandem::plan::verify::{self, Comparison, Look, Mending, Reading, Sieve};
use tandem::plan::{
    self, BatchForm, Planner, StagedForm, StagedStep, TransactionSettings, Which, WriteContext,
    table_state,
};

use super::golden::{Page, compare};
use super::tables::{reverse_tables, row, tables};

const MANNER: WriteContext<'_> = WriteContext {
    replicator: "office-1",
    epoch: 7,
    end: Lsn(0x1A2B_3C4D),
    patience: Duration::from_secs(60),
    again: false,
};

/// What a step of a table can be, under a name.
fn steps(table: &Table) -> Vec<(&'static str, StepKind, StepShape)> {
    let none = StepShape::default;
    if table.key == Key::Multiset {
        return vec![
            ("add copies", StepKind::AddCopies, none()),
            ("remove copies", StepKind::RemoveCopies, none()),
        ];
    }
    let last = table.arriving.len() - 1;
    let mut steps = vec![
        ("upsert", StepKind::Upsert, none()),
        (
            "upsert of rows that are new",
            StepKind::Upsert,
            StepShape {
                fresh: true,
                ..none()
            },
        ),
        (
            "upsert of rows that were not there before the batch",
            StepKind::Upsert,
            StepShape {
                reborn: true,
                ..none()
            },
        ),
        (
            "upsert, a column unsent",
            StepKind::Upsert,
            StepShape {
                unsent: vec![1],
                ..none()
            },
        ),
        (
            "upsert under another key, a column unsent",
            StepKind::Upsert,
            StepShape {
                unsent: vec![last],
                moved: true,
                ..none()
            },
        ),
        (
            "rekey, a column unsent",
            StepKind::Rekey,
            StepShape {
                unsent: vec![last],
                ..none()
            },
        ),
        ("delete", StepKind::Delete, none()),
    ];
    let nullable = table
        .columns
        .iter()
        .position(|column| !column.not_null)
        .filter(|at| matches!(&table.key, Key::Columns(key) if key.contains(at)));
    if let Some(at) = nullable {
        steps.push((
            "upsert, NULL in the key",
            StepKind::Upsert,
            StepShape {
                null_keys: vec![at],
                ..none()
            },
        ));
        steps.push((
            "upsert, NULL in some keys",
            StepKind::Upsert,
            StepShape {
                mixed_keys: true,
                ..none()
            },
        ));
    }
    if table.returns {
        steps.push((
            "what the cloud owns is given back",
            StepKind::Requeue,
            none(),
        ));
    }
    if table.changes_mobile {
        let mobile = || StepShape {
            mobile: true,
            ..none()
        };
        steps.push(("a phone's row is noted", StepKind::RecordChange, none()));
        steps.push((
            "a phone's row that goes is noted",
            StepKind::RecordDelete,
            none(),
        ));
        steps.push(("a phone's row is changed", StepKind::Upsert, mobile()));
        steps.push(("a phone's row is removed", StepKind::Delete, mobile()));
    }
    steps
}

/// Nothing is written to other tables: what follows a change of this one is shown once.
fn alone(table: &Table) -> impl Fn(TableId) -> bool {
    let own = table.id;
    move |other| other != own
}

fn planned(
    step: Step,
    counts: &[(TableId, Counts)],
    tables: &Arc<Tables>,
    row_by_row: bool,
) -> Vec<Statement> {
    let row_by_row: BTreeSet<usize> = row_by_row.then_some(0).into_iter().collect();
    let stopped = alone(tables.get(step.table));
    let form = BatchForm {
        row_by_row: &row_by_row,
        stopped: &stopped,
    };
    Planner::default()
        .statements(vec![step], counts, tables, &MANNER, &form)
        .collect()
}

/// The stream: steps of a batch, whole and row by row.
fn batch(table: &Table, tables: &Arc<Tables>) -> [Page; 2] {
    let mut whole = Page::new(
        &format!("batch_{}", table.name),
        &format!("steps of a batch of {}, whole", table.name),
    );
    let mut row_by_row = Page::new(
        &format!("careful_{}", table.name),
        &format!("steps of a batch of {}, row by row", table.name),
    );
    let step = |work, shape: &StepShape, rows: usize| Step {
        table: table.id,
        work,
        shape: shape.clone(),
        rows: vec![row(table); rows],
    };
    for (title, work, shape) in steps(table) {
        let several = planned(step(work, &shape, 2), &[], tables, false);
        whole.statements(title, &several);
        let one = planned(step(work, &shape, 1), &[], tables, false);
        if one[0].sql != several[0].sql {
            whole.statements(&format!("{title}, one row"), &one);
        }
        let special = shape.moved || shape.reborn || shape.fresh || !shape.unsent.is_empty();
        if !special && work != StepKind::Rekey && !work.only_notes() {
            row_by_row.statements(title, &planned(step(work, &shape, 1), &[], tables, true));
        }
    }
    let (title, work, shape) = steps(table).swap_remove(usize::from(table.key != Key::Multiset));
    whole.statements(
        &format!("{title}, very many"),
        &planned(step(work, &shape, 2_000), &[], tables, false),
    );
    let form = BatchForm {
        row_by_row: &BTreeSet::new(),
        stopped: &|_| false,
    };
    let written = planned(step(work, &shape, 1), &[], tables, false).len();
    let all =
        Planner::default().statements(vec![step(work, &shape, 1)], &[], tables, &MANNER, &form);
    whole.statements(
        "what follows in other tables",
        &all.skip(written).collect::<Vec<_>>(),
    );
    let counts = Counts {
        deletes: 101,
        ..Counts::default()
    };
    whole.statements(
        "a batch that deletes many",
        plan_shrink(&planned(
            step(work, &shape, 1),
            &[(table.id, counts)],
            tables,
            false,
        )),
    );
    for (title, shape) in [
        (
            "too large",
            StepShape {
                too_large: Some(9),
                ..shape.clone()
            },
        ),
        (
            "unreadable",
            StepShape {
                unreadable: true,
                ..shape.clone()
            },
        ),
    ] {
        row_by_row.statements(title, &planned(step(work, &shape, 1), &[], tables, true));
    }
    row_by_row.statements(
        "rows that wait are tried again",
        &plan::retry(&[(table, work, vec![1])], &MANNER),
    );
    row_by_row.statement(
        "not too many wait",
        &plan::cap_parked(table, MANNER.replicator),
    );
    row_by_row.statements(
        "rows get the parents that they came without",
        plan::heal(table).iter(),
    );
    row_by_row.statements(
        "columns that are wider now",
        plan::widened([table].into_iter()).iter().flatten(),
    );
    [whole, row_by_row]
}

/// Those of a batch that look at how much it deletes: its first ones.
fn plan_shrink(statements: &[Statement]) -> impl Iterator<Item = &Statement> {
    statements
        .iter()
        .take_while(|statement| statement.sql.contains("tandem.shrink"))
}

/// A transaction too large for memory: from the staging table.
fn spilled(table: &Table, tables: &Tables) -> Page {
    let mut page = Page::new(
        &format!("staged_{}", table.name),
        &format!("staged steps of {}", table.name),
    );
    let none = BTreeSet::new();
    let all = BTreeSet::from([table.id]);
    let stopped = alone(table);
    for (title, work, shape) in steps(table) {
        if shape.fresh || shape.reborn || shape.mobile {
            continue;
        }
        let step = StagedStep {
            table: table.id,
            work,
            shape,
            rows: 1_000,
            whole: false,
        };
        let form = StagedForm {
            row_by_row: &none,
            rekeyed: &BTreeSet::new(),
            deletes_first: false,
            stopped: &stopped,
        };
        page.statements(
            title,
            &plan::staged(&[(3, step)], &[], tables, &MANNER, &form),
        );
    }
    let (title, work, shape) = steps(table).swap_remove(0);
    let step = StagedStep {
        table: table.id,
        work,
        shape,
        rows: 1_000,
        whole: true,
    };
    let form = StagedForm {
        row_by_row: &none,
        rekeyed: &all,
        deletes_first: true,
        stopped: &stopped,
    };
    page.statements(
        &format!("{title}, the table was emptied first"),
        &plan::staged(&[(3, step)], &[], tables, &MANNER, &form),
    );
    page
}

/// A whole table: what is read, and how the cloud is made equal to it.
fn copy(table: &Table, tables: &Tables) -> Page {
    let mut page = Page::new(
        &format!("copy_{}", table.name),
        &format!("{} as a whole", table.name),
    );
    for (title, which) in [
        ("read", Which::All),
        ("read, rows that are not too large", Which::UpTo(1_000)),
        ("read, keys of those that are", Which::Beyond(1_000)),
    ] {
        page.text(title, &plan::copy_out(table, which));
    }
    page.text("read, to be compared", &plan::rows_out(table));
    page.text("digest on the desktop", &plan::desktop_digest(table));
    page.text("digest in the cloud", &plan::cloud_digest(table));
    page.part(
        "rows of the desktop that are ours to send",
        &plan::admitted(table),
    );
    let cells = vec![Some("1".to_owned()); table.arriving.len()];
    page.statement("compared", &plan::compared(table, &[(cells, 1)]));
    page.text("rows that may be deleted", &plan::deletable_count(table));
    let diff = plan::diff(table, &MANNER, plan::COPY_STEP, true);
    let (leave_out, ambiguous, update) = (
        diff.leave_out.iter(),
        diff.ambiguous.iter(),
        diff.update.iter(),
    );
    page.statements("diff: leave out", leave_out);
    page.statements("diff: ambiguous", ambiguous);
    page.statement("diff: empties", &diff.empties);
    page.statement("diff: shrink", &diff.shrink);
    page.statement("diff: extras", &diff.extras);
    page.statement("diff: recount", &diff.recount);
    page.statement("diff: spare", &diff.spare);
    page.statement("diff: unspare", &diff.unspare);
    page.statement("diff: remove", &diff.remove);
    page.statements("diff: referred", &diff.referred);
    page.statements("diff: kept", &diff.kept);
    page.statements("diff: update", update);
    page.statement("diff: insert", &diff.insert);
    page.statement("diff: narrow", &diff.narrow);
    page.statements(
        "diff, nothing was touched: insert",
        [&plan::diff(table, &MANNER, plan::COPY_STEP, false).insert],
    );
    page.statements("row by row", &plan::try_whole(&[(table, None)], &MANNER));
    page.statement("weigh", &plan::weigh(table, &MANNER));
    page.statement("weighed", &plan::weighed(table, &MANNER));
    page.statement("waiting", &plan::waiting(MANNER.replicator, table));
    page.statement("so far", &plan::so_far(MANNER.replicator, &[1, 2]));
    page.statements("loosen", plan::loosen_whole(table, &MANNER).iter());
    page.statement("too large", &plan::park_too_large(table, &MANNER));
    page.statement("unreadable", &plan::park_unreadable(table, &MANNER));
    page.statement(
        "nothing waits any more",
        &plan::void_parked(table, MANNER.replicator),
    );
    page.statement(
        "nothing waits any more but what was touched",
        &plan::void_untouched(table, &MANNER),
    );
    page.statement(
        "the staged rows are there",
        &plan::are_there(table, plan::COPY_STEP, 1_000, &MANNER),
    );
    page.statements(
        "what looks something up here follows",
        &plan::follow_all(table, tables, &|_| false),
    );
    page.statements("what it looks up itself follows", &plan::follow_own(table));
    if table.returns {
        page.statement(
            "what the cloud owns comes home",
            &reverse::queue_differing(table, &MANNER, plan::COPY_STEP),
        );
    }
    for column in table
        .columns
        .iter()
        .filter(|column| matches!(column.from, Source::Arriving(_)) && column.not_null)
    {
        page.text(
            &format!("the sequence of {}", column.name),
            &plan::past_keys(table, column),
        );
    }
    match plan::direct(table, tables, &|_| true) {
        None => page.part("into an empty table: not by COPY", ""),
        Some(direct) => {
            page.text("into an empty table: out", &direct.out(None));
            page.text(
                "into an empty table: out, some pages",
                &direct.out(Some((100, Some(200)))),
            );
            page.text("into an empty table: in", &direct.into);
            page.text("into an empty table: only if it is", &direct.taken);
            page.text("into an empty table: all came in", &direct.all_in(7));
        }
    }
    page
}

/// The way home of a table.
fn homeward(reverse: &ReverseTable) -> Page {
    let mut page = Page::new(
        &format!("reverse_{}", reverse.name),
        &format!("{} on its way home", reverse.name),
    );
    let cells = (1..=reverse.arriving.len()).map(|at| Some(at.to_string()));
    let rows = [Coming {
        entry: 5,
        key: "{1}".to_owned(),
        cells: cells.collect(),
        copies: 1,
    }];
    let whose = MANNER.replicator;
    let watching = reverse::watching(reverse);
    for (title, predicate) in [
        ("watched: new", watching.insert),
        ("watched: changed", watching.update),
        ("watched: gone", watching.delete),
    ] {
        page.part(title, &predicate.unwrap_or_default());
    }
    page.part(
        "the phones' rows in the cloud",
        &reverse::phones_in_cloud(reverse),
    );
    page.part(
        "the phones' rows on the desktop",
        &reverse::phones_on_desktop(reverse),
    );
    page.text("queue what is there", &reverse::queue_all(reverse, whose));
    page.text(
        "poll",
        &reverse::read(
            &[reverse],
            whose,
            &Budget {
                entries: 1_000,
                bytes: 8 << 20,
                row_bytes: 32 << 20,
            },
        ),
    );
    page.statement("claim", &reverse::claim(reverse, whose, &rows));
    page.statement("announce", &reverse::mark(reverse, whose, &rows, false));
    page.statement(
        "announce what goes",
        &reverse::mark(reverse, whose, &rows, true),
    );
    page.statements("put", &reverse::put(reverse, whose, &rows, false));
    page.statements("put loosely", &reverse::put(reverse, whose, &rows, true));
    page.statements("fill", reverse::fill(reverse, whose, &rows).iter());
    page.statements("remove", &reverse::remove(reverse, whose, &rows));
    page.statement("remember", &reverse::remember(reverse, whose, &rows));
    let told = [Told {
        entry: 5,
        key: "{1}".to_owned(),
        row: Some("{}".to_owned()),
    }];
    page.statement(
        "take over what the desktop did",
        &reverse::adopt(reverse, whose, &told),
    );
    if !reverse.owned.is_empty() {
        page.statements("level", &reverse::level(reverse, whose, &rows));
        page.text("keep, before a refill", &reverse::keep(reverse, 0));
        page.text("restore, behind a refill", &reverse::restore(reverse, 0));
    }
    let comparisons = [
        (
            "its rows",
            verify::homeward(reverse).filter(|_| reverse.rows),
        ),
        ("the cloud's own", verify::owned(reverse)),
    ];
    for (title, comparison) in comparisons {
        compared(&mut page, title, comparison.as_ref());
    }
    page
}

/// Both sides' rows, compared.
fn compared(page: &mut Page, title: &str, comparison: Option<&Comparison>) {
    let Some(comparison) = comparison else {
        return page.part(&format!("verify {title}: nothing"), "");
    };
    let mut look = |side: &str, look: &Look| {
        let title = format!("verify {title}, {side}");
        page.text(&format!("{title}: count"), &look.count());
        page.text(&format!("{title}: trial"), &look.trial(true));
        for reading in [
            Reading::Ranges(1_024),
            Reading::RowsIn(1_024),
            Reading::RowsOf,
            Reading::NamesOf,
            Reading::ValuesOf,
        ] {
            page.text(&format!("{title}: {reading:?}"), &look.read(reading));
        }
    };
    look("desktop", &comparison.desktop);
    look("cloud", &comparison.cloud);
    if let Some(abroad) = &comparison.abroad {
        page.text(
            &format!("verify {title}: sent as it would travel"),
            &abroad.rows(&comparison.desktop, Some(Reading::RowsOf)),
        );
        page.text(
            &format!("verify {title}: looked at where it arrives"),
            &abroad.look.read(Reading::RowsOf),
        );
    }
}

fn verified(table: &Table) -> Page {
    let mut page = Page::new(
        &format!("verify_{}", table.name),
        &format!("{}, compared and repaired", table.name),
    );
    page.text("how many rows are the desktop's", &plan::owned_count(table));
    compared(&mut page, "its rows", Some(&verify::outward(table)));
    compared(&mut page, "what follows", verify::looked_up(table).as_ref());
    let values: Vec<_> = table.columns.iter().map(|_| Some("1".to_owned())).collect();
    for (title, what) in [
        ("missing", Mending::Missing(&values)),
        ("different", Mending::Different(&values, None)),
        ("extra", Mending::Extra),
    ] {
        page.text(
            &format!("repair: {title}"),
            &verify::mending(table, &values, what),
        );
    }
    if !table.lookups.is_empty() {
        page.text(
            "repair: it follows",
            &verify::following(table, &values, &[values.clone(), values.clone()].concat()),
        );
    }
    if table.returns {
        page.text(
            "repair: it comes home",
            &verify::queueing(MANNER.replicator, &table.name, &values[..1]),
        );
    }
    page
}

/// What is read of a large table that is copied once more, or whose first copy was interrupted.
fn sifted(table: &Table) -> Page {
    let mut page = Page::new(
        &format!("ranges_{}", table.name),
        &format!("{}, as far as both sides differ", table.name),
    );
    let done = [(0, 1_024), (2_048, 3_072)];
    page.statement("any rows", &verify::owned_rows(table));
    page.statement(
        "a piece is written",
        &plan::piece_done(MANNER.replicator, table, done[0]),
    );
    page.statement("pieces", &plan::pieces(MANNER.replicator, table));
    page.statement(
        "no pieces any more",
        &plan::forget_pieces(MANNER.replicator, table),
    );
    page.statement("equal beside the staged", &plan::also_equal(7));
    let Some(sieve) = Sieve::of(table, 8_192) else {
        return page;
    };
    page.text("the desktop's sums", &sieve.sums(None));
    page.text("the sums of some pages", &sieve.sums(Some(&done)));
    let sum = (3, 12, "-4711".to_owned());
    page.statement("ranges that differ", &sieve.differing(&[sum]));
    let within = sieve.within(&BTreeSet::from([3, 17]));
    page.part("rows that are read", &within.sent(None));
    page.part(
        "rows that are read, or on no such page",
        &within.sent(Some(&done)),
    );
    page.part("rows that are looked at", within.stored());
    let read = plan::copy_out_of(table, Which::All, Some(&within.sent(None)));
    page.text("read", &read);
    let (step, these) = (plan::COPY_STEP, within.stored());
    let diff = plan::diff_of(table, &MANNER, step, false, Some(these));
    page.statement("diff: remove", &diff.remove);
    page.statement("diff: insert", &diff.insert);
    page
}

/// What belongs to no table.
fn session() -> Page {
    let mut page = Page::new(
        "session",
        "what every transaction begins with, and what belongs to no table",
    );
    let timeout = Duration::from_secs(600);
    page.statements(
        "in the cloud",
        &plan::opening(&TransactionSettings::cloud(timeout, false)),
    );
    page.statements(
        "in the cloud, confined by policies",
        &plan::opening(&TransactionSettings::cloud(timeout, true)),
    );
    page.statements(
        "on the desktop",
        &plan::opening(&TransactionSettings::desktop()),
    );
    let lease = Lease {
        replicator: MANNER.replicator.to_owned(),
        slot: "tandem".to_owned(),
        epoch: MANNER.epoch,
    };
    let step = Advance {
        lease: &lease,
        from: Some(Lsn(1)),
        to: MANNER.end,
        committed_at: None,
        settings: &TransactionSettings::cloud(timeout, false),
        at_once: false,
    };
    page.statement("begin alone", &plan::begin());
    page.statements(
        "the checkpoint moves",
        &advance(&step, None, &Tables::default()),
    );
    page.statement("constraints at once", &plan::at_once());
    page.statement("joins", &plan::hash_joins());
    page.statement("any joins again", &plan::any_joins());
    page.text(
        "one refill or poll at a time",
        &reverse::alone(MANNER.replicator),
    );
    page.statement(
        "our mark in the desktop's log",
        &reverse::bare_mark(MANNER.replicator),
    );
    page.part("the same as text", &reverse::mark_text(MANNER.replicator));
    let all = reverse_tables();
    let all: Vec<_> = all.iter().collect();
    page.text(
        "whether anything waits for a poll",
        &reverse::waits(&all, MANNER.replicator),
    );
    page.text(
        "a poll of several tables",
        &reverse::read(
            &all,
            MANNER.replicator,
            &Budget {
                entries: 1_000,
                bytes: 8 << 20,
                row_bytes: 32 << 20,
            },
        ),
    );
    page
}

/// What is written and read of a table's state.
fn states(tables: &Tables) -> Page {
    let mut page = Page::new("table_state", "the state of each table in the cloud");
    let (replicator, before) = (MANNER.replicator, Lsn(0x1A2B_3C4D));
    let table = tables.iter().next().unwrap();
    let of = |state| table_state::put(replicator, table, &table.fingerprint, state, None);
    page.statement("a state", &of(TableState::Waiting));
    let mut swapped = table.clone();
    for (title, stream, pending) in [
        ("its copy is whole", true, false),
        ("its copy is whole, but not what changed since", true, true),
        (
            "the copy of one that is only swapped is whole",
            false,
            false,
        ),
    ] {
        swapped.stream = stream;
        let settled = table_state::settled(replicator, &swapped, before, pending);
        page.statement(title, &settled);
    }
    let settle = table_state::settle(replicator, tables.iter());
    let filled = table_state::count_filled(replicator, table, 7);
    let copied = table_state::count_copied(replicator, table, 7);
    let waiting = table_state::count_copied_but_waiting(replicator, table, 7);
    let print = |replaced| {
        let print = "{}".to_owned();
        table_state::remember_footprint(replicator, table, print, replaced)
    };
    page.statement("what changed since is written", &settle);
    page.statement(
        "it is filled piece by piece",
        &table_state::claimed(replicator, table, before),
    );
    page.statement("rows of a filled table", &filled);
    page.statement("rows of a copied table", &copied);
    page.statement("rows of a copied table, some of them refused", &waiting);
    page.statement(
        "all rows are ours",
        &table_state::no_extras(replicator, table),
    );
    page.statement("what the cloud's table is", &print(false));
    page.statement("what the cloud's table is, another one", &print(true));
    for (title, sql) in [
        ("what is remembered", table_state::REMEMBERED.to_owned()),
        ("tables that were served", table_state::known()),
        (
            "tables that left the settings",
            table_state::remove_others(),
        ),
        ("last swaps", table_state::last_swaps()),
        ("tables that do not fit", table_state::unfit()),
        ("one does not fit", table_state::stop_until_it_fits()),
        ("one fits again", table_state::take_up()),
        ("tables in trouble", table_state::troubled()),
        ("tables as status shows them", table_state::shown()),
        (
            "tables that wait for a person",
            table_state::waiting_for_person(),
        ),
    ] {
        page.text(title, &sql);
    }
    page.part("still to be copied", &table_state::is_filling());
    page.part("how many tables there are", &table_state::census());
    page
}

#[test]
fn each_statement_is_as_it_is_kept() {
    let tables = tables();
    let mut pages = vec![session(), states(&tables)];
    for table in tables.iter() {
        pages.extend(batch(table, &tables));
        pages.extend([
            spilled(table, &tables),
            copy(table, &tables),
            verified(table),
            sifted(table),
        ]);
    }
    pages.extend(reverse_tables().iter().map(homeward));
    compare(pages);
}

/// What of `src/plan` makes no statement: guards and names that others are made of, and answers about steps and rows.
const NO_STATEMENTS: [&str; 18] = [
    "array",
    "array_of",
    "deletable",
    "differing",
    "differing_in",
    "ident",
    "join_pieces",
    "literal",
    "moves",
    "of",
    "params",
    "place",
    "ranges",
    "read_pieces",
    "settings",
    "shared",
    "table",
    "target",
];

#[test]
fn every_builder_of_statements_has_its_place_here() {
    let here = include_str!("made.rs");
    let mut open = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/plan")];
    let mut missing = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().map(str::trim_start) {
            let Some(after) = line.strip_prefix("pub fn ") else {
                continue;
            };
            let name = after.split(['(', '<']).next().unwrap();
            let called = [format!("::{name}("), format!(".{name}(")];
            if !NO_STATEMENTS.contains(&name) && !called.iter().any(|call| here.contains(call)) {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "tests/pure/statements/made.rs shows nothing of\n{}",
        missing.join("\n")
    );
}
