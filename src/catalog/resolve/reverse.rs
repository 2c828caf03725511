//! The way home: what the desktop's table takes from the cloud's.

use super::super::narrow::{NarrowingMismatch, misfit_reverse};
use super::super::relation::ColumnFacts;
use super::super::sql_identifiers::mentions;
use super::complaint::{Complaints, Sort};
use super::knot::reverse_knot;
use super::mapping::{Mapping, Resolver, Sides, column};
use super::{add, derive, empty, on_desktop};
use crate::config::{Flow, KeptOut, Narrow, OnConflict, OnMobileRow};
use crate::model::{Key, Named, ReverseTable, Source, Table};

impl Resolver<'_> {
    /// What of a table comes home; none where nothing does. `forward` is what goes the other way.
    pub(super) fn reverse(
        &self,
        sides: &Sides<'_>,
        forward: Option<&Table>,
        complaints: &mut Complaints,
    ) -> Option<ReverseTable> {
        let wanted = self.wanted;
        let rows = wanted.flow != Flow::Forward;
        if !rows && wanted.cloud_owned.is_empty() {
            return None;
        }
        let (desktop, cloud) = (sides.desktop, sides.cloud);
        if rows {
            self.tells_rows_apart(sides, complaints);
        }
        let mut way = Way {
            of: self,
            sides,
            rows,
            mapping: Mapping::default(),
        };
        if rows {
            way.all(complaints);
            way.converted(complaints);
        }
        let owned = way.owned(forward, complaints);
        if !rows && owned.is_empty() {
            return None;
        }
        let (names, key, counted) = way.key(forward, complaints);
        if rows {
            way.unfilled(complaints);
        }
        let mapping = way.mapping;
        let reverse = ReverseTable {
            name: wanted.name.clone(),
            desktop: desktop.name.clone(),
            partitioned: desktop.kind == 'p',
            cloud: cloud.name.clone(),
            confined: cloud.confined,
            vanishes: false,
            arriving: mapping.arriving,
            columns: mapping.columns,
            names,
            key,
            indexed: false,
            counted,
            rows,
            owned,
            owner: self.owner(cloud),
            desktop_owner: { desktop.column(&self.settings.owner.column) }
                .map(|column| (column.name.clone(), column.base_type.clone())),
            tenant: match forward {
                Some(table) => table.tenant.clone(),
                None => self.tenant_of(wanted, cloud, complaints, 0),
            },
            keeps_desktop: wanted.reverse.on_conflict == OnConflict::Keep,
            deletes: wanted.reverse.deletes,
            lets_keep_out: wanted.kept_out == KeptOut::RuleOut,
            streams: forward.is_some_and(|table| table.stream),
            charset: self.charset(desktop),
            knot: None,
            fingerprint: String::new(),
        };
        Some(self.concluded(reverse, sides))
    }

    /// With what follows from the rest of it.
    fn concluded(&self, mut reverse: ReverseTable, sides: &Sides<'_>) -> ReverseTable {
        let (desktop, cloud) = (sides.desktop, sides.cloud);
        reverse.vanishes =
            self.wanted.on_mobile_row == OnMobileRow::Apply || reverse.tenant.via.is_some();
        reverse.fingerprint =
            super::key::digest(&format!("{}|{}|{reverse:?}", desktop.oid, cloud.oid));
        // What the triggers watch doesn't depend on it.
        let key: Vec<_> = { reverse.key.iter() }
            .map(|at| &reverse.columns[*at].name)
            .collect();
        reverse.indexed = { desktop.indexes.iter() }.any(|index| {
            index.len() == key.len() && index.iter().all(|column| key.contains(&column))
        });
        reverse.knot = reverse_knot(&reverse, desktop);
        reverse
    }

    /// Rows of the phone have to be told from the desktop's, where both are read.
    fn tells_rows_apart(&self, sides: &Sides<'_>, complaints: &mut Complaints) {
        let column = &self.settings.owner.column;
        let both = self.wanted.flow == Flow::Both;
        let mut lacks = |side: &str, what: &str| {
            complaints.push(format!("the {side}'s table has no column {column}, {what}"));
        };
        if sides.cloud.column(column).is_none() {
            lacks(
                "cloud",
                "so no row of it is the phone's; say flow = \"forward\", or name the column in [owner]",
            );
        }
        if both && sides.desktop.column(column).is_none() {
            lacks(
                "desktop",
                "so rows that came from the phone could not be told from its own there; add it, or say flow = \"reverse\"",
            );
        }
    }

    /// The desktop's name of a cloud column.
    fn home_name<'b>(&'b self, from: &'b ColumnFacts) -> &'b str {
        let mut renamed = self.wanted.rename.iter();
        let renamed = renamed.find(|(_, cloud)| *cloud == from.name);
        renamed.map_or(&from.name, |(desktop, _)| desktop)
    }
}

/// A way home that is being found.
struct Way<'a> {
    of: &'a Resolver<'a>,
    sides: &'a Sides<'a>,
    rows: bool,
    mapping: Mapping,
}

impl Way<'_> {
    /// Columns that take a cloud column's value as it is.
    fn all(&mut self, complaints: &mut Complaints) {
        let (settings, wanted) = (self.of.settings, self.of.wanted);
        for name in &wanted.reverse.skip {
            if self.sides.cloud.column(name).is_none() {
                complaints.push(format!(
                    "reverse.skip names column {name}, which the cloud's table does not have"
                ));
            }
        }
        for from in &self.sides.cloud.columns {
            let name = self.of.home_name(from);
            let skipped = settings.reverse.skip.contains(&from.name)
                || wanted.reverse.skip.contains(&from.name)
                || wanted.skip.iter().any(|skip| skip == name)
                || from.name == settings.owner.column;
            let converted = { wanted.reverse.convert.iter() }.any(|(filled, _)| filled == name);
            if skipped || converted {
                continue;
            }
            let Some(to) = self.sides.desktop.column(name) else {
                // What the cloud computes is made of what comes home.
                if !from.computed && !self.is_used(from) && !self.is_ours(&from.name) {
                    complaints.mended_by(
                        Sort::Column,
                        format!("column {} of the cloud has no place on the desktop; add {name} there, or name it in [table.reverse] skip", from.name),
                        on_desktop(add(self.sides.desktop, name, from)),
                    );
                }
                continue;
            };
            if !to.computed {
                self.place(from, to, complaints);
            }
        }
    }

    /// Something of ours fills it in the cloud, so the desktop need not have it.
    fn is_ours(&self, name: &str) -> bool {
        let wanted = self.of.wanted;
        let set = wanted.set.iter().any(|(filled, _)| filled == name);
        let looked_up = wanted.lookup.iter().any(|lookup| lookup.column == name);
        let tenant = self.of.settings.tenant.iter();
        set || looked_up || { tenant }.any(|(column, _)| column == name)
    }

    /// Some conversion uses it.
    fn is_used(&self, from: &ColumnFacts) -> bool {
        let columns = &self.sides.cloud.columns;
        let at = columns.iter().position(|column| column.name == from.name);
        let names = || columns.iter().map(|column| column.name.as_str());
        let mut conversions = self.of.wanted.reverse.convert.iter();
        at.is_some_and(|at| conversions.any(|(_, sql)| mentions(sql, names()).contains(&at)))
    }

    /// The desktop's column that a cloud column fills; none when there is none.
    fn find(&mut self, from: &ColumnFacts, complaints: &mut Complaints) -> Option<usize> {
        let name = self.of.home_name(from).to_owned();
        let columns = &self.mapping.columns;
        if let Some(at) = columns.iter().position(|column| column.name == name) {
            return Some(at);
        }
        let mut conversions = self.of.wanted.reverse.convert.iter();
        if let Some((_, sql)) = conversions.find(|(filled, _)| *filled == name) {
            return self.convert(&name, sql, complaints);
        }
        let to = self.sides.desktop.column(&name)?;
        Some(self.place(from, to, complaints))
    }

    fn place(
        &mut self,
        from: &ColumnFacts,
        to: &ColumnFacts,
        complaints: &mut Complaints,
    ) -> usize {
        // An insert may insist on an identity where it names the rows.
        let names = { self.of.wanted.key.as_ref() }.unwrap_or(&self.sides.cloud.primary_key);
        let insists = to.always_identity && names.contains(&from.name);
        if to.refuses_values() && !insists {
            complaints.push(format!(
                "column {} is generated on the desktop and can't be written; name {} in [table.reverse] skip",
                to.name, from.name
            ));
        }
        let index = self.mapping.arrives(from);
        let mut column = derive::taking(from, to, index);
        let name = &to.name;
        match misfit_reverse(from, to) {
            None => {}
            Some(NarrowingMismatch::Narrower(_)) if self.of.wanted.narrow == Narrow::Quarantine => {
                column.narrower = Some(to.full_type.clone());
            }
            Some(NarrowingMismatch::Zone) => match &self.of.settings.desktop.time_zone {
                Some(zone) => column.from = derive::zoned(from, index, zone),
                None => complaints.add(Sort::Type, format!(
                    "column {name}: {} in the cloud, {} on the desktop: only one of them says which time zone it means; set desktop.time_zone, or convert it in [table.reverse]",
                    from.full_type, to.full_type
                )),
            },
            Some(NarrowingMismatch::Narrower(why)) => complaints.add(
                Sort::Length,
                format!("column {name}: {why}; widen it on the desktop, convert it in [table.reverse], or say narrow = \"quarantine\""),
            ),
            Some(NarrowingMismatch::Unlike(why)) => {
                complaints.add(Sort::Type, format!("column {name}: {why}; convert it in [table.reverse]"));
            }
        }
        self.mapping.columns.push(column);
        self.mapping.columns.len() - 1
    }

    /// Columns that are SQL over the cloud's row.
    fn converted(&mut self, complaints: &mut Complaints) {
        for (name, sql) in &self.of.wanted.reverse.convert {
            if self.sides.desktop.column(name).is_none() {
                complaints.push(format!(
                    "reverse.convert names column {name}, which the desktop's table does not have"
                ));
            }
            self.convert(name, sql, complaints);
        }
    }

    fn convert(&mut self, name: &str, sql: &str, complaints: &mut Complaints) -> Option<usize> {
        let to = self.sides.desktop.column(name)?;
        if to.refuses_values() {
            complaints.push(format!(
                "column {name} is generated on the desktop and can't be written"
            ));
        }
        let columns = &self.sides.cloud.columns;
        let used = mentions(sql, columns.iter().map(|column| column.name.as_str()));
        let uses = used
            .into_iter()
            .map(|at| self.mapping.arrives(&columns[at]));
        let from = Source::Converted {
            sql: sql.to_owned(),
            uses: uses.collect(),
        };
        self.mapping.columns.push(column(to, from));
        Some(self.mapping.columns.len() - 1)
    }

    /// Columns that are the cloud's own. What only the cloud has (constants, what is looked up) doesn't come home.
    fn owned(&mut self, forward: Option<&Table>, complaints: &mut Complaints) -> Vec<usize> {
        let (sides, mut owned) = (self.sides, Vec::new());
        for name in &self.of.wanted.cloud_owned {
            let sent = forward.and_then(|table| {
                let mut columns = table.columns.iter();
                columns.find(|column| column.name == *name)
            });
            let only_cloud = sent.is_some_and(|column| {
                matches!(column.from, Source::Constant(_) | Source::LookedUp(_))
            });
            let Some(from) = sides.cloud.column(name).filter(|_| !only_cloud) else {
                continue;
            };
            match self.find(from, complaints) {
                Some(at) => owned.push(at),
                None => complaints.push(format!(
                    "cloud_owned column {name} does not come home: say in [table.reverse] convert how the desktop's column is made of it"
                )),
            }
        }
        owned
    }

    /// What names a row: for an outbox entry, and on the desktop.
    fn key(
        &mut self,
        forward: Option<&Table>,
        complaints: &mut Complaints,
    ) -> (Vec<Named>, Vec<usize>, bool) {
        let (cloud, wanted) = (self.sides.cloud, self.of.wanted);
        let counted = forward.is_some_and(|table| table.key == Key::Multiset)
            || wanted.key.as_ref().is_some_and(Vec::is_empty);
        if self.rows && counted {
            complaints.add(Sort::Key, "rows of the phone come home by their key, so key = [] can't be; name the columns that name a row".to_owned());
            return (Vec::new(), Vec::new(), true);
        }
        let names: Vec<String> = match (counted, &wanted.key) {
            (true, _) => forward.map_or(Vec::new(), named_by_content),
            (false, Some(names)) => names.clone(),
            (false, None) => cloud.primary_key.clone(),
        };
        if names.is_empty() {
            complaints.add(Sort::Key, "the cloud's table has no primary key; say key = [...] with columns that name a row".to_owned());
        }
        let (mut named, mut key) = (Vec::new(), Vec::new());
        for name in &names {
            let Some(from) = cloud.column(name) else {
                complaints.add(
                    Sort::Key,
                    format!("key column {name} does not exist in the cloud's table"),
                );
                continue;
            };
            named.push(Named {
                arriving: self.mapping.arrives(from),
                not_null: from.not_null,
            });
            match self.find(from, complaints) {
                Some(at) => key.push(at),
                None if self.is_ours(name) => {}
                None => complaints.add(Sort::Key, format!(
                    "key column {name} has no place on the desktop, so its rows can't be found there; say in [table.reverse] convert what it is made of"
                )),
            }
        }
        // Of a row that is gone only the key is known.
        let known = |index: &usize| named.iter().any(|named| named.arriving == *index);
        for at in &key {
            let column = &self.mapping.columns[*at];
            if !column.from.uses().iter().all(known) {
                complaints.add(
                    Sort::Key,
                    format!(
                        "key column {} of the desktop is made of columns that are not in the key",
                        column.name
                    ),
                );
            }
        }
        (named, key, counted)
    }

    /// Columns of the desktop that refuse NULL have to be filled.
    fn unfilled(&self, complaints: &mut Complaints) {
        let needed = { self.sides.desktop.columns.iter() }.filter(|column| column.must_be_given());
        for to in needed {
            if !self.mapping.fills(&to.name) && to.name != self.of.settings.owner.column {
                complaints.mended_by(
                    Sort::Unfilled,
                    format!("column {} of the desktop refuses NULL, has no default, and nothing that comes home fills it; convert it in [table.reverse]", to.name),
                    on_desktop(empty(self.sides.desktop, to)),
                );
            }
        }
    }
}

/// In a table without a key, all that is mapped but what is looked up or the cloud's own.
fn named_by_content(table: &Table) -> Vec<String> {
    let columns = table.columns.iter();
    let naming = columns.filter(|column| {
        !column.cloud_owned && !matches!(column.from, Source::LookedUp(_) | Source::Constant(_))
    });
    naming.map(|column| column.name.clone()).collect()
}
