//! The page at `/` in a real browser: it shows what is, asks nobody else, and shows text from databases as text.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::devtools::Steered;
use crate::support::office::{exec, until};
use crate::support::watched::{DDL, Watched, watched_with};
use tokio::process::Command;

/// A browser without a window, where there is one; `.ci/run` sees to it.
fn browser() -> Option<PathBuf> {
    let names = [
        "chromium-headless-shell",
        "chromium",
        "chromium-browser",
        "google-chrome",
    ];
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let programs = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = programs.into_iter().find(|program| program.is_file());
    if found.is_none() {
        println!("skipped: no browser is installed (chromium-headless-shell)");
    }
    found
}

/// The page as the browser has it after its script has looked, and every address that it asked for.
async fn seen(it: &Watched, browser: &PathBuf) -> (String, Vec<String>) {
    let folder = it.office.folder.join("browser");
    let log = folder.join("net.json");
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
        ])
        .args(["--dump-dom", "--virtual-time-budget=4000"])
        .arg(format!("--user-data-dir={}", folder.display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("http://127.0.0.1:{}/", it.port))
        .stdin(Stdio::null());
    let (code, page, said) = crate::support::office::finish(&mut command).await;
    assert_eq!(code, 0, "{said}");
    let log = std::fs::read_to_string(log).unwrap();
    let addresses = log
        .split("\"url\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let addresses = addresses
        .filter(|address| address.starts_with("http"))
        .map(str::to_owned)
        .collect();
    std::fs::remove_dir_all(&folder).unwrap();
    (page, addresses)
}

const MARKUP: &str = "<img src=x onerror=alert(1)>";

/// What a page looks like: whether it is wider than its window, where its reasons are, where everything stands.
const LOOKS: &str = "(() => { const box = one => { const { left, right, top, height } = one.getBoundingClientRect(); return { left, right, top, height, text: one.textContent }; }; \
    return { wide: document.documentElement.scrollWidth, window: innerWidth, color: getComputedStyle(by('verdict')).color, verdict: box(by('verdict')), curves: document.querySelectorAll('svg').length, \
    tables: [...document.querySelectorAll('#tables tbody tr')].map(row => [...row.cells].map(box)), reasons: [...document.querySelectorAll('#quarantine tbody tr')].map(row => [...row.cells].map(box)), \
    steps: [...document.querySelectorAll('#next code')].map(one => one.textContent), lately: by('lately').textContent, foreign: document.querySelectorAll('main img, main b, main script').length, \
    parts: [...document.querySelectorAll('[data-part]')].map(one => one.getBoundingClientRect().top + scrollY) }; })()";

/// The page at the width of a phone and of a desk, by keys, in the dark, while it looks again.
async fn looks_right(it: &Watched, browser: &Path) {
    let folder = it.office.folder.join("steered");
    let mut page = Steered::start(browser, &folder).await;
    let here = format!("http://127.0.0.1:{}/", it.port);
    for size in [(390, 844), (1280, 800)] {
        page.open(&here, size).await;
        // The swap that has just ended is in the next sample.
        page.value("(async () => { while (!by('lately').textContent.includes('swapped')) await look(); })()").await;
        let looks = page.value(LOOKS).await;
        let window = f64::from(size.0);
        assert_eq!(looks["window"], size.0, "{looks}");
        assert!(
            looks["wide"].as_f64().unwrap() <= window,
            "it scrolls sideways: {looks}"
        );
        assert_eq!(looks["verdict"]["text"], "running, one table needs you");
        assert!(looks["verdict"]["right"].as_f64().unwrap() <= window);
        assert_eq!(looks["curves"], 4, "lag and rows, there and home");
        assert_eq!(looks["foreign"], 0, "mark-up from a database: {looks}");
        // Trouble first, and why right beside it.
        let first = &looks["tables"][0];
        assert_eq!(first[0]["text"], "item", "{looks}");
        let why = &first[5];
        let text = why["text"].as_str().unwrap();
        assert!(
            text.contains("2 rows wait in quarantine: 23514")
                && text.contains(MARKUP)
                && text.contains("<b>mark-up</b>"),
            "{text}"
        );
        let place = |what: &str| why[what].as_f64().unwrap();
        assert!(
            place("left") >= 0.0 && place("right") <= window && place("height") > 10.0,
            "{why}"
        );
        let beside = (place("top") - first[0]["top"].as_f64().unwrap()).abs();
        assert!(beside < 100.0, "the reason is far from its table: {looks}");
        let names: Vec<_> = { looks["tables"].as_array().unwrap().iter() }
            .map(|row| row[0]["text"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["item", MARKUP, "other"]);
        // What was copied counts.
        assert_eq!(looks["tables"][2][2]["text"], "3");
        assert_eq!(looks["reasons"][0][1]["text"], "2", "{looks}");
        assert_eq!(looks["reasons"].as_array().unwrap().len(), 1);
        assert!(
            looks["lately"]
                .as_str()
                .unwrap()
                .contains("other swapped: 0 added, 0 changed, 0 removed"),
            "{looks}"
        );
        assert_eq!(looks["steps"][0], "tandem quarantine list");
        // Looking again moves nothing, and takes the keyboard's place from nobody.
        page.press("Tab", 9, "").await;
        assert_eq!(
            page.value("document.activeElement.dataset.copy").await,
            "tandem quarantine list"
        );
        page.value("by('next').append('old')").await;
        page.value("look()").await;
        assert_eq!(
            page.value(
                "document.activeElement.dataset.copy + by('next').textContent.includes('old')"
            )
            .await,
            "tandem quarantine listfalse"
        );
        let again = page.value(LOOKS).await;
        assert_eq!(again["parts"], looks["parts"]);
        page.press("Enter", 13, "\r").await;
        let said = page.value("new Promise(done => { const see = () => by('said').textContent ? done(by('said').textContent) : setTimeout(see, 20); see(); })").await;
        let said = said.as_str().unwrap();
        assert!(
            said == "copied: tandem quarantine list" || said.starts_with("selected"),
            "{said}"
        );
        let dark = |scheme: &str| serde_json::json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        page.call("Emulation.setEmulatedMedia", dark("dark")).await;
        let night = page.value(LOOKS).await;
        page.call("Emulation.setEmulatedMedia", dark("light")).await;
        let day = page.value(LOOKS).await;
        assert_ne!(night["color"], day["color"]);
    }
    page.end().await;
    let _ = std::fs::remove_dir_all(&folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_the_page_shows_what_is_asks_nobody_else_and_takes_text_as_text() {
    let Some(browser) = browser() else {
        return;
    };
    // A table whose name is mark-up, too.
    let more = format!("{DDL}; create table \"{MARKUP}\" (id int primary key)");
    let table = format!("[[table]]\nname = '{MARKUP}'\n");
    let it = watched_with("", &table, &more, &more).await;
    exec(
        &it.office.desktop,
        "insert into other select generate_series(1, 3)",
    )
    .await;
    let mut service = it.office.run();
    it.office.caught_up(&mut service).await;
    it.shows(200, "caught_up", "tandem_up", 1.0).await;
    let (page, addresses) = seen(&it, &browser).await;
    assert!(
        page.contains("<body class=\"fine\">") && page.contains(">caught up</h1>"),
        "{page}"
    );
    assert!(
        page.contains("<td>item</td><td>streaming</td>") && page.contains("running since 20"),
        "{page}"
    );
    let here = format!("http://127.0.0.1:{}/", it.port);
    assert!(
        addresses
            .iter()
            .any(|address| *address == format!("{here}?again")),
        "{addresses:?}"
    );
    assert!(
        addresses.iter().all(|address| address.starts_with(&here)),
        "{addresses:?}"
    );
    // Somebody is needed, and the reason has mark-up in it.
    exec(
        &it.office.cloud,
        "alter table item add constraint \"<img src=x onerror=alert(1)>\" check (note <> 'bad')",
    )
    .await;
    exec(
        &it.office.desktop,
        "insert into item values (1, 'bad'), (2, 'bad')",
    )
    .await;
    until(
        &it.office.cloud,
        "select count(*) = 2 from tandem.quarantine",
    )
    .await;
    exec(
        &it.office.cloud,
        "update tandem.table_state set why = '<b>mark-up</b>' where \"table\" = 'item'",
    )
    .await;
    it.shows(503, "needs_you", "tandem_up", 1.0).await;
    let (page, addresses) = seen(&it, &browser).await;
    assert!(
        page.contains("<body class=\"busy\">") && page.contains("running, one table needs you"),
        "{page}"
    );
    assert!(
        page.contains("<tr class=\"needs\"><td>item</td>")
            && page.contains("&lt;b&gt;mark-up&lt;/b&gt;"),
        "{page}"
    );
    assert!(
        addresses.iter().all(|address| address.starts_with(&here)),
        "{addresses:?}"
    );
    let (code, _, said) = it.office.ask(&["swap", "other"]).await;
    assert_eq!(code, 0, "{said}");
    looks_right(&it, &browser).await;
    exec(&it.office.cloud, "drop table other").await;
    // A side is away.
    it.office.to_desktop.refuse(true);
    it.office.to_desktop.cut();
    it.shows(503, "unknown", "tandem_up", 0.0).await;
    let (page, _) = seen(&it, &browser).await;
    assert!(
        page.contains("<body class=\"bad old\">") && page.contains("unknown: the desktop"),
        "{page}"
    );
    it.office.to_desktop.refuse(false);
    assert_eq!(service.stop().await, 0);
}
