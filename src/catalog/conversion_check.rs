//! Conversions are tried where they will run, on a row of NULLs, before a row moves.

use tokio_postgres::Client;

use crate::fault::{Fault, Side};
use crate::model::{Arriving, Column, Source, sqlstate};
use crate::plan::quote;

/// Says what is wrong with the conversions that fill one side's `columns`: errors of the server, and expressions that are
/// not immutable.
///
/// # Errors
/// When the side can't be asked.
pub async fn try_conversions(
    (client, side): (&Client, Side),
    arriving: &[Arriving],
    columns: &[Column],
) -> Result<Vec<String>, Fault> {
    let mut wrong = Vec::new();
    for column in columns {
        let Source::Converted { sql, uses } = &column.from else {
            continue;
        };
        let sent = uses.iter().map(|index| &arriving[*index]);
        let columns: Vec<_> = sent
            .map(|sent| format!("{} {}", quote::ident(&sent.name), sent.base_type))
            .collect();
        // A generated column takes immutable expressions only. Nothing of this is kept.
        let made = format!(
            "begin; create temporary table tandem_trial ({columns}) on commit drop; \
             alter table tandem_trial add \"tandem converted\" {base_type} generated always as (({sql}\n)::{base_type}) stored; rollback",
            columns = columns.join(", "),
            base_type = column.base_type
        );
        let plain = sent_nulls(arriving, uses);
        // Not the value itself: the client would ask what its type is before it reads on, and both would wait for ever.
        let asked = format!(
            "select (({sql}\n)::{base_type}) is null from (select {plain}) as arriving",
            base_type = column.base_type
        );
        match client.query_typed(&asked, &[]).await {
            Ok(_) => {}
            Err(error) => match error.as_db_error() {
                // What a row of NULLs raises is the row's fault, if it is anybody's.
                Some(server)
                    if server.code().code().starts_with("42")
                        || server.code().code().starts_with("0A") =>
                {
                    wrong.push(format!("convert of {}: {}", column.name, server.message()));
                    continue;
                }
                Some(server) if server.code().code() == sqlstate::INVALID_PARAMETER_VALUE => {
                    wrong.push(format!("column {}: {}", column.name, server.message()));
                    continue;
                }
                Some(_) => {}
                None => return Err(Fault::at(side)(error)),
            },
        }
        if let Err(error) = client.batch_execute(&made).await {
            let _ = client.batch_execute("rollback").await;
            match error.as_db_error() {
                Some(server) if server.code().code() == sqlstate::INVALID_OBJECT_DEFINITION => {
                    wrong.push(format!(
                        "convert of {}: it is not immutable, so the same row could give two values",
                        column.name
                    ));
                }
                // Not everybody may make temporary tables.
                Some(_) => {}
                None => return Err(Fault::at(side)(error)),
            }
        }
    }
    Ok(wrong)
}

fn sent_nulls(arriving: &[Arriving], uses: &[usize]) -> String {
    let sent = uses.iter().map(|index| &arriving[*index]);
    let columns: Vec<_> = sent
        .map(|sent| format!("null::{} as {}", sent.base_type, quote::ident(&sent.name)))
        .collect();
    if columns.is_empty() {
        "null".to_owned()
    } else {
        columns.join(", ")
    }
}
