//! `docs/types.md` says what happens where two types meet; each row of its table is tried as it stands there, on real servers, in
//! both directions: what `init` proposes, the first copy, the stream, what waits, and the comparison.

use std::collections::BTreeMap;

use crate::support::office::{Office, Plan, came_home, exec, until, value};
use crate::support::servers::newest;
use tandem::flows::agree;
use tandem::wire::control::Control;

const DOCS: &str = include_str!("../../docs/types.md");

/// How both sides' values are read here, and what a time without a zone means.
const MANNERS: &str = "alter database enterprise_db set timezone = 'Asia/Kolkata'";
const READ: &str = "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set extra_float_digits = 3; set bytea_output = 'hex'; set lc_monetary = 'C'";
const OWN_TYPES: &str = "create type mood as enum ('sad', 'ok', 'happy'); create type humour as enum ('sad', 'ok', 'happy'); \
    create type temper as enum ('sad', 'ok'); create domain posint as int4 check (value > 0)";

/// What a value looks like on its way.
#[derive(Clone, Debug)]
struct Example {
    sent: String,
    /// None: it waits.
    arrives: Option<String>,
    reverse: String,
}

/// A row of the table.
#[derive(Clone, Debug)]
struct Row {
    at: usize,
    desktop: String,
    cloud: String,
    out: String,
    reverse: String,
    examples: Vec<Example>,
}

impl Row {
    fn good(&self) -> Vec<&Example> {
        let good = self.examples.iter();
        good.filter(|example| example.arrives.is_some()).collect()
    }

    fn waiting(&self) -> Vec<&Example> {
        let waiting = self.examples.iter();
        waiting
            .filter(|example| example.arrives.is_none())
            .collect()
    }
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    let parts = text.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

fn example(text: &str) -> Example {
    let values = quoted(text);
    let sent = values[0].clone();
    let arrives = match text {
        _ if text.ends_with("` waits") => None,
        _ if text.contains("` arrives as `") => Some(values[1].clone()),
        _ => Some(sent.clone()),
    };
    let reverse = match text.contains("` and comes home as `") {
        true => values[2].clone(),
        false => sent.clone(),
    };
    Example {
        sent,
        arrives,
        reverse,
    }
}

/// The table, but for types that a server doesn't have.
async fn rows(sides: [&Control; 2]) -> Vec<Row> {
    let lines = DOCS.lines().filter(|line| line.starts_with("| `"));
    let mut rows = Vec::new();
    for (at, line) in lines.enumerate() {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [desktop, cloud, out, reverse, examples] = cells[..] else {
            panic!("five cells: {line}");
        };
        let examples = examples.split("; ").filter(|text| !text.is_empty());
        rows.push(Row {
            at,
            desktop: quoted(desktop)[0].clone(),
            cloud: quoted(cloud)[0].clone(),
            out: out.to_owned(),
            reverse: reverse.to_owned(),
            examples: examples.map(example).collect(),
        });
    }
    assert!(rows.len() > 80, "{}", rows.len());
    for extension in ["citext", "hstore"] {
        for side in sides {
            let there = format!(
                "select exists (select from pg_available_extensions where name = '{extension}')"
            );
            if value(side, &there).await != "true" {
                println!("skipped: {extension}, which this server doesn't have");
                rows.retain(|row| row.desktop != extension && row.cloud != extension);
                break;
            }
            exec(side, &format!("create extension if not exists {extension}")).await;
        }
    }
    rows
}

async fn office() -> (Office, Vec<Row>) {
    let office = Office::open(&Plan::empty(&newest())).await;
    for side in [&office.desktop, &office.cloud] {
        exec(side, &format!("{OWN_TYPES}; {READ}")).await;
    }
    exec(&office.desktop, MANNERS).await;
    let rows = rows([&office.desktop, &office.cloud]).await;
    (office, rows)
}

async fn create(side: &Control, name: &str, of: &str, source: &str) {
    exec(
        side,
        &format!("create table public.{name} (id int primary key, v {of}{source})"),
    )
    .await;
}

/// What stands in the way of each table, as the settings are, in the words of the documentation.
async fn verdicts(office: &Office) -> BTreeMap<String, String> {
    let found = agree(
        &office.settings,
        &office.desktop.client,
        &office.cloud.client,
    )
    .await;
    let Err(fault) = found else {
        return BTreeMap::new();
    };
    let said = format!("{fault:#} {fault:?}");
    let lines = said.split("\n").flat_map(|line| line.split("\\n"));
    let mut found = BTreeMap::new();
    for line in lines {
        let Some((name, why)) = line.trim().split_once(": column v: ") else {
            continue;
        };
        let word = match why {
            _ if why.contains("narrow = ") => "narrow",
            _ if why.contains("time zone it means") => "zone",
            _ if why.contains("convert it") => "convert",
            _ => why,
        };
        found.insert(name.to_owned(), word.to_owned());
    }
    found
}

/// The settings that `init` proposes, and each table's lines of them.
async fn proposed(office: &Office) -> (String, BTreeMap<String, String>) {
    let text = office.proposal().await;
    let sections = text.split("\n[[table]]\n").skip(1);
    let named = sections.map(|section| {
        let name = section.split('"').nth(1).unwrap().to_owned();
        (name, section.to_owned())
    });
    let named = named.collect();
    (text, named)
}

/// The documentation's word, what refuses the table without settings, and what `init` says, are one: what isn't.
fn off(
    name: &str,
    row: &Row,
    says: &str,
    (refused, text, sections): (&BTreeMap<String, String>, &str, &BTreeMap<String, String>),
) -> Option<String> {
    let word = says.split(' ').next().unwrap();
    let wanted = match word {
        "works" => None,
        "no" => Some("convert"),
        other => Some(other),
    };
    let pair = format!("{name}, {} and {}", row.desktop, row.cloud);
    let refused = refused.get(name).map(String::as_str);
    // Where both would do, `init` takes the one that fits more values.
    let either = word == "convert" && refused == Some("narrow");
    if refused != wanted && !either {
        return Some(format!("{pair}: documented {word}, refused {refused:?}"));
    }
    let section = sections.get(name);
    if word == "no" {
        let set_aside = section.is_none() && text.contains(&format!("# {name}: "));
        return (!set_aside).then(|| format!("{pair}: not set aside"));
    }
    let Some(section) = section else {
        let why = text
            .lines()
            .filter(|line| line.starts_with(&format!("# {name}: ")));
        return Some(format!("{pair}: not active: {:?}", why.collect::<Vec<_>>()));
    };
    let has = |what: &str| section.contains(what);
    let converts = match quoted(says).first() {
        Some(sql) => has(&format!("convert = {{ \"v\" = \"{sql}\" }}")),
        None => !has("convert ="),
    };
    let fits = has("narrow = \"quarantine\"") == (word == "narrow") && converts;
    (!fits).then(|| format!("{pair}: documented {says}: {section}"))
}

/// All rows are proposed and refused as they are documented.
async fn assert_verdicts(
    office: &Office,
    rows: &[(String, &Row)],
    says: fn(&Row) -> &str,
) -> String {
    let refused = verdicts(office).await;
    let (text, sections) = proposed(office).await;
    let off = rows
        .iter()
        .filter_map(|(name, row)| off(name, row, says(row), (&refused, &text, &sections)));
    let off: Vec<_> = off.collect();
    assert!(off.is_empty(), "{off:#?}");
    text
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Values of some rows of a table, as texts, are these texts as the column's type writes them.
async fn other_values(
    side: &Control,
    name: &str,
    of: &str,
    wanted: &[(i32, String)],
) -> Vec<String> {
    let mut others = Vec::new();
    for (id, text) in wanted {
        let there = format!(
            "select coalesce((select concat(v) from public.{name} where id = {id}), 'no row')"
        );
        let there = value(side, &there).await;
        let wanted = format!("select concat(({})::{of})", literal(text));
        let wanted = value(side, &wanted).await;
        if there != wanted {
            others.push(format!("{name} {id}, a {of}: {there} instead of {wanted}"));
        }
    }
    others
}

/// Where a table's rows are, and what they should be.
type Wanted<'a> = (&'a str, &'a str, Vec<(i32, String)>);

async fn assert_values(side: &Control, when: &str, tables: impl Iterator<Item = Wanted<'_>>) {
    let mut others = Vec::new();
    for (name, of, wanted) in tables {
        others.extend(other_values(side, name, of, &wanted).await);
    }
    assert!(others.is_empty(), "{when}: {others:#?}");
}

/// `verify` compares all tables and finds them equal.
async fn assert_verified(office: &Office, when: &str) {
    let (code, out, said) = office.ask(&["verify"]).await;
    let bad: Vec<_> = { out.lines() }
        .filter(|line| !line.ends_with("equal"))
        .collect();
    assert_eq!(code, 0, "{when}: {bad:#?} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_each_pair_of_types_goes_out_as_the_documentation_says() {
    let (mut office, rows) = office().await;
    let named: Vec<_> = { rows.iter() }
        .map(|row| (format!("p{}", row.at), row))
        .collect();
    let (mut settings, mut fill) = (String::new(), String::new());
    for (name, row) in &named {
        create(&office.desktop, name, &row.desktop, "").await;
        create(&office.cloud, name, &row.cloud, "").await;
        exec(
            &office.cloud,
            &format!("alter table public.{name} owner to postgres"),
        )
        .await;
        settings.push_str(&format!("[[table]]\nname = \"{name}\"\n"));
        for (id, example) in (1..).zip(row.good()) {
            fill.push_str(&format!(
                "insert into {name} values ({id}, {}); ",
                literal(&example.sent)
            ));
        }
        fill.push_str(&format!("insert into {name} values (100, null); "));
    }
    exec(&office.desktop, &fill).await;
    office.with_settings(&settings);
    office.settings = tandem::config::load(&tandem::config::Sources {
        file: Some(office.folder.join("other/tandem.toml")),
        ..Default::default()
    })
    .unwrap();
    let text = assert_verdicts(&office, &named, |row| &row.out).await;
    assert!(text.contains("\ntime_zone = \"Asia/Kolkata\""), "{text}");
    // Not a word is edited.
    std::fs::write(
        office.file(),
        format!("{text}\n[heartbeat]\nevery = \"200ms\"\n"),
    )
    .unwrap();
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let going: Vec<_> = named.iter().filter(|(_, row)| row.out != "no").collect();
    let arrived = |row: &Row, from: i32| -> Vec<(i32, String)> {
        let texts = row
            .good()
            .into_iter()
            .filter_map(|example| example.arrives.clone());
        (from..).zip(texts).collect()
    };
    let wanted = going
        .iter()
        .map(|(name, row)| (name.as_str(), row.cloud.as_str(), arrived(row, 1)));
    assert_values(&office.cloud, "first copy", wanted).await;
    assert_verified(&office, "first copy").await;

    let mut service = office.run();
    let mut changes = String::new();
    for (name, row) in &going {
        for (nth, example) in (0..).zip(row.good()) {
            let sent = literal(&example.sent);
            changes.push_str(&format!(
                "insert into {name} values ({}, {sent}); insert into {name} values ({}, null); update {name} set v = {sent} where id = {1}; ",
                11 + nth,
                21 + nth
            ));
        }
        changes.push_str(&format!(
            "update {name} set v = null where id = 1; update {name} set id = 3000 where id = 2; "
        ));
    }
    exec(&office.desktop, &changes).await;
    office.caught_up(&mut service).await;
    for from in [11, 21] {
        let wanted = going
            .iter()
            .map(|(name, row)| (name.as_str(), row.cloud.as_str(), arrived(row, from)));
        assert_values(&office.cloud, "stream", wanted).await;
    }
    assert_eq!(
        value(
            &office.cloud,
            "select coalesce(string_agg(\"table\" || ': ' || why, '; '), '') from tandem.quarantine"
        )
        .await,
        ""
    );
    assert_verified(&office, "stream").await;

    // Equal is equal for a swap too: it writes nothing; and what somebody broke is mended.
    let names: Vec<_> = going.iter().map(|(name, _)| name.as_str()).collect();
    let (code, out, said) = office
        .ask(&[&["swap", "--json"], &names[..]].concat())
        .await;
    assert_eq!(code, 0, "{out} {said}");
    for table in out.split("{\"table\"").skip(1) {
        assert!(
            table.contains("\"insert\":0,\"update\":0,\"delete\":0,"),
            "{table}"
        );
    }
    let broken = going.iter().map(|(name, _)| format!("update public.{name} set v = null where id = 11; delete from public.{name} where id = 100; "));
    exec(
        &office.cloud,
        &format!(
            "set role postgres; {} reset role",
            broken.collect::<String>()
        ),
    )
    .await;
    let (code, out, said) = office.ask(&["repair", "--apply"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_verified(&office, "repair").await;

    // What does not fit waits, is known, and goes once it fits.
    let (mut bad, mut good, mut count) = (String::new(), String::new(), 0);
    for (name, row) in &going {
        for (id, example) in (200..).zip(row.waiting()) {
            count += 1;
            bad.push_str(&format!(
                "insert into {name} values ({id}, {}); ",
                literal(&example.sent)
            ));
            good.push_str(&format!(
                "update {name} set v = {} where id = {id}; ",
                literal(&row.good()[0].sent)
            ));
        }
    }
    exec(&office.desktop, &bad).await;
    office.caught_up(&mut service).await;
    let parked = "select count(*) from tandem.quarantine";
    assert_eq!(value(&office.cloud, parked).await, count.to_string());
    let (_, out, said) = office.ask(&["verify"]).await;
    assert!(
        out.contains(&format!("equal but for {count} rows in quarantine")),
        "{out} {said}"
    );
    let (_, out, said) = office.ask(&["quarantine", "retry"]).await;
    assert_eq!(
        value(&office.cloud, parked).await,
        count.to_string(),
        "{out} {said}"
    );
    exec(&office.desktop, &good).await;
    office.caught_up(&mut service).await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    assert_verified(&office, "mended").await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_each_pair_of_types_comes_home_as_the_documentation_says() {
    let (mut office, rows) = office().await;
    let named: Vec<_> = { rows.iter() }
        .map(|row| (format!("h{}", row.at), row))
        .collect();
    let (mut settings, mut fill) = (String::new(), String::new());
    let phones = |row: &Row, name: &str, from: i32| -> String {
        let texts = row
            .good()
            .into_iter()
            .filter_map(|example| example.arrives.clone());
        let rows = (from..).zip(texts).map(|(id, text)| {
            format!(
                "insert into public.{name} values ({id}, {}, 'M'); ",
                literal(&text)
            )
        });
        rows.collect()
    };
    for (name, row) in &named {
        create(&office.desktop, name, &row.desktop, ", source char(1)").await;
        create(&office.cloud, name, &row.cloud, ", source char(1)").await;
        exec(
            &office.cloud,
            &format!("alter table public.{name} owner to postgres"),
        )
        .await;
        settings.push_str(&format!(
            "[[table]]\nname = \"{name}\"\nflow = \"reverse\"\n"
        ));
        fill.push_str(&phones(row, name, 1));
        fill.push_str(&format!(
            "insert into public.{name} values (100, null, 'M'); "
        ));
    }
    exec(&office.cloud, &fill).await;
    office.with_settings(&settings);
    office.settings = tandem::config::load(&tandem::config::Sources {
        file: Some(office.folder.join("other/tandem.toml")),
        ..Default::default()
    })
    .unwrap();
    let text = assert_verdicts(&office, &named, |row| &row.reverse).await;
    std::fs::write(
        office.file(),
        format!("{text}\n[heartbeat]\nevery = \"200ms\"\n"),
    )
    .unwrap();
    let mut service = office.run();
    let going: Vec<_> = named
        .iter()
        .filter(|(_, row)| row.reverse != "no")
        .collect();
    let at_home = |row: &Row, from: i32| -> Vec<(i32, String)> {
        let texts = row
            .good()
            .into_iter()
            .map(|example| example.reverse.clone());
        (from..).zip(texts).collect()
    };
    office.caught_up(&mut service).await;
    came_home(&office).await;
    let wanted = going
        .iter()
        .map(|(name, row)| (name.as_str(), row.desktop.as_str(), at_home(row, 1)));
    assert_values(&office.desktop, "what was there", wanted).await;
    assert_verified(&office, "what was there").await;
    let mut changes = String::new();
    for (name, row) in &going {
        changes.push_str(&phones(row, name, 11));
        if let Some(text) = row
            .good()
            .first()
            .and_then(|example| example.arrives.clone())
        {
            changes.push_str(&format!("update public.{name} set v = {} where id = 100; update public.{name} set v = null where id = 1; ", literal(&text)));
        }
    }
    exec(&office.cloud, &changes).await;
    came_home(&office).await;
    let wanted = going.iter().map(|(name, row)| {
        let mut wanted = at_home(row, 11);
        wanted.extend(at_home(row, 100).into_iter().take(1));
        (name.as_str(), row.desktop.as_str(), wanted)
    });
    assert_values(&office.desktop, "polls", wanted).await;
    let waiting =
        "select coalesce(string_agg(\"table\" || ': ' || why, '; '), '') from tandem.quarantine";
    assert_eq!(value(&office.cloud, waiting).await, "");
    assert_verified(&office, "polls").await;
    assert_eq!(
        value(&office.desktop, "select count(*) from tandem.conflict").await,
        "0"
    );
    assert_eq!(service.stop().await, 0);
}
