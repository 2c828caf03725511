//! `tandem run`

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::common::Common;
use super::show;
use crate::config::Settings;
use crate::fault::{Exit, Fault, Kind};
use crate::flows::Reloads;
use crate::{platform, service};

/// Streams until Ctrl-C or SIGTERM: then finishes the batch and ends with 0. A second signal stops at once; both are safe.
#[derive(Args, Default)]
#[command(after_help = "Examples:
  tandem run                 until Ctrl-C or SIGTERM, which end it cleanly
  tandem run --standby       on a second computer: waits until the first one ends")]
pub(super) struct Options {
    /// Wait while another tandem is at work, and take over when it ends or dies
    #[arg(long)]
    standby: bool,
}

pub(super) async fn run(
    common: &Common,
    options: &Options,
    settings: &Settings,
) -> Result<Exit, Fault> {
    let _logging = service::start_log(&settings.log, common.level(), common.colors())?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let (stop, now) = (CancellationToken::new(), CancellationToken::new());
    let signals = tokio::spawn(platform::watch_signals(stop.clone(), now.clone()));
    let reloads = Reloads::reading(super::common::sources(common));
    let tells = reloads.clone();
    tokio::spawn(platform::watch_reloads(move || tells.tell(), stop.clone()));
    let told = stop.clone();
    tokio::spawn(async move {
        told.cancelled().await;
        platform::systemd::stopping();
        tracing::info!("finishing the current batch; a second signal stops at once");
    });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "tandem starts");
    platform::service::is_running();
    platform::systemd::ready();
    let goal = service::RunMode {
        standby: options.standby,
        reloads,
        ..service::RunMode::service()
    };
    tokio::select! {
        ended = service::run(settings, goal, &stop) => {
            signals.abort();
            match ended {
                Ok(()) => {
                    tracing::info!("stopped");
                    Ok(Exit::Fine)
                }
                Err(fault) => {
                    tracing::error!("{fault}");
                    platform::systemd::status(&fault.to_string());
                    Err(fault)
                }
            }
        }
        () = now.cancelled() => {
            show::progress("stopped at once; what was not finished is done again at the next start");
            Err(Fault::new(Kind::Interrupted, "interrupted"))
        }
    }
}
