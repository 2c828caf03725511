//! What the listener says is true, at any moment (P15): metrics, health, the page.

use crate::support::office::{exec, until, value};
use crate::support::watched::{ask, fleet_page, watched};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread")]
async fn p15_health_metrics_and_page_tell_what_is() {
    let it = watched("").await;
    let mut service = it.office.run();
    it.office.caught_up(&mut service).await;
    it.shows(200, "caught_up", "tandem_up", 1.0).await;
    assert_eq!(it.get("/healthz").await, (200, "ok\n".to_owned()));
    exec(
        &it.office.desktop,
        "insert into item select n, 'x' from generate_series(1, 100) n",
    )
    .await;
    it.office.caught_up(&mut service).await;
    it.shows(
        200,
        "caught_up",
        "tandem_rows_total{direction=\"forward\",table=\"item\",outcome=\"applied\"}",
        100.0,
    )
    .await;
    assert!(it.metric("tandem_batches_total").await.unwrap() >= 1.0);
    assert!(it.metric("tandem_batch_seconds_count").await.unwrap() >= 1.0);
    assert!(it.metric("tandem_lag_seconds").await.unwrap() < 5.0);
    assert!(
        it.metric("tandem_last_commit_timestamp_seconds")
            .await
            .unwrap()
            > 1.7e9
    );
    let (code, page) = it.get("/").await;
    assert!(code == 200 && page.contains("<title>tandem</title>"));
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "no outside requests"
    );
    let (code, document) = it.get("/status.json").await;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        (code, &document["status"]["verdict"]),
        (200, &serde_json::json!("caught_up"))
    );
    assert_eq!(
        document["status"]["service"]["version"],
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(it.ask("POST", "/metrics").await.0, 405);
    assert_eq!(it.get("/etc/passwd").await.0, 404);

    assert_eq!(service.stop().await, 0);
    assert_eq!(it.get("/healthz").await.0, 0, "it ends with the service");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_never_keep_the_service_from_its_work() {
    let it = watched("").await;
    let taken = TcpListener::bind(("127.0.0.1", it.port)).await.unwrap();
    let mut service = it.office.run();
    exec(&it.office.desktop, "insert into item values (1, 'x')").await;
    it.office.caught_up(&mut service).await;
    assert!(it.office.log().contains("metrics can't be served there"));
    drop(taken);
    it.shows(200, "caught_up", "tandem_up", 1.0).await;
    // Clients that connect and say nothing.
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(("127.0.0.1", it.port)).await.unwrap());
    }
    assert_eq!(it.get("/healthz").await.0, 200);
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u33_comparisons_on_schedule_are_shown_by_status_and_the_metrics() {
    let it = watched("[verify]\nevery = \"5s\"\n").await;
    exec(&it.office.desktop, "insert into item values (1, 'x')").await;
    let mut service = it.office.run();
    it.office.caught_up(&mut service).await;
    it.shows(200, "caught_up", "tandem_verified_equal", 1.0)
        .await;
    exec(&it.office.cloud, "update item set note = 'damaged'").await;
    it.shows(503, "needs_you", "tandem_verified_equal", 0.0)
        .await;
    let (code, out, _) = it.office.ask(&["status"]).await;
    assert!(
        code == 1 && out.contains("DIFFERENT in item") && out.contains("tandem repair"),
        "{out}"
    );
    let (code, out, said) = it.office.ask(&["repair", "--apply"]).await;
    assert_eq!(code, 0, "{out} {said}");
    it.shows(200, "caught_up", "tandem_verified_equal", 1.0)
        .await;
    until(&it.office.cloud, "select note = 'x' from item").await;
    assert_eq!(
        value(&it.office.cloud, "select count(*) from tandem.verified").await,
        "1"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u32_alerts_and_dashboard_ask_for_metrics_that_exist() {
    let it = watched("[verify]\nevery = \"5s\"\n[reverse]\nevery = \"100ms\"\n[alert.webhook]\nurl = \"https://127.0.0.1:9/nobody\"\n").await;
    let file = std::fs::read_to_string(it.office.file()).unwrap();
    std::fs::write(
        it.office.file(),
        file.replace("name = \"other\"", "name = \"other\"\nflow = \"forward\""),
    )
    .unwrap();
    let mut service = it.office.run();
    it.office.caught_up(&mut service).await;
    it.shows(200, "caught_up", "tandem_verified_equal", 1.0)
        .await;
    let (_, page) = it.get("/metrics").await;
    let (fleet, port) = fleet_page(it.office.command(&[])).await;
    let (_, of_fleet) = ask(port, "GET", "/metrics").await;
    assert_eq!(fleet.stop().await, 0);
    let served: std::collections::BTreeSet<_> = { page.lines().chain(of_fleet.lines()) }
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let root = env!("CARGO_MANIFEST_DIR");
    let mut asked = 0;
    for file in ["deploy/prometheus/alerts.yml", "deploy/grafana/tandem.json"] {
        let text = std::fs::read_to_string(format!("{root}/{file}")).unwrap();
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        for word in words.filter(|word| word.starts_with("tandem_")) {
            let name = word.trim_end_matches("_bucket");
            assert!(
                served.contains(name),
                "{file} asks for {word}; there are {served:?}"
            );
            asked += 1;
        }
    }
    assert!(asked > 25);
    // The contract's own.
    for name in [
        "tandem_lag_seconds",
        "tandem_lag_bytes",
        "tandem_wal_held_bytes",
        "tandem_rows_total",
        "tandem_transactions_total",
        "tandem_batches_total",
        "tandem_batch_seconds",
        "tandem_batch_rows",
        "tandem_reverse_pending",
        "tandem_quarantined",
        "tandem_reconnects_total",
        "tandem_last_commit_timestamp_seconds",
        "tandem_up",
    ] {
        assert!(served.contains(name), "{name}");
    }
    assert_eq!(service.stop().await, 0);
}
