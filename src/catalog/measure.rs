//! Keys are measured, not believed.

use tokio_postgres::Client;

use crate::fault::Side;
use crate::model::{Key, ReverseTable, Source, Table};
use crate::plan::reverse::{phones_in_cloud, phones_on_desktop, target};
use crate::plan::{Guard, admitted, from, quote};
use crate::wire::WireError;

/// A key that names more than one row.
#[derive(Clone, Debug)]
pub struct Ambiguous {
    /// The table.
    pub table: String,
    /// The side on which it was counted.
    pub side: Side,
    /// The key's columns, cloud names.
    pub key: Vec<String>,
    /// Keys that name more than one row.
    pub keys: i64,
    /// Rows that they name.
    pub rows: i64,
}

impl Ambiguous {
    /// In plain words, with the choices.
    pub fn words(&self) -> String {
        format!(
            "key ({}) does not name one row on the {}: {} name {} rows; choose a longer key, or key = [] to count equal rows",
            self.key.join(", "),
            self.side,
            if self.keys == 1 {
                "1 value of it".to_owned()
            } else {
                format!("{} values of it", self.keys)
            },
            self.rows
        )
    }
}

/// Counts keys that are not unique, on one side.
///
/// # Errors
/// When the query fails.
pub async fn measure(
    client: &Client,
    table: &Table,
    side: Side,
) -> Result<Option<Ambiguous>, WireError> {
    let Key::Columns(key) = &table.key else {
        return Ok(None);
    };
    let columns: Vec<_> = key.iter().map(|at| &table.columns[*at]).collect();
    let named = |index: &usize| quote::ident(&table.arriving[*index].name);
    let names: Vec<_> = match side {
        Side::Cloud => columns
            .iter()
            .map(|column| quote::ident(&column.name))
            .collect(),
        // What a conversion makes of it is measured as the cloud will see it.
        Side::Desktop => columns
            .iter()
            .filter_map(|column| match &column.from {
                Source::Arriving(index) => Some(named(index)),
                Source::Converted { sql, .. } => Some(format!("({sql}\n)")),
                Source::Constant(_) | Source::LookedUp(_) => None,
            })
            .collect(),
    };
    if names.is_empty() {
        return Ok(None);
    }
    let (of, of_ours) = match side {
        Side::Cloud => (quote::table(&table.cloud), Guard::of(table).owned()),
        Side::Desktop => (from(table), admitted(table)),
    };
    let (keys, rows) = count(client, &of, &names.join(", "), &of_ours).await?;
    let key = columns.iter().map(|column| column.name.clone()).collect();
    Ok((keys > 0).then(|| Ambiguous {
        table: table.name.clone(),
        side,
        key,
        keys,
        rows,
    }))
}

/// The same for the phone's rows of a table that comes home.
///
/// # Errors
/// When the query fails.
pub async fn measure_reverse(
    client: &Client,
    reverse: &ReverseTable,
    side: Side,
) -> Result<Option<Ambiguous>, WireError> {
    if !reverse.rows || reverse.counted {
        return Ok(None);
    }
    let key: Vec<_> = match side {
        Side::Cloud => { reverse.names.iter() }
            .map(|named| reverse.arriving[named.arriving].name.clone())
            .collect(),
        Side::Desktop => { reverse.key.iter() }
            .map(|at| reverse.columns[*at].name.clone())
            .collect(),
    };
    let (of, of_phones) = match side {
        Side::Cloud => (quote::table(&reverse.cloud), phones_in_cloud(reverse)),
        Side::Desktop => (target(reverse), phones_on_desktop(reverse)),
    };
    let names: Vec<_> = key.iter().map(|name| quote::ident(name)).collect();
    let (keys, rows) = count(client, &of, &names.join(", "), &of_phones).await?;
    Ok((keys > 0).then(|| Ambiguous {
        table: reverse.name.clone(),
        side,
        key,
        keys,
        rows,
    }))
}

async fn count(
    client: &Client,
    from: &str,
    names: &str,
    of_ours: &str,
) -> Result<(i64, i64), WireError> {
    let sql = format!(
        "select count(*), coalesce(sum(n), 0)::bigint
         from (
           select count(*) as n
           from {from} as t
           where {of_ours}
           group by {names}
           having count(*) > 1
         ) as many"
    );
    let rows = client.query_typed(&sql, &[]).await?;
    Ok(rows.first().map_or((0, 0), |row| (row.get(0), row.get(1))))
}
