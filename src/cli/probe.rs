//! `tandem probe`

use clap::Args;

use super::show;
use crate::config::Settings;
use crate::fault::{Exit, Fault, Kind};
use crate::{limits, wire};

/// Asks the service on this computer at `[listen] http` how it is: for containers' health checks, which have no other program to ask with.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem probe               exit 0: the service works, 1: it is stuck, 3: it doesn't run
  tandem probe --ready       exit 0: it streams and is not far behind")]
pub(super) struct Options {
    /// Not whether it works, but whether it is ready: streaming, and not far behind
    #[arg(long)]
    ready: bool,
}

pub(super) async fn probe(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let Some(address) = settings.listen.http else {
        return Err(Fault::new(Kind::Input, "the service doesn't listen")
            .hint("health is served where listen.http says, such as \"127.0.0.1:9187\""));
    };
    let path = if options.ready { "/readyz" } else { "/healthz" };
    let asked = tokio::time::timeout(limits::HTTP_ANSWER_MAX, wire::get(address, path)).await;
    Ok(match asked {
        Ok(Ok((code, said))) => {
            show::result(said.trim_end());
            if code.is_success() {
                Exit::Fine
            } else {
                Exit::BadNews
            }
        }
        Ok(Err(error)) => {
            show::progress(&format!("nobody answers at {address}: {error}"));
            Exit::NotRunning
        }
        Err(_) => {
            show::progress(&format!(
                "no answer from {address} in {} s",
                limits::HTTP_ANSWER_MAX.as_secs()
            ));
            Exit::NotRunning
        }
    })
}
