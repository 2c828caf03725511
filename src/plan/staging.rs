//! Where rows stand in the staging table, and what names those that are parked from there.

use super::write_context::WriteContext;
use crate::model::{Param, Table, oid};

/// Where a step's rows stand in the staging table: replicator, epoch, table and step.
pub(super) fn place(table: &Table, number: usize, manner: &WriteContext<'_>) -> Vec<Param> {
    vec![
        Param::string(manner.replicator),
        Param::int8(manner.epoch),
        Param::string(&table.name),
        Param::text(oid::INT4, number.to_string()),
    ]
}

/// The arriving columns under whose values a row is parked.
pub(super) fn parked_key(table: &Table) -> Vec<usize> {
    table.naming()
}

/// Copies have steps from here on: `tandem.clear_staging` tells them from those of the stream.
pub const COPY_STEP: usize = 1 << 30;

/// The keys of rows that are too large to be copied.
pub const TOO_LARGE_STEP: usize = COPY_STEP + 1;

/// Rows of which a value can't be read.
pub const UNREADABLE_STEP: usize = COPY_STEP + 3;

/// Names of rows that the stream changed after they were read.
pub const TOUCHED_STEP: usize = COPY_STEP + 2;
