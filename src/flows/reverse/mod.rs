//! The way home: outbox -> rows as they are now -> one desktop transaction with the ledger -> the entries go.
//!
//! A crash between the desktop's commit and the cloud's repeats what was written, harmlessly: the ledger knows the last entry
//! of each key, and an equal row isn't written. No order between keys is needed, and within one the row is the truth.

mod after_poll;
mod deliver;
mod outcome;
mod poll;
mod refusals;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch::Sender;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_postgres::types::{ToSql, Type};
use tokio_util::sync::CancellationToken;

use crate::apply::{Applier, Lease};
use crate::catalog::Facts;
use crate::config::Settings;
use crate::failpoint;
use crate::fault::{Fault, Kind, Side};
use crate::flows::StoppedTables;
use crate::flows::refusal_words::words;
use crate::flows::reloads::News;
use crate::model::{Recovery, ReverseTable, Tables};
use crate::plan::reverse::Budget;
use crate::wire::WireError;
use crate::wire::control::Control;
use crate::{limits, platform};

use after_poll::Then;
use deliver::Delivered;
use outcome::{Done, Outcome};
use poll::{Found, State, Unread};

/// Brings home what phones did, again and again.
pub struct Reverse {
    tables: Arc<Tables>,
    lease: Lease,
    cloud: Control,
    desktop: Applier,
    budget: Budget,
    ticks: Interval,
    then: Then,
    /// Tables that can't be read any more: their way home has stopped.
    broken: BTreeSet<String>,
    /// Rows whose refusal was said: they are tried again and again.
    told: HashSet<(String, String)>,
    /// The tables are looked at by then, also where nothing waits.
    whole_at: Instant,
    /// When parked rows are tried again.
    retry_at: Instant,
    /// Takes the tables that stop until they fit again.
    halted: Sender<StoppedTables>,
    /// Settings that are read again.
    news: News,
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Binds the desktop's ledger to the cloud at hand, and says by which word our own writes are known in the desktop's log.
///
/// # Errors
/// When the desktop can't be asked.
pub async fn bind(desktop: &Control, replicator: &str, cloud: &Facts) -> Result<String, Fault> {
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&replicator, Type::TEXT),
        (&cloud.system_id, Type::TEXT),
        (&cloud.timeline, Type::INT4),
    ];
    let sql = "select tandem.bind_reverse($1, $2, $3)";
    let rows = Side::Desktop.query(&desktop.client, sql, &params).await?;
    let nonce = rows.first().map(|row| row.get(0));
    nonce.ok_or_else(|| {
        let what = "internal check failed: the desktop doesn't say how our writes are known there";
        Fault::new(Kind::Internal, what)
    })
}

impl Reverse {
    /// Connects both sides; none where nothing comes home.
    ///
    /// # Errors
    /// When a side can't be reached.
    pub async fn start(
        settings: &Settings,
        tables: &Arc<Tables>,
        lease: &Lease,
        (halted, news): (Sender<StoppedTables>, News),
    ) -> Result<Option<Reverse>, Fault> {
        if tables.reverse_tables().is_empty() {
            return Ok(None);
        }
        let cloud = Side::Cloud.connect(&settings.cloud.endpoint).await?;
        let desktop =
            Applier::connect_reverse(&settings.desktop.endpoint, limits::REVERSE_STATEMENT_MAX)
                .await;
        Ok(Some(Reverse {
            tables: tables.clone(),
            lease: lease.clone(),
            cloud,
            desktop: desktop.map_err(Fault::at(Side::Desktop))?,
            budget: Budget {
                entries: limits::REVERSE_ENTRIES,
                bytes: limits::REVERSE_BYTES.min(settings.forward.memory_max / 8),
                row_bytes: settings.forward.memory_max / 2,
            },
            ticks: ticks(settings.reverse.every),
            then: Then::new(settings, &lease.replicator, tables),
            broken: BTreeSet::new(),
            told: HashSet::new(),
            whole_at: Instant::now(),
            retry_at: Instant::now() + limits::PARKED_RETRY_EVERY,
            halted,
            news,
        }))
    }

    /// Polls until told to stop. What is cut off in the middle is repeated by the next session.
    ///
    /// # Errors
    /// When a side is away, or the lease is another's.
    pub async fn run(mut self, stop: &CancellationToken) -> Result<(), Fault> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.then.run() => {}
                settings = self.news.next() => self.adjust(&settings),
                _ = self.ticks.tick() => {
                    let Some(polled) = stop.run_until_cancelled(self.poll()).await else { break };
                    if polled? {
                        self.ticks.reset_immediately();
                    }
                }
            }
        }
        self.desktop.close().await;
        Ok(())
    }

    /// What changed counts from the next poll on.
    fn adjust(&mut self, settings: &Settings) {
        self.then.take_up(settings);
        if self.ticks.period() != settings.reverse.every {
            self.ticks = ticks(settings.reverse.every);
        }
    }

    /// Reads what waits, and delivers it. Says whether there is more.
    async fn poll(&mut self) -> Result<bool, Fault> {
        let tables = self.tables.clone();
        let Some(found) = self.read(tables.reverse_tables()).await? else {
            return Ok(true);
        };
        if !found.is_empty() {
            failpoint::reach("outbox_read");
        }
        let (mut written, mut settled) = (false, false);
        for reverse in tables.reverse_tables() {
            let its: Vec<_> = { found.iter() }
                .filter(|found| found.table == reverse.name)
                .cloned()
                .collect();
            if its.iter().any(|found| found.state == State::Emptied) {
                let why = "the cloud's table was emptied by TRUNCATE, which says nothing of single rows; nothing was deleted here";
                self.stop_table(reverse, why).await?;
            } else if its.iter().any(|found| found.state == State::Hidden) {
                let why = "row security of the cloud hides rows that were not deleted; nothing was deleted here. tandem's user needs a policy for all rows of its tenant, or BYPASSRLS";
                self.stop_table(reverse, why).await?;
            } else if !its.is_empty() {
                let outcome = self.deliver(reverse, its).await?;
                if outcome.0 {
                    self.then.note(&reverse.name);
                }
                (written, settled) = (written | outcome.0, settled | outcome.1);
            }
        }
        self.then.ask(settled);
        if written {
            self.retry_at = { self.retry_at }.min(Instant::now() + limits::PARKED_RETRY_SOON);
        }
        self.retry_parked().await?;
        // There may be more than was read at once: that is read without asking first.
        if settled {
            self.whole_at = Instant::now();
        }
        Ok(settled)
    }

    /// Reads what waits; none where a table isn't as it was and has been stopped.
    async fn read(&mut self, reverse_tables: &[ReverseTable]) -> Result<Option<Vec<Found>>, Fault> {
        self.forget_mended().await?;
        let whole = reverse_tables
            .iter()
            .filter(|reverse| !self.broken.contains(&reverse.name));
        let whole: Vec<_> = whole.collect();
        let (cloud, who) = (&self.cloud, &self.lease.replicator);
        if Instant::now() < self.whole_at && !poll::waits(cloud, &whole, who).await? {
            return Ok(Some(Vec::new()));
        }
        self.whole_at = Instant::now() + limits::REVERSE_WHOLE_EVERY;
        match poll::read(cloud, &whole, who, &self.budget).await {
            Ok(found) => return Ok(Some(found)),
            Err(Unread::All(fault)) => return Err(fault),
            Err(Unread::Table(_)) => {}
        }
        // Each by itself: the others go on (P8).
        let mut broken = Vec::new();
        for reverse in whole {
            match poll::read(cloud, &[reverse], who, &self.budget).await {
                Ok(_) => {}
                Err(Unread::All(fault)) => return Err(fault),
                Err(Unread::Table(error)) => broken.push((reverse, words(&error))),
            }
        }
        for (reverse, why) in broken {
            self.broken.insert(reverse.name.clone());
            self.stop_table(reverse, &why).await?;
            self.look_again(reverse);
        }
        Ok(None)
    }

    /// Those that somebody has told to go on are read again.
    async fn forget_mended(&mut self) -> Result<(), Fault> {
        if self.broken.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = self.broken.iter().collect();
        let sql = r#"select "table"
            from tandem.reverse_state
            where replicator = $1 and "table" = any ($2) and why is null"#;
        let params: [(&(dyn ToSql + Sync), Type); 2] = [
            (&self.lease.replicator, Type::TEXT),
            (&names, Type::TEXT_ARRAY),
        ];
        let rows = self.cloud.client.query_typed(sql, &params).await;
        for row in rows.map_err(Fault::at(Side::Cloud))? {
            self.broken.remove(row.get::<_, &str>(0));
        }
        Ok(())
    }

    /// Delivers what was found of one table; says whether that wrote anything, and whether any entry went.
    async fn deliver(
        &mut self,
        reverse: &ReverseTable,
        found: Vec<Found>,
    ) -> Result<(bool, bool), Fault> {
        let delivered = deliver::deliver(&mut self.desktop, reverse, &self.lease.replicator, found);
        let Delivered { done, broken } = delivered.await?;
        let written = { done.iter() }
            .any(|done| matches!(done.outcome, Outcome::Applied | Outcome::Rewritten));
        self.tell(reverse, &done);
        if !done.is_empty() {
            failpoint::reach("reverse_written");
            let settled = self.within(poll::settle(&self.cloud, &self.lease, reverse, &done));
            settled.await?;
            failpoint::reach("outbox_settled");
        }
        if let Some(why) = broken {
            self.stop_table(reverse, &why).await?;
            self.look_again(reverse);
        }
        Ok((written, !done.is_empty()))
    }

    /// Says once which rows the desktop refuses.
    fn tell(&mut self, reverse: &ReverseTable, done: &[Done]) {
        for row in done {
            let name = (reverse.name.clone(), row.key.clone());
            let Some((sqlstate, why)) = row.outcome.refusal() else {
                self.told.remove(&name);
                continue;
            };
            if self.told.len() >= limits::REVERSE_TOLD {
                self.told.clear();
            }
            if self.told.insert(name) {
                tracing::warn!(table = %reverse.name, key = %row.key, sqlstate, why, "quarantined on its way home; the other rows go on");
            }
        }
    }

    /// A side refuses the table: whether it fits is looked at, and when it does again it goes on.
    fn look_again(&self, reverse: &ReverseTable) {
        self.halted.send_modify(|halted| {
            halted.insert(reverse.name.clone(), Recovery::WhenAccepted);
        });
    }

    /// The table's way home stops alone; what waits of it stays in the outbox.
    async fn stop_table(&mut self, reverse: &ReverseTable, why: &str) -> Result<(), Fault> {
        tracing::error!(table = %reverse.name, why, "nothing of it comes home any more; next: tandem bootstrap --table {}", platform::typed(&reverse.name));
        let sql = r#"update tandem.reverse_state
            set why = $3, since = now()
            where replicator = $1 and "table" = $2"#;
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&self.lease.replicator, Type::TEXT),
            (&reverse.name, Type::TEXT),
            (&why, Type::TEXT),
        ];
        Side::Cloud.query(&self.cloud.client, sql, &params).await?;
        Ok(())
    }

    async fn retry_parked(&mut self) -> Result<(), Fault> {
        if self.retry_at > Instant::now() {
            return Ok(());
        }
        self.retry_at = Instant::now() + limits::PARKED_RETRY_EVERY;
        let soon = format!("{} seconds", limits::PARKED_RETRY_SOON.as_secs());
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&self.lease.replicator, Type::TEXT), (&soon, Type::TEXT)];
        let sql = "select tandem.queue_parked($1, $2::interval)";
        let done = self.within(async {
            Side::Cloud
                .query(&self.cloud.client, sql, &params)
                .await
                .map(drop)
        });
        done.await?;
        failpoint::reach("parked_queued");
        Ok(())
    }

    /// A cloud that doesn't answer is away.
    async fn within(&self, asked: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
        let limit: Duration = limits::REVERSE_STATEMENT_MAX;
        let answered = timeout(limit, asked).await;
        answered.map_err(|_| Fault::wire(Side::Cloud, &WireError::Timeout(limit.as_secs())))?
    }
}
