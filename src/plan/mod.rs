//! A batch to SQL text and parameters, every statement guarded by ownership and tenant. Pure.
//!
//! Statements are made once per table, work and shape, so that the same text goes over the wire
//! each time. Values travel as `text[]` parameters, are parsed as the column's base type and then
//! assigned (P11): nothing is shortened in silence.

mod array;
mod diff;
mod digest;
mod guard;
mod open;
mod probe;
pub mod quote;
mod source;
mod write;

pub use diff::{Diff, copy_out, diff};
pub use digest::{admitted, cloud_digest, desktop_digest};
pub use guard::Guard;
pub use open::{Opening, opening};
pub use probe::{key_names, probe, stage_step};
pub use write::Planner;

#[cfg(test)]
mod tests;
