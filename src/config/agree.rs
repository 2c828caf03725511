//! What `[[table]]` entries must agree on, with themselves and with each other, as far as the file alone tells.

use super::complaint::Complaint;
use super::layers::{Found, Input, Origin};
use super::mapping::{Flow, OnMobileRow, Table};
use super::section::Section;
use super::sections::Forward;

/// Records what can't be meant together, as far as the file alone tells.
pub(super) fn columns_agree(section: &mut Section<'_, '_>, table: &Table, forward: &Forward) {
    let mut filled: Vec<&String> = Vec::new();
    for (setting, columns) in [
        (
            "rename",
            table
                .rename
                .iter()
                .map(|(_, cloud)| cloud)
                .collect::<Vec<_>>(),
        ),
        ("set", table.set.iter().map(|(cloud, _)| cloud).collect()),
        (
            "convert",
            table.convert.iter().map(|(cloud, _)| cloud).collect(),
        ),
        (
            "lookup",
            table.lookup.iter().map(|lookup| &lookup.column).collect(),
        ),
    ] {
        for column in columns {
            if filled.contains(&column) {
                at(
                    section,
                    setting,
                    format!("fills {column}, which something else fills too"),
                );
            }
            filled.push(column);
        }
    }
    for (desktop, _) in table
        .rename
        .iter()
        .filter(|(desktop, _)| table.skip.contains(desktop))
    {
        at(
            section,
            "rename",
            format!("renames {desktop}, which is skipped"),
        );
    }
    if table.flow == Flow::Reverse {
        if table.swap.is_some() {
            at(
                section,
                "swap",
                "can't be with flow = \"reverse\": a swap goes the other way".to_owned(),
            );
        }
        if table.on_mobile_row == OnMobileRow::Apply {
            let why =
                "needs flow = \"both\": a table that only comes home isn't read on the desktop";
            at(section, "on_mobile_row", why.to_owned());
        }
    }
    for column in table.key.iter().flatten() {
        if let Some(why) = unusable(column, table, forward) {
            at(section, "key", format!("has {column}, which {why}"));
        }
    }
}

/// Why a column can't be part of a key.
fn unusable(column: &str, table: &Table, forward: &Forward) -> Option<&'static str> {
    if table.lookup.iter().any(|lookup| lookup.column == column) {
        return Some("is looked up");
    }
    if table.cloud_owned.iter().any(|owned| owned == column) {
        return Some("the cloud owns");
    }
    if table
        .set
        .iter()
        .chain(&table.convert)
        .any(|(filled, _)| filled == column)
    {
        return None;
    }
    let renamed = table.rename.iter().find(|(_, cloud)| cloud == column);
    let desktop = renamed.map_or(column, |(desktop, _)| desktop.as_str());
    let skipped = table
        .skip
        .iter()
        .chain(&forward.skip)
        .any(|skip| skip == desktop);
    skipped.then_some("is skipped")
}

fn at(section: &mut Section<'_, '_>, key: &str, says: String) {
    if let Some((_, value)) = section.entry(key) {
        let found = Found {
            origin: Origin::File(value.span()),
            input: Input::Other(value.get_ref()),
        };
        section.wrong(key, &found, Complaint::new(says), false);
    }
}
