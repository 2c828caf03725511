//! Parents before children, and tables that refer to each other side by side.

use std::collections::BTreeMap;

/// A table among those that are to be ordered.
#[derive(Clone, Debug, Default)]
pub struct Tie {
    /// Its identifier.
    pub oid: u32,
    /// Tables that have to be written before it; `true` where nothing helps but that: a reference that may be NULL for a
    /// moment, or asked at the end, can also be filled later.
    pub parents: Vec<(u32, bool)>,
}

/// Orders tables so that each comes after the tables it refers to. Those that refer to each other in a circle stand
/// together, in the order that needs the fewest references to be filled later.
pub fn parents_first(ties: &[Tie]) -> Vec<Vec<usize>> {
    let places = ties.iter().enumerate().map(|(at, tie)| (tie.oid, at));
    let places: BTreeMap<u32, usize> = places.collect();
    let parents = |at: usize, hard: bool| -> Vec<usize> {
        let named = ties[at].parents.iter().filter(|(_, is)| *is || !hard);
        let known = named.filter_map(|(oid, _)| places.get(oid).copied());
        known.filter(|parent| *parent != at).collect()
    };
    let above: Vec<_> = (0..ties.len())
        .map(|at| reached(at, ties.len(), &|at| parents(at, false)))
        .collect();
    let circle = |at: usize| -> Vec<usize> {
        let same = |other: &usize| *other == at || above[at][*other] && above[*other][at];
        (0..ties.len()).filter(same).collect()
    };
    let mut done = vec![false; ties.len()];
    let mut order: Vec<Vec<usize>> = Vec::new();
    while let Some(first) = done.iter().position(|done| !done) {
        // Of those that are left, one at least needs none outside its circle.
        let is_free = |at: &usize| {
            let members = circle(*at);
            let mut needs = members.iter().flat_map(|member| parents(*member, false));
            !done[*at] && needs.all(|parent| done[parent] || members.contains(&parent))
        };
        let mut left = circle((0..ties.len()).find(is_free).unwrap_or(first));
        let mut sorted = Vec::new();
        while !left.is_empty() {
            let is_ready = |at: &usize, hard: bool| {
                parents(*at, hard)
                    .iter()
                    .all(|parent| !left.contains(parent))
            };
            let ready = |hard| left.iter().position(|at| is_ready(at, hard));
            let next = ready(false).or_else(|| ready(true)).unwrap_or_default();
            let next = left.remove(next);
            done[next] = true;
            sorted.push(next);
        }
        order.push(sorted);
    }
    order
}

/// All that can be reached from a table.
fn reached(from: usize, count: usize, next: &dyn Fn(usize) -> Vec<usize>) -> Vec<bool> {
    let mut seen = vec![false; count];
    let mut open = next(from);
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut seen[at], true) {
            open.extend(next(at));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::{Tie, parents_first};

    fn order(ties: &[(u32, &[(u32, bool)])]) -> Vec<Vec<usize>> {
        let tie = |(oid, parents): &(u32, &[(u32, bool)])| Tie {
            oid: *oid,
            parents: parents.to_vec(),
        };
        parents_first(&ties.iter().map(tie).collect::<Vec<_>>())
    }

    #[test]
    fn children_come_after_their_parents_and_cycles_end() {
        let chain: [(u32, &[(u32, bool)]); 3] = [(1, &[(2, true)]), (2, &[(3, true)]), (3, &[])];
        assert_eq!(order(&chain), [[2], [1], [0]]);
        let circle: [(u32, &[(u32, bool)]); 3] = [
            (1, &[(1, true), (9, true)]),
            (2, &[(3, true)]),
            (3, &[(2, true)]),
        ];
        assert_eq!(order(&circle), [vec![0], vec![1, 2]]);
    }

    #[test]
    fn what_refers_to_a_circle_comes_behind_it_and_what_must_be_first_in_it_is() {
        // A child of the circle stands first in the settings; in the circle only 3 -> 2 may be filled later.
        let tied: [(u32, &[(u32, bool)]); 4] = [
            (1, &[(2, true)]),
            (2, &[(3, true)]),
            (3, &[(2, false), (4, true)]),
            (4, &[]),
        ];
        assert_eq!(order(&tied), [vec![3], vec![2, 1], vec![0]]);
    }
}
