//! What a table's mapping may say: conversions, look-ups, time zones, narrow columns, tenants through a parent.

use crate::support::office::{Office, Plan, exec, may_shrink, places, until, value};
use crate::support::servers::newest;

const BEAT: &str = "[heartbeat]\nevery = \"200ms\"\n";

async fn office(settings: &str, desktop: &str, cloud: &str) -> Office {
    Office::with_tables(&newest(), &format!("{BEAT}{settings}"), desktop, cloud).await
}

/// Runs, and expects to be refused before a row moves; gives what was said.
async fn refused(office: &Office) -> String {
    let mut service = office.run();
    assert_eq!(service.ended().await, 2, "{}", office.log());
    office.log()
}

#[tokio::test(flavor = "multi_thread")]
async fn f39_u12_conversions_are_sql_over_the_arriving_row_in_every_time_zone() {
    for place in places() {
        for zone in ["Asia/Kolkata", "America/New_York"] {
            let settings = format!(
                "{BEAT}[[table]]\nname = \"diary\"\n\
                 convert = {{ timefrom = \"timefrom::time\", day = \"\\\"Date\\\"\", words = \"upper(words) || ' (' || minutes || ')'\" }}\n"
            );
            let desktop = format!(
                "create table diary (id int, \"Date\" date, timefrom timestamp, minutes int, words text); \
                 alter database enterprise_db set timezone = '{zone}'; set timezone = '{zone}'"
            );
            let cloud = "create table diary (id int primary key, day date, timefrom time, words text, minutes int)";
            let office = Office::with_tables(&place, &settings, &desktop, cloud).await;
            let rows = "insert into diary select n, date '2025-12-27' + n, timestamp '2025-12-27 00:30' + n * interval '97 minutes', n, 'worked' from generate_series";
            exec(&office.desktop, &format!("{rows}(1, 40) n")).await;
            let mut service = office.run();
            office.caught_up(&mut service).await;
            exec(&office.desktop, &format!("{rows}(41, 60) n; update diary set timefrom = timefrom + interval '1 hour', minutes = 0 where id % 3 = 0; delete from diary where id = 5")).await;
            exec(&office.desktop, "insert into diary values (100, 'infinity', null, null, 'x'), (101, null, '2024-03-10 02:30', 1, null)").await;
            office.caught_up(&mut service).await;
            office.assert_equal().await;
            let days = "select bool_and(day = date '2025-12-27' + id) from diary where id < 100";
            assert_eq!(
                value(&office.cloud, days).await,
                "true",
                "no day is shifted ({zone})"
            );
            assert_eq!(
                value(&office.cloud, "select words from diary where id = 41").await,
                "WORKED (41)"
            );
            assert_eq!(service.stop().await, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conversions_that_cannot_hold_are_found_before_a_row_moves() {
    let settings = "[[table]]\nname = \"a\"\nconvert = { x = \"no_such(x)\", y = \"now()\", z = \"w::int\" }\nskip = [\"w\"]\n";
    let office = office(
        settings,
        "create table a (id int primary key, x text, y timestamptz, w text)",
        "create table a (id int primary key, x text, y timestamptz, z int)",
    )
    .await;
    let said = refused(&office).await;
    assert!(
        said.contains("convert of x: function no_such(text) does not exist"),
        "{said}"
    );
    assert!(said.contains("convert of y: it is not immutable"), "{said}");
    assert!(!said.contains("convert of z"), "{said}");
    assert_eq!(
        value(&office.cloud, "select to_regnamespace('tandem') is null").await,
        "true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_columns_without_a_time_zone_meet_one_with_it_by_the_settings_zone() {
    let tables = "[[table]]\nname = \"event\"\n";
    let desktop =
        "create table event (id int primary key, at timestamp, day date, seen timestamptz)";
    let cloud =
        "create table event (id int primary key, at timestamptz, day timestamptz, seen timestamp)";
    let office = office(tables, desktop, cloud).await;
    let said = refused(&office).await;
    for column in ["column at", "column day", "column seen"] {
        assert!(
            said.contains(column) && said.contains("desktop.time_zone"),
            "{said}"
        );
    }
    let text = std::fs::read_to_string(office.file()).unwrap();
    let zoned = text.replace("[cloud]", "time_zone = \"Asia/Kolkata\"\n\n[cloud]");
    std::fs::write(office.file(), &zoned).unwrap();
    exec(&office.desktop, "insert into event values (1, '2026-01-05 09:00', '2026-01-05', '2026-01-05 03:30+00'), (2, 'infinity', null, '-infinity')").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into event values (3, '2026-07-01 00:00', '2026-07-01', '2026-07-01 00:00+02'); update event set at = '0044-03-15 12:00 BC' where id = 2").await;
    office.caught_up(&mut service).await;
    let seen = "set timezone = 'UTC'; set datestyle = 'ISO'";
    exec(&office.cloud, seen).await;
    let rows =
        "select string_agg(concat_ws(' | ', id, at, day, seen), '; ' order by id) from event";
    assert_eq!(
        value(&office.cloud, rows).await,
        "1 | 2026-01-05 03:30:00+00 | 2026-01-04 18:30:00+00 | 2026-01-05 09:00:00; \
         2 | 0044-03-15 06:06:32+00 BC | -infinity; \
         3 | 2026-06-30 18:30:00+00 | 2026-06-30 18:30:00+00 | 2026-07-01 03:30:00"
    );
    assert_eq!(service.stop().await, 0);
    std::fs::write(
        office.file(),
        zoned.replace("Asia/Kolkata", "Asia/Atlantis"),
    )
    .unwrap();
    assert!(
        refused(&office).await.contains(
            "desktop.time_zone: time zone \"Asia/Atlantis\" not recognized on the desktop"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f26_a_looked_up_column_equals_the_join_at_every_commit_also_after_the_parent_changed() {
    for place in places() {
        let settings = may_shrink(
            "[heartbeat]\nevery = \"200ms\"\n\
             [[table]]\nname = \"task\"\nkey = [\"id\"]\nlookup.client_id = { from = \"jobs\", on = { job_id = \"job_id\" }, take = \"client_id\" }\n\
             [[table]]\nname = \"job\"\ncloud = \"jobs\"\nkey = []\n",
        );
        let desktop = "create table job (job_id numeric(10), staff int, client_id numeric(7)); create table task (id int, job_id numeric(10), what text)";
        let cloud = "create table jobs (job_id numeric(10), staff int, client_id numeric(7), source char(1)); create table task (id int primary key, job_id numeric(10), what text, client_id numeric(7))";
        let office = Office::with_tables(&place, &settings, desktop, cloud).await;
        // Whoever made a job on a phone doesn't decide.
        exec(&office.cloud, "insert into jobs values (1, 9, 999, 'M')").await;
        exec(&office.desktop, "insert into job values (1, 1, 10), (1, 2, 10), (2, 1, 20), (3, 1, null), (4, 1, 40), (4, 2, 41), (5, 1, 50), (5, 2, null); \
            insert into task select n, n % 8, 'first' from generate_series(1, 80) n; insert into task values (100, null, 'no job')").await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        let wrong = "select coalesce(string_agg(t.id || ':' || coalesce(t.client_id::text, '-'), ' ' order by t.id), '') from task t where t.client_id is distinct from \
            (select case when count(distinct coalesce(client_id, -1)) = 1 then min(client_id) end from jobs j where j.job_id = t.job_id and coalesce(source, 'D') = 'D')";
        assert_eq!(value(&office.cloud, wrong).await, "", "after the copy");
        for step in [
            "insert into task values (200, 2, 'new'), (201, 77, 'orphan'), (202, 4, 'two say different things')",
            "update job set client_id = 21 where job_id = 2",
            "update job set client_id = 40 where job_id = 4",
            "insert into job values (77, 1, 770)",
            "update job set job_id = 78 where job_id = 77",
            "update task set job_id = 78 where id = 201",
            "delete from job where job_id = 1 and staff = 1",
            "begin; delete from job where job_id = 5; insert into job values (5, 3, 55); update task set what = 'same' where job_id = 5; commit",
            "delete from job",
            "insert into job select n, 1, n * 10 from generate_series(1, 9) n",
            "truncate job",
            "begin; truncate job; insert into job select n, 1, n * 11 from generate_series(1, 9) n; commit",
        ] {
            exec(&office.desktop, step).await;
            office.caught_up(&mut service).await;
            assert_eq!(value(&office.cloud, wrong).await, "", "after {step}");
            office.assert_equal().await;
        }
        assert_eq!(
            value(
                &office.cloud,
                "select count(*) from task where client_id is not null"
            )
            .await,
            "72"
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f26_powercas_tasks_know_their_client() {
    for place in places() {
        let office = Office::open(&Plan::powerca(&place, 0.05)).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        let wrong = "select count(*) from jobtasks t where t.client_id is distinct from (select case when count(distinct client_id) = 1 then min(client_id) end from jobshead j where j.job_id = t.job_id)";
        for step in [
            "select 1",
            "update jobshead set client_id = client_id + 1 where job_id % 5 = 0",
            "select demo.work(3, 200)",
            "select sync_views_to_tables()",
        ] {
            exec(&office.desktop, step).await;
            office.caught_up(&mut service).await;
            assert_eq!(value(&office.cloud, wrong).await, "0", "after {step}");
            office.assert_equal().await;
        }
        assert!(
            value(&office.cloud, "select count(client_id) from jobtasks")
                .await
                .parse::<u32>()
                .unwrap()
                > 2000
        );
        // Nothing has changed, so nothing is written: no looked-up column either.
        let versions =
            "select md5(string_agg(concat(jt_id, xmin), ',' order by jt_id)) from jobtasks";
        let before = value(&office.cloud, versions).await;
        exec(&office.desktop, "select sync_views_to_tables()").await;
        office.caught_up(&mut service).await;
        assert_eq!(value(&office.cloud, versions).await, before, "P9");
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f26_a_declared_look_up_that_cannot_be_kept_is_an_error() {
    let settings = "[[table]]\nname = \"task\"\nlookup.client_id = { from = \"nowhere\", on = { job_id = \"job_id\" }, take = \"client_id\" }\n\
        lookup.staff = { from = \"job\", on = { gone = \"job_id\" }, take = \"nothing\" }\n[[table]]\nname = \"job\"\n";
    let office = office(
        settings,
        "create table job (job_id int primary key, client_id int); create table task (id int primary key, job_id int)",
        "create table job (job_id int primary key, client_id int); create table task (id int primary key, job_id int, client_id int, staff int)",
    )
    .await;
    let said = refused(&office).await;
    for words in [
        "lookup of client_id: nowhere is not one of the tables here",
        "lookup of staff: job has no column nothing",
        "lookup of staff: column gone is not filled",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f27_f29_u23_u34_all_that_does_not_fit_is_listed_at_once_before_a_row_moves() {
    let office = office(
        "[[table]]\nname = \"staff\"\nkey = [\"cliu_id\"]\n[[table]]\nname = \"leave\"\n[[table]]\nname = \"diary\"\nkey = [\"id\"]\n[[table]]\nname = \"nowhere\"\n",
        "create table staff (id int, desc_id numeric(5), name varchar(80)); create table leave (id int primary key, days int, at timestamp); create table diary (id int, words varchar(100), n bigint)",
        "create table staff (id int primary key, des_id numeric(5), name varchar(50)); create table leave (id int primary key, staff_id int not null, days text, at date); create table diary (id int primary key, words varchar(50), n int)",
    )
    .await;
    exec(
        &office.desktop,
        "insert into diary select n, 'x', n from generate_series(1, 5) n",
    )
    .await;
    let said = refused(&office).await;
    for words in [
        "staff: column desc_id of the desktop has no place in the cloud",
        "staff: column name: character varying(80) on the desktop, character varying(50) in the cloud",
        "staff: key column cliu_id does not exist in the cloud's table",
        "leave: column staff_id of the cloud refuses NULL, has no default, and nothing fills it",
        "leave: column at: timestamp without time zone on the desktop, date in the cloud",
        "diary: column words: character varying(100)",
        "diary: column n: bigint on the desktop, integer in the cloud: larger numbers would not fit",
        "nowhere: public.nowhere does not exist on the desktop",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(
        !said.contains("column days"),
        "a number always fits into text: {said}"
    );
    assert_eq!(
        value(&office.cloud, "select count(*) from diary").await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_p11_a_value_that_does_not_fit_is_quarantined_never_shortened_or_rounded() {
    for place in places() {
        let settings =
            format!("{BEAT}[[table]]\nname = \"doc\"\nkey = [\"id\"]\nnarrow = \"quarantine\"\n");
        let desktop =
            "create table doc (id int, ref text, amount numeric, at timestamp, n bigint, f float8)";
        let cloud = "create table doc (id int primary key, ref varchar(15), amount numeric(8,2), at timestamp(0), n int, f float4)";
        let office = Office::with_tables(&place, &settings, desktop, cloud).await;
        let rows = |from: i32| {
            format!(
                "insert into doc values ({from}, 'short', 1.5, '2026-01-01 10:00', 7, 0.5), ({}, 'https://storage.example/a/very/long/name', 1, null, 1, 1), \
                 ({}, 'a', 1.005, null, 1, 1), ({}, 'b', 1, '2026-01-01 10:00:00.5', 1, 1), ({}, 'c', 1, null, 3000000000, 1), ({}, 'd', 1, null, 1, 0.1), \
                 ({}, 'fifteen letters', 123456.78, 'infinity', -2147483648, 'NaN'), ({}, 'blanks at the end   ', 1, null, 1, 1)",
                from + 1,
                from + 2,
                from + 3,
                from + 4,
                from + 5,
                from + 6,
                from + 7
            )
        };
        exec(&office.desktop, &rows(10)).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        let ids = "select string_agg(id::text, ' ' order by id) from doc";
        let parked = "select string_agg(key[1] || ' ' || sqlstate, ' ' order by key[1]) from tandem.quarantine";
        assert_eq!(value(&office.cloud, ids).await, "10 16", "in the copy");
        assert_eq!(
            value(&office.cloud, parked).await,
            "11 TD003 12 TD003 13 TD003 14 22003 15 TD003 17 TD003"
        );
        exec(&office.desktop, &rows(20)).await;
        office.caught_up(&mut service).await;
        assert_eq!(
            value(&office.cloud, ids).await,
            "10 16 20 26",
            "in the stream"
        );
        // A value that fits heals the row; one that doesn't keeps what the cloud has.
        exec(&office.desktop, "update doc set ref = 'short now' where id in (11, 21, 17); update doc set amount = 1 where id = 12; update doc set n = 5000000000 where id = 20").await;
        office.caught_up(&mut service).await;
        assert_eq!(value(&office.cloud, ids).await, "10 11 12 16 17 20 21 26");
        assert_eq!(
            value(&office.cloud, "select n from doc where id = 20").await,
            "7"
        );
        let (code, out, _) = office.ask(&["quarantine", "list", "--json"]).await;
        assert_eq!(code, 1);
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        let rows = document["rows"].as_array().unwrap();
        assert!(
            rows.iter().any(|row| row["key"]["id"] == "20"
                && row["table"] == "doc"
                && row["direction"] == "forward"),
            "{out}"
        );
        assert!(
            !out.contains("storage.example"),
            "P16: no value but the key: {out}"
        );
        exec(&office.desktop, "delete from doc where id not in (10, 16)").await;
        office.caught_up(&mut service).await;
        assert_eq!(
            value(&office.cloud, "select count(*) from tandem.quarantine").await,
            "0"
        );
        office.assert_equal().await;
        let sums = "select received = applied + folded + ruled_out + quarantined and quarantined = 0 from tandem.table_state";
        assert_eq!(value(&office.cloud, sums).await, "true", "P7");
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_u19_a_column_that_is_mapped_later_is_copied_for_every_row_by_its_full_key() {
    let settings =
        "[[table]]\nname = \"job\"\nkey = [\"job_id\", \"staff\"]\nskip = [\"job_uid\"]\n";
    let office = office(
        settings,
        "create table job (job_id int, staff int, job_uid text)",
        "create table job (job_id int not null, staff int, job_uid text, source char(1))",
    )
    .await;
    exec(
        &office.desktop,
        "insert into job select n / 4, n, 'uid-' || n from generate_series(1, 400) n",
    )
    .await;
    exec(
        &office.cloud,
        "insert into job values (1, 9999, 'from a phone', 'M')",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, "select count(job_uid) from job").await,
        "1"
    );
    assert_eq!(service.stop().await, 0);
    let text = std::fs::read_to_string(office.file()).unwrap();
    std::fs::write(office.file(), text.replace("skip = [\"job_uid\"]", "")).unwrap();
    exec(
        &office.desktop,
        "update job set job_uid = 'late' where staff = 7",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let wrong = "select count(*) from job where source = 'D' and job_uid is distinct from case staff when 7 then 'late' else 'uid-' || staff end";
    assert_eq!(value(&office.cloud, wrong).await, "0");
    assert_eq!(
        value(&office.cloud, "select job_uid from job where source = 'M'").await,
        "from a phone"
    );
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u35_what_forward_does_not_map_it_never_writes() {
    // The owner is what the settings say, whatever the desktop has; time stamps and the cloud's own columns stay.
    let office = office(
        "[forward]\nskip = [\"created_at\", \"updated_at\"]\n[[table]]\nname = \"org\"\nset = { createdby = \"sync\" }\n",
        "create table org (id int primary key, name text, source char(1), created_at timestamp default '2001-01-01', updated_at timestamp)",
        "create table org (id int primary key, name text, source char(1), createdby text, note text default 'mine', created_at timestamptz default '2020-02-02 00:00+00', updated_at timestamptz)",
    )
    .await;
    exec(&office.cloud, "set timezone = 'UTC'; insert into org values (1, 'old', null, 'someone', 'kept', '2010-01-01 00:00+00')").await;
    exec(
        &office.desktop,
        "insert into org values (1, 'one', null), (2, 'two', 'D'), (3, 'three', 'X')",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into org values (4, 'four', null); update org set name = name || '!'",
    )
    .await;
    office.caught_up(&mut service).await;
    let rows = "select string_agg(concat_ws(' ', id, name, source, createdby, note, created_at::date), '; ' order by id) from org";
    assert_eq!(
        value(&office.cloud, rows).await,
        "1 one! D sync kept 2010-01-01; 2 two! D sync mine 2020-02-02; 3 three! D sync mine 2020-02-02; 4 four! D sync mine 2020-02-02"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u25_columns_that_the_desktop_empties_become_empty_and_only_those() {
    for place in places() {
        let office = Office::open(&Plan::powerca(&place, 0.05)).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(&office.desktop, "update jobshead set job_uid = 'uid-' || job_id, worklocation = 'here'; update taskchecklist set job_id = 7").await;
        office.caught_up(&mut service).await;
        assert_eq!(
            value(
                &office.cloud,
                "select count(*) = count(job_uid) and count(*) = count(worklocation) from jobshead"
            )
            .await,
            "true"
        );
        // PowerCA's own refill leaves these columns out, so they are NULL on the desktop and then in the cloud.
        exec(&office.desktop, "select sync_views_to_tables()").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(
            value(&office.cloud, "select count(worklocation) from jobshead").await,
            value(&office.desktop, "select count(worklocation) from jobshead").await
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn u01_a_tenant_that_is_found_through_its_parent_limits_every_statement() {
    let settings = may_shrink(
        "[heartbeat]\nevery = \"200ms\"\n[tenant]\norg_id = 1\n[[table]]\nname = \"note\"\n[[table]]\nname = \"answer\"\ntenant = { via = \"note\", on = { note_id = \"id\" } }\n",
    );
    let desktop = "create table note (id int primary key, org_id int, words text); create table answer (id int primary key, note_id int, words text)";
    let cloud = "create table note (id int primary key, org_id int, words text); create table answer (id int primary key, note_id int, words text)";
    let office = Office::with_tables(&newest(), &settings, desktop, cloud).await;
    exec(&office.cloud, "insert into note select n, 2, 'theirs' from generate_series(1000, 1020) n; insert into answer select n, n, 'theirs' from generate_series(1000, 1020) n").await;
    exec(&office.desktop, "insert into note select n, 1, 'ours' from generate_series(1, 20) n; insert into note values (900, 3, 'another firm on this desktop'); \
        insert into answer select n, n % 20 + 1, 'ours' from generate_series(1, 60) n; insert into answer values (500, 900, 'not ours')").await;
    let theirs = "select md5(string_agg(concat(id, note_id, words, xmin), ',' order by id)) from answer where id >= 1000";
    let before = value(&office.cloud, theirs).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, "select count(*) from answer where id < 1000").await,
        "60"
    );
    // Ids that the other firm has too.
    exec(&office.desktop, "update answer set words = 'changed' where id <= 30; delete from answer where id > 50 and id < 100; insert into answer values (501, 900, 'not ours'), (70, 3, 'new'); \
        update answer set note_id = 1005 where id = 2; delete from answer where id = 500").await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, theirs).await, before);
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from answer where id in (500, 501)"
        )
        .await,
        "0"
    );
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from answer where words = 'changed' and id <= 30"
        )
        .await,
        "29"
    );
    // Whose parent is another firm's is that firm's now; whose parent is nobody's waits: nobody could say whose it is.
    let parked =
        "select string_agg(key[1] || ' ' || sqlstate, ', ' order by key) from tandem.quarantine";
    assert_eq!(value(&office.cloud, parked).await, "501 TD008");
    assert_eq!(
        value(&office.cloud, "select count(*) from answer where id = 2").await,
        "0"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u01_a_parent_that_two_tenants_could_mean_is_refused() {
    let settings = "[tenant]\norg_id = 1\n[[table]]\nname = \"note\"\n[[table]]\nname = \"answer\"\ntenant = { via = \"note\", on = { note_id = \"id\" } }\n";
    let ddl = "create table note (id int, org_id int, primary key (org_id, id)); create table answer (id int primary key, note_id int)";
    let office = office(settings, ddl, ddl).await;
    let said = refused(&office).await;
    assert!(
        said.contains("answer: tenant: (id) does not name one row of note in the cloud"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mappings_work_together_in_keyed_and_keyless_tables() {
    for place in places() {
        let settings = may_shrink(
            "[heartbeat]\nevery = \"200ms\"\n[tenant]\norg = 1\n\
             [[table]]\nname = \"job\"\n\
             [[table]]\nname = \"line\"\nkey = []\ntenant = { via = \"job\", on = { job_id = \"id\" } }\nset = { made_by = \"desk\" }\nconvert = { words = \"upper(words)\" }\n\
             lookup.client = { from = \"job\", on = { job_id = \"id\" }, take = \"client\" }\n\
             [[table]]\nname = \"code\"\nkey = [\"name\", \"nr\"]\nconvert = { name = \"lower(trim(name))\" }\n",
        );
        let desktop = "create table job (id int primary key, client text); create table line (job_id int, words text); create table code (name text, nr int, v text)";
        let cloud = "create table job (id int primary key, client text, org int); create table line (n bigserial primary key, job_id int references job, words text, client text, made_by text); \
            create table code (name text, nr int, v text, org int) partition by hash (nr); create table code_0 partition of code for values with (modulus 2, remainder 0); create table code_1 partition of code for values with (modulus 2, remainder 1)";
        let office = Office::with_tables(&place, &settings, desktop, cloud).await;
        exec(&office.desktop, "insert into job select n, 'c' || n from generate_series(1, 30) n; insert into line select n % 30 + 1, 'w' || n % 4 from generate_series(1, 300) n; \
            insert into code select ' N' || n, nullif(n % 5, 0), 'v' from generate_series(1, 60) n; insert into code values (null, null, 'nothing')").await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        let wrong = "select count(*) from line l left join job j on j.id = l.job_id where l.client is distinct from j.client or made_by <> 'desk' or words <> upper(words)";
        for step in [
            "select 1",
            "update job set client = 'new' where id < 10; insert into line values (3, 'x'), (3, 'x'), (40, 'no job yet')",
            "delete from line where ctid in (select ctid from line where job_id = 5 limit 2); update line set words = 'y' where job_id = 7",
            "insert into job values (40, 'late')",
            "update code set v = 'w' where nr is null; update code set name = upper(name) where nr = 1; delete from code where nr = 2; update code set nr = null where nr = 3 and v = 'v' and length(name) < 4",
            "delete from line where job_id = 40; delete from job where id = 40",
            "begin; truncate line, code; insert into line values (1, 'z'), (1, 'z'); insert into code values ('A', 1, 'a'), (null, null, 'b'); commit",
        ] {
            exec(&office.desktop, step).await;
            office.caught_up(&mut service).await;
            until(&office.cloud, "select count(*) <= (select count(*) from job where id = 99) from tandem.quarantine where \"table\" <> 'line' or key[1] <> '40'").await;
            assert_eq!(value(&office.cloud, wrong).await, "0", "after {step}");
            let parked = value(
                &office.cloud,
                "select coalesce(sum(copies), 0) from tandem.quarantine",
            )
            .await;
            let rows = "select count(*) from line";
            let here: i64 = value(&office.cloud, rows).await.parse().unwrap();
            assert_eq!(
                (here + parked.parse::<i64>().unwrap()).to_string(),
                value(&office.desktop, rows).await,
                "after {step}"
            );
            office.assert_conserved().await;
        }
        until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
        office.assert_equal().await;
        assert_eq!(service.stop().await, 0);
    }
}
