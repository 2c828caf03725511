//! Whether the text of a database without an encoding (SQL_ASCII) is UTF-8, as far as a few rows say.

use tokio_postgres::Client;

use crate::limits;
use crate::model::{Charset, Name};
use crate::plan::quote;
use crate::wire::WireError;

/// The database's encoding.
///
/// # Errors
/// When the server can't be asked.
pub async fn encoding(client: &Client) -> Result<String, WireError> {
    let sql = "select current_setting('server_encoding')";
    let rows = client.query_typed(sql, &[]).await?;
    Ok(rows.first().map_or_else(String::new, |row| row.get(0)))
}

/// Those of the tables in which a row among the first is not UTF-8; none where the database has an encoding. Tables that we
/// can't read are passed over.
///
/// # Errors
/// When the connection fails.
pub async fn strange(client: &Client, tables: &[Name]) -> Result<Vec<Name>, WireError> {
    if encoding(client).await? != Charset::SQL_ASCII {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for table in tables {
        // Bytes, since the server would end a text that isn't UTF-8 with an error.
        let sql = format!(
            "select convert_to(left(t::text, {sample_bytes}), 'SQL_ASCII')
             from (select * from {table} limit {sample_rows}) as t",
            sample_bytes = limits::SAMPLE_BYTES,
            table = quote::table(table),
            sample_rows = limits::SAMPLE_ROWS
        );
        let rows = match client.query_typed(&sql, &[]).await {
            Ok(rows) => rows,
            Err(error) if error.as_db_error().is_some() => continue,
            Err(error) => return Err(error.into()),
        };
        // A character that is cut off at the end says nothing.
        let bad = |bytes: Vec<u8>| {
            let read = std::str::from_utf8(&bytes);
            read.is_err_and(|error| error.error_len().is_some())
        };
        if rows.iter().any(|row| bad(row.get(0))) {
            found.push(table.clone());
        }
    }
    Ok(found)
}

/// A name in a catalog as text: in a database without an encoding one that is not UTF-8 shows its bytes. What can't be read
/// would end every query that meets it with an error.
pub fn readable(name: &str) -> String {
    format!(
        "case when getdatabaseencoding() <> 'SQL_ASCII' or {name}::text ~ {UTF8} then {name}::text \
         else encode(convert_to({name}::text, 'SQL_ASCII'), 'escape') end"
    )
}

/// Whole characters of UTF-8, byte by byte.
const UTF8: &str = r"E'^(?:[\\x01-\\x7f]|[\\xc2-\\xdf][\\x80-\\xbf]|\\xe0[\\xa0-\\xbf][\\x80-\\xbf]|[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]{2}|\\xed[\\x80-\\x9f][\\x80-\\xbf]|\\xf0[\\x90-\\xbf][\\x80-\\xbf]{2}|[\\xf1-\\xf3][\\x80-\\xbf]{3}|\\xf4[\\x80-\\x8f][\\x80-\\xbf]{2})*$'";
