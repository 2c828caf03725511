//! Settings proposed from what both databases hold: which tables belong together, what names a row, which way rows go. What
//! doesn't fit is written as a remark with its reason, so that what is active works as it stands.

mod own;
mod pairs;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

use own::{computed, filled_there, generated, is_made, zones_meet};
use pairs::{alike, matched};
use written::{list, quoted, said, text, without_password};

pub use written::write_new;

use crate::catalog::{
    ColumnFacts, RelationFacts, encoding, facts, readable, relation, strange, unpathed,
};
use crate::config::{self, Settings, Sources, as_key, as_text};
use crate::fault::{Fault, Kind, Side};
use crate::flows::agree_again;
use crate::model::{Charset, Name};
use crate::plan::quote;
use crate::wire::WireError;
use crate::wire::control::{self, Control};

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
    /// A password was given, and stands in no file: what it has to be called in the environment.
    pub secrets: Vec<&'static str>,
}

/// Looks at both databases; changes nothing.
///
/// # Errors
/// When a side can't be reached.
pub async fn propose(
    desktop_url: &str,
    cloud_url: &str,
    sources: Sources,
) -> Result<Proposal, Fault> {
    let urls = format!(
        "[desktop]\nurl = {}\n[cloud]\nurl = {}\n",
        quoted(desktop_url),
        quoted(cloud_url)
    );
    let settings = read(&urls, &sources)?.map_err(wrong_url)?;
    let desktop = control::connect(&settings.desktop.endpoint).await;
    let desktop = desktop.map_err(|error| no_way_in(Side::Desktop, &error))?;
    let cloud = control::connect(&settings.cloud.endpoint).await;
    let cloud = cloud.map_err(|error| no_way_in(Side::Cloud, &error))?;
    let one = facts(&desktop.client, Side::Desktop).await;
    let other = facts(&cloud.client, Side::Cloud).await;
    if let (Ok(one), Ok(other)) = (one, other) {
        one.is_not(&other)?;
    }
    let here = look(&desktop, Side::Desktop).await?;
    let there = look(&cloud, Side::Cloud).await?;
    let mut entries = Vec::new();
    let pairs = matched(&here, &there);
    for (from, to) in &pairs {
        entries.push(entry(from, to, &settings, (&desktop.client, &cloud.client)).await?);
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let (desktop_url, desktop_secret) = without_password(desktop_url);
    let (cloud_url, cloud_secret) = without_password(cloud_url);
    let head = Head {
        desktop: (desktop_url, desktop_secret),
        cloud: (cloud_url, cloud_secret),
        org: tenant(&entries),
        zone: zone(&desktop).await?,
        zoned: pairs.iter().any(|(from, to)| zones_meet(from, to)),
        bare: bare(&desktop, &entries).await?,
    };
    let misfits = misfits(&head, &entries, &sources, (&desktop.client, &cloud.client)).await?;
    let alone = |all: &[RelationFacts], mine: &dyn Fn(&Entry) -> &Name| -> Vec<String> {
        let known: BTreeSet<_> = entries.iter().map(mine).collect();
        let others = all.iter().filter(|facts| !known.contains(&facts.name));
        others.map(|facts| facts.name.to_string()).collect()
    };
    let mut others = Others {
        desktop: alone(&here, &|entry| &entry.desktop),
        cloud: alone(&there, &|entry| &entry.cloud),
        alike: Vec::new(),
    };
    others.alike = alike(&here, &there, &others);
    Ok(Proposal {
        text: text(&head, &entries, &misfits, &others),
        active: entries.len() - misfits.len(),
        set_aside: misfits.len(),
        questions: entries.iter().filter(|entry| entry.asks).count()
            + others.alike.len()
            + usize::from(head.bare.as_ref().is_some_and(|found| !found.is_empty())),
        secrets: [
            ("DESKTOP_DB_PASSWORD", desktop_secret),
            ("SUPABASE_DB_PASSWORD", cloud_secret),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect(),
    })
}

/// Both URLs as they are written, whether each came with a password, and the tenant column if there seems to be one.
struct Head {
    desktop: (String, bool),
    cloud: (String, bool),
    org: Option<String>,
    /// The time zone that the desktop's server has.
    zone: String,
    /// Times without a zone meet times with one.
    zoned: bool,
    /// The desktop's database has no encoding: tables with text that is not UTF-8, as far as can be seen.
    bare: Option<Vec<String>>,
}

/// Tables without a partner.
#[derive(Default)]
struct Others {
    desktop: Vec<String>,
    cloud: Vec<String>,
    /// Those of both sides that most of their columns bring together, though no name does.
    alike: Vec<(String, String)>,
}

/// A table of the proposal.
struct Entry {
    name: String,
    desktop: Name,
    cloud: Name,
    /// The lines behind the name.
    lines: Vec<String>,
    columns: BTreeSet<String>,
    /// A remark among the lines asks something.
    asks: bool,
}

/// A URL that can't be read is an argument here, not a line of a file.
fn wrong_url(problems: config::Problems) -> Fault {
    let said = problems.items().first();
    let flag = match said.map_or(0, |problem| problem.line) {
        1 | 2 => "--desktop",
        3 | 4 => "--cloud",
        _ => "in the environment",
    };
    let said = said.map_or_else(String::new, |problem| problem.message.clone());
    Fault::new(Kind::Input, format!("{flag}: {said}"))
        .hint("it looks like postgres://USER@HOST:PORT/DATABASE; nothing was written")
}

/// No settings are there yet that a hint could name.
fn no_way_in(side: Side, error: &WireError) -> Fault {
    let fault = Fault::wire(side, error);
    match matches!(error, WireError::Authentication(_)) {
        true => fault.hint(format!(
            "put the password into the environment as TANDEM_{}_PASSWORD, or into the URL of --{side}; it is written nowhere",
            side.to_string().to_uppercase()
        )),
        false => fault,
    }
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
    let rows = desktop.client.query_typed(sql, &[]).await;
    let rows = rows.map_err(Fault::at(Side::Desktop))?;
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
        "select {schema}, {table} from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_' and n.nspname <> all ($1) \
         and n.nspname::text = {schema} and c.relname::text = {table} order by 1, 2"
    );
    let others: Vec<&str> = NOT_OURS.to_vec();
    let rows = client
        .query_typed(&sql, &[(&others, tokio_postgres::types::Type::TEXT_ARRAY)])
        .await;
    let rows = rows.map_err(Fault::at(side))?;
    unpathed(client)
        .await
        .map_err(|error| Fault::wire(side, &error))?;
    let mut all = Vec::new();
    for row in &rows {
        let name = Name {
            schema: row.get(0),
            relation: row.get(1),
        };
        let found = relation(client, &name).await;
        all.extend(found.map_err(|error| Fault::wire(side, &error))?);
    }
    let ended = client.batch_execute("commit").await;
    ended.map_err(Fault::at(side))?;
    Ok(all)
}

async fn entry(
    from: &RelationFacts,
    to: &RelationFacts,
    settings: &Settings,
    (desktop, cloud): (&Client, &Client),
) -> Result<Entry, Fault> {
    let (mut lines, mut asks) = (Vec::new(), false);
    let name = from.name.to_string();
    if to.name != from.name {
        lines.push(format!("cloud = {}", as_text(&to.name.to_string())));
    }
    let reverse = comes_home(from, to, settings, (desktop, cloud)).await?;
    if reverse {
        lines.push("flow = \"reverse\"               # its rows are made on phones".to_owned());
        lines.extend(skipped(
            to,
            from,
            &settings.reverse.skip,
            &[],
            "[table.reverse]\nskip",
        ));
    } else {
        let owner = &settings.owner.column;
        let generated = generated(from, to, desktop).await?;
        let key = key(from, to, &generated, desktop).await?;
        match &key {
            Some(names) if *names == to.primary_key => {}
            Some(names) => lines.push(format!("key = {}", list(names))),
            None => lines.push(
                "key = []                       # no columns name one row: equal rows are counted"
                    .to_owned(),
            ),
        }
        let times = filled_there(from, to, (desktop, cloud)).await?;
        let stay: Vec<_> = { generated.iter() }
            .chain(times.iter().map(|(name, _)| name))
            .cloned()
            .collect();
        let computed = computed(from, to);
        let stay: Vec<_> = { stay.into_iter() }
            .chain(computed.iter().map(|(name, _)| name.clone()))
            .collect();
        lines.extend(skipped(from, to, &settings.forward.skip, &stay, "skip"));
        lines.extend(
            computed
                .iter()
                .map(|(name, why)| said(&format!("# {name}: {why}"))),
        );
        lines.extend(
            times
                .iter()
                .map(|(name, why)| said(&format!("# {name}: {why}"))),
        );
        let unfilled = to.columns.iter().filter(|column| {
            from.column(&column.name).is_none() && !generated.contains(&column.name)
        });
        let unfilled = unfilled.filter(|column| !column.computed);
        let unfilled = unfilled.map(|column| &column.name);
        let unfilled: Vec<_> = unfilled
            .filter(|name| *name != owner && !settings.forward.skip.contains(name))
            .cloned()
            .collect();
        let left = from.columns.iter().map(|column| &column.name);
        let left =
            left.filter(|name| to.column(name).is_none() && !settings.forward.skip.contains(name));
        if let Some(left) = left.into_iter().next().filter(|_| !unfilled.is_empty()) {
            asks = true;
            lines.push(format!(
                "# Only in the cloud: {}. If one of them is a column of skip under another name:",
                said(&unfilled.join(", "))
            ));
            lines.push(format!(
                "# rename = {{ {} = {} }}",
                as_key(left),
                as_text(&unfilled[0])
            ));
        }
        if !generated.is_empty() {
            lines.push(format!(
                "swap = \"1d\"                    # {} is generated in the cloud; it stays",
                said(&generated.join(", "))
            ));
        } else if key.is_some() && to.primary_key.iter().any(|name| is_made(to, name)) {
            lines.push(format!(
                "# {} comes from the desktop; the cloud can make it too. Where phones add rows to this table, ids may meet:\n\
                 # give the cloud's a range of their own, or make them uuids.",
                said(&to.primary_key.join(", "))
            ));
        }
    }
    Ok(Entry {
        name,
        desktop: from.name.clone(),
        cloud: to.name.clone(),
        lines,
        columns: to
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect(),
        asks,
    })
}

/// Rows that only phones make: the cloud has some of theirs and none of the desktop's, or needs what the desktop doesn't have.
async fn comes_home(
    from: &RelationFacts,
    to: &RelationFacts,
    settings: &Settings,
    (desktop, cloud): (&Client, &Client),
) -> Result<bool, Fault> {
    let owner = &settings.owner;
    let needs = to.columns.iter().any(|column| {
        let owned = column.name == owner.column;
        column.must_be_given() && !owned && from.column(&column.name).is_none()
    });
    if to.column(&owner.column).is_none() {
        return Ok(false);
    }
    let (target, column) = (to.rows(), quote::ident(&owner.column));
    let sql = format!(
        "select exists (select from {target} as t where t.{column}::text = {}), exists (select from {target} as t where t.{column}::text = {})",
        quote::literal(&owner.mobile),
        quote::literal(&owner.desktop)
    );
    let rows = cloud
        .query_typed(&sql, &[])
        .await
        .map_err(Fault::at(Side::Cloud))?;
    let (mobile, owned) = rows
        .first()
        .map_or((false, false), |row| (row.get(0), row.get(1)));
    let sql = format!("select exists (select from {})", from.rows());
    let rows = desktop
        .query_typed(&sql, &[])
        .await
        .map_err(Fault::at(Side::Desktop))?;
    let filled = rows.first().is_some_and(|row| row.get(0));
    Ok(mobile && !owned || needs && !filled)
}

/// The cloud's primary key, or a unique index of it, if the desktop's rows are named by it; measured.
async fn key(
    from: &RelationFacts,
    to: &RelationFacts,
    generated: &[String],
    desktop: &Client,
) -> Result<Option<Vec<String>>, Fault> {
    let sets = std::iter::once(&to.primary_key).chain(&to.unique);
    for names in sets {
        let written = |facts: Option<&ColumnFacts>| facts.is_some_and(|facts| !facts.computed);
        let sent = |facts: Option<&ColumnFacts>| facts.is_some_and(|facts| facts.sent);
        let known = |name: &String| {
            sent(from.column(name)) && written(to.column(name)) && !generated.contains(name)
        };
        if names.is_empty() || !names.iter().all(known) {
            continue;
        }
        let list: Vec<_> = names.iter().map(|name| quote::ident(name)).collect();
        let sql = format!(
            "select exists (select from {} group by {} having count(*) > 1)",
            quote::table(&from.name),
            list.join(", ")
        );
        let rows = desktop
            .query_typed(&sql, &[])
            .await
            .map_err(Fault::at(Side::Desktop))?;
        if !rows.first().is_some_and(|row| row.get(0)) {
            return Ok(Some(names.clone()));
        }
    }
    Ok(None)
}

/// Columns of the sender that have no place at the receiver.
fn skipped(
    from: &RelationFacts,
    to: &RelationFacts,
    always: &[String],
    more: &[String],
    word: &str,
) -> Option<String> {
    let names = from.columns.iter().map(|column| &column.name);
    let names = names.filter(|name| !always.contains(name));
    let names: Vec<_> = names
        .filter(|name| to.column(name).is_none() || more.contains(name))
        .cloned()
        .collect();
    (!names.is_empty()).then(|| format!("{word} = {}", list(&names)))
}

/// A column by which most tables of the cloud are told apart by firm.
fn tenant(entries: &[Entry]) -> Option<String> {
    let names = [
        "org_id",
        "tenant_id",
        "organization_id",
        "company_id",
        "firm_id",
    ];
    let most = |name: &&str| {
        let with = entries.iter().filter(|entry| entry.columns.contains(*name));
        with.count() * 2 > entries.len() && !entries.is_empty()
    };
    names.into_iter().find(most).map(str::to_owned)
}

/// Which tables don't fit as they are proposed, and why.
async fn misfits(
    head: &Head,
    entries: &[Entry],
    sources: &Sources,
    (desktop, cloud): (&Client, &Client),
) -> Result<BTreeMap<String, String>, Fault> {
    if entries.is_empty() {
        return Ok(BTreeMap::new());
    }
    let bare = Head {
        desktop: (head.desktop.0.clone(), false),
        cloud: (head.cloud.0.clone(), false),
        org: head.org.clone(),
        zone: head.zone.clone(),
        zoned: head.zoned,
        bare: None,
    };
    let whole = text(&bare, entries, &BTreeMap::new(), &Others::default());
    let settings = read(&whole, sources)?.map_err(|error| broken(&error))?;
    let names = entries.iter().map(|entry| entry.name.clone()).collect();
    let tables = agree_again(&settings, desktop, cloud, &names).await?;
    let misfits = tables.misfits().iter();
    Ok(misfits
        .map(|misfit| (misfit.name.clone(), misfit.why.clone()))
        .collect())
}

/// The settings that a text makes, as if it were the file.
fn read(text: &str, sources: &Sources) -> Result<Result<Settings, config::Problems>, Fault> {
    let folder = tempfile::tempdir().map_err(|error| broken(&error))?;
    let file = folder.path().join("tandem.toml");
    std::fs::write(&file, text).map_err(|error| broken(&error))?;
    let sources = Sources {
        file: Some(file),
        ..sources.clone()
    };
    Ok(config::load(&sources))
}

fn broken(error: &(impl std::fmt::Display + ?Sized)) -> Fault {
    Fault::new(
        Kind::Internal,
        "internal check failed: the proposed settings can't be read",
    )
    .cause(error)
}
