//! What goes wrong around the service for long: the slot, the disk, the other writer, slow statements (P10, P13, P14).

use crate::support::office::{Office, exec, finish, until, value};
use crate::support::servers::{newest, versions};

const DDL: &str = "create table item (id int primary key, what text)";

async fn office(settings: &str) -> Office {
    let settings =
        format!("[heartbeat]\nevery = \"200ms\"\n{settings}[[table]]\nname = \"item\"\n");
    Office::with_tables(&newest(), &settings, DDL, DDL).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_the_slot_is_given_up_before_the_disk_is_full_and_a_diff_mends_it() {
    for binaries in versions() {
        let settings = "[heartbeat]\nevery = \"200ms\"\n[forward]\nwal_held_drop = \"40MB\"\n[[table]]\nname = \"item\"\nmax_shrink = 1\n";
        let office = Office::with_tables(&binaries, settings, DDL, DDL).await;
        exec(
            &office.desktop,
            "insert into item select n, 'a' from generate_series(1, 100) n",
        )
        .await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(&office.cloud, "update item set what = what where id = 1").await;
        let unchanged = "select string_agg(concat_ws(' ', id, xmin), ',' order by id) from item where id between 2 and 50";
        let before = value(&office.cloud, unchanged).await;
        office.to_cloud.refuse(true);
        office.to_cloud.cut();
        exec(&office.desktop, "delete from item where id > 50; insert into item values (1000, 'new'); update item set what = 'b' where id = 1").await;
        // Anything makes WAL.
        exec(
            &office.desktop,
            "select pg_switch_wal(); create table filler as select repeat(md5(n::text), 30) from generate_series(1, 60000) n; select pg_switch_wal()",
        )
        .await;
        until(
            &office.desktop,
            "select count(*) = 0 from pg_replication_slots",
        )
        .await;
        office.says("is given up", 0);
        office.to_cloud.refuse(false);
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(value(&office.cloud, unchanged).await, before, "P9");
        let remembered = "select count(*) from tandem.slot where given_up_at is not null";
        assert_eq!(value(&office.desktop, remembered).await, "0");
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_a_given_up_slot_is_remembered_over_a_restart() {
    let office = office("[forward]\nwal_held_drop = \"40MB\"\n").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.to_cloud.refuse(true);
    office.to_cloud.cut();
    exec(&office.desktop, "insert into item values (1, 'x'); select pg_switch_wal(); create table filler as select repeat(md5(n::text), 30) from generate_series(1, 60000) n; select pg_switch_wal()").await;
    until(
        &office.desktop,
        "select count(*) = 0 from pg_replication_slots",
    )
    .await;
    service.kill().await;
    office.to_cloud.refuse(false);
    let (code, out, _) = office.ask(&["status"]).await;
    assert!(
        code == 3 && out.contains("the slot was given up at 20"),
        "{out}"
    );
    let (_, out, _) = office.ask(&["lag", "--json"]).await;
    assert!(out.contains("\"state\":\"slot_lost\""), "{out}");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    let (_, out, _) = office.ask(&["status", "--json"]).await;
    assert!(out.contains("\"slot_given_up\":null"), "{out}");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_one_of_those_who_stand_by_takes_over_from_each_that_dies() {
    let office = office("").await;
    let mut first = office.run();
    office.caught_up(&mut first).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut standby = office.command(&["run", "--standby"]);
        standby.kill_on_drop(true);
        waiting.push(standby.spawn().unwrap());
    }
    // Both have asked for the lease, and wait.
    until(
        &office.cloud,
        "select count(*) >= 2 from pg_stat_activity where query like '%take_lease%' and state = 'idle' and backend_start > (select min(backend_start) from pg_stat_activity where application_name like 'tandem%')",
    )
    .await;
    exec(&office.desktop, "insert into item values (1, 'x')").await;
    office.caught_up(&mut first).await;
    first.kill().await;
    for rows in 2..4 {
        // A lease that lasts longer than anybody here waits: its holder is looked for, not its term.
        let lasts =
            "update tandem.checkpoint set held_until = clock_timestamp() + interval '1 day'";
        exec(&office.cloud, lasts).await;
        exec(
            &office.desktop,
            &format!("insert into item values ({rows}, 'y')"),
        )
        .await;
        until(
            &office.cloud,
            &format!("select count(*) = {rows} from item"),
        )
        .await;
        let (code, _, said) = finish(&mut office.command(&["run"])).await;
        assert_eq!(code, 5, "somebody has the lease again: {said}");
        // Its holder is named by its process; the other one still waits.
        let holder = value(
            &office.cloud,
            "select split_part(holder, '/', 2) from tandem.checkpoint",
        )
        .await;
        let at = waiting
            .iter()
            .position(|standby| standby.id().unwrap().to_string() == holder);
        let mut taker = waiting.remove(at.unwrap());
        assert!(
            waiting
                .iter_mut()
                .all(|standby| standby.try_wait().unwrap().is_none())
        );
        taker.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f34_a_statement_that_takes_longer_than_it_may_gets_more_time() {
    let office = office("").await;
    let whole = std::fs::read_to_string(office.file()).unwrap();
    let short = whole.replacen("[cloud]\n", "[cloud]\nstatement_timeout = \"1s\"\n", 1);
    std::fs::write(office.file(), short).unwrap();
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(1.5); return new; end $$; \
        create trigger slow before insert on item for each row execute function slow()").await;
    exec(&office.desktop, "insert into item values (1, 'x')").await;
    until(&office.cloud, "select count(*) = 1 from item").await;
    assert!(
        office
            .log()
            .contains("longer than cloud.statement_timeout allows")
    );
    assert!(office.log().contains("may take longer from now on"));
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_cloud_that_became_read_only_is_weather_and_no_row_is_parked() {
    let office = office("").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "alter system set default_transaction_read_only = on",
    )
    .await;
    exec(&office.cloud, "select pg_reload_conf()").await;
    until(
        &office.cloud,
        "select current_setting('default_transaction_read_only') = 'on'",
    )
    .await;
    office.to_cloud.reset();
    exec(&office.desktop, "insert into item values (1, 'x')").await;
    office.says("the cloud is read-only", 0);
    exec(
        &office.cloud,
        "alter system reset default_transaction_read_only",
    )
    .await;
    exec(&office.cloud, "select pg_reload_conf()").await;
    until(&office.cloud, "select count(*) = 1 from item").await;
    assert_eq!(
        value(&office.cloud, "select count(*) from tandem.quarantine").await,
        "0"
    );
    assert_eq!(service.stop().await, 0);
}
