//! What the outbox's triggers watch, and entries for rows that are there already.

use super::super::desktop_rows::cell;
use super::super::guard::{Guard, belongs, is_mobile};
use super::super::mobile_rows::outbox_key;
use super::super::quote::{ident, literal, table as qualified};
use super::super::source::{self, Rows, all, image, key};
use super::super::staging::place;
use super::super::write_context::WriteContext;
use crate::model::{ReverseTable, Statement, Table, Tenant};

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
pub fn watching(reverse: &ReverseTable) -> Watching {
    let owner = reverse.owner.as_ref().filter(|_| reverse.rows);
    let mobile = owner.map(|owner| {
        move |row: &str| {
            let mobile = is_mobile(Some(owner), row);
            format!(
                "{mobile} and {tenants}",
                tenants = tenants(&reverse.tenant, row)
            )
        }
    });
    let own: Vec<_> = cloud_names(reverse)
        .map(|name| format!("old.{name}::text is distinct from new.{name}::text"))
        .collect();
    let changed = (!own.is_empty()).then(|| {
        let tenants = tenants(&reverse.tenant, "new");
        format!("{tenants} and ({own})", own = own.join(" or "))
    });
    let moved = mobile.as_ref().map(|mobile| {
        format!(
            "({old_mobile}) or ({new_mobile})",
            old_mobile = mobile("old"),
            new_mobile = mobile("new")
        )
    });
    let update: Vec<_> = moved.into_iter().chain(changed).collect();
    Watching {
        insert: mobile.as_ref().map(|mobile| mobile("new")),
        update: (!update.is_empty()).then(|| update.join(" or ")),
        delete: mobile.as_ref().map(|mobile| mobile("old")),
    }
}

/// The cloud's columns of which its own on the desktop are made.
fn cloud_names(reverse: &ReverseTable) -> impl Iterator<Item = String> {
    let uses = { reverse.owned.iter() }.flat_map(|at| reverse.columns[*at].from.uses());
    uses.filter(|index| reverse.names.iter().all(|named| named.arriving != **index))
        .map(|index| ident(&reverse.arriving[*index].name))
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
fn name(reverse: &ReverseTable) -> String {
    let cells = { reverse.names.iter() }.map(|named| cell(&reverse.arriving[named.arriving].name));
    format!(
        "array[{cells}]::text[]",
        cells = cells.collect::<Vec<_>>().join(", ")
    )
}

/// The phone's rows in the cloud, as a predicate on `t`.
pub fn phones_in_cloud(reverse: &ReverseTable) -> String {
    let mobile = is_mobile(reverse.owner.as_ref(), "t");
    format!(
        "{mobile} and {belongs}",
        belongs = belongs(&reverse.tenant, "t")
    )
}

/// Entries for all rows of the phone that are in the cloud: before the triggers, or once more.
pub fn queue_all(reverse: &ReverseTable, replicator: &str) -> String {
    format!(
        r#"insert into tandem.outbox (replicator, "table", key, op)
           select {replicator}, {name}, {table}, 'Q'
           from {target} as t
           where {phones_in_cloud}"#,
        replicator = literal(replicator),
        name = literal(&reverse.name),
        table = name(reverse),
        target = qualified(&reverse.cloud),
        phones_in_cloud = phones_in_cloud(reverse)
    )
}

/// Entries for rows of a staged copy that look otherwise in columns of the cloud's own than the cloud's do.
pub fn queue_differing(table: &Table, manner: &WriteContext<'_>, step: usize) -> Statement {
    let source = source::source(
        table,
        &all(table),
        &Rows::Staged,
        &["u.copies as \"tandem copies\"".to_owned()],
    );
    let owned: Vec<_> = { all(table).into_iter() }
        .filter(|(_, column)| column.cloud_owned)
        .collect();
    let names_of = |row: &str| format!("{image}::text", image = image(row, &key(table)));
    let look_of = |row: &str| format!("{image}::text", image = image(row, &owned));
    let sql = format!(
        r#"with {source},
           want as (
             select {wanted} as name, {look_of} as look, min({outbox_key}) as key,
               sum(src."tandem copies") as copies
             from src
             group by 1, 2
           ),
           have as (
             select {stored} as name, {look} as look, count(*) as copies
             from {target} as t
             where {owned}
             group by 1, 2
           ),
           other as (
             select distinct want.key from want
             left join have using (name, look)
             where have.copies is distinct from want.copies
               and want.name in (select have.name from have)
           )
           insert into tandem.outbox (replicator, "table", key, op)
           select $1, $3, other.key, 'R'
           from other"#,
        wanted = names_of("src"),
        look_of = look_of("src"),
        outbox_key = outbox_key(table),
        stored = names_of("t"),
        look = look_of("t"),
        target = qualified(&table.cloud),
        owned = Guard::of(table).owned()
    );
    Statement {
        table: Some(table.id),
        ..Statement::bookkeeping(sql, place(table, step, manner))
    }
}
