//! Schemas of every style go from `init` to equal with no edit of its file, through changes of every kind.
//!
//! `tests/schemas/*.sql` are taken apart by the marks in them, as `tandem demo --schema` does. Each runs on the oldest PostgreSQL
//! on both sides and on one pair of versions; `TANDEM_TEST_PAIRS=all` runs each on every pair at hand.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use crate::support::office::{Service, connect, exec, finish, load, tandem, value};
use crate::support::servers::{Pair, all};
use serde_json::Value;
use tandem::config::{self, Flow, Settings, Sources, Table};
use tandem::demo::cluster::{Binaries, ClusterSpec};
use tandem::demo::endpoint;
use tandem::demo::load as running;
use tandem::demo::script::{self, Part, Script};
use tandem::fault::Side;
use tandem::model::Name;
use tandem::plan::quote;
use tandem::wire::control::Control;
use tandem::wire::{Mode, Session};

/// Each file is a test of its own; its number chooses the pair of versions.
macro_rules! schemas {
    ($($name:ident $number:literal),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            goes_from_init_to_equal(stringify!($name), include_str!(concat!("../schemas/", stringify!($name), ".sql")), $number).await;
        }
    )*

        #[test]
        fn every_file_is_run() {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/schemas");
            let files = std::fs::read_dir(folder).unwrap();
            let files: BTreeSet<_> = files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
            assert_eq!(files, BTreeSet::from([$(stringify!($name).to_owned()),*]));
        }
    };
}

schemas! {
    clinic 0,
    forum 1,
    ledger 2,
    legacy 3,
    music 4,
    office 5,
    partitions 6,
    shop 7,
    tenants 8,
    web_app 9,
}

/// The oldest on both sides, and one pair of others.
///
/// `web_app` on a desktop with PostgreSQL 18 waits for generated columns: its server refuses an UPDATE of a table that is published
/// with its whole row as identity where a generated column is not published.
fn pairs(number: usize) -> Vec<(Binaries, Binaries)> {
    let all = all();
    let oldest = all.first().unwrap().clone();
    let each = |one: &Binaries| {
        all.iter()
            .map(|other| (one.clone(), other.clone()))
            .collect::<Vec<_>>()
    };
    let mut pairs: Vec<_> = all.iter().flat_map(each).collect();
    if std::env::var("TANDEM_TEST_PAIRS").is_ok_and(|which| which == "all") {
        return pairs;
    }
    pairs.retain(|(one, other)| one.version != oldest.version || other.version != oldest.version);
    let mut chosen = vec![(oldest.clone(), oldest)];
    if !pairs.is_empty() {
        chosen.push(pairs.swap_remove(number % pairs.len()));
    }
    chosen
}

async fn goes_from_init_to_equal(name: &str, text: &str, number: usize) {
    let script = script::read(text).unwrap();
    for (desktop, cloud) in pairs(number) {
        println!(
            "{name}: PostgreSQL {} and {}",
            desktop.version, cloud.version
        );
        let two = Two::open(&script, &desktop, &cloud).await;
        two.goes_from_init_to_equal(&script).await;
    }
}

/// Two servers with a schema, and a folder for the settings.
struct Two {
    servers: Pair,
    folder: PathBuf,
    desktop: Control,
    cloud: Control,
}

impl Two {
    async fn open(script: &Script, desktop: &Binaries, cloud: &Binaries) -> Two {
        let admin = ClusterSpec {
            superuser: "supabase_admin".to_owned(),
            ..ClusterSpec::default()
        };
        let servers =
            Pair::start_with((desktop, &ClusterSpec::default()), (cloud, &admin)).unwrap();
        let first = connect(&servers.desktop, "postgres", "postgres").await;
        exec(&first, "create database shop").await;
        let desktop = connect(&servers.desktop, "postgres", "shop").await;
        let cloud = connect(&servers.cloud, "supabase_admin", "postgres").await;
        load(&cloud, &["roles"]).await;
        let folder = servers.desktop.socket_dir().join("settings");
        std::fs::create_dir_all(&folder).unwrap();
        let two = Two {
            servers,
            folder,
            desktop,
            cloud,
        };
        for side in [Side::Desktop, Side::Cloud] {
            let mut session = two.session(side).await;
            let left = running::load(&mut session, script, side).await;
            assert_eq!(left.unwrap_or_else(|fault| panic!("{fault}")), []);
            session.terminate().await;
        }
        two
    }

    /// As those who own the tables.
    async fn session(&self, side: Side) -> Session {
        let at = match side {
            Side::Desktop => endpoint(&self.servers.desktop, "postgres", "shop"),
            Side::Cloud => endpoint(&self.servers.cloud, "postgres", "postgres"),
        };
        Session::connect(&at, Mode::Ordinary, &[]).await.unwrap()
    }

    async fn plays(&self, script: &Script, part: Part, side: Side) -> usize {
        let mut session = self.session(side).await;
        let played = running::play(&mut session, script, part, side).await;
        session.terminate().await;
        played.unwrap_or_else(|fault| panic!("{fault}"))
    }

    fn file(&self) -> PathBuf {
        self.folder.join("tandem.toml")
    }

    /// Runs a command, which has to end well.
    async fn says(&self, arguments: &[&str]) -> String {
        let mut command = tandem();
        command
            .arg("--config")
            .arg(self.file())
            .args(arguments)
            .env("TANDEM_HEARTBEAT_EVERY", "300ms");
        let (code, out, said) = finish(&mut command).await;
        assert_eq!(
            code,
            0,
            "{arguments:?}: {out}\n{said}\n{}\n{}",
            self.settings_text(),
            self.log()
        );
        out
    }

    async fn document(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.says(arguments).await).unwrap()
    }

    fn settings_text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap_or_default()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("run.log")).unwrap_or_default()
    }

    fn settings(&self) -> Settings {
        let sources = Sources {
            file: Some(self.file()),
            cwd: self.folder.clone(),
            ..Sources::default()
        };
        config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn run(&self) -> Service {
        let log = std::fs::File::create(self.folder.join("run.log")).unwrap();
        let mut command = tandem();
        command
            .arg("--config")
            .arg(self.file())
            .arg("run")
            .env("TANDEM_HEARTBEAT_EVERY", "300ms");
        command.stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        Service {
            child: command.spawn().unwrap(),
        }
    }

    async fn goes_from_init_to_equal(&self, script: &Script) {
        let desktop = self.servers.desktop.url("postgres", "shop");
        let cloud = self.servers.cloud.url("postgres", "postgres");
        let file = self.file().display().to_string();
        let said = self
            .says(&[
                "init",
                "--desktop",
                &desktop,
                "--cloud",
                &cloud,
                "--out",
                &file,
            ])
            .await;
        let text = self.settings_text();
        assert!(said.contains(" 0 need a decision first"), "{said}\n{text}");
        self.names_every_table().await;
        self.says(&["config", "check"]).await;
        self.says(&["doctor"]).await;
        self.says(&["bootstrap"]).await;
        let service = self.run();
        self.says(&["wait", "--timeout", "200s"]).await;
        // What phones had made before.
        self.says(&["wait", "--reverse", "--timeout", "200s"]).await;
        self.says(&["verify"]).await;
        assert!(self.plays(script, Part::Changes, Side::Desktop).await > 10);
        self.says(&["wait", "--timeout", "200s"]).await;
        if self.plays(script, Part::Phones, Side::Cloud).await > 0 {
            self.says(&["wait", "--reverse", "--timeout", "200s"]).await;
            // What came home has been seen in the stream.
            self.says(&["wait", "--timeout", "200s"]).await;
        }
        let verified = self.document(&["verify", "--json"]).await;
        assert_eq!(verified["equal"], true, "{verified}");
        let settings = self.settings();
        for table in &settings.tables {
            let found = verified["tables"]
                .as_array()
                .unwrap()
                .iter()
                .find(|it| it["table"] == table.name.as_str());
            let found =
                found.unwrap_or_else(|| panic!("{} is not compared: {verified}", table.name));
            assert_eq!(found["known"], 0, "{found}");
            self.is_equal(&settings, table).await;
        }
        let parked = self.document(&["quarantine", "list", "--json"]).await;
        assert_eq!(parked["rows"].as_array().unwrap().len(), 0, "{parked}");
        let status = self.document(&["status", "--json"]).await;
        assert_eq!(status["verdict"], "caught_up", "{status}");
        self.says(&["doctor"]).await;
        assert_eq!(service.stop().await, 0, "{}", self.log());
    }

    /// Every table that both sides have stands in the proposed file.
    async fn names_every_table(&self) {
        let (here, there) = (tables(&self.desktop).await, tables(&self.cloud).await);
        let settings = self.settings();
        let known: BTreeSet<_> = { settings.tables.iter() }
            .map(|table| (table.schema.clone(), table.relation.clone()))
            .collect();
        let both: BTreeSet<_> = here.intersection(&there).cloned().collect();
        assert!(both.len() > 3);
        assert_eq!(
            both.difference(&known).collect::<Vec<_>>(),
            [] as [&(String, String); 0]
        );
    }

    /// The rows of both sides in those columns that travel, as their servers write them: not by tandem's own means.
    async fn is_equal(&self, settings: &Settings, table: &Table) {
        let here = table.desktop_name();
        let there = table.cloud_name();
        let home = table.flow == Flow::Reverse;
        let skip: Vec<_> = match home {
            true => [&settings.reverse.skip, &table.reverse.skip]
                .into_iter()
                .flatten()
                .collect(),
            false => [&settings.forward.skip, &table.skip]
                .into_iter()
                .flatten()
                .collect(),
        };
        let (ours, theirs) = (
            columns(&self.desktop, &here).await,
            columns(&self.cloud, &there).await,
        );
        let travel = ours
            .iter()
            .filter(|name| theirs.contains(name) && !skip.contains(name));
        let list: Vec<_> = travel.map(|name| quote::ident(name)).collect();
        assert!(!list.is_empty(), "{}", table.name);
        let digest = |name: &Name| {
            let list = list.join(", ");
            let whose = if home { " where source = 'M'" } else { "" };
            format!(
                "select concat_ws(' ', count(*), md5(string_agg(r::text, chr(10) order by r::text collate \"C\"))) from (select {list} from {}{whose}) r",
                quote::table(name)
            )
        };
        let (one, other) = (
            value(&self.desktop, &digest(&here)).await,
            value(&self.cloud, &digest(&there)).await,
        );
        assert_eq!(one, other, "{}", table.name);
        assert_ne!(one, "0", "{} has no rows: it shows nothing", table.name);
    }
}

async fn columns(side: &Control, name: &Name) -> Vec<String> {
    let sql = format!(
        "select attname::text from pg_attribute where attrelid = {}::regclass and attnum > 0 and not attisdropped order by attnum",
        quote::literal(&quote::table(name))
    );
    let rows = side.client.query_typed(&sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn tables(side: &Control) -> BTreeSet<(String, String)> {
    let sql = "select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^(pg_|information_schema)'";
    let rows = side.client.query_typed(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// `tandem demo --schema` on a file with this text: exit code, what it says, errors.
async fn demo(text: &[u8]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.sql");
    std::fs::write(&file, text).unwrap();
    let mut command = tandem();
    command
        .args(["demo", "--seconds", "1", "--schema"])
        .arg(&file);
    // Where servers stand is the machine's business.
    for name in ["TANDEM_PG_TMP", "TANDEM_PG_BIN", "TANDEM_CACHE"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    finish(&mut command).await
}

/// As `pg_dump` writes it, with who owns what, rows, sequences, and constraints behind the rows.
const DUMP: &str = r#"--
-- PostgreSQL database dump
--

\restrict abcdef

SET statement_timeout = 0;
SET transaction_timeout_of_a_later_version = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);

CREATE SCHEMA public;
ALTER SCHEMA public OWNER TO somebody;
CREATE TYPE public.size AS ENUM ('small', 'large');
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS $_$
BEGIN
    NEW.words := btrim(NEW.words); -- it's; fine
    RETURN NEW;
END $_$;
ALTER FUNCTION public.touch() OWNER TO somebody;
CREATE TABLE public.shelf (
    id integer NOT NULL,
    name character varying(20) NOT NULL,
    size public.size DEFAULT 'small'::public.size NOT NULL
);
ALTER TABLE public.shelf OWNER TO somebody;
CREATE SEQUENCE public.shelf_id_seq AS integer START WITH 1;
ALTER SEQUENCE public.shelf_id_seq OWNED BY public.shelf.id;
CREATE TABLE public."Book Copy" (
    shelf_id integer NOT NULL,
    nr integer NOT NULL,
    words text,
    price numeric(8,2) DEFAULT 1.5
);
ALTER TABLE ONLY public.shelf ALTER COLUMN id SET DEFAULT nextval('public.shelf_id_seq'::regclass);

--
-- Data for Name: shelf; Type: TABLE DATA; Schema: public; Owner: somebody
--

COPY public.shelf (id, name, size) FROM stdin;
1	first; and more	small
2	it's \\ second	large
\.

COPY public."Book Copy" (shelf_id, nr, words, price) FROM stdin;
1	1	\N	1.50
1	2	tab\tinside	2.00
2	1		\N
\.

SELECT pg_catalog.setval('public.shelf_id_seq', 2, true);
ALTER TABLE ONLY public.shelf ADD CONSTRAINT shelf_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public."Book Copy" ADD CONSTRAINT copy_pkey PRIMARY KEY (shelf_id, nr);
CREATE TRIGGER touched BEFORE INSERT OR UPDATE ON public."Book Copy" FOR EACH ROW EXECUTE FUNCTION public.touch();
ALTER TABLE ONLY public."Book Copy" ADD CONSTRAINT copy_shelf FOREIGN KEY (shelf_id) REFERENCES public.shelf(id);
GRANT SELECT ON TABLE public.shelf TO somebody_else;
CREATE PUBLICATION others FOR ALL TABLES;

\unrestrict abcdef
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_ones_own_tables_moves_in_the_demo_and_what_was_left_out_is_said() {
    let (code, out, said) = demo(DUMP.as_bytes()).await;
    assert_eq!(code, 0, "{out}\n{said}");
    for wanted in [
        "own.sql: 24 statements",
        "left out on the desktop: line 13: ALTER SCHEMA public OWNER TO somebody (and 2 more)",
        "SET transaction_timeout_of_a_later_version",
        "GRANT SELECT ON TABLE public.shelf TO somebody_else",
        "CREATE PUBLICATION others",
        "2 commands of psql's",
        "tandem init: ",
        "2 tables fit on both sides, 0 need a decision first",
        "kill -9 tandem",
        "both sides are equal",
        "--keep",
    ] {
        assert!(out.contains(wanted), "{wanted}: {out}\n{said}");
    }
    let changed = out
        .lines()
        .find(|line| line.starts_with("on the desktop "))
        .unwrap();
    for never in [
        " 0 rows were inserted",
        " 0 updated",
        " 0 took another key",
        " 0 were deleted",
    ] {
        assert!(!changed.contains(never), "{out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_without_rows_gets_some_in_the_demo() {
    let music = include_str!("../schemas/music.sql");
    let structure = music[..music.find("-- data").unwrap()].replace("-- both", "");
    // What PowerShell makes of `pg_dump > file`.
    let wide: Vec<u8> = "\u{feff}"
        .chars()
        .chain(structure.chars())
        .collect::<String>()
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let (code, out, said) = demo(&wide).await;
    assert_eq!(code, 0, "{out}\n{said}");
    assert!(out.contains("rows were made up on the desktop"), "{out}");
    assert!(!out.contains("stay empty"), "{out}");
    let empty = out
        .lines()
        .find(|line| line.contains(" 0 rows on the desktop"));
    assert_eq!(empty, None, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marked_schema_runs_its_own_changes_in_the_demo() {
    let (code, out, said) = demo(include_bytes!("../schemas/office.sql")).await;
    assert_eq!(code, 0, "{out}\n{said}");
    for wanted in [
        "each for the side that the file's marks say",
        "statements of the file were run on the desktop",
        "statements of the file were run by phones, in the cloud",
        "both sides are equal",
    ] {
        assert!(out.contains(wanted), "{wanted}: {out}\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_refused_with_its_line_and_the_servers_words() {
    let unknown = "create table a (id int primary key);\n\ncreate table b (\n  id int primary key,\n  x nonsense\n);";
    let copied = "create table a (id int primary key);\ncopy a from stdin;\n1\n2\nthree\n\\.\n";
    let cases: [(&[u8], &[&str]); 7] = [
        (
            unknown.as_bytes(),
            &["own.sql, line 5:", "type \"nonsense\" does not exist"],
        ),
        (
            copied.as_bytes(),
            &[
                "own.sql, line 5:",
                "invalid input syntax for type integer: \"three\"",
            ],
        ),
        (
            b"select 1;\nselect 'a",
            &["own.sql, line 2:", "never closed"],
        ),
        (b"PGDMP\x01\x0e", &["own.sql, line 1:", "pg_restore"]),
        (b"select '\xff'", &["line 1:", "UTF-8"]),
        (b"-- nothing\n", &["no statement"]),
        (b"create view v as select 1", &["no table", "-- both"]),
    ];
    for (text, wanted) in cases {
        let (code, out, said) = demo(text).await;
        assert_eq!(code, 2, "{out}\n{said}");
        for words in wanted {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}
