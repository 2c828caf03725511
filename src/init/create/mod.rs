//! The tables that the cloud lacks: their structure as the desktop has it, once. What can't be made there is said, and the rest
//! is made all the same. Nothing that exists is touched.
//!
//! The server's own functions write the definitions ([`read`]); what the cloud has is compared by names ([`fits`]); the rest
//! ([`draft`], [`groundwork`], [`write`]) is text from values.

mod draft;
mod fits;
mod groundwork;
mod read;
mod rewrite;
mod script;
mod shape;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use tokio_postgres::Client;

use draft::{Wishes, draft};
use script::{opening, remarks, script};

use super::open::opened;
use super::pairs::matched;
use super::{Proposal, look, says_yes};
use crate::config::{Sources, as_text};
use crate::fault::{Fault, Kind, Side};
use crate::model::Name;
use crate::plan::quote;
use crate::wire::WireError;

/// Which of the new tables get the owner's column, so that phones' rows come home.
#[derive(Clone, Debug, Default)]
pub enum Homeward {
    /// None.
    #[default]
    Nothing,
    /// All of them.
    All,
    /// These, as the settings write them.
    These(Vec<String>),
}

/// What makes the tables that the cloud lacks.
pub struct Creation {
    /// SQL that can be run as it is, with what is to be known as comments.
    pub script: String,
    /// The same remarks for people.
    pub remarks: Vec<String>,
    /// The tables that it makes.
    pub tables: Vec<Name>,
    /// Those of them that get the owner's column and have a key, with the line that the settings get.
    pub homeward: Vec<(Name, String)>,
    /// Tables of the desktop that can't be made.
    pub left: usize,
    statements: Vec<String>,
}

/// Looks at both databases and changes nothing.
///
/// # Errors
/// When a side can't be reached, or a table is named that isn't missing.
pub async fn missing(
    desktop_url: &str,
    cloud_url: &str,
    sources: &Sources,
    homeward: &Homeward,
) -> Result<Creation, Fault> {
    let (settings, desktop, cloud) = opened(desktop_url, cloud_url, sources).await?;
    let here = look(&desktop, Side::Desktop).await?;
    let there = look(&cloud, Side::Cloud).await?;
    let pairs: BTreeMap<_, _> = { matched(&here, &there).into_iter() }
        .map(|(from, to)| (from.oid, (from.name.clone(), to.name.clone())))
        .collect();
    let alone = here.iter().filter(|facts| !pairs.contains_key(&facts.oid));
    let (oids, names): (Vec<_>, Vec<_>) = alone.map(|facts| (facts.oid, &facts.name)).unzip();
    let homeward = chosen(homeward, &names)?;
    let desk = read::structure(&desktop.client, &oids).await?;
    let ground = read::ground(&cloud.client, &desk).await?;
    let wishes = Wishes {
        owner: (settings.owner.column, settings.owner.mobile),
        homeward,
        pairs,
    };
    let draft = draft(&desk, &ground, &wishes);
    let mut lines = Vec::new();
    for name in &draft.homeward {
        let facts = here.iter().find(|facts| facts.name == *name);
        let knows = facts.is_some_and(|facts| facts.column(&wishes.owner.0).is_some());
        let line = match knows {
            true => BOTH.to_owned(),
            false if is_empty(&desktop.client, name).await? => REVERSE.to_owned(),
            false => format!(
                "# flow = \"both\"                # when the desktop says too whose a row is: ALTER TABLE {} ADD COLUMN {} text;",
                quote::table(name),
                quote::ident(&wishes.owner.0)
            ),
        };
        lines.push((name.clone(), line));
    }
    Ok(Creation {
        script: script(&draft),
        remarks: remarks(&draft),
        left: draft.left,
        statements: draft
            .parts
            .into_iter()
            .flat_map(|part| part.statements)
            .collect(),
        tables: draft.made,
        homeward: lines,
    })
}

const BOTH: &str =
    "flow = \"both\"                  # what phones add, change and delete comes home";
const REVERSE: &str = "flow = \"reverse\"               # its rows are made on phones";

async fn is_empty(desktop: &Client, name: &Name) -> Result<bool, Fault> {
    let sql = format!("select not exists (select from {})", quote::table(name));
    says_yes(desktop, Side::Desktop, &sql).await
}

/// The tables that shall bring rows home, by name.
fn chosen(homeward: &Homeward, missing: &[&Name]) -> Result<BTreeSet<Name>, Fault> {
    let all = missing.iter().map(|name| (*name).clone());
    match homeward {
        Homeward::Nothing => Ok(BTreeSet::new()),
        Homeward::All => Ok(all.collect()),
        Homeward::These(wanted) => {
            let known: BTreeMap<_, _> = all.map(|name| (name.to_string(), name)).collect();
            let found = wanted.iter().map(|name| {
                let plain = name.strip_prefix("public.").unwrap_or(name);
                known.get(plain).cloned().ok_or_else(|| {
                    let names: Vec<_> = known.keys().map(String::as_str).collect();
                    Fault::new(
                        Kind::Input,
                        format!("--source: {name} is no table that the cloud lacks"),
                    )
                    .hint(match names.is_empty() {
                        true => "it lacks none; nothing was changed".to_owned(),
                        false => format!("it lacks {}; nothing was changed", names.join(", ")),
                    })
                })
            });
            found.collect()
        }
    }
}

/// What phones do in these tables comes home: their tables in the settings say so, unless they say something else.
pub fn bring_home(proposal: &mut Proposal, homeward: &[(Name, String)]) {
    for (name, line) in homeward {
        let head = format!("\n[[table]]\nname = {}\n", as_text(&name.to_string()));
        let Some(at) = proposal.text.find(&head).map(|at| at + head.len()) else {
            continue;
        };
        let section = proposal.text[at..].split("\n\n").next().unwrap_or_default();
        if !section.lines().any(|line| line.starts_with("flow ")) {
            proposal.text.insert_str(at, &format!("{line}\n"));
        }
    }
}

/// Makes the tables, in one transaction: all of them or none.
///
/// # Errors
/// When the cloud can't be reached, or refuses a statement; then nothing is left.
pub async fn create(
    desktop_url: &str,
    cloud_url: &str,
    sources: &Sources,
    creation: &Creation,
) -> Result<(), Fault> {
    if creation.statements.is_empty() {
        return Ok(());
    }
    let (_, _, cloud) = opened(desktop_url, cloud_url, sources).await?;
    let client = &cloud.client;
    let opening = opening();
    let statements = std::iter::once(&opening).chain(&creation.statements);
    // Behind one another, without waiting for each answer: a distant cloud is asked once. What follows a refusal is refused too.
    let sent = statements.map(|sql| async move { (sql, client.batch_execute(sql).await) });
    let answers = join_all(sent).await;
    let refused = answers
        .into_iter()
        .find_map(|(sql, answer)| Some((sql, answer.err()?)));
    if let Some((sql, error)) = refused {
        rolled_back(client).await;
        return Err(refusal(sql, &error.into()));
    }
    let ended = client.batch_execute("COMMIT").await;
    ended.map_err(|error| {
        Fault::wire(Side::Cloud, &error.into())
            .hint("whether the tables were made is not known; the same command looks again, and makes only what is missing")
    })
}

/// What was begun goes, also where the connection is a pooler's.
async fn rolled_back(client: &Client) {
    if client.batch_execute("ROLLBACK").await.is_err() {
        tracing::debug!("the connection ended before it could be rolled back");
    }
}

/// The server's words, and the statement that they are about.
fn refusal(sql: &str, error: &WireError) -> Fault {
    let fault = Fault::wire(Side::Cloud, error);
    let WireError::Server(server) = error else {
        return fault.hint("the tables are made in one transaction: nothing is left of it");
    };
    let kind = match fault.kind {
        Kind::Unknown => Kind::Refused(Side::Cloud),
        kind => kind,
    };
    Fault::new(kind, "the cloud did not make the tables; nothing is left of the attempt")
        .cause(format!("{server}, in: {sql}"))
        .hint("without --yes the statements are shown: they can be changed and run by hand, and init takes the tables as it finds them")
}
