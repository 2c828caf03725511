//! Bringing the schema `tandem` of both sides to the program's version.
//!
//! Each side has one transaction, and both are carried out before either is committed: where one side refuses, both stay as
//! they were. The first statement of each step takes it by the row of `tandem.version`, so that of two programs one waits for
//! the other, and then finds nothing to do.

use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use tokio_util::sync::CancellationToken;

use super::migrations::Migrations;
use super::schema::{refuse_newer_there, text};
use crate::fault::{Fault, Kind, Side};
use crate::limits;
use crate::model::sqlstate;
use crate::plan::quote::literal;
use crate::wire::WireError;

/// What one side lacks.
struct Lacking<'a> {
    client: &'a Client,
    side: Side,
    from: i32,
    names: Vec<&'a str>,
    script: String,
}

/// Takes the steps that both sides' schemas lack, which are there. Tables that are in use are waited for, briefly each time and then again, so that
/// no phone and no other replicator waits long behind us; `epoch` is that of the lease, which is kept meanwhile.
///
/// # Errors
/// When a side refuses, or stays locked; then nothing was changed on either.
pub async fn migrate(
    (desktop, cloud): (&Client, &Client),
    migrations: &Migrations,
    (replicator, epoch): (&str, Option<u64>),
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let mut tries = 0;
    loop {
        if let Some(epoch) = epoch.filter(|_| tries > 0) {
            keep_lease(cloud, replicator, epoch).await?;
        }
        let (in_cloud, on_desktop) = tokio::join!(
            look(cloud, Side::Cloud, migrations, replicator),
            look(desktop, Side::Desktop, migrations, replicator)
        );
        let lacking: Vec<_> = in_cloud?.into_iter().chain(on_desktop?).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let Err(failure) = carry_out(&lacking).await else {
            for lacked in &lacking {
                let (side, from, to) = (lacked.side, lacked.from, migrations.newest(lacked.side));
                tracing::info!(%side, from, to, steps = lacked.names.join(", "), "migrated the schema tandem");
            }
            return Ok(());
        };
        for lacked in &lacking {
            let _ = lacked.client.batch_execute("rollback").await;
        }
        tries += 1;
        if !failure.passes() || tries >= limits::SETUP_LOCK_TRIES {
            return Err(failure.told(migrations));
        }
        tracing::debug!(side = %failure.at.side, "the schema tandem is in use; trying again");
        tokio::select! {
            () = stop.cancelled() => return Err(Fault::new(Kind::Planned, "stopped; the schema tandem was not migrated yet")),
            () = sleep(limits::SETUP_LOCK_PAUSE) => {}
        }
    }
}

/// Fails where the schema of a side, which is there, lacks steps that our user may not take: said before anything is changed
/// anywhere. Says whether it lacks steps.
///
/// # Errors
/// That, or that the query failed.
pub async fn may_migrate(
    client: &Client,
    side: Side,
    migrations: &Migrations,
) -> Result<bool, Fault> {
    let found = refuse_newer_there(client, side, migrations).await?;
    if found.state >= migrations.newest(side) {
        return Ok(false);
    }
    match owner_besides(client, side).await? {
        None => Ok(true),
        Some((owner, user)) => {
            let newest = migrations.newest(side);
            let what = format!(
                "the schema tandem on the {side} has version {}, this program needs {newest}, and {user} may not change it: it is {owner}'s",
                found.state
            );
            Err(Fault::new(Kind::Refused(side), what)
                .hint(format!("nothing was changed; let {owner} paste what tandem bootstrap --plan shows for the {side}, then start again"))
                .next("tandem bootstrap --plan"))
        }
    }
}

/// Whose the schema or something in it is, and who we are, where it isn't ours. The triggers' functions are each replicator's
/// own: no step touches them.
///
/// # Errors
/// When the query fails.
pub async fn owner_besides(client: &Client, side: Side) -> Result<Option<(String, String)>, Fault> {
    let sql = "select pg_get_userbyid(o.owner)::text, current_user::text
        from (
          select nspowner
          from pg_namespace
          where nspname = 'tandem'
          union
          select relowner
          from pg_class
          where relnamespace = 'tandem'::regnamespace and relkind in ('r', 'p', 'v', 'S')
          union
          select proowner
          from pg_proc
          where pronamespace = 'tandem'::regnamespace and proname !~ '^tandem_[0-9a-f]{16}$'
        ) as o(owner)
        where not pg_has_role(o.owner, 'usage')
        order by 1
        limit 1";
    let rows = client.query_typed(sql, &[]).await;
    let rows = rows.map_err(Fault::at(side))?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
}

async fn look<'a>(
    client: &'a Client,
    side: Side,
    migrations: &'a Migrations,
    replicator: &str,
) -> Result<Option<Lacking<'a>>, Fault> {
    let found = refuse_newer_there(client, side, migrations).await?;
    let names: Vec<_> = { migrations.since(side, found.state) }
        .map(|step| step.name.as_ref())
        .collect();
    // One simple query, so that a transaction pooler keeps it, and what follows until the commit, on one server connection.
    let script = format!(
        "begin; set local lock_timeout = '{}ms'; set local statement_timeout = '{}ms'; set local tandem.program = {}; set local tandem.replicator = {}; {}",
        limits::SETUP_LOCK_TIMEOUT.as_millis(),
        limits::MIGRATION_STATEMENT_MAX.as_millis(),
        literal(migrations.program()),
        literal(replicator),
        text(migrations, side, found.state),
    );
    Ok((!names.is_empty()).then_some(Lacking {
        client,
        side,
        from: found.state,
        names,
        script,
    }))
}

async fn keep_lease(cloud: &Client, replicator: &str, epoch: u64) -> Result<(), Fault> {
    let epoch = epoch as i64;
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&replicator, Type::TEXT), (&epoch, Type::INT8)];
    let kept = cloud.query_typed("select tandem.hold($1, $2)", &params);
    kept.await.map(drop).map_err(Fault::at(Side::Cloud))
}

/// All of it, then the commits.
async fn carry_out<'a, 'b>(lacking: &'b [Lacking<'a>]) -> Result<(), Failure<'a, 'b>> {
    let failure = |at, is_half| {
        move |error| Failure {
            error: WireError::from(error),
            at,
            is_half,
        }
    };
    for lacked in lacking {
        let done = lacked.client.batch_execute(&lacked.script).await;
        done.map_err(failure(lacked, false))?;
    }
    for (nth, lacked) in lacking.iter().enumerate() {
        let done = lacked.client.batch_execute("commit").await;
        done.map_err(failure(lacked, nth > 0))?;
    }
    Ok(())
}

/// Why a side didn't take its steps.
struct Failure<'a, 'b> {
    error: WireError,
    at: &'b Lacking<'a>,
    /// The other side has taken its own.
    is_half: bool,
}

impl Failure<'_, '_> {
    fn code(&self) -> &str {
        match &self.error {
            WireError::Server(error) => &error.code,
            _ => "",
        }
    }

    /// Another attempt may go well: something was locked, or another program took the step.
    fn passes(&self) -> bool {
        let passing = [
            sqlstate::LOCK_NOT_AVAILABLE,
            sqlstate::DEADLOCK_DETECTED,
            sqlstate::STEP_TAKEN,
        ];
        passing.contains(&self.code())
    }

    fn told(&self, migrations: &Migrations) -> Fault {
        let Lacking { side, from, .. } = *self.at;
        let fault = Fault::wire(side, &self.error);
        let way = format!(
            "the schema tandem on the {side} can't be brought from version {from} to {newest} ({names})",
            newest = migrations.newest(side),
            names = self.at.names.join(", ")
        );
        let changed = match self.is_half {
            true => "the cloud has taken its steps, and the next start goes on with the desktop's",
            false => "nothing was changed on either side",
        };
        if self.code() == sqlstate::OLDER_AT_WORK {
            let fault = Fault::new(Kind::Lineage, way).cause(&self.error);
            return fault.hint(format!("{changed}; update or stop those first, or go on with the tandem of before until then"));
        }
        let hint = match fault.kind {
            _ if self.code() == sqlstate::LOCK_NOT_AVAILABLE => format!(
                "{changed}; it is tried again. What stays open on a table of the schema tandem there blocks it: a backup, or a long transaction"
            ),
            Kind::Transient(_) | Kind::Slow(_) => format!("{changed}; it is tried again"),
            _ => format!(
                "{changed}: the tandem of before can be started again and goes on; report the message"
            ),
        };
        Fault {
            what: format!("{way}: {}", fault.what),
            hint: Some(hint),
            ..fault
        }
    }
}
