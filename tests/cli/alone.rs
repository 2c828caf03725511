//! Without a server: help, arguments, settings.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::office::{finish, tandem};

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(settings: &str) -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "cli-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("tandem.toml"), settings).unwrap();
        Folder(folder)
    }

    async fn ask(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
        let mut command = tandem();
        finish(
            command
                .args(arguments)
                .envs(variables.iter().copied())
                .current_dir(&self.0),
        )
        .await
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SIDES: &str = "[desktop]\nurl = \"postgres://d@127.0.0.1:1/d\"\n[cloud]\nurl = \"postgres://c@127.0.0.1:1/c\"\n";

async fn said(arguments: &[&str]) -> (i32, String, String) {
    finish(tandem().args(arguments)).await
}

#[tokio::test]
async fn help_is_an_answer_that_fits_a_screen() {
    let (code, help, nothing) = said(&["--help"]).await;
    assert_eq!((code, nothing.as_str()), (0, ""));
    assert!(help.lines().count() <= 40, "{} lines", help.lines().count());
    for line in help.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
    }
    for wanted in [
        "run",
        "lag",
        "wait",
        "demo",
        "--config",
        "TANDEM_CONFIG",
        "Exit status",
    ] {
        assert!(help.contains(wanted), "{wanted}");
    }
    for command in [
        "run",
        "lag",
        "wait",
        "demo",
        "quarantine",
        "config",
        "status",
        "completions",
        "uninstall",
        "init",
        "doctor",
        "bootstrap",
        "swap",
        "verify",
        "repair",
        "top",
        "fleet",
    ] {
        let (code, help, _) = said(&[command, "--help"]).await;
        assert!(
            code == 0 && help.contains("Usage: tandem") && help.lines().count() <= 40,
            "{help}"
        );
    }
    let (code, version, _) = said(&["--version"]).await;
    assert_eq!(
        (code, version),
        (0, format!("tandem {}\n", env!("CARGO_PKG_VERSION")))
    );
    // Nobody asked: the same help, as a mistake.
    let (code, out, help) = said(&[]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(help.contains("Usage: tandem"));
}

#[tokio::test]
async fn unknown_words_on_the_command_line_are_exit_2() {
    for (arguments, named) in [
        (&["lagg"][..], "lagg"),
        (&["run", "--frob"], "--frob"),
        (&["lag", "--max", "soon"], "soon"),
        (&["wait", "--timeout", "5"], "5"),
        (&["--color", "pink", "lag"], "pink"),
        (&["lag", "more"], "more"),
        (&["-q", "-v", "run"], "--verbose"),
    ] {
        let (code, out, error) = said(arguments).await;
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(error.contains(named), "{error}");
    }
}

#[tokio::test]
async fn without_a_settings_file_every_command_says_where_it_looked() {
    let folder = Folder::new("");
    std::fs::remove_file(folder.0.join("tandem.toml")).unwrap();
    for command in ["run", "lag", "wait", "status"] {
        let (code, out, error) = folder.ask(&[command], &[]).await;
        assert_eq!((code, out.as_str()), (2, ""), "{command}");
        for wanted in [
            "no settings file",
            "tandem.toml",
            "--config",
            "TANDEM_CONFIG",
        ] {
            assert!(error.contains(wanted), "{wanted} in {error}");
        }
    }
    let (code, _, error) = folder
        .ask(&["lag"], &[("TANDEM_CONFIG", "elsewhere.toml")])
        .await;
    assert!(code == 2 && error.contains("elsewhere.toml"), "{error}");
}

const MISTAKES: &str = r#"[desktop]
url = "postgres://postgres@localhost/db?sslmode=requirre"
[cloud]
url = "postgres://postgres@localhost/db"
[forward]
bach_rows = 5000
batch_wait = "50 parsecs"
[hartbeat]
every = "1s"
[[table]]
name = "a"
keys = ["id"]
"#;

#[tokio::test]
async fn all_mistakes_are_said_at_once_with_their_places() {
    let folder = Folder::new(MISTAKES);
    for command in ["run", "lag", "wait"] {
        let (code, out, error) = folder.ask(&[command], &[]).await;
        assert_eq!((code, out.as_str()), (2, ""));
        let places: Vec<_> = error
            .lines()
            .filter_map(|line| line.split_once("--> "))
            .map(|(_, place)| place)
            .collect();
        assert_eq!(
            places,
            [
                "tandem.toml:2:7",
                "tandem.toml:6:1",
                "tandem.toml:7:14",
                "tandem.toml:8:2",
                "tandem.toml:12:1"
            ]
        );
        for meant in ["batch_rows", "heartbeat", "key"] {
            assert!(error.contains(&format!("did you mean {meant}?")), "{error}");
        }
    }
}

#[tokio::test]
async fn every_setting_of_the_contract_is_taken() {
    let all = "[verify]\nevery = \"1d\"\n[listen]\nhttp = \"127.0.0.1:9187\"\n[forward]\nwal_held_drop = \"8GB\"\n\
        [refill]\nsql = \"select fill()\"\n[reverse]\nthen = \"select hand_on()\"\n\
        [[table]]\nname = \"a\"\nflow = \"both\"\norphans = \"null\"\non_mobile_row = \"apply\"\nnarrow = \"quarantine\"\nswap = \"1d\"\n\
        [table.reverse]\non_conflict = \"keep\"\ndeletes = false\n";
    let folder = Folder::new(&format!("{SIDES}{all}"));
    let (code, out, error) = folder.ask(&["config", "check"], &[]).await;
    assert_eq!(code, 0, "{out} {error}");
}

#[tokio::test]
async fn variables_are_settings_and_a_wrong_one_is_named() {
    let folder = Folder::new(SIDES);
    for (variable, value, wanted) in [
        (
            "TANDEM_FORWARD_BATCH_ROWS",
            "many",
            "TANDEM_FORWARD_BATCH_ROWS",
        ),
        ("TANDEM_FORWARD_BACH_ROWS", "5", "TANDEM_FORWARD_BATCH_ROWS"),
        ("TANDEM_DESKTOP_URL", "mysql://x", "TANDEM_DESKTOP_URL"),
    ] {
        let (code, _, error) = folder.ask(&["lag"], &[(variable, value)]).await;
        assert_eq!(code, 2, "{variable}");
        assert!(
            error.contains(wanted) && error.contains(variable),
            "{error}"
        );
    }
    // These are ours too, but no settings: the demo reads them.
    let ours = [
        ("TANDEM_PG_TMP", "/tmp"),
        ("TANDEM_CACHE", "/tmp"),
        ("TANDEM_PG_BIN", "/tmp"),
    ];
    let (code, _, error) = folder.ask(&["lag"], &ours).await;
    assert_eq!(code, 4, "{error}");
    // The environment wins over the file, in which nothing listens on this port either.
    let elsewhere = [
        ("TANDEM_CLOUD_URL", "postgres://c@127.0.0.1:2/c"),
        ("TANDEM_DESKTOP_URL", "postgres://d@127.0.0.1:2/d"),
    ];
    let (code, _, error) = folder.ask(&["lag"], &elsewhere).await;
    assert!(code == 4 && error.contains("127.0.0.1:2"), "{error}");
}

/// Mistakes that a line with a password can have.
const CANARIES: [&str; 11] = [
    "password = CANARY",
    "pasword = \"CANARY\"",
    "password = \"CANARY",
    "password = [\"CANARY\"]",
    "password = \"${CANARY\"",
    "password=\"CANARY\" x",
    "PASSWORD = \"CANARY\"",
    "url = \"postgres://u:CANARY@h:port/db\"",
    "url = \"postgres://u:CANARY@h/db?sslmod=require\"",
    "url = \"postgres://u:p@h/db?password=CANARY&x=y\"",
    "url = \"postgres://u:x CANARY@h:5432:6/db\"",
];

#[tokio::test]
async fn p16_a_mistake_in_a_line_with_a_password_does_not_show_it() {
    for line in CANARIES {
        let url = if line.starts_with("url") {
            ""
        } else {
            "url = \"postgres://d@127.0.0.1:1/d\"\n"
        };
        let folder = Folder::new(&format!(
            "[desktop]\n{url}{line}\n[cloud]\nurl = \"postgres://c@127.0.0.1:1/c\"\n"
        ));
        let (code, out, error) = folder.ask(&["-vv", "lag"], &[]).await;
        assert_eq!((code, out.as_str()), (2, ""), "{line}: {error}");
        assert!(!error.contains("CANARY"), "{line}: {error}");
    }
}

#[tokio::test]
async fn config_says_what_counts_and_why_and_no_secret() {
    let folder = Folder::new(
        "[desktop]\nurl = \"postgres://d:CANARY@127.0.0.1:1/d\"\n[cloud]\nurl = \"postgres://c@127.0.0.1:1/c\"\npassword = \"CANARY\"\n[[table]]\nname = \"visits\"\nskip = [\"a\"]\n",
    );
    let (code, out, said) = folder.ask(&["config", "check"], &[]).await;
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    let variables = [("TANDEM_FORWARD_BATCH_ROWS", "77")];
    let (code, text, _) = folder.ask(&["config", "show"], &variables).await;
    assert_eq!(code, 0);
    let (code, out, _) = folder.ask(&["config", "show", "--json"], &variables).await;
    assert_eq!(code, 0);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["schema"], 1);
    let row = |key: &str| {
        let rows = document["rows"].as_array().unwrap();
        let found = rows.iter().find(|row| row["key"] == key);
        let row = found.unwrap_or_else(|| panic!("{key} in {out}"));
        (
            row["value"].as_str().unwrap().to_owned(),
            row["from"].as_str().unwrap().to_owned(),
        )
    };
    let (value, from) = row("forward.batch_rows");
    assert_eq!(value, "77");
    assert!(from.contains("TANDEM_FORWARD_BATCH_ROWS"), "{from}");
    assert_eq!(row("forward.slot").1, "default");
    let (value, from) = row("cloud.password");
    assert_eq!(value, "***");
    assert!(from.contains("tandem.toml:5"), "{from}");
    for said in [&text, &out] {
        assert!(!said.contains("CANARY"), "{said}");
    }
    let line = text
        .lines()
        .find(|line| line.starts_with("forward.batch_rows"))
        .unwrap();
    assert!(
        line.contains("77") && line.contains("environment"),
        "{line}"
    );
    // A mistake is the same answer as for every command.
    let folder = Folder::new("[desktop]\nurll = \"x\"\n");
    let (code, out, error) = folder.ask(&["config", "check"], &[]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("urll"), "{error}");
}

#[tokio::test]
async fn completions_are_scripts_for_each_shell() {
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef tandem"),
        ("fish", "complete -c tandem"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let (code, out, error) = said(&["completions", shell]).await;
        assert_eq!((code, error.as_str()), (0, ""), "{shell}");
        assert!(
            out.contains(word) && out.contains("quarantine"),
            "{shell}: {out}"
        );
    }
    let (code, out, error) = said(&["completions", "dos"]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("powershell"), "{error}");
}
