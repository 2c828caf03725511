//! How many rows a copy inserts and leaves alone, where its rows are tried one by one and no statement counts them.

use super::guard::Guard;
use super::quote::{literal, table as qualified};
use super::source::{Rows, all, differs, image, key, rest, source};
use super::staging::{COPY_STEP, place};
use super::write_context::WriteContext;
use crate::limits;
use crate::model::{Key, Param, Statement, Table, oid};

/// Notes, before the rows of a copy are tried, how many rows of ours there are, and how many staged rows are in the cloud as
/// they should be. Where that can't be said (values that can't be read keep the others from being compared), it is noted as
/// unknown.
pub fn weigh(table: &Table, manner: &WriteContext<'_>) -> Statement {
    let equal = match table.key {
        // Only what is missing is tried.
        Key::Multiset => "null".to_owned(),
        Key::Columns(_) => {
            let source = source(table, &all(table), &Rows::Chosen, &[]);
            let names_of =
                |alias: &str| format!("{image}::text", image = image(alias, &key(table)));
            literal(&format!(
                "with {source}
                 select count(*)
                 from src
                 where exists (
                   select
                   from {target} as t
                   where {stored} = {wanted} and {owned} and not {differs}
                 )",
                target = qualified(&table.cloud),
                stored = names_of("t"),
                wanted = names_of("src"),
                owned = Guard::of(table).owned(),
                differs = differs(table, &rest(table))
            ))
        }
    };
    let sql = format!(
        "select tandem.weigh(({ours}), {equal}, $1, $2, $3, $4, {weigh_tries_max})",
        ours = ours(table),
        weigh_tries_max = limits::WEIGH_TRIES_MAX
    );
    about(table, manner, sql)
}

/// Notes, after they were tried, how many are new.
pub fn weighed(table: &Table, manner: &WriteContext<'_>) -> Statement {
    let sql = format!("select tandem.weighed(({ours}))", ours = ours(table));
    Statement {
        params: Vec::new(),
        ..about(table, manner, sql)
    }
}

/// So many rows more are as they should be: they were not staged.
pub fn also_equal(rows: u64) -> Statement {
    let sql = "select set_config(
          'tandem.equal', (current_setting('tandem.equal')::bigint + $1)::text, true
        )
        where current_setting('tandem.equal', true) not in ('', 'unknown')";
    Statement::bookkeeping(sql, vec![Param::int8(rows)])
}

/// Notes for those who asked for a copy what its rows came to, where that isn't its last transaction.
pub fn so_far(replicator: &str, asked: &[i64]) -> Statement {
    let params = vec![
        Param::string(replicator),
        Param::text(oid::INT8_ARRAY, super::quote::array(asked)),
    ];
    Statement::bookkeeping("select tandem.swapped_so_far($1, $2)", params)
}

/// The number of rows of a table that wait in the quarantine to get into it, and why the first of them does.
pub fn waiting(replicator: &str, table: &Table) -> Statement {
    let sql = r#"select tandem.waiting($1, $2)::text, (array_agg(q.sqlstate order by q.id))[1],
          (array_agg(q.why order by q.id))[1]
        from tandem.quarantine as q
        where q.replicator = $1
          and q."table" = $2
          and q.direction = 'forward'
          and q.work in ('upsert', 'add')"#;
    let params = vec![Param::string(replicator), Param::string(&table.name)];
    Statement::bookkeeping(sql, params)
}

fn ours(table: &Table) -> String {
    format!(
        "select count(*) from {target} as t where {owned}",
        target = qualified(&table.cloud),
        owned = Guard::of(table).owned()
    )
}

fn about(table: &Table, manner: &WriteContext<'_>, sql: String) -> Statement {
    Statement::about(table.id, None, sql, place(table, COPY_STEP, manner))
}
