//! What the outbox's triggers watch, and entries for rows that are there already.

use super::super::compare::cell;
use super::super::guard::{Guard, belongs};
use super::super::quote::{ident, literal, table as qualified};
use super::super::source::{self, Rows, all, image, key};
use crate::model::{Home, Param, Statement, Table, Tenant, oid};

/// Predicates of the triggers: over `new`, over `old` and `new`, over `old`. None where nothing is to be noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watching {
    /// Rows that are new.
    pub insert: Option<String>,
    /// Rows that changed.
    pub update: Option<String>,
    /// Rows that are gone.
    pub delete: Option<String>,
}

/// The phone's rows, and on any row the columns that are the cloud's own.
pub fn watching(home: &Home) -> Watching {
    let mobile = home.owner.as_ref().filter(|_| home.rows).map(|owner| {
        move |row: &str| {
            format!(
                "{row}.{} = {}::{} and {}",
                ident(&owner.column),
                literal(&owner.mobile),
                owner.base_type,
                tenants(&home.tenant, row)
            )
        }
    });
    let own: Vec<_> = cloud_names(home)
        .map(|name| format!("old.{name}::text is distinct from new.{name}::text"))
        .collect();
    let changed = (!own.is_empty()).then(|| {
        let tenants = tenants(&home.tenant, "new");
        format!("{tenants} and ({})", own.join(" or "))
    });
    let moved = mobile
        .as_ref()
        .map(|mobile| format!("({}) or ({})", mobile("old"), mobile("new")));
    let update: Vec<_> = moved.into_iter().chain(changed).collect();
    Watching {
        insert: mobile.as_ref().map(|mobile| mobile("new")),
        update: (!update.is_empty()).then(|| update.join(" or ")),
        delete: mobile.as_ref().map(|mobile| mobile("old")),
    }
}

/// The cloud's columns of which its own on the desktop are made.
fn cloud_names(home: &Home) -> impl Iterator<Item = String> {
    let uses = { home.owned.iter() }.flat_map(|at| home.columns[*at].from.uses());
    uses.filter(|index| home.names.iter().all(|named| named.arriving != **index))
        .map(|index| ident(&home.arriving[*index].name))
}

/// A trigger's condition can't look into other tables: rows of tables that find their tenant there are all noted.
fn tenants(tenant: &Tenant, row: &str) -> String {
    let own = Tenant {
        columns: tenant.columns.clone(),
        via: None,
    };
    belongs(&own, row)
}

/// What an outbox entry names a stored row `t` by.
fn name(home: &Home) -> String {
    let cells = { home.names.iter() }.map(|named| cell(&home.arriving[named.arriving].name));
    format!("array[{}]::text[]", cells.collect::<Vec<_>>().join(", "))
}

/// Entries for all rows of the phone that are in the cloud: before the triggers, or once more.
pub fn queue_all(home: &Home, replicator: &str) -> String {
    let mobile = home.owner.as_ref().map_or("false".to_owned(), |owner| {
        format!(
            "t.{} = {}::{}",
            ident(&owner.column),
            literal(&owner.mobile),
            owner.base_type
        )
    });
    format!(
        "insert into tandem.outbox (replicator, \"table\", key, op) select {}, {}, {}, 'Q' from {} as t where {mobile} and {}",
        literal(replicator),
        literal(&home.name),
        name(home),
        qualified(&home.cloud),
        belongs(&home.tenant, "t"),
    )
}

/// Entries for rows, named by what arrived of them from the desktop in arrays, whose columns of the cloud's own were changed
/// there: the desktop gets the cloud's values again. `$n` behind the arrays are the replicator and the table.
pub fn queue_named(
    table: &Table,
    taken: &[usize],
    arrays: Vec<Param>,
    replicator: &str,
) -> Statement {
    let rows = Rows::Arrays(taken.to_vec(), Vec::new());
    let source = source::source(table, &key(table), &rows, &[]);
    let at = taken.len() + 1;
    let sql = format!(
        "with {source} insert into tandem.outbox (replicator, \"table\", key, op) select distinct ${at}, ${}, {}, 'R' from src",
        at + 1,
        arrived_name(table),
    );
    let mut params = arrays;
    params.extend([
        Param::text(oid::TEXT, replicator),
        Param::text(oid::TEXT, &*table.name),
    ]);
    Statement::bookkeeping(sql, params)
}

/// Entries for rows of a staged copy that look otherwise in columns of the cloud's own than the cloud does: `$1` is the
/// replicator, `$2` the epoch, `$3` the table's name, `$4` the step.
pub fn queue_differing(table: &Table, params: Vec<Param>) -> Statement {
    let source = source::source(
        table,
        &all(table),
        &Rows::Staged,
        &["u.copies as \"tandem copies\"".to_owned()],
    );
    let owned: Vec<_> = { all(table).into_iter() }
        .filter(|(_, column)| column.cloud_owned)
        .collect();
    let names_of = |row: &str| format!("{}::text", image(row, &key(table)));
    let look_of = |row: &str| format!("{}::text", image(row, &owned));
    let sql = format!(
        "with {source}, want as (select {} as name, {} as look, min({}) as key, sum(src.\"tandem copies\") as copies from src group by 1, 2), \
         have as (select {} as name, {} as look, count(*) as copies from {} as t where {} group by 1, 2), \
         other as (select distinct want.key from want left join have using (name, look) where have.copies is distinct from want.copies) \
         insert into tandem.outbox (replicator, \"table\", key, op) select $1, $3, other.key, 'R' from other",
        names_of("src"),
        look_of("src"),
        arrived_name(table),
        names_of("t"),
        look_of("t"),
        qualified(&table.cloud),
        Guard::of(table).owned(),
    );
    Statement {
        table: Some(table.id),
        ..Statement::bookkeeping(sql, params)
    }
}

/// What an outbox entry names an arrived row `src` by: as [`name`] of the stored one.
fn arrived_name(table: &Table) -> String {
    let cells = key(table).into_iter().filter(|(_, column)| {
        table.key != crate::model::Key::Multiset
            || !matches!(column.from, crate::model::Source::Constant(_))
    });
    let cells = cells.map(|(_, column)| {
        let name = ident(&column.name);
        format!(
            "case when src.{name} is distinct from null then concat(src.{name}::{}) end",
            column.compare_type
        )
    });
    format!("array[{}]::text[]", cells.collect::<Vec<_>>().join(", "))
}
