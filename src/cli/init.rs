//! `tandem init`

use std::path::PathBuf;

use clap::Args;

use super::show;
use crate::config::Sources;
use crate::fault::{Exit, Fault};
use crate::service::{Creation, Homeward, bring_home, create, missing, propose, write_new};

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
    /// Show the SQL that makes the tables which the cloud lacks, and stop; with --yes run it, and go on
    #[arg(long)]
    create_cloud: bool,
    /// With --create-cloud: these new tables, or all, bring home what phones add (a column `source`, flow = "both")
    #[arg(
        long,
        value_name = "TABLE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ALL,
        requires = "create_cloud"
    )]
    source: Vec<String>,
    /// Do it without being asked
    #[arg(long)]
    yes: bool,
}

/// `--source` without a table.
const ALL: &str = "";

pub(super) async fn init(options: &Options, sources: Sources) -> Result<Exit, Fault> {
    // Shown, nothing is written; a file that is there is no hindrance.
    let shows = options.create_cloud && !options.yes;
    if options.out.exists() && !shows {
        write_new(&options.out, "")?;
    }
    let mut homeward = Vec::new();
    if options.create_cloud {
        let wanted = options.homeward();
        let lacking = missing(&options.desktop, &options.cloud, &sources, &wanted).await?;
        if shows {
            show::script(lacking.script.as_bytes());
            show::progress(
                "nothing was changed or written; the same with --yes runs this and goes on to write the settings",
            );
            return Ok(Exit::Fine);
        }
        create(&options.desktop, &options.cloud, &sources, &lacking).await?;
        made(&lacking);
        homeward = lacking.homeward;
    }
    let mut proposal = propose(&options.desktop, &options.cloud, sources).await?;
    bring_home(&mut proposal, &homeward);
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

impl Options {
    fn homeward(&self) -> Homeward {
        match self.source.as_slice() {
            [] => Homeward::Nothing,
            names if names.iter().any(|name| name == ALL) => Homeward::All,
            names => Homeward::These(names.to_vec()),
        }
    }
}

/// What was made in the cloud, and what wasn't.
fn made(creation: &Creation) {
    for remark in &creation.remarks {
        show::result(remark);
    }
    let left = match creation.left {
        0 => String::new(),
        left => format!(", {left} can't be made"),
    };
    show::result(&format!(
        "{} tables were made in the cloud{left}",
        creation.tables.len()
    ));
}
