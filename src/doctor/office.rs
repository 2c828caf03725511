//! What the settings let the desktop run, and what the office program does to the tables.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::report::{CheckOutcome, Report, Wrong};
use super::tables::{desktop_tables, rows};
use crate::catalog::{Sources, sources};
use crate::config::{Refill, Settings, When};
use crate::fault::{Fault, Side};
use crate::limits;
use crate::model::{listed, sqlstate};

pub(super) async fn check(
    settings: &Settings,
    client: &Client,
    report: &mut Report,
) -> Result<(), Fault> {
    for refill in &settings.refills {
        let place = place(settings, refill, "sql");
        statement(client, ("refill_statement", &place), &refill.sql, report).await?;
    }
    if settings.refills.is_empty() {
        report.ok("refill_statement", "[refill] sql is not set");
    }
    match settings.reverse.then.as_deref() {
        None => report.ok("then_statement", "[reverse] then is not set"),
        Some(then) => {
            let place = ("then_statement", "[reverse] then");
            statement(client, place, then, report).await?;
        }
    }
    watched(settings, client, report).await?;
    loud(settings, client, report).await
}

/// A setting of the refill in words, with the name of the part where there are several.
fn place(settings: &Settings, refill: &Refill, key: &str) -> String {
    match settings.refills.len() {
        1 => format!("[refill] {key}"),
        _ => format!("[[refill]] {key} of {}", refill.name),
    }
}

/// Whether the desktop tells when something has changed that the parts of the refill read.
async fn watched(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let id = "refill_watch";
    let watching = { settings.refills.iter() }.filter(|refill| refill.when == When::Changed);
    let watching: Vec<_> = watching.collect();
    if watching.is_empty() {
        report.ok(id, "the refill runs by the clock alone, or not at all");
    }
    let mut known = Vec::new();
    for refill in &watching {
        match sources(client, &refill.sql, &refill.watch).await {
            Ok(found) => {
                of_part(settings, refill, &found, report);
                known.push((*refill, found));
            }
            Err(error) => match error.as_db_error() {
                Some(error) => {
                    let what = format!("not checked: the desktop refuses: {}", error.message());
                    report.skip(id, what);
                }
                None => return Err(Fault::at(Side::Desktop)(error)),
            },
        }
    }
    in_circles(&known, report);
    Ok(())
}

fn of_part(settings: &Settings, refill: &Refill, found: &Sources, report: &mut Report) {
    let id = "refill_watch";
    let named = format!("{} in tandem.toml", place(settings, refill, "watch"));
    let title = match settings.refills.len() {
        1 => "the refill".to_owned(),
        _ => format!("the refill {}", refill.name),
    };
    let mut wrong = Vec::new();
    if !found.counted {
        wrong.push(Wrong::new(
            "the desktop doesn't count changes: track_counts is off",
            "alter system set track_counts = on; select pg_reload_conf();",
        ));
    }
    for name in &found.missing {
        let what = format!("{name}, which {title} is to watch, is not there");
        let fix = format!("mend its name in {named}: a table is table or schema.table");
        wrong.push(Wrong::new(what, fix).of(name));
    }
    if found.tables.is_empty() && found.missing.is_empty() {
        wrong.push(Wrong::new(
            format!("no table was found that {title} reads"),
            format!("name the tables in {named}"),
        ));
    }
    for name in &found.foreign {
        let what = format!("{name} is a foreign table: its changes are not counted here");
        let fix = "nothing if [refill] every is often enough for it".to_owned();
        wrong.push(Wrong::new(what, fix).of(&name.to_string()));
    }
    let tables = { found.tables.iter() }.map(|table| table.name.to_string());
    let fine = format!(
        "{title} also runs when one of these changes: {}",
        listed(tables, limits::NAMES_SHOWN)
    );
    let why = "the refill runs by the clock all the same ([refill] every); changes that can't be seen wait for that";
    report.each(id, &fine, why, CheckOutcome::Warn, wrong);
}

/// Two parts of which each writes what the other reads make one another run without end.
fn in_circles(parts: &[(&Refill, Sources)], report: &mut Report) {
    let feeds = |from: &Sources, to: &Sources| -> Option<String> {
        let written = { from.written.iter() }.find(|name| {
            let mut tables = to.tables.iter();
            tables.any(|table| table.name.relation == **name)
        });
        written.cloned()
    };
    for (at, (one, first)) in parts.iter().enumerate() {
        for (other, second) in parts.iter().skip(at + 1) {
            let (Some(there), Some(back)) = (feeds(first, second), feeds(second, first)) else {
                continue;
            };
            let what = format!(
                "the refill {} writes {there}, which {} reads, and that writes {back}, which the first one reads",
                one.name, other.name
            );
            let fix = format!(
                "make them one [[refill]], or name in watch of {} what else it reads",
                one.name
            );
            let why = "each of them makes the other run, again and again, at most every min_every";
            report.warn("refill_watch", why, Wrong::new(what, fix));
        }
    }
}

/// Whether the desktop understands it; it is not carried out.
async fn statement(
    client: &Client,
    (id, place): (&'static str, &str),
    sql: &str,
    report: &mut Report,
) -> Result<(), Fault> {
    let at = Fault::at(Side::Desktop);
    client.batch_execute("begin read only").await.map_err(at)?;
    // The extended protocol takes one statement, so nothing behind a semicolon is carried out either.
    let explained = client.query_typed(&format!("explain {sql}"), &[]).await;
    let ended = client.batch_execute("rollback").await;
    ended.map_err(Fault::at(Side::Desktop))?;
    let Err(error) = explained else {
        report.ok(id, format!("{place} is a statement that the desktop knows"));
        return Ok(());
    };
    match error.as_db_error() {
        // CALL, DO, or several statements: only carrying them out would tell.
        Some(error) if error.code().code() == sqlstate::SYNTAX_ERROR => {
            report.skip(
                id,
                format!("not checked: {place} can't be explained, only carried out"),
            );
        }
        Some(error) => {
            let what = format!("{place} would fail: {}", error.message());
            let fix =
                format!("mend what it names on the desktop, or remove {place} from tandem.toml");
            report.fail(
                id,
                "it is run again and again, and fails each time",
                Wrong::new(what, fix),
            );
        }
        None => return Err(Fault::at(Side::Desktop)(error)),
    }
    Ok(())
}

/// Tables that are emptied and filled anew: what doesn't change is folded away, but the desktop's log has to carry it.
async fn loud(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let names = desktop_tables(settings);
    // Counted since somebody set the counters back, or since the server was made.
    let sql = "select w.name,
          (least(s.n_tup_del, s.n_tup_ins) / greatest(s.n_live_tup, 1) / d.days)::bigint
        from unnest($1::text[]) as w(name)
        join pg_stat_user_tables as s on s.relid = to_regclass(w.name)
        cross join (
          select greatest(
            1,
            extract(
              epoch from now() - coalesce(stats_reset, pg_postmaster_start_time())
            ) / 86400
          ) as days
          from pg_stat_database
          where datname = current_database()
        ) as d
        where s.n_live_tup >= 1000
          and least(s.n_tup_del, s.n_tup_ins) >= 5 * s.n_live_tup * d.days";
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&names, Type::TEXT_ARRAY)];
    let found = rows((client, Side::Desktop), sql, &params).await?;
    let often = found.iter().map(|row| {
        let (name, times): (String, i64) = (row.get(0), row.get(1));
        Wrong::new(
            format!("all rows of {name} are deleted and inserted again about {times} times a day"),
            "let what fills it write only the rows that differ, or let it run less often ([refill] every)",
        ).of(&name)
    });
    report.each(
        "loud_refill",
        "no table is emptied and filled again and again",
        "nothing of that reaches the cloud where no row differs, but the desktop's log carries all of it each time",
        CheckOutcome::Warn,
        often.collect(),
    );
    Ok(())
}
