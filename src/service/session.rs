//! One session: connect both sides, agree, set up, fill what must be filled, stream.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_util::sync::CancellationToken;

use super::lease::{acquire, name_of};
use crate::apply::{Advance, Applier, Lease, Script, Taken, advance, release};
use crate::catalog::{self, Facts, facts};
use crate::config::Settings;
use crate::fault::{Decision, Fault, Kind, Side};
use crate::flows::{Fill, Filled, Forward, Sides, agree, check_keys, fill, parked};
use crate::fold::Book;
use crate::install::{
    ensure_publication, ensure_schema, is_installed, publish, published_besides, unpublish,
};
use crate::limits;
use crate::model::{Committed, Lsn, Tables};
use crate::plan::{Opening, opening};
use crate::wire::control::{self, Control};

/// Runs until the stream ends. `fresh`: the program has just started, so stopped tables get another try.
///
/// # Errors
/// Why it ended.
pub(super) async fn session(
    settings: &Settings,
    stop: &CancellationToken,
    fresh: &mut bool,
) -> Result<(), Fault> {
    let connect = async {
        // The cloud first: no stream is opened while it is away.
        let cloud = control::connect(&settings.cloud.endpoint)
            .await
            .map_err(Fault::at(Side::Cloud))?;
        facts(&cloud.client, Side::Cloud).await?;
        let desktop = control::connect(&settings.desktop.endpoint)
            .await
            .map_err(Fault::at(Side::Desktop))?;
        let identity = facts(&desktop.client, Side::Desktop).await?;
        identity.can_publish()?;
        Ok::<_, Fault>((cloud, desktop, identity))
    };
    let Some(connected) = stop.run_until_cancelled(connect).await else {
        return Ok(());
    };
    let (cloud, desktop, identity) = connected?;
    let Some(tables) = stop
        .run_until_cancelled(agree(settings, &desktop.client, &cloud.client))
        .await
    else {
        return Ok(());
    };
    let tables = Arc::new(tables?);
    // Where tandem never was, a key that doesn't hold is found before anything is changed.
    let unknown = !is_installed(&cloud.client, Side::Cloud).await?;
    if unknown {
        check_keys(
            &tables.iter().collect::<Vec<_>>(),
            &desktop.client,
            &cloud.client,
        )
        .await?;
    }
    ensure_schema(&cloud.client, Side::Cloud).await?;
    ensure_schema(&desktop.client, Side::Desktop).await?;
    let replicator = name_of(settings, &identity);
    let taken = acquire(settings, &replicator, &identity, &cloud, stop).await?;
    let lease = Lease {
        replicator,
        slot: settings.forward.slot.clone(),
        epoch: taken.epoch,
    };
    let run = Session {
        settings,
        desktop: &desktop,
        cloud: &cloud,
        identity: &identity,
        tables: &tables,
        lease: lease.clone(),
        measured: unknown,
    };
    let ended = run.run(&taken, stop, fresh).await;
    let last_words = ended.as_ref().err().map(ToString::to_string);
    if ended
        .as_ref()
        .is_err_and(|fault| fault.decision() == Decision::Retry)
        && !stop.is_cancelled()
    {
        // We come back at once, and are still the one that runs.
        return ended;
    }
    // The next program need not wait; if this fails, the lease ends by itself.
    let _ = timeout(
        limits::GOODBYE_MAX,
        release(&cloud.client, &lease, last_words.as_deref()),
    )
    .await;
    ended
}

pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) desktop: &'a Control,
    pub(super) cloud: &'a Control,
    pub(super) identity: &'a Facts,
    pub(super) tables: &'a Arc<Tables>,
    pub(super) lease: Lease,
    /// All keys were measured a moment ago.
    pub(super) measured: bool,
}

/// What the cloud remembers of a table.
struct Remembered {
    state: String,
    fingerprint: String,
    copied_at: Option<Lsn>,
    /// Rows that were in the cloud before us and that the desktop doesn't have.
    extras: i64,
}

impl Remembered {
    /// All owned rows of the table are known to be ours: what is surplus may be removed.
    fn is_ours(&self) -> bool {
        self.copied_at.is_some() && self.extras == 0
    }
}

impl Session<'_> {
    async fn run(
        &self,
        taken: &Taken,
        stop: &CancellationToken,
        fresh: &mut bool,
    ) -> Result<(), Fault> {
        self.check_lineage(taken)?;
        let remembered = self.remembered().await?;
        let statement_timeout = self.settings.cloud.statement_timeout;
        let opening = Opening { statement_timeout };
        let mut applier = Applier::connect(&self.settings.cloud.endpoint, statement_timeout)
            .await
            .map_err(Fault::at(Side::Cloud))?;
        let setup = self.set_up(taken, &remembered, &mut applier, &opening, *fresh);
        let Some(ready) = stop.run_until_cancelled(setup).await else {
            return Ok(());
        };
        let (checkpoint, book) = ready?;
        *fresh = false;
        let (settings, desktop, lease) = (self.settings, self.desktop, self.lease.clone());
        let sides = Sides {
            settings,
            desktop,
            applier,
            opening,
            lease,
        };
        let forward = Forward::start(
            sides,
            self.tables.clone(),
            book,
            checkpoint,
            self.identity.sender_timeout,
        )
        .await?;
        tracing::info!(checkpoint = %checkpoint.lsn(), tables = self.tables.len(), epoch = self.lease.epoch, "streaming");
        forward.run(stop).await
    }

    async fn remembered(&self) -> Result<HashMap<String, Remembered>, Fault> {
        let sql = "select \"table\", state, fingerprint, copied_at::text, extras from tandem.table_state where replicator = $1";
        let params = [(&self.lease.replicator as _, Type::TEXT)];
        let rows = self
            .cloud
            .client
            .query_typed(sql, &params)
            .await
            .map_err(Fault::at(Side::Cloud))?;
        let remembered = rows.iter().map(|row| {
            let copied_at = row
                .get::<_, Option<String>>(3)
                .and_then(|text| text.parse().ok());
            (
                row.get(0),
                Remembered {
                    state: row.get(1),
                    fingerprint: row.get(2),
                    copied_at,
                    extras: row.get(4),
                },
            )
        });
        Ok(remembered.collect())
    }

    /// Publishes, makes the slot, fills; says where the stream starts.
    async fn set_up(
        &self,
        taken: &Taken,
        remembered: &HashMap<String, Remembered>,
        applier: &mut Applier,
        opening: &Opening,
        fresh: bool,
    ) -> Result<(Committed, Book), Fault> {
        let desktop = &self.desktop.client;
        let mut book = Book::default();
        let mut wanted = Vec::new();
        self.remove_forgotten().await?;
        for table in self.tables.iter() {
            match remembered.get(&table.name) {
                Some(known)
                    if taken.checkpoint.is_none() || known.fingerprint != table.fingerprint =>
                {
                    wanted.push(Filled {
                        table,
                        again: known.is_ours(),
                    })
                }
                Some(known) if known.state == "streaming" => {
                    if let Some(at) = known.copied_at {
                        book.copied_at(table.id, at);
                    }
                }
                Some(known) if matches!(known.state.as_str(), "stopped" | "held") && !fresh => {
                    book.stop(table.id);
                }
                known => wanted.push(Filled {
                    table,
                    again: known.is_some_and(Remembered::is_ours),
                }),
            }
        }
        if !self.measured {
            let tables: Vec<_> = wanted.iter().map(|wanted| wanted.table).collect();
            check_keys(&tables, desktop, &self.cloud.client).await?;
        }
        let publication = &self.settings.forward.publication;
        ensure_publication(desktop, publication, &self.lease.replicator).await?;
        for table in self.tables.iter() {
            publish(desktop, publication, &self.lease.replicator, table).await?;
        }
        // Tables that left the settings, and partitions that are gone.
        let replicator = &self.lease.replicator;
        for name in published_besides(desktop, publication, replicator, self.tables).await? {
            unpublish(desktop, publication, replicator, &name).await?;
            tracing::info!(table = %name, "left the publication; its rows in the cloud stay");
        }
        let checkpoint = match taken.checkpoint {
            Some(checkpoint) => {
                self.check_slot(checkpoint).await?;
                if !wanted.is_empty() {
                    let slot = self.temporary_slot().await?;
                    self.fill(&slot, &wanted, applier, opening, &mut book)
                        .await?;
                    slot.close().await;
                }
                checkpoint
            }
            None => {
                let slot = self.first_slot().await?;
                self.fill(&slot, &wanted, applier, opening, &mut book)
                    .await?;
                let checkpoint = self
                    .first_checkpoint(slot.consistent, applier, opening)
                    .await?;
                slot.close().await;
                checkpoint
            }
        };
        book.parking = parked(&self.cloud.client, &self.lease.replicator, self.tables).await?;
        book.forget_stopped();
        Ok((checkpoint, book))
    }

    /// Tables that left the settings: their rows stay, and if they come back they are copied anew.
    async fn remove_forgotten(&self) -> Result<(), Fault> {
        let names: Vec<&str> = self
            .tables
            .iter()
            .map(|table| table.name.as_str())
            .collect();
        let sql = "with gone as (update tandem.table_state set state = 'removed', since = now(), why = null \
                   where replicator = $1 and state <> 'removed' and not (\"table\" = any($2)) returning \"table\") \
                   select tandem.void_parked($1, \"table\") from gone";
        let params: [(&(dyn ToSql + Sync), Type); 2] = [
            (&self.lease.replicator, Type::TEXT),
            (&names, Type::TEXT_ARRAY),
        ];
        let done = self.cloud.client.query_typed(sql, &params).await;
        done.map(drop).map_err(Fault::at(Side::Cloud))
    }

    async fn fill(
        &self,
        slot: &catalog::Slot,
        wanted: &[Filled<'_>],
        applier: &mut Applier,
        opening: &Opening,
        book: &mut Book,
    ) -> Result<(), Fault> {
        let with = Fill {
            desktop: &self.settings.desktop.endpoint,
            applier,
            opening,
            lease: &self.lease,
            snapshot: &slot.snapshot,
            consistent: slot.consistent,
            memory_max: self.settings.forward.memory_max,
            tables: self.tables,
            stopped: book.stopped().clone(),
        };
        let stopped = fill(with, wanted).await?;
        for Filled { table, .. } in wanted {
            if !stopped.contains(&table.id) {
                book.copied_at(table.id, slot.consistent);
            }
        }
        for table in stopped {
            book.stop(table);
        }
        Ok(())
    }

    async fn first_checkpoint(
        &self,
        at: Lsn,
        applier: &mut Applier,
        settings: &Opening,
    ) -> Result<Committed, Fault> {
        let mut statements = opening(settings);
        let step = Advance {
            lease: &self.lease,
            from: None,
            to: at,
            committed_at: None,
        };
        statements.push(advance(&step, None, self.tables));
        let done = applier
            .run(Script::moving(statements, at))
            .await
            .map_err(crate::flows::not_applied)?;
        done.committed.ok_or_else(|| {
            Fault::new(
                Kind::Internal,
                "internal check failed: the first checkpoint is missing",
            )
        })
    }
}
