//! The schema `tandem` of a side: whether set-up may make it, and which programs its state is for.

use tokio_postgres::Client;

use super::report::{Report, Wrong};
use super::tables::rows;
use crate::fault::{Fault, Side};
use crate::install::{Migrations, installed_version, owner_besides};
use crate::plan::quote::ident;

pub(super) async fn check(
    on: (&Client, Side),
    installed: bool,
    report: &mut Report,
) -> Result<(), Fault> {
    may_create(on, installed, report).await?;
    version(on, installed, report).await
}

async fn may_create(
    on: (&Client, Side),
    installed: bool,
    report: &mut Report,
) -> Result<(), Fault> {
    let (id, why, what) = match on.1 {
        Side::Desktop => (
            "desktop_may_create",
            "set-up makes the schema tandem and a publication",
            "anything",
        ),
        Side::Cloud => (
            "cloud_may_create",
            "set-up makes the schema tandem",
            "a schema",
        ),
    };
    let sql =
        "select has_database_privilege(current_database(), 'create'), current_database()::text,
           current_user::text";
    let found = rows(on, sql, &[]).await?;
    let Some(row) = found.first() else {
        return Ok(());
    };
    if installed || row.get(0) {
        report.ok(id, "the schema tandem is there, or may be made");
        return Ok(());
    }
    let (database, user): (String, String) = (row.get(1), row.get(2));
    let fix = format!(
        "GRANT CREATE ON DATABASE {} TO {};",
        ident(&database),
        ident(&user)
    );
    let wrong = Wrong::new(format!("{user} may not create {what} in {database}"), fix);
    report.fail(id, why, wrong);
    Ok(())
}

/// The state must be one that this program knows.
async fn version(
    (client, side): (&Client, Side),
    installed: bool,
    report: &mut Report,
) -> Result<(), Fault> {
    let id = match side {
        Side::Desktop => "desktop_state",
        Side::Cloud => "cloud_state",
    };
    if !installed {
        report.ok(id, format!("the schema tandem is not on the {side} yet"));
        return Ok(());
    }
    match installed_version(client, side).await? {
        Some(found) if found.is_for_newer() => {
            let oldest = found.oldest_binary;
            report.fail(
                id,
                "an older program would misread the state",
                Wrong::new(
                    format!("the schema tandem on the {side} needs tandem {oldest} or newer"),
                    "install the newer program",
                ),
            );
        }
        Some(found) => {
            let migrations = Migrations::embedded();
            let newest = migrations.newest(side);
            let names: Vec<_> = { migrations.since(side, found.state) }
                .map(|step| step.name.as_ref())
                .collect();
            let version = format!("state version {}", found.state);
            if names.is_empty() {
                report.ok(id, version);
                return Ok(());
            }
            let steps = names.join(", ");
            match owner_besides(client, side).await? {
                None => report.ok(
                    id,
                    format!("{version}; the next start of tandem run brings it to {newest}: {steps}"),
                ),
                Some((owner, user)) => report.fail(
                    id,
                    "tandem run won't start before that has been done",
                    Wrong::new(
                        format!("{version}, and {user} may not bring it to {newest} ({steps}): it is {owner}'s"),
                        format!("as {owner}: paste what tandem bootstrap --plan shows for the {side}"),
                    ),
                ),
            }
        }
        None => report.fail(
            id,
            "nobody can tell which program may work there",
            Wrong::new(
                format!("tandem.version on the {side} is empty"),
                "tandem uninstall, then tandem bootstrap",
            ),
        ),
    }
    Ok(())
}
