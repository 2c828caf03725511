//! Which tables of the two sides belong together.

use std::collections::BTreeSet;

use crate::catalog::RelationFacts;

/// Columns that both have, by name.
fn common(from: &RelationFacts, to: &RelationFacts) -> usize {
    let columns = from.columns.iter();
    columns
        .filter(|column| to.column(&column.name).is_some())
        .count()
}

/// Tables that belong together: of one name, in the same schema first, or one that ends as the other does, with at least half of the smaller one's
/// columns in common.
pub(super) fn matched<'a>(
    here: &'a [RelationFacts],
    there: &'a [RelationFacts],
) -> Vec<(&'a RelationFacts, &'a RelationFacts)> {
    let mut pairs: Vec<(usize, &RelationFacts, &RelationFacts)> = Vec::new();
    for from in here {
        for to in there {
            let common = common(from, to);
            let (a, b) = (&from.name.relation, &to.name.relation);
            let alike = match () {
                () if from.name == to.name => 10_000,
                () if a == b => 1_000,
                () if a.ends_with(b.as_str()) || b.ends_with(a.as_str()) => 100,
                () => 0,
            };
            if alike > 0 && common * 2 >= from.columns.len().min(to.columns.len()) {
                pairs.push((alike + common, from, to));
            }
        }
    }
    pairs.sort_by_key(|(score, ..)| std::cmp::Reverse(*score));
    let (mut left, mut right) = (BTreeSet::new(), BTreeSet::new());
    let best = pairs.into_iter().filter(|(_, from, to)| {
        let free = !left.contains(&from.name) && !right.contains(&to.name);
        if free {
            left.insert(from.name.clone());
            right.insert(to.name.clone());
        }
        free
    });
    best.map(|(_, from, to)| (from, to)).collect()
}

/// Tables that no name brings together, but most of their columns do.
pub(super) fn alike(
    here: &[RelationFacts],
    there: &[RelationFacts],
    others: &Others,
) -> Vec<(String, String)> {
    let of = |all: &[RelationFacts], names: &[String]| -> Vec<RelationFacts> {
        let of = all
            .iter()
            .filter(|facts| names.contains(&facts.name.to_string()));
        of.cloned().collect()
    };
    let (left, right) = (of(here, &others.desktop), of(there, &others.cloud));
    let pairs = left.iter().filter_map(|from| {
        let to = right.iter().max_by_key(|to| common(from, to))?;
        let same = common(from, to);
        let enough = same * 3 >= from.columns.len() * 2 && same >= 2;
        enough.then(|| (from.name.to_string(), to.name.to_string()))
    });
    pairs.collect()
}

/// Tables without a partner.
#[derive(Default)]
pub(super) struct Others {
    pub(super) desktop: Vec<String>,
    pub(super) cloud: Vec<String>,
    /// Those of both sides that most of their columns bring together, though no name does.
    pub(super) alike: Vec<(String, String)>,
}
