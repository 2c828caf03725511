//! Settings proposed from what both databases hold: which tables belong together, what names a row, which way rows go. What
//! doesn't fit is written as a remark with its reason, so that what is active works as it stands.

mod create;
mod decide;
mod entry;
mod fitting;
mod open;
mod own;
mod pairs;
mod question;
mod update;
mod whole;
mod written;

use std::collections::BTreeMap;

use tokio_postgres::Client;

use entry::entry;
use open::{broken, opened, read};
use own::{says_yes, zones_meet};
use pairs::{Others, matched};
use question::Decisions;
use written::{Entry, Head, text, without_password};

pub use create::{Creation, Homeward, bring_home, create, missing};
pub use question::{Asker, Question};
pub use update::{Update, update};
pub use written::write_new;

use crate::catalog::{
    RelationFacts, begin_with_empty_search_path, encoding, readable, relations, strange,
};
use crate::config::{Settings, Sources};
use crate::fault::{Fault, Side};
use crate::flows::agree_again;
use crate::model::{Charset, Name};
use crate::wire::WireError;
use crate::wire::control::Control;

/// A settings file, and how much of it is active.
pub struct Proposal {
    /// The file's text.
    pub text: String,
    /// Tables that fit.
    pub active: usize,
    /// Tables that need a decision first.
    pub set_aside: usize,
    /// Remarks with a question: what stands on one side only may be the other side's under another name.
    pub questions: usize,
    /// Decisions that the file shows with their choices.
    pub decisions: usize,
    /// A password was given, and stands in no file: what it has to be called in the environment.
    pub secrets: Vec<&'static str>,
}

/// Looks at both databases; changes nothing. Where a decision is needed, `ask` is asked, or else the best answer taken.
///
/// # Errors
/// When a side can't be reached, or there is no answer.
pub async fn propose(
    desktop_url: &str,
    cloud_url: &str,
    sources: Sources,
    mut ask: Option<&mut Asker<'_>>,
) -> Result<Proposal, Fault> {
    let mut decisions = Decisions::default();
    loop {
        let proposal = draft((desktop_url, cloud_url), &sources, &mut decisions).await?;
        let settled = match &mut ask {
            Some(ask) => !decisions.ask(ask)?,
            None => true,
        };
        if settled {
            return Ok(proposal);
        }
    }
}

/// The proposal with the answers that there are.
async fn draft(
    (desktop_url, cloud_url): (&str, &str),
    sources: &Sources,
    decisions: &mut Decisions,
) -> Result<Proposal, Fault> {
    let (settings, desktop, cloud) = opened(desktop_url, cloud_url, sources).await?;
    let here = look(&desktop, Side::Desktop).await?;
    let there = look(&cloud, Side::Cloud).await?;
    let clients = (&desktop.client, &cloud.client);
    let mut entries = Vec::new();
    let mut pairs = matched(&here, &there);
    let others = whole::together(decisions, (&here, &there), &mut pairs, &|_, _| false);
    let zoned = pairs.iter().any(|(from, to)| zones_meet(from, to));
    let (zone, of_zone) = whole::zone(decisions, zone(&desktop).await?, zoned);
    for (from, to) in &pairs {
        entries.push(entry((from, to), (&settings, &zone), clients, decisions).await?);
    }
    let (desktop_url, desktop_secret) = without_password(desktop_url);
    let (cloud_url, cloud_secret) = without_password(cloud_url);
    let bare = bare(&desktop, &entries).await?;
    let (encoding, of_encoding) = whole::encoding(decisions, bare.as_deref().unwrap_or_default());
    let head = Head {
        desktop: (desktop_url, desktop_secret),
        cloud: (cloud_url, cloud_secret),
        org: whole::tenant(decisions, &entries, (&here, &there), clients).await?,
        zone,
        zoned,
        bare,
        encoding,
        remarks: [of_encoding, of_zone].concat(),
    };
    let misfits = misfits(&head, &entries, sources, clients).await?;
    Ok(Proposal {
        text: text(&head, &entries, &misfits, &others),
        active: entries.len() - misfits.len(),
        set_aside: misfits.len(),
        questions: entries.iter().filter(|entry| entry.asks).count()
            + others.alike.len()
            + usize::from(
                head.encoding.is_none()
                    && head.bare.as_ref().is_some_and(|found| !found.is_empty()),
            ),
        decisions: decisions.len(),
        secrets: [
            ("DESKTOP_DB_PASSWORD", desktop_secret),
            ("SUPABASE_DB_PASSWORD", cloud_secret),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect(),
    })
}

/// What can be seen of the bytes of a database without an encoding.
async fn bare(desktop: &Control, entries: &[Entry]) -> Result<Option<Vec<String>>, Fault> {
    let client = &desktop.client;
    let wire = |error: WireError| Fault::wire(Side::Desktop, &error);
    if encoding(client).await.map_err(wire)? != Charset::SQL_ASCII {
        return Ok(None);
    }
    let tables: Vec<_> = entries.iter().map(|entry| entry.desktop.clone()).collect();
    let found = strange(client, &tables).await.map_err(wire)?;
    Ok(Some(found.iter().map(ToString::to_string).collect()))
}

async fn zone(desktop: &Control) -> Result<String, Fault> {
    let sql = "select reset_val from pg_settings where name = 'TimeZone'";
    let rows = Side::Desktop.query(&desktop.client, sql, &[]).await?;
    Ok(rows.first().map_or_else(String::new, |row| row.get(0)))
}

/// Schemas that belong to the server or to Supabase.
const NOT_OURS: [&str; 16] = [
    "pg_catalog",
    "information_schema",
    "tandem",
    "auth",
    "storage",
    "realtime",
    "_realtime",
    "vault",
    "extensions",
    "graphql",
    "graphql_public",
    "pgbouncer",
    "etl",
    "supabase_functions",
    "supabase_migrations",
    "net",
];

async fn look(control: &Control, side: Side) -> Result<Vec<RelationFacts>, Fault> {
    let client = &control.client;
    let (schema, table) = (readable("n.nspname"), readable("c.relname"));
    // A table whose name can't be read can't be named in the settings either.
    let sql = format!(
        "select {schema}, {table}
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p')
           and not c.relispartition
           and n.nspname !~ '^pg_'
           and n.nspname <> all ($1)
           and n.nspname::text = {schema}
           and c.relname::text = {table}
         order by 1, 2"
    );
    let others: Vec<&str> = NOT_OURS.to_vec();
    let rows = side
        .query(
            client,
            &sql,
            &[(&others, tokio_postgres::types::Type::TEXT_ARRAY)],
        )
        .await?;
    begin_with_empty_search_path(client)
        .await
        .map_err(|error| Fault::wire(side, &error))?;
    let names: Vec<_> = { rows.iter() }
        .map(|row| Name {
            schema: row.get(0),
            relation: row.get(1),
        })
        .collect();
    let found = relations(client, &names).await;
    let found = found.map_err(|error| Fault::wire(side, &error))?;
    let ended = client.batch_execute("commit").await;
    ended.map_err(Fault::at(side))?;
    Ok(found.into_iter().flatten().collect())
}

/// Which tables don't fit as they are proposed, and why.
async fn misfits(
    head: &Head,
    entries: &[Entry],
    sources: &Sources,
    clients: (&Client, &Client),
) -> Result<BTreeMap<String, String>, Fault> {
    if entries.is_empty() {
        return Ok(BTreeMap::new());
    }
    let plain = Head {
        desktop: (head.desktop.0.clone(), false),
        cloud: (head.cloud.0.clone(), false),
        bare: None,
        ..head.clone()
    };
    let whole = text(&plain, entries, &BTreeMap::new(), &Others::default());
    let settings = read(&whole, sources)?.map_err(|error| broken(&error))?;
    unfit(&settings, entries, clients).await
}

/// Which tables of the settings don't fit, and which of the `entries` somebody has set aside, and why.
async fn unfit(
    settings: &Settings,
    entries: &[Entry],
    (desktop, cloud): (&Client, &Client),
) -> Result<BTreeMap<String, String>, Fault> {
    if settings.tables.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names = settings.tables.iter().map(|table| table.name.clone());
    let tables = agree_again(settings, desktop, cloud, &names.collect()).await?;
    let misfits = tables.misfits().iter();
    let misfits = misfits.map(|misfit| (misfit.name.clone(), misfit.why.clone()));
    let aside = entries
        .iter()
        .filter_map(|entry| Some((entry.name.clone(), entry.aside.clone()?)));
    Ok(misfits.chain(aside).collect())
}
