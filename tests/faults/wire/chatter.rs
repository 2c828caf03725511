//! A server may talk in between: notices, parameter reports and notifications between any two messages.

use tandem::demo::cluster::Binaries;

use crate::support::office::{Office, came_home, exec, until, value};
use crate::support::servers::{newest, versions};

const SETTINGS: &str = "[heartbeat]\nevery = \"500ms\"\n[forward]\nmemory_max = \"8MB\"\n[reverse]\nevery = \"100ms\"\n\
    [[table]]\nname = \"item\"\n[[table]]\nname = \"diary\"\nflow = \"both\"\n[[table]]\nname = \"stock\"\nkey = [\"nr\"]\nstream = false\n";
const ON_DESKTOP: &str = "create table item (id int primary key, note text); create table diary (id int primary key, note text, source char(1)); \
    create table stock (nr int, note text); insert into item select n, 'old' from generate_series(1, 2000) n; \
    insert into diary select n, 'desk', 'D' from generate_series(1, 500) n; insert into stock select n, 'old' from generate_series(1, 500) n";
/// One table has a row already: it is staged and merged, the others are filled by COPY.
const IN_CLOUD: &str = "create table item (id int primary key, note text); create table diary (id int primary key, note text, source char(1) default 'D'); \
    create table stock (id bigint generated always as identity primary key, nr int, note text); insert into item values (1, 'else')";

async fn office(binaries: &Binaries) -> Office {
    Office::with_tables(binaries, SETTINGS, ON_DESKTOP, IN_CLOUD).await
}

/// From the first set-up on, once around.
async fn goes_around(office: &Office) {
    let (code, out, err) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{out}{err}");
    office.assert_equal().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "update item set note = 'new' where id % 2 = 0; delete from item where id % 5 = 0; insert into stock values (501, 'new')").await;
    // Beyond half of the memory: its message is taken in pieces, whatever stands before it.
    exec(
        &office.desktop,
        "insert into item values (-1, repeat('x', 5000000)); insert into item values (-2, 'behind it')",
    )
    .await;
    // Beyond all of it: it is staged.
    exec(
        &office.desktop,
        "insert into item select n, repeat('y', 1000) from generate_series(10001, 20000) n",
    )
    .await;
    exec(
        &office.cloud,
        "insert into diary select n, 'phone', 'M' from generate_series(1001, 1100) n",
    )
    .await;
    office.caught_up(&mut service).await;
    came_home(office).await;
    let phones = "select count(*) from diary where note = 'phone'";
    assert_eq!(value(&office.desktop, phones).await, "100");
    for command in [&["swap", "stock"][..], &["wait"], &["verify"], &["status"]] {
        let (code, out, err) = office.ask(command).await;
        // The large row waits in the quarantine, and is said.
        let expected = i32::from(matches!(command[0], "wait" | "status"));
        assert_eq!(code, expected, "{command:?}: {out}{err}");
    }
    until(
        &office.cloud,
        "select exists (select from stock where nr = 501)",
    )
    .await;
    let parked = "select string_agg(key::text || ' ' || sqlstate, ',') from tandem.quarantine";
    assert_eq!(value(&office.cloud, parked).await, "{-1} TD007");
    assert_eq!(service.stop().await, 0);
    let log = office.log();
    assert!(
        !log.contains("\"level\":\"ERROR\"")
            && !log.contains("reconnect")
            && !log.contains("again in"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_what_a_server_says_between_any_two_messages_disturbs_nothing() {
    let office = office(&newest()).await;
    office.to_desktop.chat();
    office.to_cloud.chat();
    goes_around(&office).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_servers_that_tell_all_they_do_disturb_nothing() {
    for (binaries, level) in versions()
        .iter()
        .rev()
        .zip(["debug5", "debug1"].iter().cycle())
    {
        let office = office(binaries).await;
        let tells = |database: &str| {
            format!("alter database {database} set client_min_messages = '{level}'")
        };
        exec(&office.desktop, &tells("enterprise_db")).await;
        exec(&office.cloud, &tells("postgres")).await;
        goes_around(&office).await;
    }
}
