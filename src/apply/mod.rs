//! Scripts to committed transactions, in one flush each; serves both databases.
//!
//! One script is one transaction. COMMIT counts only by its tag; after an error the pipe is emptied
//! before anything else is sent; without an answer in time the connection is dropped, and the next
//! session reads the checkpoint under lock.

mod checkpoint;
mod filling;
mod pipe;
mod staging;
mod transaction;

pub use checkpoint::{Advance, Lease, Request, Taken, advance, hold, release, take, unstage};
pub use filling::Filling;
pub use pipe::Pipe;
pub use staging::{StagedRow, Stager};
pub use transaction::{Answer, Applier, Done, NotApplied, Script};
