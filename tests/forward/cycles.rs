//! What can be equal becomes equal, whatever the order of statements that made it (P18): rows that refer to each other in
//! a circle, and unique values that are exchanged, on every road and in both directions.

use crate::support::office::{Office, exec, until, value};
use crate::support::servers::newest;

const RETRY: &str = "select pg_logical_emit_message(true, 'tandem.retry', '')";

async fn office(settings: &str, desktop: &str, cloud: &str) -> Office {
    let settings = format!("[heartbeat]\nevery = \"200ms\"\n{settings}");
    Office::with_tables(&newest(), &settings, desktop, cloud).await
}

/// What is parked, table by table.
async fn parked(office: &Office) -> String {
    let sql = "select coalesce(string_agg(said, '; ' order by said), '') from (select \"table\" || ' ' || \
        string_agg(key[1], ',' order by key[1]::int) as said from tandem.quarantine group by \"table\") as tables";
    value(&office.cloud, sql).await
}

/// Asks for a try, and waits until nothing is parked any more.
async fn all_heal(office: &Office) {
    exec(&office.desktop, RETRY).await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
}

/// The same tables several times, each in a schema of its own with other constraints in the cloud.
struct Many {
    office: Office,
    schemas: Vec<String>,
}

impl Many {
    /// `variants`: what the desktop and the cloud have in each schema.
    /// Each of the `tables` has `more` settings.
    async fn open(
        settings: &str,
        (tables, more): (&[&str], &str),
        variants: &[(String, String)],
    ) -> Many {
        let (mut desktop, mut cloud, mut settings) =
            (String::new(), String::new(), settings.to_owned());
        let mut schemas = Vec::new();
        for (at, (ours, theirs)) in variants.iter().enumerate() {
            let schema = format!("v{at}");
            for (all, ddl) in [(&mut desktop, ours), (&mut cloud, theirs)] {
                all.push_str(&format!(
                    "create schema {schema}; set search_path = {schema}; {ddl}; "
                ));
            }
            for table in tables {
                settings.push_str(&format!(
                    "[[table]]\nname = \"{schema}.{table}\"\nmax_shrink = 1\n{more}"
                ));
            }
            schemas.push(schema);
        }
        desktop.push_str("reset search_path");
        cloud.push_str("reset search_path");
        let office = office(&settings, &desktop, &cloud).await;
        Many { office, schemas }
    }

    async fn on_desktop(&self, sql: &str) {
        for schema in &self.schemas {
            exec(
                &self.office.desktop,
                &format!("set search_path = {schema}; {sql}; reset search_path"),
            )
            .await;
        }
    }

    async fn in_cloud(&self, sql: &str) {
        for schema in &self.schemas {
            exec(
                &self.office.cloud,
                &format!("set search_path = {schema}; {sql}; reset search_path"),
            )
            .await;
        }
    }

    /// All in one transaction, so many rows that it is not kept in memory: `ballast` is said once.
    async fn at_once(&self, sql: &str, ballast: &str) {
        let each = { self.schemas.iter() }
            .map(|schema| format!("set local search_path = {schema}; {sql}; "));
        let each: String = each.collect();
        exec(
            &self.office.desktop,
            &format!("begin; {each}{ballast}; commit"),
        )
        .await;
    }

    /// What each schema's tables say in the cloud.
    async fn say(&self, sql: &str) -> Vec<String> {
        let mut said = Vec::new();
        for schema in &self.schemas {
            exec(&self.office.cloud, &format!("set search_path = {schema}")).await;
            said.push(value(&self.office.cloud, sql).await);
            exec(&self.office.cloud, "reset search_path").await;
        }
        said
    }

    /// The same is parked of each schema: `said` has `*` for its name.
    async fn assert_parked(&self, said: &[&str]) {
        let of = |schema: &String| {
            { said.iter() }
                .map(|said| said.replace('*', schema))
                .collect::<Vec<_>>()
        };
        let all: Vec<_> = self.schemas.iter().flat_map(of).collect();
        assert_eq!(parked(&self.office).await, all.join("; "));
    }
}

/// Departments and their people: each department has a boss, each of its people a department, some of them a mentor. How
/// the cloud's foreign keys are declared, and whether a department needs a boss, and one of its people a department.
const FIRMS: [(&str, &str, &str); 5] = [
    ("", "", ""),
    ("", "", "not null"),
    ("", "not null", ""),
    ("deferrable initially deferred", "not null", "not null"),
    ("deferrable", "not null", "not null"),
];

async fn firms(settings: &str) -> Many {
    let firms = FIRMS.map(|(how, boss, dept)| {
        let ddl = format!(
            "create table dept (id int primary key, name text, boss int {boss}); \
             create table emp (id int primary key, name text, dept int {dept}, mentor int); \
             create table badge (id int primary key, emp int not null); create table ballast (id int primary key, words text)"
        );
        let cloud = format!(
            "{ddl}; alter table dept add constraint led foreign key (boss) references emp {how}; \
             alter table emp add constraint placed foreign key (dept) references dept {how}, add constraint taught foreign key (mentor) references emp {how}, \
                add constraint sane check (name <> 'bad'); \
             alter table badge add constraint worn foreign key (emp) references emp"
        );
        (ddl, cloud)
    });
    // Children stand before parents in the settings.
    Many::open(settings, (&["badge", "emp", "dept", "ballast"], ""), &firms).await
}

const FOUND: &str = "insert into badge select i, i from generate_series(1, 40) i; \
    insert into dept select i, 'd' || i, 10 * i from generate_series(1, 4) i; \
    insert into emp select i, 'e' || i, 1 + (i - 1) / 10, 1 + i % 40 from generate_series(1, 40) i";

/// The same, but the boss of department 2 is bad, and so are, by it, the department, all its people, and whom they teach.
const FOUND_BADLY: &str = "insert into badge select i, i from generate_series(1, 40) i; \
    insert into dept select i, 'd' || i, 10 * i from generate_series(1, 4) i; \
    insert into emp select i, case i when 20 then 'bad' else 'e' || i end, 1 + (i - 1) / 10, case i when 35 then 15 end from generate_series(1, 40) i";

const BAD: [&str; 3] = [
    "*.badge 11,12,13,14,15,16,17,18,19,20,35",
    "*.dept 2",
    "*.emp 11,12,13,14,15,16,17,18,19,20,35",
];

#[tokio::test(flavor = "multi_thread")]
async fn p18_departments_and_their_bosses_arrive_change_and_go_together() {
    let firms = firms("").await;
    let office = &firms.office;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    firms.on_desktop(&format!("begin; {FOUND}; commit")).await;
    office.caught_up(&mut service).await;
    firms.assert_parked(&[]).await;
    office.assert_equal().await;
    let stays = "select xmin::text from dept where id = 4";
    let before = firms.say(stays).await;
    // A new department takes a boss from another one, whose department goes with all that are left there.
    firms.on_desktop("begin; update emp set mentor = null; insert into dept values (5, 'new', 50); insert into emp values (50, 'e50', 5, 10); \
        update emp set dept = 5 where id = 10; delete from badge where emp < 10; delete from dept where id = 1; delete from emp where dept = 1; commit").await;
    office.caught_up(&mut service).await;
    firms.assert_parked(&[]).await;
    office.assert_equal().await;
    firms.on_desktop("begin; delete from badge; delete from emp where dept = 2; delete from dept where id = 2; commit").await;
    office.caught_up(&mut service).await;
    firms.assert_parked(&[]).await;
    assert_eq!(firms.say(stays).await, before, "no change, no write");
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_p8_a_bad_row_in_a_circle_keeps_only_what_depends_on_it() {
    let firms = firms("").await;
    let office = &firms.office;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    firms
        .on_desktop(&format!("begin; {FOUND_BADLY}; commit"))
        .await;
    office.caught_up(&mut service).await;
    firms.assert_parked(&BAD).await;
    firms.in_cloud("alter table emp drop constraint sane").await;
    all_heal(office).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_a_first_copy_brings_circles_whole_and_parks_only_what_is_bad() {
    let firms = firms("").await;
    let office = &firms.office;
    firms
        .on_desktop(&format!("begin; {FOUND_BADLY}; commit"))
        .await;
    exec(&office.desktop, "update v0.emp set name = 'good' where id = 20; update v3.emp set name = 'good' where id = 20").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let bad = ["v1", "v2", "v4"].map(|schema| BAD.map(|said| said.replace('*', schema)));
    assert_eq!(parked(office).await, bad.as_flattened().join("; "));
    firms.in_cloud("alter table emp drop constraint sane").await;
    all_heal(office).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// Places with a number that is nobody else's, and how the cloud sees to that.
const PLACES: [(&str, &str); 4] = [
    ("int", "unique"),
    ("int not null", "unique deferrable"),
    ("int not null", "unique deferrable initially deferred"),
    ("int not null", "unique"),
];

async fn places(settings: &str) -> Many {
    let places = PLACES.map(|(pos, how)| {
        let desktop = format!("create table u (id int primary key, pos {pos}, name text)");
        let cloud = format!(
            "create table u (id int primary key, pos {pos} constraint one {how}, name text constraint sane check (name <> 'bad'), source char(1) default 'D'); \
             insert into u values (1000, 1000, 'phone', 'M')"
        );
        (desktop, cloud)
    });
    Many::open(settings, (&["u"], ""), &places).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_a_permutation_of_unique_values_arrives_and_nobody_elses_row_is_touched() {
    let places = places("").await;
    let office = &places.office;
    places
        .on_desktop("insert into u select i, i, 'n' || i from generate_series(1, 51) i")
        .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let others =
        "select string_agg(xmin::text || id, ',' order by id) from u where id in (26, 1000)";
    let before = places.say(others).await;
    // Nobody's place but that of the one in the middle stays.
    places.on_desktop("update u set pos = 52 - pos").await;
    office.caught_up(&mut service).await;
    places.assert_parked(&[]).await;
    assert_eq!(places.say(others).await, before, "no change, no write");
    office.assert_equal().await;
    // In a ring, with a new one in it and an old one out of it.
    places.on_desktop("begin; delete from u where pos = 51; update u set pos = pos + 1; insert into u values (60, 1, 'new'); commit").await;
    office.caught_up(&mut service).await;
    places.assert_parked(&[]).await;
    office.assert_equal().await;
    // One of them is bad: it stays where it was, and so does who would take its place.
    places.on_desktop("begin; update u set pos = 100, name = 'bad' where pos = 20; update u set pos = 20 where pos = 21; update u set pos = 200 - pos where pos between 30 and 50; commit").await;
    office.caught_up(&mut service).await;
    places.assert_parked(&["*.u 32,33"]).await;
    places.in_cloud("alter table u drop constraint sane").await;
    all_heal(office).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_a_transaction_larger_than_memory_brings_circles_and_permutations() {
    const SMALL: &str = "[forward]\nmemory_max = \"8MB\"\n";
    let firms = firms(SMALL).await;
    let office = &firms.office;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // In a table of its own: rows beside bad ones are tried one by one, and that has an end (P8).
    let ballast =
        "insert into v1.ballast select i, repeat('b', 1000) from generate_series(1001, 10000) i";
    firms.at_once(FOUND_BADLY, ballast).await;
    office.caught_up(&mut service).await;
    firms.assert_parked(&BAD).await;
    firms.in_cloud("alter table emp drop constraint sane").await;
    all_heal(office).await;
    office.assert_equal().await;
    firms.at_once("delete from badge where emp < 21; update emp set mentor = null; delete from emp where id < 21; delete from dept where id < 3", &ballast.replace("1001, 10000", "50001, 60000")).await;
    office.caught_up(&mut service).await;
    firms.assert_parked(&[]).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
    let places = places(SMALL).await;
    let office = &places.office;
    places
        .on_desktop("insert into u select i, i, 'n' || i from generate_series(1, 51) i")
        .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let ballast =
        "insert into v0.u select i, i, repeat('b', 300) from generate_series(1001, 40000) i";
    let ballast = ballast.replace("1001", "2001");
    places
        .at_once("update u set pos = 52 - pos", &ballast)
        .await;
    office.caught_up(&mut service).await;
    places.assert_parked(&[]).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_swaps_and_repairs_bring_back_what_somebody_took_or_mixed_up() {
    let firms = firms("").await;
    let office = &firms.office;
    firms.on_desktop(FOUND).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    firms.in_cloud("truncate badge, emp, dept").await;
    let (code, out, said) = office.ask(&["repair", "--apply"]).await;
    assert_ne!(code, 2, "{out} {said}");
    until(&office.cloud, "select count(*) = 40 from v0.badge").await;
    all_heal(office).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
    let places = places("").await;
    let office = &places.office;
    places
        .on_desktop("insert into u select i, i, 'n' || i from generate_series(1, 51) i")
        .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    places
        .in_cloud(
            "alter table u drop constraint one; update u set pos = 52 - pos where source = 'D'",
        )
        .await;
    for (schema, (_, how)) in places.schemas.iter().zip(PLACES) {
        let how = how.replacen("unique", "unique (pos)", 1);
        exec(
            &office.cloud,
            &format!("alter table {schema}.u add constraint one {how}"),
        )
        .await;
    }
    let (code, out, said) = office.ask(&["swap", "v0.u", "v1.u", "v2.u", "v3.u"]).await;
    assert_eq!(code, 0, "{out} {said}");
    places.assert_parked(&[]).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// Organizations and their accounts, with addresses that nobody else has: both are referred to, so that no row of them can
/// go and come again.
fn addresses() -> (String, String) {
    let desktop = "create table org (id int primary key, slug text not null, boss int); \
        create table acc (id int primary key, org int not null, email text not null)";
    let cloud = format!(
        "{desktop}; alter table org add constraint named unique (slug); \
         alter table acc add constraint reached unique (email), add constraint sane check (email <> 'bad'); \
         alter table acc add constraint placed foreign key (org) references org; \
         alter table org add constraint led foreign key (boss) references acc"
    );
    (desktop.to_owned(), cloud)
}

/// What is refused for another reason in the same batch must not keep an exchange of unique values from arriving as it was made.
#[tokio::test(flavor = "multi_thread")]
async fn p18_an_exchange_arrives_whatever_else_its_transaction_brings() {
    let many = Many::open("", (&["org", "acc"], ""), &[addresses()]).await;
    let office = &many.office;
    many.on_desktop("insert into org values (1, 'one', 1); insert into acc select i, 1, 'a' || i from generate_series(1, 6) i").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let circle = |id: i32| {
        format!(
            "insert into org values ({id}, 'new {id}', {id}); insert into acc values ({id}, {id}, 'boss {id}')"
        )
    };
    let exchange = "update acc set email = 'away' where id = 1; update acc set email = 'a1' where id = 2; update acc set email = 'a2' where id = 1";
    let bad = |id: i32| format!("insert into acc values ({id}, 1, 'bad')");
    // Beside a new circle, which takes trying row by row.
    many.on_desktop(&format!("begin; {}; {exchange}; commit", circle(10)))
        .await;
    office.caught_up(&mut service).await;
    many.assert_parked(&[]).await;
    office.assert_equal().await;
    // Beside a row that the cloud refuses.
    let back = exchange.replace("'a1'", "'a0'").replace("'a2'", "'a1'");
    let back = back.replace("'a0'", "'a2'");
    many.on_desktop(&format!("begin; {}; {back}; commit", bad(20)))
        .await;
    office.caught_up(&mut service).await;
    many.assert_parked(&["*.acc 20"]).await;
    let emails = "select string_agg(email, ',' order by id) from acc where id < 7";
    assert_eq!(many.say(emails).await, ["a1,a2,a3,a4,a5,a6"]);
    // Both, and the organizations exchange their names too.
    many.on_desktop(&format!(
        "begin; {}; {}; {exchange}; update org set slug = 'away' where id = 1; update org set slug = 'one' where id = 10; \
         update org set slug = 'new 10' where id = 1; commit",
        circle(11),
        bad(21),
    ))
    .await;
    office.caught_up(&mut service).await;
    many.assert_parked(&["*.acc 20,21"]).await;
    assert_eq!(many.say(emails).await, ["a2,a1,a3,a4,a5,a6"]);
    // An address that is somebody's until later in the same transaction, and given up again: the last word stands.
    many.on_desktop(&format!(
        "begin; {}; update acc set email = 'a4' where id = 3; update acc set email = 'c' where id = 4; update acc set email = 'd' where id = 3; \
         update acc set email = 'a6' where id = 5; delete from acc where id = 6; delete from acc where id = 5; insert into acc values (5, 1, 'e'); commit",
        circle(12),
    ))
    .await;
    office.caught_up(&mut service).await;
    many.assert_parked(&["*.acc 20,21"]).await;
    assert_eq!(many.say(emails).await, ["a2,a1,d,c,e"]);
    many.in_cloud("alter table acc drop constraint sane").await;
    exec(
        &office.desktop,
        "update v0.acc set email = 'good' where id = 20",
    )
    .await;
    all_heal(office).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_p4_a_row_that_must_not_go_and_come_again_waits_and_says_why() {
    let ddl = "create table u (id int primary key, pos int not null)";
    let rooted = [
        (
            "create table u (id int primary key, pos int not null unique, note text)",
            "its note doesn't come from the other side",
        ),
        (
            "create table u (id int primary key, pos int not null unique); create table pin (u int references u on delete cascade)",
            "rows of v1.pin may refer to it",
        ),
        (
            "create table u (id int primary key, pos int not null unique); create function log() returns trigger language plpgsql as 'begin return null; end'; \
            create trigger log after delete on u for each row execute function log()",
            "triggers or rules of the table would run for it",
        ),
    ];
    let variants = rooted.map(|(cloud, _)| (ddl.to_owned(), cloud.to_owned()));
    let many = Many::open("", (&["u"], ""), &variants).await;
    let office = &many.office;
    many.on_desktop("insert into u values (1, 1), (2, 2), (3, 3)")
        .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "update v0.u set note = 'theirs'; insert into v1.pin values (1), (2)",
    )
    .await;
    let versions = "select string_agg(xmin::text || pos, ',' order by id) from u";
    let before = many.say(versions).await;
    many.on_desktop("update u set pos = 3 - pos where id < 3")
        .await;
    office.caught_up(&mut service).await;
    many.assert_parked(&["*.u 1,2"]).await;
    assert_eq!(many.say(versions).await, before);
    for (at, (_, why)) in rooted.iter().enumerate() {
        let says = format!(
            "select bool_and(why like '%can''t go and come again, since {}') from tandem.quarantine where \"table\" = 'v{at}.u'",
            why.replace('\'', "''")
        );
        assert_eq!(
            value(&office.cloud, &says).await,
            "true",
            "{}",
            value(
                &office.cloud,
                "select string_agg(why, ';') from tandem.quarantine"
            )
            .await
        );
    }
    many.on_desktop("update u set pos = 7 where id = 1").await;
    all_heal(office).await;
    office.assert_equal().await;
    assert_eq!(
        value(&office.cloud, "select count(*) from v1.pin").await,
        "2"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_what_phones_exchange_comes_home() {
    let places = PLACES.map(|(pos, how)| {
        let cloud = "create table u (id int primary key, pos int, name text, source char(1) default 'D')";
        let desktop = format!(
            "create table u (id int primary key, pos {pos} constraint one {how}, name text constraint sane check (name <> 'bad'), source char(1)); \
             insert into u values (1, 1000, 'desk', 'D')"
        );
        (desktop, cloud.to_owned())
    });
    let places = Many::open(
        "[reverse]\nevery = \"100ms\"\n",
        (&["u"], "flow = \"both\"\n"),
        &places,
    )
    .await;
    let office = &places.office;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let equal = |schema: &str, but: &str| {
        format!(
            "(select coalesce(string_agg(id || ' ' || pos || name || source, ',' order by id), '') from {schema}.u where id not in ({but}))"
        )
    };
    let same = async |but: &str| {
        for schema in &places.schemas {
            let wanted = value(&office.cloud, &format!("select {}", equal(schema, but))).await;
            until(
                &office.desktop,
                &format!("select {} = '{wanted}'", equal(schema, but)),
            )
            .await;
        }
    };
    places
        .in_cloud("insert into u select i, i, 'p' || i, 'M' from generate_series(11, 30) i")
        .await;
    same("0").await;
    let desk = "select string_agg(xmin::text, ',') from (select xmin from v0.u where id = 1 union all select xmin from v3.u where id = 1) as of_desk";
    let before = value(&office.desktop, desk).await;
    places
        .in_cloud("update u set pos = 41 - pos where source = 'M'")
        .await;
    same("0").await;
    assert_eq!(parked(office).await, "");
    // One of a ring is bad: only that one, and who would take its place, waits.
    places.in_cloud("update u set pos = case id when 12 then 200 else pos end, name = case id when 12 then 'bad' else name end where id = 12; \
        update u set pos = 29 where id = 13; update u set pos = 41 - pos where id between 17 and 24").await;
    until(&office.cloud, "select count(*) = 8 from tandem.quarantine").await;
    same("12, 13").await;
    places.assert_parked(&["*.u 12,13"]).await;
    for schema in &places.schemas {
        exec(
            &office.desktop,
            &format!("alter table {schema}.u drop constraint sane"),
        )
        .await;
    }
    let (code, out, said) = office.ask(&["quarantine", "retry"]).await;
    assert_ne!(code, 2, "{out} {said}");
    same("0").await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    assert_eq!(value(&office.desktop, desk).await, before);
    // What came home is no change of the desktop's.
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}
