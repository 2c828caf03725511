//! What a copy of a table would change, from transactions that only read.

use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, ToSql, Type};

use crate::fault::{Fault, Side};
use crate::limits;
use crate::model::{Param, Table};
use crate::plan::{compared, deletable_count, quote, rows_out};
use crate::wire::PINNED;

/// What a copy would change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compared {
    /// Rows that the desktop has for the cloud.
    pub read: i64,
    /// Rows that are missing in the cloud.
    pub missing: i64,
    /// Rows that differ there.
    pub different: i64,
    /// The desktop's rows in the cloud that it doesn't have any more.
    pub surplus: i64,
    /// All the desktop's rows in the cloud.
    pub stored: i64,
}

/// Opens a transaction on each side that sees one moment and can't write.
///
/// # Errors
/// When a side can't be asked.
pub async fn only_look(desktop: &Client, cloud: &Client) -> Result<(), Fault> {
    look_at(desktop, Side::Desktop).await?;
    look_at(cloud, Side::Cloud).await
}

/// The same on one side.
pub(super) async fn look_at(client: &Client, side: Side) -> Result<(), Fault> {
    let pins = PINNED.iter().filter(|(name, _)| *name != "client_encoding");
    let pins = pins.map(|(name, value)| {
        format!(
            "set_config({}, {}, true)",
            quote::literal(name),
            quote::literal(value)
        )
    });
    let pins = pins.collect::<Vec<_>>().join(", ");
    let begin = format!("begin isolation level repeatable read read only; select {pins}");
    let begun = client.batch_execute(&begin).await;
    begun.map_err(Fault::at(side))
}

/// Compares a table, in the transactions of [`only_look`].
///
/// # Errors
/// When a side can't be asked.
pub async fn compare(desktop: &Client, cloud: &Client, table: &Table) -> Result<Compared, Fault> {
    let declare = format!(
        "declare tandem_rows no scroll cursor for {}",
        rows_out(table)
    );
    let declared = desktop.batch_execute(&declare).await;
    declared.map_err(Fault::at(Side::Desktop))?;
    let fetch = format!(
        "fetch {compared_rows} from tandem_rows",
        compared_rows = limits::COMPARED_ROWS
    );
    let mut sum = Compared::default();
    let (mut rows, mut bytes, mut accounted) = (Vec::new(), 0, 0);
    loop {
        let fetched = Side::Desktop.query(desktop, &fetch, &[]).await?;
        for row in &fetched {
            let (mut cells, n): (Vec<Option<String>>, i64) = (row.get(0), row.get(1));
            if let Some(charset) = table.charset {
                let read = |text: &mut String| *text = charset.read_digits(text);
                cells.iter_mut().flatten().for_each(read);
            }
            bytes += cells.iter().flatten().map(String::len).sum::<usize>();
            sum.read += n;
            rows.push((cells, n));
        }
        let ended = fetched.is_empty();
        if (ended || bytes >= limits::COMPARED_BYTES) && !rows.is_empty() {
            let (missing, different, mine) = ask(cloud, table, &rows).await?;
            sum.missing += missing;
            sum.different += different;
            accounted += mine;
            (rows, bytes) = (Vec::new(), 0);
        }
        if ended {
            break;
        }
    }
    let closed = desktop.batch_execute("close tandem_rows").await;
    closed.map_err(Fault::at(Side::Desktop))?;
    let counted = Side::Cloud
        .query(cloud, &deletable_count(table), &[])
        .await?;
    sum.stored = counted.first().map_or(0, |row| row.get(0));
    sum.surplus = sum.stored - accounted;
    Ok(sum)
}

async fn ask(
    cloud: &Client,
    table: &Table,
    rows: &[(Vec<Option<String>>, i64)],
) -> Result<(i64, i64, i64), Fault> {
    let statement = compared(table, rows);
    let values: Vec<_> = statement.params.iter().map(Encoded).collect();
    let params = values
        .iter()
        .map(|value| (value as &(dyn ToSql + Sync), Type::TEXT_ARRAY));
    let params: Vec<_> = params.collect();
    let answer = Side::Cloud.query(cloud, &statement.sql, &params).await?;
    let number = |at: usize| answer.first().map_or(0, |row| row.get(at));
    Ok((number(0), number(1), number(2)))
}

/// A parameter that is encoded already.
#[derive(Debug)]
pub(super) struct Encoded<'a>(pub(super) &'a Param);

impl ToSql for Encoded<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0.value {
            Some(value) => {
                out.extend_from_slice(value);
                Ok(tokio_postgres::types::IsNull::No)
            }
            None => Ok(tokio_postgres::types::IsNull::Yes),
        }
    }

    fn accepts(named: &Type) -> bool {
        <Vec<String> as FromSql<'_>>::accepts(named)
    }

    tokio_postgres::types::to_sql_checked!();
}
