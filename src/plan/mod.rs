//! A batch to SQL text and parameters, every statement guarded by ownership and tenant. Pure.
//!
//! Statements are made once per table, work and shape, so that the same text goes over the wire
//! each time. Values travel as `text[]` parameters, as arrays of their type where that is the same (`element`), or as rows of the
//! staging table; those of a row that comes alone are parameters of their own, so that the server can keep its plan. They are
//! parsed as the column's base type and then assigned (P11): nothing is shortened in silence.

mod array;
mod as_text;
mod clauses;
mod compare;
mod copies;
mod delete;
mod desktop_rows;
mod diff;
mod digest;
mod direct;
mod element;
mod follow;
mod guard;
mod kept;
mod knot;
mod looked_up;
mod mobile_rows;
mod orphan;
mod pieces;
mod planner;
pub mod quote;
pub mod reverse;
mod row_by_row;
mod sequence;
mod session_settings;
mod shrink;
mod source;
mod staged;
mod staging;
pub mod table_state;
mod unreadable;
pub mod verify;
mod weigh;
mod write;
mod write_context;

pub use compare::{compared, deletable_count, owned_count, rows_out};
pub use desktop_rows::{admitted, from};
pub use diff::{Diff, Which, copy_out, copy_out_of, diff, diff_of};
pub use digest::{cloud_digest, desktop_digest};
pub use direct::{Direct, Pages, direct};
pub use follow::{follow_all, follow_own};
pub use guard::Guard;
pub use knot::loosen_whole;
pub use orphan::heal;
pub use pieces::{forget_pieces, join_pieces, piece_done, pieces, read_pieces};
pub use planner::{BatchForm, Planner, any_joins};
pub use row_by_row::{
    cap_parked, park_too_large, retry, try_whole, void_parked, void_untouched, widened,
};
pub use sequence::past_keys;
pub use session_settings::{TransactionSettings, at_once, begin, hash_joins, opening, settings};
pub use staged::{StagedForm, StagedStep, are_there, staged};
pub use staging::{COPY_STEP, TOO_LARGE_STEP, TOUCHED_STEP, UNREADABLE_STEP};
pub use unreadable::park_unreadable;
pub use weigh::{also_equal, so_far, waiting, weigh, weighed};
pub use write_context::WriteContext;

#[cfg(test)]
mod tests;
