//! `init --create-cloud` makes the tables that the cloud lacks: the same structure, without a superuser, between any two versions;
//! and what can't be made is said, and takes nothing else with it.

use std::path::PathBuf;

use crate::support::office::{PATIENCE, connect, exec, finish, tandem, until, value};
use crate::support::servers::{Pair, newest, versions};
use tandem::demo::cluster::{Binaries, ClusterSpec};
use tandem::wire::control::Control;
use tokio::time::timeout;

/// Supabase's users, as far as they matter: ours is no superuser.
const ROLES: &str = "create role postgres login nosuperuser createdb createrole replication bypassrls; create role anon nologin; \
    create role authenticated nologin; create role service_role nologin bypassrls; \
    do $$ begin execute format('grant create, connect, temporary on database %I to postgres', current_database()); end $$; \
    grant usage, create on schema public to postgres; grant usage on schema public to anon, authenticated, service_role; \
    alter default privileges for role postgres in schema public grant all on tables to anon, authenticated, service_role; \
    create schema extensions; grant usage on schema extensions to postgres";

/// Two servers: a desktop's database, and an empty cloud.
struct Two {
    servers: Pair,
    desktop: Control,
    cloud: Control,
    folder: PathBuf,
}

impl Two {
    async fn open(desktop: &Binaries, cloud: &Binaries) -> Two {
        let admin = ClusterSpec {
            superuser: "supabase_admin".into(),
            ..ClusterSpec::default()
        };
        let servers =
            Pair::start_with((desktop, &ClusterSpec::default()), (cloud, &admin)).unwrap();
        let first = connect(&servers.desktop, "postgres", "postgres").await;
        exec(&first, "create database office").await;
        let desktop = connect(&servers.desktop, "postgres", "office").await;
        let cloud = connect(&servers.cloud, "supabase_admin", "postgres").await;
        exec(&cloud, ROLES).await;
        let folder = servers.desktop.socket_dir().join("settings");
        std::fs::create_dir_all(&folder).unwrap();
        Two {
            servers,
            desktop,
            cloud,
            folder,
        }
    }

    async fn newest() -> Two {
        Two::open(&newest(), &newest()).await
    }

    fn file(&self) -> PathBuf {
        self.folder.join("tandem.toml")
    }

    /// `tandem init` with more arguments: exit code, standard output, standard error.
    async fn init(&self, more: &[&str]) -> (i32, String, String) {
        let url = |cluster: &tandem::demo::cluster::Cluster, database: &str| {
            let (host, port) = (cluster.host(), cluster.port());
            format!("postgres://postgres@{host}:{port}/{database}")
        };
        let desktop = url(&self.servers.desktop, "office");
        let cloud = url(&self.servers.cloud, "postgres");
        let mut command = tandem();
        command.args(["init", "--desktop", &desktop, "--cloud", &cloud, "--out"]);
        command.arg(self.file()).args(more);
        finish(&mut command).await
    }

    /// Makes the tables and the settings.
    async fn made(&self, more: &[&str]) -> String {
        let all = [&["--create-cloud", "--yes"], more].concat();
        let (code, said, errors) = self.init(&all).await;
        assert_eq!(code, 0, "{said} {errors}");
        said
    }

    async fn ask(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = tandem();
        command.arg("--config").arg(self.file()).args(arguments);
        finish(&mut command).await
    }

    async fn works(&self, arguments: &[&str]) -> String {
        let (code, said, errors) = self.ask(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {said} {errors}");
        said
    }

    /// Both catalogs say the same of these tables, object by object.
    async fn assert_alike(&self, but: &[&str]) {
        for (what, sql) in CATALOG {
            let mut here = rows(&self.desktop, sql).await;
            let there = rows(&self.cloud, sql).await;
            here.retain(|row| !but.iter().any(|word| row.contains(word)));
            let missing: Vec<_> = here.iter().filter(|row| !there.contains(row)).collect();
            let more: Vec<_> = there.iter().filter(|row| !here.contains(row)).collect();
            assert!(
                missing.is_empty() && more.is_empty() && !here.is_empty(),
                "{what}: missing in the cloud {missing:#?}, only there {more:#?}"
            );
        }
    }
}

async fn rows(side: &Control, sql: &str) -> Vec<String> {
    let script = format!("set search_path = pg_catalog; {sql}");
    let messages = side.client.simple_query(&script).await;
    let messages = messages.unwrap_or_else(|error| panic!("{error:?} in {sql}"));
    let rows = messages.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    exec(side, "reset search_path").await;
    rows
}

/// Each kind of object by name, as the server describes it.
const CATALOG: [(&str, &str); 7] = [
    (
        "tables",
        "select concat_ws(' ', n.nspname, c.relname, obj_description(c.oid, 'pg_class')) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        where n.nspname in ('public', 'shop') and c.relkind in ('r', 'p') and not c.relispartition",
    ),
    (
        "columns",
        "select concat_ws(' ', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), \
            case when a.attgenerated <> '' then 'computed' end, a.attidentity, (select k.collname from pg_collation k where k.oid = a.attcollation), col_description(c.oid, a.attnum)) \
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum \
        where n.nspname in ('public', 'shop') and c.relkind in ('r', 'p', 'c') and not c.relispartition and a.attnum > 0 and not a.attisdropped",
    ),
    (
        "constraints",
        "select concat_ws(' ', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint')) from pg_constraint k \
        join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('public', 'shop') and k.contype <> 'n' and not c.relispartition and k.conparentid = 0",
    ),
    (
        "indexes",
        "select concat_ws(' ', replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '), obj_description(i.indexrelid, 'pg_class')) from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace \
        where n.nspname in ('public', 'shop') and not c.relispartition",
    ),
    (
        "types",
        "select concat_ws(' ', n.nspname, t.typname, t.typtype, format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault, obj_description(t.oid, 'pg_type'), \
            (select string_agg(e.enumlabel, ',' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid), \
            (select string_agg(concat(k.conname, pg_get_constraintdef(k.oid)), ',' order by k.conname) from pg_constraint k where k.contypid = t.oid and k.contype = 'c')) \
        from pg_type t join pg_namespace n on n.oid = t.typnamespace where n.nspname in ('public', 'shop') and t.typtype in ('e', 'd')",
    ),
    (
        "sequences",
        "select concat_ws(' ', n.nspname, c.relname, format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle, \
            (select concat_ws('.', d.refobjid::regclass, d.refobjsubid > 0, d.deptype) from pg_depend d where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i'))) \
        from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('public', 'shop')",
    ),
    (
        "collations",
        "select concat_ws(' ', n.nspname, c.collname, c.collprovider, c.collisdeterministic) from pg_collation c join pg_namespace n on n.oid = c.collnamespace where n.nspname = 'shop'",
    ),
];

/// Something of everything.
const RICH: &str = r#"
    create schema shop;
    create type shop.mood as enum ('glad', 'it''s ok', 'sad'); comment on type shop.mood is 'how it''s going';
    create domain shop.price as numeric(10,2) default 0.00 not null constraint not_negative check (value >= 0);
    create domain public.code as text check (value ~ '^[A-Z\\]+$');
    create type shop.spot as (x double precision, "Y y" public.code, moods shop.mood[]);
    create collation shop.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create sequence shop.shared_no start 100 increment 5;
    create table public.account (
        id uuid primary key default gen_random_uuid(), email text not null, nick text collate shop.loose unique, sorted text collate "C",
        boss uuid, favourite bigint, mood shop.mood not null default 'glad', tags text[] not null default '{a,"b c"}', settings jsonb default '{"a": [1]}',
        lasts interval default '1 day 02:00', since timestamptz not null default '2020-01-01 00:00:00+00', born date default current_date, picture bytea default '\x00ff',
        where_is shop.spot, code public.code default 'AB', gone int, upper_email text generated always as (upper(email)) stored,
        constraint "e mail ""shape""" check (email like '%@%' and length(email) > 3));
    alter table public.account drop column gone;
    create table shop.orders (
        id bigint generated always as identity (start with 1000 increment by 2) primary key, no int not null default nextval('shop.shared_no'),
        account_id uuid not null references public.account on delete cascade on update restrict, total shop.price, part smallserial, during int4range,
        placed_at timestamp(3) not null default now(), constraint one_at_a_time exclude using gist (during with &&) deferrable initially deferred,
        unique (no) deferrable initially immediate);
    create table shop.line (order_id bigint, nth int, sku varchar(20) not null, price shop.price[], primary key (order_id, nth), foreign key (order_id) references shop.orders);
    create table shop.shipment (id serial primary key, order_id bigint, nth int, foreign key (order_id, nth) references shop.line match full on delete set null);
    alter table public.account add foreign key (boss) references public.account deferrable initially deferred, add constraint fav foreign key (favourite) references shop.orders;
    comment on constraint fav on public.account is 'round and round';
    create unique index by_email on public.account (lower(email)) include (nick) where mood <> 'sad'; comment on index public.by_email is 'one each';
    create index on public.account using gin (tags); create index on public.account using hash (email); create index on shop.orders using brin (placed_at);
    create index newest on shop.orders (placed_at desc nulls last, account_id) with (fillfactor = 70);
    create unique index sku_once on shop.line (sku); create table shop.stock (sku varchar(20) references shop.line (sku), id int generated by default as identity primary key);
    create table public.legacy (name text, amount money);
    create table public.events (at date not null, id int, what text, primary key (at, id)) partition by range (at);
    create table public.events_1 partition of public.events for values from ('2020-01-01') to ('2021-01-01');
    create table public.events_2 partition of public.events for values from ('2021-01-01') to ('2030-01-01'); create index on public.events (what);
    create table public.after_event (at date, id int, foreign key (at, id) references public.events, constraint own primary key (at, id));
    create table public.animal (id int primary key, name text not null check (name <> '')); create table public.dog (bark text default 'wuff') inherits (public.animal); alter table public.dog add primary key (id);
    create table public.vals (id int primary key, "null" int, nd int); create unique index nd_once on public.vals (nd) nulls not distinct;
"#;

/// Names and texts that get out of nothing.
const ODD: &str = r#"
    create table public."Odd ""table"" -- 
drop" ("select" int primary key, "a.b" text default 'x''y\z'); comment on table public."Odd ""table"" -- 
drop" is 'a \ comment'';
with two lines'; comment on column public."Odd ""table"" -- 
drop"."a.b" is 'dotted';
"#;

const RICH_ROWS: &str = r#"
    insert into account (email, nick, mood, where_is) values ('a@x.org', 'Anna', 'sad', row(1, 'A', '{glad}')), ('b@x.org', 'Ben', 'it''s ok', null);
    update account set boss = (select id from account where nick = 'Anna');
    insert into shop.orders (account_id, total, during) select id, 9.99, int4range((row_number() over ())::int * 10, (row_number() over ())::int * 10 + 5) from account;
    update account set favourite = (select min(id) from shop.orders);
    insert into shop.line select id, 1, 'sku' || id, '{1.00,2.00}' from shop.orders; insert into shop.shipment (order_id, nth) select order_id, nth from shop.line; insert into shop.stock (sku) select sku from shop.line;
    insert into legacy values ('a', '1.00'), ('a', '1.00'); insert into events values ('2020-02-02', 1, 'x'), ('2022-02-02', 2, 'y'); insert into after_event values ('2020-02-02', 1);
    insert into animal values (1, 'cat'); insert into dog values (2, 'rex'); insert into vals values (1, null, null), (2, 5, 1);
"#;

/// Each version with each, of those at hand that are furthest apart.
fn apart() -> Vec<(Binaries, Binaries)> {
    let all = versions();
    let (old, new) = (all.first().unwrap().clone(), all.last().unwrap().clone());
    if old.version == new.version {
        return vec![(old, new)];
    }
    vec![(old.clone(), new.clone()), (new, old)]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_cloud_gets_the_desktops_structure_and_becomes_equal_with_no_edit() {
    for (desktop, cloud) in apart() {
        let two = Two::open(&desktop, &cloud).await;
        exec(&two.desktop, RICH).await;
        exec(&two.desktop, RICH_ROWS).await;
        let said = two.made(&[]).await;
        assert!(
            said.contains("11 tables were made in the cloud\n"),
            "{said}"
        );
        for wanted in [
            "events: partitioned on the desktop, one plain table here",
            "dog: inherits from animal on the desktop",
            "legacy: it has no primary key",
            "Row security is on and there is no policy",
        ] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
        two.assert_alike(&[]).await;
        let open = "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('public', 'shop') and c.relkind = 'r' \
            and (not c.relrowsecurity or c.relforcerowsecurity or pg_get_userbyid(c.relowner) <> 'postgres')";
        assert_eq!(value(&two.cloud, open).await, "0");
        let text = std::fs::read_to_string(two.file()).unwrap();
        assert!(!text.contains("need a decision"), "{text}");
        two.works(&["bootstrap"]).await;
        let mut command = tandem();
        command.arg("--config").arg(two.file()).arg("run");
        let log = std::fs::File::create(two.folder.join("run.log")).unwrap();
        let mut service = command.stderr(log).kill_on_drop(true).spawn().unwrap();
        exec(
            &two.desktop,
            "insert into account (email) values ('c@x.org'); update shop.orders set total = total + 1; delete from shop.stock where id = 1; \
             update events set what = 'z'; insert into events values ('2023-01-01', 9, 'new'); update dog set bark = 'wau'; insert into shop.orders (account_id) select id from account limit 1",
        )
        .await;
        two.works(&["wait", "--timeout", "200s"]).await;
        let equal = two.works(&["verify"]).await;
        assert!(equal.lines().count() >= 11, "{equal}");
        let process = service.id().unwrap().to_string();
        let stopped = std::process::Command::new("kill").arg(&process).status();
        assert!(stopped.unwrap().success());
        let ended = timeout(PATIENCE, service.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(0));
    }
}

/// Shown, nothing happens; and what is shown is SQL that makes the same when it is sent as one text.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_runs_by_itself_and_looking_changes_nothing() {
    let two = Two::newest().await;
    exec(&two.desktop, RICH).await;
    exec(&two.desktop, ODD).await;
    let before = value(&two.cloud, "select count(*) from pg_class").await;
    let (code, script, errors) = two.init(&["--create-cloud"]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(
        errors.contains("nothing was changed or written"),
        "{errors}"
    );
    assert!(!two.file().exists());
    assert_eq!(
        value(&two.cloud, "select count(*) from pg_class").await,
        before
    );
    let ours = connect(&two.servers.cloud, "postgres", "postgres").await;
    exec(&ours, &script).await;
    two.assert_alike(&[]).await;
    // Nothing is missing any more.
    let (_, script, _) = two.init(&["--create-cloud"]).await;
    assert_eq!(script, "-- The cloud lacks no table of the desktop.\n");
}

/// What the cloud can't have is said with what to do, and everything else is made: extensions may be in another schema there.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_is_said_and_the_rest_is_made() {
    let (desktop, cloud) = apart().pop().unwrap();
    let two = Two::open(&desktop, &cloud).await;
    exec(
        &two.desktop,
        "create extension citext; create extension hstore; create extension pg_trgm; create extension \"uuid-ossp\"; \
         create function slug(text) returns text immutable language sql as 'select lower($1)'; \
         create table people (id uuid primary key default uuid_generate_v4(), email citext unique default 'A'::citext, aliases citext[], check (email <> 'public.citext'::citext)); \
         create table bag (id int primary key, h hstore); create table bag_label (id int primary key, bag_id int references bag); \
         create table words (id int primary key, word text default slug('X'), up text generated always as (slug(word)) stored, n int, constraint sluggish check (slug(word) <> '-'), constraint few check (n < 9)); \
         create index by_slug on words (slug(word)); create index by_part on words using gin (word gin_trgm_ops); create index by_up on words (up); create index by_n on words (n); \
         create unlogged table quick (id int primary key); insert into words (id, n) values (1, -1); alter table words add constraint late check (n > 0) not valid",
    )
    .await;
    let newer = desktop.version >= 18 && cloud.version < 18;
    if newer {
        exec(&two.desktop, "create table young (id uuid primary key default uuidv7(), twice int generated always as (1 + 1) virtual)").await;
    }
    exec(&two.cloud, "create extension citext schema extensions; create extension \"uuid-ossp\" schema extensions").await;
    let said = two.made(&[]).await;
    for wanted in [
        "bag is not made: column h: type hstore is of extension hstore, which the cloud lacks; in the cloud: CREATE EXTENSION IF NOT EXISTS \"hstore\" SCHEMA extensions; then this again",
        "bag_label: foreign key bag_label_bag_id_fkey is left out: bag is not made",
        "words: column word has no default: the cloud has no function public.slug; make it there first",
        "words: column up is left out: the desktop computes it, and the cloud has no function public.slug",
        "words: constraint sluggish is left out: the cloud has no function public.slug",
        "words: constraint late is left out: it is NOT VALID on the desktop",
        "words: index by_slug is left out",
        "words: index by_up is left out: its column up is left out too",
        "words: index by_part is left out: opclass gin_trgm_ops is of extension pg_trgm",
        "quick: unlogged on the desktop",
        "1 can't be made",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    if newer {
        assert!(
            said.contains(
                "young: column id has no default: the cloud's PostgreSQL 15 has no function uuidv7"
            ),
            "{said}"
        );
    }
    for (sql, wanted) in [
        (
            "select pg_get_expr(adbin, adrelid) || format_type(a.atttypid, -1) from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attname = 'email' where adrelid = 'people'::regclass and adnum = 1",
            "extensions.uuid_generate_v4()extensions.citext",
        ),
        (
            "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'people'::regclass and contype = 'c'",
            "CHECK ((email OPERATOR(extensions.<>) 'public.citext'::extensions.citext))",
        ),
        (
            "select string_agg(conname, ',' order by conname) from pg_constraint where conrelid = 'words'::regclass and contype = 'c'",
            "few",
        ),
        (
            "select string_agg(indexrelid::regclass::text, ',' order by 1) from pg_index where indrelid = 'words'::regclass and not indisprimary",
            "by_n",
        ),
        (
            "select relpersistence from pg_class where relname = 'quick'",
            "p",
        ),
    ] {
        assert_eq!(value(&two.cloud, sql).await, wanted);
    }
}

/// Tables that are there stay as they are, also where new ones refer to them, or something else has a name.
#[tokio::test(flavor = "multi_thread")]
async fn what_exists_is_not_touched() {
    let two = Two::newest().await;
    exec(
        &two.desktop,
        "create table mbclient (id int primary key, name text, phone text); create table invoice (id serial primary key, client_id int references mbclient, no int); \
         create unique index no_once on invoice (no); create table report (id int primary key)",
    )
    .await;
    exec(
        &two.cloud,
        "set role postgres; create table client (id int primary key, name text, phone text, source text); create view report as select 1 as id; create sequence no_once; create sequence invoice_id_seq; reset role",
    )
    .await;
    let state = "select md5(string_agg(concat_ws(' ', c.relname, c.xmin, c.oid, (select string_agg(a.xmin::text, ',' order by attnum) from pg_attribute a where a.attrelid = c.oid), \
        (select count(*) from pg_trigger t where t.tgrelid = c.oid), (select count(*) from pg_depend d where d.refobjid = c.oid)), ';' order by c.oid)) \
        from pg_class c where c.relname in ('client', 'report', 'no_once', 'client_pkey') and c.relkind <> 'i'";
    let before = value(&two.cloud, &state.replace("'no_once', ", "")).await;
    let said = two.made(&[]).await;
    for wanted in [
        "report is not made: the cloud has something else that is called \"public\".\"report\", and it stays as it is",
        "invoice: foreign key invoice_client_id_fkey is left out: the cloud has client already",
        "where you want it: ALTER TABLE \"public\".\"invoice\" ADD CONSTRAINT \"invoice_client_id_fkey\" FOREIGN KEY (client_id) REFERENCES \"public\".\"client\"(id);",
        "1 tables were made in the cloud, 1 can't be made",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert_eq!(
        value(&two.cloud, &state.replace("'no_once', ", "")).await,
        before
    );
    // The index has another name.
    assert_eq!(value(&two.cloud, "select count(*) from pg_index where indrelid = 'invoice'::regclass and indisunique and not indisprimary").await, "1");
    let text = std::fs::read_to_string(two.file()).unwrap();
    assert!(
        text.contains("name = \"invoice\"") && text.contains("cloud = \"client\""),
        "{text}"
    );
}

/// One refusal, and nothing is left; the server's words and the statement are shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_nothing_and_names_the_statement() {
    let two = Two::newest().await;
    exec(
        &two.desktop,
        "create schema app; create table app.one (id int primary key); create table public.two (id int primary key, one int references app.one)",
    )
    .await;
    exec(&two.cloud, "revoke create on schema public from postgres").await;
    let (code, said, errors) = two.init(&["--create-cloud", "--yes"]).await;
    assert_eq!(code, 2, "{said} {errors}");
    for wanted in [
        "the cloud did not make the tables; nothing is left of the attempt",
        "42501 permission denied for schema public",
        "CREATE TABLE \"public\".\"two\"",
    ] {
        assert!(errors.contains(wanted), "{wanted}: {errors}");
    }
    assert!(!two.file().exists());
    assert_eq!(
        value(
            &two.cloud,
            "select count(*) from pg_namespace where nspname = 'app'"
        )
        .await,
        "0"
    );
    // Mended, the same command goes through.
    exec(&two.cloud, "grant create on schema public to postgres").await;
    two.made(&[]).await;
    let equal = two.works(&["bootstrap"]).await;
    assert!(!equal.contains("error"), "{equal}");
}

/// Tables that shall bring phones' rows home get the column that says whose a row is.
#[tokio::test(flavor = "multi_thread")]
async fn phones_rows_come_home_from_the_tables_that_were_named() {
    let two = Two::newest().await;
    exec(
        &two.desktop,
        "create table visits (id uuid primary key default gen_random_uuid(), note text); create table prices (id int primary key); \
         create table orders (id uuid primary key default gen_random_uuid(), note text, source char(1) default 'D'); insert into orders (note) values ('desk'); \
         create table notes (id int primary key); insert into notes values (1)",
    )
    .await;
    let (code, _, errors) = two
        .init(&["--create-cloud", "--yes", "--source=visit"])
        .await;
    assert!(
        code == 2
            && errors.contains("--source: visit is no table that the cloud lacks")
            && errors.contains("it lacks notes, orders, prices, visits"),
        "{code} {errors}"
    );
    two.made(&["--source=visits", "--source=orders", "--source=notes"])
        .await;
    let text = std::fs::read_to_string(two.file()).unwrap();
    for wanted in [
        "name = \"visits\"\nflow = \"reverse\"",
        "name = \"orders\"\nflow = \"both\"",
        "name = \"notes\"\n# flow = \"both\"                # when the desktop says too whose a row is: ALTER TABLE \"public\".\"notes\" ADD COLUMN \"source\" text;",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let source = "select string_agg(attrelid::regclass::text, ',' order by attrelid::regclass::text) from pg_attribute a join pg_class c on c.oid = a.attrelid where attname = 'source' and c.relnamespace = 'public'::regnamespace and c.relkind = 'r'";
    assert_eq!(value(&two.cloud, source).await, "notes,orders,visits");
    two.works(&["bootstrap"]).await;
    let mut command = tandem();
    command.arg("--config").arg(two.file()).arg("run");
    let log = std::fs::File::create(two.folder.join("run.log")).unwrap();
    let mut service = command.stderr(log).kill_on_drop(true).spawn().unwrap();
    for table in ["visits", "orders"] {
        exec(
            &two.cloud,
            &format!("insert into {table} (note) values ('phone')"),
        )
        .await;
        until(
            &two.desktop,
            &format!("select count(*) = 1 from {table} where note = 'phone'"),
        )
        .await;
    }
    assert_eq!(
        value(
            &two.cloud,
            "select string_agg(concat(note, source), ' ' order by note) from orders"
        )
        .await,
        "deskD phoneM"
    );
    service.kill().await.unwrap();
}
