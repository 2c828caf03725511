//! Where passwords come from, and that none is ever shown.

use super::*;

#[test]
fn the_password_is_the_first_of_four() {
    let password = |lines: &str, url: &str, env: &[(&str, &str)]| {
        let folder = Folder::with(&MINIMAL.replace(
            "url = \"postgres://me@d",
            &format!("{lines}\nurl = \"{url}"),
        ));
        folder.write("pw.txt", "from-file\r\n");
        folder.write("pgpass", "*:*:*:*:from-pgpass\n");
        #[cfg(unix)]
        std::fs::set_permissions(
            folder.0.join("pgpass"),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        let pgpass = folder.0.join("pgpass");
        let mut all = env.to_vec();
        all.push(("PGPASSFILE", pgpass.to_str().unwrap()));
        let side = folder
            .load(&all)
            .unwrap_or_else(|problems| panic!("{problems}"))
            .desktop;
        let from = side.password_from.unwrap_or_default();
        let from = from.split(" file ").next().unwrap_or_default().to_owned();
        (
            side.endpoint
                .password
                .map_or_else(String::new, |secret| secret.expose().to_owned()),
            from,
        )
    };
    let (plain, full) = ("postgres://me@d", "postgres://me:in-url@d");
    let file = "password_file = \"pw.txt\"";
    let both = "password = \"given\"\npassword_file = \"nowhere\"";
    let env = ("TANDEM_DESKTOP_PASSWORD", "by-env");
    for (lines, url, env, expected, from) in [
        (both, full, &[][..], "given", "file tandem.toml:2"),
        (
            both,
            full,
            &[env][..],
            "by-env",
            "environment TANDEM_DESKTOP_PASSWORD",
        ),
        (
            file,
            full,
            &[env][..],
            "by-env",
            "environment TANDEM_DESKTOP_PASSWORD",
        ),
        (file, full, &[][..], "from-file", "password_file pw.txt"),
        (
            "",
            full,
            &[("TANDEM_DESKTOP_PASSWORD_FILE", "pw.txt")][..],
            "from-file",
            "password_file pw.txt",
        ),
        ("password = \"\"", full, &[][..], "in-url", "url"),
        ("", full, &[][..], "in-url", "url"),
        ("", plain, &[][..], "from-pgpass", "password"),
    ] {
        assert_eq!(
            password(lines, url, env),
            (expected.to_owned(), from.to_owned()),
            "{lines} {url}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_password_file_that_others_can_read_is_ignored_and_said() {
    let folder = Folder::with(MINIMAL);
    let path = folder.write(".pgpass", &format!("*:*:*:*:{CANARY}\n"));
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let settings = folder.load(&[]).unwrap();
    assert_eq!(settings.desktop.endpoint.password, None);
    let [warning] = settings.warnings.as_slice() else {
        panic!("{:?}", settings.warnings)
    };
    assert!(
        warning.contains("is ignored: others may read it; chmod 600"),
        "{warning}"
    );
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let settings = folder.load(&[]).unwrap();
    assert_eq!(
        settings
            .cloud
            .endpoint
            .password
            .as_ref()
            .map(Secret::expose),
        Some(CANARY)
    );
    assert!(row(&settings, "cloud.password").1.ends_with(".pgpass:1"));
}

#[test]
fn bad_password_files() {
    let folder = Folder::with(&MINIMAL.replace("[cloud]", "password_file = \"pw\"\n[cloud]"));
    let says = |folder: &Folder| folder.load(&[]).unwrap_err().items()[0].message.clone();
    assert!(
        says(&folder).starts_with("password_file = \"pw\" can't be read: "),
        "{}",
        says(&folder)
    );
    folder.write("pw", "\r\n");
    assert_eq!(says(&folder), "password_file = \"pw\" names an empty file");
}

#[test]
fn no_screen_shows_a_password() {
    let quiet = |folder: &Folder, env: &[(&str, &str)]| match folder.load(env) {
        Ok(settings) => {
            let all = format!("{settings:?}{settings:#?}{:?}", settings.rows());
            assert!(!all.contains(CANARY) && all.contains("***"), "{all}");
        }
        Err(problems) => {
            let all = format!("{problems}{problems:?}{problems:#?}");
            assert!(!all.contains(CANARY), "{all}");
        }
    };
    let sides = |lines: &str| MINIMAL.replace("url = \"postgres://me@d/db\"", lines);
    let url = |text: &str| sides(&format!("url = \"{text}\""));
    for file in [
        url(&format!("postgres://me:{CANARY}@d/db")),
        url(&format!("postgres://d/db?password={CANARY}")),
        url(&format!("postgres://d/db?password={CANARY}&nonsense=1")),
        url(&format!("postgres://me:{CANARY}@x@d/db")),
        url(&format!("postgres://me:{CANARY}/x@d/db")),
        url(&format!("postgres://me:1/{CANARY}?{CANARY}=x@d/db")),
        url(&format!("postgres://me:{CANARY}%@d/db")),
        url(&format!("postgres://me:{CANARY}")),
        url(&format!("mysql://me:{CANARY}@d")),
        url("postgres://me:${PW}@d/db"),
        url("postgres://me:${PW}@d/db?nonsense=1"),
        url("${PW}"),
        url(&format!("postgres://me:{CANARY}@d/${{MISSING}}")),
        sides(&format!(
            "url = \"postgres://me@d/db\"\npassword = \"{CANARY}\""
        )),
        sides(&format!(
            "url = \"postgres://me@d/db\"\npassword = [\"{CANARY}\"]"
        )),
        sides(&format!(
            "url = \"postgres://me@d/db\"\npassword = {{ x = \"{CANARY}\" }}"
        )),
        sides(&format!("password = \"{CANARY}\"\npassword = \"{CANARY}\"")),
        sides(&format!("password = \"{CANARY}")),
        sides(&format!("password = {CANARY}")),
        sides(&format!("password \"{CANARY}\"")),
        sides(&format!("password = \"x\n{CANARY}\"")),
        sides(&format!("password = \"${{MISSING}}{CANARY}\"")),
        sides(&format!("pasword = \"{CANARY}\"")),
        sides(&format!("pwd = \"{CANARY}\"")),
        sides(&format!("geheim = \"{CANARY}\"")),
        sides("url = \"postgres://me@d/db\"\npassword = \"${PW}\"")
            + "[forward]\nbatch_bytes = \"${PW}\"\nslot = \"${PW}\"\n",
        format!(
            "desktop = {{ url = \"postgres://me@d/db\", password = \"{CANARY}\", nonsense = 1 }}\n[cloud]\nurl = \"postgres://c\""
        ),
    ] {
        quiet(&Folder::with(&file), &[("PW", CANARY)]);
    }
    let folder = Folder::with(MINIMAL);
    quiet(&folder, &[("TANDEM_DESKTOP_PASSWORD", CANARY)]);
    quiet(&folder, &[("TANDEM_DESKTOP_PASWORD", CANARY)]);
    quiet(
        &folder,
        &[("TANDEM_DESKTOP_URL", &format!("postgres://me:{CANARY}@d"))],
    );
    quiet(
        &folder,
        &[("TANDEM_DESKTOP_URL", &format!("postgres://me:{CANARY}"))],
    );
}
