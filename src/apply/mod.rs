//! Scripts to committed transactions, in one flush each; serves both databases.
//!
//! One script is one transaction. COMMIT counts only by its tag; after an error the pipe is emptied
//! before anything else is sent; without an answer in time the connection is dropped, and the next
//! session reads the checkpoint under lock.

mod checkpoint;
mod copy_in;
mod pipe;
mod staging;
mod told;
mod transaction;

pub use checkpoint::{
    Advance, Lease, LeaseState, Request, advance, assert_lease, clear_staging, goes_on, release,
    take,
};
pub use copy_in::{CopyIn, copy_together};
pub use pipe::Pipe;
pub use staging::{StagedRow, Stager};
pub use transaction::{Answer, Applied, Applier, ApplyError, Script};
