//! What a run of whole transactions comes to: for each table the rows to write, and the counts.

use std::sync::Arc;

use super::{Layout, Lsn, TableId, TableState, Timestamp, Tuple};

/// A folded batch. Applying it takes the cloud from one checkpoint to [`Batch::end`].
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What to write, in this order.
    pub steps: Vec<Step>,
    /// For each table that was touched: what became of its messages (P7).
    pub counts: Vec<(TableId, Counts)>,
    /// Tables that can't go on, and why.
    pub halts: Vec<TableStop>,
    /// Where the last transaction ends.
    pub end: Lsn,
    /// When the last transaction committed on the desktop.
    pub committed_at: Timestamp,
    /// How many transactions.
    pub transactions: u64,
    /// What the desktop's last heartbeat in this batch said.
    pub heartbeat: Option<String>,
    /// Tables whose changes can't be folded (a key changed while a column was not sent).
    pub needs_order: Vec<TableId>,
}

/// A set of rows of one table to which the same statement applies.
#[derive(Clone, Debug)]
pub struct Step {
    /// The table.
    pub table: TableId,
    /// What to do with the rows.
    pub work: StepKind,
    /// What the rows have in common.
    pub shape: StepShape,
    /// The rows; never empty.
    pub rows: Vec<Row>,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepKind {
    /// Make the row with this key look like this: update what differs, insert what is missing.
    Upsert,
    /// Move a row to another key; its unsent columns stay as they are.
    Rekey,
    /// Remove the row with this key.
    Delete,
    /// Remove `count` of the rows that look like this.
    RemoveCopies,
    /// Insert `count` rows that look like this.
    AddCopies,
    /// Nothing is written: the desktop has in columns that are the cloud's own what the row says. Where the cloud has
    /// something else, the desktop gets that again.
    Requeue,
    /// Nothing is written: the desktop changed a row of the phone's, which is noted...
    RecordChange,
    /// ...or removed it.
    RecordDelete,
}

impl StepKind {
    /// Whether it takes rows away and adds none.
    pub fn removes(self) -> bool {
        match self {
            StepKind::Delete | StepKind::RemoveCopies => true,
            StepKind::Upsert | StepKind::Rekey | StepKind::AddCopies | StepKind::Requeue => false,
            StepKind::RecordChange | StepKind::RecordDelete => false,
        }
    }

    /// Whether it only notes something, and writes no row.
    pub fn only_notes(self) -> bool {
        matches!(
            self,
            StepKind::Requeue | StepKind::RecordChange | StepKind::RecordDelete
        )
    }

    /// The word for it in the state tables.
    pub fn word(self) -> &'static str {
        match self {
            StepKind::Upsert => "upsert",
            StepKind::Rekey => "rekey",
            StepKind::Delete => "delete",
            StepKind::RemoveCopies => "remove",
            StepKind::AddCopies => "add",
            StepKind::Requeue => "recall",
            StepKind::RecordChange => "note",
            StepKind::RecordDelete => "note gone",
        }
    }
}

/// Rows of one step share this, so that one statement fits them all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepShape {
    /// Columns of the key that are NULL in every row: `=` never finds them.
    pub null_keys: Vec<usize>,
    /// In some rows other columns of the key may be NULL: these rows were not gathered by that.
    pub mixed_keys: bool,
    /// Arriving columns that were not sent (unchanged TOAST): what is made of them stays as the cloud has it.
    pub unsent: Vec<usize>,
    /// No row of these keys was there before the batch, and the cloud's unique index would say so if there was one.
    pub fresh: bool,
    /// The unsent columns are those of the row under its old key, which is known ([`Row::old`]).
    pub moved: bool,
    /// Earlier versions of these rows are in the quarantine: they are tried one by one.
    pub parked: bool,
    /// The rows are the phone's (`on_mobile_row = "apply"`): changed where they are, and never made.
    pub mobile: bool,
    /// The rows are not those that were there before the batch, under the same keys: columns that are the cloud's own are set
    /// as in an insert.
    pub reborn: bool,
    /// The rows are too large to be kept: so many bytes. They are parked without a try.
    pub too_large: Option<u64>,
    /// A value of each row can't be read: they are parked without a try.
    pub unreadable: bool,
}

impl StepShape {
    /// The rows are parked without a try.
    pub fn waits(&self) -> bool {
        self.too_large.is_some() || self.unreadable
    }
}

/// One row to write.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where its columns are.
    pub layout: Arc<Layout>,
    /// Its cells; for a delete at least the key's.
    pub tuple: Tuple,
    /// For [`StepKind::Rekey`] and moved rows the row under its old key, and for tables in which others look
    /// something up the row as it was, both in the same layout.
    pub old: Option<Tuple>,
    /// For copies: how many.
    pub count: u64,
    /// How many row messages it stands for in [`Counts::applied`].
    pub messages: u64,
}

/// What became of a table's row messages: `received = applied + folded + ruled_out + quarantined` (P7).
/// What is quarantined is known when the cloud has refused it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Row messages that arrived.
    pub received: u64,
    /// Messages whose effect was written.
    pub applied: u64,
    /// Messages that a later one, or their own sum, made unnecessary.
    pub folded: u64,
    /// Messages of rows that aren't ours to send.
    pub ruled_out: u64,
    /// Messages of a stopped table; its way back is a new copy.
    pub missed: u64,
    /// Times that the desktop emptied the table; no row messages.
    pub truncated: u64,
    /// Rows that go because the desktop deleted them, the measure of `max_shrink`. In a table without a key, where a
    /// change is a delete and an insert, only so far as no others come; a part of a batch may have more that come.
    pub deletes: i64,
}

impl Counts {
    /// Adds another part of the same batch.
    pub fn add(&mut self, other: Counts) {
        self.received += other.received;
        self.applied += other.applied;
        self.folded += other.folded;
        self.ruled_out += other.ruled_out;
        self.missed += other.missed;
        self.truncated += other.truncated;
        self.deletes += other.deletes;
    }
}

/// A table that must stop, found before anything was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStop {
    /// The table.
    pub table: TableId,
    /// Why, in plain words.
    pub why: String,
    /// What it waits for.
    pub way: Recovery,
}

/// What a table that can't go on waits for. Its way back is always a new copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// A person: the state is `stopped`.
    Operator,
    /// Its other side: it is `stopped`, and taken up as soon as both fit again.
    WhenSchemaFits,
    /// The same, seen by what a server refused: where both fit all the same, it is tried again now and then.
    WhenAccepted,
    /// A person who says that so many rows may go: the state is `held`.
    WhenAllowed,
    /// Nothing: the next session copies it. The state is `waiting`.
    Recopy,
}

impl Recovery {
    /// It goes on by itself when both sides fit.
    pub fn is_fitting(self) -> bool {
        matches!(self, Recovery::WhenSchemaFits | Recovery::WhenAccepted)
    }

    /// The table's state.
    pub fn state(self) -> TableState {
        match self {
            Recovery::Operator | Recovery::WhenSchemaFits | Recovery::WhenAccepted => {
                TableState::Stopped
            }
            Recovery::WhenAllowed => TableState::Held,
            Recovery::Recopy => TableState::Waiting,
        }
    }
}
