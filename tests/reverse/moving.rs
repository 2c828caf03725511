//! docs/moving.md, followed word by word on PowerCA's office with what its scripts left behind, and back again.

use std::path::Path;
use std::process::Stdio;

use tandem::demo::cluster::{Binaries, find_binaries};
use tokio::process::Command;

use crate::support::office::{Office, Plan, exec, finish, tandem, value};

/// Read when the test runs: following a changed guide needs no build.
fn guide() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/moving.md")).unwrap()
}

/// The guide's blocks below one heading: `sh` or `sql`, and what stands in them.
fn blocks(heading: &str) -> Vec<(String, String)> {
    let guide = guide();
    let section = { guide.split("\n## ") }.find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no heading {heading}"));
    let parts = section.split("```").skip(1).step_by(2);
    let parts = parts.map(|part| part.split_once('\n').unwrap());
    parts
        .map(|(kind, text)| (kind.to_owned(), text.to_owned()))
        .collect()
}

/// What the guide says below a heading is done; the outputs of its commands come back.
async fn follow(office: &Office, heading: &str) -> String {
    let blocks = blocks(heading);
    assert!(!blocks.is_empty(), "{heading}");
    carry_out(office, &blocks).await
}

async fn carry_out(office: &Office, blocks: &[(String, String)]) -> String {
    let mut said = String::new();
    for (kind, text) in blocks {
        let (first, _) = text.split_once('\n').unwrap();
        match (kind.as_str(), first) {
            ("sql", "-- on both sides") => {
                exec(&office.desktop, text).await;
                in_cloud(office, text).await;
            }
            ("sql", "-- on the desktop") => exec(&office.desktop, text).await,
            ("sql", "-- in the cloud") => in_cloud(office, text).await,
            ("sh", _) => {
                for line in text.lines() {
                    let (command, remark) = line.split_once('#').unwrap_or((line, ""));
                    let (code, out, errors) = shell(office, command).await;
                    let fine = code == 0 || (code == 1 && remark.contains('1'));
                    assert!(fine, "{line}: {code}\n{out}\n{errors}");
                    said += &format!("$ {line}\n{out}\n");
                }
            }
            _ => panic!("{kind} {first}: for whom?"),
        }
    }
    said
}

/// The newest servers here that have `pg_dump` and `psql` beside them: an older `pg_dump` refuses a newer server.
fn with_clients() -> Option<Binaries> {
    let mut found = find_binaries(None).unwrap().into_iter().rev();
    found.find(|version| {
        let mut clients = ["pg_dump", "psql"].iter();
        clients.all(|name| version.program(name).is_file())
    })
}

async fn in_cloud(office: &Office, sql: &str) {
    exec(
        &office.cloud,
        &format!("set role postgres; {sql}; reset role"),
    )
    .await;
}

/// As a person types it, with both connection strings and the programs at hand.
async fn shell(office: &Office, line: &str) -> (i32, String, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_tandem"));
    let ours = [
        program.parent().unwrap().to_owned(),
        with_clients().unwrap().dir,
    ];
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(ours.into_iter().chain(std::env::split_paths(&path)));
    let servers = &office.servers;
    let url =
        |host: String, port: u16, base: &str| format!("postgres://postgres@{host}:{port}/{base}");
    let (desktop, cloud) = (&servers.desktop, &servers.cloud);
    // Without what `tandem` wouldn't be given either.
    let mut command = Command::new("sh");
    for name in tandem().as_std().get_envs().map(|(name, _)| name) {
        command.env_remove(name);
    }
    command.args(["-c", line]).current_dir(&office.folder);
    command.env("PATH", path.unwrap()).stdin(Stdio::null());
    command.env(
        "DESKTOP",
        url(desktop.host().to_string(), desktop.port(), "enterprise_db"),
    );
    command.env(
        "CLOUD",
        url(cloud.host().to_string(), cloud.port(), "postgres"),
    );
    finish(&mut command).await
}

/// Rows of one side written to the other, as the scripts did.
async fn carry(office: &Office, from: &str, select: &str, to: &str, table: &str) {
    let line = format!(
        "psql -qAtX -v ON_ERROR_STOP=1 -c \"copy ({select}) to stdout\" \"${from}\" | psql -qX -v ON_ERROR_STOP=1 -c \"copy {table} from stdin\" \"${to}\""
    );
    let (code, out, said) = shell(office, &line).await;
    assert_eq!((code, said.as_str()), (0, ""), "{line}\n{out}");
}

/// The scripts' forward run of these tables: every column that both sides have, and `source`.
async fn forward(office: &Office, tables: &[(&str, &str, &str)]) {
    for (desktop, cloud, skip) in tables {
        let columns = format!(
            "select string_agg(attname, ', ' order by attnum) from pg_attribute where attrelid = '{desktop}'::regclass and attnum > 0 \
             and not attisdropped and attname <> all (array['source', 'created_at', 'updated_at', '{skip}'])"
        );
        let columns = value(&office.desktop, &columns).await;
        let select = format!("select {columns}, 'D' from {desktop}");
        carry(
            office,
            "DESKTOP",
            &select,
            "CLOUD",
            &format!("{cloud}({columns}, source)"),
        )
        .await;
    }
}

const SCRIPTS: &str = "create table _reverse_sync_metadata (table_name varchar(100) primary key, last_sync_timestamp timestamptz not null default '1970-01-01', \
    created_at timestamptz default now(), updated_at timestamptz default now()); \
    insert into _reverse_sync_metadata (table_name, last_sync_timestamp) values ('workdiary', '2099-12-31 23:59:59.999+00'), ('learequest', '2025-11-20 10:00+00')";
const MARKS: &str = "select string_agg(m::text, ';' order by m::text) from ";
const MASTERS: [(&str, &str, &str); 8] = [
    ("orgmaster", "orgmaster", ""),
    ("locmaster", "locmaster", ""),
    ("conmaster", "conmaster", ""),
    ("climaster", "climaster", ""),
    ("mbstaff", "mbstaff", ""),
    ("jobtasks", "jobtasks", "jt_id"),
    ("mbreminder", "reminder", ""),
    ("mbremdetail", "remdetail", ""),
];
const TWICE: [(&str, &str, &str); 2] = [
    ("jobshead", "jobshead", "jctincharge"),
    ("taskchecklist", "taskchecklist", "tc_id"),
];

/// An office whose scripts have been at work for years: the desktop's rows in the cloud, the phones' in both, and all that went wrong.
async fn left_behind(servers: &Binaries) -> Office {
    let office = Office::open(&Plan::powerca(servers, 0.02)).await;
    let (desktop, cloud) = (&office.desktop, &office.cloud);
    exec(desktop, SCRIPTS).await;
    forward(&office, &MASTERS).await;
    forward(&office, &TWICE).await;
    // Phones at work: entries, ticks, a tick on one of two equal items among them.
    exec(cloud, "select demo.phone(7)").await;
    exec(cloud, "select demo.phone_edits(7)").await;
    // A run that overlapped another one: each job and each item twice, the second without its tick.
    forward(&office, &TWICE).await;
    // What the way home fetched: times on the day before, links cut; the marks are beyond all that came later.
    let columns = "wd_id, org_id, con_id, loc_id, staff_id, job_id, task_id, date, timefrom, timeto, minutes, tasknotes, attachment, doc_ref, source";
    let fetched = columns
        .replace("timefrom, timeto", "date - 1 + timefrom, date - 1 + timeto")
        .replace("doc_ref", "left(doc_ref, 15)");
    let fetch = format!("select {fetched} from workdiary where wd_id % 2 = 0");
    carry(
        &office,
        "CLOUD",
        &fetch,
        "DESKTOP",
        &format!("workdiary({columns})"),
    )
    .await;
    let leaves = "org_id, con_id, loc_id, learequest_id, requestdate, fromdate, todate, leavetype, leaveremarks, createdby, createddate, approval_status, source";
    let fetch = format!("select {leaves} from learequest order by learequest_id limit 8");
    carry(
        &office,
        "CLOUD",
        &fetch,
        "DESKTOP",
        &format!("learequest({leaves})"),
    )
    .await;
    carry(
        &office,
        "CLOUD",
        &fetch,
        "DESKTOP",
        &format!("learequest({leaves})"),
    )
    .await;
    // Fetched again and again, with and without its id; what was doubled of the office's own; a filtered row's parent.
    exec(desktop, "insert into workdiary select w.* from workdiary w, generate_series(1, 2) where wd_id % 10 = 0; \
        insert into workdiary select (jsonb_populate_record(w, '{\"wd_id\": null}')).* from workdiary w where wd_id % 14 = 0; \
        insert into mbremdetail select * from mbremdetail").await;
    // Echoes in the cloud, one of them of an entry that its phone changed afterwards; both fetched again.
    let echo = "with sent as (insert into workdiary (org_id, con_id, loc_id, staff_id, job_id, task_id, date, timefrom, minutes, tasknotes, source) \
        select org_id, con_id, loc_id, staff_id, job_id, task_id, date, timefrom, minutes, tasknotes, 'D' from workdiary where source = 'M' and wd_id % 12 = 0 returning wd_id) \
        select string_agg(wd_id::text, ', ') from sent";
    let echoes = cloud
        .client
        .query_one(echo, &[])
        .await
        .unwrap()
        .get::<_, String>(0);
    let fetch = format!("select {fetched} from workdiary where wd_id in ({echoes})");
    carry(
        &office,
        "CLOUD",
        &fetch,
        "DESKTOP",
        &format!("workdiary({columns})"),
    )
    .await;
    exec(cloud, "update workdiary set minutes = 7 where wd_id = (select min(wd_id) from workdiary where source = 'M' and wd_id % 12 = 0)").await;
    // An old app's entries; the fixture has one without a source. Deleted on a phone after it was fetched. A ghost.
    exec(cloud, "insert into workdiary (org_id, loc_id, staff_id, job_id, date, minutes, tasknotes) values (1, 1, 1, 1002, '2025-10-31', 45, 'an app of last year'); \
        delete from workdiary where wd_id = (select max(wd_id) from workdiary where source = 'M' and wd_id % 2 = 0 and wd_id % 12 <> 0); \
        insert into climaster (org_id, loc_id, client_id, clientname, source) values (1, 1, 888888, 'left in 2024', 'D'); \
        insert into jobtasks (org_id, con_id, loc_id, job_id, year_id, task_id, task_desc, source) values (1, 1, 1, 99991, 20252026, 1, 'by phone', 'M')").await;
    exec(desktop, "insert into app.task select org_id, year_id, 99991, 1, con_id, loc_id, seq, 'by desktop', hours, spent, spent_minutes, checklist from app.task where org_id = 1 limit 1; \
        select demo.dirty()").await;
    office
}

/// The phones' work diary as people see it.
const DIARY: &str = "select string_agg(concat_ws('|', wd_id, staff_id, job_id, task_id, date, minutes, tasknotes), E'\\n' order by wd_id) from workdiary where source = 'M'";
const TICKED: &str = "select string_agg(distinct concat_ws('|', task_id, job_id, checklistdesc), E'\\n') from taskchecklist where checkliststatus = 1 and source";

/// What an office is made of apart from rows.
const FITTINGS: &str = "select (select string_agg(relname || relreplident::text, ',' order by relname) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r') \
    || (select count(*) from pg_publication) || (select count(*) from pg_replication_slots) || (select count(*) from pg_trigger) || (select count(*) from pg_namespace where nspname = 'tandem')";

/// All rows of a side's tables.
async fn all_rows(office: &Office) -> Vec<String> {
    let mut rows = Vec::new();
    for side in [&office.desktop, &office.cloud] {
        for (desktop, cloud, _) in MASTERS.iter().chain(&TWICE).chain(&[
            ("workdiary", "workdiary", ""),
            ("learequest", "learequest", ""),
        ]) {
            let name = match value(
                side,
                &format!("select to_regclass('public.{cloud}') is null"),
            )
            .await
            .as_str()
            {
                "true" => desktop,
                _ => cloud,
            };
            rows.push(
                value(
                    side,
                    &format!(
                        "select md5(string_agg(t::text, ';' order by t::text)) from {name} as t"
                    ),
                )
                .await,
            );
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_u09_u18_the_moving_guide_leads_from_the_scripts_to_tandem_and_back_without_losing_a_phones_row()
 {
    let Some(servers) = with_clients() else {
        return println!("skipped: no server here has pg_dump and psql beside it");
    };
    let office = left_behind(&servers).await;
    let (desktop, cloud) = (&office.desktop, &office.cloud);
    let fittings = (value(desktop, FITTINGS).await, value(cloud, FITTINGS).await);
    let metadata = format!("{MARKS} _sync_metadata m");
    let marks = (
        value(cloud, &metadata).await,
        value(desktop, &format!("{MARKS} _reverse_sync_metadata m")).await,
    );
    let diary = value(cloud, DIARY).await;
    let ticked = value(cloud, &format!("{TICKED} is not null")).await;
    assert!(
        diary.lines().count() > 190 && ticked.lines().count() > 20,
        "{ticked}"
    );
    let gone = value(
        desktop,
        "select string_agg(distinct wd_id::text, ', ') from workdiary where wd_id is not null",
    )
    .await;
    let gone = value(cloud, &format!("select string_agg(v::text, ', ') from unnest(array[{gone}]) v where not exists (select from workdiary where wd_id = v)")).await;
    assert_eq!(gone.split(", ").count(), 1, "the phone deleted it: {gone}");
    let kept_ids = "select md5(string_agg(concat(jt_id, job_id, task_id, xmin), ';' order by jt_id)) from jobtasks where source = 'M'";
    let ids = value(cloud, kept_ids).await;

    let said = follow(&office, "1. Look").await;
    assert!(said.contains("only the cloud has"), "{said}");
    follow(&office, "2. Stop").await;
    for dump in ["desktop-before.dump", "cloud-before.dump"] {
        assert!(std::fs::metadata(office.folder.join(dump)).unwrap().len() > 10_000);
    }
    follow(&office, "3. Clear").await;
    // Nothing is lost by it: what isn't in its table any more was set aside. The old app's are the phones', and the doubtful one is marked.
    assert_eq!(
        value(
            cloud,
            "select count(*) from before_tandem.given where perhaps_an_echo"
        )
        .await,
        "1"
    );
    assert_eq!(
        value(
            cloud,
            "select count(*) from before_tandem.given where not perhaps_an_echo"
        )
        .await,
        "2"
    );
    assert_eq!(
        value(
            cloud,
            "select count(*) from workdiary where source is distinct from 'M'"
        )
        .await,
        "0"
    );
    let after = value(cloud, DIARY).await;
    for line in diary.lines() {
        assert!(after.contains(line), "{line}");
    }
    let said = follow(&office, "4. Set up").await;
    assert!(said.contains("rows that only the cloud has stay"), "{said}");
    follow(&office, "5. Say yes").await;
    assert_eq!(
        value(
            cloud,
            "select count(*) from climaster where client_id = 888888"
        )
        .await,
        "0"
    );
    for table in ["jobshead", "taskchecklist"] {
        let count = format!("select count(*) from {table}");
        assert_eq!(
            value(cloud, &count).await,
            value(desktop, &count).await,
            "{table}"
        );
    }
    let mut service = office.run();
    follow(&office, "6. Run").await;
    office.caught_up(&mut service).await;
    let said = follow(&office, "7. Compare").await;
    assert!(
        said.contains(&gone),
        "what the phone deleted is named: {said}"
    );

    // Each entry of the phones is here once and whole; no tick is lost; their own marks and rows of others are as they were.
    let there = value(desktop, &format!("select string_agg(v, E'\\n') from unnest(string_to_array(({DIARY}), E'\\n')) as v where split_part(v, '|', 1) <> '{gone}'")).await;
    assert_eq!(value(cloud, DIARY).await, after);
    assert_eq!(there, after);
    let times = "select md5(string_agg(concat(wd_id, timefrom::time, timeto::time, left(doc_ref, 15)), ';' order by wd_id)) from workdiary where source = 'M' and wd_id <> ";
    assert_eq!(
        value(desktop, &format!("{times}{gone}")).await,
        value(cloud, &format!("{times}{gone}")).await
    );
    assert_eq!(
        value(
            desktop,
            &format!(
                "select count(*) from workdiary where timefrom::date <> date and wd_id <> {gone}"
            )
        )
        .await,
        "0"
    );
    assert_eq!(value(cloud, &format!("{TICKED} is not null")).await, ticked);
    assert_eq!(
        value(desktop, &format!("{TICKED} is not null")).await,
        ticked
    );
    assert_eq!(value(cloud, kept_ids).await, ids);
    assert_eq!(
        (
            value(cloud, &metadata).await,
            value(desktop, &format!("{MARKS} _reverse_sync_metadata m")).await
        ),
        marks
    );
    let leaves = "select string_agg(learequest_id::text, ',' order by learequest_id) from learequest where source = 'M'";
    assert_eq!(value(desktop, leaves).await, value(cloud, leaves).await);

    // And back: first what wants the service, then the rest.
    let back = blocks("The way back");
    assert_eq!(back.len(), 4);
    let said = carry_out(&office, &back[..1]).await;
    assert!(said.contains("jobtasks"), "what waits is named: {said}");
    assert_eq!(service.stop().await, 0);
    let rows = all_rows(&office).await;
    carry_out(&office, &back[1..]).await;
    assert_eq!(all_rows(&office).await, rows, "uninstall leaves every row");
    assert_eq!(
        (value(desktop, FITTINGS).await, value(cloud, FITTINGS).await),
        fittings
    );
    // The scripts begin anew, and their way home, which goes by the key, finds nothing that the desktop lacks.
    for (side, table) in [
        (cloud, "_sync_metadata"),
        (desktop, "_reverse_sync_metadata"),
    ] {
        let marks = format!("select max(last_sync_timestamp) = '1970-01-01 00:00+00' from {table}");
        assert_eq!(value(side, &marks).await, "true", "{table}");
    }
    assert_eq!(
        value(desktop, &format!("select string_agg(distinct wd_id::text, ',' order by wd_id::text) from workdiary where wd_id <> {gone}")).await,
        value(cloud, "select string_agg(wd_id::text, ',' order by wd_id::text) from workdiary").await
    );
}
