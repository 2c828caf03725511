//! Parents before children.

use std::collections::HashMap;

/// Orders tables so that each comes after the tables it refers to. `tables` gives each one's
/// identifier and its parents' in the cloud. In a cycle the settings' order decides.
pub fn parents_first(tables: &[(u32, Vec<u32>)]) -> Vec<usize> {
    let place: HashMap<u32, usize> = tables
        .iter()
        .enumerate()
        .map(|(at, (oid, _))| (*oid, at))
        .collect();
    let mut done = vec![false; tables.len()];
    let mut order = Vec::with_capacity(tables.len());
    while order.len() < tables.len() {
        let ready = |at: &usize| {
            let parents = tables[*at].1.iter().filter_map(|parent| place.get(parent));
            !done[*at]
                && parents
                    .filter(|parent| *parent != at)
                    .all(|parent| done[*parent])
        };
        let next = (0..tables.len())
            .find(ready)
            .or_else(|| done.iter().position(|done| !done));
        let Some(next) = next else { break };
        done[next] = true;
        order.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::parents_first;

    #[test]
    fn children_come_after_their_parents_and_cycles_end() {
        assert_eq!(
            parents_first(&[(1, vec![2]), (2, vec![3]), (3, vec![])]),
            [2, 1, 0]
        );
        assert_eq!(
            parents_first(&[(1, vec![1, 9]), (2, vec![3]), (3, vec![2])]),
            [0, 1, 2]
        );
    }
}
