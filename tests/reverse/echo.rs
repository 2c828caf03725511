//! What comes home never goes out again (P5), and nobody can use that to hide a write.

use crate::support::office::{Office, came_home, connect, exec, places, until, value};
use crate::support::servers::newest;

const SETTINGS: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\nskip = [\"updated_at\"]\n\
    [[table]]\nname = \"visits\"\nflow = \"both\"\nmax_shrink = 1\n\
    [[table]]\nname = \"derived\"\nmax_shrink = 1\n";
const ON_DESKTOP: &str = "create table visits (id int, note varchar(40), kind char(3), at timestamp, ok bool, amount numeric(8,2), source char(1)); \
     create table derived (id int, note text)";
const IN_CLOUD: &str = "create table visits (id int primary key, note varchar(40), kind char(3), at timestamp, ok bool, amount numeric(8,2), source char(1) default 'D'); \
     create table derived (id int primary key, note text)";

async fn same(office: &Office) {
    let sql = "select md5(coalesce(string_agg(v::text, ';' order by v.id), '')) || count(*) from visits as v";
    assert_eq!(
        value(&office.desktop, sql).await,
        value(&office.cloud, sql).await
    );
}

/// Everything of the users' that the cloud has, to its last version, and where its sequences stand.
async fn cloud_versions(office: &Office) -> String {
    value(&office.cloud, "select string_agg(concat_ws('|', v, x, m), ';' order by v) from (select v::text, v.xmin::text, v.xmax::text from visits as v union all select d::text, d.xmin::text, d.xmax::text from derived as d) as all_of(v, x, m)").await
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_u18_rows_that_come_home_never_go_out_again() {
    for place in places() {
        let office = Office::with_tables(&place, SETTINGS, ON_DESKTOP, IN_CLOUD).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(&office.desktop, "insert into visits select n, 'desk ' || n, 'a', now(), true, n, 'D' from generate_series(1, 100) n").await;
        office.caught_up(&mut service).await;
        exec(&office.cloud, "insert into visits select n, 'phone ' || n, case when n % 3 > 0 then 'b' end, '2026-01-01 10:00:00.123', n % 2 = 0, n / 3.0, 'M' from generate_series(1001, 1300) n").await;
        came_home(&office).await;
        exec(&office.cloud, "update visits set note = 'edited', amount = 1.1 where id between 1001 and 1100; delete from visits where id between 1101 and 1200").await;
        came_home(&office).await;
        office.caught_up(&mut service).await;
        same(&office).await;
        let before = cloud_versions(&office).await;
        // Ten idle cycles, with a refill that is quiet and one that is loud among them, and a swap.
        for cycle in 0..10 {
            match cycle {
                3 => exec(&office.desktop, "begin; create temporary table v on commit drop as select * from visits where source = 'D'; delete from visits where source = 'D'; insert into visits select * from v; commit").await,
                5 => exec(&office.desktop, "update visits set note = note where source = 'D' and id < 50").await,
                7 => {
                    let (code, out, said) = office.ask(&["swap", "visits"]).await;
                    assert_eq!(code, 0, "{out} {said}");
                }
                _ => {}
            }
            office.caught_up(&mut service).await;
            came_home(&office).await;
        }
        assert_eq!(cloud_versions(&office).await, before);
        same(&office).await;
        let conflicts = "select count(*) from tandem.conflict";
        assert_eq!(
            value(&office.cloud, conflicts).await,
            "0",
            "none of our own writes is taken for the desktop's"
        );
        assert_eq!(value(&office.desktop, conflicts).await, "0");
        office.assert_conserved().await;
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_row_that_a_trigger_derives_travels_and_one_that_it_alters_is_said() {
    let office = Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, IN_CLOUD).await;
    exec(&office.desktop, "create function derive() returns trigger language plpgsql as $$ begin insert into derived values (new.id, 'of ' || new.note); \
        insert into visits (id, note, source) values (new.id + 10000, 'twin', 'D'); \
        if new.note = 'alter me' then update visits set note = 'ALTERED' where id = new.id; end if; return null; end $$; \
        create trigger derive after insert on visits for each row when (new.source = 'M') execute function derive()").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "insert into visits (id, note, source) values (1, 'plain', 'M'), (2, 'alter me', 'M')",
    )
    .await;
    came_home(&office).await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(concat_ws(' ', id, note), '; ' order by id) from derived"
        )
        .await,
        "1 of plain; 2 of alter me"
    );
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(concat_ws(' ', id, note, source), '; ' order by id) from visits"
        )
        .await,
        "1 plain M; 2 alter me M; 10001 twin D; 10002 twin D"
    );
    let said = "select string_agg(concat_ws(' ', kind, key, kept, desktop ->> 'note', cloud ->> 'note'), '; ') from tandem.conflict";
    assert_eq!(
        value(&office.cloud, said).await,
        "mobile {2} cloud ALTERED alter me"
    );
    // A later edit of the phone is no conflict: what stands there is what our transaction left.
    exec(
        &office.cloud,
        "update visits set note = 'again' where id = 2",
    )
    .await;
    came_home(&office).await;
    assert_eq!(
        value(&office.desktop, "select note from visits where id = 2").await,
        "again"
    );
    assert_eq!(
        value(&office.desktop, "select count(*) from tandem.conflict").await,
        "0"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_nobody_can_hide_a_write_behind_our_marks() {
    let office = Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, IN_CLOUD).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // In the desktop's log: anybody may write such a message, but nobody knows the nonce.
    let key = "encode(sha256('v1:7'), 'hex')";
    exec(&office.desktop, &format!("begin; select pg_logical_emit_message(true, 'tandem.reverse', 'guess' || E'\\n' || {key} || ' - visits'); insert into visits (id, note, source) values (7, 'hidden?', 'D'); commit")).await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, "select note from visits where id = 7").await,
        "hidden?"
    );
    // In the cloud: a phone that sets the mark, one that finds it left behind, and tandem's own user at work by hand.
    exec(&office.cloud, "create policy all_of_it on visits using (true) with check (true); grant all on visits to phone").await;
    let phone = connect(&office.servers.cloud, "phone", "postgres").await;
    exec(
        &phone,
        "set tandem.apply = 'on'; insert into visits (id, note, source) values (11, 'set', 'M')",
    )
    .await;
    exec(&phone, "begin; select set_config('tandem.apply', pg_current_xact_id()::text, true); insert into visits (id, note, source) values (12, 'own number', 'M'); commit").await;
    let ours = connect(&office.servers.cloud, "postgres", "postgres").await;
    exec(
        &ours,
        "select set_config('tandem.apply', pg_current_xact_id()::text, false)",
    )
    .await;
    exec(
        &ours,
        "insert into visits (id, note, source) values (13, 'left behind', 'M')",
    )
    .await;
    came_home(&office).await;
    assert_eq!(
        value(
            &office.desktop,
            "select string_agg(note, '; ' order by id) from visits where source = 'M'"
        )
        .await,
        "set; own number; left behind"
    );
    // Nor can it be read or called by a phone.
    for sql in [
        "select * from tandem.outbox",
        "select tandem.unwatch('x', 'y')",
        "delete from tandem.outbox",
    ] {
        let refused = phone.client.batch_execute(sql).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "42501", "{sql}");
    }
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u40_forward_writes_are_no_edits_of_a_phones() {
    let office = Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, &format!("{IN_CLOUD}; alter table visits add updated_at timestamptz default now(); \
        create function stamp() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$; create trigger stamp before update on visits for each row execute function stamp()")).await;
    exec(
        &office.desktop,
        "insert into visits (id, note, source) select n, 'a', 'D' from generate_series(1, 1000) n",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "update visits set note = 'b'").await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from visits where note = 'b'"
        )
        .await,
        "1000"
    );
    assert_eq!(
        value(&office.cloud, "select count(*) from tandem.outbox").await,
        "0"
    );
    assert_eq!(
        value(
            &office.cloud,
            "select received from tandem.reverse_state where \"table\" = 'visits'"
        )
        .await,
        "0"
    );
    // But what a trigger of others makes of a write of ours is somebody's.
    exec(&office.cloud, "create function twin() returns trigger language plpgsql as $$ begin insert into visits (id, note, source) values (new.id + 100000, 'twin', 'M'); return null; end $$; create trigger twin after insert on derived for each row execute function twin()").await;
    exec(&office.desktop, "insert into derived values (5, 'x')").await;
    until(
        &office.desktop,
        "select count(*) = 1 from visits where id = 100005 and source = 'M'",
    )
    .await;
    assert_eq!(service.stop().await, 0);
}
