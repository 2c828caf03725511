//! The failures of the scripts before us, on the way home, by their numbers.

use crate::support::office::{Office, came_home, connect, exec, until, value};
use crate::support::servers::newest;

const SETTINGS: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\nskip = [\"created_at\", \"updated_at\"]\n[[table]]\nname = \"diary\"\nflow = \"reverse\"\n";
const ON_DESKTOP: &str = "create table diary (id bigint, note text, source char(1))";
const IN_CLOUD: &str = "create table diary (id bigint primary key, note text, source char(1) default 'D', updated_at timestamptz default now(), created_at timestamptz default now())";

async fn office() -> Office {
    Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, IN_CLOUD).await
}

/// The phone's rows of both sides are equal; how many there are.
async fn equal(office: &Office) -> usize {
    let sql = "select count(*) || ' ' || md5(coalesce(string_agg(concat_ws('|', id, note), ';' order by id), '')) from diary where source = 'M'";
    let [desktop, cloud] = [
        value(&office.desktop, sql).await,
        value(&office.cloud, sql).await,
    ];
    assert_eq!(desktop, cloud);
    let all = value(&office.desktop, "select count(*) from diary").await;
    let (count, _) = desktop.split_once(' ').unwrap();
    assert_eq!(all, count, "nothing else came, and nothing twice");
    count.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_f09_a_backlog_of_any_age_and_size_comes_home() {
    let office = office().await;
    exec(&office.cloud, "insert into diary select n, 'old', 'M', now() - interval '30 days' - n * interval '1 s', now() - interval '40 days' from generate_series(1, 24562) n").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    assert_eq!(equal(&office).await, 24_562);
    // Around the number that is read at once.
    let mut wanted = 24_562;
    for rows in [1usize, 999, 1000, 1001, 10_001] {
        let first = wanted + 1;
        wanted += rows;
        exec(
            &office.cloud,
            &format!(
                "insert into diary select n, 'new', 'M' from generate_series({first}, {wanted}) n"
            ),
        )
        .await;
        came_home(&office).await;
        assert_eq!(equal(&office).await, wanted);
    }
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_f11_u14_again_and_again_is_as_good_as_once() {
    let office = office().await;
    exec(
        &office.cloud,
        "insert into diary select n, 'row', 'M' from generate_series(1, 100) n",
    )
    .await;
    for _ in 0..3 {
        let mut service = office.run();
        office.caught_up(&mut service).await;
        came_home(&office).await;
        assert_eq!(equal(&office).await, 100);
        assert_eq!(service.stop().await, 0);
    }
    // A crash between the desktop's commit and the cloud's: all entries stand there once more.
    exec(&office.cloud, "insert into tandem.outbox (replicator, \"table\", key, op) select c.replicator, 'diary', array[d.id::text], 'I' from diary d, tandem.checkpoint c").await;
    let versions = "select md5(string_agg(id || ' ' || xmin, ';' order by id)) from diary";
    let before = value(&office.desktop, versions).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    assert_eq!(
        value(&office.desktop, versions).await,
        before,
        "P9: an equal row isn't written"
    );
    // Nothing new: nothing is read, and nothing is written.
    let quiet = [
        value(&office.desktop, versions).await,
        value(&office.cloud, versions).await,
    ];
    let polled = value(&office.cloud, "select polled_at from tandem.poll").await;
    until(
        &office.cloud,
        &format!("select polled_at > '{polled}'::timestamptz + interval '1 s' from tandem.poll"),
    )
    .await;
    assert_eq!(
        [
            value(&office.desktop, versions).await,
            value(&office.cloud, versions).await
        ],
        quiet
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_u05_u21_late_commits_and_lying_clocks_miss_nothing() {
    let office = office().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let late = connect(&office.servers.cloud, "postgres", "postgres").await;
    exec(
        &late,
        "begin; insert into diary values (1, 'committed last', 'M')",
    )
    .await;
    exec(&office.cloud, "insert into diary values (2, 'from 2099', 'M', '2099-12-31'), (3, 'from 2001', 'M', '2001-01-01'), (4, 'equal', 'M', '2026-01-01'), (5, 'equal', 'M', '2026-01-01')").await;
    came_home(&office).await;
    assert_eq!(
        value(&office.desktop, "select count(*) from diary").await,
        "4"
    );
    // `updated_at` goes back, and edits with an older clock still come.
    exec(
        &office.cloud,
        "update diary set note = 'edited', updated_at = '1999-01-01' where id = 2",
    )
    .await;
    exec(&late, "commit").await;
    came_home(&office).await;
    assert_eq!(equal(&office).await, 5);
    assert_eq!(
        value(&office.desktop, "select note from diary where id = 2").await,
        "edited"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u17_only_the_phones_rows_come_home_and_only_this_tenants() {
    let settings = format!("[tenant]\norg = 1\n{SETTINGS}");
    let office = Office::with_tables(
        &newest(),
        &settings,
        "create table diary (id bigint, note text, source char(1))",
        "create table diary (id bigint primary key, org int, note text, source char(1))",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into diary values (1, 1, 'ours', 'M'), (2, 1, 'desk', 'D'), (3, 1, 'odd', 'S'), (4, 1, 'nobody', null), (5, 2, 'theirs', 'M'), (6, null, 'whose', 'M')").await;
    exec(&office.cloud, "update diary set note = note || '!'").await;
    came_home(&office).await;
    assert_eq!(
        value(
            &office.desktop,
            "select string_agg(concat_ws(' ', id, note, source), '; ') from diary"
        )
        .await,
        "1 ours! M"
    );
    assert_eq!(
        value(&office.cloud, "select received from tandem.reverse_state").await,
        "2",
        "nothing is recorded for nobody"
    );
    // A row that leaves the tenant is gone here, one that enters it comes, and one that becomes the desktop's stays.
    exec(
        &office.cloud,
        "insert into diary values (7, 1, 'becomes', 'M')",
    )
    .await;
    came_home(&office).await;
    exec(&office.cloud, "update diary set org = 2 where id = 1; update diary set org = 1 where id = 5; update diary set source = 'D' where id = 7").await;
    came_home(&office).await;
    assert_eq!(
        value(
            &office.desktop,
            "select string_agg(concat_ws(' ', id, note, source), '; ' order by id) from diary"
        )
        .await,
        "5 theirs! M; 7 becomes M"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u12_f39_times_arrive_as_they_were_typed_in_every_zone() {
    let settings = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"diary\"\nflow = \"reverse\"\n[table.reverse]\nconvert = { timefrom = \"date + timefrom\" }\n";
    let desktop = "create table diary (id bigint, date date, timefrom timestamp, at timestamp, day date, source char(1))";
    let cloud = "create table diary (id bigint primary key, date date, timefrom time, at timestamptz, day date, source char(1))";
    for zone in ["Asia/Kolkata", "UTC", "America/New_York"] {
        let settings = settings.replace("[heartbeat]", &format!("[heartbeat]\n# {zone}"));
        let office = Office::with_tables(&newest(), &settings, desktop, cloud).await;
        exec(&office.desktop, &format!("alter database enterprise_db set timezone = '{zone}'; alter database enterprise_db set datestyle = 'SQL, DMY'")).await;
        exec(&office.cloud, "alter database postgres set timezone = 'Asia/Manila'; alter database postgres set datestyle = 'German'").await;
        let file = office.folder.join("tandem.toml");
        let text = std::fs::read_to_string(&file).unwrap().replace(
            "\n\n[cloud]",
            &format!("\ntime_zone = \"{zone}\"\n\n[cloud]"),
        );
        std::fs::write(&file, text).unwrap();
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(&office.cloud, &format!("insert into diary values (1, '2025-12-27', '09:50', timestamp '2025-12-27 23:45:10.5' at time zone '{zone}', '2025-12-27', 'M'), (2, '2025-03-09', null, null, 'infinity', 'M'), (3, null, '00:00', '-infinity', '0044-03-15 BC', 'M')")).await;
        came_home(&office).await;
        let sql = "select string_agg(concat_ws(' ', id, to_char(date, 'YYYY-MM-DD'), to_char(timefrom, 'YYYY-MM-DD HH24:MI'), case when isfinite(at) then to_char(at, 'YYYY-MM-DD HH24:MI:SS.US') else 'never' end, case when isfinite(day) then to_char(day, 'YYYY-MM-DD BC') else 'ever' end), '; ' order by id) from diary";
        assert_eq!(
            value(&office.desktop, sql).await,
            "1 2025-12-27 2025-12-27 09:50 2025-12-27 23:45:10.500000 2025-12-27 AD; 2 2025-03-09 never ever; 3 never 0044-03-15 BC",
            "{zone}"
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f28_f36_u13_u23_what_does_not_fit_is_found_before_a_row_moves() {
    let desktop =
        "create table diary (id bigint, note varchar(5), must int not null, source char(1))";
    let cloud = "create table diary (id bigint primary key, note text, staff_id int not null, source char(1))";
    let office = Office::with_tables(&newest(), SETTINGS, desktop, cloud).await;
    exec(
        &office.cloud,
        "insert into diary values (1, 'far too long', 7, 'M')",
    )
    .await;
    let (code, _, said) = office.ask(&["run"]).await;
    assert_eq!(code, 2);
    for wanted in [
        "column staff_id of the cloud has no place on the desktop",
        "column note: text in the cloud, character varying(5) on the desktop: longer values would not fit",
        "column must of the desktop refuses NULL",
        "[table.reverse]",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from pg_namespace where nspname = 'tandem'"
        )
        .await,
        "0",
        "nothing was changed"
    );
    // Quarantined with its reason, or converted because the settings say so.
    let rest = |more: &str| {
        format!(
            "{SETTINGS}narrow = \"quarantine\"\n[table.reverse]\nskip = [\"staff_id\"]\nconvert = {{ must = \"1\"{more} }}\n"
        )
    };
    let file = office.with_settings(&rest(""));
    let mut service = office.run_with(&file);
    office.caught_up(&mut service).await;
    came_home(&office).await;
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(concat_ws(' ', sqlstate, why), '; ') from tandem.quarantine"
        )
        .await,
        "TD003 the value does not fit into column note"
    );
    assert_eq!(
        value(&office.desktop, "select count(*) from diary").await,
        "0"
    );
    assert_eq!(service.stop().await, 0);
    let file = office.with_settings(&rest(", note = \"left(note, 5)\""));
    let mut service = office.run_with(&file);
    office.caught_up(&mut service).await;
    came_home(&office).await;
    assert_eq!(
        value(
            &office.desktop,
            "select concat_ws(' ', id, note, must) from diary"
        )
        .await,
        "1 far t 1"
    );
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f37_u02_the_offices_statement_behind_a_poll_is_run_shown_and_run_again() {
    let settings = SETTINGS.replace("[reverse]\n", "[reverse]\nthen = \"select hand_on()\"\n");
    let office = Office::with_tables(&newest(), &settings, ON_DESKTOP, IN_CLOUD).await;
    exec(&office.desktop, "create table work (id bigint primary key, note text); create table ready (n int); \
        create function hand_on() returns void language plpgsql as $$ begin if not exists (select from ready) then raise 'no week for this day'; end if; \
        insert into work select id, note from diary where source = 'M' on conflict do nothing; end $$").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into diary values (1, 'a', 'M')").await;
    came_home(&office).await;
    until(
        &office.desktop,
        "select then_failed like '%no week%' from tandem.reverse",
    )
    .await;
    let (code, out, _) = office.ask(&["status"]).await;
    assert!(
        code == 1 && out.contains("no week for this day"),
        "{code} {out}"
    );
    // It blocks nothing, and what it has to do stays to be done.
    exec(&office.cloud, "insert into diary values (2, 'b', 'M')").await;
    came_home(&office).await;
    exec(&office.desktop, "insert into ready values (1)").await;
    until(&office.desktop, "select count(*) = 2 from work").await;
    until(
        &office.desktop,
        "select then_failed is null from tandem.reverse",
    )
    .await;
    let (code, out, _) = office.ask(&["lag", "--json"]).await;
    let lag: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0, "{out}");
    assert_eq!(lag["reverse"]["pending"], 0);
    assert!(
        lag["reverse"]["last_poll_age_ms"].as_u64().unwrap() < 5000,
        "{out}"
    );
    assert_eq!(service.stop().await, 0);
    // A poll that doesn't come shows its age, and what waits shows.
    exec(&office.cloud, "insert into diary values (3, 'c', 'M')").await;
    let (code, out, _) = office.ask(&["lag", "--json"]).await;
    let lag: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, lag["reverse"]["pending"].as_u64()),
        (3, Some(1)),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_no_phone_waits_for_another_one_or_for_us() {
    let office = office().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // A phone leaves its transaction open, and so does a poll that has read and removed entries.
    let open = connect(&office.servers.cloud, "postgres", "postgres").await;
    exec(&open, "begin; insert into diary values (1, 'open', 'M')").await;
    exec(&office.cloud, "insert into diary values (2, 'a', 'M')").await;
    assert_eq!(service.stop().await, 0);
    let poll = connect(&office.servers.cloud, "postgres", "postgres").await;
    exec(&poll, "begin; delete from tandem.outbox").await;
    let phone = connect(&office.servers.cloud, "postgres", "postgres").await;
    exec(&phone, "set lock_timeout = '1ms'").await;
    exec(&phone, "update diary set note = 'b' where id = 2; insert into diary values (3, 'c', 'M'); delete from diary where id = 2; insert into diary values (2, 'd', 'M')").await;
    exec(&poll, "commit").await;
    exec(&open, "commit").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    assert_eq!(equal(&office).await, 3);
    // Nor does the office's program wait for us: a row that it holds is tried again, and the others are not held up.
    let desk = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    exec(&desk, "begin; update diary set note = 'held' where id = 1").await;
    exec(&office.cloud, "update diary set note = 'e' where id = 1").await;
    // Its own statements fail rather than wait for us.
    exec(&office.desktop, "set lock_timeout = '2s'; update diary set note = note where id in (2, 3); reset lock_timeout").await;
    exec(&desk, "rollback").await;
    came_home(&office).await;
    assert_eq!(equal(&office).await, 3);
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_an_older_entry_never_overwrites_what_a_newer_one_brought() {
    let office = office().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into diary values (1, 'one', 'M')").await;
    came_home(&office).await;
    exec(&office.cloud, "update diary set note = 'two'").await;
    came_home(&office).await;
    // A program that slept has an older entry in its hands, of a row that it read long ago: the ledger knows better.
    exec(&office.desktop, "update tandem.ledger set entry = 1000000").await;
    exec(&office.cloud, "update diary set note = 'from the past'").await;
    came_home(&office).await;
    assert_eq!(
        value(&office.desktop, "select note from diary").await,
        "two"
    );
    // Entries are counted anew for another cloud behind the address, or one that went back in time.
    assert_eq!(service.stop().await, 0);
    exec(
        &office.desktop,
        "update tandem.reverse set cloud_timeline = cloud_timeline + 1",
    )
    .await;
    exec(&office.cloud, "update diary set note = 'three'").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    assert_eq!(
        value(&office.desktop, "select note from diary").await,
        "three"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u41_what_a_poll_costs_follows_what_is_new() {
    let office = Office::with_tables(
        &newest(),
        SETTINGS,
        &format!("{ON_DESKTOP}; create index on diary (id)"),
        IN_CLOUD,
    )
    .await;
    exec(
        &office.desktop,
        "insert into diary select n, 'old', 'M' from generate_series(1, 50000) n; analyze diary",
    )
    .await;
    exec(&office.cloud, "set session_replication_role = replica; insert into diary select n, 'old', 'M' from generate_series(1, 50000) n; reset session_replication_role; analyze diary").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    // What a session has read is known when it ends.
    assert_eq!(service.stop().await, 0);
    let read =
        "select coalesce(sum(seq_tup_read), 0) from pg_stat_user_tables where relname = 'diary'";
    let before = (
        value(&office.desktop, read).await,
        value(&office.cloud, read).await,
    );
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for n in 0..5 {
        exec(
            &office.cloud,
            &format!("update diary set note = 'new {n}' where id = {n} + 1000"),
        )
        .await;
        came_home(&office).await;
    }
    assert_eq!(service.stop().await, 0);
    assert_eq!(
        (
            value(&office.desktop, read).await,
            value(&office.cloud, read).await
        ),
        before,
        "no table is read whole"
    );
}

/// Rows without a key are counted, but only those that may be the entry's are read.
#[tokio::test(flavor = "multi_thread")]
async fn u41_ticks_in_a_table_without_a_key_are_found_through_the_clouds_index() {
    let settings = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"chk\"\nkey = []\ncloud_owned = [\"status\"]\n";
    let ddl = "create table chk (nr int not null, txt varchar(20) not null, at timestamptz not null, note text, status int); create index on chk (nr)";
    let office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    exec(
        &office.desktop,
        "insert into chk select n / 2, 'it''s \"' || n % 2, '2026-01-01', nullif(n % 3, 0), 0 from generate_series(1, 50000) n; insert into chk select * from chk where nr = 1007",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    assert_eq!(service.stop().await, 0);
    exec(&office.cloud, "analyze chk").await;
    let read =
        "select coalesce(sum(seq_tup_read), 0) from pg_stat_user_tables where relname = 'chk'";
    let before = value(&office.cloud, read).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for nr in [1, 1007, 20_000] {
        exec(
            &office.cloud,
            &format!("update chk set status = 1 where nr = {nr}"),
        )
        .await;
        came_home(&office).await;
    }
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    assert_eq!(
        value(&office.cloud, read).await,
        before,
        "the table is not read whole"
    );
    let ticked = "select string_agg(concat_ws('|', nr, txt, note, status), ';' order by nr, txt, note) from chk where status = 1";
    let here = value(&office.desktop, ticked).await;
    assert_eq!(here, value(&office.cloud, ticked).await);
    assert_eq!(here.split(';').count(), 8, "{here}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_desktops_take_each_its_own_and_uninstall_leaves_the_others() {
    let settings = |name: &str, org: u32| {
        format!(
            "replicator = \"{name}\"\n[tenant]\norg = {org}\n{SETTINGS}[forward]\nslot = \"{}\"\npublication = \"{}\"\n",
            name.replace('-', "_"),
            name.replace('-', "_")
        )
    };
    let office = Office::with_tables(
        &newest(),
        &settings("office-1", 1),
        ON_DESKTOP,
        "create table diary (id bigint primary key, org int, note text, source char(1))",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let triggers = "select count(*) from pg_trigger where tgname like 'tandem_%'";
    assert_eq!(value(&office.cloud, triggers).await, "4");
    // An entry is recorded once for whom it is for.
    exec(
        &office.cloud,
        "insert into diary values (1, 1, 'ours', 'M'), (2, 3, 'nobody''s', 'M')",
    )
    .await;
    came_home(&office).await;
    assert_eq!(
        value(&office.cloud, "select received from tandem.reverse_state").await,
        "1"
    );
    assert_eq!(service.stop().await, 0);
    let (code, plan, _) = office.ask(&["uninstall", "--plan"]).await;
    assert!(code == 0 && !plan.is_empty(), "{plan}");
    let (code, out, said) = office.ask(&["uninstall", "--yes"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(value(&office.cloud, triggers).await, "0");
    exec(
        &office.cloud,
        "insert into diary values (3, 1, 'after', 'M')",
    )
    .await;
    assert_eq!(
        value(
            &office.desktop,
            "select count(*) from pg_namespace where nspname = 'tandem'"
        )
        .await,
        "0"
    );
}

/// What is paid for each is measured by `make bench`.
#[tokio::test(flavor = "multi_thread")]
async fn p10_a_phones_insert_makes_one_entry_and_touches_nothing_else_of_ours() {
    let office = office().await;
    let service = office.run();
    until(&office.cloud, "select to_regclass('tandem.outbox') is not null and exists (select from pg_trigger where tgname like 'tandem%')").await;
    service.kill().await;
    until(&office.cloud, "select count(*) = 0 from pg_stat_activity where application_name like 'tandem%' and pid <> pg_backend_pid()").await;
    exec(&office.cloud, "delete from tandem.outbox").await;
    let written = "select coalesce(string_agg(concat_ws(' ', relname, n_tup_ins, n_tup_upd, n_tup_del), ', ' order by relname), '') \
        from pg_stat_xact_user_tables where n_tup_ins + n_tup_upd + n_tup_del > 0";
    let locked = "select coalesce(string_agg(concat_ws(' ', relation::regclass, mode), ', ' order by 1), '') from pg_locks \
        where pid = pg_backend_pid() and relation in (select c.oid from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = 'tandem' and relkind = 'r')";
    for (sql, rows) in [
        ("insert into diary values (1, 'a note', 'M')", 1),
        (
            "insert into diary select n, 'notes', 'M' from generate_series(2, 11) n",
            10,
        ),
    ] {
        // A session counts for itself what it has written and not yet told.
        let phone = connect(&office.servers.cloud, "postgres", "postgres").await;
        exec(&phone, &format!("begin; {sql}")).await;
        assert_eq!(
            value(&phone, written).await,
            format!("diary {rows} 0 0, outbox {rows} 0 0")
        );
        // The lock of an INSERT: no row that is there already is locked, and nobody who writes is held up.
        assert_eq!(
            value(&phone, locked).await,
            "tandem.outbox RowExclusiveLock"
        );
        exec(&phone, "commit").await;
    }
    assert_eq!(
        value(&office.cloud, "select count(*) from tandem.outbox").await,
        "11"
    );
}
