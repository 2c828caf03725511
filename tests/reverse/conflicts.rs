//! What both sides want otherwise has a defined result: it is counted, and both images are kept; what one side refuses waits,
//! and heals.

use crate::support::office::{Office, came_home, exec, until, value};
use crate::support::servers::newest;

const BASE: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"visits\"\nmax_shrink = 1\n";
const ON_DESKTOP: &str = "create table visits (id int, note varchar(40), source char(1))";
const IN_CLOUD: &str =
    "create table visits (id int primary key, note varchar(40), source char(1) default 'D')";

async fn office(rest: &str) -> Office {
    Office::with_tables(&newest(), &format!("{BASE}{rest}"), ON_DESKTOP, IN_CLOUD).await
}

async fn rows(office: &Office) -> [String; 2] {
    let sql = "select coalesce(string_agg(concat_ws(' ', id, note, source), '; ' order by id, note), '') from visits";
    [
        value(&office.desktop, sql).await,
        value(&office.cloud, sql).await,
    ]
}

async fn logged(office: &Office) -> String {
    let sql = "select coalesce(string_agg(concat_ws(' ', kind, key, kept, desktop ->> 'note', cloud ->> 'note'), '; ' order by id), '') from tandem.conflict";
    let both = [
        value(&office.desktop, sql).await,
        value(&office.cloud, sql).await,
    ];
    both.join(" | ")
}

#[tokio::test(flavor = "multi_thread")]
async fn f44_on_mobile_row_keeps_the_phones_version_or_applies_the_desktops() {
    for (rest, cloud, said) in [
        (
            "flow = \"both\"\n",
            "1 phone M; 2 phone M; 3 desk D",
            "mobile {1} cloud desk says phone; mobile {2} cloud phone",
        ),
        (
            "flow = \"both\"\non_mobile_row = \"apply\"\n",
            "1 desk says M; 3 desk D",
            "",
        ),
    ] {
        let office = office(rest).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(
            &office.cloud,
            "insert into visits values (1, 'phone', 'M'), (2, 'phone', 'M')",
        )
        .await;
        came_home(&office).await;
        office.caught_up(&mut service).await;
        // One that looks in the end as it did is no change.
        exec(&office.desktop, "begin; update visits set note = 'desk says' where id = 1; delete from visits where id = 2; insert into visits values (3, 'desk', 'D'); commit").await;
        office.caught_up(&mut service).await;
        assert_eq!(rows(&office).await[1], cloud, "{rest}");
        assert_eq!(logged(&office).await, format!(" | {said}"), "{rest}");
        came_home(&office).await;
        office.assert_conserved().await;
        let (code, out, _) = office.ask(&["quarantine", "list"]).await;
        assert_eq!(code, 0, "{out}");
        assert_eq!(out.contains("conflict   visits"), !said.is_empty(), "{out}");
        assert_eq!(service.stop().await, 0);
    }
}

/// The desktop's own change of a phone's row, which the cloud has, is no conflict with what the phone does later.
#[tokio::test(flavor = "multi_thread")]
async fn f44_what_the_phone_does_after_the_desktops_change_was_applied_is_no_conflict() {
    for rest in ["", "[table.reverse]\non_conflict = \"keep\"\n"] {
        let office = office(&format!(
            "flow = \"both\"\non_mobile_row = \"apply\"\n{rest}"
        ))
        .await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(
            &office.cloud,
            "insert into visits select n, 'phone', 'M' from generate_series(1, 4) n",
        )
        .await;
        came_home(&office).await;
        office.caught_up(&mut service).await;
        exec(&office.desktop, "update visits set note = 'desk' where id in (1, 2); update visits set note = null where id = 4; delete from visits where id = 3").await;
        office.caught_up(&mut service).await;
        // Also when nobody looked in between.
        exec(
            &office.desktop,
            "update visits set note = 'desk 2' where id = 1",
        )
        .await;
        office.caught_up(&mut service).await;
        exec(
            &office.cloud,
            "update visits set note = 'phone 2' where id in (1, 4); delete from visits where id = 2; insert into visits values (3, 'again', 'M')",
        )
        .await;
        came_home(&office).await;
        office.caught_up(&mut service).await;
        let wanted = "1 phone 2 M; 3 again M; 4 phone 2 M";
        assert_eq!(
            rows(&office).await,
            [wanted; 2].map(str::to_owned),
            "{rest}"
        );
        assert_eq!(logged(&office).await, " | ", "{rest}");
        office.assert_conserved().await;
        assert_eq!(service.stop().await, 0);
    }
}

/// Those that somebody has seen go after a while, the others much later; what a comparison needs stays.
#[tokio::test(flavor = "multi_thread")]
async fn p16_old_conflicts_go_by_themselves() {
    let office = office("flow = \"both\"\n").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    let old = "insert into tandem.conflict (replicator, \"table\", kind, key, kept, noticed_at, seen_at) \
        select r.replicator, 'visits', v.kind, array[v.key], 'cloud', now() - v.noticed::interval, now() - v.seen::interval \
        from tandem.conflict_of as r, (values ('changed', '1', '100 days', null), ('changed', '2', '100 days', '80 days'), ('changed', '3', '100 days', '95 days'), \
        ('changed', '4', '400 days', null), ('mobile', '5', '500 days', '400 days'), ('mobile', '5', '450 days', '400 days')) as v(kind, key, noticed, seen)";
    let left = "select string_agg(kind || key[1] || ' ' || (now()::date - noticed_at::date), ', ' order by id) = 'changed1 100, changed2 100, mobile5 450' from tandem.conflict";
    exec(
        &office.desktop,
        &old.replace("tandem.conflict_of", "tandem.reverse"),
    )
    .await;
    exec(
        &office.cloud,
        &old.replace("tandem.conflict_of", "tandem.checkpoint"),
    )
    .await;
    let service = office.run();
    until(&office.desktop, left).await;
    until(&office.cloud, left).await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u10_the_same_key_made_on_both_sides_leaves_each_its_own_and_one_row_waiting() {
    let office = office("flow = \"both\"\n").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into visits values (7, 'made here', 'D'), (8, 'fine', 'D')",
    )
    .await;
    exec(
        &office.cloud,
        "insert into visits values (7, 'made there', 'M'), (9, 'fine', 'M') on conflict do nothing",
    )
    .await;
    office.caught_up(&mut service).await;
    came_home(&office).await;
    // Whichever came first: no row is lost, and the others went on.
    let [desktop, cloud] = rows(&office).await;
    assert!(
        desktop.contains("7 made here D")
            && desktop.contains("8 fine D")
            && desktop.contains("9 fine M"),
        "{desktop}"
    );
    assert!(
        cloud.contains("8 fine D") && cloud.contains("9 fine M"),
        "{cloud}"
    );
    if cloud.contains("7 made there M") {
        let waits = value(&office.cloud, "select string_agg(concat_ws(' ', direction, sqlstate), '; ' order by direction) from tandem.quarantine").await;
        assert_eq!(waits, "forward 23505; reverse TD011");
        assert_eq!(
            logged(&office).await,
            "taken {7} desktop made here made there | "
        );
        // The office gives its own another number, and both heal.
        exec(
            &office.desktop,
            "update visits set id = 70 where id = 7 and source = 'D'",
        )
        .await;
        until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
        came_home(&office).await;
        assert_eq!(
            rows(&office).await,
            ["7 made there M; 8 fine D; 9 fine M; 70 made here D"; 2].map(str::to_owned)
        );
    }
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_changed_on_both_sides_goes_as_on_conflict_says() {
    for (rest, desktop, said) in [
        (
            "flow = \"reverse\"\n",
            "1 phone 2 M; 3 phone 2 M",
            "changed {1} cloud desk phone 2; deleted {2} cloud desk; removed {3} cloud phone 2 | ",
        ),
        (
            "flow = \"reverse\"\n[table.reverse]\non_conflict = \"keep\"\n",
            "1 desk M; 2 desk M",
            "changed {1} desktop desk phone 2; deleted {2} desktop desk; removed {3} desktop phone 2 | ",
        ),
    ] {
        let office = office(rest).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(
            &office.cloud,
            "insert into visits select n, 'phone', 'M' from generate_series(1, 3) n",
        )
        .await;
        came_home(&office).await;
        exec(
            &office.desktop,
            "update visits set note = 'desk' where id in (1, 2); delete from visits where id = 3",
        )
        .await;
        for sql in [
            "update visits set note = 'phone 2' where id = 1",
            "delete from visits where id = 2",
            "update visits set note = 'phone 2' where id = 3",
        ] {
            exec(&office.cloud, sql).await;
            came_home(&office).await;
        }
        assert_eq!(rows(&office).await[0], desktop, "{rest}");
        assert_eq!(logged(&office).await, said, "{rest}");
        // What the phone does to it once more is the same question again, and what is equal is none.
        exec(
            &office.cloud,
            "update visits set note = 'desk' where id = 1",
        )
        .await;
        came_home(&office).await;
        exec(
            &office.cloud,
            "update visits set note = 'phone 3' where id = 1",
        )
        .await;
        came_home(&office).await;
        assert!(
            rows(&office).await[0].starts_with("1 phone 3 M"),
            "after they agreed the phone's edits come home again"
        );
        let counts = value(&office.cloud, "select received - applied - folded - ruled_out - quarantined from tandem.reverse_state").await;
        assert_eq!(counts, "0", "P7");
        let (code, out, _) = office.ask(&["status"]).await;
        assert!(
            code == 0 && out.contains("3 conflicts noted"),
            "{code} {out}"
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn u22_an_id_that_comes_again_never_overwrites_a_row_that_was_kept() {
    let office = office("flow = \"reverse\"\n[table.reverse]\ndeletes = false\n").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "insert into visits values (5, 'Monday''s leave', 'M')",
    )
    .await;
    came_home(&office).await;
    exec(&office.cloud, "delete from visits").await;
    came_home(&office).await;
    assert_eq!(rows(&office).await[0], "5 Monday's leave M");
    exec(
        &office.cloud,
        "insert into visits values (5, 'another one', 'M'), (6, 'fine', 'M')",
    )
    .await;
    came_home(&office).await;
    assert_eq!(rows(&office).await[0], "5 Monday's leave M; 6 fine M");
    let (code, out, _) = office.ask(&["quarantine", "list", "--json"]).await;
    assert_eq!(code, 1);
    let list: serde_json::Value = serde_json::from_str(&out).unwrap();
    let row = &list["rows"][0];
    assert_eq!(
        (
            row["direction"].as_str(),
            row["sqlstate"].as_str(),
            row["key"]["id"].as_str()
        ),
        (Some("reverse"), Some("TD012"), Some("5")),
        "{out}"
    );
    assert_eq!(list["conflicts"][0]["kind"], "reused");
    // A person decides, and the counts add up.
    let (code, out, _) = office
        .ask(&["quarantine", "drop", "--table", "visits"])
        .await;
    assert_eq!(code, 0, "{out}");
    // He takes note of what was decided, too: it is kept, and no longer said.
    let (code, out, _) = office.ask(&["quarantine", "drop", "--conflicts"]).await;
    assert!(
        code == 0 && out.contains("conflicts are no longer said"),
        "{out}"
    );
    let (_, out, _) = office.ask(&["quarantine", "list"]).await;
    assert_eq!(out, "nothing is in quarantine\n");
    let (_, out, _) = office.ask(&["status"]).await;
    assert!(!out.contains("conflicts noted"), "{out}");
    assert_ne!(
        value(
            &office.desktop,
            "select count(*) from tandem.conflict where seen_at is not null"
        )
        .await,
        "0"
    );
    assert_eq!(value(&office.cloud, "select concat_ws(' ', received - applied - folded - ruled_out - quarantined, quarantined) from tandem.reverse_state").await, "0 0");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u15_a_row_that_the_desktop_refuses_waits_with_its_reason_and_heals() {
    let office = office("flow = \"reverse\"\n").await;
    exec(
        &office.desktop,
        "alter table visits add constraint short check (length(note) < 10)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into visits select n, case when n % 100 = 7 then 'far too long' else 'fine' end, 'M' from generate_series(1, 1000) n").await;
    came_home(&office).await;
    assert_eq!(
        value(&office.desktop, "select count(*) from visits").await,
        "990"
    );
    let waits =
        "select concat_ws(' ', count(*), min(sqlstate), min(direction)) from tandem.quarantine";
    assert_eq!(value(&office.cloud, waits).await, "10 23514 reverse");
    let (code, out, _) = office
        .ask(&["wait", "--reverse", "--timeout", "200s"])
        .await;
    assert!(code == 1 && out.contains("quarantined"), "{code} {out}");
    let (code, out, _) = office.ask(&["status", "--json"]).await;
    assert!(code == 1 && out.contains("needs_you"), "{out}");
    // Later changes of such a row take its place, and one that is mended goes through.
    exec(&office.cloud, "update visits set note = 'mended' where id = 107; update visits set note = 'still too long' where id = 207").await;
    came_home(&office).await;
    assert_eq!(value(&office.cloud, waits).await, "9 23514 reverse");
    assert_eq!(
        value(&office.desktop, "select note from visits where id = 107").await,
        "mended"
    );
    exec(&office.desktop, "alter table visits drop constraint short").await;
    let (code, out, _) = office
        .ask(&["quarantine", "retry", "--table", "visits"])
        .await;
    assert_eq!(code, 0, "{out}");
    let [desktop, cloud] = rows(&office).await;
    assert_eq!(desktop, cloud);
    let (code, out, _) = office
        .ask(&["wait", "--reverse", "--timeout", "200s"])
        .await;
    assert_eq!(code, 0, "{out}");
    assert_eq!(value(&office.cloud, "select concat_ws(' ', received - applied - folded - ruled_out - quarantined, quarantined) from tandem.reverse_state").await, "0 0");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_truncate_stops_the_way_home_and_bootstrap_brings_it_back() {
    let office = office("flow = \"reverse\"\n").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "insert into visits select n, 'phone', 'M' from generate_series(1, 10) n",
    )
    .await;
    came_home(&office).await;
    exec(&office.cloud, "truncate visits").await;
    exec(
        &office.cloud,
        "insert into visits values (20, 'after', 'M')",
    )
    .await;
    until(
        &office.cloud,
        "select why is not null from tandem.reverse_state",
    )
    .await;
    assert_eq!(
        value(&office.desktop, "select count(*) from visits").await,
        "10",
        "nothing was deleted"
    );
    let (code, out, _) = office.ask(&["status"]).await;
    assert!(code == 1 && out.contains("TRUNCATE"), "{code} {out}");
    let (code, out, _) = office
        .ask(&["wait", "--reverse", "--timeout", "200s"])
        .await;
    assert!(code == 1 && out.contains("TRUNCATE"), "{code} {out}");
    let (code, out, said) = office.ask(&["bootstrap", "--table", "visits"]).await;
    assert_eq!(code, 0, "{out} {said}");
    came_home(&office).await;
    assert_eq!(
        value(&office.desktop, "select count(*) from visits").await,
        "11"
    );
    // The same is the way back after the desktop was restored from a backup.
    exec(&office.desktop, "delete from visits where id = 20").await;
    let (code, out, said) = office.ask(&["bootstrap", "--table", "visits"]).await;
    assert_eq!(code, 0, "{out} {said}");
    came_home(&office).await;
    assert_eq!(
        value(&office.desktop, "select count(*) from visits where id = 20").await,
        "1"
    );
    let (code, _, said) = office.ask(&["swap", "visits"]).await;
    assert!(
        code == 2 && said.contains("only comes home"),
        "{code} {said}"
    );
    assert_eq!(service.stop().await, 0);
}
