//! What the publication leaves out: operations, and rows or columns of single tables (P13).

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::fault::{Fault, Kind};
use crate::model::{Name, Table, sqlstate};
use crate::plan::quote;
use crate::wire::WireError;

/// A publication's options.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    name: String,
    /// `FOR ALL TABLES`.
    pub all_tables: bool,
    /// tandem made it, so what somebody changed of it may be put right.
    pub ours: bool,
    /// Operations that it doesn't send, in words.
    left_out: Vec<&'static str>,
    /// A partition's changes are sent as those of a published root.
    via_root: bool,
    /// Generated columns are sent; none before PostgreSQL 18, which can't.
    generated: Option<bool>,
}

/// Tables of which it has only some rows or columns, and which of the two.
pub type Narrowed = Vec<(Name, &'static str)>;

/// Looks a publication up; none where there is none of this name.
///
/// # Errors
/// When the query fails.
pub async fn publication(desktop: &Client, name: &str) -> Result<Option<Publication>, WireError> {
    let sql = "select puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot,
          to_regclass('tandem.publication') is not null,
          to_jsonb(pg_publication) ->> 'pubgencols' = 's'
        from pg_publication
        where pubname = $1";
    let rows = desktop.query_typed(sql, &[(&name, Type::TEXT)]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let noted = "select from tandem.publication where publication = $1";
    let ours = row.get::<_, bool>(6)
        && !desktop
            .query_typed(noted, &[(&name, Type::TEXT)])
            .await?
            .is_empty();
    Ok(Some(Publication {
        name: name.to_owned(),
        all_tables: row.get(0),
        ours,
        left_out: left_out(row),
        via_root: row.get(5),
        generated: row.get(7),
    }))
}

fn left_out(row: &Row) -> Vec<&'static str> {
    let operations = ["inserts", "updates", "deletes", "truncates"];
    let sent = (1..).map(|at| row.get::<_, bool>(at));
    { operations.into_iter().zip(sent) }
        .filter(|(_, sent)| !sent)
        .map(|(operation, _)| operation)
        .collect()
}

impl Publication {
    /// What of a table never reaches us by its options, in words; none where all does.
    pub fn leaves_out(&self, table: &Table) -> Option<String> {
        let is_partitioned = table.leaves.is_some();
        match self.left_out.split_last() {
            Some((last, [])) => Some(format!("publication {} does not send {last}", self.name)),
            Some((last, others)) => Some(format!(
                "publication {} does not send {} and {last}",
                self.name,
                others.join(", ")
            )),
            None if self.via_root && is_partitioned => Some(format!(
                "publication {} sends partitions as their root (publish_via_partition_root)",
                self.name
            )),
            // Where they belong to what names a row, the office's own updates and deletes fail.
            None if self.generated == Some(false) && table.generates => Some(format!(
                "publication {} does not send generated columns",
                self.name
            )),
            None => None,
        }
    }

    /// Options as they have to be.
    pub fn is_whole(&self) -> bool {
        self.left_out.is_empty() && !self.via_root && self.generated != Some(false)
    }

    /// All that is missing are generated columns, which most tables don't have.
    pub fn lacks_generated_only(&self) -> bool {
        self.left_out.is_empty() && !self.via_root && self.generated == Some(false)
    }

    /// The statement that puts its options right.
    pub fn mend(&self) -> String {
        let generated = match self.generated {
            Some(_) => ", publish_generated_columns = stored",
            None => "",
        };
        format!(
            "ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate', publish_via_partition_root = false{generated});",
            quote::ident(&self.name)
        )
    }
}

/// Which tables of a publication were given a filter or a column list (PostgreSQL 15 and newer).
///
/// # Errors
/// When the query fails.
pub async fn narrowed(desktop: &Client, publication: &str) -> Result<Narrowed, WireError> {
    let sql = "select n.nspname::text, c.relname::text, to_jsonb(r) ->> 'prqual' is not null
        from pg_publication p
        join pg_publication_rel r on r.prpubid = p.oid
        join pg_class c on c.oid = r.prrelid
        join pg_namespace n on n.oid = c.relnamespace
        where p.pubname = $1
          and coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') is not null";
    let rows = desktop
        .query_typed(sql, &[(&publication, Type::TEXT)])
        .await?;
    let narrow = |row: &Row| {
        let name = Name {
            schema: row.get(0),
            relation: row.get(1),
        };
        (name, part(row.get(2)))
    };
    Ok(rows.iter().map(narrow).collect())
}

/// What a filter or a column list leaves, in words.
pub(super) fn part(filtered: bool) -> &'static str {
    match filtered {
        true => "only some rows (a row filter, WHERE)",
        false => "only some columns (a column list)",
    }
}

/// The statement that publishes a table whole again.
pub fn publish_whole(publication: &str, table: &Name) -> String {
    let (publication, table) = (quote::ident(publication), quote::table(table));
    format!(
        "BEGIN; ALTER PUBLICATION {publication} DROP TABLE {table}; ALTER PUBLICATION {publication} ADD TABLE {table}; COMMIT;"
    )
}

/// First what only reads.
pub const WAY_BACK: &str = "tandem verify shows what differs; tandem bootstrap --restart makes it equal and goes on from there";

/// It was dropped: what is committed without it is never sent, and the log can't be read on from there, also where it was
/// made again since.
pub fn publication_gone(name: &str) -> Fault {
    Fault::new(
        Kind::Lineage,
        format!("publication {name} was dropped on the desktop; stopping"),
    )
    .hint(
        "what was committed without it never reaches us, also where it was made again since, so the tables must be copied anew; nothing was written after this was noticed",
    )
    .next(WAY_BACK)
}

/// An error of the stream, where it says that there is no such publication in the log at that point.
pub fn of_stream(error: &WireError, publication: &str) -> Option<Fault> {
    let WireError::Server(server) = error else {
        return None;
    };
    let is_it = server.code == sqlstate::UNDEFINED_OBJECT && server.message.contains("publication");
    is_it.then(|| publication_gone(publication).cause(server))
}
