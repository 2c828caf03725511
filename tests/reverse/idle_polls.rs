//! What a poll costs while nothing waits: one short statement for all tables, that reads none of them.

use crate::support::office::{Office, came_home, exec, until, value};
use crate::support::servers::newest;

const SETTINGS: &str = "[heartbeat]\nevery = \"1h\"\n[reverse]\nevery = \"100ms\"\n\
    [[table]]\nname = \"diary\"\nflow = \"reverse\"\n[[table]]\nname = \"leave\"\nflow = \"reverse\"\n\
    [[table]]\nname = \"task\"\nkey = []\ncloud_owned = [\"tick\"]\n";
const DESKTOP: &str = "create table diary (id bigint, note text, source char(1)); create table leave (id bigint, note text, source char(1)); \
    create table task (name text, words text, tick int); insert into task select 'task ' || n, 'words', 0 from generate_series(1, 50) n";
const CLOUD: &str = "create table diary (id bigint primary key, note text, source char(1) default 'D'); \
    create table leave (id bigint primary key, note text, source char(1) default 'D'); \
    create table task (nr bigserial primary key, name text, words text, tick int)";
/// Forty polls' worth of time by the cloud's clock; so much may be sent to it then: one statement of 1,000 bytes each, with all
/// else that a service asks. The poll that reads took 4,000 for these tables.
const POLLED: &str = "4 s";
const SENT_MAX: u64 = 40_000 + 30_000;

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_poll_of_nothing_is_one_short_statement_for_all_tables() {
    let office = Office::with_tables(&newest(), SETTINGS, DESKTOP, CLOUD).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into diary values (1, 'by phone', 'M'); update task set tick = 1 where name = 'task 7'").await;
    came_home(&office).await;
    let ticked = "select tick = 1 from task where name = 'task 7'";
    until(&office.desktop, ticked).await;
    let polled = "select polled_at from tandem.poll";
    let before = value(&office.cloud, polled).await;
    let sent = office.to_cloud.stats().to_upstream;
    let later = format!(
        "select polled_at > '{before}'::timestamptz + interval '{POLLED}' from tandem.poll"
    );
    until(&office.cloud, &later).await;
    let sent = office.to_cloud.stats().to_upstream - sent;
    assert!(sent < SENT_MAX, "{sent} bytes for polls of nothing");
    // What comes is seen all the same, in any of them.
    exec(&office.cloud, "insert into leave values (1, 'a day', 'M')").await;
    until(
        &office.desktop,
        "select exists (select from leave where id = 1)",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
}
