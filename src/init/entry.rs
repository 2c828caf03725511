//! A table of the proposal: what the settings say of it, and why.

use tokio_postgres::Client;

use super::decide;
use super::fitting::{Fitting, fitting};
use super::own::{computed, filled_there, generated};
use super::question::{Decisions, remark};
use super::written::{Entry, list};
use crate::catalog::RelationFacts;
use crate::config::{Flow, Settings, as_text, quoted};
use crate::fault::{Fault, Side};

/// A table as it stands on the desktop and in the cloud.
type Sides<'a> = (&'a RelationFacts, &'a RelationFacts);

/// What is proposed for two tables that belong together, with the answers that there are.
pub(super) async fn entry(
    (from, to): Sides<'_>,
    (settings, zone): (&Settings, &str),
    clients: (&Client, &Client),
    decisions: &mut Decisions,
) -> Result<Entry, Fault> {
    let columns = to.columns.iter().map(|column| column.name.clone());
    let mut entry = Entry {
        name: from.name.to_string(),
        desktop: from.name.clone(),
        cloud: to.name.clone(),
        lines: Vec::new(),
        columns: columns.collect(),
        asks: false,
        aside: None,
    };
    if to.name != from.name {
        let cloud = as_text(&to.name.to_string());
        entry.lines.push(format!("cloud = {cloud}"));
    }
    let flow = decide::flow(decisions, (from, to), &settings.owner, clients).await?;
    if let (Flow::Reverse, said) = flow {
        let lines = &mut entry.lines;
        lines.push("flow = \"reverse\"               # its rows are made on phones".to_owned());
        lines.extend(said);
        let (table, section) = coming_home((from, to), (settings, zone));
        lines.extend(table.into_iter().chain(section));
    } else {
        outward(
            &mut entry,
            (from, to),
            (settings, zone),
            clients,
            (flow, decisions),
        )
        .await?;
    }
    Ok(entry)
}

/// What a table needs whose rows go to the cloud, or both ways.
async fn outward(
    entry: &mut Entry,
    (from, to): Sides<'_>,
    (settings, zone): (&Settings, &str),
    clients: (&Client, &Client),
    ((mut flow, said), decisions): ((Flow, Vec<String>), &mut Decisions),
) -> Result<(), Fault> {
    let owner = &settings.owner;
    let generated = generated(from, to, clients.0).await?;
    let (key, of_key) = decide::key(decisions, (from, to), &generated, clients).await?;
    let ids = match generated.is_empty() && key.is_some() && said.is_empty() {
        true => decide::ids(decisions, (from, to), owner),
        false => decide::Ids::default(),
    };
    if ids.both {
        flow = Flow::Both;
    }
    if flow == Flow::Both {
        entry.lines.push("flow = \"both\"".to_owned());
    }
    entry.lines.extend(said);
    entry.lines.extend(key_line(key.as_deref(), to));
    entry.lines.extend(of_key);
    let stay = staying(
        entry,
        (from, to),
        (settings, &generated),
        clients,
        decisions,
    )
    .await?;
    let left_out = |name: &str| name == owner.column || stay.iter().any(|other| other == name);
    let Fitting { table, converts } = fitting((from, to), Side::Cloud, zone, &left_out);
    let narrows = !table.is_empty();
    entry.lines.extend(table.into_iter().chain(converts));
    if !generated.is_empty() {
        entry.lines.push(format!(
            "swap = \"1d\"                    # {} is generated in the cloud; it stays",
            remark(&generated.join(", "))
        ));
    }
    entry.lines.extend(ids.lines);
    entry.aside = ids.aside;
    if flow == Flow::Both {
        let (table, section) = coming_home((from, to), (settings, zone));
        // The word is said once, for both directions.
        entry.lines.extend(table.into_iter().filter(|_| !narrows));
        entry.lines.extend(section);
    }
    Ok(())
}

/// What names a row, where it isn't the cloud's primary key.
fn key_line(key: Option<&[String]>, to: &RelationFacts) -> Option<String> {
    match key {
        Some(names) if *names == to.primary_key => None,
        Some(names) => Some(format!("key = {}", list(names))),
        None => Some(
            "key = []                       # no columns name one row: equal rows are counted"
                .to_owned(),
        ),
    }
}

/// Says which columns of the desktop stay there and why, and which has another name in the cloud. The answer is the names of
/// all of them.
async fn staying(
    entry: &mut Entry,
    (from, to): Sides<'_>,
    (settings, generated): (&Settings, &[String]),
    clients: (&Client, &Client),
    decisions: &mut Decisions,
) -> Result<Vec<String>, Fault> {
    let times = filled_there(from, to, clients).await?;
    let (times, of_times) = decide::times(decisions, &entry.name, times);
    let computed = computed(from, to);
    let unfilled = unfilled((from, to), settings, generated);
    let mut homeless = { from.columns.iter() }
        .map(|column| &column.name)
        .filter(|name| to.column(name).is_none() && !settings.forward.skip.contains(name));
    let left = homeless.next().filter(|_| !unfilled.is_empty());
    let (renamed, of_rename) = match left {
        Some(left) => decide::rename(decisions, (from, to), left, &unfilled),
        None => (None, Vec::new()),
    };
    let stay: Vec<_> = { generated.iter().chain(&times) }
        .chain(computed.iter().map(|(name, _)| name))
        .cloned()
        .collect();
    let mut always = settings.forward.skip.clone();
    always.extend(left.filter(|_| renamed.is_some()).cloned());
    let lines = &mut entry.lines;
    lines.extend(skipped(from, to, &always, &stay, "skip"));
    lines.extend(
        computed
            .iter()
            .map(|(name, why)| remark(&format!("# {name}: {why}"))),
    );
    lines.extend(of_times);
    if let Some(left) = left {
        lines.extend(rename_lines(left, renamed.as_deref(), &unfilled));
        entry.asks = renamed.is_none();
    }
    entry.lines.extend(of_rename);
    always.extend(stay);
    Ok(always)
}

/// Columns of the cloud that nothing of the desktop fills.
fn unfilled((from, to): Sides<'_>, settings: &Settings, generated: &[String]) -> Vec<String> {
    let unfilled = to.columns.iter().filter(|column| {
        from.column(&column.name).is_none() && !generated.contains(&column.name) && !column.computed
    });
    unfilled
        .map(|column| &column.name)
        .filter(|name| **name != settings.owner.column && !settings.forward.skip.contains(name))
        .cloned()
        .collect()
}

/// A column of the desktop under its name in the cloud, or a question for it.
fn rename_lines(left: &str, renamed: Option<&str>, unfilled: &[String]) -> Vec<String> {
    let line = |other: &str| format!("rename = {{ {} = {} }}", quoted(left), as_text(other));
    match renamed {
        Some(other) => vec![line(other)],
        None => vec![
            format!(
                "# Only in the cloud: {}. If one of them is a column of skip under another name:",
                remark(&unfilled.join(", "))
            ),
            format!("# {}", line(&unfilled[0])),
        ],
    }
}

/// What columns that come home need: lines for the table, and those of a section of its own.
fn coming_home(
    (from, to): (&RelationFacts, &RelationFacts),
    (settings, zone): (&Settings, &str),
) -> (Vec<String>, Vec<String>) {
    let always = &settings.reverse.skip;
    let skip = skipped(to, from, always, &[], "skip");
    let left_out = |name: &str| always.iter().any(|skip| skip == name);
    let Fitting { table, converts } = fitting((to, from), Side::Desktop, zone, &left_out);
    let mut section: Vec<_> = skip.into_iter().chain(converts).collect();
    if !section.is_empty() {
        section.insert(0, "[table.reverse]".to_owned());
    }
    (table, section)
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
