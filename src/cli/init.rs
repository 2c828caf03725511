//! `tandem init`

use std::path::{Path, PathBuf};

use clap::Args;

use super::{ask, show};
use crate::config::{self, Sources};
use crate::fault::{Exit, Fault};
use crate::init::{
    Asker, Creation, Homeward, Update, bring_home, create, missing, propose, update, write_new,
};

/// Look at both databases and write a commented tandem.toml; never overwrites one. With --update, add what is new to the one that
/// is there.
#[derive(Args)]
#[command(
    after_help = "Where both databases leave a choice, the file has it as a comment; on a terminal it is asked.

Examples:
  tandem init --desktop postgres://postgres@localhost:5433/office --cloud 'postgres://postgres@db.x.supabase.co:5432/postgres?sslmode=require'
  tandem init --update                                                add new tables and columns to tandem.toml
  tandem config check && tandem doctor && tandem bootstrap --plan     what to do next"
)]
pub(super) struct Options {
    /// The office's database; its password may stand in the URL, PGPASSFILE or TANDEM_DESKTOP_PASSWORD, and is written nowhere
    #[arg(long, value_name = "URL", required_unless_present = "update")]
    desktop: Option<String>,
    /// The cloud's database; the same with TANDEM_CLOUD_PASSWORD
    #[arg(long, value_name = "URL", required_unless_present = "update")]
    cloud: Option<String>,
    /// Where to write, or what to update [default: tandem.toml; with --update the settings file]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Add what is new to a settings file, and keep the rest of it to the byte; the databases are those that it names
    #[arg(long, conflicts_with_all = ["desktop", "cloud", "create_cloud"])]
    update: bool,
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
    /// Ask nothing: take the best answers, and run what --create-cloud shows
    #[arg(long)]
    yes: bool,
}

/// `--source` without a table.
const ALL: &str = "";

pub(super) async fn init(options: &Options, sources: Sources) -> Result<Exit, Fault> {
    let mut asker = ask::ask;
    let asks = !options.yes && ask::is_possible();
    let ask = asks.then_some(&mut asker as &mut Asker<'_>);
    if options.update {
        return once_more(options, sources, ask).await;
    }
    let out = options.out.as_deref().unwrap_or(Path::new("tandem.toml"));
    // Shown, nothing is written; a file that is there is no hindrance.
    let shows = options.create_cloud && !options.yes;
    if out.exists() && !shows {
        write_new(out, "")?;
    }
    let url = |url: &Option<String>| url.clone().unwrap_or_default();
    let (desktop, cloud) = (url(&options.desktop), url(&options.cloud));
    let mut homeward = Vec::new();
    if options.create_cloud {
        let wanted = options.homeward();
        let lacking = missing(&desktop, &cloud, &sources, &wanted).await?;
        if shows {
            show::script(lacking.script.as_bytes());
            show::progress(
                "nothing was changed or written; the same with --yes runs this and goes on to write the settings",
            );
            return Ok(Exit::Fine);
        }
        create(&desktop, &cloud, &sources, &lacking).await?;
        made(&lacking);
        homeward = lacking.homeward;
    }
    let mut proposal = propose(&desktop, &cloud, sources, ask).await?;
    bring_home(&mut proposal, &homeward);
    write_new(out, &proposal.text)?;
    let out = out.display();
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
    decided(options, asks, proposal.decisions);
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

/// Who answered what had to be decided.
fn decided(options: &Options, asked: bool, decisions: usize) {
    let who = match (asked, options.yes) {
        (true, _) => "as you answered",
        (false, true) => "by the best answer (--yes)",
        (false, false) => "by the best answer, since nobody could be asked",
    };
    match decisions {
        0 => {}
        1 => show::result(&format!(
            "1 decision was needed, and made {who}; the file has its choices"
        )),
        many => show::result(&format!(
            "{many} decisions were needed, and made {who}; the file has their choices"
        )),
    }
}

async fn once_more(
    options: &Options,
    mut sources: Sources,
    ask: Option<&mut Asker<'_>>,
) -> Result<Exit, Fault> {
    if let Some(out) = &options.out {
        sources.file = Some(out.clone());
    }
    let settings = match config::load(&sources) {
        Ok(settings) => settings,
        Err(problems) => {
            show::problems(&problems);
            return Ok(Exit::Input);
        }
    };
    let asked = ask.is_some();
    let update = update(&settings, &sources, ask).await?;
    let file = settings.file.as_deref().unwrap_or(Path::new("tandem.toml"));
    says(&file.display().to_string(), &update);
    if update.written {
        decided(options, asked, update.decisions);
        show::result(
            "next: look at the file, then tandem config check and tandem doctor; a running service takes it up when it is started again",
        );
    }
    Ok(Exit::Fine)
}

fn says(file: &str, update: &Update) {
    match update.written {
        true => show::result(&format!("{file}: {} added, the rest is as it was", {
            update.added.len() + update.set_aside.len()
        })),
        false => show::result(&format!("{file}: nothing to add; it was not touched")),
    }
    for (head, all) in [
        ("added", &update.added),
        (
            "added as a remark, it needs a decision first",
            &update.set_aside,
        ),
        ("not there any more, and still in the file", &update.gone),
        ("does not fit", &update.misfits),
        (
            "would be decided otherwise today; the file counts",
            &update.otherwise,
        ),
        ("not in the file", &update.alone),
    ] {
        if !all.is_empty() {
            show::result(&format!("{head}:"));
            all.iter().for_each(|one| show::result(&format!("  {one}")));
        }
    }
}
