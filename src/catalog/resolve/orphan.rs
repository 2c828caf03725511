//! Which columns become NULL where a row's parent isn't there.

use super::super::relation::RelationFacts;
use super::complaint::Complaints;
use crate::model::{Column, Key, Parent, Source, Tenant};

/// Columns of foreign keys to other tables that become NULL where there is no parent: they take NULL, and name neither the row
/// nor its tenant. One NULL is enough, unless only all columns together may be NULL. What is left of a row without a
/// parent is refused, and waits in the quarantine.
pub(super) fn orphaned(
    cloud: &RelationFacts,
    (key, tenant): (&Key, &Tenant),
    columns: &mut [Column],
    complaints: &mut Complaints,
) {
    let Key::Columns(key) = key else {
        complaints.push("orphans = \"null\" needs a key: without one a row is told by all of its columns, and could not be found again".to_owned());
        return;
    };
    let via = { tenant.via.iter().flat_map(|via| &via.on) }.map(|(own, _)| own);
    let owners: Vec<_> = { tenant.columns.iter() }
        .map(|column| &column.cloud)
        .chain(via)
        .collect();
    for reference in cloud.references.iter().filter(|of| of.parent != cloud.name) {
        let loose = |name: &String| {
            let at = columns.iter().position(|column| column.name == *name)?;
            let takes_null = cloud.column(name).is_some_and(|column| !column.not_null);
            let plain = !matches!(columns[at].from, Source::LookedUp(_));
            (takes_null && plain && !key.contains(&at) && !owners.contains(&name)).then_some(at)
        };
        let mut chosen: Vec<usize> = { reference.on.iter() }
            .filter_map(|(own, _)| loose(own))
            .collect();
        if reference.full && chosen.len() < reference.on.len() {
            continue;
        }
        if !reference.full {
            // What other references need, too, stays; the last column is the one that says most.
            let others = |at: &usize| {
                let uses = cloud
                    .references
                    .iter()
                    .filter(|other| other.on.iter().any(|(own, _)| *own == columns[*at].name));
                uses.count()
            };
            let least = chosen.iter().rev().copied().min_by_key(others);
            chosen = least.into_iter().collect();
        }
        for at in chosen {
            columns[at].parents.push(Parent {
                table: reference.parent.clone(),
                on: reference.on.clone(),
            });
        }
    }
}
