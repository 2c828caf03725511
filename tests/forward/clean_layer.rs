//! The main job on real servers: what the desktop commits is in the cloud a moment later, exactly once.

use crate::support::office::{Office, Plan, exec, places, value};

/// Every row version of the cloud's own tables, as one number.
async fn versions_of_rows(office: &Office) -> String {
    let mut all = Vec::new();
    for table in office.tables().await.iter() {
        let sql = format!(
            "select coalesce(sum(hashtextextended(ctid::text || xmin::text || cmin::text, 0)), 0) from {}",
            table.cloud
        );
        all.push(value(&office.cloud, &sql).await);
    }
    all.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_the_clean_layer_ends_equal_after_copy_work_and_refill() {
    for place in places() {
        let office = Office::open(&Plan::powerca(&place, 1.0)).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        for seed in 1..=30 {
            exec(&office.desktop, &format!("select demo.work({seed}, 20)")).await;
        }
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        exec(&office.desktop, "select sync_views_to_tables()").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_u26_f24_an_idle_refill_writes_nothing_to_the_cloud() {
    for place in places() {
        let office = Office::open(&Plan::powerca(&place, 1.0)).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        let before = versions_of_rows(&office).await;
        exec(&office.desktop, "select sync_views_to_tables()").await;
        office.caught_up(&mut service).await;
        assert_eq!(versions_of_rows(&office).await, before);
        let counts = value(
            &office.cloud,
            "select concat(sum(received) >= 180000, ' ', sum(applied)) from tandem.table_state",
        )
        .await;
        assert_eq!(
            counts, "t 0",
            "every message of the refill was received, none was applied"
        );
        assert_eq!(service.stop().await, 0);
    }
}
