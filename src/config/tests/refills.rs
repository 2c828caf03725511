//! `[refill]` alone, and `[[refill]]` several times.

use super::*;

const TABLES: &str = "[[table]]\nname = \"jobs\"\ncloud = \"job\"\n[[table]]\nname = \"prices\"\n";

fn parts(text: &str) -> Settings {
    good(&format!("{text}{TABLES}"))
}

#[test]
fn each_part_has_a_name_and_settings_of_its_own() {
    let settings = parts(
        "[[refill]]\nsql = \"select fill.jobs_of(1)\"\n[[refill]]\nsql = \"call b()\"\ntables = [\"job\"]\nwhen = \"changed\"\nwatch = [\"a.b\"]\n\
         [[refill]]\nname = \"other\"\nsql = \"insert into c select 1\"\nevery = \"1h\"\n[[refill]]\nsql = \"insert into c select 2\"\n",
    );
    let all = &settings.refills;
    let names: Vec<_> = all.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["fill.jobs_of", "job", "other", "refill 4"]);
    assert_eq!(all[1].tables, ["jobs"], "by its name in the cloud, too");
    assert_eq!((all[1].when, all[0].when), (When::Changed, When::Clock));
    assert!(all[1].fills("jobs") && !all[1].fills("prices") && all[0].fills("prices"));
    assert_eq!(row(&settings, "refill.other.every").0, "1h");
    let alone = parts("[refill]\nsql = \"select fill()\"\n");
    assert_eq!(
        (alone.refills.len(), alone.refills[0].name.as_str()),
        (1, "refill")
    );
    assert!(parts("[refill]\nevery = \"1h\"\n").refills.is_empty());
}

#[test]
fn parts_that_can_not_be_meant_are_said_with_their_place() {
    let text = format!(
        "[[refill]]\nsql = \"select a()\"\ntables = [\"jobs\", \"price\"]\n[[refill]]\nname = \"jobs\"\nsql = \"select b()\"\ntables = [\"job\"]\nsqll = 1\n\
         [[refill]]\ntables = [\"prices\"]\n{TABLES}"
    );
    assert_eq!(
        bad(&text),
        [
            "3:19 no [[table]] is called price",
            "5:8 another [[refill]] is called jobs, too",
            "7:11 jobs is filled by jobs already",
            "8:1 unknown setting sqll",
            "9:1 this [[refill]] has no sql",
        ]
    );
    let shared =
        "[[refill]]\nsql = \"select a()\"\ntables = [\"jobs\"]\nname = \"a\"\nshared = true\n";
    parts(&format!("{shared}{}", shared.replace("\"a\"", "\"b\"")));
    let folder = Folder::with(&format!("{MINIMAL}{shared}{TABLES}"));
    let said = folder.load(&[("TANDEM_REFILL_EVERY", "1h")]).unwrap_err();
    assert!(
        said.to_string()
            .contains("TANDEM_REFILL_EVERY can't be set"),
        "{said}"
    );
}

#[test]
fn a_part_counts_at_once_and_is_named_once() {
    let one = parts("[[refill]]\nsql = \"select a()\"\n[[refill]]\nsql = \"select b()\"\n");
    let two = parts(
        "[[refill]]\nsql = \"select a()\"\nevery = \"1h\"\n[[refill]]\nsql = \"select c()\"\n",
    );
    let changes = one.changes(&two);
    assert_eq!(
        changes.at_once,
        ["refill.a.every", "refill.c (new)", "refill.b (removed)"]
    );
    assert!(changes.by_session.is_empty() && changes.by_restart.is_empty());
}
