//! Tables as a database's catalog describes them.

use tokio_postgres::{Client, Row};

use super::bond::{Bonds, bonds};
use super::leaf::{leaves, letter};
use super::sought::Sought;
use super::strange::readable;
use crate::model::{Name, Reach};
use crate::plan::quote;
use crate::wire::WireError;

/// A table and its columns.
#[derive(Clone, Debug, Default)]
pub struct RelationFacts {
    /// Its name.
    pub name: Name,
    /// Its identifier.
    pub oid: u32,
    /// The database's encoding.
    pub encoding: String,
    /// `pg_class.relkind`.
    pub kind: char,
    /// `pg_class.relpersistence`.
    pub persistence: char,
    /// Tables that inherit from it; not its partitions.
    pub children: Vec<Name>,
    /// Its partitions that a crash empties.
    pub unlogged: Vec<Name>,
    /// Policies apply to us, and one of `sql/cloud/role.sql` lets us see our tenant's rows.
    pub confined: bool,
    /// Policies apply to us that may hide any row.
    pub hidden: bool,
    /// Its columns in order.
    pub columns: Vec<ColumnFacts>,
    /// The primary key's columns.
    pub primary_key: Vec<String>,
    /// Tables that its foreign keys refer to.
    pub parents: Vec<u32>,
    /// Its foreign keys.
    pub references: Vec<Reference>,
    /// Column sets of its unique indexes that name one row each.
    pub unique: Vec<Vec<String>>,
    /// Column sets of its whole indexes, unique or not.
    pub indexes: Vec<Vec<String>>,
    /// Its partitions that hold rows: name, identifier, `relkind`.
    pub leaves: Vec<(Name, u32, char)>,
    /// Foreign keys of other tables whose action would change them when a row of this one changes.
    pub reaches: Vec<Reach>,
    /// Constraints that look at several rows at once.
    pub bonds: Bonds,
}

/// A foreign key.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The table that it refers to.
    pub parent: Name,
    /// Its columns and those that they refer to.
    pub on: Vec<(String, String)>,
    /// Only all columns together may be NULL.
    pub full: bool,
}

/// A column.
#[derive(Clone, Debug)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// Its type without modifier, domains resolved, qualified.
    pub base_type: String,
    /// The same with its modifier.
    pub full_type: String,
    /// The base type's name in `pg_type`, for rules about types.
    pub type_name: String,
    /// `pg_type.typcategory`.
    pub category: char,
    /// The type's modifier, -1 for none.
    pub modifier: i32,
    /// NULL is refused.
    pub not_null: bool,
    /// Something fills it when an insert doesn't.
    pub has_default: bool,
    /// It is computed: `GENERATED ALWAYS AS (...)`.
    pub computed: bool,
    /// Its values stand in the log: not what is computed, unless PostgreSQL 18 or newer stores it.
    pub sent: bool,
    /// It is computed whenever it is read: `GENERATED ALWAYS AS (...) VIRTUAL`.
    pub fleeting: bool,
    /// An insert may not give it: `GENERATED ALWAYS AS IDENTITY`.
    pub always_identity: bool,
    /// Its name is not UTF-8, in a database without an encoding: no statement of ours can name it.
    pub unreadable_name: bool,
    /// The labels of an enum, or of an array's.
    pub labels: Vec<String>,
    /// The type of an array's elements: its name and category.
    pub element: Option<(String, char)>,
}

impl ColumnFacts {
    /// What the elements of an array are, as if they were a column; none where it holds none.
    pub fn item(&self) -> Option<ColumnFacts> {
        let (type_name, category) = self.element.clone()?;
        let bare = |name: &str| name.trim_end_matches("[]").to_owned();
        Some(ColumnFacts {
            base_type: bare(&self.base_type),
            full_type: bare(&self.full_type),
            type_name,
            category,
            element: None,
            ..self.clone()
        })
    }

    /// The server fills it and takes no value.
    pub fn refuses_values(&self) -> bool {
        self.computed || self.always_identity
    }

    /// A row needs a value for it.
    pub fn must_be_given(&self) -> bool {
        self.not_null && !self.has_default && !self.refuses_values()
    }
}

impl RelationFacts {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The table to read from, as SQL: tables that inherit from it are tables of their own, partitions aren't.
    pub fn rows(&self) -> String {
        let only = if self.kind == 'p' { "" } else { "only " };
        format!("{only}{}", quote::table(&self.name))
    }
}

/// Domains are followed to the type below them; its modifier may come from any of them.
const TYPED: &str = ",
     typed as (
       select asked.nth, asked.oid as own, a.attnum, a.atttypid as type,
         a.atttypmod as modifier, a.attnotnull as not_null
       from asked
       join pg_attribute a on a.attrelid = asked.oid
       where a.attnum > 0 and not a.attisdropped
       union all
       select typed.nth, typed.own, typed.attnum,
         t.typbasetype, case when t.typtypmod >= 0 then t.typtypmod else typed.modifier end,
         typed.not_null or t.typnotnull
       from typed
       join pg_type t on t.oid = typed.type
       where t.typtype = 'd'
     )";

/// The columns.
fn columns_sql() -> String {
    let (name, label) = (readable("a.attname"), readable("e.enumlabel"));
    format!(
        "select {name}, format_type(typed.type, -1), format_type(typed.type, typed.modifier),
           t.typname::text, t.typcategory::text, typed.modifier, typed.not_null,
           a.atthasdef
             or a.attidentity <> ''
             or exists (
               select
               from pg_type d
               where d.oid = a.atttypid and d.typdefault is not null
             ),
           a.attgenerated <> '', a.attidentity = 'a', {name} <> a.attname::text,
           array(
             select {label}
             from pg_enum e
             where e.enumtypid in (t.oid, l.oid)
             order by e.enumsortorder
           ),
           l.typname::text, l.typcategory::text,
           a.attgenerated = ''
             or a.attgenerated = 's' and current_setting('server_version_num')::int >= 180000,
           a.attgenerated = 'v', typed.nth
         from typed
         join pg_type t on t.oid = typed.type and t.typtype <> 'd'
         left join pg_type l on l.oid = t.typelem
           and t.typcategory = 'A'
           and t.typsubscript = 'array_subscript_handler'::regproc
         join pg_attribute a on a.attrelid = typed.own and a.attnum = typed.attnum
         order by typed.nth, a.attnum"
    )
}

/// What `pg_class` and its neighbours say.
fn table_sql() -> String {
    let attribute = readable("a.attname");
    let (space, relation) = (readable("cn.nspname"), readable("k.relname"));
    format!(
        "select c.oid, c.relkind::text, row_security_active(c.oid),
           exists (
             select
             from pg_policy p
             where p.polrelid = c.oid
               and p.polname = 'tandem ' || current_user
               and p.polcmd = '*'
               and p.polpermissive
           )
             and not exists (
               select
               from pg_policy p
               where p.polrelid = c.oid and not p.polpermissive
             ),
           coalesce(
             (
               select array_agg({attribute} order by k.nth)
               from pg_index i, unnest(i.indkey::int2[]) with ordinality k(num, nth)
               join pg_attribute a on a.attnum = k.num
               where a.attrelid = c.oid and i.indrelid = c.oid and i.indisprimary
             ),
             '{{}}'
           ),
           coalesce(
             (
               select array_agg(distinct f.confrelid)
               from pg_constraint f
               where f.conrelid = c.oid and f.contype = 'f'
             ),
             '{{}}'
           ),
           c.relpersistence::text,
           coalesce(
             (
               select array_agg(part.name order by k.oid, part.nth)
               from pg_inherits i
               join pg_class k on k.oid = i.inhrelid
               join pg_namespace cn on cn.oid = k.relnamespace,
               unnest(array[{space}, {relation}]) with ordinality as part(name, nth)
               where i.inhparent = c.oid and not k.relispartition
             ),
             '{{}}'
           ),
           current_setting('server_encoding'), asked.nth
         from asked
         join pg_class c on c.oid = asked.oid"
    )
}

/// Looks a table up, as [`relations`] does.
///
/// # Errors
/// When a query fails.
pub async fn relation(client: &Client, name: &Name) -> Result<Option<RelationFacts>, WireError> {
    let found = relations(client, std::slice::from_ref(name)).await?;
    Ok(found.into_iter().flatten().next())
}

/// Looks tables up, in a few statements for all of them, none of which waits for another's answer; none for a table that doesn't
/// exist. Types come qualified whatever the search path of a later session is, so call this inside
/// [`begin_with_empty_search_path`]'s transaction.
///
/// # Errors
/// When a query fails.
pub async fn relations(
    client: &Client,
    names: &[Name],
) -> Result<Vec<Option<RelationFacts>>, WireError> {
    let asked = Sought::new(names);
    let (table, columns) = (table_sql(), columns_sql());
    let asking = async {
        tokio::join!(
            asked.of_each(client, ("", &table), facts),
            asked.of_each(client, (TYPED, &columns), column),
            references(client, &asked),
            indexes(client, &asked),
            leaves(client, &asked),
            reaches(client, &asked),
            bonds(client, &asked),
        )
    };
    let (tables, columns, references, indexes, leaves, reaches, bonds) = Box::pin(asking).await;
    let tables = names.iter().zip(tables?);
    let tables = tables.map(|(name, found)| Some((name, found.into_iter().next()?)));
    let rest = columns?.into_iter().zip(references?).zip(indexes?);
    let rest = rest.zip(leaves?).zip(reaches?).zip(bonds?);
    let whole = tables.zip(rest).map(|(table, rest)| {
        let (name, facts) = table?;
        let (((((columns, references), indexes), leaves), reaches), bonds) = rest;
        let unique = indexes.iter().filter(|(_, unique)| *unique);
        let unlogged = leaves.iter().filter(|leaf| leaf.persistence == 'u');
        Some(RelationFacts {
            name: name.clone(),
            unlogged: unlogged.map(|leaf| leaf.name.clone()).collect(),
            columns,
            references,
            unique: unique.map(|(names, _)| names.clone()).collect(),
            indexes: indexes.into_iter().map(|(names, _)| names).collect(),
            leaves: { leaves.into_iter() }
                .map(|leaf| (leaf.name, leaf.oid, leaf.kind))
                .collect(),
            reaches,
            bonds,
            ..facts
        })
    });
    Ok(whole.collect())
}

/// A row of [`table_sql`]; the rest of the facts is asked for beside it.
fn facts(row: &Row) -> RelationFacts {
    let (guarded, let_in): (bool, bool) = (row.get(2), row.get(3));
    RelationFacts {
        oid: row.get(0),
        kind: letter(row.get(1)),
        confined: guarded && let_in,
        hidden: guarded && !let_in,
        primary_key: row.get(4),
        parents: row.get(5),
        persistence: letter(row.get(6)),
        children: names(row.get(7)),
        encoding: row.get(8),
        ..RelationFacts::default()
    }
}

/// A row of [`columns_sql`].
fn column(row: &Row) -> ColumnFacts {
    ColumnFacts {
        name: row.get(0),
        base_type: row.get(1),
        full_type: row.get(2),
        type_name: row.get(3),
        category: letter(row.get(4)),
        modifier: row.get(5),
        not_null: row.get(6),
        has_default: row.get(7),
        computed: row.get(8),
        always_identity: row.get(9),
        unreadable_name: row.get(10),
        labels: row.get(11),
        element: { row.get::<_, Option<String>>(12) }
            .zip(row.get::<_, Option<String>>(13).map(letter)),
        sent: row.get(14),
        fleeting: row.get(15),
    }
}

/// Schemas and names, one behind the other.
fn names(flat: Vec<String>) -> Vec<Name> {
    let mut flat = flat.into_iter();
    let mut names = Vec::new();
    while let Some((schema, relation)) = flat.next().zip(flat.next()) {
        names.push(Name { schema, relation });
    }
    names
}

/// True for a constraint `f` for which rows of its table need one parent each: not for what the server keeps beside it of each
/// partition of the parent, where no row has all of them, and not where it isn't enforced.
pub const NEEDS_A_PARENT: &str = "f.contype = 'f'
  and coalesce((to_jsonb(f) ->> 'conenforced')::boolean, true)
  and not exists (
    select from pg_constraint whole where whole.oid = f.conparentid and whole.conrelid = f.conrelid
  )";

/// Foreign keys whose parent is found by equal values: a period may be covered by several rows.
async fn references(client: &Client, asked: &Sought<'_>) -> Result<Vec<Vec<Reference>>, WireError> {
    let own = readable("a.attname");
    let schema = readable("n.nspname");
    let table = readable("c.relname");
    let parent = readable("p.attname");
    let sql = format!(
        "select {schema}, {table}, array_agg({own} order by k.nth),
           array_agg({parent} order by k.nth), f.confmatchtype = 'f', asked.nth
         from asked
         join pg_constraint f on f.conrelid = asked.oid
         cross join unnest(f.conkey, f.confkey) with ordinality k(num, named, nth)
         join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.num
         join pg_class c on c.oid = f.confrelid
         join pg_namespace n on n.oid = c.relnamespace
         join pg_attribute p on p.attrelid = f.confrelid and p.attnum = k.named
         where {NEEDS_A_PARENT} and not coalesce((to_jsonb(f) ->> 'conperiod')::boolean, false)
         group by asked.nth, f.oid, n.oid, c.oid
         order by asked.nth, f.oid"
    );
    let reference = |row: &Row| {
        let (own, parents): (Vec<String>, Vec<String>) = (row.get(2), row.get(3));
        Reference {
            parent: Name {
                schema: row.get(0),
                relation: row.get(1),
            },
            on: own.into_iter().zip(parents).collect(),
            full: row.get(4),
        }
    };
    asked.of_each(client, ("", &sql), reference).await
}

/// Whole indexes: the names of their columns, and whether they are unique.
async fn indexes(
    client: &Client,
    asked: &Sought<'_>,
) -> Result<Vec<Vec<(Vec<String>, bool)>>, WireError> {
    let column = readable("a.attname");
    let sql = format!(
        "select array_agg({column} order by k.nth), i.indisunique, asked.nth
         from asked
         join pg_index i on i.indrelid = asked.oid
         cross join unnest(
           (i.indkey::int2[])[0:i.indnkeyatts - 1]
         ) with ordinality k(num, nth)
         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.num
         where i.indisvalid and i.indpred is null and i.indexprs is null
         group by asked.nth, i.indexrelid
         order by asked.nth, i.indexrelid"
    );
    let index = |row: &Row| (row.get(0), row.get(1));
    asked.of_each(client, ("", &sql), index).await
}

/// Foreign keys to this table; actions are CASCADE, SET NULL and SET DEFAULT. Those without one, whose table we may not
/// look into, are left to the server, which refuses what they forbid.
async fn reaches(client: &Client, asked: &Sought<'_>) -> Result<Vec<Vec<Reach>>, WireError> {
    let schema = readable("n.nspname");
    let table = readable("c.relname");
    let column = readable("a.attname");
    let sql = format!(
        "select {schema}, {table},
           array(
             select {column}
             from unnest(f.conkey) with ordinality k(num, nth)
             join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.num
             order by k.nth
           ),
           array(
             select {column}
             from unnest(f.confkey) with ordinality k(num, nth)
             join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.num
             order by k.nth
           ),
           f.confdeltype in ('c', 'n', 'd'), f.confupdtype in ('c', 'n', 'd'), asked.nth
         from asked
         join pg_constraint f on f.confrelid = asked.oid
         join pg_class c on c.oid = f.conrelid
         join pg_namespace n on n.oid = c.relnamespace
         where f.contype = 'f'
           and f.conparentid = 0
           and (
             f.confdeltype in ('c', 'n', 'd')
             or f.confupdtype in ('c', 'n', 'd')
             or has_table_privilege(c.oid, 'select')
           )
         order by asked.nth, f.oid"
    );
    let reach = |row: &Row| {
        let (child, own): (Vec<String>, Vec<String>) = (row.get(2), row.get(3));
        Reach {
            child: Name {
                schema: row.get(0),
                relation: row.get(1),
            },
            on: child.into_iter().zip(own).collect(),
            on_delete: row.get(4),
            on_update: row.get(5),
        }
    };
    asked.of_each(client, ("", &sql), reach).await
}

/// Opens a read-only transaction in which every type that isn't built in is written with its schema.
///
/// # Errors
/// When the server refuses.
pub async fn begin_with_empty_search_path(client: &Client) -> Result<(), WireError> {
    client
        .batch_execute(
            "begin isolation level repeatable read read only; set local search_path = pg_catalog",
        )
        .await?;
    Ok(())
}
