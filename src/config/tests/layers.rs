//! Defaults, files, `.env`, variables and flags: what counts and what is shown of it.

use super::*;

#[test]
fn defaults_are_the_contracts() {
    let settings = good("");
    let shown: Vec<String> = settings
        .rows()
        .iter()
        .filter(|row| row.from == "default")
        .map(|row| format!("{}={}", row.key, row.value))
        .collect();
    let expected = [
        "replicator=",
        "desktop.password_file=",
        "desktop.password=",
        "desktop.encoding=",
        "desktop.time_zone=",
        "cloud.password_file=",
        "cloud.password=",
        "cloud.statement_timeout=10m",
        "owner.column=source",
        "owner.desktop=D",
        "owner.mobile=M",
        "forward.slot=tandem",
        "forward.publication=tandem",
        "forward.skip=[]",
        "forward.batch_rows=5000",
        "forward.batch_bytes=16MB",
        "forward.batch_wait=50ms",
        "forward.memory_max=64MB",
        "forward.wal_held_max=4GB",
        "forward.wal_held_drop=off",
        "reverse.every=1s",
        "reverse.skip=[]",
        "reverse.then=",
        "refill.name=",
        "refill.sql=",
        "refill.every=15m",
        "refill.when=clock",
        "refill.min_every=2s",
        "refill.watch=[]",
        "refill.tables=[]",
        "refill.shared=false",
        "copy.check_foreign_keys=each",
        "heartbeat.every=10s",
        "verify.every=off",
        "listen.http=off",
        "log.format=auto",
        "log.file=off",
        "log.keep=30d",
        "alert.after=5m",
        "alert.lag=15m",
        "alert.repeat=6h",
        "alert.daily=off",
        "alert.mail.host=",
        "alert.mail.tls=starttls",
        "alert.mail.port=587",
        "alert.mail.ca=system",
        "alert.mail.from=",
        "alert.mail.to=",
        "alert.mail.user=",
        "alert.mail.password_file=",
        "alert.mail.password=",
        "alert.webhook.url=",
        "alert.webhook.format=slack",
        "alert.webhook.header=",
        "alert.webhook.ca=system",
    ];
    assert_eq!(shown, expected);
    assert_eq!(settings.forward.memory_max, 64 << 20);
    assert_eq!(
        (
            settings.tables.len(),
            settings.warnings.len(),
            settings.tenant.len()
        ),
        (0, 0, 0)
    );
}

#[test]
fn a_whole_file() {
    let settings = good(
        r#"
[tenant]
org_id = 1
branch = "north"
[forward]
skip = []
batch_rows = 10
batch_bytes = 1048576
memory_max = "8MB"
[log]
file = "logs"
format = "json"
[[table]]
name = "jobshead"
[[table]]
name = "sales.visits"
cloud = "app.visit"
flow = "forward"
key = ["org_id", "visit_no"]
stream = true
swap = "off"
tenant = false
skip = ["v_internal"]
rename = { sporgid = "staff_id", a = "b" }
set = { zebra = 1, createdby = "sync", ok = true, n = 1.50 }
narrow = "refuse"
on_mobile_row = "keep"
kept_out = "quarantine"
[[table]]
name = "bag"
key = []
tenant = true
"#,
    );
    assert_eq!(
        settings.tenant,
        [
            ("org_id".into(), "1".into()),
            ("branch".into(), "north".into())
        ]
    );
    assert_eq!(
        (settings.forward.batch_rows, settings.forward.batch_bytes),
        (10, 1 << 20)
    );
    assert_eq!(settings.forward.skip, Vec::<String>::new());
    assert_eq!(settings.log.format, Format::Json);
    assert_eq!(
        settings.log.file,
        settings
            .file
            .as_ref()
            .map(|file| file.with_file_name("logs"))
    );
    let [head, visits, bag] = settings.tables.as_slice() else {
        panic!("{:?}", settings.tables)
    };
    assert_eq!(
        (
            head.schema.as_str(),
            head.relation.as_str(),
            head.key.as_ref()
        ),
        ("public", "jobshead", None)
    );
    assert_eq!(
        (head.cloud.schema.as_str(), head.cloud.relation.as_str()),
        ("public", "jobshead")
    );
    assert_eq!((head.line, visits.line), (18, 20));
    assert_eq!(
        (
            visits.name.as_str(),
            visits.schema.as_str(),
            visits.relation.as_str()
        ),
        ("sales.visits", "sales", "visits")
    );
    assert_eq!(
        (visits.cloud.schema.as_str(), visits.cloud.relation.as_str()),
        ("app", "visit")
    );
    assert_eq!(visits.tenant, TenantRule::None);
    assert_eq!(
        visits.rename,
        [
            ("sporgid".into(), "staff_id".into()),
            ("a".into(), "b".into())
        ]
    );
    let set: Vec<String> = visits
        .set
        .iter()
        .map(|(column, value)| format!("{column}={value}"))
        .collect();
    assert_eq!(set, ["zebra=1", "createdby=sync", "ok=true", "n=1.50"]);
    assert_eq!(
        (bag.key.clone(), &bag.tenant),
        (Some(Vec::new()), &TenantRule::Inherit)
    );
    assert_eq!(
        row(&settings, "table.sales.visits.cloud"),
        ("app.visit".into(), "file tandem.toml:21".into())
    );
    assert_eq!(
        row(&settings, "table.jobshead.cloud"),
        ("jobshead".into(), "default".into())
    );
    assert_eq!(row(&settings, "table.bag.key").0, "[]");
}

/// A value, different from the default, for the variable of each setting.
fn other_value(key: &str) -> &'static str {
    match key {
        "desktop.url" | "cloud.url" => "postgres://env@elsewhere/db",
        "desktop.password_file" | "cloud.password_file" | "alert.mail.password_file" => "pw.txt",
        "alert.after" | "alert.lag" | "alert.repeat" => "2m",
        "alert.daily" => "08:00",
        "alert.mail.port" => "26",
        "alert.mail.tls" => "implicit",
        "alert.mail.from" | "alert.mail.to" => "b@c.example",
        "alert.webhook.url" => "https://elsewhere.example/x",
        "alert.webhook.format" => "json",
        "alert.webhook.header" => "A: b",
        "copy.check_foreign_keys" => "once",
        "log.format" => "json",
        "desktop.encoding" => "KOI8R",
        "listen.http" => "[::1]:80",
        "forward.batch_rows" => "7",
        key if key.ends_with("_bytes") || key.contains("_max") || key.ends_with("_drop") => "32MB",
        key if key.ends_with(".every") || key.ends_with("_timeout") || key.ends_with("_wait") => {
            "2s"
        }
        "log.keep" => "9d",
        "refill.when" => "changed",
        "refill.shared" => "true",
        "refill.min_every" => "7s",
        _ => "other",
    }
}

#[test]
fn every_scalar_has_its_variable_and_its_flag() {
    let alert = "[alert.mail]\nhost = \"m\"\nfrom = \"a@b.example\"\nto = \"a@b.example\"\nuser = \"u\"\npassword = \"p\"\n[alert.webhook]\nurl = \"https://h/x\"\n";
    let folder = Folder::with(&format!("{MINIMAL}[tenant]\norg_id = 1\n{alert}"));
    folder.write("pw.txt", "from-file");
    let rows = folder.load(&[]).unwrap().rows();
    let scalars: Vec<&Row> = rows.iter().filter(|row| row.variable.is_some()).collect();
    assert_eq!(scalars.len(), 54, "{scalars:#?}");
    for row in scalars {
        let variable = row.variable.clone().unwrap();
        assert_eq!(
            variable,
            format!("TANDEM_{}", row.key.replace('.', "_").to_uppercase())
        );
        let value = if row.key == "verify.every" {
            "2m"
        } else {
            other_value(&row.key)
        };
        let by_env = folder.load(&[(&variable, value)]);
        let mut sources = folder.sources(&[(&variable, "shadowed")]);
        sources.flags = vec![(row.key.clone(), value.to_owned())];
        for (loaded, from) in [
            (by_env, format!("environment {variable}")),
            (load(&sources), "flag".to_owned()),
        ] {
            match loaded {
                Ok(settings) => {
                    let (shown, origin) = super::row(&settings, &row.key);
                    assert_eq!(origin, from, "{}", row.key);
                    let hidden = shown == "***";
                    assert!(shown != row.value || hidden, "{} stayed {shown}", row.key);
                }
                Err(problems) => assert!(
                    problems.to_string().contains("asks for"),
                    "{}: {problems}",
                    row.key
                ),
            }
        }
    }
}

#[test]
fn the_environment_beats_the_file_and_reaches_the_settings() {
    let folder = Folder::with(&format!(
        "{MINIMAL}[forward]\nbatch_rows = 1\nslot = \"${{MISSING}}\"\n"
    ));
    let settings = folder
        .load(&[
            ("TANDEM_FORWARD_BATCH_ROWS", "9"),
            ("TANDEM_FORWARD_SLOT", "s"),
            ("TANDEM_REPLICATOR", "office-1"),
            ("TANDEM_DESKTOP_URL", "postgres://x@y/z"),
            ("TANDEM_TENANT_ORG_ID", "5"),
        ])
        .unwrap();
    assert_eq!(
        (settings.forward.batch_rows, settings.forward.slot.as_str()),
        (9, "s")
    );
    assert_eq!(
        (
            settings.replicator.as_deref(),
            settings.desktop.endpoint.user.as_str()
        ),
        (Some("office-1"), "x")
    );
    assert_eq!(settings.tenant, [("org_id".into(), "5".into())]);
}

#[test]
fn f05_u29_variables_and_flags_that_mean_nothing_are_errors() {
    let folder = Folder::with(MINIMAL);
    let fine = [
        ("TANDEM_PG_BIN", "/x"),
        ("TANDEM_TEST_ANY", "1"),
        ("PATH", "/bin"),
        ("TANDEMX", "1"),
    ];
    folder.load(&fine).unwrap();
    for (name, value, message, hint) in [
        (
            "TANDEM_FORWARD_BACH_ROWS",
            CANARY,
            "unknown environment variable TANDEM_FORWARD_BACH_ROWS",
            Some("did you mean TANDEM_FORWARD_BATCH_ROWS?"),
        ),
        (
            "TANDEM_X",
            CANARY,
            "unknown environment variable TANDEM_X",
            None,
        ),
        (
            "TANDEM_FORWARD_SKIP",
            "a",
            "TANDEM_FORWARD_SKIP can't be set: forward.skip is a list",
            Some("set forward.skip in the settings file"),
        ),
        (
            "TANDEM_FORWARD_BATCH_ROWS",
            "many",
            "TANDEM_FORWARD_BATCH_ROWS = \"many\" isn't a whole number (environment)",
            None,
        ),
    ] {
        let problems = folder.load(&[(name, value)]).unwrap_err();
        let [problem] = problems.items() else {
            panic!("{problems}")
        };
        assert_eq!(
            (
                problem.message.as_str(),
                problem.hint.as_deref(),
                problem.line
            ),
            (message, hint, 0)
        );
        assert!(!problems.to_string().contains(CANARY));
    }
    let mut sources = folder.sources(&[]);
    sources.flags = vec![("forward.solt".into(), "x".into())];
    assert_eq!(
        load(&sources).unwrap_err().to_string(),
        "error: unknown setting forward.solt (flag)\n\nhint: did you mean forward.slot?"
    );
}

#[test]
fn names_come_from_the_environment_then_from_dotenv() {
    let file =
        MINIMAL.replace("me@d", "${WHO}:${PW}@d") + "[tenant]\na = \"${A}\"\nb = \"$${A}\"\n";
    let folder = Folder::with(&file);
    folder.write(
        ".env",
        "\u{feff}export A='from file'\r\nWHO=x\r\nPW=\"p@ss/w:rd%\"\r\n",
    );
    let settings = folder.load(&[("WHO", "from env")]).unwrap();
    assert_eq!(
        settings.tenant,
        [
            ("a".into(), "from file".into()),
            ("b".into(), "${A}".into())
        ]
    );
    assert_eq!(settings.desktop.endpoint.user, "from env");
    assert_eq!(
        settings
            .desktop
            .endpoint
            .password
            .as_ref()
            .map(Secret::expose),
        Some("p@ss/w:rd%")
    );
    assert_eq!(settings.desktop.password_from.as_deref(), Some("url"));
}

#[test]
fn a_missing_name_is_shown_where_it_stands() {
    let folder = Folder::with(&format!("{MINIMAL}[tenant]\na = \"x${{NOPE}}\"\n"));
    let problems = folder.load(&[]).unwrap_err().to_string();
    assert!(
        problems.contains("tandem.toml:6:7") && problems.contains("|       ^^^^^^^ not set"),
        "{problems}"
    );
    folder.write(".env", "NOPE='x\n");
    let problems = folder.load(&[]).unwrap_err().to_string();
    assert!(
        problems.contains("hint: a line of .env could not be read, .env:1: a ' isn't closed"),
        "{problems}"
    );
    assert_eq!(
        bad("[tenant]\na = \"${\"")[0],
        "2:5 a ${ isn't followed by a name and a }"
    );
}

#[test]
fn the_file_is_found_and_its_absence_explained() {
    let folder = Folder::new();
    let here = folder.0.join("tandem.toml").display().to_string();
    let said = folder.load(&[]).unwrap_err().to_string();
    assert!(
        said.contains(&format!("there is no settings file {here}"))
            && said.contains("--config or TANDEM_CONFIG"),
        "{said}"
    );
    let said = folder
        .load(&[("TANDEM_CONFIG", "x.toml")])
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("x.toml") && said.contains("TANDEM_CONFIG names it"),
        "{said}"
    );

    folder.write("a/one.toml", &MINIMAL.replace("me@d", "one@d"));
    folder.write("two.toml", &MINIMAL.replace("me@d", "two@d"));
    let env = [("TANDEM_CONFIG", "two.toml")];
    assert_eq!(folder.load(&env).unwrap().desktop.endpoint.user, "two");
    let mut sources = folder.sources(&env);
    sources.file = Some("a/one.toml".into());
    let settings = load(&sources).unwrap();
    assert_eq!(
        (settings.desktop.endpoint.user.as_str(), settings.file),
        ("one", Some(folder.0.join("a/one.toml")))
    );
}

#[test]
fn certificates_and_windows_files_are_read() {
    let folder = Folder::new();
    let file = format!(
        "\u{feff}{}",
        MINIMAL
            .replace("c/db", "c/db?sslmode=verify-full&sslrootcert=prod.crt")
            .replace('\n', "\r\n")
    );
    folder.write("etc/t.toml", &file);
    let settings = folder.load(&[("TANDEM_CONFIG", "etc/t.toml")]).unwrap();
    assert_eq!(
        settings.cloud.endpoint.ssl_root_cert,
        Some(RootCert::File(folder.0.join("etc/prod.crt")))
    );
    assert_eq!(row(&settings, "cloud.url").1, "file etc/t.toml:4");
    std::fs::write(folder.0.join("bad.toml"), b"a = 1\nb = \"\xff\"").unwrap();
    let said = folder
        .load(&[("TANDEM_CONFIG", "bad.toml")])
        .unwrap_err()
        .to_string();
    assert!(said.contains("bad.toml:2 isn't UTF-8"), "{said}");
}
