//! Which of a table's columns tie its rows to others, and what loosens them. Pure.

use super::super::order::Tie;
use super::super::relation::RelationFacts;
use crate::model::{Key, Knot, Source, Table};

/// What has to be written before a table, by its foreign keys and otherwise: by lookups, and by what names its tenant.
pub fn ties(table: &Table, cloud: &RelationFacts, otherwise: impl Iterator<Item = u32>) -> Tie {
    let foreigns = cloud.bonds.foreigns.iter().map(|foreign| {
        let loosened =
            foreign.deferrable || !loose(table, cloud, &foreign.columns, foreign.full).is_empty();
        (foreign.parent, !loosened)
    });
    Tie {
        oid: cloud.oid,
        parents: foreigns.chain(otherwise.map(|oid| (oid, true))).collect(),
    }
}

/// What ties a table's rows to each other, and to those of the tables in its circle. None where each row can be written
/// for itself.
pub fn knot(table: &Table, cloud: &RelationFacts, circle: (usize, &[u32])) -> Option<Knot> {
    let (number, members) = circle;
    let bonds = &cloud.bonds;
    let mut knot = Knot {
        circle: number,
        rooted: rooted(table, cloud),
        ..Knot::default()
    };
    let mut any = bonds.foreigns.iter().any(|foreign| foreign.deferrable);
    let mut add = |list: Vec<usize>, to: fn(&mut Knot) -> &mut Vec<usize>| {
        let to = to(&mut knot);
        let new: Vec<_> = list.into_iter().filter(|at| !to.contains(at)).collect();
        to.extend(new);
    };
    for foreign in &bonds.foreigns {
        if members.contains(&foreign.parent) {
            any = true;
            let columns = loose(table, cloud, &foreign.columns, foreign.full);
            add(columns, |knot| &mut knot.loose);
        }
    }
    let key: Vec<_> = table.key_names().collect();
    let more = |unique: &&super::super::bond::Unique| {
        unique.deferrable || !{ unique.columns.iter() }.all(|name| key.contains(&name.as_str()))
    };
    for unique in bonds.uniques.iter().filter(more) {
        any = true;
        let loose = match unique.nulls_equal {
            true => Vec::new(),
            false => loose(table, cloud, &unique.columns, false),
        };
        match loose.is_empty() {
            false => add(loose, |knot| &mut knot.loose),
            true => {
                let columns = { table.columns.iter().enumerate() }
                    .filter(|(_, column)| unique.columns.contains(&column.name))
                    .filter(|(_, column)| !key.contains(&column.name.as_str()));
                let columns = columns.map(|(at, _)| at).collect();
                add(columns, |knot| &mut knot.stiff);
            }
        }
    }
    any.then_some(knot)
}

/// Columns of a constraint that may be NULL for a moment: the first, or all where it takes all. They are ours to change,
/// name no row, and nobody refers to them.
fn loose(table: &Table, cloud: &RelationFacts, names: &[String], all: bool) -> Vec<usize> {
    let found = |name: &String| table.columns.iter().position(|column| column.name == *name);
    let named: Vec<_> = table.key_names().collect();
    let is_loose = |name: &String| {
        let Some(at) = found(name).filter(|_| table.key != Key::Multiset) else {
            return false;
        };
        let column = &table.columns[at];
        let tells = { table.tenant.columns.iter() }.any(|tenant| tenant.cloud == *name) || {
            table.tenant.via.iter()
        }
        .any(|via| via.on.iter().any(|(own, _)| own == name));
        !column.not_null
            && !column.cloud_owned
            && !matches!(column.from, Source::LookedUp(_))
            && !named.contains(&name.as_str())
            && !tells
            && !is_referred(cloud, name)
    };
    let loose: Vec<_> = names.iter().filter(|name| is_loose(name)).collect();
    match all {
        true if loose.len() < names.len() => Vec::new(),
        true => loose.into_iter().filter_map(found).collect(),
        false => loose.into_iter().take(1).filter_map(found).collect(),
    }
}

fn is_referred(cloud: &RelationFacts, name: &str) -> bool {
    let mut others = cloud.reaches.iter().flat_map(|reach| &reach.on);
    others.any(|(_, own)| own == name)
}

/// Why a row can't be deleted and inserted anew: somebody else would lose something by it.
fn rooted(table: &Table, cloud: &RelationFacts) -> Option<String> {
    if table.key == Key::Multiset {
        return Some("no key names it".to_owned());
    }
    if let Some(reach) = cloud.reaches.first() {
        return Some(format!("rows of {} may refer to it", reach.child));
    }
    let owned = table.columns.iter().find(|column| column.cloud_owned);
    if let Some(column) = owned {
        return Some(format!("its {} is the cloud's own", column.name));
    }
    let filled = |name: &str| {
        let owner = table
            .owner
            .as_ref()
            .is_some_and(|owner| owner.column == name);
        owner || table.columns.iter().any(|column| column.name == name)
    };
    let left = { cloud.columns.iter() }.find(|column| !column.computed && !filled(&column.name));
    if let Some(column) = left {
        return Some(format!("its {} doesn't come from the desktop", column.name));
    }
    let triggers = "triggers or rules of the cloud's table would run for it";
    cloud.bonds.triggers.then(|| triggers.to_owned())
}
