//! The office's refill: a statement of the desktop that fills tables from views, run by the clock, or also when what it reads
//! has changed. Tables that don't stream are swapped behind it. What the cloud owns of their rows stays as it is: it is given
//! back in the same transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch as settings;
use tokio::time::{sleep_until, timeout};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::counters::{self, Own};
use super::watch::{Before, Watch, Why};
use crate::config::{Endpoint, Refill, When};
use crate::failpoint;
use crate::fault::{Fault, Side};
use crate::flows::resumable::Resumable;
use crate::limits;
use crate::model::{Tables, sqlstate};
use crate::plan::reverse::{alone, keep, mark_text, restore};
use crate::wire::control;

/// Runs it again and again, never twice at once.
pub(in crate::flows::forward) struct Refiller {
    desktop: Endpoint,
    replicator: String,
    tables: Arc<Tables>,
    /// Tells the turn that waits of other settings.
    settings: settings::Sender<Option<Refill>>,
    /// What runs next; none without a `[refill]`, or while it waits or runs.
    turn: Option<Box<Turn>>,
    /// A turn that has begun.
    running: Resumable<'static, (Box<Turn>, Result<Ran, Fault>)>,
}

/// What became of a run.
enum Ran {
    /// It took so long, and wrote so many rows, where that can be known.
    Well {
        why: Why,
        took: Duration,
        wrote: Option<i64>,
    },
    /// The desktop says why not.
    Failed(String),
    /// Another session has the lock.
    Elsewhere,
    /// It did not run: there are other settings.
    Adjusted,
}

/// When it ran last, and what was seen then.
#[derive(Clone, Debug, Default)]
pub struct LastRefill {
    /// So long ago; none when it never was.
    pub ago: Option<Duration>,
    /// The counters behind it, as the refiller wrote them.
    pub seen: Option<String>,
}

/// When it ran for the last time.
///
/// # Errors
/// When the desktop can't be asked.
pub async fn last_refill(desktop: &Client, replicator: &str) -> Result<LastRefill, Fault> {
    let sql =
        "select (greatest(0, extract(epoch from clock_timestamp() - started_at)) * 1000)::bigint,
          seen::text
        from tandem.refill
        where replicator = $1";
    let rows = desktop.query_typed(sql, &[(&replicator, Type::TEXT)]).await;
    let rows = rows.map_err(Fault::at(Side::Desktop))?;
    let last = |row: &tokio_postgres::Row| LastRefill {
        ago: Some(Duration::from_millis(row.get::<_, i64>(0).unsigned_abs())),
        seen: row.get(1),
    };
    Ok(rows.first().map(last).unwrap_or_default())
}

impl Refiller {
    /// `last`: when it was run for the last time.
    pub(in crate::flows::forward) fn new(
        desktop: &Endpoint,
        replicator: &str,
        (refill, tables): (Option<Refill>, Arc<Tables>),
        last: &LastRefill,
    ) -> Refiller {
        let mut refiller = Refiller {
            desktop: desktop.clone(),
            replicator: replicator.to_owned(),
            tables,
            settings: settings::Sender::new(refill),
            turn: None,
            running: Resumable::idle(),
        };
        refiller.turn = refiller.turn(last);
        refiller
    }

    /// Takes up other settings; a run that has begun ends as it is.
    pub(in crate::flows::forward) fn adjust(&mut self, refill: Option<Refill>) {
        let is_idle = self.turn.is_none() && self.running.is_idle();
        self.settings.send_replace(refill);
        if is_idle {
            self.turn = self.turn(&LastRefill::default());
        }
    }

    /// The first of its turns; none without a `[refill]`.
    fn turn(&self, last: &LastRefill) -> Option<Box<Turn>> {
        let mut settings = self.settings.subscribe();
        let refill = settings.borrow_and_update().clone()?;
        let wait = last
            .ago
            .map_or(Duration::ZERO, |ago| refill.every.saturating_sub(ago));
        let now = Instant::now();
        Some(Box::new(Turn {
            watch: watch(&self.desktop, &refill, last.seen.as_deref()),
            desktop: self.desktop.clone(),
            replicator: self.replicator.clone(),
            refill,
            settings,
            tables: self.tables.clone(),
            due: now + wait,
            rest: now,
            failures: 0,
            ends_itself: false,
        }))
    }

    /// Waits until it was run; never without a `[refill]`. Says whether it may have written what doesn't stream. Safe to cancel.
    ///
    /// # Errors
    /// When the desktop can't be reached.
    pub(in crate::flows::forward) async fn run(&mut self) -> Result<bool, Fault> {
        let ran = loop {
            if self.running.is_idle() {
                let Some(mut turn) = self.turn.take() else {
                    return std::future::pending().await;
                };
                self.running.begin(async move {
                    let ran = turn.once().await;
                    (turn, ran)
                });
            }
            let (mut turn, ran) = self.running.end().await;
            if !matches!(ran, Ok(Ran::Adjusted)) {
                self.turn = Some(turn);
                break ran;
            }
            self.turn = turn.adjust().then_some(turn);
        };
        match ran? {
            Ran::Well { why, took, wrote } => {
                let tables = why.changed().map(|tables| tables.join(", "));
                tracing::info!(
                    ms = took.as_millis() as u64,
                    rows = wrote,
                    why = why.word(),
                    tables,
                    "refilled"
                );
                // By the clock also what others wrote there goes to the cloud.
                Ok(matches!(why, Why::Clock) || wrote != Some(0))
            }
            Ran::Failed(why) => {
                tracing::error!(why, "the refill failed; it is run again when it is due");
                Ok(false)
            }
            Ran::Elsewhere => {
                tracing::info!("another session runs the refill; this turn is left out");
                Ok(false)
            }
            Ran::Adjusted => Ok(false),
        }
    }
}

/// What it reads, where a change is to make it run.
fn watch(desktop: &Endpoint, refill: &Refill, seen: Option<&str>) -> Option<Watch> {
    (refill.when == When::Changed).then(|| Watch::new(desktop, refill, seen))
}

/// One run after the other.
struct Turn {
    desktop: Endpoint,
    replicator: String,
    refill: Refill,
    /// Tells of other ones.
    settings: settings::Receiver<Option<Refill>>,
    tables: Arc<Tables>,
    /// What it reads, where a change makes it run.
    watch: Option<Watch>,
    /// It runs then by the clock...
    due: Instant,
    /// ...and not before that because of a change.
    rest: Instant,
    /// It failed so often since it last went well.
    failures: u32,
    /// The statement ends its own transactions.
    ends_itself: bool,
}

impl Turn {
    /// Takes up what the settings say now; false where they want no refill any more.
    fn adjust(&mut self) -> bool {
        let Some(refill) = self.settings.borrow_and_update().clone() else {
            return false;
        };
        let was = std::mem::replace(&mut self.refill, refill);
        let is = &self.refill;
        if was.every != is.every {
            let now = Instant::now();
            let last = self.due.checked_sub(was.every).unwrap_or(now);
            self.due = (last + is.every).max(now);
        }
        if (&was.sql, was.when, &was.watch) != (&is.sql, is.when, &is.watch) {
            self.watch = watch(&self.desktop, is, None);
        }
        true
    }

    /// Waits for the moment, and runs it once.
    async fn once(&mut self) -> Result<Ran, Fault> {
        let wait = async {
            match &mut self.watch {
                Some(watch) => watch.wait(self.due, self.rest).await,
                None => {
                    sleep_until(self.due.into()).await;
                    Ok((Why::Clock, Before::default()))
                }
            }
        };
        let (why, before) = tokio::select! {
            biased;
            // Whoever would say so may be gone: then the same settings go on.
            Ok(()) = self.settings.changed() => return Ok(Ran::Adjusted),
            waited = wait => waited?,
        };
        let why = match why {
            Why::Start if self.failures > 0 => Why::Again,
            why => why,
        };
        let now = Instant::now();
        self.due = now + self.refill.every;
        let ran = self.work(&why, before).await?;
        let took = now.elapsed();
        self.failures = match ran {
            Ran::Failed(_) => (self.failures + 1).min(limits::REFILL_DOUBLES),
            Ran::Well { .. } => 0,
            Ran::Elsewhere | Ran::Adjusted => self.failures,
        };
        // The desktop's time is the office's: it rests as long as it worked.
        let rest = self.refill.min_every.max(took) * (1 << self.failures);
        self.rest = Instant::now() + rest.min(self.refill.every);
        Ok(ran)
    }

    /// Runs it once, in a session of its own.
    async fn work(&mut self, why: &Why, before: Before) -> Result<Ran, Fault> {
        let at = Fault::at::<Error>;
        let control = control::connect(&self.desktop).await;
        let control = control.map_err(Fault::at(Side::Desktop))?;
        let client = &control.client;
        // The lock goes with the session.
        let lock = "select pg_try_advisory_lock(hashtext('tandem.refill')), pg_backend_pid()";
        let rows = client
            .query_typed(lock, &[])
            .await
            .map_err(at(Side::Desktop))?;
        let session = rows.first().filter(|row| row.get(0)).map(|row| row.get(1));
        let Some(session) = session else {
            return Ok(Ran::Elsewhere);
        };
        self.note_begin(client, why)
            .await
            .map_err(at(Side::Desktop))?;
        // One that takes longer than its period would run for ever.
        failpoint::reach("refill_began");
        let limit = self.refill.every.max(limits::REFILL_MIN);
        let since = Instant::now();
        let bounded = format!("set statement_timeout = {}", limit.as_millis());
        client
            .batch_execute(&bounded)
            .await
            .map_err(at(Side::Desktop))?;
        let ran = timeout(limit + limits::ANSWER_SLACK, self.fill(client)).await;
        let (failed, filled) = match ran {
            Ok(Ok(filled)) => (None, filled),
            Ok(Err(error)) => match error.as_db_error() {
                Some(said) => {
                    let why = format!("{} ({})", said.message(), said.code().code());
                    (Some(why), Filled::default())
                }
                None => return Err(at(Side::Desktop)(error)),
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
            .map_err(at(Side::Desktop))?;
        if let Some(watch) = &mut self.watch {
            match failed {
                None => watch.ran(session, before, filled.own),
                Some(_) => watch.failed(session),
            }
        }
        let noted = self.note_end(client, failed.as_deref(), filled.wrote).await;
        noted.map_err(at(Side::Desktop))?;
        let (why, wrote) = (why.clone(), filled.wrote);
        Ok(failed.map_or(Ran::Well { why, took, wrote }, Ran::Failed))
    }

    async fn note_begin(&self, client: &Client, why: &Why) -> Result<(), Error> {
        let sql = "insert into tandem.refill (replicator, started_at, why, changed)
            values ($1, clock_timestamp(), $2, $3)
            on conflict (replicator) do update
            set started_at = excluded.started_at, ended_at = null, why = excluded.why,
              changed = excluded.changed";
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&self.replicator, Type::TEXT),
            (&why.word(), Type::TEXT),
            (&why.changed(), Type::TEXT_ARRAY),
        ];
        client.query_typed(sql, &params).await.map(drop)
    }

    async fn note_end(
        &self,
        client: &Client,
        failed: Option<&str>,
        wrote: Option<i64>,
    ) -> Result<(), Error> {
        let (watched, trouble) = self.watch.as_ref().map(Watch::state).unzip();
        let trouble = trouble.flatten();
        let seen = self.watch.as_ref().and_then(Watch::noted);
        let sql = "update tandem.refill
            set ended_at = clock_timestamp(), failed = $2, wrote = $3, watched = $4,
              trouble = $5, seen = $6::text::jsonb, runs = runs + 1
            where replicator = $1";
        let params: [(&(dyn ToSql + Sync), Type); 6] = [
            (&self.replicator, Type::TEXT),
            (&failed, Type::TEXT),
            (&wrote, Type::INT8),
            (&watched, Type::TEXT_ARRAY),
            (&trouble, Type::TEXT),
            (&seen, Type::TEXT),
        ];
        client.query_typed(sql, &params).await.map(drop)
    }

    /// The statement, in a transaction that says at its end what it wrote; one that ends its own transactions without that.
    async fn fill(&mut self, client: &Client) -> Result<Filled, Error> {
        let owned = self
            .tables
            .reverse_tables()
            .iter()
            .any(|reverse| !reverse.owned.is_empty());
        if !self.ends_itself || owned {
            let error = match self.fill_whole(client).await {
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
            self.ends_itself = true;
        }
        client.batch_execute(&self.refill.sql).await?;
        Ok(Filled::default())
    }

    /// Where the cloud owns columns of what it fills, the statement runs between keeping them and giving them back.
    async fn fill_whole(&self, client: &Client) -> Result<Filled, Error> {
        let replicator = &self.replicator;
        let owned = self.tables.reverse_tables().iter();
        let owned: Vec<_> = owned
            .filter(|reverse| !reverse.owned.is_empty())
            .enumerate()
            .collect();
        let mut first = vec![
            "begin".to_owned(),
            "set local tandem.refills = 'yes'".to_owned(),
        ];
        if !owned.is_empty() {
            first.extend([alone(replicator), mark_text(replicator)]);
            first.extend(owned.iter().map(|(at, reverse)| keep(reverse, *at)));
        }
        client.batch_execute(&first.join("; ")).await?;
        failpoint::reach("refill_kept");
        client.batch_execute(&self.refill.sql).await?;
        failpoint::reach("refill_ran");
        for (at, reverse) in owned {
            let rows = client.query_typed(&restore(reverse, at), &[]).await?;
            let rows: i64 = rows.first().map_or(0, |row| row.get(0));
            if rows > 0 {
                tracing::info!(table = %reverse.name, rows, "kept what the cloud owns");
            }
        }
        // Triggers that wait for the end write too.
        let last = "set constraints all immediate";
        client.batch_execute(last).await?;
        let filled = self.filled(client).await?;
        client.batch_execute("commit").await?;
        Ok(filled)
    }

    /// What the transaction at hand wrote, as long as it is the one that began before the statement.
    async fn filled(&self, client: &Client) -> Result<Filled, Error> {
        let sql = "select current_setting('tandem.refills', true) = 'yes'";
        let rows = client.query_typed(sql, &[]).await?;
        let is_ours = rows.first().and_then(|row| row.get::<_, Option<bool>>(0));
        if is_ours != Some(true) {
            return Ok(Filled::default());
        }
        // That it can't be counted is no reason to give up what it did.
        client.batch_execute("savepoint tandem_counts").await?;
        match self.counted(client).await {
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

    async fn counted(&self, client: &Client) -> Result<Filled, Error> {
        let own = match &self.watch {
            Some(_) => Some(counters::own(client, &self.refill).await?),
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
