//! What a first copy costs where the cloud is far away.

use std::time::Duration;

use crate::support::office::{Office, Place, Plan, places, value};

/// Each of them is a round trip at least.
async fn turns(office: &Office, arguments: &[&str]) -> u64 {
    let before = office.to_cloud.stats().turns;
    let (code, out, said) = office.ask(arguments).await;
    assert_eq!(code, 0, "{out} {said}");
    office.to_cloud.stats().turns - before
}

/// PowerCA's tables with few rows: a table, a statement or a question more is not a round trip more.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_database_is_copied_in_a_few_round_trips() {
    let mut all = places();
    let newest = all.iter().rfind(|place| !place.distant).unwrap().clone();
    all.retain(|place| place.distant);
    for place in all.into_iter().chain([newest]) {
        let office = Office::open(&Plan {
            // So that what is sent together counts once.
            delay: Duration::from_millis(40),
            ..Plan::powerca(Place::from(&place), 0.01)
        })
        .await;
        // 128 before the tables, the questions and the connections went together.
        let first = turns(&office, &["bootstrap"]).await;
        // Through a pooler questions of one moment wait for each other (`wire::turns`).
        let most = if place.distant { 80 } else { 28 };
        assert!(first <= most, "{first} round trips");
        office.assert_equal().await;
        let whole = "select count(*) from tandem.table_state where copied_at is not null";
        let tables = office.tables().await.iter().count().to_string();
        assert_eq!(value(&office.cloud, whole).await, tables);
    }
}
