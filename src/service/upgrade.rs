//! Both sides' schemas when a session begins: refused where they are too new or another's to change, installed where they
//! are missing, and brought to this program's version once the lease is held.

use tokio_util::sync::CancellationToken;

use super::session_context::Session;
use crate::fault::{Fault, Side};
use crate::install::{Migrations, install_schema, may_migrate, migrate};
use crate::observe::Observer;
use crate::wire::control::Control;

/// What nobody could mend later is said before anything is changed anywhere. Says whether a schema lacks steps.
pub(super) async fn look_at_schemas(
    sides: &Observer,
    migrations: &Migrations,
) -> Result<bool, Fault> {
    let (on_desktop, in_cloud) = sides.installed;
    let look = async |(control, side): (&Control, Side), there| match there {
        true => may_migrate(&control.client, side, migrations).await,
        false => Ok(false),
    };
    let (cloud, desktop) = tokio::join!(
        look((&sides.cloud, Side::Cloud), in_cloud),
        look((&sides.desktop, Side::Desktop), on_desktop)
    );
    Ok(cloud? | desktop?)
}

/// Where there is no schema there is no lease either, so several programs may come at once.
pub(super) async fn install_schemas(
    sides: &Observer,
    migrations: &Migrations,
) -> Result<(), Fault> {
    let (on_desktop, in_cloud) = sides.installed;
    if !in_cloud {
        install_schema(&sides.cloud.client, Side::Cloud, migrations).await?;
    }
    if !on_desktop {
        install_schema(&sides.desktop.client, Side::Desktop, migrations).await?;
    }
    Ok(())
}

impl Session<'_> {
    /// Nobody else works for this replicator now. Whoever did until a moment ago is fenced, so no older program of ours
    /// meets what is new.
    pub(super) async fn migrate(&self, stop: &CancellationToken) -> Result<(), Fault> {
        let sides = (&self.desktop.client, &self.cloud.client);
        let lease = (self.lease.replicator.as_str(), Some(self.lease.epoch));
        migrate(sides, &self.goal.migrations, lease, stop).await
    }
}
