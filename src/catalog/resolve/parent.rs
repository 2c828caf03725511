//! What a table takes from another table of the cloud: its tenant, and columns that are looked up.

use super::super::narrow::misfit;
use super::super::relation::RelationFacts;
use super::complaint::Complaints;
use super::mapping::{Mapping, Pair, Resolver, column};
use crate::config::{Lookup as WantedLookup, Table as Wanted, TenantRule};
use crate::model::{Lookup, Name, Source, Tenant, TenantColumn, Via};

/// How many tables a tenant may be away.
const VIA_MAX: usize = 8;

impl Resolver<'_> {
    /// The table that a name in the settings means: a table's name, or the cloud's.
    fn named(&self, name: &str) -> Option<&Pair<'_>> {
        // What can't be read the settings have refused.
        let name = Name::read(name).ok()?;
        let mut tables = self.all.iter();
        let by_cloud = tables.find(|pair| pair.wanted.cloud_name() == name);
        by_cloud.or_else(|| { self.all.iter() }.find(|pair| pair.wanted.desktop_name() == name))
    }

    /// Which rows of the table are the tenant's.
    pub(super) fn tenant(
        &self,
        cloud: &RelationFacts,
        mapping: &Mapping,
        complaints: &mut Complaints,
    ) -> Tenant {
        let mut tenant = self.tenant_of(self.wanted, cloud, complaints, 0);
        for (own, _) in tenant.via.iter().flat_map(|via| &via.on) {
            if !mapping.fills(own) && cloud.column(own).is_some() {
                complaints.push(format!(
                    "tenant: column {own} is not filled by forward, so no parent can be found by it"
                ));
            }
        }
        for tested in &mut tenant.columns {
            let filled = mapping
                .columns
                .iter()
                .find(|column| column.name == tested.cloud);
            if let Some(Source::Arriving(index)) = filled.map(|column| &column.from) {
                tested.desktop = Some(mapping.arriving[*index].name.clone());
            }
        }
        tenant
    }

    pub(super) fn tenant_of(
        &self,
        wanted: &Wanted,
        cloud: &RelationFacts,
        complaints: &mut Complaints,
        depth: usize,
    ) -> Tenant {
        let mut tenant = Tenant::default();
        match &wanted.tenant {
            TenantRule::None => {}
            TenantRule::Inherit => {
                for (name, value) in &self.settings.tenant {
                    match cloud.column(name) {
                        None => complaints.push(format!("the cloud's table has no tenant column {name}; if nobody shares it, say tenant = false, or name its parent: tenant = {{ via = ..., on = ... }}")),
                        Some(to) => tenant.columns.push(TenantColumn {
                            cloud: name.clone(),
                            base_type: to.base_type.clone(),
                            value: value.clone(),
                            desktop: None,
                        }),
                    }
                }
            }
            TenantRule::Via { parent, on } => {
                tenant.via = self
                    .via(cloud, (parent, on), complaints, depth)
                    .map(Box::new);
            }
        }
        tenant
    }

    fn via(
        &self,
        cloud: &RelationFacts,
        (parent, on): (&String, &Vec<(String, String)>),
        complaints: &mut Complaints,
        depth: usize,
    ) -> Option<Via> {
        let found = self
            .named(parent)
            .and_then(|pair| Some((pair.wanted, pair.cloud?)));
        let Some((wanted, facts)) = found.filter(|_| depth < VIA_MAX) else {
            complaints.push(format!("tenant goes through {parent}, which is not one of the tables here, or leads back to this one"));
            return None;
        };
        let before = complaints.len();
        if on.is_empty() {
            complaints.push(format!(
                "tenant goes through {parent}, but on doesn't say by which columns"
            ));
        }
        for (own, named) in on {
            for (name, facts, whose) in
                [(own, cloud, "this table"), (named, facts, parent.as_str())]
            {
                if facts.column(name).is_none() {
                    complaints.push(format!(
                        "tenant: column {name} does not exist in {whose} in the cloud"
                    ));
                }
            }
        }
        // A parent's row that isn't named by these columns alone could be another tenant's.
        let named: Vec<_> = on.iter().map(|(_, named)| named).collect();
        let unique = facts
            .unique
            .iter()
            .any(|index| index.iter().all(|column| named.contains(&column)));
        if complaints.len() == before && !unique {
            let named: Vec<_> = named.iter().map(|name| name.as_str()).collect();
            complaints.push(format!(
                "tenant: ({}) does not name one row of {parent} in the cloud; another tenant's parent could be meant",
                named.join(", ")
            ));
        }
        Some(Via {
            parent: facts.name.clone(),
            on: on.clone(),
            tenant: self.tenant_of(wanted, facts, complaints, depth + 1),
        })
    }

    /// Columns that follow a parent's.
    pub(super) fn lookups(
        &self,
        cloud: &RelationFacts,
        mapping: &mut Mapping,
        complaints: &mut Complaints,
    ) -> Vec<Lookup> {
        let mut lookups = Vec::new();
        for wanted in &self.wanted.lookup {
            let Some(to) = cloud.column(&wanted.column) else {
                complaints.push(format!(
                    "lookup fills column {}, which the cloud's table does not have",
                    wanted.column
                ));
                continue;
            };
            if let Some(lookup) = self.lookup(wanted, cloud, mapping, complaints) {
                mapping
                    .columns
                    .push(column(to, Source::LookedUp(lookups.len())));
                lookups.push(lookup);
            }
        }
        lookups
    }

    fn lookup(
        &self,
        wanted: &WantedLookup,
        cloud: &RelationFacts,
        mapping: &Mapping,
        complaints: &mut Complaints,
    ) -> Option<Lookup> {
        let found = self
            .named(&wanted.from)
            .and_then(|pair| Some((pair.wanted, pair.cloud?)));
        let mut says =
            |what: String| complaints.push(format!("lookup of {}: {what}", wanted.column));
        let Some((parent, facts)) = found else {
            says(format!(
                "{} is not one of the tables here, so its later changes can't be followed",
                wanted.from
            ));
            return None;
        };
        if parent
            .lookup
            .iter()
            .any(|lookup| lookup.column == wanted.take)
        {
            says(format!(
                "{take} is looked up itself; look it up where that comes from",
                take = wanted.take
            ));
        }
        match (facts.column(&wanted.take), cloud.column(&wanted.column)) {
            (None, _) => says(format!("{} has no column {}", wanted.from, wanted.take)),
            (Some(from), Some(to)) => {
                if let Some(why) = misfit(from, to) {
                    says(format!("{} does not fit: {}", wanted.take, why.words()));
                }
            }
            (Some(_), None) => {}
        }
        if wanted.on.is_empty() {
            says("on doesn't say by which columns the parent is found".to_owned());
        }
        let mut on = Vec::new();
        for (own, named) in &wanted.on {
            if !mapping.fills(own) {
                says(format!(
                    "column {own} is not filled by forward, so no parent can be found by it"
                ));
            }
            match facts.column(named) {
                None => says(format!("{} has no column {named}", wanted.from)),
                Some(parent) => on.push((own.clone(), named.clone(), parent.base_type.clone())),
            }
        }
        Some(Lookup {
            parent: facts.name.clone(),
            on,
            take: wanted.take.clone(),
            owner: self.owner(facts),
            tenant: self.tenant_of(parent, facts, complaints, 0),
        })
    }
}
