//! Reads `[[table]]`.

use std::time::Duration;

use toml::de::DeValue;

use super::agree;
use super::check;
use super::complaint::{Checked, Complaint};
use super::document::{Key, Value, entries};
use super::layers::{Found, Input, Origin, Reader};
use super::mapping::{
    CloudTable, Flow, KeptOut, Lookup, Narrow, OnConflict, OnMobileRow, Orphans, Table,
    TableReverse, TenantRule,
};
use super::section::Section;
use super::sections::Forward;
use super::units::Limits;

const SWAP: Limits<Duration> = Limits {
    range: Duration::from_secs(1)..=Duration::from_secs(30 * 86_400),
    why: "a swap reads the whole table",
};

/// A broken refill must not empty every phone.
const MAX_SHRINK: f64 = 0.2;

/// All tables, in the file's order; those with problems are left out.
pub(super) fn tables(reader: &mut Reader<'_>, forward: &Forward) -> Vec<Table> {
    let document = reader.document;
    let Some((key, value)) = document
        .root
        .iter()
        .find(|(key, _)| key.get_ref() == "table")
    else {
        return Vec::new();
    };
    let DeValue::Array(array) = value.get_ref() else {
        reader.problems.push(not_a_list(reader, key));
        return Vec::new();
    };
    let mut tables = Vec::new();
    for entry in array {
        let Some(table) = entry.get_ref().as_table() else {
            reader.problems.push(not_a_list(reader, key));
            continue;
        };
        let title = table
            .iter()
            .find(|(key, _)| key.get_ref() == "name")
            .and_then(|(_, name)| name.get_ref().as_str());
        let mut section = reader.table(title.unwrap_or("?"), table);
        let read = read(&mut section, entry, forward);
        section.finish();
        if let Some(read) = read {
            unique(reader, &read, &tables);
            tables.push(read);
        }
    }
    tables.into_iter().map(|read| read.table).collect()
}

fn not_a_list(reader: &Reader<'_>, key: &Key<'_>) -> super::problem::Problem {
    reader.document.problem(
        &key.span(),
        "table is a list, each table written under its own [[table]]",
    )
}

/// A table with the places of its names.
pub(super) struct Read {
    pub(super) table: Table,
    pub(super) name: Origin,
    pub(super) cloud: Option<Origin>,
}

fn read<'d>(
    section: &mut Section<'_, 'd>,
    entry: &'d Value<'d>,
    forward: &Forward,
) -> Option<Read> {
    let before = section.reader.problems.len();
    let name = place(section, "name");
    let cloud = place(section, "cloud");
    if name.is_none() && section.reader.problems.len() == before {
        nameless(section, entry);
    }
    let shown_cloud = cloud
        .as_ref()
        .or(name.as_ref())
        .map(|place| place.written.clone())
        .unwrap_or_default();
    if cloud.is_none() {
        section.row("cloud", shown_cloud, None);
    }
    let at = name.as_ref().map(|name| name.origin.clone());
    let line = at.as_ref().map_or(0, |origin| line(section, origin));
    let (schema, relation) = name
        .as_ref()
        .map(|name| (name.schema.clone(), name.relation.clone()))
        .unwrap_or_default();
    let target = cloud.as_ref().or(name.as_ref());
    let target = target
        .map(|place| (place.schema.clone(), place.relation.clone()))
        .unwrap_or_default();
    let table = Table {
        name: name.map(|name| name.written).unwrap_or_default(),
        schema,
        relation,
        cloud: CloudTable {
            schema: target.0,
            relation: target.1,
        },
        flow: section.choice("flow", Flow::Forward, &FLOWS),
        key: key(section),
        stream: section.switch("stream", true),
        swap: section.duration_or_off("swap", &SWAP),
        max_shrink: section.share("max_shrink", MAX_SHRINK),
        tenant: tenant(section),
        skip: section.columns("skip").unwrap_or_default(),
        rename: section.pairs("rename", check::name).unwrap_or_default(),
        set: section.pairs("set", check::constant).unwrap_or_default(),
        lookup: lookups(section),
        convert: section
            .pairs("convert", check::sentence)
            .unwrap_or_default(),
        narrow: section.choice("narrow", Narrow::Refuse, &NARROW),
        cloud_owned: section.columns("cloud_owned").unwrap_or_default(),
        orphans: section.choice("orphans", Orphans::Quarantine, &ORPHANS),
        on_mobile_row: section.choice("on_mobile_row", OnMobileRow::Keep, &ON_MOBILE_ROW),
        kept_out: section.choice("kept_out", KeptOut::Quarantine, &KEPT_OUT),
        reverse: reverse(section),
        line,
    };
    agree::columns_agree(section, &table, forward);
    Some(Read {
        table,
        name: at?,
        cloud: cloud.map(|cloud| cloud.origin),
    })
}

fn nameless<'d>(section: &mut Section<'_, 'd>, entry: &'d Value<'d>) {
    let problem = section
        .reader
        .document
        .problem(&entry.span(), "this [[table]] has no name");
    section
        .reader
        .problems
        .push(problem.hint("name = \"schema.table\", or a table in public"));
}

const FLOWS: [(&str, Flow); 3] = [
    ("forward", Flow::Forward),
    ("reverse", Flow::Reverse),
    ("both", Flow::Both),
];
const NARROW: [(&str, Narrow); 2] = [
    ("refuse", Narrow::Refuse),
    ("quarantine", Narrow::Quarantine),
];
const ORPHANS: [(&str, Orphans); 2] =
    [("quarantine", Orphans::Quarantine), ("null", Orphans::Null)];
const ON_MOBILE_ROW: [(&str, OnMobileRow); 2] =
    [("keep", OnMobileRow::Keep), ("apply", OnMobileRow::Apply)];
const KEPT_OUT: [(&str, KeptOut); 2] = [
    ("quarantine", KeptOut::Quarantine),
    ("rule_out", KeptOut::RuleOut),
];
const ON_CONFLICT: [(&str, OnConflict); 2] =
    [("update", OnConflict::Update), ("keep", OnConflict::Keep)];

fn line(section: &Section<'_, '_>, origin: &Origin) -> usize {
    match origin {
        Origin::File(place) => section.reader.document.line(place.start),
        Origin::Environment(_) | Origin::Flag => 0,
    }
}

/// `schema.table`, taken apart.
struct Place {
    written: String,
    schema: String,
    relation: String,
    origin: Origin,
}

fn place(section: &mut Section<'_, '_>, key: &str) -> Option<Place> {
    let found = section.scalar(key, false)?;
    let parsed = found.input.text().and_then(|written| {
        let name = check::table(written)?;
        Ok((written.to_owned(), name))
    });
    match parsed {
        Ok((written, name)) => {
            section.row(key, written.clone(), Some(&found.origin));
            Some(Place {
                written,
                schema: name.schema,
                relation: name.relation,
                origin: found.origin,
            })
        }
        Err(complaint) => {
            section.wrong(key, &found, complaint, true);
            None
        }
    }
}

fn key(section: &mut Section<'_, '_>) -> Option<Vec<String>> {
    let key = section.columns("key");
    if key.is_none() {
        section.row("key", "the cloud's primary key".to_owned(), None);
    }
    key
}

fn tenant(section: &mut Section<'_, '_>) -> TenantRule {
    let Some((_, value)) = section
        .entry("tenant")
        .filter(|(_, value)| value.get_ref().is_table())
    else {
        return if section.switch("tenant", true) {
            TenantRule::Inherit
        } else {
            TenantRule::None
        };
    };
    let table = value.get_ref().as_table();
    let Some((table, found)) = table.zip(section.compound("tenant")) else {
        return TenantRule::Inherit;
    };
    let mut inner = section.inner("tenant", "table.tenant", table);
    let parent = required(&mut inner, "via", &found, check::written_table);
    let on = inner.pairs("on", check::name).unwrap_or_default();
    inner.finish();
    parent.map_or(TenantRule::Inherit, |parent| TenantRule::Via { parent, on })
}

/// A name that a nested table needs; its absence is said at the nested table.
fn required<'d>(
    section: &mut Section<'_, 'd>,
    key: &str,
    outer: &Found<'d>,
    check: fn(&Input<'_>) -> Checked<String>,
) -> Option<String> {
    if section.entry(key).is_none() {
        section.expect(key);
        section.wrong(key, outer, Complaint::new("is missing here"), false);
        return None;
    }
    section.optional(key, check, Clone::clone)
}

fn lookups(section: &mut Section<'_, '_>) -> Vec<Lookup> {
    let Some(found) = section.compound("lookup") else {
        return Vec::new();
    };
    let Input::Other(DeValue::Table(table)) = &found.input else {
        section.wrong(
            "lookup",
            &found,
            Complaint::new("must be a table: lookup.COLUMN = { from, on, take }"),
            false,
        );
        return Vec::new();
    };
    let mut all = Vec::new();
    for (column, value) in entries(table) {
        let column = column.get_ref();
        let outer = Found {
            origin: Origin::File(value.span()),
            input: Input::Other(value.get_ref()),
        };
        let Some(inside) = value.get_ref().as_table() else {
            section.wrong(
                column,
                &outer,
                Complaint::new("must be a table: { from, on, take }"),
                false,
            );
            continue;
        };
        let mut inner = section.inner(&format!("lookup.{column}"), "table.lookup", inside);
        let from = required(&mut inner, "from", &outer, check::written_table);
        let on = inner.pairs("on", check::name).unwrap_or_default();
        let take = required(&mut inner, "take", &outer, check::name);
        inner.finish();
        if let (Some(from), Some(take)) = (from, take) {
            all.push(Lookup {
                column: column.to_string(),
                from,
                on,
                take,
            });
        }
    }
    all
}

fn reverse(section: &mut Section<'_, '_>) -> TableReverse {
    let nothing = TableReverse {
        convert: Vec::new(),
        skip: Vec::new(),
        on_conflict: OnConflict::Update,
        deletes: true,
    };
    let Some(found) = section.compound("reverse") else {
        return nothing;
    };
    let Input::Other(DeValue::Table(table)) = &found.input else {
        section.wrong(
            "reverse",
            &found,
            Complaint::new("must be a table, written [table.reverse]"),
            false,
        );
        return nothing;
    };
    let mut inner = section.inner("reverse", "table.reverse", table);
    let reverse = TableReverse {
        convert: inner.pairs("convert", check::sentence).unwrap_or_default(),
        skip: inner.columns("skip").unwrap_or_default(),
        on_conflict: inner.choice("on_conflict", OnConflict::Update, &ON_CONFLICT),
        deletes: inner.switch("deletes", true),
    };
    inner.finish();
    reverse
}

/// Records a desktop or cloud table that another `[[table]]` has already.
fn unique(reader: &mut Reader<'_>, read: &Read, earlier: &[Read]) {
    let table = &read.table;
    let same = |other: &&Read| {
        (&other.table.schema, &other.table.relation) == (&table.schema, &table.relation)
    };
    let complain = |reader: &mut Reader<'_>, origin: &Origin, what: String| {
        if let Origin::File(place) = origin {
            let problem = reader.document.problem(place, what);
            reader.problems.push(problem);
        }
    };
    if let Some(other) = earlier.iter().find(same) {
        let what = format!(
            "table {} stands here a second time; the first is on line {}",
            table.name, other.table.line
        );
        complain(reader, &read.name, what);
    } else if let Some(other) = earlier
        .iter()
        .find(|other| other.table.cloud == table.cloud)
    {
        let what = format!(
            "cloud table {} is taken by {}, line {}",
            table.cloud_name().in_full(),
            other.table.name,
            other.table.line
        );
        complain(reader, read.cloud.as_ref().unwrap_or(&read.name), what);
    }
}
