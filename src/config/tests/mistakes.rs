//! What is wrong is found, all at once and in order, and said with its place.

use super::*;

#[test]
fn f05_all_problems_are_reported_in_the_files_order() {
    let found = bad(r#"[forward]
bach_rows = 5000
slot = "Office"
batch_rows = 0
batch_bytes = "8XB"
batch_wait = 50
memory_max = "1MB"
memory_max = "8MB"
[hartbeat]
every = "10s"
[heartbeat]
every = "2h"
[[table]]
cloud = "x"
[[table]]
name = "a"
key = "id"
skip = ["b", 1, "b"]
flwo = "forward"
tenant = "yes"
stream = 1
rename = { b = 2 }
"#);
    assert_eq!(
        found,
        [
            "2:1 unknown setting bach_rows",
            "3:8 slot = \"Office\" isn't a valid name",
            "4:14 batch_rows = 0 is out of range: 1 to 1000000",
            "5:15 batch_bytes = \"8XB\" isn't a size",
            "6:14 batch_wait = 50 must be a duration, not a whole number",
            "7:14 memory_max = \"1MB\" is out of range: 8MB to 64GB",
            "8:1 this key stands here a second time",
            "9:2 unknown setting hartbeat",
            "12:9 every = \"2h\" is out of range: 100ms to 1h",
            "13:1 this [[table]] has no name",
            "17:7 key must be a list, such as [\"a\", \"b\"]",
            "18:14 skip must be a string in quotes, not a whole number",
            "18:17 skip names b a second time",
            "19:1 unknown setting flwo",
            "20:10 tenant = \"yes\" must be true or false, not a string",
            "21:10 stream = 1 must be true or false, not a whole number",
            "22:16 b = 2 must be a string in quotes, not a whole number",
        ]
    );
}

#[test]
fn a_mistake_looks_like_this() {
    let folder = Folder::with(&format!("{MINIMAL}[forward]\nbach_rows = 5000\n"));
    let problems = folder.load(&[]).unwrap_err();
    let expected = "error: unknown setting bach_rows\n   --> tandem.toml:6:1\n    |\n  6 | bach_rows = 5000\n    | ^^^^^^^^^ \
                    not a setting of [forward]\n\nhint: did you mean batch_rows?";
    assert_eq!(problems.to_string(), expected);
}

#[test]
fn hints_know_what_was_meant() {
    for (text, hint) in [
        ("[forwrd]\nslot = \"a\"", "did you mean forward?"),
        ("[log]\nfromat = \"json\"", "did you mean format?"),
        ("[log]\nformat = \"jsn\"", "did you mean \"json\"?"),
        (
            "[log]\nbatch_rows = 1",
            "batch_rows is a setting of [forward]",
        ),
        (
            "[[table]]\nname = \"a\"\nrenme = {}",
            "did you mean rename?",
        ),
    ] {
        let problems = Folder::with(&format!("{MINIMAL}{text}"))
            .load(&[])
            .unwrap_err();
        assert_eq!(
            problems
                .items()
                .iter()
                .map(|p| p.hint.as_deref())
                .collect::<Vec<_>>(),
            [Some(hint)],
            "{text}"
        );
    }
}

#[test]
fn broken_toml_is_reported_with_what_stands_before_it() {
    let found = bad("[forward]\nbatch_rows = 0\nslot = \nlost = 1\n[log\nformat = \"nonsense\"\n");
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found[0].starts_with("2:14 batch_rows = 0 is out"),
        "{found:#?}"
    );
    assert!(
        found[1].starts_with("3:") && found[2].starts_with("5:"),
        "{found:#?}"
    );
    assert!(
        found[1..]
            .iter()
            .all(|problem| problem.contains("this isn't TOML: ")),
        "{found:#?}"
    );
}

#[test]
fn the_two_urls_are_required() {
    let problems = Folder::with("[desktop]\n").load(&[]).unwrap_err();
    let said: Vec<_> = problems
        .items()
        .iter()
        .map(|p| (p.line, p.message.as_str()))
        .collect();
    assert_eq!(
        said,
        [(1, "desktop.url is missing"), (0, "cloud.url is missing")]
    );
}

#[test]
fn what_asks_for_nothing_is_accepted() {
    good(
        "[reverse]\n[refill]\n[verify]\nevery = \"off\"\n[listen]\nhttp = \"off\"\n[forward]\nwal_held_drop = \"off\"\n\
          [[table]]\nname = \"a\"\nflow = \"forward\"\nstream = true\nswap = \"off\"\ntenant = true\nnarrow = \"refuse\"\n\
          on_mobile_row = \"keep\"\nconvert = {}\nlookup = {}\ncloud_owned = []\n[table.reverse]\n",
    );
}

#[test]
fn values_are_checked_by_their_kind() {
    for (text, says) in [
        (
            "[verify]\nevery = \"daily\"",
            "2:9 every = \"daily\" isn't a duration",
        ),
        (
            "[listen]\nhttp = \"9187\"",
            "2:8 http = \"9187\" isn't an address with a port",
        ),
        (
            "[[table]]\nname = \"a\"\nmax_shrink = 2",
            "3:14 max_shrink = 2 is out of range: 0 to 1",
        ),
        (
            "[[table]]\nname = \"a\"\norphans = \"drop\"",
            "3:11 orphans = \"drop\" isn't one of quarantine, null",
        ),
        (
            "[[table]]\nname = \"a\"\nconvert = { x = 1 }",
            "3:17 x = 1 must be a string in quotes, not a whole number",
        ),
        (
            "[[table]]\nname = \"a\"\nlookup = { x = 1 }",
            "3:16 x must be a table: { from, on, take }",
        ),
    ] {
        assert!(
            bad(text).iter().any(|found| found == says),
            "{text}: {:?}",
            bad(text)
        );
    }
}

#[test]
fn tables_are_told_apart() {
    let table = |name: &str, rest: &str| format!("[[table]]\nname = \"{name}\"\n{rest}\n");
    for (text, says) in [
        (
            table("a", "") + &table("a", ""),
            "5:8 table a stands here a second time; the first is on line 6",
        ),
        (
            table("a", "") + &table("public.a", "cloud = \"b\""),
            "5:8 table public.a stands here a second time; the first is on line 6",
        ),
        (
            table("a", "cloud = \"x\"") + &table("b", "cloud = \"public.x\""),
            "6:9 cloud table public.x is taken by a, line 6",
        ),
        (
            table("a", "cloud = \"b\"") + &table("b", ""),
            "5:8 cloud table public.b is taken by a, line 6",
        ),
        (
            table("a.b.c", ""),
            "2:8 name = \"a.b.c\" has more than one dot",
        ),
        (table("", ""), "2:8 name = \"\" isn't a name"),
        (
            "[[table]]\nname = '\"a.b'\n".to_owned(),
            "2:8 name = '\"a.b' has a quote that nothing closes",
        ),
        (
            "[[table]]\nname = 'shop.\"\"'\n".to_owned(),
            "2:8 name = 'shop.\"\"' isn't a name",
        ),
        (
            "[[table]]\nname = '\"a.b\"'\n[[table]]\nname = 'public.\"a.b\"'\n".to_owned(),
            "4:8 table public.\"a.b\" stands here a second time; the first is on line 6",
        ),
        (
            "[[table]]\nname = 'a'\ncloud = 's.\"x.y\"'\n[[table]]\nname = 's.\"x.y\"'\n"
                .to_owned(),
            "5:8 cloud table s.\"x.y\" is taken by a, line 6",
        ),
        (
            table("a", "tenant = { via = \"a.b.c\", on = { x = \"y\" } }"),
            "3:18 via = \"a.b.c\" has more than one dot",
        ),
        (
            table(
                "a",
                "lookup.x = { from = 'b\"c', on = { x = \"y\" }, take = \"z\" }",
            ),
            "3:21 from = 'b\"c' has a quote inside",
        ),
        (
            table("a", "key = [\"x\"]\nskip = [\"x\"]"),
            "3:7 key has x, which is skipped",
        ),
        (
            format!(
                "{}[forward]\nskip = [\"created_at\"]\n",
                table("a", "key = [\"created_at\"]")
            ),
            "3:7 key has created_at, which is skipped",
        ),
        (
            table("a", "key = [\"y\"]\nskip = [\"x\"]\nrename = { x = \"y\" }"),
            "3:7 key has y, which is skipped",
        ),
        (
            table("a", "rename = { x = \"y\", z = \"y\" }"),
            "3:10 rename fills y, which something else fills too",
        ),
        (
            table("a", "rename = { x = \"y\" }\nset = { y = 1 }"),
            "4:7 set fills y, which something else fills too",
        ),
    ] {
        assert!(
            bad(&text).iter().any(|found| found == says),
            "{text}: {:#?}",
            bad(&text)
        );
    }
    let single = "[table]\nname = \"a\"\n";
    assert_eq!(
        bad(single),
        ["1:2 table is a list, each table written under its own [[table]]"]
    );
    assert_eq!(bad("table = 1\n")[0], "1:1 unknown setting table");
}

#[test]
fn owner_values_differ() {
    assert_eq!(
        bad("[owner]\ndesktop = \"M\""),
        ["2:11 desktop = \"M\" is the same for the desktop's rows and the phone's"]
    );
}

#[test]
fn an_encoding_is_one_of_postgresqls_by_any_of_its_names() {
    let with = |encoding: &str| {
        let line = format!("url = \"postgres://me@d/db\"\nencoding = \"{encoding}\"\n");
        let text = MINIMAL.replacen("url = \"postgres://me@d/db\"\n", &line, 1);
        Folder::with(&format!("{text}[log]\nformat = \"jsn\"\n")).load(&[])
    };
    for (encoding, problems, hint) in [
        ("windows-1252", 1, "did you mean \"json\"?"),
        ("Iso8859-1", 1, "did you mean \"json\"?"),
        ("koi8rr", 2, "did you mean \"KOI8R\"?"),
        ("", 2, ""),
    ] {
        let found = with(encoding).unwrap_err();
        let items = found.items();
        assert_eq!(items.len(), problems, "{encoding}: {found}");
        let hints: Vec<_> = items
            .iter()
            .filter_map(|item| item.hint.as_deref())
            .collect();
        assert!(
            hint.is_empty() || hints.contains(&hint),
            "{encoding}: {found}"
        );
    }
    let found = with("EUC_TW").unwrap_err().to_string();
    assert!(
        found.contains("isn't an encoding that tandem reads as PostgreSQL does: UTF8, LATIN1"),
        "{found}"
    );
}
