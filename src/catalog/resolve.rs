//! The settings against both catalogs. Pure.

mod complaint;
mod computed;
mod derive;
mod key;
mod knot;
mod mapping;
mod orphan;
mod parent;
mod place;
mod reverse;

use complaint::Complaints;
pub use complaint::{Mismatch, Sort};
use key::{fingerprint, is_indexed, key};
pub use knot::{knot, ties};
pub use mapping::Pair;
use mapping::{Mapping, Resolver, Sides, column, written};
use orphan::orphaned;

use super::narrow::{NarrowingMismatch, misfit};
use super::relation::{ColumnFacts, RelationFacts};
use super::remedy::conversion;
use crate::config::{Flow, KeptOut, Narrow, OnMobileRow, Orphans, Settings, as_text, quoted};
use crate::fault::Side;
use crate::model::{Column, Lookup, Owner, ReverseTable, Source, Table, Tenant};
use crate::plan::quote;

/// A table as far as it goes: out, home, or both ways.
pub struct Resolved {
    /// What forward sends of it.
    pub table: Option<Table>,
    /// What comes home of it.
    pub reverse: Option<ReverseTable>,
}

/// Makes the table of `all[at]`, or says everything that stands in its way.
///
/// # Errors
/// All mismatches of this table at once.
pub fn resolve(
    settings: &Settings,
    all: &[Pair<'_>],
    at: usize,
) -> Result<Resolved, Vec<Mismatch>> {
    let mut complaints = Complaints::of(&all[at].wanted.name);
    let made = Resolver {
        settings,
        all,
        wanted: all[at].wanted,
    };
    let resolved = made.attempt(&all[at], &mut complaints);
    match resolved {
        Some(resolved) if complaints.len() == 0 => Ok(resolved),
        _ => Err(complaints.all()),
    }
}

impl Resolver<'_> {
    fn attempt(&self, pair: &Pair<'_>, complaints: &mut Complaints) -> Option<Resolved> {
        let wanted = self.wanted;
        let on_desktop = wanted.desktop_name().in_full();
        let in_cloud = wanted.cloud_name().to_string();
        let desktop = self.exists(pair.desktop, Side::Desktop, &on_desktop, complaints);
        let cloud = self.exists(pair.cloud, Side::Cloud, &in_cloud, complaints);
        let (desktop, cloud) = desktop.zip(cloud)?;
        let sides = Sides { desktop, cloud };
        if let Some(owner) = desktop.column(&self.settings.owner.column) {
            self.tells_phones(owner, complaints);
        }
        let mut in_cloud = self.all.iter().filter_map(|pair| pair.cloud);
        if cloud.hidden && in_cloud.any(|cloud| cloud.confined) {
            complaints.push("row security of the cloud hides rows from our user; run sql/cloud/role.sql for this table too".to_owned());
        }
        let mut table = (wanted.flow != Flow::Reverse).then(|| self.outward(&sides, complaints));
        let reverse = self.reverse(&sides, table.as_ref(), complaints);
        if let Some(table) = &mut table {
            table.returns = reverse
                .as_ref()
                .is_some_and(|reverse| !reverse.owned.is_empty());
            table.both_ways = reverse.as_ref().is_some_and(|reverse| reverse.rows);
        }
        Some(Resolved { table, reverse })
    }

    /// What forward sends.
    fn outward(&self, sides: &Sides<'_>, complaints: &mut Complaints) -> Table {
        let (wanted, Sides { desktop, cloud }) = (self.wanted, *sides);
        let owner = self.owner(cloud);
        let desktop_owner = desktop.column(&self.settings.owner.column);
        let mut mapping = self.arriving(sides, complaints);
        self.converted(sides, &mut mapping, complaints);
        let tenant = self.tenant(cloud, &mapping, complaints);
        self.constants(cloud, &tenant, &mut mapping, complaints);
        let lookups = self.lookups(cloud, &mut mapping, complaints);
        self.cloud_owned(&mut mapping, (&tenant, &lookups), complaints);
        unfilled(cloud, &mapping.columns, owner.as_ref(), complaints);
        let key = key(wanted, cloud, &mapping.columns, complaints);
        if wanted.orphans == Orphans::Null {
            orphaned(cloud, (&key, &tenant), &mut mapping.columns, complaints);
        }
        let leaves = desktop
            .leaves
            .iter()
            .map(|(name, oid, _)| (name.clone(), *oid));
        let left_out = desktop.columns.iter().map(|column| column.name.clone());
        // What never travels may also come later.
        let named = { self.settings.forward.skip.iter() }.chain(&wanted.skip);
        let named = named.chain([&self.settings.owner.column]).cloned();
        let left_out = left_out
            .filter(|name| mapping.arriving.iter().all(|column| column.name != *name))
            .chain(named)
            .collect();
        let mut table = Table {
            left_out,
            name: wanted.name.clone(),
            desktop: desktop.name.clone(),
            desktop_oid: desktop.oid,
            leaves: (desktop.kind == 'p').then(|| leaves.collect()),
            cloud: cloud.name.clone(),
            arriving: mapping.arriving,
            columns: mapping.columns,
            lookups,
            key,
            owner,
            desktop_owner: desktop_owner.map(|column| column.name.clone()),
            tenant,
            reaches: cloud.reaches.clone(),
            confined: cloud.confined,
            refers_to_itself: cloud.parents.contains(&cloud.oid),
            changes_mobile: wanted.on_mobile_row == OnMobileRow::Apply,
            lets_keep_out: wanted.kept_out == KeptOut::RuleOut,
            stream: wanted.stream,
            max_shrink: wanted.max_shrink,
            charset: self.charset(desktop),
            ..Table::default()
        };
        let fixed = |name: &str| cloud.column(name).is_some_and(|key| key.always_identity);
        let fixed_key = table.key_names().any(fixed);
        table.fixed_key = fixed_key;
        table.fingerprint = fingerprint(&table);
        table.computed = self.computed(sides, &table);
        table.generates = desktop
            .columns
            .iter()
            .any(|column| column.computed && column.sent);
        table.indexed = is_indexed(&table, cloud);
        table
    }

    /// What fills a cloud column instead of a desktop column.
    fn is_filled_otherwise(&self, name: &str) -> bool {
        let wanted = self.wanted;
        let given = wanted
            .set
            .iter()
            .chain(&wanted.convert)
            .any(|(filled, _)| filled == name);
        given || wanted.lookup.iter().any(|lookup| lookup.column == name)
    }

    /// The cloud's name of a desktop column.
    fn name_of<'b>(&'b self, from: &'b ColumnFacts) -> &'b str {
        let renamed = self
            .wanted
            .rename
            .iter()
            .find(|(desktop, _)| *desktop == from.name);
        renamed.map_or(&from.name, |(_, cloud)| cloud)
    }

    /// Columns that take a desktop column's value as it is.
    fn arriving(&self, sides: &Sides<'_>, complaints: &mut Complaints) -> Mapping {
        let wanted = self.wanted;
        let renamed = wanted.rename.iter().map(|(from, _)| from);
        for name in wanted.skip.iter().chain(renamed) {
            if sides.desktop.column(name).is_none() {
                complaints.push(format!(
                    "column {name} is in the settings, but not in the desktop's table"
                ));
            }
        }
        let mut mapping = Mapping::default();
        for from in &sides.desktop.columns {
            let skipped =
                wanted.skip.contains(&from.name) || self.settings.forward.skip.contains(&from.name);
            let name = self.name_of(from);
            if skipped || from.name == self.settings.owner.column || self.is_filled_otherwise(name)
            {
                continue;
            }
            if from.unreadable_name {
                complaints.push(format!(
                    "the name of column {} of the desktop is not UTF-8, so no statement can name it; rename it there, or name it in skip as '{}'",
                    from.name, from.name
                ));
                continue;
            }
            let Some(to) = sides.cloud.column(name) else {
                if !self.is_converted(from, sides.desktop) {
                    complaints.mended_by(
                        Sort::Column,
                        format!("column {} of the desktop has no place in the cloud; add {name} there, or name it in skip or rename", from.name),
                        in_cloud(add(sides.cloud, name, from)),
                    );
                }
                continue;
            };
            if from.computed && to.computed {
                continue;
            }
            self.can_be_read(from, complaints);
            if to.refuses_values() && !self.is_key_identity(to, sides.cloud) {
                complaints.push(format!(
                    "column {name} is generated in the cloud and can't be written; name {} in skip",
                    from.name
                ));
            }
            self.place(from, (to, sides.cloud), &mut mapping, complaints);
        }
        mapping
    }

    /// An identity that the cloud generates unless an insert insists on a value, as it may where it names the rows.
    fn is_key_identity(&self, column: &ColumnFacts, cloud: &RelationFacts) -> bool {
        let key = self.wanted.key.as_ref().unwrap_or(&cloud.primary_key);
        column.always_identity && key.contains(&column.name)
    }

    fn place(
        &self,
        from: &ColumnFacts,
        (to, cloud): (&ColumnFacts, &RelationFacts),
        mapping: &mut Mapping,
        complaints: &mut Complaints,
    ) {
        let index = mapping.arrives(from);
        let mut column = derive::taking(from, to, index);
        match misfit(from, to) {
            None => {}
            Some(NarrowingMismatch::Narrower(_)) if self.wanted.narrow == Narrow::Quarantine => {
                column.narrower = Some(to.full_type.clone());
            }
            Some(NarrowingMismatch::Zone) => match &self.settings.desktop.time_zone {
                Some(zone) => column.from = derive::zoned(from, index, zone),
                None => complaints.add(Sort::Type, format!(
                    "column {}: {} on the desktop, {} in the cloud: only one of them says which time zone it means; set desktop.time_zone, or convert it",
                    to.name, from.full_type, to.full_type
                )),
            },
            Some(NarrowingMismatch::Narrower(why)) => {
                let what = format!("column {}: {why}; widen it in the cloud, convert it, or say narrow = \"quarantine\"", to.name);
                // The other type must hold all that the column has: else widening it would round.
                match misfit(to, from) {
                    None => complaints.mended_by(Sort::Length, what, in_cloud(widen(cloud, to, from))),
                    Some(_) => complaints.add(Sort::Length, what),
                }
            }
            Some(NarrowingMismatch::Unlike(why)) => complaints.mended_by(
                Sort::Type,
                format!("column {}: {why}; convert it", to.name),
                format!(
                    "convert = {{ {} = {} }} # of {} in tandem.toml",
                    quoted(&to.name),
                    as_text(&self.made(from, to)),
                    self.wanted.name
                ),
            ),
        }
        mapping.columns.push(column);
    }

    /// What a conversion would say.
    fn made(&self, from: &ColumnFacts, to: &ColumnFacts) -> String {
        let zone = self.settings.desktop.time_zone.as_deref();
        conversion(from, to, zone).unwrap_or_else(|| format!("{}::{}", written(from), to.full_type))
    }

    /// Columns that the cloud owns. Nothing of ours may be made of them: it would be made of what the desktop says.
    fn cloud_owned(
        &self,
        mapping: &mut Mapping,
        (tenant, lookups): (&Tenant, &[Lookup]),
        complaints: &mut Complaints,
    ) {
        for name in &self.wanted.cloud_owned {
            let asked = lookups
                .iter()
                .flat_map(|lookup| lookup.on.iter().map(|(own, ..)| own));
            let via = tenant
                .via
                .iter()
                .flat_map(|via| via.on.iter().map(|(own, _)| own));
            let tenants = tenant.columns.iter().map(|column| &column.cloud);
            if asked.chain(via).chain(tenants).any(|used| used == name) {
                complaints.push(format!(
                    "cloud_owned names column {name}, by which a lookup or the tenant is found"
                ));
                continue;
            }
            let mut columns = mapping.columns.iter_mut();
            match columns.find(|column| column.name == *name) {
                Some(column) => column.cloud_owned = true,
                None => complaints.push(format!(
                    "cloud_owned names column {name}, which forward does not fill"
                )),
            }
        }
    }

    fn constants(
        &self,
        cloud: &RelationFacts,
        tenant: &Tenant,
        mapping: &mut Mapping,
        complaints: &mut Complaints,
    ) {
        let missing = tenant
            .columns
            .iter()
            .filter(|column| column.desktop.is_none())
            .map(|column| (&column.cloud, &column.value));
        let set = self.wanted.set.iter().map(|(name, value)| (name, value));
        for (name, value) in set.chain(missing) {
            match cloud.column(name) {
                None => complaints.push(format!(
                    "set names column {name}, which the cloud's table does not have"
                )),
                Some(to) if !mapping.fills(name) => {
                    mapping
                        .columns
                        .push(column(to, Source::Constant(value.clone())));
                }
                Some(_) => {}
            }
        }
    }
}

fn unfilled(
    cloud: &RelationFacts,
    columns: &[Column],
    owner: Option<&Owner>,
    complaints: &mut Complaints,
) {
    for to in cloud.columns.iter().filter(|column| column.must_be_given()) {
        let filled = columns.iter().any(|column| column.name == to.name);
        if !filled && owner.is_none_or(|owner| owner.column != to.name) {
            complaints.mended_by(
                Sort::Unfilled,
                format!("column {name} of the cloud refuses NULL, has no default, and nothing fills it; use set or rename", name = to.name),
                in_cloud(empty(cloud, to)),
            );
        }
    }
}

fn in_cloud(statement: String) -> String {
    format!("{statement} -- in the cloud")
}

fn on_desktop(statement: String) -> String {
    format!("{statement} -- on the desktop")
}

fn alter(table: &RelationFacts) -> String {
    format!("ALTER TABLE {}", quote::table(&table.name))
}

/// Gives the table a column like the other side's.
fn add(table: &RelationFacts, name: &str, like: &ColumnFacts) -> String {
    let (table, name) = (alter(table), quote::ident(name));
    format!("{table} ADD COLUMN {name} {};", like.full_type)
}

/// Lets the column hold what the other side's can.
fn widen(table: &RelationFacts, column: &ColumnFacts, like: &ColumnFacts) -> String {
    let (table, name) = (alter(table), quote::ident(&column.name));
    format!("{table} ALTER COLUMN {name} TYPE {};", like.full_type)
}

/// Lets the column be empty.
fn empty(table: &RelationFacts, column: &ColumnFacts) -> String {
    let (table, name) = (alter(table), quote::ident(&column.name));
    format!("{table} ALTER COLUMN {name} DROP NOT NULL;")
}
