//! `tandem init`

use std::path::PathBuf;

use clap::Args;

use super::show;
use crate::config::Sources;
use crate::fault::{Exit, Fault};
use crate::service::{propose, write_new};

/// Look at both databases and write a commented tandem.toml; never overwrites one.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem init --desktop postgres://postgres@localhost:5433/office --cloud 'postgres://postgres@db.x.supabase.co:5432/postgres?sslmode=require'
  tandem config check && tandem doctor && tandem bootstrap --plan     what to do next")]
pub(super) struct Options {
    /// The office's database; its password may stand in the URL, PGPASSFILE or TANDEM_DESKTOP_PASSWORD, and is written nowhere
    #[arg(long, value_name = "URL")]
    desktop: String,
    /// The cloud's database; the same with TANDEM_CLOUD_PASSWORD
    #[arg(long, value_name = "URL")]
    cloud: String,
    /// Where to write
    #[arg(long, value_name = "FILE", default_value = "tandem.toml")]
    out: PathBuf,
}

pub(super) async fn init(options: &Options, sources: Sources) -> Result<Exit, Fault> {
    if options.out.exists() {
        write_new(&options.out, "")?;
    }
    let proposal = propose(&options.desktop, &options.cloud, sources).await?;
    write_new(&options.out, &proposal.text)?;
    let out = options.out.display();
    show::result(&format!(
        "{out}: {} tables fit on both sides, {} need a decision first",
        proposal.active, proposal.set_aside
    ));
    if proposal.questions > 0 {
        show::result(&format!(
            "{} remarks ask whether something has another name on the other side",
            proposal.questions
        ));
    }
    for name in &proposal.secrets {
        show::result(&format!(
            "a password was given and is written nowhere; put {name}=... into the environment, or into a .env file beside {out}"
        ));
    }
    show::result(
        "next: look at the file, then tandem config check, tandem doctor, tandem bootstrap --plan",
    );
    Ok(Exit::Fine)
}
