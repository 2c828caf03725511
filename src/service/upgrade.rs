//! Both sides' schemas when a session begins: refused where they are too new or another's to change, installed where they
//! are missing, and brought to this program's version once the lease is held.

use tokio_util::sync::CancellationToken;

use super::session::Session;
use crate::fault::{Fault, Side};
use crate::install::{Migrations, ensure_schema, may_migrate, migrate};
use crate::wire::control::Control;

/// What nobody could mend later is said before anything is changed anywhere.
pub(super) async fn look_at_schemas(
    desktop: &Control,
    cloud: &Control,
    migrations: &Migrations,
) -> Result<(), Fault> {
    may_migrate(&cloud.client, Side::Cloud, migrations).await?;
    may_migrate(&desktop.client, Side::Desktop, migrations).await
}

/// Where there is no schema there is no lease either, so several programs may come at once.
pub(super) async fn install_schemas(
    desktop: &Control,
    cloud: &Control,
    migrations: &Migrations,
) -> Result<(), Fault> {
    ensure_schema(&cloud.client, Side::Cloud, migrations).await?;
    ensure_schema(&desktop.client, Side::Desktop, migrations).await
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
