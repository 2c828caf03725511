//! The plain types that every stage understands. A thin room: no I/O, no clock, no decisions.

mod alike;
mod batch;
mod change;
mod charset;
mod encoding;
mod knot;
mod lag_notice;
mod layout;
mod lsn;
mod name;
mod reverse;
mod snapshot;
pub mod sqlstate;
mod state;
mod statement;
mod table;
mod tables;
mod tuple;

pub use alike::{alike, listed};
pub use batch::{Batch, Counts, Recovery, Row, Step, StepKind, StepShape, TableStop};
pub use change::{
    Change, ChangeOrigin, Identity, LogicalMessage, Oid, Old, Operation, Relation, RelationColumn,
    Timestamp, Transaction,
};
pub use charset::{Charset, SaidBy, UNREADABLE, is_unreadable, shown};
pub use encoding::Encoding;
pub use knot::Knot;
pub use lag_notice::{LagNotice, NotANotice};
pub use layout::Layout;
pub use lsn::{Committed, Confirmed, Lsn, NotAnLsn, Received};
pub use name::Name;
pub use reverse::{Named, ReverseTable};
pub use snapshot::{NotASnapshot, Snapshot};
pub use state::{StateWord, TableState};
pub use statement::{Param, Statement, oid};
pub use table::{
    Arriving, Column, Key, Lookup, Owner, Parent, Reach, Reads, Source, Table, TableId, Tenant,
    TenantColumn, Via,
};
pub use tables::{SchemaMismatch, Tables};
pub use tuple::{BadTuple, Cell, Cells, Tuple};
