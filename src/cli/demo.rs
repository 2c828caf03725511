//! `tandem demo`
use clap::Args;
use crate::fault::{Exit, Fault};
/// x
#[derive(Args)]
pub(super) struct Options {}
pub(super) async fn demo(_o: &Options) -> Result<Exit, Fault> { Ok(Exit::Fine) }
