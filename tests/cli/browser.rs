//! The page at `/` in a real browser: it shows what is, asks nobody else, and shows text from databases as text.

use std::path::PathBuf;
use std::process::Stdio;

use crate::support::office::{exec, until};
use crate::support::watched::{Watched, watched};
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

#[tokio::test(flavor = "multi_thread")]
async fn p15_the_page_shows_what_is_asks_nobody_else_and_takes_text_as_text() {
    let Some(browser) = browser() else {
        return;
    };
    let it = watched("").await;
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
            .any(|address| *address == format!("{here}status.json")),
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
    exec(&it.office.desktop, "insert into item values (1, 'bad')").await;
    until(
        &it.office.cloud,
        "select count(*) = 1 from tandem.quarantine",
    )
    .await;
    exec(&it.office.cloud, "drop table other; update tandem.table_state set why = '<b>mark-up</b>' where \"table\" = 'item'").await;
    it.shows(503, "needs_you", "tandem_up", 1.0).await;
    let (page, addresses) = seen(&it, &browser).await;
    assert!(
        page.contains("<body class=\"busy\">") && page.contains("running, something needs you"),
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
    // A side is away.
    it.office.to_desktop.refuse(true);
    it.office.to_desktop.cut();
    it.shows(503, "unknown", "tandem_up", 0.0).await;
    let (page, _) = seen(&it, &browser).await;
    assert!(
        page.contains("<body class=\"bad\">") && page.contains("unknown: the desktop"),
        "{page}"
    );
    it.office.to_desktop.refuse(false);
    assert_eq!(service.stop().await, 0);
}
