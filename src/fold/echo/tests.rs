//! Our own writes come back as echoes, whatever triggers do beside them; over thousands of random transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fold::tests::table;
use crate::model::{Identity, Key, Named, Old, RelationColumn, ReverseTable, Tenant};

const NONCE: &str = "nonce";

fn tables() -> Tables {
    let tables = table(Key::Columns(vec![0]));
    let forward = tables.get(TableId(0)).clone();
    let reverse = ReverseTable {
        name: forward.name.clone(),
        desktop: forward.desktop.clone(),
        partitioned: false,
        cloud: forward.cloud.clone(),
        confined: false,
        vanishes: false,
        arriving: forward.arriving.clone(),
        columns: forward.columns.clone(),
        names: vec![Named {
            arriving: 0,
            not_null: true,
        }],
        key: vec![0],
        indexed: true,
        counted: false,
        rows: true,
        owned: Vec::new(),
        owner: forward.owner.clone(),
        desktop_owner: None,
        tenant: Tenant::default(),
        keeps_desktop: false,
        deletes: true,
        lets_keep_out: false,
        streams: true,
        charset: None,
        knot: None,
        fingerprint: String::new(),
    };
    Tables::new(vec![forward]).with_reverse_tables(vec![reverse])
}

fn relation() -> Arc<Relation> {
    let column = |name: &str| RelationColumn {
        in_identity: true,
        name: name.to_owned(),
        type_oid: 25,
        modifier: -1,
    };
    Arc::new(Relation {
        oid: 1,
        schema: "public".to_owned(),
        name: "item".to_owned(),
        identity: Identity::Full,
        columns: ["id", "body", "note", "source"].map(column).to_vec(),
    })
}

fn row(id: u8, body: u8) -> Tuple {
    let (id, body) = (id.to_string(), body.to_string());
    Tuple::from_cells([
        Cell::Text(id.as_bytes()),
        Cell::Text(body.as_bytes()),
        Cell::Null,
        Cell::Text(b"M"),
    ])
}

/// What happens to one row in a transaction of ours.
#[derive(Clone, Debug)]
struct Act {
    id: u8,
    /// How it was; none where it wasn't there.
    was: Option<u8>,
    /// How we leave it; none where it goes.
    ours: Option<u8>,
    /// We name it: else a trigger derives it.
    named: bool,
    /// How a trigger leaves it behind us.
    altered: Option<Option<u8>>,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let look = || prop::option::of(0..3u8);
    let one = (
        look(),
        look(),
        prop::bool::weighted(0.7),
        prop::option::weighted(0.3, look()),
    );
    prop::collection::vec(one, 1..8).prop_map(|acts| {
        let act = |(id, (was, ours, named, altered)): (usize, _)| Act {
            id: id as u8,
            was,
            ours,
            named,
            altered,
        };
        acts.into_iter().enumerate().map(act).collect()
    })
}

fn change(relation: &Arc<Relation>, id: u8, from: Option<u8>, to: Option<u8>) -> Option<Change> {
    let old = |body| Old {
        tuple: row(id, body),
        whole: true,
    };
    let operation = match (from, to) {
        (None, None) => return None,
        (None, Some(new)) => Operation::Insert(row(id, new)),
        (Some(was), None) => Operation::Delete(old(was)),
        (Some(was), Some(new)) => Operation::Update {
            old: Some(old(was)),
            new: row(id, new),
        },
    };
    Some(Change {
        relation: relation.clone(),
        operation,
        too_large: None,
        hand: ChangeOrigin::Desktop,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn p5_u18_exactly_what_we_left_is_an_echo(acts in acts(), order in any::<u64>(), forged in any::<bool>()) {
        let (tables, relation) = (tables(), relation());
        let reverse = &tables.reverse_tables()[0];
        let key: Vec<_> = vec![&reverse.columns[0]];
        let all: Vec<_> = reverse.columns.iter().collect();
        let (mut changes, mut text) = (Vec::new(), String::from(if forged { "another" } else { NONCE }));
        let mut expected = BTreeMap::new();
        for act in &acts {
            let of_row = |body| (hash(&row(act.id, body), &relation, &key), hash(&row(act.id, body), &relation, &all));
            if act.named && (act.was.is_some() || act.ours.is_some()) {
                let (key, look) = of_row(act.ours.unwrap_or_default());
                let look = act.ours.and(look).unwrap_or_else(|| "-".to_owned());
                text.push_str(&format!("\n{} {look} item", key.unwrap_or_default()));
            }
            let left = act.altered.unwrap_or(act.ours);
            changes.extend(change(&relation, act.id, act.was, act.ours));
            changes.extend(act.altered.and_then(|to| change(&relation, act.id, act.ours, to)));
            expected.insert(act.id, act.named && left == act.ours);
        }
        // Triggers may do their part behind all of ours, or in between; within one row the order stays.
        let mut shuffled: Vec<_> = changes.into_iter().enumerate().collect();
        shuffled.sort_by_key(|(at, change)| {
            let id = id_of(change);
            (order.rotate_left(u32::from(id) * 7) % 5, id, *at)
        });
        let mut changes: Vec<_> = shuffled.into_iter().map(|(_, change)| change).collect();
        let mark = LogicalMessage { prefix: LogicalMessage::REVERSE.to_owned(), content: text.into_bytes().into() };
        let echoes = Echoes::of(std::slice::from_ref(&mark), NONCE, &tables);
        prop_assert_eq!(echoes.is_none(), forged);
        let Some(echoes) = echoes else { return Ok(()) };
        echoes.judge(&mut changes, &tables);
        for change in &changes {
            let hand = if expected[&id_of(change)] { ChangeOrigin::Echo } else { ChangeOrigin::OwnTransaction };
            prop_assert_eq!(change.hand, hand, "{:?}", change);
        }
    }
}

fn id_of(change: &Change) -> u8 {
    let tuple = match &change.operation {
        Operation::Insert(new) | Operation::Update { new, .. } => new,
        Operation::Delete(old) => &old.tuple,
        Operation::Truncate => return 0,
    };
    match tuple.cells().next() {
        Some(Cell::Text(id)) => std::str::from_utf8(id)
            .ok()
            .and_then(|id| id.parse().ok())
            .unwrap_or_default(),
        _ => 0,
    }
}
