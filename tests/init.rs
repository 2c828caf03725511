//! `init` proposes settings that work as they stand.
#![allow(clippy::unwrap_used)]

mod support;

use support::office::{Office, Plan, exec, finish, load, tandem, until, value};
use support::servers::newest;

/// `init` for an office's servers, with what it printed and the file.
async fn proposed(office: &Office) -> (i32, String, String) {
    let (desktop, cloud) = urls(office);
    let out = office.folder.join("proposed.toml");
    let mut command = tandem();
    command
        .args(["init", "--desktop", &desktop, "--cloud", &cloud, "--out"])
        .arg(&out);
    let (code, said, errors) = finish(&mut command).await;
    let text = std::fs::read_to_string(out).unwrap_or_default();
    (code, format!("{said}{errors}"), text)
}

fn urls(office: &Office) -> (String, String) {
    let whole = std::fs::read_to_string(office.file()).unwrap();
    let urls = whole
        .lines()
        .filter_map(|line| line.strip_prefix("url = \""));
    let urls: Vec<_> = urls
        .map(|url| url.trim_end_matches('"').to_owned())
        .collect();
    (urls[0].clone(), urls[1].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn powercas_databases_give_settings_that_pass_and_copy_to_equality() {
    let office = Office::open(&Plan::powerca(&newest(), 0.05)).await;
    load(&office.cloud, &["phone"]).await;
    exec(&office.cloud, "select demo.phone(1)").await;
    let (code, said, text) = proposed(&office).await;
    assert_eq!(code, 0, "{said}");
    for wanted in [
        "cloud = \"reminder\"",
        "name = \"jobshead\"\nkey = []",
        "swap = \"1d\"",
        "# org_id = 1",
        "# Only on the cloud: ",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let again = proposed(&office).await;
    assert!(
        again.0 == 2 && again.1.contains("init never overwrites"),
        "{again:?}"
    );
    // At most five lines are edited: here none.
    let mut heartbeat = text.clone();
    heartbeat.push_str("\n[heartbeat]\nevery = \"200ms\"\n");
    std::fs::write(office.file(), heartbeat).unwrap();
    for check in [vec!["config", "check"], vec!["doctor"]] {
        let (code, out, said) = office.ask(&check).await;
        assert_eq!(code, 0, "{out} {said}");
    }
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let (code, out, said) = office.ask(&["verify"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert!(out.lines().count() > 10, "most tables travel: {out}");
    let service = office.run();
    exec(&office.desktop, "update mbstaff set name = name || '!'").await;
    let moved = value(
        &office.desktop,
        "select md5(string_agg(name, ',' order by staff_id)) from mbstaff",
    )
    .await;
    until(
        &office.cloud,
        &format!("select md5(string_agg(name, ',' order by staff_id)) = '{moved}' from mbstaff"),
    )
    .await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_products_databases_with_odd_names_and_what_does_not_fit() {
    let desktop = "create schema shop; create table shop.\"Order\" (\"No\" int primary key, total numeric(10,2), internal text); \
        create table stock (sku text, place text, amount int, primary key (sku, place)); create table photos (id int primary key, taken timestamp); create table only_here (id int)";
    let cloud = "create schema shop; create table shop.\"Order\" (\"No\" int primary key, total numeric(10,2), source text); \
        create table stock (id bigserial primary key, sku text, place text, amount int, unique (sku, place)); create table photos (id int primary key, taken timestamptz)";
    let office = Office::with_tables(&newest(), "", desktop, cloud).await;
    exec(
        &office.desktop,
        "insert into shop.\"Order\" values (1, 9.99, 'x'); insert into stock values ('a', 'b', 3)",
    )
    .await;
    let (code, said, text) = proposed(&office).await;
    assert!(
        code == 0 && said.contains("2 tables fit on both sides, 1 need a decision first"),
        "{said} {text}"
    );
    for wanted in [
        "name = \"shop.Order\"",
        "skip = [\"internal\"]",
        "key = [\"sku\", \"place\"]",
        "# photos: ",
        "# name = \"photos\"",
        "# Only on the desktop: only_here",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    std::fs::write(office.file(), text).unwrap();
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(
        value(
            &office.cloud,
            "select concat((select total from shop.\"Order\"), (select amount from stock))"
        )
        .await,
        "9.993"
    );
    let (code, out, said) = office.ask(&["verify"]).await;
    assert_eq!(code, 0, "{out} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_a_password_in_a_url_is_used_and_written_nowhere() {
    let office = Office::with_tables(
        &newest(),
        "",
        "create table a (id int primary key)",
        "create table a (id int primary key)",
    )
    .await;
    let (desktop, cloud) = urls(&office);
    let with = desktop.replacen("postgres@", "postgres:c4n4ry@", 1);
    let out = office.folder.join("proposed.toml");
    let mut command = tandem();
    command
        .args(["init", "--desktop", &with, "--cloud", &cloud, "--out"])
        .arg(&out);
    let (code, said, errors) = finish(&mut command).await;
    assert_eq!(code, 0, "{errors}");
    let text = std::fs::read_to_string(out).unwrap();
    assert!(!format!("{said}{errors}{text}").contains("c4n4ry"));
    assert!(
        said.contains("DESKTOP_DB_PASSWORD")
            && text.contains("password = \"${DESKTOP_DB_PASSWORD}\"")
    );
}

/// What has another name on the other side is asked for, not left out in silence; what can't be is refused at once.
#[tokio::test(flavor = "multi_thread")]
async fn other_names_are_asked_for_and_wrong_urls_are_named_by_their_flag() {
    let desktop = "create table kunden (id int primary key, \"straße\" text); create table tiere (id int primary key, art text, besitzer int)";
    let cloud = "create table kunden (id int primary key, strasse text, app_note text); create table patient (id int primary key, art text, besitzer int)";
    let office = Office::with_tables(&newest(), "", desktop, cloud).await;
    exec(
        &office.desktop,
        "insert into kunden values (1, 'Gasse 1'); insert into tiere values (1, 'cat', 1)",
    )
    .await;
    let (code, said, text) = proposed(&office).await;
    assert!(code == 0 && said.contains("2 remarks ask"), "{said} {text}");
    for wanted in [
        "skip = [\"straße\"]\n# Only in the cloud: strasse, app_note. If one of them is a column of skip under another name:\n# rename = { \"straße\" = \"strasse\" }",
        "# [[table]]\n# name = \"tiere\"\n# cloud = \"patient\"",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // Taken at their word, both work.
    let text = text
        .replace("skip = [\"straße\"]\n", "")
        .replace("# rename = { \"straße\"", "rename = { \"straße\"")
        .replace(
            "# [[table]]\n# name = \"tiere\"\n# cloud = \"patient\"",
            "[[table]]\nname = \"tiere\"\ncloud = \"patient\"",
        );
    std::fs::write(office.file(), text).unwrap();
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(
        value(
            &office.cloud,
            "select strasse || (select art from patient) from kunden"
        )
        .await,
        "Gasse 1cat"
    );
    // config show writes the name as TOML wants it.
    let (_, out, _) = office.ask(&["config", "show"]).await;
    assert!(out.contains("\"straße\" = \"strasse\""), "{out}");

    let (desktop, cloud) = urls(&office);
    for (here, there, says) in [
        (desktop.as_str(), "nonsense", "--cloud: "),
        ("nonsense", cloud.as_str(), "--desktop: "),
        (
            desktop.as_str(),
            desktop.as_str(),
            "one and the same database",
        ),
    ] {
        let mut command = tandem();
        let out = office.folder.join("never.toml");
        command
            .args(["init", "--desktop", here, "--cloud", there, "--out"])
            .arg(&out);
        let (code, _, said) = finish(&mut command).await;
        assert!(
            code == 2 && said.contains(says) && !out.exists(),
            "{code} {said}"
        );
    }
}
