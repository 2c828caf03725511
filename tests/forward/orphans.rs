//! Rows whose parents aren't there (`orphans`): they come without them or wait, and get them when they come.

use crate::support::office::{Office, exec, until, value};
use crate::support::servers::newest;

/// A third of it may stay in memory: 30,000 rows are a large transaction.
const SMALL: &str = "[forward]\nmemory_max = \"8MB\"\n";
const ON_DESKTOP: &str = "create table parent (id int primary key, note text); \
    create table area (country text, region text, name text, primary key (country, region)); \
    create table child (id int primary key, parent_id int, country text, region text, note text)";
const IN_CLOUD: &str = "create table parent (id int primary key, note text); \
    create table area (country text, region text, name text, primary key (country, region)); \
    create table child (id int primary key, parent_id int references parent, country text, region text, note text, \
        foreign key (country, region) references area, constraint sane check (parent_id <> 66))";
const ROWS: &str = "select coalesce(string_agg(concat_ws(' ', id, coalesce(parent_id::text, '-'), country, coalesce(region, '-'), note), '; ' order by id), '') from child";
const NONE: &str = "select count(*) = 0 from tandem.orphan";

async fn office(orphans: &str) -> Office {
    let settings = format!(
        "{SMALL}[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"child\"\nmax_shrink = 1\norphans = \"{orphans}\"\n\
         [[table]]\nname = \"parent\"\nmax_shrink = 1\n[[table]]\nname = \"area\"\nmax_shrink = 1\n"
    );
    Office::with_tables(&newest(), &settings, ON_DESKTOP, IN_CLOUD).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_gets_its_parent_when_it_comes_whichever_way_both_went() {
    let office = office("null").await;
    exec(
        &office.desktop,
        "insert into child values (1, 7, null, null, 'a'), (2, null, 'at', 'tirol', 'b')",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // What is left of a reference of several columns says as much as it may.
    assert_eq!(value(&office.cloud, ROWS).await, "1 - - a; 2 - at - b");
    exec(
        &office.desktop,
        "insert into child values (3, 8, 'at', 'wien', 'c'); update child set parent_id = 9 where id = 2",
    )
    .await;
    exec(
        &office.desktop,
        "insert into child select i, 10 + i % 3, 'at', 'graz', 'many' from generate_series(1001, 31000) i",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from child where parent_id is null and (region is null)"
        )
        .await,
        "30003"
    );
    assert_eq!(service.stop().await, 0);
    let mut service = office.run();
    // Alone, several in one transaction, and as a part of one that is larger than memory.
    exec(&office.desktop, "insert into parent values (7)").await;
    exec(
        &office.desktop,
        "insert into area values ('at', 'tirol'), ('at', 'wien'), ('at', 'graz')",
    )
    .await;
    exec(
        &office.desktop,
        "insert into parent select i, repeat('x', 40) from generate_series(8, 30000) i where i not in (66)",
    )
    .await;
    office.caught_up(&mut service).await;
    until(&office.cloud, NONE).await;
    assert_eq!(
        value(
            &office.cloud,
            &ROWS.replace("child", "child where id < 1000")
        )
        .await,
        "1 7 - a; 2 9 at tirol b; 3 8 at wien c"
    );
    office.assert_equal().await;
    assert_eq!(value(&office.cloud, NONE).await, "true");
    // A table that was emptied, and one that is copied.
    exec(
        &office.desktop,
        "begin; truncate child; insert into child values (1, 40000, 'at', 'linz', 'a'); commit",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, ROWS).await, "1 - at - a");
    let (code, out, said) = office.ask(&["bootstrap", "--table", "child"]).await;
    assert_eq!(code, 0, "{out} {said}");
    exec(
        &office.desktop,
        "insert into parent values (40000); insert into area values ('at', 'linz')",
    )
    .await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(value(&office.cloud, NONE).await, "true");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_row_says_by_then_is_what_it_gets() {
    let office = office("null").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into parent values (1); insert into child select i, 100 + i, null, null, 'x' from generate_series(1, 8) i").await;
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "update child set parent_id = null where id = 1; update child set parent_id = 1 where id = 2; \
         delete from child where id = 3; insert into child values (3, null, null, null, 'again'); \
         update child set id = 40 where id = 4; update child set note = 'y' where id = 5; delete from child where id = 6; \
         update child set parent_id = 66 where id = 7",
    )
    .await;
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into parent values (66)").await;
    exec(
        &office.desktop,
        "insert into parent select 100 + i, 'new' from generate_series(1, 8) i",
    )
    .await;
    office.caught_up(&mut service).await;
    // One that the cloud refuses with its parent keeps nobody else, and waits.
    let healed = "1 - - x; 2 1 - x; 3 - - again; 5 105 - y; 7 - - x; 8 108 - x; 40 104 - x";
    assert_eq!(value(&office.cloud, ROWS).await, healed);
    assert_eq!(
        value(&office.cloud, "select count(*) from tandem.orphan").await,
        "1"
    );
    exec(&office.cloud, "alter table child drop constraint sane").await;
    exec(&office.desktop, "insert into parent values (200)").await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(value(&office.cloud, NONE).await, "true");
    // A parent that somebody else makes in the cloud is found, too.
    exec(
        &office.desktop,
        "update child set parent_id = 300 where id = 1",
    )
    .await;
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into parent values (300)").await;
    assert_eq!(service.stop().await, 0);
    let service = office.run();
    until(
        &office.cloud,
        "select parent_id = 300 from child where id = 1",
    )
    .await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_of_a_reference_of_several_columns_waits_and_heals() {
    let office = office("quarantine").await;
    exec(
        &office.desktop,
        "insert into child values (1, null, 'at', 'tirol', 'a')",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into child values (2, null, 'at', 'wien', 'b'), (3, null, 'at', null, 'nobody'), (4, null, 'at', 'wien', 'c')").await;
    office.caught_up(&mut service).await;
    until(&office.cloud, "select count(*) = 3 from tandem.quarantine").await;
    assert_eq!(value(&office.cloud, ROWS).await, "3 - at - nobody");
    // One that doesn't refer to anybody any more, and those whose parents come.
    exec(&office.desktop, "update child set country = null where id = 4; insert into area values ('at', 'wien'), ('at', 'tirol')").await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_of_which_all_or_no_columns_are_null_comes_without_any() {
    let settings = "[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"child\"\norphans = \"null\"\n[[table]]\nname = \"area\"\n";
    let desktop = "create table area (country text, region text, primary key (country, region)); \
        create table child (id int primary key, country text, region text)";
    let cloud = "create table area (country text, region text, primary key (country, region)); \
        create table child (id int primary key, country text, region text, foreign key (country, region) references area match full)";
    let office = Office::with_tables(&newest(), settings, desktop, cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into child values (1, 'at', 'tirol'), (2, null, null)",
    )
    .await;
    office.caught_up(&mut service).await;
    let rows =
        "select string_agg(concat_ws(' ', id, country, region), '; ' order by id) from child";
    assert_eq!(value(&office.cloud, rows).await, "1; 2");
    exec(&office.desktop, "insert into area values ('at', 'tirol')").await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, rows).await, "1 at tirol; 2");
    assert_eq!(value(&office.cloud, NONE).await, "true");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_parent_that_the_cloud_asks_for_is_missed() {
    let binaries = newest();
    let periods = binaries.version >= 18;
    let settings = "[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"half\"\n[[table]]\nname = \"of_half\"\norphans = \"null\"\n\
        [[table]]\nname = \"told\"\norphans = \"null\"\n[[table]]\nname = \"span\"\n[[table]]\nname = \"within\"\norphans = \"null\"\n";
    let plain = "create table half (id int primary key); create table of_half (id int primary key, half_id int);
        create table told (id int primary key, half_id int); create table span (a int4range, lasts int4range, primary key (a, lasts));
        create table within (id int primary key, a int4range, lasts int4range)";
    let newer = match periods {
        true => {
            "; alter table told add foreign key (half_id) references half not enforced;
             alter table span drop constraint span_pkey, add primary key (a, lasts without overlaps);
             alter table within add foreign key (a, period lasts) references span"
        }
        false => "",
    };
    let cloud = plain.replace(
        "create table half (id int primary key);",
        "create table half (id int primary key) partition by range (id);
         create table lower_half partition of half for values from (0) to (50); create table upper_half partition of half for values from (50) to (100);",
    );
    let cloud =
        format!("{cloud}; alter table of_half add foreign key (half_id) references half{newer}");
    let desktop = format!(
        "{plain}; insert into half select generate_series(1, 98); insert into of_half select i, i from generate_series(1, 99) i;
         insert into told select i, i from generate_series(1, 99) i;
         insert into span values ('[1,2)', '[1,10)'), ('[1,2)', '[10,20)'); insert into within values (1, '[1,2)', '[3,15)'), (2, '[1,2)', '[3,5)')"
    );
    let office = Office::with_tables(&binaries, settings, &desktop, &cloud).await;
    let (_, said, _) = office.ask(&["doctor"]).await;
    assert!(!said.contains("lower_half"), "{said}");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into of_half values (100, 1); insert into told values (100, 1); insert into within values (3, '[1,2)', '[1,20)'), (4, '[7,8)', '[1,2)')",
    )
    .await;
    office.caught_up(&mut service).await;
    // One has no parent in either half.
    let lack = "select string_agg(id::text, ',' order by id) from of_half where half_id is null";
    assert_eq!(value(&office.cloud, lack).await, "99");
    assert_eq!(
        value(
            &office.cloud,
            "select count(half_id) || ' of ' || count(*) from told"
        )
        .await,
        "100 of 100"
    );
    let ranges = "select string_agg(concat_ws(' ', id, a, lasts), '; ' order by id) from within";
    let fourth = if periods { "" } else { "; 4 [7,8) [1,2)" };
    assert_eq!(
        value(&office.cloud, ranges).await,
        format!("1 [1,2) [3,15); 2 [1,2) [3,5); 3 [1,2) [1,20){fourth}")
    );
    exec(&office.desktop, "insert into half values (99)").await;
    office.caught_up(&mut service).await;
    until(
        &office.cloud,
        "select count(*) = 0 from of_half where half_id is null",
    )
    .await;
    assert_eq!(service.stop().await, 0);
}
