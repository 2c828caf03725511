//! Whoever looks at both sides, and whose state is meant.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::catalog::{Facts, facts, replicator_name};
use crate::config::{Endpoint, Settings};
use crate::fault::{Fault, Kind, Side};
use crate::install::{Migrations, is_installed, refuse_newer_there};
use crate::model::{Lsn, Tables};
use crate::plan::table_state;
use crate::wire::control::Control;

/// Both sides, connected.
pub struct Observer {
    /// The desktop.
    pub desktop: Control,
    /// The cloud.
    pub cloud: Control,
    /// The desktop's identity.
    pub identity: Facts,
    /// The cloud's identity.
    pub cloud_identity: Facts,
    /// Whether the schema `tandem` was there when they were connected, on the desktop and in the cloud.
    pub installed: (bool, bool),
    /// Whose state is looked at.
    pub replicator: String,
    /// What a session that used these connections has agreed on.
    pub agreed: OnceLock<Arc<Tables>>,
}

impl Observer {
    /// Connects both sides for looking.
    ///
    /// # Errors
    /// When one can't be reached, is no server for tandem, or has state that is for newer programs.
    pub async fn connect(settings: &Settings) -> Result<Observer, Fault> {
        let observer = Observer::open(settings).await?;
        let (on_desktop, in_cloud) = observer.installed;
        let (desktop, cloud) = tokio::join!(
            refuse_newer_schema_there((&observer.desktop, on_desktop), Side::Desktop),
            refuse_newer_schema_there((&observer.cloud, in_cloud), Side::Cloud)
        );
        desktop.and(cloud).map(|()| observer)
    }

    /// Connects both sides.
    ///
    /// # Errors
    /// When one can't be reached, or is no server for tandem.
    pub async fn open(settings: &Settings) -> Result<Observer, Fault> {
        let (desktop, cloud) = tokio::join!(
            open(Side::Desktop, &settings.desktop.endpoint),
            open(Side::Cloud, &settings.cloud.endpoint)
        );
        let (desktop, identity, on_desktop) = desktop?;
        let (cloud, cloud_identity, in_cloud) = cloud?;
        let replicator = replicator_name(settings, &identity);
        Ok(Observer {
            desktop,
            cloud,
            identity,
            cloud_identity,
            installed: (on_desktop, in_cloud),
            replicator,
            agreed: OnceLock::new(),
        })
    }

    /// Reads the checkpoint; none when tandem never ran here.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn checkpoint(&self) -> Result<Option<CheckpointView>, Fault> {
        self.in_cloud().checkpoint().await
    }

    pub(super) fn in_cloud(&self) -> InCloud<'_> {
        InCloud {
            client: &self.cloud.client,
            replicator: &self.replicator,
        }
    }
}

/// One replicator's state in the cloud.
pub(super) struct InCloud<'a> {
    pub(super) client: &'a Client,
    pub(super) replicator: &'a str,
}

impl InCloud<'_> {
    /// Rows of this replicator, which is `$1`.
    pub(super) async fn ours(&self, sql: &str) -> Result<Vec<Row>, Fault> {
        let params = [(&self.replicator as _, Type::TEXT)];
        Side::Cloud.query(self.client, sql, &params).await
    }

    /// The checkpoint; none when tandem never ran here.
    pub(super) async fn checkpoint(&self) -> Result<Option<CheckpointView>, Fault> {
        let cloud = self.client;
        let installed = one(
            cloud,
            Side::Cloud,
            "select to_regclass('tandem.checkpoint') is not null",
            &[],
        )
        .await?;
        if !installed.is_some_and(|row| row.get(0)) {
            return Ok(None);
        }
        let sql = format!(
            r#"select lsn::text, held_until > clock_timestamp(),
                 greatest(0, extract(epoch from clock_timestamp() - applied_at) * 1000)::bigint,
                 (extract(epoch from committed_at) * 1000000)::bigint, holder, last_words,
                 version, {is_filling},
                 to_char(held_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
               from tandem.checkpoint as c
               where replicator = $1"#,
            is_filling = table_state::is_filling()
        );
        let row = one(cloud, Side::Cloud, &sql, &[(&self.replicator, Type::TEXT)]).await?;
        Ok(row.map(|row| CheckpointView {
            lsn: row
                .get::<_, Option<String>>(0)
                .and_then(|text| text.parse().ok()),
            leased: row.get(1),
            age: Duration::from_millis(row.get::<_, i64>(2).unsigned_abs()),
            committed_at: row.get(3),
            holder: row.get(4),
            last_words: row.get(5),
            version: row.get(6),
            copying: row.get(7),
            since: row.get(8),
        }))
    }
}

/// The checkpoint row as an onlooker sees it.
#[derive(Clone, Debug, Default)]
pub struct CheckpointView {
    /// The checkpoint; none before the tables were filled.
    pub lsn: Option<Lsn>,
    /// The lease was renewed in time.
    pub leased: bool,
    /// Since the cloud's last transaction of ours, by its clock.
    pub age: Duration,
    /// When the last transaction committed, microseconds since 1970 by the desktop's clock.
    pub committed_at: Option<i64>,
    /// Who has the lease, or had it last.
    pub holder: Option<String>,
    /// Since when, in ISO 8601.
    pub since: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What the service said when it stopped.
    pub last_words: Option<String>,
    /// Tables are being copied, or about to be.
    pub copying: bool,
}

impl CheckpointView {
    /// The cloud has all that was committed before a marker, in all tables that go on.
    pub fn has(&self, marker: Lsn) -> bool {
        self.lsn.is_some_and(|lsn| lsn >= marker) && !self.copying
    }
}

/// One side, who it is, and whether the schema `tandem` is there.
async fn open(side: Side, endpoint: &Endpoint) -> Result<(Control, Facts, bool), Fault> {
    let control = side.connect(endpoint).await?;
    let (identity, installed) = tokio::join!(
        facts(&control.client, side),
        is_installed(&control.client, side)
    );
    Ok((control, identity?, installed?))
}

/// Refuses a side whose state this program could misread.
///
/// # Errors
/// That, or that the query failed.
pub async fn refuse_newer_schema(control: &Control, side: Side) -> Result<(), Fault> {
    let there = is_installed(&control.client, side).await?;
    refuse_newer_schema_there((control, there), side).await
}

/// The same; nothing is refused where it is known that nothing is `there`.
async fn refuse_newer_schema_there(
    (control, there): (&Control, bool),
    side: Side,
) -> Result<(), Fault> {
    if !there {
        return Ok(());
    }
    let found = refuse_newer_there(&control.client, side, &Migrations::embedded()).await;
    match found {
        Err(fault) if matches!(fault.kind, Kind::Lineage) => {
            let kind = Kind::Input;
            Err(Fault { kind, ..fault })
        }
        found => found.map(drop),
    }
}

/// The cloud, and which replicator there is meant, where the desktop can't say it; none where none is known, or several are.
pub(super) async fn found_in_cloud(
    settings: &Settings,
) -> Result<Option<(Control, String)>, Fault> {
    let cloud = Side::Cloud.connect(&settings.cloud.endpoint).await?;
    if !is_installed(&cloud.client, Side::Cloud).await? {
        return Ok(None);
    }
    let sql = "select replicator
        from tandem.checkpoint
        where replicator = coalesce($1, replicator)
          and ($1 is not null or slot = $2 and database = $3)";
    let params = [
        (&settings.replicator as _, Type::TEXT),
        (&settings.forward.slot as _, Type::TEXT),
        (&settings.desktop.endpoint.database as _, Type::TEXT),
    ];
    let rows = Side::Cloud.query(&cloud.client, sql, &params).await?;
    let replicator = match rows.as_slice() {
        [row] => Some(row.get(0)),
        _ => None,
    };
    Ok(replicator.map(|replicator| (cloud, replicator)))
}

/// The first row, if there is one.
pub(super) async fn one(
    client: &Client,
    side: Side,
    sql: &str,
    params: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Option<Row>, Fault> {
    let rows = side.query(client, sql, params).await?;
    Ok(rows.into_iter().next())
}
