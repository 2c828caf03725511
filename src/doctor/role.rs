//! What a server sets for our user: on both sides the same things would end our sessions or forbid writing.

use tokio_postgres::Client;

use super::report::{CheckOutcome, Report, Wrong};
use super::tables::rows;
use crate::fault::{Fault, Side};
use crate::limits;
use crate::plan::quote::ident;

pub(super) async fn check(on: (&Client, Side), report: &mut Report) -> Result<(), Fault> {
    let id = match on.1 {
        Side::Desktop => "desktop_timeouts",
        Side::Cloud => "cloud_timeouts",
    };
    // What a transaction of ours sets for itself doesn't count; comparing and copying large tables takes minutes.
    let sql = "select s.name, s.setting::bigint, coalesce(s.unit, ''), current_user::text,
          current_database()::text
        from pg_settings as s
        where case s.name
          when 'statement_timeout' then s.setting::bigint between 1 and $1 - 1
          when 'idle_session_timeout' then s.setting::bigint > 0
          when 'transaction_timeout' then s.setting::bigint > 0
          else false
        end
        order by 1";
    let least = i64::try_from(limits::ROLE_TIMEOUT_MIN.as_millis()).unwrap_or(i64::MAX);
    let params = [(&least as _, tokio_postgres::types::Type::INT8)];
    let found = rows(on, sql, &params).await?;
    let short = found.iter().map(|row| {
        let (name, value, unit): (String, i64, String) = (row.get(0), row.get(1), row.get(2));
        let fix = for_us((row.get(3), row.get(4)), &name, "0");
        Wrong::new(
            format!("{name} is {value} {unit} for our sessions on the {}", on.1),
            fix,
        )
    });
    report.each(
        id,
        "our sessions may take their time",
        "comparing and copying large tables, or waiting for the next change, takes longer, and ends in the middle",
        CheckOutcome::Warn,
        short.collect(),
    );
    Ok(())
}

/// The statement that sets something for our sessions in this database, whoever else sets it.
pub(super) fn for_us((user, database): (String, String), name: &str, value: &str) -> String {
    let (user, database) = (ident(&user), ident(&database));
    format!("ALTER ROLE {user} IN DATABASE {database} SET {name} = {value};")
}
