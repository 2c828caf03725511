//! Whole tables, safely, as a diff: swaps beside the stream, by the clock and on demand, and the office's refill.

use std::time::Duration;

use crate::support::bank::{self, Auditor, Dice, Teller};
use crate::support::office::{
    Office, Place, Plan, connect, exec, places, powerca_tables, until, value,
};
use crate::support::servers::newest;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A table whose key the cloud makes, one without a key, one that only swaps.
const SETTINGS: &str = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"task\"\nkey = [\"org\", \"nr\"]\n\
    [[table]]\nname = \"tick\"\nkey = []\n[[table]]\nname = \"kept\"\nkey = [\"nr\"]\nstream = false\n";
const DESKTOP: &str = "create table task (org int, nr int, what text); create table tick (org int, what text); create table kept (nr int, what text); \
    insert into task select n % 3, n, 'task ' || n from generate_series(1, 2000) n; insert into tick select n % 5, 'tick ' || n % 700 from generate_series(1, 2000) n; \
    insert into kept select n, 'kept ' || n from generate_series(1, 500) n";
const CLOUD: &str = "create table task (id bigserial primary key, org int, nr int, what text, source char(1) default 'D', unique (org, nr)); \
    create table tick (id bigserial primary key, org int, what text, source char(1) default 'D'); create table kept (id bigserial primary key, nr int unique, what text, source char(1) default 'D')";

/// Identities and versions of all rows, as far as nothing may change them.
const VERSIONS: &str = "select md5(string_agg(v, ';' order by v)) from (select 'task' || id || ' ' || xmin || ' ' || ctid from task \
    union all select 'tick' || id || ' ' || xmin || ' ' || ctid from tick union all select 'kept' || id || ' ' || xmin || ' ' || ctid from kept) as all_of(v)";

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_without_a_service_ends_with_its_last_row_and_not_with_the_next_heartbeat() {
    let settings = SETTINGS.replace("500ms", "1h");
    let office = Office::with_tables(&newest(), &settings, DESKTOP, CLOUD).await;
    for command in [
        &["bootstrap"][..],
        &["swap", "task", "kept"],
        &["bootstrap", "--table", "tick"],
    ] {
        let (code, out, said) = office.ask(command).await;
        assert_eq!(code, 0, "{command:?} {out} {said}");
    }
    office.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_an_unchanged_swap_writes_no_row_version_and_a_changed_one_only_what_differs() {
    for place in places() {
        let office = Office::with_tables(&place, SETTINGS, DESKTOP, CLOUD).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        let before = value(&office.cloud, VERSIONS).await;
        let (code, out, said) = office
            .ask(&["swap", "task", "tick", "kept", "--json"])
            .await;
        assert_eq!(code, 0, "{out} {said}");
        assert!(out.contains("{\"table\":\"task\",\"read\":2000,\"insert\":0,\"update\":0,\"delete\":0,\"unchanged\":2000,\"extras\":0,\"refused\":null}"), "{out}");
        assert_eq!(value(&office.cloud, VERSIONS).await, before);
        // What somebody broke in the cloud, and what changed in the table that doesn't stream.
        exec(&office.cloud, "set role postgres; set search_path = public; update task set what = 'broken' where nr = 7; delete from task where nr = 8; insert into tick (org, what) values (9, 'not ours'); reset role").await;
        exec(&office.desktop, "update kept set what = 'new' where nr = 3; delete from kept where nr = 4; insert into kept values (1000, 'x')").await;
        let ids = "select string_agg(id::text, ',' order by nr) from task where nr <> 8";
        let (ids_before, plan) = (
            value(&office.cloud, ids).await,
            office.ask(&["swap", "kept", "--plan"]).await,
        );
        assert!(
            plan.0 == 0
                && plan
                    .1
                    .contains("would be inserted 1, updated 1, deleted 1, unchanged 498"),
            "{plan:?}"
        );
        let (code, out, said) = office.ask(&["swap", "task", "tick", "kept"]).await;
        assert_eq!(code, 0, "{out} {said}");
        assert!(
            out.contains("inserted 1, updated 1, deleted 0, unchanged 1998")
                && out.contains("inserted 0, updated 0, deleted 1, unchanged 2000"),
            "{out}"
        );
        office.assert_equal().await;
        assert_eq!(value(&office.cloud, ids).await, ids_before);
        assert_eq!(value(&office.cloud, "select count(*) from tandem.swap where ended_at is null or snapshot is null or lsn is null").await, "0");
        // The same when the service is down.
        exec(&office.desktop, "update kept set what = 'again'").await;
        assert_eq!(service.stop().await, 0);
        let (code, out, said) = office.ask(&["swap", "kept"]).await;
        assert!(
            code == 0 && out.contains("updated 500"),
            "{code} {out} {said}"
        );
        office.assert_equal().await;
        assert_eq!(
            value(&office.cloud, "select count(*) from tandem.staging").await,
            "0"
        );
    }
}

/// The desktop's table is empty, or nearly: a broken refill must not empty every phone.
#[tokio::test(flavor = "multi_thread")]
async fn f02_f04_u38_a_swap_never_empties_or_shrinks_a_table_without_a_yes_and_spares_what_is_not_ours()
 {
    let office = Office::with_tables(&newest(), SETTINGS, DESKTOP, CLOUD).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let theirs = "set role postgres; set search_path = public; insert into kept (nr, what, source) select n, 'phone', 'M' from generate_series(5001, 5010) n; \
        insert into kept (nr, what, source) values (6001, 'other', 'S'), (6002, 'unclaimed', null); reset role";
    exec(&office.cloud, theirs).await;
    exec(&office.desktop, "delete from kept where nr > 300").await;
    let (code, out, _) = office.ask(&["swap", "kept"]).await;
    assert!(
        code == 5
            && out.contains("200 of its 501 rows would be deleted at once")
            && out.contains("--allow-shrink"),
        "{code} {out}"
    );
    exec(&office.desktop, "delete from kept").await;
    let (code, out, _) = office.ask(&["swap", "kept", "--plan"]).await;
    assert!(code == 5 && out.contains("refused"), "{code} {out}");
    let (code, out, _) = office.ask(&["swap", "kept", "--json"]).await;
    assert!(
        code == 5 && out.contains("the desktop has no row for kept"),
        "{code} {out}"
    );
    assert_eq!(
        value(&office.cloud, "select count(*) from kept").await,
        "512"
    );
    let (code, status, _) = office.ask(&["status"]).await;
    assert!(
        code == 1 && status.contains("swap_refused"),
        "{code} {status}"
    );
    // The others go on meanwhile, and a yes is a yes.
    exec(
        &office.desktop,
        "update task set what = 'goes on' where nr = 1",
    )
    .await;
    office.caught_up(&mut service).await;
    let (code, out, said) = office.ask(&["swap", "kept", "--allow-shrink"]).await;
    assert!(
        code == 0 && out.contains("deleted 500"),
        "{code} {out} {said}"
    );
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) filter (where source = 'M') || ' ' || count(*) from kept"
        )
        .await,
        "10 12"
    );
    let (code, status, _) = office.ask(&["status"]).await;
    assert!(
        code == 0 && !status.contains("swap_refused"),
        "{code} {status}"
    );
    office.assert_equal_but(&["kept"]).await;
    assert_eq!(service.stop().await, 0);
}

/// By the clock, while clerks write: every transaction is seen whole, nothing is written twice, and killed at random
/// moments nothing is lost.
async fn swapped_while_clerks_write(office: Office, kills: u64) {
    let mut dice = Dice::new(bank::seed());
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let auditor = Auditor::start(&office).await;
    let teller = Teller::paced(&office, dice.below(1 << 40), Duration::from_millis(4)).await;
    let swaps = "select count(*) from tandem.swap where ended_at is not null and refused is null";
    for life in 0..=kills {
        until(
            &office.cloud,
            &format!("select ({swaps}) >= {}", 10 * (life + 1)),
        )
        .await;
        if life < kills {
            sleep(Duration::from_millis(dice.below(800))).await;
            service.kill().await;
            service = office.run();
        }
    }
    teller.stop().await;
    office.caught_up(&mut service).await;
    auditor.stop().await;
    office.assert_equal().await;
    bank::assert_once(&office).await;
    office.assert_conserved().await;
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from tandem.swap where refused is not null"
        )
        .await,
        "0"
    );
    assert_eq!(service.stop().await, 0);
}

fn every_second() -> String {
    bank::SETTINGS.replace("[[table]]\n", "[[table]]\nswap = \"1s\"\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_swaps_under_a_writer_and_kills_leave_no_old_version_and_write_nothing_twice() {
    let plan = Plan::tables(&newest(), &every_second());
    swapped_while_clerks_write(bank::open_plan(&plan).await, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_swaps_under_a_writer_through_a_pooler_80_ms_away() {
    if let Some(office) = bank::open_plan_afar(&newest(), &every_second()).await {
        swapped_while_clerks_write(office, 3).await;
    }
}

/// Transactions that are open while the snapshot is taken are not in the copy, whenever they commit.
#[tokio::test(flavor = "multi_thread")]
async fn p1_a_transaction_that_is_open_while_a_table_is_read_is_not_undone_by_the_swap() {
    let office = Office::with_tables(&newest(), SETTINGS, DESKTOP, CLOUD).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let late = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    let later = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    for round in 0..6 {
        let change = format!(
            "begin; update task set what = 'late {round}' where nr % 7 = {round}; delete from tick where ctid = (select min(ctid) from tick); insert into tick values (3, 'late {round}')"
        );
        exec(&late, &change).await;
        let swap = tokio::spawn({
            let mut command = office.command(&["swap", "task", "tick"]);
            async move { crate::support::office::finish(&mut command).await }
        });
        until(&office.desktop, "select count(*) > 0 from pg_stat_activity where query like 'copy (select%' or query like 'rollback; begin isolation%'").await;
        exec(
            &later,
            &format!("insert into task values (7, {}, 'later')", 10_000 + round),
        )
        .await;
        exec(&late, "commit").await;
        let (code, out, said) = swap.await.unwrap();
        assert_eq!(code, 0, "{out} {said}");
        office.caught_up(&mut service).await;
        office.assert_equal().await;
    }
    assert_eq!(service.stop().await, 0);
}

/// A table that is added to the settings is copied while the others stream; its own changes wait, and none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn p1_a_new_table_is_copied_while_the_others_stream_and_misses_nothing() {
    for key in ["key = [\"nr\"]", "key = []"] {
        let ddl = "create table other (id int primary key, n int); create table new (nr int, what text, more text)";
        let first = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"other\"\n";
        let office = Office::with_tables(&newest(), first, ddl, ddl).await;
        exec(&office.desktop, "insert into other values (1, 0); insert into new select n, 'x', repeat('y', 100) from generate_series(1, 150000) n").await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        assert_eq!(service.stop().await, 0);
        let settings = format!("{first}[[table]]\nname = \"new\"\n{key}\nmax_shrink = 1\n");
        let file = office.with_settings(&settings);
        let mut service = office.run_with(&file);
        until(&office.cloud, "select exists (select from tandem.table_state where \"table\" = 'new' and state = 'copying')").await;
        let writer: JoinHandle<()> = tokio::spawn({
            let writer = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
            async move {
                for n in 0..60 {
                    let change = format!(
                        "update other set n = {n}; insert into new values (200000 + {n}, 'new', '{n}'); update new set what = 'changed {n}' where nr between {0} and {0} + 40; \
                         delete from new where nr = {1}; update new set nr = nr + 500000 where nr = {2}",
                        n * 1000,
                        500 + n,
                        90_000 + n
                    );
                    exec(&writer, &change).await;
                    sleep(Duration::from_millis(20)).await;
                }
            }
        });
        let streams = "select n > 0 and exists (select from tandem.table_state where \"table\" = 'new' and state = 'copying') from other";
        until(&office.cloud, streams).await;
        writer.await.unwrap();
        office.caught_up(&mut service).await;
        let tables = office.tables_of(&file).await;
        office.assert_these_equal(&tables, &[]).await;
        office.assert_conserved().await;
        assert_eq!(service.stop().await, 0);
    }
}

/// PowerCA's loud refill, a swap of everything and the stream, again and again: ids that the cloud made stay.
#[tokio::test(flavor = "multi_thread")]
async fn u09_f07_f22_generated_keys_stay_through_cycles_of_refill_swap_and_stream() {
    let place = Place::from(&newest());
    let office = Office::open(&Plan {
        settings: format!(
            "[refill]\nsql = \"select sync_views_to_tables()\"\nevery = \"2s\"\n{}",
            powerca_tables()
                .replace("swap = \"1d\"", "")
                .replace("[[table]]\n", "[[table]]\nswap = \"1s\"\n")
                // What only comes home is not swapped.
                .replace(
                    "swap = \"1s\"\nname = \"workdiary\"",
                    "name = \"workdiary\""
                )
                .replace(
                    "swap = \"1s\"\nname = \"learequest\"",
                    "name = \"learequest\""
                )
        ),
        ..Plan::powerca(place, 0.03)
    })
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let versions = "select md5(string_agg(v, ';' order by v)) from (select jt_id || ' ' || xmin || ' ' || ctid from jobtasks union all select tc_id || ' ' || xmin || ' ' || ctid from taskchecklist \
        union all select 'j' || xmin || ' ' || ctid from jobshead union all select 'c' || xmin || ' ' || ctid from climaster) as all_of(v)";
    let before = value(&office.cloud, versions).await;
    until(
        &office.cloud,
        "select count(*) >= 100 from tandem.swap where refused is null and ended_at is not null",
    )
    .await;
    until(&office.desktop, "select runs >= 3 from tandem.refill").await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, versions).await, before);
    assert_eq!(value(&office.cloud, "select count(*) from tandem.swap where refused is not null or inserted + updated + deleted > 0").await, "0");
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// Nothing of the catalog changes, nobody sees an empty or half table, and phones write as ever.
#[tokio::test(flavor = "multi_thread")]
async fn p4_f43_a_hundred_swaps_under_phones_leave_the_catalog_as_it_was_and_no_reader_sees_less() {
    let settings = SETTINGS.replace("[[table]]\n", "[[table]]\nswap = \"1s\"\n");
    let cloud = format!(
        "{CLOUD}; alter table kept enable row level security; create policy all_of_it on kept using (true) with check (true); \
         grant select, insert, update, delete on kept, task to phone; grant usage on all sequences in schema public to phone; create view kept_view as select * from kept; \
         create table follows (id bigserial primary key, nr int references kept (nr)); create publication realtime for table kept, task; \
         create function touch() returns trigger language plpgsql as 'begin return new; end'; create trigger touch before update on kept for each row execute function touch()"
    );
    let office = Office::with_tables(&newest(), &settings, DESKTOP, &cloud).await;
    let dump = "select md5(string_agg(v, E'\\n' order by v)) from ( \
        select concat_ws(' ', c.oid, c.relname, c.relfilenode, c.relkind, c.relacl, c.relreplident, c.relrowsecurity, c.reltoastrelid) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' \
        union all select concat_ws(' ', oid, polname, polrelid, polroles) from pg_policy union all select concat_ws(' ', oid, prpubid, prrelid) from pg_publication_rel \
        union all select concat_ws(' ', oid, tgname, tgrelid, tgenabled) from pg_trigger union all select concat_ws(' ', oid, conname, conrelid, confrelid, pg_get_constraintdef(oid)) from pg_constraint \
        union all select concat_ws(' ', schemaname, viewname, definition) from pg_views where schemaname = 'public' union all select concat_ws(' ', sequencename, start_value, increment_by) from pg_sequences where schemaname = 'public') as all_of(v)";
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let before = value(&office.cloud, dump).await;
    let mut phones = Vec::new();
    for phone in 0..8 {
        let client = connect(&office.servers.cloud, "supabase_admin", "postgres").await;
        phones.push(tokio::spawn(async move {
            exec(&client, "set role phone").await;
            for n in 0..60 {
                let nr = 100_000 + phone * 1000 + n;
                exec(&client, &format!("insert into kept (nr, what, source) values ({nr}, 'phone', 'M'); update kept set what = 'edited' where nr = {nr}; delete from kept where nr = {nr} and nr % 3 = 0")).await;
                assert!(value(&client, "select count(*) >= 500 from kept where source = 'D'").await == "true", "a reader saw less");
                sleep(Duration::from_millis(30)).await;
            }
        }));
    }
    until(
        &office.cloud,
        "select count(*) >= 100 from tandem.swap where refused is null and ended_at is not null",
    )
    .await;
    for phone in phones {
        phone.await.unwrap();
    }
    assert_eq!(value(&office.cloud, dump).await, before);
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from kept where source = 'M' and what = 'edited'"
        )
        .await,
        (8 * 60 - 8 * 20).to_string()
    );
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// The refill runs by the clock; what it fills without streaming is swapped behind it, and its failure is said.
#[tokio::test(flavor = "multi_thread")]
async fn f16_a_refill_is_followed_by_swaps_of_what_does_not_stream_and_a_failure_is_shown() {
    let settings = format!("[refill]\nsql = \"select fill()\"\nevery = \"1s\"\n{SETTINGS}");
    let desktop = format!(
        "{DESKTOP}; create sequence filled; create function fill() returns void language plpgsql as $$ begin \
         if nextval('filled') = 2 then raise exception 'the view is gone'; end if; delete from kept; insert into kept select n, 'fill ' || currval('filled') from generate_series(1, 500) n; end $$"
    );
    let office = Office::with_tables(&newest(), &settings, &desktop, CLOUD).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    until(&office.cloud, "select bool_and(what = 'fill 1') from kept").await;
    until(
        &office.desktop,
        "select failed like '%the view is gone%' from tandem.refill",
    )
    .await;
    until(
        &office.cloud,
        "select bool_and(what ~ '^fill [3-9]') from kept",
    )
    .await;
    assert!(
        office.log().contains("the refill failed"),
        "{}",
        office.log()
    );
    // One at a time: who has the lock fills, the others leave their turn out.
    let other = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    until(
        &other,
        "select pg_try_advisory_lock(hashtext('tandem.refill'))",
    )
    .await;
    let runs = value(&office.desktop, "select runs from tandem.refill").await;
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(
        value(&office.desktop, "select runs from tandem.refill").await,
        runs
    );
    assert_eq!(service.stop().await, 0);
}

/// Two people at once: the tables are swapped, one after the other, and nothing is doubled.
#[tokio::test(flavor = "multi_thread")]
async fn u11_swaps_asked_for_at_once_double_nothing() {
    let office = Office::with_tables(&newest(), SETTINGS, DESKTOP, CLOUD).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into kept select n, 'more' from generate_series(501, 600) n",
    )
    .await;
    let ask = || async { office.ask(&["swap", "kept", "tick"]).await };
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    for (code, out, said) in [one, two, three] {
        assert_eq!(code, 0, "{out} {said}");
    }
    office.assert_equal().await;
    // And none of it beside a service that holds the lease elsewhere: a second one doesn't start.
    let mut second = office.run();
    assert_eq!(second.ended().await, 5);
    assert_eq!(service.stop().await, 0);
}

/// The quiet refill leaves what it finds, whatever the loud one would have done; and it goes as far.
#[tokio::test(flavor = "multi_thread")]
async fn f22_u26_a_quiet_refill_writes_only_what_differs_and_ends_like_the_loud_one() {
    let office = Office::open(&Plan::powerca(Place::from(&newest()), 0.03)).await;
    let file = format!("{}/sql/desktop/refill.sql", env!("CARGO_MANIFEST_DIR"));
    exec(&office.desktop, &std::fs::read_to_string(file).unwrap()).await;
    let columns = "org_id, con_id, loc_id, job_id, year_id, task_id, taskorder, task_desc, jobdet_man_hrs, actual_man_hrs, actual_man_min, checklistlinked, source";
    let view = "select org_id, bfir_n_firmid as con_id, loc_id, job_id, year_id, task_id, job_det_n_seq as taskorder, task_desc, jobdet_man_hrs, actual_man_hrs, \
        actual_man_min, task_checklist_appl as checklistlinked, 'D'::char(1) as source from v_jobtasks";
    let refill = format!(
        "select concat(deleted, ' ', inserted) from refill_quietly('public.jobtasks', $q${view}$q$, array['created_at', 'updated_at'], $q$source = 'D' or source is null$q$)"
    );
    let rows = format!(
        "select md5(string_agg(v, ';' order by v)) from (select row({columns})::text from jobtasks) as all_of(v)"
    );
    let versions = "select md5(string_agg(ctid || ' ' || xmin, ';' order by ctid)) from jobtasks";
    let (before, loud) = (
        value(&office.desktop, versions).await,
        value(&office.desktop, &rows).await,
    );
    assert_eq!(value(&office.desktop, &refill).await, "0 0");
    assert_eq!(value(&office.desktop, versions).await, before);
    // A row of the phone's stays; what is wrong is mended.
    exec(&office.desktop, "insert into jobtasks (org_id, job_id, task_desc, source) values (1, 5, 'phone', 'M'); update jobtasks set task_desc = 'wrong' where ctid in (select ctid from jobtasks where source = 'D' limit 3); \
        delete from jobtasks where ctid in (select min(ctid) from jobtasks where source = 'D')").await;
    assert_eq!(value(&office.desktop, &refill).await, "3 4");
    exec(&office.desktop, "delete from jobtasks where source = 'M'").await;
    assert_eq!(value(&office.desktop, &rows).await, loud);
}

/// The phone made a row with the desktop's key: that row waits, before and after swaps; the others are copied.
#[tokio::test(flavor = "multi_thread")]
async fn u10_a_phones_row_with_the_desktops_key_costs_one_row_and_no_swap() {
    let office = Office::with_tables(&newest(), SETTINGS, DESKTOP, CLOUD).await;
    exec(&office.cloud, "set role postgres; set search_path = public; insert into task (org, nr, what, source) values (2, 2, 'the phone''s', 'M'); reset role").await;
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert!(
        code == 1 && out.contains("1 in quarantine"),
        "{code} {out} {said}"
    );
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for _ in 0..2 {
        let (code, out, said) = office.ask(&["swap", "task"]).await;
        assert_eq!(code, 0, "{out} {said}");
        assert!(
            out.contains("2000 rows read; were inserted 0, updated 0, deleted 0, unchanged 1999; 1 in quarantine: 23505 duplicate key"),
            "{out}"
        );
        assert_eq!(
            value(
                &office.cloud,
                "select count(*) || ' ' || min(key::text) from tandem.quarantine"
            )
            .await,
            "1 {2,2}"
        );
        assert_eq!(
            value(
                &office.cloud,
                "select count(*) from task where source = 'D'"
            )
            .await,
            "1999"
        );
        office.assert_conserved().await;
    }
    // The phone gives it up: the desktop's row takes its place.
    exec(&office.cloud, "delete from task where source = 'M'").await;
    let (code, out, said) = office.ask(&["swap", "task"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(
        value(&office.cloud, "select count(*) from tandem.quarantine").await,
        "0"
    );
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// A value that can't be written costs its row, in each swap again; the others are mended.
#[tokio::test(flavor = "multi_thread")]
async fn p8_a_poison_row_waits_and_swaps_go_on_without_it() {
    let settings = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"item\"\nkey = [\"id\"]\nnarrow = \"quarantine\"\n";
    let (desktop, cloud) = (
        "create table item (id int, t varchar(20))",
        "create table item (id int primary key, t varchar(5))",
    );
    let office = Office::with_tables(&newest(), settings, desktop, cloud).await;
    exec(&office.desktop, "insert into item select n, 'x' || n from generate_series(1, 300) n; insert into item values (1000, 'far too long')").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "update item set t = 'bad' where id = 5; delete from item where id = 6; insert into item values (7777, 'no')").await;
    for changed in [
        "inserted 1, updated 1, deleted 1, unchanged 298; 1 in quarantine: TD003",
        "inserted 0, updated 0, deleted 0, unchanged 300; 1 in quarantine: TD003",
    ] {
        let (code, out, said) = office.ask(&["swap", "item"]).await;
        assert_eq!(code, 0, "{changed}: {out} {said}");
        assert!(out.contains(changed), "{changed}: {out}");
        assert_eq!(
            value(
                &office.cloud,
                "select count(*) || ' ' || min(key::text) from tandem.quarantine"
            )
            .await,
            "1 {1000}"
        );
        assert_eq!(
            value(
                &office.cloud,
                "select count(*) || ' ' || count(*) filter (where t = 'x' || id) from item"
            )
            .await,
            "300 300"
        );
    }
    exec(
        &office.desktop,
        "update item set t = 'fits' where id = 1000",
    )
    .await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// A table that no longer streams leaves the publication, and one that streams again misses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn p1_a_table_changes_between_streaming_and_swapping() {
    let office = Office::with_tables(&newest(), SETTINGS, DESKTOP, CLOUD).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    let swaps = SETTINGS
        .replace(
            "key = [\"org\", \"nr\"]\n",
            "key = [\"org\", \"nr\"]\nstream = false\n",
        )
        .replace(
            "\nstream = false\n[[table]]\nname = \"tick\"",
            "\nstream = false\nmax_shrink = 1\n[[table]]\nname = \"tick\"",
        );
    let file = office.with_settings(&swaps);
    let mut service = office.run_with(&file);
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.desktop,
            "select string_agg(tablename, ' ' order by tablename) from pg_publication_tables"
        )
        .await,
        "tick"
    );
    exec(
        &office.desktop,
        "update task set what = 'swapped' where nr % 2 = 0",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from task where what = 'swapped'"
        )
        .await,
        "0"
    );
    assert_eq!(service.stop().await, 0);
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    exec(
        &office.desktop,
        "update task set what = 'streamed' where nr = 1",
    )
    .await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// A key that stops naming one row: the swap is refused, and nothing is doubled.
#[tokio::test(flavor = "multi_thread")]
async fn f21_f25_a_key_that_names_two_rows_refuses_the_swap() {
    let cloud = CLOUD.replace("nr int unique", "nr int");
    let office = Office::with_tables(&newest(), SETTINGS, DESKTOP, &cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into kept values (7, 'again')").await;
    let before = value(&office.cloud, VERSIONS).await;
    let (code, out, _) = office.ask(&["swap", "kept"]).await;
    assert!(
        code == 1 && out.contains("key (nr) does not name one row on the desktop any more: 1 of its values name 2 rows"),
        "{code} {out}"
    );
    assert_eq!(value(&office.cloud, VERSIONS).await, before);
    exec(&office.desktop, "delete from kept where what = 'again'").await;
    let (code, out, _) = office.ask(&["swap", "kept"]).await;
    assert_eq!(code, 0, "{out}");
    assert_eq!(service.stop().await, 0);
}

/// What a phone ticks stays: through refills, swaps, copies and restarts, with a key and without.
#[tokio::test(flavor = "multi_thread")]
async fn u08_a_column_that_the_cloud_owns_is_set_once_and_never_overwritten() {
    let settings = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"list\"\nkey = []\ncloud_owned = [\"done\"]\nmax_shrink = 1\n\
        [[table]]\nname = \"work\"\nkey = [\"nr\"]\ncloud_owned = [\"done\"]\nmax_shrink = 1\n";
    let desktop = "create table list (org int, what text, done int); create table work (nr int, what text, done int); \
        insert into list select n % 3, 'item ' || n % 40, 0 from generate_series(1, 50) n; insert into work select n, 'work ' || n, 0 from generate_series(1, 50) n";
    let cloud = "create table list (id bigserial primary key, org int, what text, done int, source char(1) default 'D'); \
        create table work (id bigserial primary key, nr int unique, what text, done int, source char(1) default 'D')";
    let office = Office::with_tables(&newest(), settings, desktop, cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "update list set done = 1 where id % 4 = 0; update work set done = 1 where nr % 4 = 0",
    )
    .await;
    let ticks = "select md5(string_agg(v, ';' order by v)) from (select id || ' ' || done || ' ' || xmin from list union all select 'w' || id || ' ' || done from work) as all_of(v)";
    let before = value(&office.cloud, ticks).await;
    let refill = "begin; create temporary table l on commit drop as select * from list; delete from list; insert into list select * from l; \
        create temporary table w on commit drop as select * from work; delete from work; insert into work select * from w; commit";
    exec(&office.desktop, refill).await;
    // Another value on the desktop is no reason to overwrite the phone's, nor to touch the row.
    exec(
        &office.desktop,
        "update list set done = 7; update work set done = 7, what = what || '!' where nr % 8 = 0",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, ticks).await, before);
    for arguments in [
        &["swap", "list", "work"][..],
        &["bootstrap", "--table", "list"],
    ] {
        let (code, out, said) = office.ask(arguments).await;
        assert!(
            code == 0 && out.contains("inserted 0, updated 0, deleted 0"),
            "{code} {out} {said}"
        );
        assert_eq!(value(&office.cloud, ticks).await, before);
    }
    office.assert_equal().await;
    office.assert_conserved().await;
    // A new row comes with what the desktop says, and a copy of an equal one goes without a look at its tick.
    exec(&office.desktop, "insert into work values (99, 'new', 3); insert into list values (9, 'new', 3); delete from list where ctid = (select min(ctid) from list where org <> 9)").await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, "select (select done from work where nr = 99) || ' ' || (select done from list where org = 9) || ' ' || count(*) from list").await, "3 3 50");
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}
