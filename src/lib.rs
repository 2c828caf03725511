//! tandem keeps a desktop PostgreSQL and a cloud PostgreSQL (Supabase) saying the same thing.
//!
//! It runs beside the desktop database and only dials out. It carries every change of the desktop to the cloud
//! (*forward*), and what people did on their phones home (*reverse*).
//!
//! What it promises (P1 to P18) stands in `docs/promises.md`, what words mean in `docs/words.md`, what users may rely on in
//! `docs/contract.md`, and what errors and their codes ask for in `docs/errors.md`. `docs/architecture.md` is the drawing to this
//! page.
//!
//! # The path of one change
//!
//! ```text
//! desktop WAL -> capture   bytes off the replication socket, feedback on its own timer   (I/O)
//!             -> decode    frames -> pgoutput messages -> whole transactions             (pure)
//!             -> fold      ours? mapped? then many changes of one key -> one             (pure)
//!             -> plan      batch -> SQL text and arrays, guarded by ownership            (pure)
//!             -> apply     one cloud transaction: checkpoint, rows, counts, COMMIT       (I/O)
//!             -> capture   committed position -> confirmed to the desktop
//! ```
//!
//! [`flows::Forward`] joins the stages and reads like this list. It is the only place that waits
//! while a stream runs. Batches don't wait for each other's answers ([`apply::Pipe`]): distance costs latency, not
//! throughput. What is sent next, and what follows a refusal, [`flows::machine::Machine`] decides, without connection or clock:
//! answers in, commands out. Two side roads lead back to it:
//!
//! - A transaction too large for memory that only inserts and updates is folded and sent as it comes, into one transaction of the
//!   cloud that stays open ([`flows::machine::OutgoingChunk`]). Another one, or one that empties a table, goes through
//!   [`spill`]: on disk by key, folded part by part into the cloud's staging table, and from there into its tables in one
//!   transaction ([`plan::staged`]).
//! - A step that the cloud refuses is tried row by row ([`plan::BatchForm::row_by_row`]). What is refused alone is
//!   parked in `tandem.quarantine`, known to the fold ([`fold::Quarantine`]), and tried again later. Rows that may wait for one
//!   another ([`model::Knot`]), of one table or of several, are tried together.
//!
//! # The path of a whole table
//!
//! `flows::copy` reads tables in one snapshot of the desktop, stages them in the cloud and merges them as a diff
//! ([`plan::diff`]). Bootstrap does it for all tables from the slot's exported snapshot, before the stream starts there;
//! an empty table is filled by COPY instead ([`plan::direct`]). Swaps, new tables and tables that had stopped are copied
//! beside the stream: a transaction is in the copy if and only if the snapshot sees its number ([`model::Snapshot`]), so
//! rows that later ones touch are left out of the diff, or, in a table that doesn't stream yet, wait on disk until the
//! copy is merged. The merge waits until the cloud has all that the copy has and nothing else is on its way.
//!
//! A large table is filled in pieces, each remembered with its rows. Before a large one is staged, both sides sum their rows up by
//! ranges of hashes ([`plan::verify::Sieve`]): rows in ranges that are equal are neither read nor touched. So a swap moves what
//! differs, and an interrupted copy goes on where it was, whatever has changed since.
//!
//! # The way home
//!
//! ```text
//! triggers    -> outbox    an entry for each row that others than we touch: appended, never merged        (in the cloud)
//! plan::reverse  -> poll      entries and their rows as they are now, in one statement
//!             -> desktop   one transaction: our mark in the log, the ledger, rows, by halves where refused
//!             -> cloud     exactly these entries go; what was refused is parked
//! ```
//!
//! `flows::reverse` runs beside the stream, in the same session. A crash in between repeats what was written: the ledger knows
//! the last entry of each key, and an equal row isn't written. [`fold::Echoes`] knows our own writes when the stream brings
//! them; a change that the desktop makes to what the cloud owns becomes a step that writes nothing but an outbox entry
//! ([`model::StepKind::Requeue`]), and one to a phone's row a note or an update ([`model::StepKind::RecordChange`], [`model::StepShape::mobile`]).
//!
//! # Looking
//!
//! [`observe::Observer`] asks both databases; `status`, `lag`, `top`, the metrics and the page show the sample that it takes, and
//! all of them work with the service down, but for the last two, which it serves itself on a thread beside its sessions.
//! Since when the oldest missing transaction has been waiting only the stream knows; it says so in the name of its connection
//! to the desktop, and where nobody streams an onlooker peeks at what the slot would send.
//! [`observe::FleetObserver`] asks the cloud alone, about all of its replicators: each says there with every heartbeat how it is,
//! beside its sessions (`service::lifesign`). What a renewed lease or a table's state says already is not said again.
//! `flows::verify` compares by hashed ranges ([`plan::verify`]) and looks again until what differs has stood still while the
//! other side caught up; `repair` goes through the copy's diff. [`doctor`] checks in order of dependency.
//!
//! # Floors
//!
//! Arrows point down: a room imports from rooms below it, and a stage never from another stage. Within a room, no file imports one
//! that leads back to it.
//!
//! ```text
//! cli                      arguments in, exit code out; show renders
//! service                  one session after the other; lease, history, logs
//! demo   http              the demonstration · metrics and the page
//! observe  doctor  init    what both sides say, for whoever looks · checking · proposing settings
//! flows                    what it does from start to finish: agree, copy, forward, reverse, compare
//! install                  what sql/ installs, and how that grows; publishing; watching
//! alert                    telling people: what is due, and the ways to them
//! apply  catalog  capture  spill   I/O: one script, one transaction · what the databases look like · the
//!                          stream · a large transaction on disk
//! plan   fold     decode   pure: bytes and values in, values out; no clock, no socket, no log
//! wire                     the only socket
//! fault  config  limits  platform  failpoint
//! model                    the plain types that every stage understands
//! ```
//!
//! `tests/docs/tidy.rs` keeps the floors and the purity, `tests/docs/circles.rs` that no imports go in a circle.
//!
//! # What holds it together
//!
//! - **The checkpoint is the only authority at start.** It is written in the same cloud transaction
//!   as the rows, by a compare-and-set that raises ([`apply::advance`]). Whatever is cut or killed,
//!   the next session starts where the cloud is.
//! - **A position says what it proves**: [`model::Received`], [`model::Committed`],
//!   [`model::Confirmed`]. Only a COMMIT answered with its tag makes the second, only the second
//!   becomes the third.
//! - **A table's state** is one type that says what may follow it ([`model::TableState`]), and one file has all SQL about it
//!   ([`plan::table_state`]). A word of another version ends what would decide by it, and is shown as it is.
//! - **Cuts change nothing.** Which transactions a batch gathers depends on the machine's load, so whatever is decided from
//!   images of a row is decided transaction by transaction, and what the cloud owns is compared with what the cloud has.
//!   `src/spill/cuts.rs` holds that law as a property; `TANDEM_TEST_CUTS` lets dice cut the batches of a debug build.
//! - **Doors**: settings ([`config`]), catalogs ([`catalog::resolve`]) and bytes ([`decode`]) are
//!   checked where they come in, and not again.
//! - **Errors are decisions** ([`fault`]): wait and retry, stop one table, stop the service.
//! - **Every bound** stands in [`limits`], with its reason.
//!
//! # Absent on purpose
//!
//! Traits for many sources and targets, a local state database, DDL replication, a query builder,
//! plug-ins, protocol 2 streaming, `LISTEN`, replication origins.

pub mod alert;
pub mod apply;
pub mod capture;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod decode;
pub mod demo;
pub mod doctor;
pub mod failpoint;
pub mod fault;
pub mod flows;
pub mod fold;
pub mod http;
pub mod init;
pub mod install;
pub mod limits;
pub mod model;
pub mod observe;
pub mod plan;
pub mod platform;
pub mod service;
pub mod spill;
pub mod wire;
