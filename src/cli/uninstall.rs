//! `tandem uninstall`

use std::io::{BufRead, IsTerminal};

use clap::Args;

use super::show;
use crate::catalog::facts;
use crate::catalog::replicator_name;
use crate::config::Settings;
use crate::fault::{Exit, Fault, Kind, Side};
use crate::install::{Removal, in_cloud, on_desktop, remove_from_cloud, remove_from_desktop};
use crate::observe::{Observer, refuse_newer_schema};
use crate::wire::control::{self, Control};

/// Remove slot, publication and schemas; give tables their replica identity back. All rows stay.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem uninstall --plan            the statements, and nothing else
  tandem uninstall --yes             without asking")]
pub(super) struct Options {
    /// Only show the statements
    #[arg(long)]
    plan: bool,
    /// Don't ask
    #[arg(long, conflicts_with = "plan")]
    yes: bool,
}

pub(super) async fn uninstall(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let connect = |side: Side, endpoint| async move {
        control::connect(endpoint).await.map_err(Fault::at(side))
    };
    let desktop = connect(Side::Desktop, &settings.desktop.endpoint).await?;
    let identity = facts(&desktop.client, Side::Desktop).await?;
    let replicator = replicator_name(settings, &identity);
    let cloud = connect(Side::Cloud, &settings.cloud.endpoint).await;
    refuse_newer_schema(&desktop, Side::Desktop).await?;
    let of_desktop = on_desktop(&desktop.client, &replicator).await?;
    let cloud = match cloud {
        Err(fault) if options.plan => {
            plan(&replicator, &of_desktop, None);
            return Err(fault.hint("the desktop's part stands above and can be run by hand"));
        }
        cloud => cloud?,
    };
    refuse_newer_schema(&cloud, Side::Cloud).await?;
    let of_cloud = in_cloud(&cloud.client, &replicator).await?;
    if options.plan {
        plan(&replicator, &of_desktop, Some(&of_cloud));
        return Ok(Exit::Fine);
    }
    if of_desktop.is_nothing() && of_cloud.is_nothing() {
        show::result(&format!(
            "nothing of replicator {replicator} is on either side"
        ));
        return Ok(Exit::Fine);
    }
    refuse_while_it_runs(settings, &of_cloud).await?;
    if !options.yes {
        ask(settings, &identity.database)?;
    }
    carry_out(&desktop, &of_desktop, &cloud, &of_cloud).await?;
    show::result(&format!(
        "removed replicator {replicator} from both sides; the rows of its tables stay"
    ));
    Ok(Exit::Fine)
}

/// The desktop's part goes first: it is what the office feels. Repeated, it goes on where it was interrupted.
async fn carry_out(
    desktop: &Control,
    of_desktop: &Removal,
    cloud: &Control,
    of_cloud: &Removal,
) -> Result<(), Fault> {
    if !of_desktop.is_nothing() {
        let removed = remove_from_desktop(&desktop.client, of_desktop).await;
        removed.map_err(who_may)?;
    }
    if !of_cloud.is_nothing() {
        let removed = remove_from_cloud(&cloud.client, of_cloud).await;
        removed.map_err(who_may)?;
    }
    Ok(())
}

/// A user who only runs tandem owns nothing of it.
fn who_may(fault: Fault) -> Fault {
    match fault.hint {
        Some(_) => fault,
        None => fault.hint("whoever set tandem up may remove it: name that user in the URL, or let an administrator paste what tandem uninstall --plan shows; repeated, it goes on where it was"),
    }
}

fn plan(replicator: &str, of_desktop: &Removal, of_cloud: Option<&Removal>) {
    show::result(&format!("-- replicator {replicator}; on the desktop"));
    let say = |removal: &Removal| {
        for statement in removal.statements() {
            show::result(&format!("{statement};"));
        }
    };
    say(of_desktop);
    if let Some(of_cloud) = of_cloud {
        show::result("-- in the cloud");
        show::result("-- (the triggers on its tables go with the schema)");
        say(of_cloud);
    }
    show::result("-- the desktop's wal_level and max_slot_wal_keep_size stay as they are");
}

async fn refuse_while_it_runs(settings: &Settings, of_cloud: &Removal) -> Result<(), Fault> {
    if of_cloud.is_nothing() {
        return Ok(());
    }
    let observer = Observer::connect(settings).await?;
    let seen = observer.checkpoint().await?.unwrap_or_default();
    if observer.is_running(settings, &seen).await? {
        return Err(
            Fault::new(Kind::Input, "tandem is running for this replicator")
                .hint("stop the service first; nothing was changed"),
        );
    }
    Ok(())
}

/// The database's name, typed.
fn ask(settings: &Settings, database: &str) -> Result<(), Fault> {
    if !std::io::stdin().is_terminal() {
        return Err(Fault::new(
            Kind::Input,
            "uninstall asks before it removes anything, and nobody can answer here",
        )
        .hint("say --yes; nothing was changed")
        .next("tandem uninstall --plan"));
    }
    show::progress(&format!(
        "This removes tandem from {database} on port {} and from the cloud. The rows stay.\nType {database} to go on:",
        settings.desktop.endpoint.port
    ));
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if read.is_ok() && line.trim() == database {
        Ok(())
    } else {
        Err(Fault::new(Kind::Input, "not confirmed").hint("nothing was changed"))
    }
}
