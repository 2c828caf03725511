//! What differs between two readings, and what it needs.

use super::*;

const TABLES: &str = "[[table]]\nname = \"item\"\n[[table]]\nname = \"other\"\nswap = \"1h\"\n";

fn changes(before: &str, later: &str) -> [Vec<String>; 3] {
    let changes = good(before).changes(&good(later));
    [changes.at_once, changes.by_session, changes.by_restart]
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn each_setting_needs_what_it_needs_and_an_unknown_one_a_session() {
    assert_eq!(changes(TABLES, TABLES), [nothing(), nothing(), nothing()]);
    let later = "[forward]\nbatch_rows = 7\nslot = \"office\"\nskip = [\"a\"]\n[reverse]\nevery = \"2s\"\n[refill]\nsql = \"select 1\"\n[log]\nkeep = \"9d\"\n[tenant]\norg = 1\n";
    let [at_once, by_session, by_restart] = changes("", later);
    assert_eq!(
        at_once,
        ["forward.batch_rows", "reverse.every", "refill.sql"]
    );
    assert_eq!(by_session, ["tenant.org", "forward.skip"]);
    assert_eq!(by_restart, ["forward.slot", "log.keep"]);
}

#[test]
fn a_table_is_named_whatever_moved_in_the_file() {
    let later = TABLES.replace("1h", "2h");
    let moved = format!("# a line\n\n{later}");
    let [at_once, by_session, _] = changes(TABLES, &moved);
    assert_eq!(
        (at_once, by_session),
        (vec!["table.other.swap".to_owned()], nothing())
    );
    let later =
        "[[table]]\nname = \"third\"\n[[table]]\nname = \"other\"\nkey = []\nswap = \"2h\"\n";
    let [at_once, by_session, _] = changes(TABLES, later);
    assert_eq!(at_once, nothing(), "its session is a new one anyway");
    assert_eq!(
        by_session,
        [
            "table.third (new)",
            "table.other.key",
            "table.other.swap",
            "table.item (removed)"
        ]
    );
}

#[test]
fn p16_a_password_is_named_and_not_shown() {
    let folder = Folder::with(MINIMAL);
    let read = |word: &str| folder.load(&[("TANDEM_CLOUD_PASSWORD", word)]).unwrap();
    let changes = read(CANARY).changes(&read("another"));
    assert_eq!(changes.by_session, ["cloud.password"]);
    assert!(!format!("{changes:?}").contains(CANARY));
    let hook = |path: &str| {
        format!("[alert]\nafter = \"1m\"\n[alert.webhook]\nurl = \"https://h/{path}\"\n")
    };
    let [at_once, by_session, _] = super::changes::changes(&hook(CANARY), &hook("another"));
    assert_eq!(
        (at_once, by_session),
        (vec!["alert.webhook.url".to_owned()], nothing())
    );
}

#[test]
fn what_needs_a_restart_stays_as_it_was_and_is_said_again() {
    let first = good("");
    let later = good("[forward]\nslot = \"office\"\nbatch_rows = 7\n[log]\nformat = \"json\"\n");
    let held = later.clone().holding(&first);
    assert_eq!(
        (held.forward.slot.as_str(), held.forward.batch_rows),
        ("tandem", 7)
    );
    let again = held.changes(&later);
    assert_eq!(again.by_restart, ["forward.slot", "log.format"]);
    assert_eq!(again.taken_up(), nothing());
}
