//! What the two databases look like, and the one door through which tables come in.
//!
//! [`resolve`] holds the settings against both catalogs and lists everything that doesn't fit at
//! once, before a row moves. Behind it a table has a key and a column has a mapping.

mod bond;
mod conversion_check;
mod drift;
mod facts;
mod fleeting;
mod footprint;
mod leaf;
mod measure;
mod narrow;
mod order;
mod publication;
mod relation;
mod remedy;
mod resolve;
mod slot;
mod sought;
mod sources;
mod sql_identifiers;
mod strange;

pub use conversion_check::try_conversions;
pub use drift::{Drift, drift, is_remembered, remember};
pub use facts::{Facts, VERSION_MIN, facts, replicator_name};
pub use fleeting::{fleeting, lacks_identity};
pub use footprint::{Changed, Footprint, Footprints, footprints, footprints_unless};
pub use measure::{Ambiguous, measure, measure_reverse};
pub use publication::{
    Narrowed, Publication, WAY_BACK, narrowed, of_stream, publication, publication_gone,
    publish_whole,
};
pub use relation::{
    ColumnFacts, NEEDS_A_PARENT, Reference, RelationFacts, begin_with_empty_search_path, relation,
    relations,
};
pub use remedy::{Remedy, has_way_back, remedy};
pub use resolve::{Mismatch, Pair, Resolved, Sort, knot, resolve, ties};
pub use slot::{Slot, SlotFacts, create, drop_slot, released, slot, switch_point};
pub use sources::{Source, Sources, sources};
pub use strange::{encoding, readable, strange};

pub use order::{Tie, parents_first};
