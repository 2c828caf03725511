//! Whether a table is one at all: what PostgreSQL calls a relation may be something else, or one whose rows come and go in
//! ways that nobody tells us.

use super::super::relation::RelationFacts;
use super::complaint::{Complaints, Sort};
use super::mapping::Resolver;
use crate::config::{Flow, Table as Wanted};
use crate::fault::Side;
use crate::model::Name;
use crate::plan::quote::table as quoted;

impl Resolver<'_> {
    /// The table, where it is one that can be read or written; else why not.
    pub(super) fn exists<'a>(
        &self,
        facts: Option<&'a RelationFacts>,
        side: Side,
        named: &str,
        complaints: &mut Complaints,
    ) -> Option<&'a RelationFacts> {
        let Some(facts) = facts else {
            complaints.add(
                Sort::Table,
                format!("{named} does not exist on the {side}: never made, dropped or renamed, or our user may not see it"),
            );
            return None;
        };
        if let Some(what) = other_kind(facts, side) {
            complaints.add(Sort::Table, what);
            return None;
        }
        if facts.persistence == 't' {
            let what = format!(
                "{named} is a temporary table on the {side}: it goes with the session that made it, and no other one sees its rows"
            );
            complaints.add(Sort::Table, what);
            return None;
        }
        let own = (facts.persistence == 'u').then_some(&facts.name);
        for table in own.into_iter().chain(&facts.unlogged) {
            if must_be_logged(self.wanted, side) {
                let why = match side {
                    Side::Desktop => {
                        "a crash of the desktop empties it, and its changes don't stand in the log, so they can't be read"
                    }
                    Side::Cloud => "a crash of the cloud empties it, and nobody would notice",
                };
                let fix = format!("ALTER TABLE {} SET LOGGED;", quoted(table));
                let what = format!("{table} is unlogged on the {side}: {why}; mended by {fix}");
                complaints.mended_by(Sort::Table, what, fix);
            }
        }
        if side == Side::Desktop {
            self.children(facts, complaints);
        }
        Some(facts)
    }

    /// Tables that inherit from the desktop's are tables of their own; a query that names their parent sees their rows all the
    /// same. In the cloud a trigger may send rows to such tables, as was done before there were partitions.
    fn children(&self, facts: &RelationFacts, complaints: &mut Complaints) {
        let name = &facts.name;
        let tables = &self.settings.tables;
        let stays = |child: &&Name| tables.iter().all(|table| table.desktop_name() != **child);
        let children: Vec<_> = facts.children.iter().filter(stays).collect();
        if facts.kind != 'r' || children.is_empty() {
            return;
        }
        let list: Vec<_> = children.iter().map(|child| child.to_string()).collect();
        let list = list.join(", ");
        let what = format!(
            "{name} has tables that inherit from it and stand in no [[table]]: {list}. Their rows look like rows of {name} on the desktop, but would not travel; \
             give each of them a [[table]] with its name and a table of its own in the cloud, or end it with ALTER TABLE {} NO INHERIT {}",
            quoted(children[0]),
            quoted(name),
        );
        complaints.add(Sort::Table, what);
    }
}

/// What only swaps read may be empty after a crash: the next swap says so.
fn must_be_logged(wanted: &Wanted, side: Side) -> bool {
    side == Side::Cloud || wanted.stream || wanted.flow != Flow::Forward
}

/// What it is instead of a table.
fn other_kind(facts: &RelationFacts, side: Side) -> Option<String> {
    let name = &facts.name;
    if matches!(name.schema.as_str(), "pg_catalog" | "information_schema") {
        return Some(format!(
            "{name} is part of the {side}'s own catalog, whose changes nobody can read or write; name a table of the office's"
        ));
    }
    let does = match side {
        Side::Desktop => "its changes can't be read",
        Side::Cloud => "rows can't be written to it as to a table",
    };
    let what = match facts.kind {
        'r' => return None,
        'p' => {
            let foreign = facts.leaves.iter().find(|(_, _, kind)| *kind != 'r');
            let (leaf, ..) = foreign.filter(|_| side == Side::Desktop)?;
            return Some(format!(
                "partition {leaf} is not an ordinary table, so its changes can't be read"
            ));
        }
        'v' => "a view, so {does}: name the tables that it is made of",
        'm' => "a materialized view, so {does}: name the tables that it is made of",
        'f' => {
            "a foreign table, whose rows are another server's, so {does}: let tandem connect to that server"
        }
        _ => "not a table, so {does}",
    };
    let what = what.replace("{does}", does);
    Some(format!(
        "{name} is not an ordinary table on the {side}, but {what}"
    ))
}
