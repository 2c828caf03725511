//! `init` proposes settings that work as they stand.

use crate::support::office::{Office, Plan, exec, finish, load, tandem, until, value};
use crate::support::servers::newest;

#[tokio::test(flavor = "multi_thread")]
async fn powercas_databases_give_settings_that_pass_and_copy_to_equality() {
    let office = Office::open(&Plan::powerca(&newest(), 0.05)).await;
    load(&office.cloud, &["phone"]).await;
    exec(&office.cloud, "select demo.phone(1)").await;
    let (code, said, text) = office.proposed().await;
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
    let again = office.proposed().await;
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
        create table stock (sku text, place text, amount int, primary key (sku, place)); create table photos (id int primary key, taken timestamp); create table spots (id int primary key, place point); create table only_here (id int)";
    let cloud = "create schema shop; create table shop.\"Order\" (\"No\" int primary key, total numeric(10,2), source text); \
        create table stock (id bigserial primary key, sku text, place text, amount int, unique (sku, place)); create table photos (id int primary key, taken timestamptz); create table spots (id int primary key, place int)";
    let office = Office::with_tables(&newest(), "", desktop, cloud).await;
    exec(
        &office.desktop,
        "insert into shop.\"Order\" values (1, 9.99, 'x'); insert into stock values ('a', 'b', 3)",
    )
    .await;
    let (code, said, text) = office.proposed().await;
    assert!(
        code == 0 && said.contains("3 tables fit on both sides, 1 need a decision first"),
        "{said} {text}"
    );
    for wanted in [
        "name = \"shop.Order\"",
        "skip = [\"internal\"]",
        "key = [\"sku\", \"place\"]",
        "# spots: ",
        "# name = \"spots\"",
        // The desktop's own zone says what a time without one means.
        "\ntime_zone = \"",
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
    let [desktop, cloud] = office.urls();
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
    let (code, said, text) = office.proposed().await;
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

    let [desktop, cloud] = office.urls();
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

/// The most common case: a web application's schema, the same on both sides. Keys that both sides can make travel, and so do times;
/// what a trigger of the cloud sets stays there.
#[tokio::test(flavor = "multi_thread")]
async fn a_web_applications_schema_that_both_sides_have_needs_no_edit() {
    let schema = "create table account (id uuid primary key default gen_random_uuid(), email text not null unique, created_at timestamptz not null default now(), updated_at timestamptz not null default now()); \
        create table post (id bigint primary key generated always as identity, author uuid not null references account, title text not null, created_at timestamptz not null default now()); \
        create table comment (id serial primary key, post_id bigint not null references post, words text, created_at timestamptz not null default now()); \
        create table tag (id int primary key generated by default as identity, name text unique)";
    let cloud = format!(
        "{schema}; create function touch() returns trigger language plpgsql as $$ begin new.updated_at = now(); return new; end $$; \
        create trigger touched before update on account for each row execute function touch()"
    );
    let office = Office::with_tables(&newest(), "", schema, &cloud).await;
    exec(
        &office.desktop,
        "insert into account (email, created_at) select n || '@example.org', '2020-01-01' from generate_series(1, 5) n; \
         insert into post (author, title, created_at) select id, 'post of ' || email, '2021-02-03' from account; \
         insert into comment (post_id, words, created_at) select id, 'nice', '2022-03-04' from post; insert into tag (name) values ('a'), ('b')",
    )
    .await;
    let (code, said, text) = office.proposed().await;
    assert!(
        code == 0 && said.contains("4 tables fit on both sides"),
        "{said} {text}"
    );
    for never in ["key = []", "swap =", "skip = [\"id", "skip = [\"created_at"] {
        assert!(!text.contains(never), "{never}: {text}");
    }
    assert!(
        text.contains(
            "skip = [\"updated_at\"]\n# updated_at: trigger touched of the cloud sets it"
        ),
        "{text}"
    );
    std::fs::write(
        office.file(),
        format!("{text}\n[heartbeat]\nevery = \"200ms\"\n"),
    )
    .unwrap();
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let mut service = office.run();
    exec(
        &office.desktop,
        "insert into account (email) values ('new@example.org'); insert into post (author, title) select id, 'new' from account where email like 'new%'; \
         insert into comment (post_id, words) select max(id), 'new' from post; update post set title = title || '!'; update comment set id = id + 100 where id = 1; delete from comment where id = 2",
    )
    .await;
    office.caught_up(&mut service).await;
    for sql in [
        "select string_agg(concat_ws(' ', id, email, created_at), ';' order by email) from account",
        "select string_agg(concat_ws(' ', id, author, title, created_at), ';' order by id) from post",
        "select string_agg(concat_ws(' ', id, post_id, words, created_at), ';' order by id) from comment",
        "select string_agg(concat_ws(' ', id, name), ';' order by id) from tag",
    ] {
        let rows = value(&office.desktop, sql).await;
        assert_eq!(value(&office.cloud, sql).await, rows);
        assert!(!rows.is_empty());
    }
    assert_eq!(
        value(&office.cloud, "select count(*) from tandem.quarantine").await,
        "0"
    );
    // Whoever adds a row in the cloud gets an id that the first copy did not bring.
    exec(
        &office.cloud,
        "insert into tag (name) values ('made in the cloud')",
    )
    .await;
    assert_eq!(
        value(&office.cloud, "select id from tag where name like 'made%'").await,
        "3"
    );
    let (code, out, said) = office.ask(&["doctor"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(service.stop().await, 0);
}
