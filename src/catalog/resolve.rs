//! The settings against both catalogs. Pure.

use super::narrow::misfit;
use super::relation::{ColumnFacts, RelationFacts};
use crate::config::{Settings, Table as Wanted, TenantRule};
use crate::model::{Column, Key, Name, Owner, Source, Table, TableId, TenantColumn};

/// A table of the settings with what both catalogs say about it.
pub struct Pair<'a> {
    /// The settings.
    pub wanted: &'a Wanted,
    /// The desktop's table, if it exists.
    pub desktop: Option<&'a RelationFacts>,
    /// The cloud's table, if it exists.
    pub cloud: Option<&'a RelationFacts>,
}

/// Something that doesn't fit, in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The table's name in the settings.
    pub table: String,
    /// What is wrong, and what would mend it.
    pub what: String,
}

/// Makes a table, or says everything that stands in its way.
///
/// # Errors
/// All mismatches of this table at once.
pub fn resolve(settings: &Settings, pair: &Pair<'_>) -> Result<Table, Vec<Mismatch>> {
    let mut complaints = Vec::new();
    let table = attempt(settings, pair, &mut complaints);
    match table {
        Some(table) if complaints.is_empty() => Ok(table),
        _ => Err(complaints
            .into_iter()
            .map(|what| Mismatch {
                table: pair.wanted.name.clone(),
                what,
            })
            .collect()),
    }
}

fn attempt(settings: &Settings, pair: &Pair<'_>, complaints: &mut Vec<String>) -> Option<Table> {
    let wanted = pair.wanted;
    let desktop = exists(
        pair.desktop,
        "desktop",
        &format!("{}.{}", wanted.schema, wanted.relation),
        complaints,
    );
    let cloud_name = Name {
        schema: wanted.cloud.schema.clone(),
        relation: wanted.cloud.relation.clone(),
    };
    let cloud = exists(pair.cloud, "cloud", &cloud_name.to_string(), complaints);
    let (desktop, cloud) = desktop.zip(cloud)?;
    let owner = cloud.column(&settings.owner.column).map(|column| Owner {
        column: column.name.clone(),
        base_type: column.base_type.clone(),
        desktop: settings.owner.desktop.clone(),
        mobile: settings.owner.mobile.clone(),
    });
    let desktop_owner = desktop
        .column(&settings.owner.column)
        .map(|column| column.name.clone());
    let mut columns = arriving(settings, wanted, desktop, cloud, complaints);
    let tenant = tenant(settings, wanted, cloud, &columns, complaints);
    constants(wanted, cloud, &tenant, &mut columns, complaints);
    unfilled(cloud, &columns, owner.as_ref(), complaints);
    let key = key(wanted, cloud, &columns, complaints);
    let mut table = Table {
        id: TableId(0),
        name: wanted.name.clone(),
        desktop: desktop.name.clone(),
        desktop_oid: desktop.oid,
        cloud: cloud.name.clone(),
        columns,
        key,
        owner,
        desktop_owner,
        tenant,
        refers_to_itself: cloud.parents.contains(&cloud.oid),
        fingerprint: String::new(),
    };
    table.fingerprint = fingerprint(&table);
    Some(table)
}

fn exists<'a>(
    facts: Option<&'a RelationFacts>,
    side: &str,
    name: &str,
    complaints: &mut Vec<String>,
) -> Option<&'a RelationFacts> {
    match facts {
        None => complaints.push(format!(
            "{name} does not exist on the {side}, or our user may not see it"
        )),
        Some(facts) if facts.kind == 'r' => return Some(facts),
        Some(facts) if facts.kind == 'p' && side == "cloud" => return Some(facts),
        Some(facts) if facts.kind == 'p' => {
            complaints.push(format!(
                "{} is partitioned on the {side}, which this version does not stream",
                facts.name
            ));
        }
        Some(facts) => complaints.push(format!(
            "{} is not an ordinary table on the {side}",
            facts.name
        )),
    }
    None
}

fn arriving(
    settings: &Settings,
    wanted: &Wanted,
    desktop: &RelationFacts,
    cloud: &RelationFacts,
    complaints: &mut Vec<String>,
) -> Vec<Column> {
    let named = wanted
        .skip
        .iter()
        .chain(wanted.rename.iter().map(|(from, _)| from));
    for name in named.filter(|name| desktop.column(name).is_none()) {
        complaints.push(format!(
            "column {name} is in the settings, but not in the desktop's table"
        ));
    }
    let mut columns = Vec::new();
    for from in &desktop.columns {
        let skipped =
            wanted.skip.contains(&from.name) || settings.forward.skip.contains(&from.name);
        if skipped || from.name == settings.owner.column {
            continue;
        }
        let renamed = wanted
            .rename
            .iter()
            .find(|(desktop, _)| *desktop == from.name);
        let name = renamed.map_or(&from.name, |(_, cloud)| cloud);
        if wanted.set.iter().any(|(set, _)| set == name) {
            continue;
        }
        let Some(to) = cloud.column(name) else {
            complaints.push(format!("column {} of the desktop has no place in the cloud; add {name} there, or name it in skip or rename", from.name));
            continue;
        };
        if from.computed && to.computed {
            continue;
        }
        if from.computed {
            complaints.push(format!(
                "column {} is computed on the desktop, which does not send it; name it in skip",
                from.name
            ));
        }
        if to.refuses_values() {
            complaints.push(format!(
                "column {name} is generated in the cloud and can't be written; name {} in skip",
                from.name
            ));
        }
        if let Some(why) = misfit(from, to) {
            complaints.push(format!("column {name}: {why}"));
        }
        columns.push(column(to, Source::Desktop(from.name.clone())));
    }
    columns
}

fn column(to: &ColumnFacts, from: Source) -> Column {
    let normalised = matches!(
        to.type_name.as_str(),
        "numeric" | "timestamp" | "timestamptz" | "time" | "timetz" | "interval"
    );
    let compare_type = match to.type_name.as_str() {
        "bpchar" => "pg_catalog.text".to_owned(),
        _ if normalised && to.modifier >= 0 => to.full_type.clone(),
        _ => to.base_type.clone(),
    };
    // These have no equality that a join could use.
    let comparable = to.category != 'G'
        && !matches!(
            to.type_name.as_str(),
            "json" | "xml" | "jsonpath" | "pg_snapshot" | "txid_snapshot"
        );
    Column {
        cloud: to.name.clone(),
        from,
        base_type: to.base_type.clone(),
        compare_type,
        exact: from_type_is_exact(to),
        not_null: to.not_null && comparable,
    }
}

/// Types whose equal values are always written alike.
fn from_type_is_exact(to: &ColumnFacts) -> bool {
    match to.type_name.as_str() {
        "numeric" => to.modifier >= 0,
        "bpchar" | "citext" | "interval" | "float4" | "float8" => false,
        _ => true,
    }
}

fn tenant(
    settings: &Settings,
    wanted: &Wanted,
    cloud: &RelationFacts,
    columns: &[Column],
    complaints: &mut Vec<String>,
) -> Vec<TenantColumn> {
    if wanted.tenant == TenantRule::None {
        return Vec::new();
    }
    let mut tenant = Vec::new();
    for (name, value) in &settings.tenant {
        let Some(to) = cloud.column(name) else {
            complaints.push(format!("the cloud's table has no tenant column {name}; if nobody shares it, say tenant = false"));
            continue;
        };
        let desktop = columns
            .iter()
            .find(|column| column.cloud == *name)
            .and_then(|column| match &column.from {
                Source::Desktop(from) => Some(from.clone()),
                Source::Constant(_) => None,
            });
        tenant.push(TenantColumn {
            cloud: name.clone(),
            base_type: to.base_type.clone(),
            value: value.clone(),
            desktop,
        });
    }
    tenant
}

fn constants(
    wanted: &Wanted,
    cloud: &RelationFacts,
    tenant: &[TenantColumn],
    columns: &mut Vec<Column>,
    complaints: &mut Vec<String>,
) {
    let missing = tenant
        .iter()
        .filter(|column| column.desktop.is_none())
        .map(|column| (&column.cloud, &column.value));
    let set = wanted.set.iter().map(|(name, value)| (name, value));
    for (name, value) in set.chain(missing) {
        match cloud.column(name) {
            None => complaints.push(format!(
                "set names column {name}, which the cloud's table does not have"
            )),
            Some(to) if columns.iter().all(|column| column.cloud != *name) => {
                columns.push(column(to, Source::Constant(value.clone())));
            }
            Some(_) => {}
        }
    }
}

fn unfilled(
    cloud: &RelationFacts,
    columns: &[Column],
    owner: Option<&Owner>,
    complaints: &mut Vec<String>,
) {
    for to in cloud
        .columns
        .iter()
        .filter(|column| column.not_null && !column.has_default && !column.refuses_values())
    {
        let filled = columns.iter().any(|column| column.cloud == to.name);
        if !filled && owner.is_none_or(|owner| owner.column != to.name) {
            complaints.push(format!("column {} of the cloud refuses NULL, has no default, and nothing fills it; use set or rename", to.name));
        }
    }
}

fn key(
    wanted: &Wanted,
    cloud: &RelationFacts,
    columns: &[Column],
    complaints: &mut Vec<String>,
) -> Key {
    let names = match &wanted.key {
        Some(names) if names.is_empty() => return Key::Multiset,
        Some(names) => names,
        None if cloud.primary_key.is_empty() => {
            complaints.push("the cloud's table has no primary key; say key = [...] with columns that name a row, or key = [] to count equal rows".to_owned());
            return Key::Multiset;
        }
        None => &cloud.primary_key,
    };
    let mut key = Vec::new();
    for name in names {
        match columns.iter().position(|column| column.cloud == *name) {
            Some(at) => key.push(at),
            None if cloud.column(name).is_none() => {
                complaints.push(format!(
                    "key column {name} does not exist in the cloud's table"
                ));
            }
            None => complaints.push(format!(
                "key column {name} is not filled by forward; choose another key, or key = []"
            )),
        }
    }
    Key::Columns(key)
}

/// A text that changes when key or mapping do.
fn fingerprint(table: &Table) -> String {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| format!("{}={:?}:{}", column.cloud, column.from, column.base_type))
        .collect();
    let text = format!(
        "{}|{}|{}|{:?}|{}|{:?}|{:?}",
        table.desktop,
        table.desktop_oid,
        table.cloud,
        table.key,
        columns.join(","),
        table.owner,
        table.tenant
    );
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
