//! One run of one part of the refill: a session of its own, and what is noted of it.

use std::time::Instant;

use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::{Ran, Turn};
use crate::failpoint;
use crate::fault::{Fault, Side};
use crate::flows::forward::beside::counters::{self, Own};
use crate::flows::forward::beside::watch::{Before, Watch, Why};
use crate::limits;
use crate::model::{ReverseTable, sqlstate};
use crate::plan::reverse::{alone, keep, mark_text, restore};

impl Turn {
    /// Runs it once, in a session of its own.
    pub(super) async fn work(
        &mut self,
        at: usize,
        why: &Why,
        before: Before,
    ) -> Result<Ran, Fault> {
        let fault = Fault::at::<Error>;
        let control = Side::Desktop.connect(&self.desktop).await?;
        let client = &control.client;
        // The lock goes with the session.
        let lock = "select pg_try_advisory_lock(hashtext('tandem.refill')), pg_backend_pid()";
        let rows = Side::Desktop.query(client, lock, &[]).await?;
        let session = rows.first().filter(|row| row.get(0)).map(|row| row.get(1));
        let Some(session) = session else {
            return Ok(Ran::Elsewhere);
        };
        self.note_begin(client, at, why)
            .await
            .map_err(fault(Side::Desktop))?;
        // One that takes longer than its period would run for ever.
        failpoint::reach("refill_began");
        let limit = self.parts[at].refill.every.max(limits::REFILL_MIN);
        let since = Instant::now();
        let bounded = format!("set statement_timeout = {}", limit.as_millis());
        client
            .batch_execute(&bounded)
            .await
            .map_err(fault(Side::Desktop))?;
        let ran = timeout(limit + limits::ANSWER_SLACK, self.fill(client, at)).await;
        let (failed, filled) = match ran {
            Ok(Ok(filled)) => (None, filled),
            Ok(Err(error)) => match error.as_db_error() {
                Some(said) => {
                    let why = format!("{} ({})", said.message(), said.code().code());
                    (Some(why), Filled::default())
                }
                None => return Err(fault(Side::Desktop)(error)),
            },
            Err(_) => {
                let why = format!("no answer in {} s", limit.as_secs());
                (Some(why), Filled::default())
            }
        };
        let took = since.elapsed();
        let reset = "rollback; reset statement_timeout";
        client
            .batch_execute(reset)
            .await
            .map_err(fault(Side::Desktop))?;
        self.eye.ran_in(session);
        if let Some(watch) = &mut self.parts[at].watch {
            match failed {
                None => watch.ran(before, filled.own),
                Some(_) => watch.failed(),
            }
        }
        let noted = self.note_end(client, at, failed.as_deref(), filled.wrote);
        let noted = noted.await;
        noted.map_err(fault(Side::Desktop))?;
        let (why, wrote) = (why.clone(), filled.wrote);
        Ok(failed.map_or(Ran::Well { why, took, wrote }, Ran::Failed))
    }

    /// Parts that the settings don't have any more are forgotten.
    async fn note_begin(&self, client: &Client, at: usize, why: &Why) -> Result<(), Error> {
        let sql =
            "with gone as (delete from tandem.refill where replicator = $1 and name <> all ($5))
            insert into tandem.refill (replicator, name, started_at, why, changed)
            values ($1, $4, clock_timestamp(), $2, $3)
            on conflict (replicator, name) do update
            set started_at = excluded.started_at, ended_at = null, why = excluded.why,
              changed = excluded.changed";
        let names = self.parts.iter().map(|part| part.refill.name.as_str());
        let names: Vec<_> = names.collect();
        let params: [(&(dyn ToSql + Sync), Type); 5] = [
            (&self.replicator, Type::TEXT),
            (&why.word(), Type::TEXT),
            (&why.changed(), Type::TEXT_ARRAY),
            (&names[at], Type::TEXT),
            (&names, Type::TEXT_ARRAY),
        ];
        client.query_typed(sql, &params).await.map(drop)
    }

    async fn note_end(
        &self,
        client: &Client,
        at: usize,
        failed: Option<&str>,
        wrote: Option<i64>,
    ) -> Result<(), Error> {
        let part = &self.parts[at];
        let (watched, trouble) = part.watch.as_ref().map(Watch::state).unzip();
        let trouble = trouble.flatten();
        let seen = part.watch.as_ref().and_then(Watch::noted);
        let sql = "update tandem.refill
            set ended_at = clock_timestamp(), failed = $2, wrote = $3, watched = $4,
              trouble = $5, seen = $6::text::jsonb, runs = runs + 1
            where replicator = $1 and name = $7";
        let params: [(&(dyn ToSql + Sync), Type); 7] = [
            (&self.replicator, Type::TEXT),
            (&failed, Type::TEXT),
            (&wrote, Type::INT8),
            (&watched, Type::TEXT_ARRAY),
            (&trouble, Type::TEXT),
            (&seen, Type::TEXT),
            (&part.refill.name, Type::TEXT),
        ];
        client.query_typed(sql, &params).await.map(drop)
    }

    /// The statement, in a transaction that says at its end what it wrote; one that ends its own transactions without that.
    async fn fill(&mut self, client: &Client, at: usize) -> Result<Filled, Error> {
        let owned = !self.owned(at).is_empty();
        if !self.parts[at].ends_itself || owned {
            let error = match self.fill_whole(client, at).await {
                Ok(filled) => return Ok(filled),
                Err(error) => error,
            };
            let code = error
                .as_db_error()
                .map(|said| said.code().code().to_owned());
            let ends = [
                sqlstate::INVALID_TRANSACTION_TERMINATION,
                sqlstate::ACTIVE_SQL_TRANSACTION,
            ];
            if owned || !code.is_some_and(|code| ends.contains(&code.as_str())) {
                return Err(error);
            }
            client.batch_execute("rollback").await?;
            self.parts[at].ends_itself = true;
        }
        client.batch_execute(&self.parts[at].refill.sql).await?;
        Ok(Filled::default())
    }

    /// The tables that it may fill of which the cloud owns columns.
    fn owned(&self, at: usize) -> Vec<(usize, &ReverseTable)> {
        let refill = &self.parts[at].refill;
        let owned = self.tables.reverse_tables().iter();
        let owned =
            owned.filter(|reverse| !reverse.owned.is_empty() && refill.fills(&reverse.name));
        owned.enumerate().collect()
    }

    /// Where the cloud owns columns of what it fills, the statement runs between keeping them and giving them back.
    async fn fill_whole(&self, client: &Client, at: usize) -> Result<Filled, Error> {
        let replicator = &self.replicator;
        let owned = self.owned(at);
        let mut first = vec![
            "begin".to_owned(),
            "set local tandem.refills = 'yes'".to_owned(),
        ];
        if !owned.is_empty() {
            first.extend([alone(replicator), mark_text(replicator)]);
            first.extend(owned.iter().map(|(nth, reverse)| keep(reverse, *nth)));
        }
        client.batch_execute(&first.join("; ")).await?;
        failpoint::reach("refill_kept");
        client.batch_execute(&self.parts[at].refill.sql).await?;
        failpoint::reach("refill_ran");
        for (nth, reverse) in owned {
            let rows = client.query_typed(&restore(reverse, nth), &[]).await?;
            let rows: i64 = rows.first().map_or(0, |row| row.get(0));
            if rows > 0 {
                tracing::info!(table = %reverse.name, rows, "kept what the cloud owns");
            }
        }
        // Triggers that wait for the end write too.
        let last = "set constraints all immediate";
        client.batch_execute(last).await?;
        let filled = self.filled(client, at).await?;
        client.batch_execute("commit").await?;
        Ok(filled)
    }

    /// What the transaction at hand wrote, as long as it is the one that began before the statement.
    async fn filled(&self, client: &Client, at: usize) -> Result<Filled, Error> {
        let sql = "select current_setting('tandem.refills', true) = 'yes'";
        let rows = client.query_typed(sql, &[]).await?;
        let is_ours = rows.first().and_then(|row| row.get::<_, Option<bool>>(0));
        if is_ours != Some(true) {
            return Ok(Filled::default());
        }
        // That it can't be counted is no reason to give up what it did.
        client.batch_execute("savepoint tandem_counts").await?;
        match self.counted(client, at).await {
            Err(error) if error.as_db_error().is_some() => {
                tracing::debug!(%error, "what the refill wrote can't be counted");
                client
                    .batch_execute("rollback to savepoint tandem_counts")
                    .await?;
                Ok(Filled::default())
            }
            counted => counted,
        }
    }

    async fn counted(&self, client: &Client, at: usize) -> Result<Filled, Error> {
        let part = &self.parts[at];
        let own = match &part.watch {
            Some(_) => Some(counters::own(client, &part.refill).await?),
            None => None,
        };
        let wrote = Some(counters::written(client).await?);
        Ok(Filled { own, wrote })
    }
}

/// What a run did, where that can be known.
#[derive(Default)]
struct Filled {
    own: Option<Own>,
    wrote: Option<i64>,
}
